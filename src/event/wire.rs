//! The envelope: from a body to its elements.
//!
//! One walk finds where each element stands and what goes with it. What an element says is not looked at here.

use super::{
    object::Reader,
    payload::Reason,
    raw::{Cursor, Document, Span},
    scalar::Person,
};

/// The most events of a delivery that are told apart.
///
/// Meta says 1000 updates, but one piece of a chat's history may hold tens of thousands of messages; and an event takes more memory
/// than the three bytes of `{},`.
const MAX_ELEMENTS: usize = 32_768;

/// So many more for what is left of the lists beyond [`MAX_ELEMENTS`]. Then one for what is left of the body.
const MAX_RESTS: usize = 256;

/// The most contacts that are found again.
const MAX_CONTACTS: usize = 32_768;

/// A body, cut into elements.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) document: Document,
    pub(crate) object: Option<Span>,
    entries: Vec<Entry>,
    changes: Vec<Change>,
    contacts: Vec<ContactKey>,
    pub(crate) elements: Vec<Element>,
}

/// What is said of the elements of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) id: Option<Span>,
    pub(crate) time: Option<Span>,
}

/// What is said of the elements of a change. Elements outside of any change have an empty one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    entry: Option<u32>,
    pub(crate) field: Option<Span>,
    pub(crate) value: Option<Span>,
    pub(crate) metadata: Option<Span>,
    /// In `Envelope::contacts`: the first, and the one behind the last.
    contacts: (u32, u32),
}

/// A way to a contact.
#[derive(Debug, Clone, Copy)]
struct ContactKey {
    /// A WhatsApp id or a user id.
    key: Span,
    contact: Span,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    pub(crate) raw: Span,
    pub(crate) kind: Kind,
    change: u32,
    /// From the end of the member before to the value: the key is in there.
    list: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Status,
    Error,
    Unknown(Reason),
}

impl Envelope {
    /// Cuts a body into elements.
    pub(crate) fn new(document: Document) -> Self {
        let mut walk = Walk {
            document: &document,
            object: None,
            entries: Vec::new(),
            changes: Vec::new(),
            contacts: Vec::new(),
            elements: Vec::new(),
        };
        walk.body();
        let Walk {
            object,
            entries,
            changes,
            contacts,
            elements,
            ..
        } = walk;
        Self {
            document,
            object,
            entries,
            changes,
            contacts,
            elements,
        }
    }

    /// The element of an event, which exists.
    pub(crate) fn element(&self, index: usize) -> Element {
        self.elements.get(index).copied().unwrap_or(Element {
            raw: Span::default(),
            kind: Kind::Unknown(Reason::Shape),
            change: u32::MAX,
            list: None,
        })
    }

    pub(crate) fn change(&self, element: &Element) -> Change {
        self.changes
            .get(element.change as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn entry(&self, element: &Element) -> Entry {
        self.change(element)
            .entry
            .and_then(|entry| self.entries.get(entry as usize))
            .copied()
            .unwrap_or_default()
    }

    /// The name of the list that the element is in.
    pub(crate) fn list(&self, element: &Element) -> Option<&str> {
        self.document.cursor_at(element.list?).key()
    }

    /// The contact with this WhatsApp id or user id, among those that go with the element.
    pub(crate) fn contact(&self, element: &Element, key: &str) -> Option<Cursor<'_>> {
        let (first, last) = self.change(element).contacts;
        let contacts = self.contacts.get(first as usize..last as usize)?;
        let found = contacts
            .binary_search_by(|contact| scalar(&self.document, contact.key).cmp(&Some(key)))
            .ok()?;
        Some(self.document.cursor_at(contacts.get(found)?.contact))
    }
}

/// The walk over a body.
struct Walk<'a> {
    document: &'a Document,
    object: Option<Span>,
    entries: Vec<Entry>,
    changes: Vec<Change>,
    contacts: Vec<ContactKey>,
    elements: Vec<Element>,
}

