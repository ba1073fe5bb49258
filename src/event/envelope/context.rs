//! The parts of the envelope that belong to an element, apart from contacts.

use super::{
    elements::{Element, Envelope},
    members::{is_small_scalar, layout_of},
    splitter::MAX_UNKNOWN_KEYS,
};
use crate::event::json::{Span, saturating_u32};

/// Maximum number of elements in a change that are compared with each other. Beyond it the effort
/// would grow quadratically.
const MAX_COMPARED_SIBLINGS: usize = 16;

impl Envelope {
    /// Returns the indexes of the other elements in the change, or `None` if there are many.
    pub(crate) fn few_siblings(&self, index: u32) -> Option<impl Iterator<Item = u32> + use<>> {
        let change = self.element(index).position.change;
        let is_beside = |element: &&Element| element.position.change == change;
        let (before, after) = self
            .elements
            .split_at(self.elements.len().min(index as usize));
        let before = before.iter().rev().take_while(is_beside);
        let after = after.iter().skip(1).take_while(is_beside);
        let before = saturating_u32(before.take(MAX_COMPARED_SIBLINGS).count());
        let after = saturating_u32(after.take(MAX_COMPARED_SIBLINGS).count());
        let is_few = ((before + after) as usize) < MAX_COMPARED_SIBLINGS;
        let range = index.saturating_sub(before)..=index.saturating_add(after);
        is_few.then(|| range.filter(move |other| *other != index))
    }

    /// Returns the small unknown texts and numbers of the value, which are copied with the element.
    pub(crate) fn scalars_of_value(&self, element: &Element) -> Vec<Span> {
        let change = self.change(element);
        let layout = layout_of(&self.document, change.field);
        let is_known = |key: &[u8]| layout.is_some_and(|layout| layout.knows_key(key));
        self.scalars(change.value, |key| {
            matches!(
                key,
                b"messaging_product" | b"metadata" | b"conversation_context" | b"contacts"
            ) || is_known(key)
        })
    }

    /// Returns the small unknown texts and numbers of the entry, which are copied with the element.
    pub(crate) fn scalars_of_entry(&self, element: &Element) -> Vec<Span> {
        self.scalars(self.entry(element).raw, |key| {
            matches!(key, b"id" | b"time" | b"changes")
        })
    }

    /// Returns the length in bytes of what surrounds an element: its entry, else its value.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn surroundings_len(&self, element: &Element) -> usize {
        let surroundings = self.entry(element).raw.or(self.change(element).value);
        surroundings.map_or(0, Span::len)
    }

    fn scalars(&self, object: Option<Span>, is_known: impl Fn(&[u8]) -> bool) -> Vec<Span> {
        let mut found = Vec::new();
        let Some(object) = object else { return found };
        let mut cursor = self.document.cursor_at(object);
        if cursor.enter_object().is_none() {
            return found;
        }
        loop {
            let before = cursor.mark();
            let Some(key) = cursor.next_key() else {
                return found;
            };
            if cursor.take_null() {
                continue;
            }
            let is_small = is_small_scalar(cursor);
            cursor.skip();
            if is_small && !is_known(key) && found.len() < MAX_UNKNOWN_KEYS {
                found.push(self.document.member_span(cursor.span_since_mark(before)));
            }
        }
    }
}
