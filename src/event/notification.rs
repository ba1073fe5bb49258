use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    account::PhoneNumberSettings,
    contact::{Contact, Metadata},
    envelope::{Change, Element, Envelope, phone_number_id, scalar_at},
    group::{GroupEvent, ParticipantOutcome},
    handover::{ConversationContext, HandoverRecipient, SentMessage},
    history::{AppStateMetadata, HistoryChunk, ThreadContext},
    json::{Cursor, Document, IncrementalValidator, MAX_DEPTH, ParseError, Span, saturating_u32},
    key::EventKey,
    message::Message,
    payload::{Kind, Payload, Unknown},
    person::PersonIds,
    queue::{self, QueueError, Queued},
    schema::{Decode, Id, Lazy, Nothing, Person, Timestamp, UnreadPaths},
    status::Status,
};

/// A delivery, taken apart into its [`Event`]s.
///
/// In the extensions of every request that the [`WebhookLayer`](crate::WebhookLayer) lets through on its path. A clone is cheap: the
/// body is shared.
#[derive(Clone)]
pub struct Notification {
    envelope: Arc<Envelope>,
    events: Arc<[Event]>,
    suppressed: Arc<[Event]>,
    foreign: Arc<[Event]>,
    unprotected: bool,
}

impl Notification {
    /// Takes a body apart, without HTTP and without a signature: for consumers of a queue and for tests.
    ///
    /// The body is not copied. Its length must fit into 32 bits; the layer's limit is far below.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let notification = Notification::parse(r#"{"object":"whatsapp_business_account","entry":[]}"#)?;
    /// assert!(notification.events().is_empty());
    /// assert!(Notification::parse("not JSON").is_err());
    /// # Ok::<(), tower_whatsapp::event::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ParseError`] if it is not one JSON text in UTF-8, or nested deeper than 127. Whatever is JSON is taken, whatever it says.
    pub fn parse(body: impl Into<Bytes>) -> Result<Self, ParseError> {
        Ok(Self::of(Envelope::new(Document::new(body.into())?)))
    }

    /// Begins to take a body apart, bit by bit.
    pub(crate) fn begin(body: Bytes) -> Result<IncrementalValidator, ParseError> {
        IncrementalValidator::new(body, MAX_DEPTH)
    }

    /// The body has been found to be JSON.
    pub(crate) fn finish(parsing: IncrementalValidator) -> Self {
        Self::of(Envelope::new(parsing.into_document()))
    }

    /// All events, in the order of the body; with a `DedupLayer` those that were not handled yet. May be empty: Meta's own page has a
    /// delivery without any.
    ///
    /// More than 32,768 are not told apart: see [`Reason::Overflow`](super::Reason::Overflow).
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events that are not to be handled, because they were, or are being handled elsewhere, or are in [`events`](Self::events)
    /// already, or are stale and the layer was told to refuse such. Empty without a `DedupLayer`.
    #[must_use]
    pub fn suppressed(&self) -> &[Event] {
        &self.suppressed
    }

    /// Events about other accounts or phone numbers than those that the [`App`](crate::App) lists.
    /// They are not in [`events`](Self::events) and not deduplicated. Empty for an app without
    /// [`accounts`](crate::webhook::AppBuilder::accounts) and
    /// [`phone_numbers`](crate::webhook::AppBuilder::phone_numbers).
    ///
    /// With a `DedupLayer`, a delivery whose `events` were all handled before is answered without
    /// a call of the handler, even if it has foreign events.
    #[must_use]
    pub fn foreign(&self) -> &[Event] {
        &self.foreign
    }

