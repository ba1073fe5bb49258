use std::sync::OnceLock;

use super::{
    elements::{
        Change, Element, Entry, Envelope, GroupSpans, Level, NO_INDEX, Position, ThreadSpans,
    },
    members::{for_each_member, has_message_lists, layout_of, phone_number_id, set_if_present},
    one_or_many::OneOrMany,
    splitter::{Splitter, UNKNOWN_LIST, UNKNOWN_SHAPE},
};
use crate::event::{
    field::Layout,
    json::{Cursor, Document, Span, saturating_u32},
    payload::{Kind, Reason},
};

/// Events of a change up to which each looks for the id of the phone number itself.
const MAX_UNCACHED_EVENTS: usize = 4;

/// The key of the version, by which the form is told from what Meta sends.
pub(crate) const QUEUE_KEY: &[u8] = b"tower_whatsapp";

/// The key that says which of what is read is the event, where it is not all.
pub(crate) const QUEUE_PART_KEY: &[u8] = b"tower_whatsapp_only";

impl Envelope {
    /// Cuts a body into elements.
    pub(crate) fn new(document: Document) -> Self {
        Self::from_body(document, Span::default(), false)
    }

    /// Cuts a body that stands in a document. `split_unknown_keys`: a key that is not known is an event of its own, even where there is
    /// nothing else.
    pub(crate) fn from_body(document: Document, body: Span, split_unknown_keys: bool) -> Self {
        let mut walk = Splitter {
            document: &document,
            object: None,
            entries: OneOrMany::new(),
            changes: OneOrMany::new(),
            contacts: Vec::new(),
            groups: Vec::new(),
            threads: Vec::new(),
            elements: Vec::with_capacity(1),
            body_consumed: false,
            split_unknown_keys,
        };
        walk.body(body);
        let Splitter {
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
            contact_index: OnceLock::new(),
            groups,
            threads,
            elements,
        }
    }
}

