//! Reads the queue format.

use bytes::Bytes;

use super::{
    error::QueueError,
    format::{DEEPEST, FIRST, KEY},
};
use crate::event::{
    envelope::{Envelope, QUEUE_KEY, QUEUE_PART_KEY},
    json::{Document, Span},
};

/// Splits queued bytes into elements, as a body is split.
pub(in crate::event) fn read(bytes: Bytes) -> Result<Envelope, QueueError> {
    let document = Document::with_max_depth(bytes, DEEPEST).map_err(QueueError::NotJson)?;
    let Head { body, part } = read_head(&document)?;
    let mut envelope = Envelope::from_body(document, body, part == Part::Key);
    if part == Part::First {
        envelope.elements.truncate(1);
    }
    Ok(envelope)
}

/// The parsed head of queued bytes.
struct Head {
    body: Span,
    part: Part,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    All,
    First,
    Key,
}

/// Finds the body: the bytes themselves, or the value of the key `body`.
fn read_head(document: &Document) -> Result<Head, QueueError> {
    let mut cursor = document.cursor();
    cursor.enter_object().ok_or(QueueError::NotAnEvent)?;
    let (mut version, mut body, mut part) = (None, None, Part::All);
    // Of duplicate keys the first counts, because the remainder of a body may contain more of them.
    while let Some(key) = cursor.next_key() {
        match key {
            _ if key == QUEUE_KEY && version.is_none() => version = Some(cursor.raw_value()),
            _ if key == QUEUE_PART_KEY && body.is_none() => {
                part = match cursor.raw_value() {
                    FIRST => Part::First,
                    KEY => Part::Key,
                    _ => return Err(QueueError::LaterVersion),
                };
            }
            b"entry" => {
                body.get_or_insert_default();
                cursor.skip();
            }
            b"body" => {
                body.get_or_insert(cursor.skip());
            }
            _ => {
                cursor.skip();
            }
        }
    }
    match (
        version.and_then(|version| version.parse::<u64>().ok()),
        body,
    ) {
        (Some(1), Some(body)) => Ok(Head { body, part }),
        (Some(2..), _) => Err(QueueError::LaterVersion),
        _ => Err(QueueError::NotAnEvent),
    }
}
