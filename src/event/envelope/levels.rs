//! The levels of a delivery, from the body down to the lists of elements.

use std::sync::{OnceLock, atomic::AtomicBool};

use super::{
    elements::{Change, Entry, Envelope, Level, NO_INDEX, Position},
    members::{for_each_member, has_message_lists, layout_of, phone_number_id, set_if_present},
    one_or_many::OneOrMany,
    splitter::{Splitter, UNKNOWN_SHAPE},
};
use crate::event::{
    field::Layout,
    json::{Cursor, Document, Span, saturating_u32},
    payload::{Kind, Reason},
};

/// Maximum number of events in a change that each search for the phone number id. Beyond it the id
/// is cached in the change.
const MAX_UNCACHED_EVENTS: usize = 4;

/// Key of the version of the queue format. Meta's deliveries do not have it.
pub(crate) const QUEUE_VERSION_KEY: &[u8] = b"tower_whatsapp";

/// Key of the queue format that selects the event if a reader would find more than one.
pub(crate) const QUEUE_SELECT_KEY: &[u8] = b"tower_whatsapp_only";

impl Envelope {
    /// Splits a document into elements.
    pub(crate) fn new(document: Document) -> Self {
        Self::from_body(document, Span::default(), false)
    }

    /// Splits the delivery at `body` in a document into elements.
    ///
    /// With `split_unknown_keys`, each unknown key becomes an element, even in an object that has
    /// no other elements. Otherwise such an object becomes one element as a whole.
    pub(crate) fn from_body(document: Document, body: Span, split_unknown_keys: bool) -> Self {
        let mut splitter = Splitter {
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
        splitter.body(body);
        let Splitter {
            object,
            entries,
            changes,
            contacts,
            groups,
            threads,
            elements,
            ..
        } = splitter;
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
            is_read: AtomicBool::new(false),
        }
    }
}

