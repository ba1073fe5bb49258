use std::sync::{OnceLock, atomic::AtomicBool};

use super::one_or_many::OneOrMany;
use crate::event::{
    json::{Document, Span},
    payload::{Kind, Reason},
};

/// A delivery, split into elements. All parts are spans of the document.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) document: Document,
    pub(crate) object: Option<Span>,
    // Most deliveries have one entry and one change.
    pub(crate) entries: OneOrMany<Entry>,
    pub(crate) changes: OneOrMany<Change>,
    pub(crate) contacts: Vec<ContactSpans>,
    /// Index of the contacts of changes that have many of them. Built on first use.
    pub(crate) contact_index: OnceLock<Vec<ContactIndexEntry>>,
    pub(crate) groups: Vec<GroupSpans>,
    pub(crate) threads: Vec<ThreadSpans>,
    pub(crate) elements: Vec<Element>,
    /// Whether the host has read the delivery.
    pub(crate) is_read: AtomicBool,
}

/// Spans of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) raw: Option<Span>,
    pub(crate) id: Option<Span>,
    pub(crate) time: Option<Span>,
}

/// Spans of a change and its value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    /// Index of the entry in [`Envelope::entries`].
    pub(crate) entry: u32,
    pub(crate) field: Option<Span>,
    pub(crate) value: Option<Span>,
    pub(crate) metadata: Option<Span>,
    /// Phone number id in the metadata, empty if there is none. Every event key contains it, so it
    /// is cached for a change with many events. `None` if it is not cached.
    pub(crate) phone_number_id: Option<Span>,
    pub(crate) conversation: Option<Span>,
    /// Range of the contacts in [`Envelope::contacts`]: start and end.
    pub(crate) contacts: (u32, u32),
}

/// Spans of a contact and its ids. Of equal keys the last one counts.
///
/// An absent id is an empty span instead of `None`: there may be many contacts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContactSpans {
    pub(crate) raw: Span,
    pub(super) user_id: Span,
    pub(super) wa_id: Span,
}

/// An entry of the contact index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContactIndexEntry {
    /// Span of a WhatsApp id or a user id.
    pub(super) key: Span,
    pub(super) contact: Span,
    /// Index of the first contact of the change, which identifies the change.
    pub(super) first: u32,
}

/// Spans of the members of a group that apply to all participants in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GroupSpans {
    pub(crate) group_id: Option<Span>,
    /// What happened (`type`).
    pub(crate) event: Option<Span>,
    pub(crate) timestamp: Option<Span>,
    pub(crate) request_id: Option<Span>,
    pub(crate) reason: Option<Span>,
    pub(crate) initiated_by: Option<Span>,
}

/// Spans of the members of a history thread that apply to all messages in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ThreadSpans {
    pub(crate) id: Option<Span>,
    pub(crate) context: Option<Span>,
    /// Metadata of the history chunk that contains the thread.
    pub(crate) chunk: Option<Span>,
}

/// One element of a delivery. It becomes an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    pub(crate) raw: Span,
    pub(crate) kind: Kind,
    pub(crate) position: Position,
}

/// The position of an element in the envelope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// Index of the change; [`NO_INDEX`] outside of changes.
    pub(crate) change: u32,
    /// In a change, index of the group or thread. Outside of changes, index of the entry.
    pub(crate) parent: u32,
    /// Span that contains the key of the list: from the end of the previous member to the value.
    /// Empty outside of lists.
    pub(crate) list_key: Span,
    pub(crate) level: Level,
    /// Whether the element is the whole value of a key, in the place of a list.
    pub(crate) replaces_list: bool,
    /// Whether some parts of the element are elements too. They come after it.
    pub(crate) has_inner_events: bool,
}

/// The level of the envelope at which an element was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The whole body.
    Body,
    /// The value of an unknown key of the body, or an element of that value.
    BodyKey,
    /// An element of `entry`.
    Entry,
    /// The value of an unknown key of an entry, or an element of that value.
    EntryKey,
    /// An element of `changes`.
    Change,
    /// The value of an unknown key of a change, or an element of that value.
    ChangeKey,
    /// The value of a change.
    Value,
    /// An element of a list in the value of a change.
    List,
    /// An element of a list in `standby`.
    Standby,
    /// A participant of a group.
    Group,
    /// An element of a list in a history chunk.
    Chunk,
    /// An element of a list in a history thread.
    Thread,
}

impl Level {
    /// Whether an object at this level that has unknown keys only is one element as a whole.
    pub(crate) fn is_inside_value(self) -> bool {
        matches!(
            self,
            Self::List | Self::Standby | Self::Chunk | Self::Thread
        )
    }
}

/// Stands for the index of a change or parent that does not exist.
pub(super) const NO_INDEX: u32 = u32::MAX;

impl Position {
    /// Index of the change that contains the element.
    pub(crate) fn change(self) -> Option<u32> {
        (self.change != NO_INDEX).then_some(self.change)
    }

    #[inline]
    pub(super) fn with_list_key(self, list_key: Span) -> Self {
        Self { list_key, ..self }
    }

    #[inline]
    pub(super) fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }
}

impl Envelope {
    /// Heap memory in use in addition to the body, bytes, and the contact index that may be built
    /// later.
    pub(crate) fn memory(&self) -> usize {
        fn of<T>(list: &Vec<T>) -> usize {
            list.capacity() * size_of::<T>()
        }
        let contact_index = 2 * self.contacts.len() * size_of::<ContactIndexEntry>();
        size_of::<Self>()
            + self.document.memory()
            + self.entries.memory()
            + self.changes.memory()
            + of(&self.contacts)
            + contact_index
            + of(&self.groups)
            + of(&self.threads)
            + of(&self.elements)
    }

    /// Returns the element of an event, whose index is valid.
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

    /// Returns the change that contains the element.
    pub(crate) fn change(&self, element: &Element) -> Change {
        self.changes
            .get(element.position.change as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Returns the entry that contains the element.
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

    /// Whether the element is inside the value of a change.
    pub(crate) fn is_in_value(&self, element: &Element) -> bool {
        element.position.level.is_inside_value() || element.position.level == Level::Group
    }

    /// Whether the element is inside an entry.
    pub(crate) fn is_in_entry(&self, element: &Element) -> bool {
        !matches!(
            element.position.level,
            Level::Body | Level::BodyKey | Level::Entry
        )
    }

    /// Returns the key of the list that contains the element.
    pub(crate) fn list(&self, element: &Element) -> Option<&str> {
        let list = Some(element.position.list_key).filter(|list| !list.range().is_empty())?;
        let key = self.document.cursor_at(list).next_key()?;
        std::str::from_utf8(key).ok()
    }

    /// Returns the group that contains the element.
    pub(crate) fn group(&self, element: &Element) -> GroupSpans {
        let group = self.groups.get(element.position.parent as usize);
        group.copied().unwrap_or_default()
    }

    /// Returns the history thread that contains the element.
    pub(crate) fn thread(&self, element: &Element) -> ThreadSpans {
        let thread = self.threads.get(element.position.parent as usize);
        thread.copied().unwrap_or_default()
    }
}
