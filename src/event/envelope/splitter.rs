//! The machinery that splits a delivery: limits, lists, unknown keys.

use super::{
    elements::{Change, ContactSpans, Element, Entry, GroupSpans, Level, Position, ThreadSpans},
    members::is_small_scalar,
    one_or_many::OneOrMany,
};
use crate::event::{
    json::{Cursor, Document, Mark, Span},
    payload::{Kind, Reason},
};

/// Maximum number of elements in a delivery. The rest of each list becomes one overflow element.
///
/// Meta documents 1000 updates, but one history chunk may contain tens of thousands of messages. An
/// element takes more memory than the three bytes of `{},`, so the number must have a limit.
pub(super) const MAX_ELEMENTS: usize = 32_768;

/// Maximum number of overflow elements for lists. Then the rest of the body becomes one more.
pub(super) const MAX_OVERFLOW_EVENTS: usize = 256;

/// Maximum number of contacts. Further ones are ignored.
pub(super) const MAX_CONTACTS: usize = 32_768;

/// Maximum number of unknown keys of an object that become elements. Beyond it the whole object
/// becomes one element.
pub(super) const MAX_UNKNOWN_KEYS: usize = 8;

/// The state of a pass over a delivery.
pub(super) struct Splitter<'a> {
    pub(super) document: &'a Document,
    pub(super) object: Option<Span>,
    pub(super) entries: OneOrMany<Entry>,
    pub(super) changes: OneOrMany<Change>,
    pub(super) contacts: Vec<ContactSpans>,
    pub(super) groups: Vec<GroupSpans>,
    pub(super) threads: Vec<ThreadSpans>,
    pub(super) elements: Vec<Element>,
    /// Whether the rest of the body has become one element, so that the pass ends.
    pub(super) body_consumed: bool,
    /// See [`Envelope::from_body`](super::Envelope::from_body).
    pub(super) split_unknown_keys: bool,
}

pub(super) const UNKNOWN_SHAPE: Kind = Kind::Unknown(Reason::Shape);
pub(super) const UNKNOWN_LIST: Kind = Kind::Unknown(Reason::List);
pub(super) const UNKNOWN_KEY: Kind = Kind::Unknown(Reason::Key);

/// The position of a member's value, computed on demand: most values contain no elements.
pub(super) struct MemberPosition {
    /// Position of the object.
    object: Position,
    /// Mark before the key.
    mark: Mark,
}

impl MemberPosition {
    /// Returns the position of the value that follows, which is also that of its elements.
    pub(super) fn resolve(&self, cursor: &Cursor<'_>) -> Position {
        self.object.with_list_key(cursor.span_since_mark(self.mark))
    }
}

/// Members with unknown keys: the position of each, and a cursor before its value.
#[derive(Default)]
pub(super) struct UnknownKeys<'a> {
    members: Vec<(Position, Cursor<'a>)>,
    /// Whether there are more than [`MAX_UNKNOWN_KEYS`].
    has_more: bool,
}

