//! The queue form: one event as a delivery of its own.

use std::{error::Error, fmt, sync::OnceLock};

use bytes::Bytes;

use super::{
    few::Few,
    grammar::MAX_DEPTH,
    parse_error::ParseError,
    payload::{Kind, Reason},
    raw::{Document, Span},
    wire::{
        Change, ContactAt, Element, Entry, Envelope, GroupAround, Level, Position, ThreadAround,
        cut, position,
    },
};

/// The version that is written.
const VERSION: &str = "1";

/// The key of the version, by which the form is told from what Meta sends.
pub(super) const MARK: &[u8] = b"tower_whatsapp";

/// The key that says which of what is read is the event, where it is not all.
pub(super) const PART: &[u8] = b"tower_whatsapp_only";

/// The event is the first one that is read: others stand in it.
const FIRST: &str = r#""first""#;

/// The event is a key that is not known, and not the object that it stands in.
const KEY: &str = r#""key""#;

/// A body without an envelope stands in the form, and so is one level deeper than it was.
const DEEPEST: usize = MAX_DEPTH + 1;

/// Most often what goes with an element takes less.
const BESIDE: usize = 512;

/// Why bytes from a queue are no event. Says nothing of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueError {
    /// They are not one JSON text.
    NotJson(ParseError),
    /// They are JSON, but not what [`Event::to_queue`](super::Event::to_queue) writes. What Meta has sent is for
    /// [`Notification::parse`](super::Notification::parse).
    NotAnEvent,
    /// They were written by a later version of this crate, in a form that this one does not know. Leave them in the queue for a consumer that
    /// is up to date.
    LaterVersion,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson(_) => "the bytes from the queue are not JSON",
            Self::NotAnEvent => "the JSON from the queue is not an event",
            Self::LaterVersion => "the event from the queue is in a form of a later version",
        })
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotJson(error) => Some(error),
            Self::NotAnEvent | Self::LaterVersion => None,
        }
    }
}

/// Cuts what stands in the form into elements, as a body is cut.
pub(super) fn read(bytes: Bytes) -> Result<Envelope, QueueError> {
    let document = Document::nested(bytes, DEEPEST).map_err(QueueError::NotJson)?;
    let Form { body, part } = form(&document)?;
    let mut envelope = Envelope::of_body(document, body, part == Part::Key);
    if part == Part::First {
        envelope.elements.truncate(1);
    }
    Ok(envelope)
}

/// What the form says of the event.
struct Form {
    body: Span,
    part: Part,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    All,
    First,
    Key,
}

/// Where the body is that the form stands for: the form itself, or what it has in the place of one.
fn form(document: &Document) -> Result<Form, QueueError> {
    let mut cursor = document.cursor();
    cursor.object().ok_or(QueueError::NotAnEvent)?;
    let (mut version, mut body, mut part) = (None, None, Part::All);
    // Of two equal keys the first counts: what is left of a body may bring others.
    while let Some(key) = cursor.key() {
        match key {
            _ if key == MARK && version.is_none() => version = Some(cursor.json()),
            _ if key == PART && body.is_none() => {
                part = match cursor.json() {
                    FIRST => Part::First,
                    KEY => Part::Key,
                    _ => return Err(QueueError::LaterVersion),
                };
            }
            b"entry" => {
                body.get_or_insert_default();
                cursor.skip();
            }
            b"body" => {
                body.get_or_insert(cursor.skip());
            }
            _ => {
                cursor.skip();
            }
        }
    }
    match (
        version.and_then(|version| version.parse::<u64>().ok()),
        body,
    ) {
        (Some(1), Some(body)) => Ok(Form { body, part }),
        (Some(2..), _) => Err(QueueError::LaterVersion),
        _ => Err(QueueError::NotAnEvent),
    }
}

