//! Writes the queue format.

use std::sync::{OnceLock, atomic::AtomicBool};

use bytes::Bytes;

use super::format::{MAX_QUEUED_DEPTH, SELECT_FIRST, SELECT_KEY, VERSION};
use crate::event::{
    envelope::{
        Change, ContactSpans, Element, Entry, Envelope, GroupSpans, Level, OneOrMany, Position,
        QUEUE_SELECT_KEY, QUEUE_VERSION_KEY, ThreadSpans, layout_of,
    },
    json::{Document, Span, saturating_u32},
    payload::{Kind, Reason},
};

/// Initial capacity for the parts of the envelope that belong to an element, bytes. They usually
/// take less.
const CONTEXT_CAPACITY: usize = 512;

/// Kind of the remainder of a delivery with too many events.
const OVERFLOW: Kind = Kind::Unknown(Reason::Overflow);

/// Writes one element, and the parts of the envelope that belong to it, in the queue format.
pub(in crate::event) struct QueueWriter<'a> {
    source: &'a Envelope,
    element: Element,
    /// Whether the element is the remainder of a body, which closes all open brackets itself.
    is_remainder: bool,
    /// The contacts that belong to the element, in the source.
    related: Vec<Span>,
    out: Vec<u8>,
    // Positions in the written bytes.
    object: Option<Span>,
    entry: Entry,
    change: Change,
    contacts: Vec<Span>,
    group: GroupSpans,
    thread: ThreadSpans,
    raw: Span,
    list: Span,
}

impl<'a> QueueWriter<'a> {
    /// `related`: the contacts that belong to the element.
    pub(in crate::event) fn new(
        source: &'a Envelope,
        element: &Element,
        related: Vec<Span>,
    ) -> Self {
        let body = source.document.body();
        let raw = element.raw.range();
        let mut writer = Self {
            source,
            element: *element,
            is_remainder: element.kind == OVERFLOW && raw.end == body.len(),
            related,
            out: Vec::with_capacity(raw.len() + CONTEXT_CAPACITY),
            object: None,
            entry: Entry::default(),
            change: Change::default(),
            contacts: Vec::new(),
            group: GroupSpans::default(),
            thread: ThreadSpans::default(),
            raw: Span::default(),
            list: Span::default(),
        };
        writer.write_body();
        writer.locate_inside();
        writer
    }

    pub(in crate::event) fn into_bytes(self) -> Bytes {
        self.out.into()
    }

    /// Returns an envelope with only this element. `None` if the bytes are too long for one.
    pub(in crate::event) fn into_envelope(mut self) -> Option<Envelope> {
        self.out.shrink_to_fit();
        let document = Document::with_max_depth(self.out.into(), MAX_QUEUED_DEPTH)
            .ok()?
            .without_extents();
        self.change.contacts = (0, saturating_u32(self.contacts.len()));
        let level = self.element.position.level;
        let element = Element {
            raw: self.raw,
            position: Position {
                change: 0,
                parent: 0,
                list_key: self.list,
                ..self.element.position
            },
            ..self.element
        };
        let contacts = self.contacts.iter();
        let contacts = contacts
            .map(|contact| ContactSpans::new(&document, *contact))
            .collect();
        Some(Envelope {
            document,
            object: self.object,
            entries: OneOrMany::one(self.entry),
            changes: OneOrMany::one(self.change),
            contacts,
            contact_index: OnceLock::new(),
            groups: (level == Level::Group)
                .then_some(self.group)
                .into_iter()
                .collect(),
            threads: (level == Level::Thread)
                .then_some(self.thread)
                .into_iter()
                .collect(),
            elements: vec![element],
            is_read: AtomicBool::new(false),
        })
    }

