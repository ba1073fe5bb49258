use super::{
    contacts::ContactSpans,
    elements::{Change, Element, Entry, GroupSpans, Level, Position, ThreadSpans},
    members::is_small_scalar,
    one_or_many::OneOrMany,
};
use crate::event::{
    json::{Cursor, Document, Mark, Span},
    payload::{Kind, Reason},
};

/// The most events of a delivery that are told apart.
///
/// Meta says 1000 updates, but one piece of a chat's history may hold tens of thousands of messages; and an event takes more memory
/// than the three bytes of `{},`.
pub(super) const MAX_ELEMENTS: usize = 32_768;

/// So many more for what is left of the lists beyond [`MAX_ELEMENTS`]. Then one for what is left of the body.
pub(super) const MAX_OVERFLOW_EVENTS: usize = 256;

/// The most contacts that are found again.
pub(super) const MAX_CONTACTS: usize = 32_768;

/// Maximum number of unknown keys of one object that become events of their own. Beyond it the whole object becomes one event.
pub(super) const MAX_UNKNOWN_KEYS: usize = 8;

/// The walk over a body.
pub(super) struct Splitter<'a> {
    pub(super) document: &'a Document,
    pub(super) object: Option<Span>,
    pub(super) entries: OneOrMany<Entry>,
    pub(super) changes: OneOrMany<Change>,
    pub(super) contacts: Vec<ContactSpans>,
    pub(super) groups: Vec<GroupSpans>,
    pub(super) threads: Vec<ThreadSpans>,
    pub(super) elements: Vec<Element>,
    /// What is left of the body is one element.
    pub(super) body_consumed: bool,
    pub(super) split_unknown_keys: bool,
}

pub(super) const UNKNOWN_SHAPE: Kind = Kind::Unknown(Reason::Shape);
pub(super) const UNKNOWN_LIST: Kind = Kind::Unknown(Reason::List);
pub(super) const UNKNOWN_KEY: Kind = Kind::Unknown(Reason::Key);

/// What the position of a member's value is made of, where it is asked for: most values are in no list.
pub(super) struct MemberPosition {
    /// That of the object.
    position: Position,
    /// Before the key.
    before: Mark,
}

impl MemberPosition {
    /// The position of the value that the cursor is before, or of the elements of a list.
    pub(super) fn resolve(&self, cursor: &Cursor<'_>) -> Position {
        self.position
            .with_list_key(cursor.span_since_mark(self.before))
    }
}

/// Members whose keys are not known, each with its position and before its value.
#[derive(Default)]
pub(super) struct UnknownKeys<'a> {
    members: Vec<(Position, Cursor<'a>)>,
    /// There are more than are kept.
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
    /// Walks over the members of an object. `member` gets each with the position that the elements of a list have in it,
    /// and passes over the value if it knows the key. Returns the other members that are not `null`; `None` if it is no object.
    pub(super) fn for_each_member(
        &mut self,
        cursor: &mut Cursor<'a>,
        position: Position,
        mut member: impl FnMut(&mut Self, &[u8], &mut Cursor<'a>, &MemberPosition) -> bool,
    ) -> Option<UnknownKeys<'a>> {
        cursor.enter_object()?;
        let mut unknown = UnknownKeys::default();
        loop {
            let outside = MemberPosition {
                position,
                before: cursor.mark(),
            };
            let Some(key) = cursor.next_key() else {
                return Some(unknown);
            };
            if !member(self, key, cursor, &outside) && !cursor.take_null() {
                unknown.push(outside.resolve(cursor), *cursor);
                cursor.skip();
            }
        }
    }

    /// Takes a member of a value or of something in it whose key has no meaning there, if it is a list.
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

    /// Makes events of members whose keys are not known, or one of the whole object that they stand in. `elements`: how many
    /// there were before the object. `position`: that of the object.
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
        // A small text or number goes along with each event that there is: Meta adds such keys to every delivery.
        let goes_along = match level {
            Level::List => self.elements.len() > elements || self.split_unknown_keys,
            Level::EntryKey => self.elements.len() > elements,
            _ => false,
        };
        for (member, mut cursor) in unknown.members {
            let member = member.with_level(level);
            if goes_along && is_small_scalar(cursor) {
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

    /// Takes the elements of a list.
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

    /// Walks over the elements of a list, as far as there is room for more.
    pub(super) fn for_each_element(
        &mut self,
        cursor: &mut Cursor<'a>,
        position: Position,
        walk: impl Fn(&mut Self, &mut Cursor<'a>, Position),
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
            walk(self, cursor, position);
        }
    }

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

    /// Beyond the most elements, takes what is left of a list as one; beyond the most of those, what is left of the body.
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

    pub(super) fn push(&mut self, kind: Kind, raw: Span, position: Position) {
        self.elements.push(Element {
            raw,
            kind,
            position,
        });
    }

    /// Puts an element before those that stand in it.
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

    pub(super) fn mark_unknown(&mut self, first: usize, reason: Reason) {
        for element in self.elements.iter_mut().skip(first) {
            if element.kind != Kind::Unknown(Reason::Overflow) {
                element.kind = Kind::Unknown(reason);
            }
        }
    }
}
