//! One delivery, parsed.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{
    envelope::Envelope,
    event::Event,
    json::{Document, IncrementalValidator, MAX_DEPTH, ParseError, saturating_u32},
    message::Message,
    payload::Payload,
    queue::{self, QueueError},
    status::Status,
};

/// A delivery, split into its [`Event`]s.
///
/// The [`WebhookLayer`](crate::WebhookLayer) puts it into the extensions of every verified request
/// on its path. A clone is cheap: the body is shared.
pub struct Notification {
    envelope: Arc<Envelope>,
    events: Arc<[Event]>,
    suppressed: Arc<[Event]>,
    foreign: Arc<[Event]>,
    unprotected: bool,
}

/// Marks the delivery as read: the host keeps the events, and may answer before it reads them. It
/// is not known who clones: axum's `Extension` for a handler, or a middleware all extensions.
impl Clone for Notification {
    fn clone(&self) -> Self {
        self.mark_read();
        self.clone_unread()
    }
}

impl Notification {
    /// Parses a body without HTTP and without checking a signature, for consumers of a queue and
    /// for tests.
    ///
    /// The body is not copied. Its length must fit into 32 bits; the layer's own limit is far
    /// below that.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let body = r#"{"object":"whatsapp_business_account","entry":[]}"#;
    /// let notification = Notification::parse(body)?;
    /// assert!(notification.events().is_empty());
    /// assert!(Notification::parse("not JSON").is_err());
    /// # Ok::<(), tower_whatsapp::event::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ParseError`] if the body is not one JSON text in UTF-8, or is nested deeper than
    /// 127 levels. Any other JSON is accepted, whatever it contains.
    pub fn parse(body: impl Into<Bytes>) -> Result<Self, ParseError> {
        Ok(Self::from_envelope(Envelope::new(Document::new(
            body.into(),
        )?)))
    }

    /// Starts to parse a body in steps.
    pub(crate) fn begin(body: Bytes) -> Result<IncrementalValidator, ParseError> {
        IncrementalValidator::new(body, MAX_DEPTH)
    }

    /// Splits a body that has been validated.
    pub(crate) fn finish(parsing: IncrementalValidator) -> Self {
        Self::from_envelope(Envelope::new(parsing.into_document()))
    }

