//! The envelope: from a body to its elements.
//!
//! One walk finds where each element stands and what goes with it. What an element says is not looked at here.

mod contacts;
mod elements;
mod levels;
mod members;
mod one_or_many;
mod splitter;
mod surroundings;

pub(crate) use self::{
    contacts::ContactSpans,
    elements::{Change, Element, Entry, Envelope, GroupSpans, Level, Position, ThreadSpans},
    levels::{QUEUE_KEY, QUEUE_PART_KEY},
    members::{layout_of, phone_number_id, scalar_at},
    one_or_many::OneOrMany,
};