impl<'a> UnknownKeys<'a> {
    pub(super) fn push(&mut self, position: Position, cursor: Cursor<'a>) {
        if self.members.len() < MAX_UNKNOWN_KEYS {
            self.members.push((position, cursor));
        } else {
            self.has_more = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<'a> Splitter<'a> {
    /// Calls `member` for each member of an object. It skips the value and returns true if it knows
    /// the key. Returns the other members that are not `null`, or `None` if there is no object.
    pub(super) fn for_each_member(
        &mut self,
        cursor: &mut Cursor<'a>,
        position: Position,
        mut member: impl FnMut(&mut Self, &[u8], &mut Cursor<'a>, &MemberPosition) -> bool,
    ) -> Option<UnknownKeys<'a>> {
        cursor.enter_object()?;
        let mut unknown = UnknownKeys::default();
        loop {
            let at = MemberPosition {
                object: position,
                mark: cursor.mark(),
            };
            let Some(key) = cursor.next_key() else {
                return Some(unknown);
            };
            if !member(self, key, cursor, &at) && !cursor.take_null() {
                unknown.push(at.resolve(cursor), *cursor);
                cursor.skip();
            }
        }
    }

    /// Splits a member with an unexpected key if its value is a list. Returns false if it is not.
    pub(super) fn try_unknown_list(
        &mut self,
        key: &[u8],
        cursor: &mut Cursor<'a>,
        list: Position,
    ) -> bool {
        match (key, cursor.peek()) {
            (b"contacts", Some(b'[')) => self.collect_contacts(cursor),
            (b"messaging_product", _) => {
                cursor.skip();
            }
            (_, Some(b'[')) => self.push_list(cursor, UNKNOWN_LIST, list),
            _ => return false,
        }
        true
    }

    /// Makes elements of the members with unknown keys, or one element of the whole object if there
    /// are too many. `elements` is the number of elements before the object, `position` that of the
    /// object.
    pub(super) fn push_unknown_members(
        &mut self,
        unknown: UnknownKeys<'a>,
        level: Level,
        elements: usize,
        whole: Span,
        position: Position,
    ) {
        if unknown.has_more {
            self.insert_before(elements, UNKNOWN_SHAPE, whole, position);
            return;
        }
        // A small text or number is copied with the object's events instead. Meta adds such keys to
        // every delivery.
        let is_copied = match level {
            Level::List => self.elements.len() > elements || self.split_unknown_keys,
            Level::EntryKey => self.elements.len() > elements,
            _ => false,
        };
        for (member, mut cursor) in unknown.members {
            let member = member.with_level(level);
            if is_copied && is_small_scalar(cursor) {
                continue;
            }
            if cursor.peek() == Some(b'[') {
                self.push_list(&mut cursor, UNKNOWN_LIST, member);
            } else {
                let instead = Position {
                    replaces_list: true,
                    ..member
                };
                self.push(UNKNOWN_KEY, cursor.skip(), instead);
            }
        }
    }

    /// Makes elements of the elements of a list.
    pub(super) fn push_list(&mut self, cursor: &mut Cursor<'a>, kind: Kind, position: Position) {
        self.for_each_element(cursor, position, |this, cursor, position| {
            let kind = match cursor.peek() {
                Some(b'{') => kind,
                _ => UNKNOWN_SHAPE,
            };
            let raw = cursor.skip();
            this.push(kind, raw, position);
        });
    }

    /// Calls `split` for each element of a list, until [`MAX_ELEMENTS`] is reached.
    pub(super) fn for_each_element(
        &mut self,
        cursor: &mut Cursor<'a>,
        position: Position,
        split: impl Fn(&mut Self, &mut Cursor<'a>, Position),
    ) {
        if cursor.take_null() {
            return;
        }
        let start = *cursor;
        if cursor.enter_array().is_none() {
            let position = Position {
                replaces_list: true,
                ..position
            };
            self.push(UNKNOWN_SHAPE, cursor.span_since(start), position);
            return;
        }
        while cursor.next_element() {
            if self.body_consumed {
                cursor.skip_to_end();
                return;
            }
            if self.elements.len() >= MAX_ELEMENTS {
                self.push_overflow(cursor, position);
                return;
            }
            split(self, cursor, position);
        }
    }

    /// Adds the contacts of a list.
    pub(super) fn collect_contacts(&mut self, cursor: &mut Cursor<'a>) {
        if cursor.enter_array().is_none() {
            return;
        }
        while cursor.next_element() {
            let contact = cursor.skip();
            if self.contacts.len() < MAX_CONTACTS {
                self.contacts
                    .push(ContactSpans::new(self.document, contact));
            }
        }
    }

    /// Makes one element of the rest of a list, or of the rest of the body if there are too many.
    pub(super) fn push_overflow(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let raw = if self.elements.len() >= MAX_ELEMENTS + MAX_OVERFLOW_EVENTS {
            cursor.skip_to_end();
            self.body_consumed = true;
            cursor.span_since(start)
        } else {
            let mut raw = cursor.skip();
            while cursor.next_element() {
                raw = raw.through(cursor.skip());
            }
            raw
        };
        self.push(Kind::Unknown(Reason::Overflow), raw, position);
    }

    /// Adds an element.
    pub(super) fn push(&mut self, kind: Kind, raw: Span, position: Position) {
        self.elements.push(Element {
            raw,
            kind,
            position,
        });
    }

    /// Inserts an element before the elements that are parts of it.
    pub(super) fn insert_before(
        &mut self,
        index: usize,
        kind: Kind,
        raw: Span,
        position: Position,
    ) {
        let position = Position {
            has_inner_events: true,
            ..position
        };
        let index = index.min(self.elements.len());
        self.elements.insert(
            index,
            Element {
                raw,
                kind,
                position,
            },
        );
    }

    /// Makes all elements from index `first` on unknown. Overflow elements keep their reason.
    pub(super) fn mark_unknown(&mut self, first: usize, reason: Reason) {
        for element in self.elements.iter_mut().skip(first) {
            if element.kind != Kind::Unknown(Reason::Overflow) {
                element.kind = Kind::Unknown(reason);
            }
        }
    }
}