impl<'a> Splitter<'a> {
    fn body(&mut self, body: Span) {
        let nowhere = Position {
            change: NO_INDEX,
            parent: NO_INDEX,
            list_key: Span::default(),
            level: Level::Body,
            replaces_list: false,
            has_inner_events: false,
        };
        let mut cursor = self.document.cursor_at(body);
        let start = cursor;
        let mut entered = false;
        let unknown = self.for_each_member(&mut cursor, nowhere, |this, key, cursor, _| {
            match key {
                b"object" => set_if_present(&mut this.object, cursor),
                b"entry" => {
                    entered = true;
                    this.for_each_element(cursor, nowhere.with_level(Level::Entry), Self::entry);
                }
                // Ours, in the form for queues.
                _ if matches!(key, QUEUE_KEY | QUEUE_PART_KEY) => {
                    cursor.skip();
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.span_since(start);
        match unknown {
            None => self.push(UNKNOWN_SHAPE, whole, nowhere),
            // A change without its envelope, for example: the dashboard shows such.
            Some(unknown) if !entered && !unknown.is_empty() => {
                self.push(UNKNOWN_SHAPE, whole, nowhere);
            }
            Some(unknown) => self.push_unknown_members(unknown, Level::BodyKey, 0, whole, nowhere),
        }
        if let Some(object) = self.object
            && self.document.cursor_at(object).string_bytes() != Some(b"whatsapp_business_account")
        {
            self.mark_unknown(0, Reason::Object);
        }
    }

    fn entry(&mut self, cursor: &mut Cursor<'a>, nowhere: Position) {
        let start = *cursor;
        let position = Position {
            parent: saturating_u32(self.entries.len()),
            ..nowhere
        };
        let elements = self.elements.len();
        let mut entry = Entry::default();
        let mut changed = false;
        self.entries.push(entry);
        let unknown = self.for_each_member(cursor, position, |this, key, cursor, _| {
            match key {
                b"id" => set_if_present(&mut entry.id, cursor),
                b"time" => set_if_present(&mut entry.time, cursor),
                b"changes" => {
                    changed |= cursor.peek() == Some(b'[');
                    this.for_each_element(cursor, position.with_level(Level::Change), Self::change);
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.span_since(start);
        entry.raw = Some(whole);
        if self.elements.len() == elements && !changed {
            self.push(UNKNOWN_SHAPE, whole, position);
        } else if let Some(unknown) = unknown {
            self.push_unknown_members(unknown, Level::EntryKey, elements, whole, position);
        }
        // What has no elements is not kept: then there is never more of anything than there are elements.
        if self.elements.len() == elements {
            self.entries.pop();
        } else if let Some(slot) = self.entries.get_mut(position.parent as usize) {
            *slot = entry;
        }
    }

    fn change(&mut self, cursor: &mut Cursor<'a>, outside: Position) {
        let start = *cursor;
        let position = Position {
            change: saturating_u32(self.changes.len()),
            parent: NO_INDEX,
            ..outside
        };
        let elements = self.elements.len();
        let contacts = self.contacts.len();
        let mut change = Change {
            entry: outside.parent,
            ..Change::default()
        };
        self.changes.push(change);
        // Most often the name of the field stands behind its value, which says nothing without it.
        let (mut first, mut values) = (None, 0);
        let mut again = *cursor;
        let unknown = self.for_each_member(cursor, position, |_, key, cursor, _| {
            match key {
                b"field" => set_if_present(&mut change.field, cursor),
                b"value" if cursor.take_null() => {}
                b"value" => {
                    first.get_or_insert(*cursor);
                    values += 1;
                    cursor.skip();
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.span_since(start);
        match unknown {
            Some(unknown) if values > 0 => {
                self.push_unknown_members(unknown, Level::ChangeKey, elements, whole, position);
            }
            _ => {}
        }
        let cut = layout_of(self.document, change.field);
        let inside = position.with_level(Level::Value);
        match (first, values) {
            (Some(mut value), 1) => self.value(&mut value, cut, inside, &mut change),
            _ => for_each_member(&mut again, |key, cursor| match key {
                b"value" if !cursor.take_null() => self.value(cursor, cut, inside, &mut change),
                b"value" => {}
                _ => {
                    cursor.skip();
                }
            }),
        }
        if change.value.is_none() {
            self.push(UNKNOWN_SHAPE, whole, position);
        }
        if self.elements.len() == elements {
            self.changes.pop();
            self.contacts.truncate(contacts);
            return;
        }
        change.contacts = (
            saturating_u32(contacts),
            saturating_u32(self.contacts.len()),
        );
        if self.elements.len() - elements > MAX_UNCACHED_EVENTS {
            change.phone_number_id = Some(phone_number_id(self.document, change.metadata));
        }
        if let Some(slot) = self.changes.get_mut(position.change as usize) {
            *slot = change;
        }
    }

    fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        cut: Option<Layout>,
        position: Position,
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
                let value = cursor.span_since(start);
                change.value = Some(value);
                self.push(
                    if is_object { kind } else { UNKNOWN_SHAPE },
                    value,
                    position,
                );
                return;
            }
            // In a field that nobody knows, elements that look like messages may mean something else: they come one by one, and without
            // a type.
            None if !has_message_lists(*cursor) => {
                cursor.skip();
                let value = cursor.span_since(start);
                change.value = Some(value);
                self.push(Kind::Unknown(Reason::Field), value, position);
                return;
            }
            None => Layout::Lists(&[]),
            Some(lists) => lists,
        };
        let unknown = self.for_each_member(cursor, position, |this, key, cursor, outside| {
            match key {
                b"metadata" => {
                    set_if_present(&mut change.metadata, cursor);
                }
                b"conversation_context" => set_if_present(&mut change.conversation, cursor),
                b"messaging_product" => {
                    cursor.skip();
                }
                _ => {
                    let list = outside.resolve(cursor).with_level(Level::List);
                    return this.value_member(lists, key, cursor, list);
                }
            }
            true
        });
        let value = cursor.span_since(start);
        change.value = Some(value);
        match unknown {
            Some(unknown) if self.elements.len() > elements || self.split_unknown_keys => {
                self.push_unknown_members(unknown, Level::List, elements, value, position);
            }
            // Contacts or the context of a conversation may be all that it says.
            Some(unknown)
                if unknown.is_empty()
                    && self.contacts.len() == contacts
                    && change.conversation == conversation => {}
            _ => self.push(UNKNOWN_SHAPE, value, position),
        }
        if cut.is_none() {
            self.mark_unknown(elements, Reason::Field);
        }
    }

    /// Takes a member of a value, and tells whether it has a meaning there. Lists are taken all the same: Meta adds some.
    fn value_member(
        &mut self,
        cut: Layout,
        key: &[u8],
        cursor: &mut Cursor<'a>,
        list: Position,
    ) -> bool {
        match (cut, key) {
            (Layout::Lists(lists), _) => match lists.iter().find(|(name, _)| *name == key) {
                Some((_, kind)) => self.push_list(cursor, *kind, list),
                None => return self.try_unknown_list(key, cursor, list),
            },
            (Layout::Groups, b"groups") => self.for_each_element(cursor, list, Self::group),
            (Layout::History, b"history") => {
                self.for_each_element(cursor, list, Self::history_chunk);
            }
            // What the placeholders of an earlier chunk stand for.
            (Layout::History, b"messages" | b"message_echoes") => {
                self.push_list(cursor, Kind::HistoryMessage, list);
            }
            (Layout::Groups | Layout::History, b"errors") => {
                self.push_list(cursor, Kind::Error, list);
            }
            (Layout::Standby, b"standby") => return self.standby(cursor, list),
            _ => return self.try_unknown_list(key, cursor, list),
        }
        true
    }

    fn standby(&mut self, cursor: &mut Cursor<'a>, position: Position) -> bool {
        let start = *cursor;
        let elements = self.elements.len();
        let unknown = self.for_each_member(
            cursor,
            position.with_level(Level::Standby),
            |this, key, cursor, outside| {
                let list = outside.resolve(cursor);
                match key {
                    b"messages" => this.push_list(cursor, Kind::StandbyMessage, list),
                    b"statuses" => this.push_list(cursor, Kind::StandbyStatus, list),
                    b"message_echoes" => this.push_list(cursor, Kind::StandbyEcho, list),
                    _ => return this.try_unknown_list(key, cursor, list),
                }
                true
            },
        );
        match unknown {
            None => {
                *cursor = start;
                if cursor.peek() == Some(b'[') {
                    self.push_list(cursor, UNKNOWN_LIST, position);
                    return true;
                }
                return cursor.take_null();
            }
            Some(unknown) => {
                let position = Position {
                    replaces_list: true,
                    ..position
                };
                self.push_unknown_members(
                    unknown,
                    Level::Standby,
                    elements,
                    cursor.span_since(start),
                    position,
                );
            }
        }
        true
    }

    /// The participants of a group, and the group itself unless they carry all that is said of it.
    fn group(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let around = Position {
            parent: saturating_u32(self.groups.len()),
            ..position.with_level(Level::Group)
        };
        let mut group = GroupSpans::default();
        self.groups.push(group);
        let unknown = self.for_each_member(cursor, around, |this, key, cursor, outside| {
            let list = outside.resolve(cursor);
            match key {
                b"added_participants" | b"removed_participants" | b"failed_participants" => {
                    this.push_list(cursor, Kind::GroupParticipant, list);
                }
                b"group_id" => set_if_present(&mut group.group_id, cursor),
                b"type" => set_if_present(&mut group.event, cursor),
                b"timestamp" => set_if_present(&mut group.timestamp, cursor),
                b"request_id" => set_if_present(&mut group.request_id, cursor),
                b"reason" => set_if_present(&mut group.reason, cursor),
                b"initiated_by" => set_if_present(&mut group.initiated_by, cursor),
                _ => return false,
            }
            true
        });
        let whole = cursor.span_since(start);
        if self.elements.len() == elements {
            self.groups.pop();
            let kind = unknown.map_or(UNKNOWN_SHAPE, |_| Kind::Group);
            self.push(kind, whole, position);
            return;
        }
        if let Some(slot) = self.groups.get_mut(around.parent as usize) {
            *slot = group;
        }
        if unknown.is_some_and(|unknown| !unknown.is_empty()) {
            self.insert_before(elements, Kind::Group, whole, position);
        }
    }

    fn history_chunk(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let threads = self.threads.len();
        let mut chunk = None;
        let unknown = self.for_each_member(
            cursor,
            position.with_level(Level::Chunk),
            |this, key, cursor, outside| {
                let list = outside.resolve(cursor);
                match key {
                    b"metadata" => set_if_present(&mut chunk, cursor),
                    b"threads" => this.for_each_element(cursor, list, Self::history_thread),
                    b"errors" => this.push_list(cursor, Kind::Error, list),
                    _ => return this.try_unknown_list(key, cursor, list),
                }
                true
            },
        );
        for thread in self.threads.iter_mut().skip(threads) {
            thread.chunk = chunk;
        }
        let whole = cursor.span_since(start);
        let Some(unknown) = unknown else {
            self.push(UNKNOWN_SHAPE, whole, position);
            return;
        };
        if self.elements.len() == elements && !self.split_unknown_keys {
            self.push(Kind::HistoryProgress, whole, position);
            return;
        }
        self.push_unknown_members(unknown, Level::Chunk, elements, whole, position);
        let is_in_thread = |element: &Element| element.position.level == Level::Thread;
        // What is in a thread carries it.
        if chunk.is_some() && !self.elements.iter().skip(elements).any(is_in_thread) {
            self.insert_before(elements, Kind::HistoryProgress, whole, position);
        }
    }

    fn history_thread(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let around = Position {
            parent: saturating_u32(self.threads.len()),
            ..position.with_level(Level::Thread)
        };
        let mut thread = ThreadSpans::default();
        self.threads.push(thread);
        let unknown = self.for_each_member(cursor, around, |this, key, cursor, outside| {
            let list = outside.resolve(cursor);
            match key {
                b"id" => set_if_present(&mut thread.id, cursor),
                b"context" => set_if_present(&mut thread.context, cursor),
                b"messages" => this.push_list(cursor, Kind::HistoryMessage, list),
                _ => return this.try_unknown_list(key, cursor, list),
            }
            true
        });
        let whole = cursor.span_since(start);
        if self.elements.len() == elements && !self.split_unknown_keys {
            self.threads.pop();
            self.push(UNKNOWN_SHAPE, whole, position);
            return;
        }
        if let Some(slot) = self.threads.get_mut(around.parent as usize) {
            *slot = thread;
        }
        if let Some(unknown) = unknown {
            let inside = Position {
                parent: around.parent,
                ..position
            };
            self.push_unknown_members(unknown, Level::Thread, elements, whole, inside);
        }
    }
}
