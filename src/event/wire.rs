//! The envelope: from a body to its elements.
//!
//! One walk finds where each element stands and what goes with it. What an element says is not looked at here.

use std::sync::OnceLock;

use super::{
    few::Few,
    field::{self, Layout, UNNAMED},
    payload::{Kind, Reason},
    person::without_plus,
    queue::format::{MARK, PART},
    raw::{Cursor, Document, Mark, Span},
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

/// Elements of a change up to which they are compared with each other.
const FEW_BESIDE: usize = 16;

/// Maximum length of an unknown text or number that goes along with each event of its entry or value, in bytes of JSON.
const MAX_SCALAR: usize = 256;

/// Maximum number of unknown keys of one object that become events of their own. Beyond it the whole object becomes one event.
const MAX_UNKNOWN_KEYS: usize = 8;

/// Events of a change up to which each looks for the id of the phone number itself.
const FEW_EVENTS: usize = 4;

/// Up to so many contacts of a change are looked through one by one.
const FEW_CONTACTS: usize = 4;

/// A body, cut into elements.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) document: Document,
    pub(crate) object: Option<Span>,
    // Most deliveries have one of each.
    pub(super) entries: Few<Entry>,
    pub(super) changes: Few<Change>,
    pub(super) contacts: Vec<ContactAt>,
    /// The ways to the contacts, where a change has many of them: made when somebody asks.
    pub(super) directory: OnceLock<Vec<ContactKey>>,
    pub(super) groups: Vec<GroupAround>,
    pub(super) threads: Vec<ThreadAround>,
    pub(crate) elements: Vec<Element>,
}

/// What is said of the elements of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) raw: Option<Span>,
    pub(crate) id: Option<Span>,
    pub(crate) time: Option<Span>,
}

/// What is said of the elements of a change.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    pub(super) entry: u32,
    pub(crate) field: Option<Span>,
    pub(crate) value: Option<Span>,
    pub(crate) metadata: Option<Span>,
    /// In the metadata: every event key has it, so among many events it is found once. Empty if there is none.
    pub(super) phone_number_id: Option<Span>,
    pub(crate) conversation: Option<Span>,
    /// In `Envelope::contacts`: the first, and the one behind the last.
    pub(super) contacts: (u32, u32),
}

/// Where a contact is, and what it is found by: of each the last that is there. Empty if none is: there may be many contacts.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContactAt {
    pub(super) raw: Span,
    user_id: Span,
    wa_id: Span,
}

impl ContactAt {
    pub(super) fn new(document: &Document, raw: Span) -> Self {
        let mut this = Self {
            raw,
            user_id: Span::default(),
            wa_id: Span::default(),
        };
        members(&mut document.cursor_at(raw), |key, cursor| {
            let slot = match key {
                b"user_id" => &mut this.user_id,
                b"wa_id" => &mut this.wa_id,
                _ => {
                    cursor.skip();
                    return;
                }
            };
            *slot = id(cursor).unwrap_or(*slot);
        });
        this
    }

    fn keys(self) -> impl Iterator<Item = Span> {
        let keys = [self.user_id, self.wa_id].into_iter();
        keys.filter(|key| !key.range().is_empty())
    }
}

/// A way to a contact.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContactKey {
    /// A WhatsApp id or a user id.
    key: Span,
    contact: Span,
    /// The first contact of the change.
    first: u32,
}

/// What is said of the participants of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GroupAround {
    pub(crate) group_id: Option<Span>,
    pub(crate) event: Option<Span>,
    pub(crate) timestamp: Option<Span>,
    pub(crate) request_id: Option<Span>,
    pub(crate) reason: Option<Span>,
    pub(crate) initiated_by: Option<Span>,
}

/// What is said of the messages of a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ThreadAround {
    pub(crate) id: Option<Span>,
    pub(crate) context: Option<Span>,
    pub(crate) chunk: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    pub(crate) raw: Span,
    pub(crate) kind: Kind,
    pub(super) place: Position,
}

/// Where an element is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// `NOWHERE` outside of changes.
    pub(super) change: u32,
    /// In a change, the group or thread; outside, the entry.
    pub(super) around: u32,
    /// From the end of the member before to the value: the key of the list is in there. Empty if there is no such list.
    pub(super) list: Span,
    pub(super) level: Level,
    /// It stands where a list could be, and is none.
    pub(super) instead: bool,
    /// Some of what it contains are events of their own. It comes before them.
    pub(super) has_parts: bool,
}

