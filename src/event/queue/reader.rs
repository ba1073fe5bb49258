//! Reads the queue format.

use bytes::Bytes;

use super::{
    error::QueueError,
    format::{DEEPEST, FIRST, KEY, MARK, PART},
};
use crate::event::{
    raw::{Document, Span},
    wire::Envelope,
};

/// Splits queued bytes into elements, as a body is split.
pub(in crate::event) fn read(bytes: Bytes) -> Result<Envelope, QueueError> {
    let document = Document::nested(bytes, DEEPEST).map_err(QueueError::NotJson)?;
    let Head { body, part } = read_head(&document)?;
    let mut envelope = Envelope::of_body(document, body, part == Part::Key);
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
    cursor.object().ok_or(QueueError::NotAnEvent)?;
    let (mut version, mut body, mut part) = (None, None, Part::All);
    // Of duplicate keys the first counts, because the remainder of a body may contain more of them.
    while let Some(key) = cursor.key() {
        match key {
            _ if key == MARK && version.is_none() => version = Some(cursor.json()),
            _ if key == PART && body.is_none() => {
                part = match cursor.json() {
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
