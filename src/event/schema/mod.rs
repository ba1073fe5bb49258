//! Declarations of the protocol's objects.
//!
//! The macros `object!`, `tagged_union!` and `string_enum!` declare a type once. Its decoding, its
//! check for unknown parts, its serialization and its `Debug` follow from that.
//!
//! One rule holds for all types. A key whose value has an unexpected shape is absent, the other
//! keys are not affected, and [`Decode::is_known`] is false for the whole object. `null` means
//! absent and is known; unknown keys do not make an object unknown. Of two equal keys the last one
//! counts.

mod decode;
mod lazy;
mod list;
mod object;
mod scalar;
#[cfg(feature = "serde")]
mod serialize;
mod string_enum;
mod tagged_union;
mod timestamp;
mod unread;

pub(crate) use self::{
    decode::{Decode, Object},
    object::object,
    scalar::{Coordinate, Id, IdBytes, Ignored, MetaText, PersonalId, RawJson, Tag, UserText},
    string_enum::{eq_ignoring_case_and_separators, string_enum},
    tagged_union::{TaggedDecoder, TaggedUnion, tagged_union},
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
    tagged_union::body_key,
};
