//! Declarations of the protocol's objects.
//!
//! The macros `object!`, `tagged!` and `names!` declare a type once. Its decoding, its check for
//! unknown parts, its serialization and its `Debug` follow from that.
//!
//! One rule holds for all types. A key whose value has an unexpected shape is absent, the other
//! keys are not affected, and [`Decode::is_known`] is false for the whole object. `null` means
//! absent and is known; unknown keys do not make an object unknown. Of two equal keys the last one
//! counts.

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