    fn write_body(&mut self) {
        self.open("{");
        self.push_key(QUEUE_VERSION_KEY);
        self.push_str(VERSION);
        self.push_str(",");
        let part = match self.element.position {
            place if place.has_inner_events => Some(SELECT_FIRST),
            Position {
                level: Level::ChangeKey | Level::EntryKey,
                ..
            } => Some(SELECT_FIRST),
            place if place.replaces_list && place.level.is_inside_value() => Some(SELECT_KEY),
            _ => None,
        };
        if let Some(part) = part {
            self.push_key(QUEUE_SELECT_KEY);
            self.push_str(part);
            self.push_str(",");
        }
        match self.level() {
            Level::Body => {
                self.push_key(b"body");
                self.write_raw();
            }
            Level::BodyKey => {
                self.push_key(b"body");
                self.open("{");
                self.object = self.write_member("object", self.source.object);
                self.write_list();
                self.close(r#","entry":[]}"#);
            }
            level => {
                self.object = self.write_member("object", self.source.object);
                self.push_key(b"entry");
                if level == Level::Entry {
                    self.write_elements();
                } else {
                    self.write_entry();
                }
            }
        }
        self.close("}");
    }

    fn write_entry(&mut self) {
        let entry = self.source.entry(&self.element);
        self.open("[{");
        let start = self.out.len() - 1;
        self.entry.id = self.write_member("id", entry.id);
        self.entry.time = self.write_member("time", entry.time);
        match self.level() {
            // The element comes before the scalars of the entry: readers take the first event.
            Level::EntryKey => {
                self.write_list();
                self.push_str(",");
                self.write_scalars(self.source.scalars_of_entry(&self.element));
                self.close(r#""changes":[]"#);
            }
            level => {
                self.write_scalars(self.source.scalars_of_entry(&self.element));
                self.push_key(b"changes");
                if level == Level::Change {
                    self.write_elements();
                } else {
                    self.write_change();
                }
            }
        }
        self.close("}]");
        self.entry.raw = Some(Span::new(start, self.out.len().saturating_sub(1)));
    }

    /// Writes the texts and numbers of the entry or the value.
    fn write_scalars(&mut self, scalars: Vec<Span>) {
        for scalar in scalars {
            let is_element = (self.element.raw).rebase(scalar, Span::default()).is_some();
            if !is_element {
                self.copy(scalar);
                self.push_str(",");
            }
        }
    }

    fn write_change(&mut self) {
        let change = self.source.change(&self.element);
        self.open("[{");
        self.change.field = self.write_member("field", change.field);
        let start = match self.level() {
            Level::Value => self.write_whole_value(change),
            Level::ChangeKey => {
                self.write_list();
                self.push_str(",");
                self.write_context_value(change)
            }
            _ => self.write_value(change),
        };
        self.change.value = Some(Span::new(start, self.out.len()));
        self.close("}]");
    }

    /// Writes the value of a change whose unknown key is the element. Returns its start.
    fn write_context_value(&mut self, change: Change) -> usize {
        self.push_key(b"value");
        let start = self.out.len();
        self.open("{");
        self.change.metadata = self.write_member("metadata", change.metadata);
        if self.change.metadata.is_some() {
            self.write_empty_messages(change);
            self.pop_comma();
        }
        self.close("}");
        start
    }

    /// Writes the element as the value. Returns the start of the value.
    fn write_whole_value(&mut self, change: Change) -> usize {
        // A change may have duplicate values, and the metadata of one belongs to the elements of
        // all. The last of two values counts, so their order is kept.
        let metadata = change
            .metadata
            .filter(|metadata| !self.is_inside(*metadata));
        let is_before = |metadata: &Span| metadata.range().start < self.element.raw.range().start;
        let (before, after) = (
            metadata.filter(is_before),
            metadata.filter(|it| !is_before(it)),
        );
        if before.is_some() {
            self.write_metadata_value(change, before);
            self.push_str(",");
        }
        self.push_key(b"value");
        let mut start = self.out.len();
        self.write_raw();
        if after.is_some() {
            self.push_str(",");
            start = self.write_metadata_value(change, after);
        }
        start
    }

    fn write_metadata_value(&mut self, change: Change, metadata: Option<Span>) -> usize {
        self.push_key(b"value");
        let start = self.out.len();
        self.open("{");
        self.change.metadata = self.write_member("metadata", metadata);
        self.write_empty_messages(change);
        self.pop_comma();
        self.close("}");
        start
    }

    /// Writes the value with the list that contains the element. Returns its start.
    fn write_value(&mut self, change: Change) -> usize {
        self.push_key(b"value");
        let start = self.out.len();
        self.open("{");
        self.change.metadata = self.write_member("metadata", change.metadata);
        self.change.conversation = self.write_member("conversation_context", change.conversation);
        self.write_contacts();
        self.write_scalars(self.source.scalars_of_value(&self.element));
        let is_list = !self.element.position.replaces_list;
        if !(is_list
            && matches!(
                self.source.list(&self.element),
                Some("messages" | "statuses")
            ))
        {
            self.write_empty_messages(change);
        }
        match self.level() {
            Level::Standby => {
                self.push_key(b"standby");
                self.open("{");
                self.write_list();
                self.close("}");
            }
            Level::Group => self.write_group(),
            Level::Chunk => {
                self.push_key(b"history");
                self.open("[{");
                self.write_list();
                self.close("}]");
            }
            Level::Thread => self.write_thread(),
            _ => self.write_list(),
        }
        self.close("}");
        start
    }

    /// In an unknown field only values with messages are split into elements.
    fn write_empty_messages(&mut self, change: Change) {
        if layout_of(&self.source.document, change.field).is_none() {
            self.push_key(b"messages");
            self.push_str("[],");
        }
    }

    fn write_contacts(&mut self) {
        let contacts = std::mem::take(&mut self.related);
        if contacts.is_empty() {
            return;
        }
        self.push_key(b"contacts");
        self.open("[");
        for contact in contacts {
            let contact = self.copy(contact);
            self.contacts.push(contact);
            self.push_str(",");
        }
        self.pop_comma();
        self.close("],");
    }

    fn write_group(&mut self) {
        let group = self.source.group(&self.element);
        self.push_key(b"groups");
        self.open("[{");
        self.group = GroupSpans {
            group_id: self.write_member("group_id", group.group_id),
            event: self.write_member("type", group.event),
            timestamp: self.write_member("timestamp", group.timestamp),
            request_id: self.write_member("request_id", group.request_id),
            reason: self.write_member("reason", group.reason),
            initiated_by: self.write_member("initiated_by", group.initiated_by),
        };
        self.write_list();
        self.close("}]");
    }

    fn write_thread(&mut self) {
        let thread = self.source.thread(&self.element);
        self.push_key(b"history");
        self.open("[{");
        self.thread.chunk = self.write_member("metadata", thread.chunk);
        self.push_key(b"threads");
        self.open("[{");
        self.thread.id = self.write_member("id", thread.id);
        self.thread.context = self.write_member("context", thread.context);
        self.write_list();
        self.close("}]}]");
    }

    /// Writes the element in its list, under the original key.
    fn write_list(&mut self) {
        let key = self.source.document.bytes(self.element.position.list_key);
        let quote = key.iter().position(|byte| *byte == b'"');
        let start = self.out.len();
        self.out
            .extend_from_slice(key.get(quote.unwrap_or_default()..).unwrap_or_default());
        self.list = Span::new(start, self.out.len());
        self.write_elements();
    }

    /// Writes the element as the only one of a list, or in the place of the list.
    fn write_elements(&mut self) {
        if self.element.position.replaces_list {
            self.write_raw();
        } else {
            self.open("[");
            self.write_raw();
            self.close("]");
        }
    }

    fn write_raw(&mut self) {
        self.raw = self.copy(self.element.raw);
    }

    /// Writes a key and its value, unless the value is absent or part of the element.
    fn write_member(&mut self, key: &str, value: Option<Span>) -> Option<Span> {
        let value = value.filter(|value| !self.is_inside(*value))?;
        self.push_key(key.as_bytes());
        let value = self.copy(value);
        self.push_str(",");
        Some(value)
    }

    fn push_key(&mut self, key: &[u8]) {
        self.push_str("\"");
        self.out.extend_from_slice(key);
        self.push_str("\":");
    }

    fn copy(&mut self, span: Span) -> Span {
        let start = self.out.len();
        self.out.extend_from_slice(self.source.document.bytes(span));
        Span::new(start, self.out.len())
    }

    fn open(&mut self, brackets: &str) {
        self.push_str(brackets);
    }

    fn close(&mut self, brackets: &str) {
        let is_closed = self.is_remainder && !self.raw.range().is_empty();
        if !is_closed {
            self.push_str(brackets);
        }
    }

    fn push_str(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn pop_comma(&mut self) {
        self.out.pop();
    }

    fn is_inside(&self, span: Span) -> bool {
        span.rebase(self.element.raw, Span::default()).is_some()
    }

    /// Finds parts of the envelope inside the element, for example the id of an entry without
    /// changes.
    fn locate_inside(&mut self) {
        let (whole, copy) = (self.element.raw, self.raw);
        let find = |slot: &mut Option<Span>, span: Option<Span>| {
            *slot = slot.or_else(|| span?.rebase(whole, copy));
        };
        let (entry, change) = (
            self.source.entry(&self.element),
            self.source.change(&self.element),
        );
        find(&mut self.object, self.source.object);
        find(&mut self.entry.id, entry.id);
        find(&mut self.entry.time, entry.time);
        find(&mut self.change.field, change.field);
        find(&mut self.change.metadata, change.metadata);
    }

    fn level(&self) -> Level {
        self.element.position.level
    }
}
