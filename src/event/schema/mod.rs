//! How the objects of the protocol are written down once, and read, checked and shown from that.
//!
//! The rule, one for all: a key in a shape that is not its own is absent, its neighbours stay, and [`Decode::is_known`] is false for the
//! whole. `null` is absence and nothing odd; keys that nobody knows are nothing odd either; of two equal keys the last counts.

mod decode;
mod lazy;
mod list;
mod names;
mod object;
mod scalar;
#[cfg(feature = "serde")]
mod serialize;
mod tagged;
mod timestamp;
mod unread;

pub(crate) use self::{
    decode::Decode,
    names::{names, names_match},
    object::object,
    scalar::{Degrees, Id, Json, Nothing, Person, Text, Words},
    tagged::{TaggedDecoder, TaggedUnion, tagged},
    unread::UnreadPaths,
};
pub use self::{
    lazy::Lazy,
    list::{Iter, List},
    scalar::Name,
    timestamp::Timestamp,
};
#[cfg(feature = "serde")]
pub(crate) use self::{
    serialize::{OptionalField, SerializeWith},
    tagged::body_key,
};