/// What an element stands in the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The body.
    Body,
    /// The value of a key of the body that is not known, or an element of it.
    BodyKey,
    /// An entry.
    Entry,
    /// The value of a key of an entry that is not known, or an element of it.
    EntryKey,
    /// A change.
    Change,
    /// The value of a key of a change that is not known, or an element of it.
    ChangeKey,
    /// The value of a change.
    Value,
    /// An element of a list in the value.
    List,
    /// An element of a list in `standby`.
    Standby,
    /// A participant of a group.
    Group,
    /// An element of a list in a chunk of history.
    Chunk,
    /// An element of a list in a thread.
    Thread,
}

impl Level {
    /// Whether keys that are not known, where there is nothing else, are one with the object that they stand in.
    pub(super) fn is_inside_value(self) -> bool {
        matches!(
            self,
            Self::List | Self::Standby | Self::Chunk | Self::Thread
        )
    }
}

const NOWHERE: u32 = u32::MAX;

impl Position {
    fn in_list(self, list: Span) -> Self {
        Self { list, ..self }
    }

    fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }
}

impl Envelope {
    /// Cuts a body into elements.
    pub(crate) fn new(document: Document) -> Self {
        Self::of_body(document, Span::default(), false)
    }

    /// Cuts a body that stands in a document. `keys_apart`: a key that is not known is an event of its own, even where there is
    /// nothing else.
    pub(super) fn of_body(document: Document, body: Span, keys_apart: bool) -> Self {
        let mut walk = Walk {
            document: &document,
            object: None,
            entries: Few::new(),
            changes: Few::new(),
            contacts: Vec::new(),
            groups: Vec::new(),
            threads: Vec::new(),
            elements: Vec::with_capacity(1),
            ended: false,
            keys_apart,
        };
        walk.body(body);
        let Walk {
            object,
            entries,
            changes,
            contacts,
            groups,
            threads,
            elements,
            ..
        } = walk;
        Self {
            document,
            object,
            entries,
            changes,
            contacts,
            directory: OnceLock::new(),
            groups,
            threads,
            elements,
        }
    }

    /// The contacts that an element without a type may mean: those that it names near its surface, or the only one there is. What
    /// is left of a list may mean all.
    pub(super) fn contacts_named_in(&self, element: &Element) -> Vec<Span> {
        let contacts = self.contacts_around(element);
        if contacts.len() <= 1 || element.kind == Kind::Unknown(Reason::Overflow) {
            return contacts.iter().map(|contact| contact.raw).collect();
        }
        let mut names = Vec::new();
        let mut cursor = self.document.cursor_at(element.raw);
        surface(&mut cursor, 2, &mut names);
        let mut found: Vec<_> = names
            .into_iter()
            .filter_map(|name| self.contact(element, name?))
            .collect();
        found.sort_by_key(|contact| contact.range().start);
        found.dedup();
        found
    }

    /// The other elements of the change, if there are only a few.
    pub(super) fn few_beside(&self, index: u32) -> Option<impl Iterator<Item = u32> + use<>> {
        let change = self.element(index).place.change;
        let is_beside = |element: &&Element| element.place.change == change;
        let (before, after) = self
            .elements
            .split_at(self.elements.len().min(index as usize));
        let before = before.iter().rev().take_while(is_beside);
        let after = after.iter().skip(1).take_while(is_beside);
        let before = position(before.take(FEW_BESIDE).count());
        let after = position(after.take(FEW_BESIDE).count());
        let is_few = ((before + after) as usize) < FEW_BESIDE;
        let range = index.saturating_sub(before)..=index.saturating_add(after);
        is_few.then(|| range.filter(move |other| *other != index))
    }

    /// Members of the value whose keys are not known and that go along with the element: small texts and numbers.
    pub(super) fn scalars_of_value(&self, element: &Element) -> Vec<Span> {
        let change = self.change(element);
        let cut = cut(&self.document, change.field);
        let is_known = |key: &[u8]| cut.is_some_and(|cut| cut.has(key));
        self.scalars(change.value, |key| {
            matches!(
                key,
                b"messaging_product" | b"metadata" | b"conversation_context" | b"contacts"
            ) || is_known(key)
        })
    }

    /// The same of the entry.
    pub(super) fn scalars_of_entry(&self, element: &Element) -> Vec<Span> {
        self.scalars(self.entry(element).raw, |key| {
            matches!(key, b"id" | b"time" | b"changes")
        })
    }

