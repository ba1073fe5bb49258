use std::sync::OnceLock;

use super::{
    contacts::{ContactIndexEntry, ContactSpans},
    one_or_many::OneOrMany,
};
use crate::event::{
    json::{Document, Span},
    payload::{Kind, Reason},
};

/// A body, cut into elements.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) document: Document,
    pub(crate) object: Option<Span>,
    // Most deliveries have one of each.
    pub(crate) entries: OneOrMany<Entry>,
    pub(crate) changes: OneOrMany<Change>,
    pub(crate) contacts: Vec<ContactSpans>,
    /// The ways to the contacts, where a change has many of them: made when somebody asks.
    pub(crate) contact_index: OnceLock<Vec<ContactIndexEntry>>,
    pub(crate) groups: Vec<GroupSpans>,
    pub(crate) threads: Vec<ThreadSpans>,
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
    pub(crate) entry: u32,
    pub(crate) field: Option<Span>,
    pub(crate) value: Option<Span>,
    pub(crate) metadata: Option<Span>,
    /// In the metadata: every event key has it, so among many events it is found once. Empty if there is none.
    pub(crate) phone_number_id: Option<Span>,
    pub(crate) conversation: Option<Span>,
    /// In `Envelope::contacts`: the first, and the one behind the last.
    pub(crate) contacts: (u32, u32),
}

/// What is said of the participants of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GroupSpans {
    pub(crate) group_id: Option<Span>,
    pub(crate) event: Option<Span>,
    pub(crate) timestamp: Option<Span>,
    pub(crate) request_id: Option<Span>,
    pub(crate) reason: Option<Span>,
    pub(crate) initiated_by: Option<Span>,
}

/// What is said of the messages of a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ThreadSpans {
    pub(crate) id: Option<Span>,
    pub(crate) context: Option<Span>,
    pub(crate) chunk: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    pub(crate) raw: Span,
    pub(crate) kind: Kind,
    pub(crate) position: Position,
}

/// Where an element is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// `NO_INDEX` outside of changes.
    pub(crate) change: u32,
    /// In a change, the group or thread; outside, the entry.
    pub(crate) parent: u32,
    /// From the end of the member before to the value: the key of the list is in there. Empty if there is no such list.
    pub(crate) list_key: Span,
    pub(crate) level: Level,
    /// It stands where a list could be, and is none.
    pub(crate) replaces_list: bool,
    /// Some of what it contains are events of their own. It comes before them.
    pub(crate) has_inner_events: bool,
}

/// What an element stands in the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
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
    pub(crate) fn is_inside_value(self) -> bool {
        matches!(
            self,
            Self::List | Self::Standby | Self::Chunk | Self::Thread
        )
    }
}

pub(super) const NO_INDEX: u32 = u32::MAX;

impl Position {
    pub(super) fn with_list_key(self, list_key: Span) -> Self {
        Self { list_key, ..self }
    }

    pub(super) fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }
}

impl Envelope {
    /// Bytes that are allocated beside the body, with the directory of contacts that may be made later.
    pub(crate) fn memory(&self) -> usize {
        fn of<T>(list: &Vec<T>) -> usize {
            list.capacity() * size_of::<T>()
        }
        let directory = 2 * self.contacts.len() * size_of::<ContactIndexEntry>();
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
                position: Position {
                    change: NO_INDEX,
                    parent: NO_INDEX,
                    list_key: Span::default(),
                    level: Level::Body,
                    replaces_list: false,
                    has_inner_events: false,
                },
            })
    }

    pub(crate) fn change(&self, element: &Element) -> Change {
        self.changes
            .get(element.position.change as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn entry(&self, element: &Element) -> Entry {
        let entry = match element.position.change {
            NO_INDEX => element.position.parent,
            _ => self.change(element).entry,
        };
        self.entries
            .get(entry as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Whether the element is the value of a change.
    pub(crate) fn is_value(&self, element: &Element) -> bool {
        element.position.level == Level::Value
    }

    /// Whether the element stands in a value.
    pub(crate) fn is_in_value(&self, element: &Element) -> bool {
        element.position.level.is_inside_value() || element.position.level == Level::Group
    }

    /// Whether the element stands in an entry.
    pub(crate) fn is_in_entry(&self, element: &Element) -> bool {
        !matches!(
            element.position.level,
            Level::Body | Level::BodyKey | Level::Entry
        )
    }

    /// The name of the list that the element is in.
    pub(crate) fn list(&self, element: &Element) -> Option<&str> {
        let list = Some(element.position.list_key).filter(|list| !list.range().is_empty())?;
        let key = self.document.cursor_at(list).next_key()?;
        std::str::from_utf8(key).ok()
    }

    pub(crate) fn group(&self, element: &Element) -> GroupSpans {
        let group = self.groups.get(element.position.parent as usize);
        group.copied().unwrap_or_default()
    }

    pub(crate) fn thread(&self, element: &Element) -> ThreadSpans {
        let thread = self.threads.get(element.position.parent as usize);
        thread.copied().unwrap_or_default()
    }
}
