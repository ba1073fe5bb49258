//! Reads the queue format.

use bytes::Bytes;

use super::{
    error::QueueError,
    format::{MAX_QUEUED_DEPTH, SELECT_FIRST, SELECT_KEY},
};
use crate::event::{
    envelope::{Envelope, QUEUE_SELECT_KEY, QUEUE_VERSION_KEY},
    json::{Document, Span},
};

/// Splits queued bytes into elements, as a body is split.
pub(in crate::event) fn read(bytes: Bytes) -> Result<Envelope, QueueError> {
    let document =
        Document::with_max_depth(bytes, MAX_QUEUED_DEPTH).map_err(QueueError::NotJson)?;
    let Header { body, selection } = read_header(&document)?;
    let mut envelope = Envelope::from_body(document, body, selection == Selection::Key);
    if selection == Selection::First {
        envelope.elements.truncate(1);
    }
    Ok(envelope)
}

/// The parsed header of queued bytes.
struct Header {
    body: Span,
    selection: Selection,
}

#[derive(Clone, Copy, PartialEq)]
enum Selection {
    All,
    First,
    Key,
}

/// Finds the body: the bytes themselves, or the value of the key `body`.
fn read_header(document: &Document) -> Result<Header, QueueError> {
    let mut cursor = document.cursor();
    cursor.enter_object().ok_or(QueueError::NotAnEvent)?;
    let (mut version, mut body, mut selection) = (None, None, Selection::All);
    // Of duplicate keys the first counts, because the remainder of a body may contain more of them.
    while let Some(key) = cursor.next_key() {
        match key {
            _ if key == QUEUE_VERSION_KEY && version.is_none() => {
                version = Some(cursor.raw_value());
            }
            _ if key == QUEUE_SELECT_KEY && body.is_none() => {
                selection = match cursor.raw_value() {
                    SELECT_FIRST => Selection::First,
                    SELECT_KEY => Selection::Key,
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
        (Some(1), Some(body)) => Ok(Header { body, selection }),
        (Some(2..), _) => Err(QueueError::LaterVersion),
        _ => Err(QueueError::NotAnEvent),
    }
}