/// One element and what goes with it, written in the form.
pub(super) struct Queued<'a> {
    from: &'a Envelope,
    element: Element,
    /// What is left of a body closes everything that was open before it.
    closes_all: bool,
    form: Vec<u8>,
    /// Where all of it stands in the form.
    object: Option<Span>,
    entry: Entry,
    change: Change,
    /// The contacts that go with the element.
    meant: Vec<Span>,
    /// The same in the form.
    contacts: Vec<Span>,
    group: GroupAround,
    thread: ThreadAround,
    raw: Span,
    list: Span,
}

impl<'a> Queued<'a> {
    /// `meant`: the contacts that go with the element.
    pub(super) fn new(from: &'a Envelope, element: &Element, meant: Vec<Span>) -> Self {
        let body = from.document.body();
        let raw = element.raw.range();
        let mut queued = Self {
            from,
            element: *element,
            closes_all: element.kind == OVERFLOW && raw.end == body.len(),
            form: Vec::with_capacity(raw.len() + BESIDE),
            object: None,
            entry: Entry::default(),
            change: Change::default(),
            meant,
            contacts: Vec::new(),
            group: GroupAround::default(),
            thread: ThreadAround::default(),
            raw: Span::default(),
            list: Span::default(),
        };
        queued.body();
        queued.find_inside();
        queued
    }

    pub(super) fn into_form(self) -> Bytes {
        self.form.into()
    }

    /// An envelope with nothing else in it. `None` if the form is too long for one.
    pub(super) fn into_envelope(mut self) -> Option<Envelope> {
        self.form.shrink_to_fit();
        let document = Document::nested(self.form.into(), DEEPEST).ok()?.small();
        self.change.contacts = (0, position(self.contacts.len()));
        let level = self.element.place.level;
        let element = Element {
            raw: self.raw,
            place: Position {
                change: 0,
                around: 0,
                list: self.list,
                ..self.element.place
            },
            ..self.element
        };
        let contacts = self.contacts.iter();
        let contacts = contacts
            .map(|contact| ContactAt::new(&document, *contact))
            .collect();
        Some(Envelope {
            document,
            object: self.object,
            entries: Few::of(self.entry),
            changes: Few::of(self.change),
            contacts,
            directory: OnceLock::new(),
            groups: (level == Level::Group)
                .then_some(self.group)
                .into_iter()
                .collect(),
            threads: (level == Level::Thread)
                .then_some(self.thread)
                .into_iter()
                .collect(),
            elements: vec![element],
        })
    }

