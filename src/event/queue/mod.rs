//! The queue format: one event as a delivery of its own.

mod error;
pub(super) mod format;
mod reader;
mod writer;

pub use self::error::QueueError;
pub(super) use self::{reader::read, writer::QueueWriter};