impl<'a> Walk<'a> {
    fn body(&mut self) {
        let mut cursor = self.document.cursor();
        let start = cursor;
        if cursor.object().is_none() {
            let change = self.change_without_value(None);
            self.push(
                Kind::Unknown(Reason::Shape),
                cursor.since(start),
                change,
                None,
            );
            return;
        }
        while let Some(key) = cursor.key() {
            match key {
                "object" => present(&mut self.object, &mut cursor),
                "entry" => self.each(&mut cursor, None, Self::entry),
                _ => {
                    cursor.skip();
                }
            }
        }
        if let Some(object) = self.object
            && scalar(self.document, object) != Some("whatsapp_business_account")
        {
            self.untype(0, Reason::Object);
        }
    }

    fn entry(&mut self, cursor: &mut Cursor<'a>, _: Option<u32>) {
        let start = *cursor;
        let entry = position(self.entries.len());
        let elements = self.elements.len();
        self.entries.push(Entry::default());
        if cursor.object().is_some() {
            while let Some(key) = cursor.key() {
                let this = self.entries.last_mut();
                match (key, this) {
                    ("id", Some(this)) => present(&mut this.id, cursor),
                    ("time", Some(this)) => present(&mut this.time, cursor),
                    ("changes", _) => self.each(cursor, Some(entry), Self::change),
                    _ => {
                        cursor.skip();
                    }
                }
            }
        }
        if self.elements.len() == elements {
            let change = self.change_without_value(Some(entry));
            self.push(
                Kind::Unknown(Reason::Shape),
                cursor.since(start),
                change,
                None,
            );
        }
    }

    fn change(&mut self, cursor: &mut Cursor<'a>, entry: Option<u32>) {
        let start = *cursor;
        let index = self.change_without_value(entry);
        let elements = self.elements.len();
        let contacts = self.contacts.len();
        let mut change = Change {
            entry,
            ..Change::default()
        };
        if cursor.object().is_some() {
            while let Some(key) = cursor.key() {
                match key {
                    "field" => present(&mut change.field, cursor),
                    "value" => self.value(cursor, index, &mut change),
                    _ => {
                        cursor.skip();
                    }
                }
            }
        }
        self.by_field(&change, elements, index);
        if self.elements.len() == elements {
            let raw = cursor.since(start);
            self.push(Kind::Unknown(Reason::Shape), raw, index, None);
        }
        change.contacts = (position(contacts), position(self.contacts.len()));
        if let Some(contacts) = self.contacts.get_mut(contacts..)
            && contacts.len() > 1
        {
            let document = self.document;
            contacts.sort_by(|left, right| {
                scalar(document, left.key).cmp(&scalar(document, right.key))
            });
        }
        if let Some(slot) = self.changes.get_mut(index as usize) {
            *slot = change;
        }
    }