    fn scalars(&self, object: Option<Span>, is_known: impl Fn(&[u8]) -> bool) -> Vec<Span> {
        let mut found = Vec::new();
        let Some(object) = object else { return found };
        let mut cursor = self.document.cursor_at(object);
        if cursor.object().is_none() {
            return found;
        }
        loop {
            let before = cursor.mark();
            let Some(key) = cursor.key() else {
                return found;
            };
            if cursor.null() {
                continue;
            }
            let is_small = is_small_scalar(cursor);
            cursor.skip();
            if is_small && !is_known(key) && found.len() < MAX_UNKNOWN_KEYS {
                found.push(self.document.member(cursor.since_mark(before)));
            }
        }
    }

    /// Bytes that are allocated beside the body, with the directory of contacts that may be made later.
    pub(super) fn memory(&self) -> usize {
        fn of<T>(list: &Vec<T>) -> usize {
            list.capacity() * size_of::<T>()
        }
        let directory = 2 * self.contacts.len() * size_of::<ContactKey>();
        size_of::<Self>()
            + self.document.memory()
            + self.entries.memory()
            + self.changes.memory()
            + of(&self.contacts)
            + directory
            + of(&self.groups)
            + of(&self.threads)
            + of(&self.elements)
    }

    /// The element of an event, which exists.
    pub(crate) fn element(&self, index: u32) -> Element {
        self.elements
            .get(index as usize)
            .copied()
            .unwrap_or(Element {
                raw: Span::default(),
                kind: Kind::Unknown(Reason::Shape),
                place: Position {
                    change: NOWHERE,
                    around: NOWHERE,
                    list: Span::default(),
                    level: Level::Body,
                    instead: false,
                    has_parts: false,
                },
            })
    }

