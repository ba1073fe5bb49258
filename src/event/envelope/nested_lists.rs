//! Lists of elements that are nested in a value: standby, groups and history.

use super::{
    elements::{Element, GroupSpans, Level, Position, ThreadSpans},
    members::set_if_present,
    splitter::{Splitter, UNKNOWN_LIST, UNKNOWN_SHAPE},
};
use crate::event::{
    json::{Cursor, saturating_u32},
    payload::Kind,
};

impl<'a> Splitter<'a> {
    /// Splits `standby`. Returns false if its value has an unexpected shape.
    pub(super) fn standby(&mut self, cursor: &mut Cursor<'a>, position: Position) -> bool {
        let start = *cursor;
        let elements = self.elements.len();
        let unknown = self.for_each_member(
            cursor,
            position.with_level(Level::Standby),
            |this, key, cursor, at| {
                let list = at.resolve(cursor);
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

    /// Splits a group into its participants. The group is an element too, unless the events of the
    /// participants contain all of its members.
    pub(super) fn group(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let inside = Position {
            parent: saturating_u32(self.groups.len()),
            ..position.with_level(Level::Group)
        };
        let mut group = GroupSpans::default();
        self.groups.push(group);
        let unknown = self.for_each_member(cursor, inside, |this, key, cursor, at| {
            let list = at.resolve(cursor);
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
        if let Some(slot) = self.groups.get_mut(inside.parent as usize) {
            *slot = group;
        }
        if unknown.is_some_and(|unknown| !unknown.is_empty()) {
            self.insert_before(elements, Kind::Group, whole, position);
        }
    }

    /// Splits a history chunk into its threads.
    pub(super) fn history_chunk(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let threads = self.threads.len();
        let mut chunk = None;
        let unknown = self.for_each_member(
            cursor,
            position.with_level(Level::Chunk),
            |this, key, cursor, at| {
                let list = at.resolve(cursor);
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
        // Messages in a thread carry the chunk's metadata. Without one the chunk is an element.
        if chunk.is_some() && !self.elements.iter().skip(elements).any(is_in_thread) {
            self.insert_before(elements, Kind::HistoryProgress, whole, position);
        }
    }

    /// Splits a history thread into its messages.
    pub(super) fn history_thread(&mut self, cursor: &mut Cursor<'a>, position: Position) {
        let start = *cursor;
        let elements = self.elements.len();
        let inside = Position {
            parent: saturating_u32(self.threads.len()),
            ..position.with_level(Level::Thread)
        };
        let mut thread = ThreadSpans::default();
        self.threads.push(thread);
        let unknown = self.for_each_member(cursor, inside, |this, key, cursor, at| {
            let list = at.resolve(cursor);
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
        if let Some(slot) = self.threads.get_mut(inside.parent as usize) {
            *slot = thread;
        }
        if let Some(unknown) = unknown {
            let inside = Position {
                parent: inside.parent,
                ..position
            };
            self.push_unknown_members(unknown, Level::Thread, elements, whole, inside);
        }
    }
}