    fn body(&mut self) {
        self.open("{");
        self.key(MARK);
        self.text(VERSION);
        self.text(",");
        let part = match self.element.place {
            place if place.has_parts => Some(FIRST),
            Position {
                level: Level::ChangeKey | Level::EntryKey,
                ..
            } => Some(FIRST),
            place if place.instead && place.level.is_inside_value() => Some(KEY),
            _ => None,
        };
        if let Some(part) = part {
            self.key(PART);
            self.text(part);
            self.text(",");
        }
        match self.level() {
            Level::Body => {
                self.key(b"body");
                self.raw();
            }
            Level::BodyKey => {
                self.key(b"body");
                self.open("{");
                self.object = self.member("object", self.from.object);
                self.list();
                self.close(r#","entry":[]}"#);
            }
            level => {
                self.object = self.member("object", self.from.object);
                self.key(b"entry");
                if level == Level::Entry {
                    self.elements();
                } else {
                    self.entry();
                }
            }
        }
        self.close("}");
    }

    fn entry(&mut self) {
        let entry = self.from.entry(&self.element);
        self.open("[{");
        let start = self.form.len() - 1;
        self.entry.id = self.member("id", entry.id);
        self.entry.time = self.member("time", entry.time);
        match self.level() {
            // Before what goes along with it: it is the first event that is read.
            Level::EntryKey => {
                self.list();
                self.text(",");
                self.scalars(self.from.scalars_of_entry(&self.element));
                self.close(r#""changes":[]"#);
            }
            level => {
                self.scalars(self.from.scalars_of_entry(&self.element));
                self.key(b"changes");
                if level == Level::Change {
                    self.elements();
                } else {
                    self.change();
                }
            }
        }
        self.close("}]");
        self.entry.raw = Some(Span::new(start, self.form.len().saturating_sub(1)));
    }

    /// What is small and stands by itself in the entry or the value.
    fn scalars(&mut self, scalars: Vec<Span>) {
        for scalar in scalars {
            let is_element = (self.element.raw).moved(scalar, Span::default()).is_some();
            if !is_element {
                self.verbatim(scalar);
                self.text(",");
            }
        }
    }

    fn change(&mut self) {
        let change = self.from.change(&self.element);
        self.open("[{");
        self.change.field = self.member("field", change.field);
        let start = match self.level() {
            Level::Value => self.whole_value(change),
            Level::ChangeKey => {
                self.list();
                self.text(",");
                self.value_beside(change)
            }
            _ => self.value(change),
        };
        self.change.value = Some(Span::new(start, self.form.len()));
        self.close("}]");
    }

    /// The value of a change whose unknown key is the element. Returns where it begins.
    fn value_beside(&mut self, change: Change) -> usize {
        self.key(b"value");
        let start = self.form.len();
        self.open("{");
        self.change.metadata = self.member("metadata", change.metadata);
        if self.change.metadata.is_some() {
            self.lists_are_cut(change);
            self.without_comma();
        }
        self.close("}");
        start
    }

    /// The element as the value. Returns where the value begins.
    fn whole_value(&mut self, change: Change) -> usize {
        // A change may have several values, and what stands in one goes with the elements of all. Of two the last counts, so this keeps
        // their order.
        let metadata = change
            .metadata
            .filter(|metadata| !self.is_inside(*metadata));
        let is_before = |metadata: &Span| metadata.range().start < self.element.raw.range().start;
        let (before, after) = (
            metadata.filter(is_before),
            metadata.filter(|it| !is_before(it)),
        );
        if before.is_some() {
            self.value_of_metadata(change, before);
            self.text(",");
        }
        self.key(b"value");
        let mut start = self.form.len();
        self.raw();
        if after.is_some() {
            self.text(",");
            start = self.value_of_metadata(change, after);
        }
        start
    }

    fn value_of_metadata(&mut self, change: Change, metadata: Option<Span>) -> usize {
        self.key(b"value");
        let start = self.form.len();
        self.open("{");
        self.change.metadata = self.member("metadata", metadata);
        self.lists_are_cut(change);
        self.without_comma();
        self.close("}");
        start
    }

    /// The value with the list that the element is in. Returns where it begins.
    fn value(&mut self, change: Change) -> usize {
        self.key(b"value");
        let start = self.form.len();
        self.open("{");
        self.change.metadata = self.member("metadata", change.metadata);
        self.change.conversation = self.member("conversation_context", change.conversation);
        self.contacts();
        self.scalars(self.from.scalars_of_value(&self.element));
        let is_list = !self.element.place.instead;
        if !(is_list && matches!(self.from.list(&self.element), Some("messages" | "statuses"))) {
            self.lists_are_cut(change);
        }
        match self.level() {
            Level::Standby => {
                self.key(b"standby");
                self.open("{");
                self.list();
                self.close("}");
            }
            Level::Group => self.group(),
            Level::Chunk => {
                self.key(b"history");
                self.open("[{");
                self.list();
                self.close("}]");
            }
            Level::Thread => self.thread(),
            _ => self.list(),
        }
        self.close("}");
        start
    }

    /// In a field that nobody knows, only values with messages are cut.
    fn lists_are_cut(&mut self, change: Change) {
        if cut(&self.from.document, change.field).is_none() {
            self.key(b"messages");
            self.text("[],");
        }
    }

    fn contacts(&mut self) {
        let contacts = std::mem::take(&mut self.meant);
        if contacts.is_empty() {
            return;
        }
        self.key(b"contacts");
        self.open("[");
        for contact in contacts {
            let contact = self.verbatim(contact);
            self.contacts.push(contact);
            self.text(",");
        }
        self.without_comma();
        self.close("],");
    }

    fn group(&mut self) {
        let group = self.from.group(&self.element);
        self.key(b"groups");
        self.open("[{");
        self.group = GroupAround {
            group_id: self.member("group_id", group.group_id),
            event: self.member("type", group.event),
            timestamp: self.member("timestamp", group.timestamp),
            request_id: self.member("request_id", group.request_id),
            reason: self.member("reason", group.reason),
            initiated_by: self.member("initiated_by", group.initiated_by),
        };
        self.list();
        self.close("}]");
    }

    fn thread(&mut self) {
        let thread = self.from.thread(&self.element);
        self.key(b"history");
        self.open("[{");
        self.thread.chunk = self.member("metadata", thread.chunk);
        self.key(b"threads");
        self.open("[{");
        self.thread.id = self.member("id", thread.id);
        self.thread.context = self.member("context", thread.context);
        self.list();
        self.close("}]}]");
    }

    /// The element in its list, under the very key of that.
    fn list(&mut self) {
        let key = self.from.document.bytes(self.element.place.list);
        let quote = key.iter().position(|byte| *byte == b'"');
        let start = self.form.len();
        self.form
            .extend_from_slice(key.get(quote.unwrap_or_default()..).unwrap_or_default());
        self.list = Span::new(start, self.form.len());
        self.elements();
    }

    /// The element as one of a list, or in the place of one.
    fn elements(&mut self) {
        if self.element.place.instead {
            self.raw();
        } else {
            self.open("[");
            self.raw();
            self.close("]");
        }
    }

    fn raw(&mut self) {
        self.raw = self.verbatim(self.element.raw);
    }

    /// A key and its value, if it has one that is not in the element.
    fn member(&mut self, key: &str, value: Option<Span>) -> Option<Span> {
        let value = value.filter(|value| !self.is_inside(*value))?;
        self.key(key.as_bytes());
        let value = self.verbatim(value);
        self.text(",");
        Some(value)
    }

    fn key(&mut self, key: &[u8]) {
        self.text("\"");
        self.form.extend_from_slice(key);
        self.text("\":");
    }

    fn verbatim(&mut self, span: Span) -> Span {
        let start = self.form.len();
        self.form.extend_from_slice(self.from.document.bytes(span));
        Span::new(start, self.form.len())
    }

    fn open(&mut self, brackets: &str) {
        self.text(brackets);
    }

    fn close(&mut self, brackets: &str) {
        let is_closed = self.closes_all && !self.raw.range().is_empty();
        if !is_closed {
            self.text(brackets);
        }
    }

    fn text(&mut self, text: &str) {
        self.form.extend_from_slice(text.as_bytes());
    }

    fn without_comma(&mut self) {
        self.form.pop();
    }

    fn is_inside(&self, span: Span) -> bool {
        span.moved(self.element.raw, Span::default()).is_some()
    }

    /// What goes with an element may be a part of it: the id of an entry without changes, say.
    fn find_inside(&mut self) {
        let (whole, copy) = (self.element.raw, self.raw);
        let find = |slot: &mut Option<Span>, span: Option<Span>| {
            *slot = slot.or_else(|| span?.moved(whole, copy));
        };
        let (entry, change) = (
            self.from.entry(&self.element),
            self.from.change(&self.element),
        );
        find(&mut self.object, self.from.object);
        find(&mut self.entry.id, entry.id);
        find(&mut self.entry.time, entry.time);
        find(&mut self.change.field, change.field);
        find(&mut self.change.metadata, change.metadata);
    }

    fn level(&self) -> Level {
        self.element.place.level
    }
}

const OVERFLOW: Kind = Kind::Unknown(Reason::Overflow);
