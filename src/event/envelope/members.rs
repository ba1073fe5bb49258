//! Helpers that read the members of an envelope object.

use crate::event::{
    field::{self, DEFAULT_LAYOUT, Layout},
    json::{Cursor, Document, Span},
};

/// Maximum length of an unknown text or number that is copied with each event of its entry or
/// value, bytes of JSON. A longer one becomes an event of its own.
pub(super) const MAX_COPIED_SCALAR: usize = 256;

/// Returns the layout of the value of a change with this field, or `None` if the field is unknown.
pub(crate) fn layout_of(document: &Document, field: Option<Span>) -> Option<Layout> {
    match field {
        None => Some(DEFAULT_LAYOUT),
        Some(name) => document
            .cursor_at(name)
            .string_bytes()
            .and_then(field::layout),
    }
}

/// Calls `member` for each member of an object, with the cursor before the value, which it must
/// skip. Skips anything but an object.
pub(super) fn for_each_member<'a>(
    cursor: &mut Cursor<'a>,
    mut member: impl FnMut(&'a [u8], &mut Cursor<'a>),
) {
    if cursor.enter_object().is_none() {
        return;
    }
    while let Some(key) = cursor.next_key() {
        member(key, cursor);
    }
}

/// Whether the value of a change has a list of messages or statuses.
pub(super) fn has_message_lists(mut value: Cursor<'_>) -> bool {
    let mut found = false;
    for_each_member(&mut value, |key, cursor| {
        let is_list = cursor.peek() == Some(b'[');
        found |= is_list && matches!(key, b"messages" | b"statuses");
        cursor.skip();
    });
    found
}

/// Returns the span of the phone number id in the metadata of a value. Empty if there is none.
pub(crate) fn phone_number_id(document: &Document, metadata: Option<Span>) -> Span {
    let mut found = Span::default();
    if let Some(metadata) = metadata {
        for_each_member(&mut document.cursor_at(metadata), |key, cursor| match key {
            b"phone_number_id" => found = id_span(cursor).unwrap_or(found),
            _ => {
                cursor.skip();
            }
        });
    }
    found
}

/// Skips a value and returns its span if it is an id: a number, or a text that is not empty.
pub(super) fn id_span(cursor: &mut Cursor<'_>) -> Option<Span> {
    let is_scalar = matches!(cursor.peek(), Some(b'"' | b'-' | b'0'..=b'9'));
    let mut id = None;
    set_if_present(&mut id, cursor);
    id.filter(|_| is_scalar)
}

/// Skips a value and stores its span if it is present: neither `null` nor the empty string.
pub(super) fn set_if_present(slot: &mut Option<Span>, cursor: &mut Cursor<'_>) {
    const EMPTY: usize = "\"\"".len();
    if cursor.take_null() {
        return;
    }
    let string = cursor.peek() == Some(b'"');
    let value = cursor.skip();
    if !(string && value.range().len() == EMPTY) {
        *slot = Some(value);
    }
}

/// Whether the next value is a boolean, a number or a text, and short enough to be copied.
pub(super) fn is_small_scalar(mut cursor: Cursor<'_>) -> bool {
    let is_container = matches!(cursor.peek(), Some(b'{' | b'['));
    !is_container && cursor.skip().range().len() <= MAX_COPIED_SCALAR
}

/// Returns the text or number at `span`.
pub(crate) fn scalar_at(document: &Document, span: Span) -> Option<&str> {
    document.cursor_at(span).scalar()
}