    /// Whether the store of a `DedupLayer` could not be asked, and the layer was told to deliver all the same: these events may have
    /// been handled before, or be handled again.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        self.unprotected
    }

    /// The messages that the business received: what hosts that do nothing else need.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.events
            .iter()
            .filter_map(|event| match event.payload() {
                Payload::Message(message) => Some(message),
                _ => None,
            })
    }

    /// The statuses of messages that the business sent.
    pub fn statuses(&self) -> impl Iterator<Item = Status<'_>> {
        self.events
            .iter()
            .filter_map(|event| match event.payload() {
                Payload::Status(status) => Some(status),
                _ => None,
            })
    }

    /// The events of one business phone number: a delivery may mix those of several.
    pub fn of_phone_number<'a>(
        &'a self,
        phone_number_id: &'a str,
    ) -> impl Iterator<Item = &'a Event> {
        self.events
            .iter()
            .filter(move |event| event.phone_number_id() == Some(phone_number_id))
    }

    /// What the delivery is about: `whatsapp_business_account`.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        let object = self.envelope.object?;
        self.envelope.document.cursor_at(object).scalar()
    }

    /// The body exactly as it was received and signed, with all events that are in it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.envelope.document.body()
    }

    /// Bytes that are allocated beside the body.
    pub(crate) fn memory(&self) -> usize {
        let events = self.events.len() + self.suppressed.len();
        self.envelope.memory() + events * size_of::<Event>()
    }

    /// The same delivery with these events to be handled, and these not.
    #[cfg(feature = "tokio")]
    pub(crate) fn with(
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

    /// Moves the foreign events out of [`events`](Self::events), and keeps the order of both.
    pub(crate) fn set_aside(&mut self, mut is_foreign: impl FnMut(&Event) -> bool) {
        if !self.events.iter().any(&mut is_foreign) {
            return;
        }
        let (foreign, own): (Vec<_>, Vec<_>) = self.events.iter().cloned().partition(is_foreign);
        self.events = own.into();
        self.foreign = foreign.into();
    }

    /// Reads what [`Event::to_queue`] wrote: a notification with that one event, the same in everything that it says, its key included. What
    /// handles the notifications of the layer handles these as well.
    ///
    /// [`body`](Self::body) is what lay in the queue, and [`Event::value`] has of the value what goes with the event. An event for
    /// [`Reason::Overflow`](super::Reason::Overflow) comes out as the events that it stands for, up to 32,768 of them.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let delivery = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[
    ///     {"id":"wamid.A","type":"text","text":{"body":"hi"}}, {"id":"wamid.B"}]}}]}]}"#)?;
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
    /// [`QueueError`] if the bytes are not JSON, not such an event, or written by a later version in a form that this one does not know.
    pub fn from_queue(bytes: impl Into<Bytes>) -> Result<Self, QueueError> {
        queue::read(bytes.into()).map(Self::of)
    }

    fn of(envelope: Envelope) -> Self {
        let envelope = Arc::new(envelope);
        let events = (0..saturating_u32(envelope.elements.len()))
            .map(|index| Event {
                envelope: Arc::clone(&envelope),
                index,
                stale: false,
            })
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

/// Shows counts, nothing that anybody wrote.
impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("events", &self.events.len())
            .field("bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// One element of a delivery: one message, one status, or one thing that this version does not know.
///
/// A clone is cheap, and may be moved into tasks. It keeps the whole body alive, of up to 4 MiB.
#[derive(Clone)]
pub struct Event {
    envelope: Arc<Envelope>,
    index: u32,
    stale: bool,
}

impl Event {
    /// Its kind in snake case, as [`Payload::name`], without reading it: for logs, metrics and routing. Does not change between versions.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.element().kind.name()
    }

    /// What it says. Read from the JSON at each call: ask once and keep the result, which borrows from this event.
    #[must_use]
    pub fn payload(&self) -> Payload<'_> {
        let mut payload = self.payload_alone();
        self.add_surroundings(&mut payload);
        payload
    }

    /// Without what stands beside it: to find the person, all contacts may have to be looked at.
    pub(super) fn payload_alone(&self) -> Payload<'_> {
        let kind = self.element().kind;
        let payload = kind.read(&mut self.cursor());
        payload.unwrap_or_else(|| Payload::Unknown(self.unknown()))
    }

    /// Whether this version knows it in all its parts. If not, something in [`payload`](Self::payload) is absent, `Other` or
    /// `Unknown`, and [`raw`](Self::raw) has it.
    ///
    /// Keys that Meta adds to a known type leave it true: [`unread`](Self::unread) names them. So does what is absent, the body
    /// of a message for example: [`Message::has_body`](super::Message::has_body) tells.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.element().kind.is_known(&mut self.cursor())
    }

    /// Paths of the keys that the typed view of this version does not read, for example `system.previous_user_id`: names only, no
    /// values. Makes visible what Meta has added.
    ///
    /// A path is relative to [`raw`](Self::raw), with `[]` for the elements of a list and `.` for the whole. Paths of what
    /// stands beside the event (its contact, the metadata) begin with `value.` or `entry.`;
    /// [`envelope_value`](Self::envelope_value) has what stands there by itself. A key is named
    ///
    /// - if this version does not know it: once, whatever is in it;
    /// - if its value has the wrong type, so the typed view has nothing there;
    /// - if the object has it twice: the typed view has one of the two values.
    ///
    /// `null`, and an empty string in the place of an id or a time, stand for absence and are not named. A key that does
    /// not look like an identifier may be data, and is shown as `*`. At most 64 paths.
    ///
    /// Walks over the whole event: for logs and checks. It costs nothing unless it is called.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let notification = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[
    ///     {"id":"wamid.A","type":"text","text":{"body":"hi","font":"serif"},"mood":{"name":"merry"}}]}}]}]}"#)?;
    /// assert_eq!(notification.events()[0].unread(), ["text.font", "mood"]);
    /// # Ok::<(), tower_whatsapp::event::ParseError>(())
    /// ```
    #[must_use]
    pub fn unread(&self) -> Vec<String> {
        let mut paths = UnreadPaths::default();
        let element = self.element();
        element.kind.unread(&mut self.cursor(), &mut paths);
        let mut paths = paths.into_paths();
        if self.envelope.is_value(&element) {
            // A product name stands in every value, and says nothing.
            paths.retain(|path| path != "messaging_product");
        }
        let mut around = UnreadPaths::default();
        if self.envelope.is_in_value(&element) {
            self.unread_of_value(&element, &mut around);
        }
        if self.envelope.is_in_entry(&element) {
            let entry = around.enter(b"entry");
            self.unread_scalars(self.envelope.scalars_of_entry(&element), &mut around);
            around.leave(entry);
        }
        paths.extend(around.into_paths());
        paths
    }

    /// Notes what is not read of the value that the event is in.
    fn unread_of_value(&self, element: &Element, paths: &mut UnreadPaths) {
        let value = paths.enter(b"value");
        let change = self.change();
        self.unread_beside::<Metadata<'_>>(&[b"metadata"], change.metadata, paths);
        let context = [b"conversation_context".as_slice()];
        if matches!(element.kind, Kind::Message | Kind::StandbyMessage) {
            self.unread_beside::<ConversationContext<'_>>(&context, change.conversation, paths);
        } else {
            self.unread_beside::<Nothing>(&context, change.conversation, paths);
        }
        if let [contact] = self.contacts_meant()[..]
            && !matches!(element.kind, Kind::Unknown(_))
        {
            self.unread_beside::<Contact<'_>>(&[b"contacts", b"[]"], Some(contact), paths);
        }
        if element.kind == Kind::HistoryMessage {
            let thread = self.envelope.thread(element);
            let chunk: [&[u8]; 3] = [b"history", b"[]", b"metadata"];
            self.unread_beside::<HistoryChunk>(&chunk, thread.chunk, paths);
            let context: [&[u8]; 5] = [b"history", b"[]", b"threads", b"[]", b"context"];
            self.unread_beside::<ThreadContext<'_>>(&context, thread.context, paths);
        }
        self.unread_scalars(self.envelope.scalars_of_value(element), paths);
        paths.leave(value);
    }

    fn unread_scalars(&self, scalars: Vec<Span>, paths: &mut UnreadPaths) {
        for scalar in scalars {
            let key = self.envelope.document.key_at(scalar);
            self.unread_beside::<Nothing>(&[key], Some(scalar), paths);
        }
    }

    fn unread_beside<'a, R: Decode<'a>>(
        &'a self,
        path: &[&[u8]],
        span: Option<Span>,
        paths: &mut UnreadPaths,
    ) {
        let Some(span) = span else { return };
        let parent = paths.enter_all(path);
        R::unread(&mut self.envelope.document.cursor_at(span), paths);
        if let Some(parent) = parent {
            paths.leave(parent);
        }
    }

    /// All contacts of the value that the event is in, in the order of the body.
    ///
    /// The payload has the contact of the person that the event is about. Here are also those of the value's other events, and
    /// of other members of a group. A copy ([`detach`](Self::detach), [`to_queue`](Self::to_queue)) of such an event has the
    /// contact of its person only.
    pub fn contacts(&self) -> impl Iterator<Item = Contact<'_>> {
        let contacts = self.envelope.contacts_of_change(&self.element());
        contacts
            .iter()
            .filter_map(|contact| self.part::<Contact<'_>>(Some(contact.raw)))
    }

    /// Its id (`id`): of the message or call, of the message that a status is about or that a lead was seen in, or of an
    /// unknown object. Events of templates, groups and accounts have none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.cursor().member::<Id>(b"id")
    }

    /// Whether its [`key`](Self::key) tells it from a later event that says the same: it has an id, or a time.
    ///
    /// Meta sends some events without either, such as the errors of a phone number. A later one that says the same has the
    /// same key, so `DedupLayer` does not suppress such events: they are handled again when Meta repeats a delivery.
    #[must_use]
    pub fn is_distinguishable(&self) -> bool {
        EventKey::tells_apart(self)
    }

    /// What makes two deliveries of it the same event. Pure: the same in every process, and however Meta groups deliveries.
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey::of(self, "")
    }

    /// [`key`](Self::key) among those of one app: a process that serves several must not take one app's events for another's.
    #[must_use]
    pub fn key_in(&self, app: &str) -> EventKey {
        EventKey::of(self, app)
    }

    /// A copy that shares nothing with the body, for tasks and lists that keep single events for long: an event keeps the whole body alive,
    /// and that of a batch has up to 4 MiB. It costs some 800 bytes beside its JSON, so who keeps *all* events of a batch keeps the batch.
    ///
    /// All is as before but [`value`](Self::value), of which there is what goes with the event: the copy has the text of
    /// [`to_queue`](Self::to_queue) as its body.
    #[must_use]
    pub fn detach(&self) -> Self {
        let queued = Queued::new(&self.envelope, &self.element(), self.contacts_meant());
        match queued.into_envelope() {
            Some(envelope) => Self {
                envelope: Arc::new(envelope),
                index: 0,
                stale: self.stale,
            },
            // The event is all but the whole of a body of 4 GiB: the body is the copy.
            None => self.clone(),
        }
    }

    /// The event alone, as JSON for a queue: a delivery that Meta might have sent, with this one event in it. It is read again with
    /// [`Notification::from_queue`], and by consumers in other languages as any webhook. [The module](super#queues) has the form, and what it
    /// promises.
    ///
    /// It is as long as the event and what goes with it; at least some 200 bytes beside the event.
    #[must_use]
    pub fn to_queue(&self) -> Bytes {
        Queued::new(&self.envelope, &self.element(), self.contacts_meant()).into_form()
    }

    /// Its JSON as a type of your own.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Hologram {
    ///     id: String,
    ///     depth: u32,
    /// }
    ///
    /// let notification = Notification::parse(r#"{"entry":[{"changes":[{"field":"holograms","value":{"id":"7","depth":3}}]}]}"#)?;
    /// let hologram: Hologram = notification.events()[0].deserialize_raw()?;
    /// assert_eq!((hologram.id.as_str(), hologram.depth), ("7", 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DeserializeError`] if the JSON is not what `T` wants. Its source may quote the JSON.
    pub fn deserialize_raw<T: DeserializeOwned>(&self) -> Result<T, DeserializeError> {
        serde_json::from_str(self.raw()).map_err(DeserializeError)
    }

    /// Its JSON, exactly as it was received. Valid JSON, except for [`Reason::Overflow`](super::Reason::Overflow).
    #[must_use]
    pub fn raw(&self) -> &str {
        self.envelope.document.text(self.element().raw)
    }

    /// [`raw`](Self::raw) as bytes that share the body.
    #[must_use]
    pub fn raw_bytes(&self) -> Bytes {
        let body = self.envelope.document.body();
        body.slice(self.element().raw.range())
    }

    /// The JSON of the whole `value` that it is in, which may say more than its elements do.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        let value = self.change().value?;
        Some(self.envelope.document.text(value))
    }

    /// The field that the app has subscribed to: `messages`, `account_update`, ….
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.part::<Id>(self.change().field)
    }

    /// Id of the entry: most often that of the WhatsApp Business Account; `0` in the dashboard's tests. Where a partner is told
    /// of a customer's account it is the partner's portfolio, and the account is in
    /// [`AccountUpdate::waba_info`](super::AccountUpdate::waba_info).
    #[must_use]
    pub fn entry_id(&self) -> Option<&str> {
        self.part::<Id>(self.envelope.entry(&self.element()).id)
    }

    /// When the notification was sent. Absent from `messages`.
    #[must_use]
    pub fn entry_time(&self) -> Option<Timestamp> {
        self.part::<Timestamp>(self.envelope.entry(&self.element()).time)
    }

    /// When it happened, in its own words, else when the notification was sent.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let element = self.element();
        if element.kind == Kind::GroupParticipant {
            return self.part::<Timestamp>(self.envelope.group(&element).timestamp);
        }
        let timestamp = if element.kind == Kind::AppState {
            let metadata = self.cursor().member::<AppStateMetadata>(b"metadata");
            metadata.and_then(|metadata| metadata.timestamp)
        } else {
            self.cursor().member::<Timestamp>(b"timestamp")
        };
        timestamp.or_else(|| self.entry_time())
    }

    /// Whether it is so old that a `DedupLayer` may have forgotten that it was handled: a repeat of a delivery that was captured long
    /// ago, perhaps. `false` without such a layer.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The same event, marked as stale.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_stale(self) -> Self {
        Self {
            stale: true,
            ..self
        }
    }

    /// Its position among the events of this notification. `None` if it is not one of them.
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

    /// Id of the business phone number that it is about: from the metadata of its value, or from the event itself
    /// (`messaging_handovers`, `account_settings_update`). Events about an account have none.
    #[must_use]
    pub fn phone_number_id(&self) -> Option<&str> {
        self.metadata_phone_number_id()
            .or_else(|| match self.element().kind {
                Kind::Handover => {
                    let recipient = self.cursor().member::<HandoverRecipient<'_>>(b"recipient");
                    recipient?.phone_number_id
                }
                Kind::AccountSettings => {
                    let key = b"phone_number_settings";
                    let settings = self.cursor().member::<PhoneNumberSettings<'_>>(key);
                    settings?.phone_number_id
                }
                _ => None,
            })
    }

    /// What the metadata of the value say.
    pub(super) fn metadata_phone_number_id(&self) -> Option<&str> {
        let document = &self.envelope.document;
        let change = self.change();
        let id = match change.phone_number_id {
            Some(id) => id,
            None => phone_number_id(document, change.metadata),
        };
        (!id.range().is_empty()).then(|| scalar_at(document, id))?
    }

    /// Business phone number that it is about, for people: mostly digits. From the same places as
    /// [`phone_number_id`](Self::phone_number_id), and from events about a phone number.
    #[must_use]
    pub fn display_phone_number(&self) -> Option<&str> {
        let metadata = self.part::<Metadata<'_>>(self.change().metadata);
        metadata
            .and_then(|metadata| metadata.display_phone_number)
            .or_else(|| match self.element().kind {
                Kind::Handover => {
                    let recipient = self.cursor().member::<HandoverRecipient<'_>>(b"recipient");
                    recipient?.display_phone_number
                }
                Kind::PhoneNumberName
                | Kind::PhoneNumberQuality
                | Kind::Security
                | Kind::BusinessUsername => self.cursor().member::<Person>(b"display_phone_number"),
                _ => None,
            })
    }

    /// Text or number under a key of the value that it is in, else of the entry, for keys that Meta has added there and that
    /// [`unread`](Self::unread) names.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let notification = Notification::parse(r#"{"entry":[{"id":"1","waac_id":"7","changes":[{"field":"messages","value":{
    ///     "messages":[{"id":"wamid.A","type":"text","text":{"body":"hi"}}]}}]}]}"#)?;
    /// let [message] = notification.events() else { unreachable!() };
    /// assert_eq!(message.unread(), ["entry.waac_id"]);
    /// assert_eq!(message.envelope_value("waac_id"), Some("7"));
    /// # Ok::<(), tower_whatsapp::event::ParseError>(())
    /// ```
    #[must_use]
    pub fn envelope_value(&self, key: &str) -> Option<&str> {
        let entry = self.envelope.entry(&self.element()).raw;
        [self.change().value, entry]
            .into_iter()
            .flatten()
            .find_map(|object| {
                let cursor = self.envelope.document.cursor_at(object);
                cursor.member::<Id>(key.as_bytes())
            })
    }

    /// Adds what stands beside the element: the person, the group, the thread.
    fn add_surroundings<'a>(&'a self, payload: &mut Payload<'a>) {
        let contact = self.nested(self.contact_of(payload));
        match payload {
            Payload::Message(message) | Payload::StandbyMessage(message) => {
                message.sender.contact = contact;
                message.conversation =
                    self.part::<ConversationContext<'_>>(self.change().conversation);
            }
            Payload::Status(status) | Payload::StandbyStatus(status) => {
                status.recipient.contact = contact;
            }
            Payload::Call(call) => call.contact = contact,
            Payload::CallStatus(status) => status.contact = contact,
            Payload::Echo(echo) => echo.contact = contact,
            Payload::StandbyEcho(echo) => echo.contact = contact,
            Payload::UserPreference(preference) => preference.contact = contact,
            Payload::UserIdUpdate(update) => update.contact = contact,
            Payload::UserAction(action) => action.contact = contact,
            Payload::GroupParticipant(participant) => {
                let group = self.envelope.group(&self.element());
                participant.outcome = ParticipantOutcome::of_list(self.list());
                participant.group_id = self.part::<Id>(group.group_id);
                participant.event = self.part::<GroupEvent<'_>>(group.event);
                participant.timestamp = self.part::<Timestamp>(group.timestamp);
                participant.request_id = self.part::<Id>(group.request_id);
                participant.reason = self.part::<Id>(group.reason);
                participant.initiated_by = self.part::<Id>(group.initiated_by);
                participant.contact = contact;
            }
            Payload::HistoryMessage(message) => {
                let thread = self.envelope.thread(&self.element());
                message.thread_id = self.part::<Person>(thread.id);
                message.thread = self.part::<ThreadContext<'_>>(thread.context);
                message.chunk = self.part::<HistoryChunk>(thread.chunk);
                message.contact = contact;
            }
            _ => {}
        }
    }

    /// The contact of the person that the event is about: found by user id, else by WhatsApp id, else the only one there is.
    fn contact_of(&self, payload: &Payload<'_>) -> Option<Span> {
        let element = self.element();
        let contacts = self.envelope.contacts_of_change(&element);
        let only = match contacts {
            [] => return None,
            [contact] => Some(contact.raw),
            _ => None,
        };
        // Nothing in the action names a person.
        if let Payload::UserAction(_) = payload {
            return only;
        }
        let ids = self.person(payload)?;
        let found = ids
            .iter()
            .find_map(|id| self.envelope.contact(&element, id));
        found.or_else(|| {
            // WhatsApp ids differ from phone numbers in some countries, and either may be hidden.
            let contact = self.part::<Contact<'_>>(only)?;
            let is_theirs = !ids.conflict_with(contact.user_id) && self.is_all_about(&ids);
            only.filter(|_| is_theirs)
        })
    }

    /// The ids of the person that the event is about. `None` for kinds that are about no person of the contacts.
    fn person<'a>(&'a self, payload: &Payload<'a>) -> Option<PersonIds<'a>> {
        Some(match payload {
            Payload::Message(message) | Payload::StandbyMessage(message) => {
                PersonIds::new(message.sender.from_user_id, message.sender.phone)
            }
            Payload::Status(status) | Payload::StandbyStatus(status) => {
                let recipient = status.recipient;
                // In a group the recipient is the group, and the person the participant.
                match (recipient.participant_user_id, recipient.participant_id) {
                    (None, None) => PersonIds::new(recipient.user_id, recipient.id),
                    (user_id, number) => PersonIds::new(user_id, number),
                }
            }
            Payload::Call(call) => PersonIds {
                users: [call.from_user_id, call.to_user_id, None],
                numbers: [call.from, call.to, None, None],
            },
            Payload::CallStatus(status) => {
                PersonIds::new(status.recipient_user_id, status.recipient_id)
            }
            Payload::Echo(echo) => PersonIds::new(echo.to_user_id, echo.to),
            Payload::StandbyEcho(_) => {
                let message = self.cursor().member::<SentMessage<'_>>(b"message");
                message.map_or_else(PersonIds::default, |message| {
                    PersonIds::new(message.recipient, message.to)
                })
            }
            Payload::UserPreference(preference) => {
                PersonIds::new(preference.user_id, preference.wa_id)
            }
            Payload::UserIdUpdate(update) => {
                let change = update.user_id.unwrap_or_default();
                PersonIds {
                    users: [change.current, None, None],
                    // The contact may still have the id before the change.
                    numbers: [update.wa_id, change.previous, None, None],
                }
            }
            Payload::GroupParticipant(participant) => {
                PersonIds::new(participant.user_id, participant.wa_id)
            }
            Payload::HistoryMessage(message) => {
                let thread = self.envelope.thread(&self.element());
                let context = self.part::<ThreadContext<'_>>(thread.context);
                let context = context.unwrap_or_default();
                PersonIds {
                    users: [context.user_id, message.from_user_id, message.to_user_id],
                    numbers: [
                        context.wa_id,
                        self.part::<Person>(thread.id),
                        message.from,
                        message.to,
                    ],
                }
            }
            _ => return None,
        })
    }

    /// Whether all events of the change that are about a person are about this one. Only looked at among a few.
    fn is_all_about(&self, ids: &PersonIds<'_>) -> bool {
        let Some(mut beside) = self.envelope.few_siblings(self.index) else {
            return false;
        };
        beside.all(|index| {
            let other = Self {
                envelope: Arc::clone(&self.envelope),
                index,
                stale: false,
            };
            let payload = other.payload_alone();
            other
                .person(&payload)
                .is_none_or(|other| other.overlap(ids))
        })
    }

    /// The contacts that go with the event where it stands alone.
    fn contacts_meant(&self) -> Vec<Span> {
        let element = self.element();
        match element.kind {
            Kind::Unknown(_) => self.envelope.contacts_named_in(&element),
            kind => {
                let payload = self.payload_alone();
                if kind == Kind::UserAction || self.person(&payload).is_some() {
                    self.contact_of(&payload).into_iter().collect()
                } else {
                    self.envelope.contacts_named_in(&element)
                }
            }
        }
    }

    /// Reads something that stands beside the element.
    fn part<'a, R: Decode<'a>>(&'a self, span: Option<Span>) -> Option<R::Output> {
        R::decode(&mut self.envelope.document.cursor_at(span?))
    }

    fn nested<T>(&self, span: Option<Span>) -> Lazy<'_, T> {
        Lazy::new(span.map(|span| self.envelope.document.cursor_with_text(span)))
    }

    fn change(&self) -> Change {
        self.envelope.change(&self.element())
    }

    pub(super) fn list(&self) -> Option<&str> {
        self.envelope.list(&self.element())
    }

    /// What it is, without reading it.
    pub(super) fn payload_kind(&self) -> Kind {
        self.element().kind
    }

    fn unknown(&self) -> Unknown<'_> {
        let element = self.element();
        Unknown {
            reason: match element.kind {
                Kind::Unknown(reason) => reason,
                _ => super::Reason::Shape,
            },
            list: self.list(),
            id: self.id(),
            raw: self.raw(),
        }
    }

    fn cursor(&self) -> Cursor<'_> {
        self.envelope.document.cursor_with_text(self.element().raw)
    }

    fn element(&self) -> Element {
        self.envelope.element(self.index)
    }
}

/// Shows what it is and its id, nothing that anybody wrote.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("payload", &self.payload())
            .finish_non_exhaustive()
    }
}

/// The JSON of an event is not what a type wants.
#[derive(Debug)]
pub struct DeserializeError(serde_json::Error);

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event is not of the type that it was to become")
    }
}

impl Error for DeserializeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