    /// Every value is walked over as that of a `messages` field, whose name most often comes behind it. This puts right what was not.
    fn by_field(&mut self, change: &Change, elements: usize, index: u32) {
        match change.field.and_then(|field| scalar(self.document, field)) {
            None | Some("messages") => {}
            // Elements that look like messages, in a field that may mean something else by them: one by one, and without a type.
            Some(_) if self.is_typed(elements) => self.untype(elements, Reason::Field),
            Some(_) => {
                self.elements.truncate(elements);
                if let Some(value) = change.value {
                    self.push(Kind::Unknown(Reason::Field), value, index, None);
                }
            }
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'a>, index: u32, change: &mut Change) {
        let start = *cursor;
        if cursor.null() {
            return;
        }
        let elements = self.elements.len();
        if cursor.object().is_some() {
            loop {
                let before = *cursor;
                let Some(key) = cursor.key() else { break };
                let list = cursor.since(before);
                match key {
                    "metadata" => present(&mut change.metadata, cursor),
                    "contacts" => self.contacts(cursor),
                    "messages" => self.list(cursor, Kind::Message, index, list),
                    "statuses" => self.list(cursor, Kind::Status, index, list),
                    "errors" => self.list(cursor, Kind::Error, index, list),
                    _ if cursor.peek() == Some(b'[') => {
                        self.list(cursor, Kind::Unknown(Reason::List), index, list);
                    }
                    _ => {
                        cursor.skip();
                    }
                }
            }
        }
        let value = cursor.since(start);
        change.value = Some(value);
        if self.elements.len() == elements {
            self.push(Kind::Unknown(Reason::Shape), value, index, None);
        }
    }

    fn list(&mut self, cursor: &mut Cursor<'a>, kind: Kind, change: u32, list: Span) {
        if cursor.null() {
            return;
        }
        let start = *cursor;
        if cursor.array().is_none() {
            let raw = cursor.since(start);
            self.push(Kind::Unknown(Reason::Shape), raw, change, Some(list));
            return;
        }
        while cursor.element() {
            if self.overflow(cursor, change, Some(list)) {
                return;
            }
            let kind = match cursor.peek() {
                Some(b'{') => kind,
                _ => Kind::Unknown(Reason::Shape),
            };
            let raw = cursor.skip();
            self.push(kind, raw, change, Some(list));
        }
    }

    fn contacts(&mut self, cursor: &mut Cursor<'a>) {
        if cursor.array().is_none() {
            return;
        }
        while cursor.element() {
            let start = *cursor;
            let known = self.contacts.len();
            if cursor.object().is_none() {
                continue;
            }
            while let Some(key) = cursor.key() {
                let value = *cursor;
                if !matches!(key, "wa_id" | "user_id") || self.contacts.len() >= MAX_CONTACTS {
                    cursor.skip();
                } else if Person::read(cursor).is_some() {
                    let key = cursor.since(value);
                    self.contacts.push(ContactKey { key, contact: key });
                }
            }
            let contact = cursor.since(start);
            for key in self.contacts.iter_mut().skip(known) {
                key.contact = contact;
            }
        }
    }

    /// Walks over the elements of an `entry` or `changes`.
    fn each(
        &mut self,
        cursor: &mut Cursor<'a>,
        entry: Option<u32>,
        walk: impl Fn(&mut Self, &mut Cursor<'a>, Option<u32>),
    ) {
        if cursor.null() {
            return;
        }
        let start = *cursor;
        if cursor.array().is_none() {
            let change = self.change_without_value(entry);
            let raw = cursor.since(start);
            self.push(Kind::Unknown(Reason::Shape), raw, change, None);
            return;
        }
        while cursor.element() {
            if self.elements.len() >= MAX_ELEMENTS {
                let change = self.change_without_value(entry);
                self.overflow(cursor, change, None);
                return;
            }
            walk(self, cursor, entry);
        }
    }

    /// Beyond the most elements, takes what is left of a list as one; beyond the most of those, what is left of the body.
    fn overflow(&mut self, cursor: &mut Cursor<'a>, change: u32, list: Option<Span>) -> bool {
        if self.elements.len() < MAX_ELEMENTS {
            return false;
        }
        let kind = Kind::Unknown(Reason::Overflow);
        let start = *cursor;
        if self.elements.len() >= MAX_ELEMENTS + MAX_RESTS {
            cursor.end();
            self.push(kind, cursor.since(start), change, list);
            return true;
        }
        let mut raw = cursor.skip();
        while cursor.element() {
            raw = raw.until(cursor.skip());
        }
        self.push(kind, raw, change, list);
        true
    }

    fn push(&mut self, kind: Kind, raw: Span, change: u32, list: Option<Span>) {
        self.elements.push(Element {
            raw,
            kind,
            change,
            list,
        });
    }

    fn change_without_value(&mut self, entry: Option<u32>) -> u32 {
        self.changes.push(Change {
            entry,
            ..Change::default()
        });
        position(self.changes.len() - 1)
    }

    fn is_typed(&self, first: usize) -> bool {
        self.elements
            .iter()
            .skip(first)
            .any(|element| matches!(element.kind, Kind::Message | Kind::Status))
    }

    fn untype(&mut self, first: usize, reason: Reason) {
        for element in self.elements.iter_mut().skip(first) {
            if !matches!(element.kind, Kind::Unknown(_)) {
                element.kind = Kind::Unknown(reason);
            }
        }
    }
}

/// Keeps a value that is there: neither `null` nor the empty string.
fn present(slot: &mut Option<Span>, cursor: &mut Cursor<'_>) {
    if cursor.null() {
        return;
    }
    let mut ahead = *cursor;
    let value = cursor.skip();
    if ahead.peek() != Some(b'"') || ahead.string() != Some("") {
        *slot = Some(value);
    }
}

fn scalar(document: &Document, span: Span) -> Option<&str> {
    document.cursor_at(span).scalar()
}

/// There are fewer of anything than there are bytes in the body.
fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