impl<'a> Splitter<'a> {
    /// Splits the body of a delivery.
    fn body(&mut self, body: Span) {
        let top = Position {
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
        let unknown = self.for_each_member(&mut cursor, top, |this, key, cursor, _| {
            match key {
                b"object" => set_if_present(&mut this.object, cursor),
                b"entry" => {
                    entered = true;
                    this.for_each_element(cursor, top.with_level(Level::Entry), Self::entry);
                }
                // Keys that this crate adds in the queue format.
                _ if matches!(key, QUEUE_VERSION_KEY | QUEUE_SELECT_KEY) => {
                    cursor.skip();
                }
                _ => return false,
            }
            true
        });
        let whole = cursor.span_since(start);
        match unknown {
            None => self.push(UNKNOWN_SHAPE, whole, top),
            // For example a change without its envelope, as the dashboard shows it.
            Some(unknown) if !entered && !unknown.is_empty() => {
                self.push(UNKNOWN_SHAPE, whole, top);
            }
            Some(unknown) => self.push_unknown_members(unknown, Level::BodyKey, 0, whole, top),
        }
        if let Some(object) = self.object
            && self.document.cursor_at(object).string_bytes() != Some(b"whatsapp_business_account")
        {
            self.mark_unknown(0, Reason::Object);
        }
    }

    /// Splits an element of `entry`.
    fn entry(&mut self, cursor: &mut Cursor<'a>, outer: Position) {
        let start = *cursor;
        let position = Position {
            parent: saturating_u32(self.entries.len()),
            ..outer
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
        // An entry without elements is dropped, so there are never more entries than elements. The
        // same holds for changes, groups and threads.
        if self.elements.len() == elements {
            self.entries.pop();
        } else if let Some(slot) = self.entries.get_mut(position.parent as usize) {
            *slot = entry;
        }
    }

    /// Splits an element of `changes`.
    fn change(&mut self, cursor: &mut Cursor<'a>, outer: Position) {
        let start = *cursor;
        let position = Position {
            change: saturating_u32(self.changes.len()),
            parent: NO_INDEX,
            ..outer
        };
        let elements = self.elements.len();
        let contacts = self.contacts.len();
        let mut change = Change {
            entry: outer.parent,
            ..Change::default()
        };
        self.changes.push(change);
        // `field` usually follows `value` but decides how to split it, so the value is split
        // afterwards.
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
        let layout = layout_of(self.document, change.field);
        let inside = position.with_level(Level::Value);
        match (first, values) {
            (Some(mut value), 1) => self.value(&mut value, layout, inside, &mut change),
            _ => for_each_member(&mut again, |key, cursor| match key {
                b"value" if !cursor.take_null() => self.value(cursor, layout, inside, &mut change),
                b"value" => {}
                _ => {
                    cursor.skip();
                }
            }),
        }
        if change.value.is_none() {
            self.push(UNKNOWN_SHAPE, whole, position);
        }
        self.finish_change(change, position.change, elements, contacts);
    }

    /// Stores a change, or drops it if it has no elements. `elements` and `contacts` are the
    /// numbers of both before the change.
    fn finish_change(&mut self, mut change: Change, index: u32, elements: usize, contacts: usize) {
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
        if let Some(slot) = self.changes.get_mut(index as usize) {
            *slot = change;
        }
    }

    /// Splits the value of a change.
    fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        layout: Option<Layout>,
        position: Position,
        change: &mut Change,
    ) {
        let start = *cursor;
        let (elements, contacts) = (self.elements.len(), self.contacts.len());
        // A change may have several values, so the context may come from an earlier one.
        let conversation = change.conversation;
        let is_object = cursor.peek() == Some(b'{');
        let lists = match layout {
            Some(Layout::Whole(kind)) => {
                let kind = if is_object { kind } else { UNKNOWN_SHAPE };
                self.whole_value(cursor, kind, position, change);
                return;
            }
            // A value of an unknown field is split if it has messages or statuses. They may have
            // another meaning there, so their elements are of unknown kind.
            None if !has_message_lists(*cursor) => {
                self.whole_value(cursor, Kind::Unknown(Reason::Field), position, change);
                return;
            }
            None => Layout::Lists(&[]),
            Some(lists) => lists,
        };
        let unknown = self.for_each_member(cursor, position, |this, key, cursor, at| {
            match key {
                b"metadata" => {
                    set_if_present(&mut change.metadata, cursor);
                }
                b"conversation_context" => set_if_present(&mut change.conversation, cursor),
                b"messaging_product" => {
                    cursor.skip();
                }
                _ => {
                    let list = at.resolve(cursor).with_level(Level::List);
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
            // Nothing but contacts or a conversation context.
            Some(unknown)
                if unknown.is_empty()
                    && self.contacts.len() == contacts
                    && change.conversation == conversation => {}
            _ => self.push(UNKNOWN_SHAPE, value, position),
        }
        if layout.is_none() {
            self.mark_unknown(elements, Reason::Field);
        }
    }

    /// Makes the value of a change one element.
    fn whole_value(
        &mut self,
        cursor: &mut Cursor<'a>,
        kind: Kind,
        position: Position,
        change: &mut Change,
    ) {
        let value = cursor.skip();
        change.value = Some(value);
        self.push(kind, value, position);
    }

    /// Splits a member of a value. Returns false if the key is unknown and the value is not a list.
    /// Lists are split whatever their key, as Meta adds new ones.
    fn value_member(
        &mut self,
        layout: Layout,
        key: &[u8],
        cursor: &mut Cursor<'a>,
        list: Position,
    ) -> bool {
        match (layout, key) {
            (Layout::Lists(lists), _) => match lists.iter().find(|(name, _)| *name == key) {
                Some((_, kind)) => self.push_list(cursor, *kind, list),
                None => return self.try_unknown_list(key, cursor, list),
            },
            (Layout::Groups, b"groups") => self.for_each_element(cursor, list, Self::group),
            (Layout::History, b"history") => {
                self.for_each_element(cursor, list, Self::history_chunk);
            }
            // Messages for which an earlier chunk had placeholders.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Notification;

    /// Otherwise the key of each of 20,000 events would read a metadata of 2 MB again.
    #[test]
    fn the_metadata_is_read_once_for_many_events() {
        let metadata = format!(
            r#""metadata":{{"display_phone_number":"{}","phone_number_id":"1"}},"#,
            "0".repeat(1000)
        );
        for (metadata, id) in [(&*metadata, Some("1")), ("", None)] {
            for (events, is_cached) in [
                (MAX_UNCACHED_EVENTS, false),
                (MAX_UNCACHED_EVENTS + 1, true),
                (2000, true),
            ] {
                let statuses = vec![r#"{"id":"wamid.A"}"#; events].join(",");
                let body = format!(
                    r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{{metadata}"statuses":[{statuses}]}}}}]}}]}}"#
                );
                let notification = Notification::parse(body).unwrap();
                assert_eq!(notification.events().len(), events);
                for event in notification.events() {
                    let change = event.element().change();
                    assert_eq!(change.phone_number_id.is_some(), is_cached, "{events}");
                    assert_eq!(event.phone_number_id(), id);
                }
            }
        }
    }
}