    pub(crate) fn change(&self, element: &Element) -> Change {
        self.changes
            .get(element.place.change as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn entry(&self, element: &Element) -> Entry {
        let entry = match element.place.change {
            NOWHERE => element.place.around,
            _ => self.change(element).entry,
        };
        self.entries
            .get(entry as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Whether the element is the value of a change.
    pub(super) fn is_value(&self, element: &Element) -> bool {
        element.place.level == Level::Value
    }

    /// Whether the element stands in a value.
    pub(super) fn is_in_value(&self, element: &Element) -> bool {
        element.place.level.is_inside_value() || element.place.level == Level::Group
    }

    /// Whether the element stands in an entry.
    pub(super) fn is_in_entry(&self, element: &Element) -> bool {
        !matches!(
            element.place.level,
            Level::Body | Level::BodyKey | Level::Entry
        )
    }

    /// The name of the list that the element is in.
    pub(crate) fn list(&self, element: &Element) -> Option<&str> {
        let list = Some(element.place.list).filter(|list| !list.range().is_empty())?;
        let key = self.document.cursor_at(list).key()?;
        std::str::from_utf8(key).ok()
    }

    pub(crate) fn group(&self, element: &Element) -> GroupAround {
        let group = self.groups.get(element.place.around as usize);
        group.copied().unwrap_or_default()
    }

    pub(crate) fn thread(&self, element: &Element) -> ThreadAround {
        let thread = self.threads.get(element.place.around as usize);
        thread.copied().unwrap_or_default()
    }

    /// The contact with this WhatsApp id or user id, among those that go with the element.
    pub(crate) fn contact(&self, element: &Element, key: &str) -> Option<Span> {
        let contacts = self.contacts_around(element);
        let key = without_plus(key);
        if contacts.len() <= FEW_CONTACTS {
            let is_meant = |contact: &&ContactAt| {
                let mut keys = contact.keys();
                keys.any(|other| self.contact_key(other) == Some(key))
            };
            return contacts.iter().find(is_meant).map(|contact| contact.raw);
        }
        let (first, _) = self.change(element).contacts;
        let directory = self.directory.get_or_init(|| self.directory());
        let way = |way: &ContactKey| (way.first, self.contact_key(way.key));
        // Of several the first, as among few contacts.
        let found = directory.partition_point(|other| way(other) < (first, Some(key)));
        let found = directory.get(found)?;
        (way(found) == (first, Some(key))).then_some(found.contact)
    }

    fn contact_key(&self, key: Span) -> Option<&str> {
        scalar(&self.document, key).map(without_plus)
    }

    pub(super) fn contacts_around(&self, element: &Element) -> &[ContactAt] {
        let (first, last) = self.change(element).contacts;
        let range = first as usize..last as usize;
        self.contacts.get(range).unwrap_or_default()
    }

    /// The ways to all contacts of changes that have many.
    fn directory(&self) -> Vec<ContactKey> {
        let mut directory = Vec::new();
        for change in self.changes.iter() {
            let (first, last) = change.contacts;
            let contacts = self.contacts.get(first as usize..last as usize);
            let contacts = contacts.unwrap_or_default();
            if contacts.len() <= FEW_CONTACTS {
                continue;
            }
            for contact in contacts {
                directory.extend(contact.keys().map(|key| ContactKey {
                    key,
                    contact: contact.raw,
                    first,
                }));
            }
        }
        // Of several with the same key the first of the body stays the first.
        directory.sort_unstable_by(|left, right| {
            let order = |way: &ContactKey| {
                let place = way.contact.range().start;
                (way.first, self.contact_key(way.key), place)
            };
            order(left).cmp(&order(right))
        });
        directory
    }
}

/// The walk over a body.
struct Walk<'a> {
    document: &'a Document,
    object: Option<Span>,
    entries: Few<Entry>,
    changes: Few<Change>,
    contacts: Vec<ContactAt>,
    groups: Vec<GroupAround>,
    threads: Vec<ThreadAround>,
    elements: Vec<Element>,
    /// What is left of the body is one element.
    ended: bool,
    keys_apart: bool,
}

const SHAPE: Kind = Kind::Unknown(Reason::Shape);
const LIST: Kind = Kind::Unknown(Reason::List);
const KEY: Kind = Kind::Unknown(Reason::Key);

/// What the place of a member's value is made of, where it is asked for: most values are in no list.
struct Outside {
    /// That of the object.
    place: Position,
    /// Before the key.
    before: Mark,
}

impl Outside {
    /// The place of the value that the cursor is before, or of the elements of a list.
    fn place_of(&self, cursor: &Cursor<'_>) -> Position {
        self.place.in_list(cursor.since_mark(self.before))
    }
}

/// Members whose keys are not known, each with its place and before its value.
#[derive(Default)]
struct UnknownKeys<'a> {
    members: Vec<(Position, Cursor<'a>)>,
    /// There are more than are kept.
    has_more: bool,
}

impl<'a> UnknownKeys<'a> {
    fn push(&mut self, place: Position, cursor: Cursor<'a>) {
        if self.members.len() < MAX_UNKNOWN_KEYS {
            self.members.push((place, cursor));
        } else {
            self.has_more = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<'a> Walk<'a> {
    fn body(&mut self, body: Span) {
        let nowhere = Position {
            change: NOWHERE,
            around: NOWHERE,
            list: Span::default(),
            level: Level::Body,
            instead: false,
            has_parts: false,
        };
        let mut cursor = self.document.cursor_at(body);
        let start = cursor;
        let mut entered = false;
        let unknown = self.members(&mut cursor, nowhere, |this, key, cursor, _| {
            match key {
                b"object" => present(&mut this.object, cursor),
                b"entry" => {
                    entered = true;
                    this.each(cursor, nowhere.at(Level::Entry), Self::entry);
                }
                // Ours, in the form for queues.
                _ if matches!(key, MARK | PART) => {
                    cursor.skip();
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.since(start);
        match unknown {
            None => self.push(SHAPE, whole, nowhere),
            // A change without its envelope, for example: the dashboard shows such.
            Some(unknown) if !entered && !unknown.is_empty() => self.push(SHAPE, whole, nowhere),
            Some(unknown) => self.beside(unknown, Level::BodyKey, 0, whole, nowhere),
        }
        if let Some(object) = self.object
            && self.document.cursor_at(object).string_bytes() != Some(b"whatsapp_business_account")
        {
            self.untype(0, Reason::Object);
        }
    }

    fn entry(&mut self, cursor: &mut Cursor<'a>, nowhere: Position) {
        let start = *cursor;
        let place = Position {
            around: position(self.entries.len()),
            ..nowhere
        };
        let elements = self.elements.len();
        let mut entry = Entry::default();
        let mut changed = false;
        self.entries.push(entry);
        let unknown = self.members(cursor, place, |this, key, cursor, _| {
            match key {
                b"id" => present(&mut entry.id, cursor),
                b"time" => present(&mut entry.time, cursor),
                b"changes" => {
                    changed |= cursor.peek() == Some(b'[');
                    this.each(cursor, place.at(Level::Change), Self::change);
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.since(start);
        entry.raw = Some(whole);
        if self.elements.len() == elements && !changed {
            self.push(SHAPE, whole, place);
        } else if let Some(unknown) = unknown {
            self.beside(unknown, Level::EntryKey, elements, whole, place);
        }
        // What has no elements is not kept: then there is never more of anything than there are elements.
        if self.elements.len() == elements {
            self.entries.pop();
        } else if let Some(slot) = self.entries.get_mut(place.around as usize) {
            *slot = entry;
        }
    }

    fn change(&mut self, cursor: &mut Cursor<'a>, outside: Position) {
        let start = *cursor;
        let place = Position {
            change: position(self.changes.len()),
            around: NOWHERE,
            ..outside
        };
        let elements = self.elements.len();
        let contacts = self.contacts.len();
        let mut change = Change {
            entry: outside.around,
            ..Change::default()
        };
        self.changes.push(change);
        // Most often the name of the field stands behind its value, which says nothing without it.
        let (mut first, mut values) = (None, 0);
        let mut again = *cursor;
        let unknown = self.members(cursor, place, |_, key, cursor, _| {
            match key {
                b"field" => present(&mut change.field, cursor),
                b"value" if cursor.null() => {}
                b"value" => {
                    first.get_or_insert(*cursor);
                    values += 1;
                    cursor.skip();
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.since(start);
        match unknown {
            Some(unknown) if values > 0 => {
                self.beside(unknown, Level::ChangeKey, elements, whole, place);
            }
            _ => {}
        }
        let cut = cut(self.document, change.field);
        let inside = place.at(Level::Value);
        match (first, values) {
            (Some(mut value), 1) => self.value(&mut value, cut, inside, &mut change),
            _ => members(&mut again, |key, cursor| match key {
                b"value" if !cursor.null() => self.value(cursor, cut, inside, &mut change),
                b"value" => {}
                _ => {
                    cursor.skip();
                }
            }),
        }
        if change.value.is_none() {
            self.push(SHAPE, whole, place);
        }
        if self.elements.len() == elements {
            self.changes.pop();
            self.contacts.truncate(contacts);
            return;
        }
        change.contacts = (position(contacts), position(self.contacts.len()));
        if self.elements.len() - elements > FEW_EVENTS {
            change.phone_number_id = Some(phone_number_id(self.document, change.metadata));
        }
        if let Some(slot) = self.changes.get_mut(place.change as usize) {
            *slot = change;
        }
    }

    fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        cut: Option<Layout>,
        place: Position,
        change: &mut Change,
    ) {
        let start = *cursor;
        let (elements, contacts) = (self.elements.len(), self.contacts.len());
        // A change may have several values.
        let conversation = change.conversation;
        let is_object = cursor.peek() == Some(b'{');
        let lists = match cut {
            Some(Layout::Whole(kind)) => {
                cursor.skip();
                let value = cursor.since(start);
                change.value = Some(value);
                self.push(if is_object { kind } else { SHAPE }, value, place);
                return;
            }
            // In a field that nobody knows, elements that look like messages may mean something else: they come one by one, and without
            // a type.
            None if !looks_like_messages(*cursor) => {
                cursor.skip();
                let value = cursor.since(start);
                change.value = Some(value);
                self.push(Kind::Unknown(Reason::Field), value, place);
                return;
            }
            None => Layout::Lists(&[]),
            Some(lists) => lists,
        };
        let unknown = self.members(cursor, place, |this, key, cursor, outside| {
            match key {
                b"metadata" => {
                    present(&mut change.metadata, cursor);
                }
                b"conversation_context" => present(&mut change.conversation, cursor),
                b"messaging_product" => {
                    cursor.skip();
                }
                _ => {
                    let list = outside.place_of(cursor).at(Level::List);
                    return this.member(lists, key, cursor, list);
                }
            }
            true
        });
        let value = cursor.since(start);
        change.value = Some(value);
        match unknown {
            Some(unknown) if self.elements.len() > elements || self.keys_apart => {
                self.beside(unknown, Level::List, elements, value, place);
            }
            // Contacts or the context of a conversation may be all that it says.
            Some(unknown)
                if unknown.is_empty()
                    && self.contacts.len() == contacts
                    && change.conversation == conversation => {}
            _ => self.push(SHAPE, value, place),
        }
        if cut.is_none() {
            self.untype(elements, Reason::Field);
        }
    }

    /// Takes a member of a value, and tells whether it has a meaning there. Lists are taken all the same: Meta adds some.
    fn member(&mut self, cut: Layout, key: &[u8], cursor: &mut Cursor<'a>, list: Position) -> bool {
        match (cut, key) {
            (Layout::Lists(lists), _) => match lists.iter().find(|(name, _)| *name == key) {
                Some((_, kind)) => self.list(cursor, *kind, list),
                None => return self.other(key, cursor, list),
            },
            (Layout::Groups, b"groups") => self.each(cursor, list, Self::group),
            (Layout::History, b"history") => self.each(cursor, list, Self::chunk),
            // What the placeholders of an earlier chunk stand for.
            (Layout::History, b"messages" | b"message_echoes") => {
                self.list(cursor, Kind::HistoryMessage, list);
            }
            (Layout::Groups | Layout::History, b"errors") => self.list(cursor, Kind::Error, list),
            (Layout::Standby, b"standby") => return self.standby(cursor, list),
            _ => return self.other(key, cursor, list),
        }
        true
    }

    fn standby(&mut self, cursor: &mut Cursor<'a>, place: Position) -> bool {
        let start = *cursor;
        let elements = self.elements.len();
        let unknown = self.members(
            cursor,
            place.at(Level::Standby),
            |this, key, cursor, outside| {
                let list = outside.place_of(cursor);
                match key {
                    b"messages" => this.list(cursor, Kind::StandbyMessage, list),
                    b"statuses" => this.list(cursor, Kind::StandbyStatus, list),
                    b"message_echoes" => this.list(cursor, Kind::StandbyEcho, list),
                    _ => return this.other(key, cursor, list),
                }
                true
            },
        );
        match unknown {
            None => {
                *cursor = start;
                if cursor.peek() == Some(b'[') {
                    self.list(cursor, LIST, place);
                    return true;
                }
                return cursor.null();
            }
            Some(unknown) => {
                let place = Position {
                    instead: true,
                    ..place
                };
                self.beside(
                    unknown,
                    Level::Standby,
                    elements,
                    cursor.since(start),
                    place,
                );
            }
        }
        true
    }

    /// The participants of a group, and the group itself unless they carry all that is said of it.
    fn group(&mut self, cursor: &mut Cursor<'a>, place: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let around = Position {
            around: position(self.groups.len()),
            ..place.at(Level::Group)
        };
        let mut group = GroupAround::default();
        self.groups.push(group);
        let unknown = self.members(cursor, around, |this, key, cursor, outside| {
            let list = outside.place_of(cursor);
            match key {
                b"added_participants" | b"removed_participants" | b"failed_participants" => {
                    this.list(cursor, Kind::GroupParticipant, list);
                }
                b"group_id" => present(&mut group.group_id, cursor),
                b"type" => present(&mut group.event, cursor),
                b"timestamp" => present(&mut group.timestamp, cursor),
                b"request_id" => present(&mut group.request_id, cursor),
                b"reason" => present(&mut group.reason, cursor),
                b"initiated_by" => present(&mut group.initiated_by, cursor),
                _ => return false,
            }
            true
        });
        let whole = cursor.since(start);
        if self.elements.len() == elements {
            self.groups.pop();
            let kind = unknown.map_or(SHAPE, |_| Kind::Group);
            self.push(kind, whole, place);
            return;
        }
        if let Some(slot) = self.groups.get_mut(around.around as usize) {
            *slot = group;
        }
        if unknown.is_some_and(|unknown| !unknown.is_empty()) {
            self.insert(elements, Kind::Group, whole, place);
        }
    }

    fn chunk(&mut self, cursor: &mut Cursor<'a>, place: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let threads = self.threads.len();
        let mut chunk = None;
        let unknown = self.members(
            cursor,
            place.at(Level::Chunk),
            |this, key, cursor, outside| {
                let list = outside.place_of(cursor);
                match key {
                    b"metadata" => present(&mut chunk, cursor),
                    b"threads" => this.each(cursor, list, Self::thread),
                    b"errors" => this.list(cursor, Kind::Error, list),
                    _ => return this.other(key, cursor, list),
                }
                true
            },
        );
        for thread in self.threads.iter_mut().skip(threads) {
            thread.chunk = chunk;
        }
        let whole = cursor.since(start);
        let Some(unknown) = unknown else {
            self.push(SHAPE, whole, place);
            return;
        };
        if self.elements.len() == elements && !self.keys_apart {
            self.push(Kind::HistoryProgress, whole, place);
            return;
        }
        self.beside(unknown, Level::Chunk, elements, whole, place);
        let is_in_thread = |element: &Element| element.place.level == Level::Thread;
        // What is in a thread carries it.
        if chunk.is_some() && !self.elements.iter().skip(elements).any(is_in_thread) {
            self.insert(elements, Kind::HistoryProgress, whole, place);
        }
    }

    fn thread(&mut self, cursor: &mut Cursor<'a>, place: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let around = Position {
            around: position(self.threads.len()),
            ..place.at(Level::Thread)
        };
        let mut thread = ThreadAround::default();
        self.threads.push(thread);
        let unknown = self.members(cursor, around, |this, key, cursor, outside| {
            let list = outside.place_of(cursor);
            match key {
                b"id" => present(&mut thread.id, cursor),
                b"context" => present(&mut thread.context, cursor),
                b"messages" => this.list(cursor, Kind::HistoryMessage, list),
                _ => return this.other(key, cursor, list),
            }
            true
        });
        let whole = cursor.since(start);
        if self.elements.len() == elements && !self.keys_apart {
            self.threads.pop();
            self.push(SHAPE, whole, place);
            return;
        }
        if let Some(slot) = self.threads.get_mut(around.around as usize) {
            *slot = thread;
        }
        if let Some(unknown) = unknown {
            let inside = Position {
                around: around.around,
                ..place
            };
            self.beside(unknown, Level::Thread, elements, whole, inside);
        }
    }

    /// Walks over the members of an object. `member` gets each with the place that the elements of a list have in it,
    /// and passes over the value if it knows the key. Returns the other members that are not `null`; `None` if it is no object.
    fn members(
        &mut self,
        cursor: &mut Cursor<'a>,
        place: Position,
        mut member: impl FnMut(&mut Self, &[u8], &mut Cursor<'a>, &Outside) -> bool,
    ) -> Option<UnknownKeys<'a>> {
        cursor.object()?;
        let mut unknown = UnknownKeys::default();
        loop {
            let outside = Outside {
                place,
                before: cursor.mark(),
            };
            let Some(key) = cursor.key() else {
                return Some(unknown);
            };
            if !member(self, key, cursor, &outside) && !cursor.null() {
                unknown.push(outside.place_of(cursor), *cursor);
                cursor.skip();
            }
        }
    }

    /// Takes a member of a value or of something in it whose key has no meaning there, if it is a list.
    fn other(&mut self, key: &[u8], cursor: &mut Cursor<'a>, list: Position) -> bool {
        match (key, cursor.peek()) {
            (b"contacts", Some(b'[')) => self.contacts(cursor),
            (b"messaging_product", _) => {
                cursor.skip();
            }
            (_, Some(b'[')) => self.list(cursor, LIST, list),
            _ => return false,
        }
        true
    }

    /// Makes events of members whose keys are not known, or one of the whole object that they stand in. `elements`: how many
    /// there were before the object. `place`: that of the object.
    fn beside(
        &mut self,
        unknown: UnknownKeys<'a>,
        level: Level,
        elements: usize,
        whole: Span,
        place: Position,
    ) {
        if unknown.has_more {
            self.insert(elements, SHAPE, whole, place);
            return;
        }
        // A small text or number goes along with each event that there is: Meta adds such keys to every delivery.
        let goes_along = match level {
            Level::List => self.elements.len() > elements || self.keys_apart,
            Level::EntryKey => self.elements.len() > elements,
            _ => false,
        };
        for (member, mut cursor) in unknown.members {
            let member = member.at(level);
            if goes_along && is_small_scalar(cursor) {
                continue;
            }
            if cursor.peek() == Some(b'[') {
                self.list(&mut cursor, LIST, member);
            } else {
                let instead = Position {
                    instead: true,
                    ..member
                };
                self.push(KEY, cursor.skip(), instead);
            }
        }
    }

    /// Takes the elements of a list.
    fn list(&mut self, cursor: &mut Cursor<'a>, kind: Kind, place: Position) {
        self.each(cursor, place, |this, cursor, place| {
            let kind = match cursor.peek() {
                Some(b'{') => kind,
                _ => SHAPE,
            };
            let raw = cursor.skip();
            this.push(kind, raw, place);
        });
    }

    /// Walks over the elements of a list, as far as there is room for more.
    fn each(
        &mut self,
        cursor: &mut Cursor<'a>,
        place: Position,
        walk: impl Fn(&mut Self, &mut Cursor<'a>, Position),
    ) {
        if cursor.null() {
            return;
        }
        let start = *cursor;
        if cursor.array().is_none() {
            let place = Position {
                instead: true,
                ..place
            };
            self.push(SHAPE, cursor.since(start), place);
            return;
        }
        while cursor.element() {
            if self.ended {
                cursor.end();
                return;
            }
            if self.elements.len() >= MAX_ELEMENTS {
                self.overflow(cursor, place);
                return;
            }
            walk(self, cursor, place);
        }
    }

    fn contacts(&mut self, cursor: &mut Cursor<'a>) {
        if cursor.array().is_none() {
            return;
        }
        while cursor.element() {
            let contact = cursor.skip();
            if self.contacts.len() < MAX_CONTACTS {
                self.contacts.push(ContactAt::new(self.document, contact));
            }
        }
    }

    /// Beyond the most elements, takes what is left of a list as one; beyond the most of those, what is left of the body.
    fn overflow(&mut self, cursor: &mut Cursor<'a>, place: Position) {
        let start = *cursor;
        let raw = if self.elements.len() >= MAX_ELEMENTS + MAX_RESTS {
            cursor.end();
            self.ended = true;
            cursor.since(start)
        } else {
            let mut raw = cursor.skip();
            while cursor.element() {
                raw = raw.until(cursor.skip());
            }
            raw
        };
        self.push(Kind::Unknown(Reason::Overflow), raw, place);
    }

    fn push(&mut self, kind: Kind, raw: Span, place: Position) {
        self.elements.push(Element { raw, kind, place });
    }

    /// Puts an element before those that stand in it.
    fn insert(&mut self, index: usize, kind: Kind, raw: Span, place: Position) {
        let place = Position {
            has_parts: true,
            ..place
        };
        let index = index.min(self.elements.len());
        self.elements.insert(index, Element { raw, kind, place });
    }

    fn untype(&mut self, first: usize, reason: Reason) {
        for element in self.elements.iter_mut().skip(first) {
            if element.kind != Kind::Unknown(Reason::Overflow) {
                element.kind = Kind::Unknown(reason);
            }
        }
    }
}

/// The texts and numbers in an object and in those that it contains.
fn surface<'a>(cursor: &mut Cursor<'a>, depth: usize, names: &mut Vec<Option<&'a str>>) {
    if cursor.object().is_none() {
        return;
    }
    while cursor.key().is_some() {
        match cursor.peek() {
            Some(b'{') if depth > 1 => surface(cursor, depth - 1, names),
            _ => names.extend(cursor.scalar().map(Some)),
        }
    }
}

/// How the value of a change is cut whose field this is; `None` for one that nobody knows.
pub(super) fn cut(document: &Document, field: Option<Span>) -> Option<Layout> {
    match field {
        None => Some(UNNAMED),
        Some(name) => document.cursor_at(name).string_bytes().and_then(field::cut),
    }
}

/// Walks over the members of an object; `member` passes over each value. Anything else is skipped.
fn members<'a>(cursor: &mut Cursor<'a>, mut member: impl FnMut(&'a [u8], &mut Cursor<'a>)) {
    if cursor.object().is_none() {
        return;
    }
    while let Some(key) = cursor.key() {
        member(key, cursor);
    }
}

/// Whether a value has a list of messages or statuses.
fn looks_like_messages(mut value: Cursor<'_>) -> bool {
    let mut found = false;
    members(&mut value, |key, cursor| {
        let is_list = cursor.peek() == Some(b'[');
        found |= is_list && matches!(key, b"messages" | b"statuses");
        cursor.skip();
    });
    found
}

/// Where the phone number's id stands in the metadata of a value. Empty if there is none.
pub(super) fn phone_number_id(document: &Document, metadata: Option<Span>) -> Span {
    let mut found = Span::default();
    if let Some(metadata) = metadata {
        members(&mut document.cursor_at(metadata), |key, cursor| match key {
            b"phone_number_id" => found = id(cursor).unwrap_or(found),
            _ => {
                cursor.skip();
            }
        });
    }
    found
}

/// Passes over a value. An id is text or a number, and the empty string is absence.
fn id(cursor: &mut Cursor<'_>) -> Option<Span> {
    let is_scalar = matches!(cursor.peek(), Some(b'"' | b'-' | b'0'..=b'9'));
    let mut id = None;
    present(&mut id, cursor);
    id.filter(|_| is_scalar)
}

/// Keeps a value that is there: neither `null` nor the empty string.
fn present(slot: &mut Option<Span>, cursor: &mut Cursor<'_>) {
    const EMPTY: usize = "\"\"".len();
    if cursor.null() {
        return;
    }
    let string = cursor.peek() == Some(b'"');
    let value = cursor.skip();
    if !(string && value.range().len() == EMPTY) {
        *slot = Some(value);
    }
}

/// Whether the next value is a short text or number, or a boolean.
fn is_small_scalar(mut cursor: Cursor<'_>) -> bool {
    let is_container = matches!(cursor.peek(), Some(b'{' | b'['));
    !is_container && cursor.skip().range().len() <= MAX_SCALAR
}

pub(super) fn scalar(document: &Document, span: Span) -> Option<&str> {
    document.cursor_at(span).scalar()
}

/// There are fewer of anything than there are bytes in the body.
pub(super) fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
