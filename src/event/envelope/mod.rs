//! The envelope: the levels of a delivery, down to its elements.
//!
//! Meta nests a delivery: `entry`, `changes`, `value`, and the lists in a value. One pass over the
//! document splits it into elements, each of which becomes an event, and records the spans of what
//! surrounds them. The content of an element is not examined here.

mod contacts;
mod context;
mod elements;
mod levels;
mod members;
mod nested_lists;
mod one_or_many;
mod splitter;

pub(crate) use self::{
    elements::{
        Change, ContactSpans, Element, Entry, Envelope, GroupSpans, Level, Position, ThreadSpans,
    },
    levels::{QUEUE_SELECT_KEY, QUEUE_VERSION_KEY},
    members::{layout_of, phone_number_id, scalar_at},
    one_or_many::OneOrMany,
};
