//! Errors of reading an event from a queue.

use std::{error::Error, fmt};

use crate::event::json::ParseError;

/// Reason why bytes from a queue are not an event. Contains no data of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueError {
    /// The bytes are not one JSON text.
    NotJson(ParseError),
    /// The bytes are JSON, but not in the format of
    /// [`Event::to_queue`](crate::event::Event::to_queue). For deliveries from Meta use
    /// [`Notification::parse`](crate::event::Notification::parse).
    NotAnEvent,
    /// The bytes were written by a later version of this crate, in a format that this version does
    /// not know. Leave them in the queue for an updated consumer.
    LaterVersion,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson(_) => "the bytes from the queue are not JSON",
            Self::NotAnEvent => "the JSON from the queue is not an event",
            Self::LaterVersion => "the event from the queue has the format of a later version",
        })
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotJson(error) => Some(error),
            Self::NotAnEvent | Self::LaterVersion => None,
        }
    }
}