    /// Returns the events in the order of the body. With a `DedupLayer`, only those that have not
    /// been handled yet.
    ///
    /// May be empty: Meta's own documentation has a delivery without events. A delivery with more
    /// than 32,768 elements is not split completely: see
    /// [`Reason::Overflow`](super::Reason::Overflow).
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.mark_read();
        &self.events
    }

    /// Returns the events that must not be handled. Empty without a `DedupLayer`.
    ///
    /// These events were handled before, are being handled elsewhere, are duplicates of one in
    /// [`events`](Self::events), or are stale and the layer is configured to refuse stale events.
    #[must_use]
    pub fn suppressed(&self) -> &[Event] {
        self.mark_read();
        &self.suppressed
    }

    /// Returns the events about other accounts or phone numbers than those that the
    /// [`App`](crate::App) lists.
    ///
    /// They are not in [`events`](Self::events). Empty for an app without
    /// [`accounts`](crate::webhook::AppBuilder::accounts) and
    /// [`phone_numbers`](crate::webhook::AppBuilder::phone_numbers).
    ///
    /// A `DedupLayer` does not deduplicate them: it calls the handler for each delivery that has
    /// some, with empty `events` if all of those were handled before.
    #[must_use]
    pub fn foreign(&self) -> &[Event] {
        self.mark_read();
        &self.foreign
    }

    /// Returns whether the events are delivered without deduplication, because the store of a
    /// `DedupLayer` failed and the layer is configured to deliver in that case.
    ///
    /// These events may have been handled before, and may be handled again.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        self.unprotected
    }

    /// Returns the messages that the business received, for hosts that need nothing else.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.events()
            .iter()
            .filter_map(|event| match event.payload() {
                Payload::Message(message) => Some(message),
                _ => None,
            })
    }

    /// Returns the statuses of messages that the business sent.
    pub fn statuses(&self) -> impl Iterator<Item = Status<'_>> {
        self.events()
            .iter()
            .filter_map(|event| match event.payload() {
                Payload::Status(status) => Some(status),
                _ => None,
            })
    }

    /// Returns the events of one business phone number. A delivery may contain events of several.
    pub fn of_phone_number<'a>(
        &'a self,
        phone_number_id: &'a str,
    ) -> impl Iterator<Item = &'a Event> {
        self.events()
            .iter()
            .filter(move |event| event.phone_number_id() == Some(phone_number_id))
    }

    /// Returns the type of the subscribed object (`object`): `whatsapp_business_account`.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        let object = self.envelope.object?;
        self.envelope.document.cursor_at(object).scalar()
    }

    /// Returns the body exactly as it was received and signed, with all of its events.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.mark_read();
        self.envelope.document.body()
    }

    /// Clones without marking the delivery as read, for the layers.
    pub(crate) fn clone_unread(&self) -> Self {
        Self {
            envelope: Arc::clone(&self.envelope),
            events: Arc::clone(&self.events),
            suppressed: Arc::clone(&self.suppressed),
            foreign: Arc::clone(&self.foreign),
            unprotected: self.unprotected,
        }
    }

    /// [`events`](Self::events), for the layers.
    pub(crate) fn peek_events(&self) -> &[Event] {
        &self.events
    }

    /// [`suppressed`](Self::suppressed), for the layers.
    #[cfg(feature = "tokio")]
    pub(crate) fn peek_suppressed(&self) -> &[Event] {
        &self.suppressed
    }

    /// [`foreign`](Self::foreign), for the layers.
    #[cfg(feature = "tokio")]
    pub(crate) fn peek_foreign(&self) -> &[Event] {
        &self.foreign
    }

    /// [`body`](Self::body), for the layers.
    pub(crate) fn peek_body(&self) -> &Bytes {
        self.envelope.document.body()
    }

    /// Marks the delivery as read by the host.
    #[inline]
    pub(crate) fn mark_read(&self) {
        self.envelope.is_read.store(true, Ordering::Relaxed);
    }

    /// Returns a handle that tells whether the host has read the delivery.
    pub(crate) fn read_state(&self) -> ReadState {
        ReadState(Arc::clone(&self.envelope))
    }

    /// Bytes that are allocated in addition to the body.
    pub(crate) fn memory(&self) -> usize {
        let events = self.events.len() + self.suppressed.len() + self.foreign.len();
        self.envelope.memory() + events * size_of::<Event>()
    }

    /// The same delivery with other lists of fresh and suppressed events.
    #[cfg(feature = "tokio")]
    pub(crate) fn with_events(
        &self,
        fresh: Vec<Event>,
        suppressed: Vec<Event>,
        unprotected: bool,
    ) -> Self {
        Self {
            envelope: Arc::clone(&self.envelope),
            events: fresh.into(),
            suppressed: suppressed.into(),
            foreign: Arc::clone(&self.foreign),
            unprotected,
        }
    }

    /// Moves the foreign events out of [`events`](Self::events) of a delivery that was not filtered
    /// yet. Both lists keep their order. Asks once for each event. Returns the number moved.
    pub(crate) fn separate_foreign(&mut self, mut is_foreign: impl FnMut(&Event) -> bool) -> usize {
        let Some(first) = self.events.iter().position(&mut is_foreign) else {
            return 0;
        };
        let (mut own, mut foreign) = (Vec::new(), Vec::new());
        for (at, event) in self.events.iter().enumerate() {
            let list = match at == first || at > first && is_foreign(event) {
                true => &mut foreign,
                false => &mut own,
            };
            list.push(event.clone());
        }
        self.events = own.into();
        self.foreign = foreign.into();
        self.foreign.len()
    }

    /// Parses the JSON that [`Event::to_queue`] wrote.
    ///
    /// Returns a notification with that one event, equal in content and in
    /// [`key`](Event::key). Code that handles notifications of the layer handles these as well.
    ///
    /// Two things differ: [`body`](Self::body) is the JSON from the queue, and [`Event::value`]
    /// has only the parts of the value that belong to the event. An event with
    /// [`Reason::Overflow`](super::Reason::Overflow) is split into the events that it stands for,
    /// up to 32,768 of them.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let delivery = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages","value":{
    ///     "messages":[{"id":"wamid.A","type":"text","text":{"body":"hi"}}, {"id":"wamid.B"}]
    /// }}]}]}"#)?;
    /// let queue: Vec<_> = delivery.events().iter().map(|event| event.to_queue()).collect();
    ///
    /// for (queued, event) in queue.into_iter().zip(delivery.events()) {
    ///     let notification = Notification::from_queue(queued)?;
    ///     let [again] = notification.events() else { unreachable!() };
    ///     assert_eq!(again.key(), event.key());
    ///     assert_eq!(again.payload(), event.payload());
    ///     assert_eq!(again.raw(), event.raw());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`QueueError`] if the bytes are not JSON, are not a queued event, or were written
    /// by a later version of this crate in a format that this version does not know.
    pub fn from_queue(bytes: impl Into<Bytes>) -> Result<Self, QueueError> {
        queue::read(bytes.into()).map(Self::from_envelope)
    }

    fn from_envelope(envelope: Envelope) -> Self {
        let envelope = Arc::new(envelope);
        let events = (0..saturating_u32(envelope.elements.len()))
            .map(|index| Event::new(Arc::clone(&envelope), index))
            .collect();
        Self {
            envelope,
            events,
            suppressed: Arc::default(),
            foreign: Arc::default(),
            unprotected: false,
        }
    }
}

/// Whether the host has read a delivery: its events, its body, or a copy of the notification.
pub(crate) struct ReadState(Arc<Envelope>);

impl ReadState {
    /// Whether there is something to read that nobody has read.
    pub(crate) fn is_unread(&self) -> bool {
        !self.0.elements.is_empty() && !self.0.is_read.load(Ordering::Relaxed)
    }
}

/// Shows counts only, no content of the delivery.
impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("events", &self.events.len())
            .field("bytes", &self.peek_body().len())
            .finish_non_exhaustive()
    }
}

impl Event {
    /// Position of the event among the events of `notification`. `None` if it is not one of them.
    #[cfg(feature = "tokio")]
    pub(crate) fn position_in(&self, notification: &Notification) -> Option<usize> {
        if !Arc::ptr_eq(&self.envelope, &notification.envelope) {
            return None;
        }
        let events = &notification.events;
        events
            .binary_search_by_key(&self.index, |event| event.index)
            .ok()
    }
}
