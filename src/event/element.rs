//! One element of a delivery, with access to the envelope around it.

use super::{
    envelope::{Change, Element, Entry, Envelope},
    json::{Cursor, Span},
    payload::{Kind, Payload, Reason, Unknown},
    schema::{Decode, Id, Lazy},
};

/// An element of a delivery and its envelope: what [`Event`](super::Event) borrows to read itself.
#[derive(Clone, Copy)]
pub(super) struct ElementRef<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) index: u32,
    pub(super) element: Element,
}

impl<'a> ElementRef<'a> {
    #[inline]
    pub(super) fn new(envelope: &'a Envelope, index: u32) -> Self {
        Self {
            envelope,
            index,
            element: envelope.element(index),
        }
    }

    #[inline]
    pub(super) fn kind(&self) -> Kind {
        self.element.kind
    }

    /// The payload without the contact, group and thread of the envelope. Finding the contact may
    /// require a search of all contacts.
    #[inline]
    pub(super) fn own_payload(&self) -> Payload<'a> {
        self.kind().decode(&mut self.cursor(), || self.unknown())
    }

    #[cold]
    fn unknown(&self) -> Unknown<'a> {
        Unknown {
            reason: match self.kind() {
                Kind::Unknown(reason) => reason,
                _ => Reason::Shape,
            },
            list: self.list(),
            id: self.id(),
            raw: self.raw(),
        }
    }

    #[inline]
    pub(super) fn id(&self) -> Option<&'a str> {
        self.bare_cursor().member::<Id>(b"id")
    }

    #[inline]
    pub(super) fn raw(&self) -> &'a str {
        self.envelope.document.text(self.element.raw)
    }

    #[inline]
    pub(super) fn cursor(&self) -> Cursor<'a> {
        self.envelope.document.cursor_with_text(self.element.raw)
    }

    /// A cursor for an element of which few texts are read: only those are converted.
    pub(super) fn bare_cursor(&self) -> Cursor<'a> {
        self.envelope.document.cursor_at(self.element.raw)
    }

    #[inline]
    pub(super) fn entry(&self) -> Entry {
        self.envelope.entry(&self.element)
    }

    #[inline]
    pub(super) fn change(&self) -> Change {
        self.envelope.change(&self.element)
    }

    /// Key of the list that contains the element.
    #[inline]
    pub(super) fn list(&self) -> Option<&'a str> {
        self.envelope.list(&self.element)
    }

    /// Decodes a part of the envelope.
    #[inline]
    pub(super) fn decode_at<D: Decode<'a>>(&self, span: Option<Span>) -> Option<D::Output> {
        D::decode(&mut self.envelope.document.cursor_at(span?))
    }

    /// A part of the envelope that is decoded on access.
    #[inline]
    pub(super) fn lazy_at<T>(&self, span: Option<Span>) -> Lazy<'a, T> {
        Lazy::new(span.map(|span| self.envelope.document.cursor_at(span).value_start()))
    }
}
