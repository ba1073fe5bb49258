//! One element of a delivery, as hosts see it.

use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    account::PhoneNumberSettings,
    contact::{Contact, Metadata},
    element::ElementRef,
    envelope::{Envelope, phone_number_id, scalar_at},
    handover::HandoverRecipient,
    history::AppStateMetadata,
    json::Span,
    payload::{Kind, Payload},
    queue::QueueWriter,
    schema::{Id, PersonalId, Timestamp},
};

/// One element of a delivery: one message, one status, or one thing that this version does not
/// know.
///
/// A clone is cheap and may be moved into tasks. It keeps the whole body alive, which is up to
/// 4 MiB; [`detach`](Self::detach) makes a small copy.
#[derive(Clone)]
pub struct Event {
    pub(super) envelope: Arc<Envelope>,
    /// Position in [`Envelope::elements`].
    pub(super) index: u32,
    stale: bool,
}

impl Event {
    #[inline]
    pub(super) fn new(envelope: Arc<Envelope>, index: u32) -> Self {
        Self {
            envelope,
            index,
            stale: false,
        }
    }

    /// Returns the kind of the event in snake case, for logs, metrics and routing.
    ///
    /// The same text as [`Payload::name`], without decoding the payload. The names are stable
    /// across versions of this crate.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.element().kind().name()
    }

    /// Decodes the event.
    ///
    /// Each call reads the JSON again, so call it once per event and keep the result. The result
    /// borrows from this event.
    #[must_use]
    pub fn payload(&self) -> Payload<'_> {
        self.element().payload()
    }

    /// Returns whether this version of the crate knows all parts of the event.
    ///
    /// If not, something in [`payload`](Self::payload) is absent, `Other` or `Unknown`;
    /// [`raw`](Self::raw) has the JSON.
    ///
    /// Keys that Meta adds to a known type do not make an event unknown;
    /// [`unread`](Self::unread) lists them. Absent parts do not either: see
    /// [`Message::has_body`](super::Message::has_body) for the body of a message.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let element = self.element();
        element.kind().is_known(&mut element.cursor())
    }

    /// Returns the paths of the JSON keys that the typed view does not read, for example
    /// `system.previous_user_id`.
    ///
    /// Use it to notice what Meta has added. Paths contain key names only, never values. At most
    /// 64 paths are returned.
    ///
    /// A path is relative to [`raw`](Self::raw), with `[]` for the elements of a list and `.` for
    /// the event itself. Paths in the envelope, such as those of the contact or the metadata, begin
    /// with `value.` or `entry.`; [`envelope_value`](Self::envelope_value) reads a text or number
    /// there. A key is listed if
    ///
    /// - this version does not know it (listed once, whatever it contains);
    /// - its value has the wrong type, so the typed view has nothing for it;
    /// - the object contains it twice, so the typed view has one of the two values.
    ///
    /// `null`, and an empty string in the place of an id or a time, count as absent and are not
    /// listed. A key that does not look like an identifier may be data and is shown as `*`.
    ///
    /// Walks over the whole event, so it is meant for logs and checks. There is no cost unless it
    /// is called.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let notification = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages",
    ///     "value":{"messages":[{"id":"wamid.A","type":"text",
    ///         "text":{"body":"hi","font":"serif"},"mood":{"name":"merry"}}]}}]}]}"#)?;
    /// assert_eq!(notification.events()[0].unread(), ["text.font", "mood"]);
    /// # Ok::<(), tower_whatsapp::event::ParseError>(())
    /// ```
    #[must_use]
    pub fn unread(&self) -> Vec<String> {
        self.element().unread()
    }

    /// The same for telemetry, which must not take long: walks over at most `budget` bytes, and
    /// subtracts them.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn unread_within(&self, budget: &mut usize) -> Vec<String> {
        self.element().unread_within(budget)
    }

    /// Returns all contacts of the value that contains the event, in the order of the body.
    ///
    /// The payload already has the contact of the person that the event is about. This list also
    /// has the contacts of the value's other events and of other members of a group. A copy of
    /// the event ([`detach`](Self::detach), [`to_queue`](Self::to_queue)) has only the contact of
    /// its own person.
    pub fn contacts(&self) -> impl Iterator<Item = Contact<'_>> {
        let element = self.element();
        let contacts = self.envelope.contacts_of_change(&element.element);
        contacts
            .iter()
            .filter_map(move |contact| element.decode_at::<Contact<'_>>(Some(contact.raw)))
    }

    /// Returns the id of the element (`id`).
    ///
    /// The id of a message or call, of the message that a status is about, of the message in
    /// which a lead was detected, or of an unknown object. Events about templates, groups and
    /// accounts have none.
    #[doc(alias = "wamid")]
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.element().id()
    }

    /// Returns a copy that does not keep the body of its delivery alive.
    ///
    /// Use it for tasks and lists that keep single events for a long time: the body of a batch
    /// has up to 4 MiB. A copy costs about 800 bytes in addition to its JSON, so keeping copies
    /// of *all* events of a batch takes more memory than keeping the batch.
    ///
    /// The copy differs in [`value`](Self::value) and [`contacts`](Self::contacts), which contain
    /// only what belongs to the event: its body is the text of [`to_queue`](Self::to_queue).
    #[must_use]
    pub fn detach(&self) -> Self {
        match self.queue_writer().into_envelope() {
            Some(envelope) => Self {
                stale: self.stale,
                ..Self::new(Arc::new(envelope), 0)
            },
            // The event fills a body of nearly 4 GiB, so the body serves as the copy.
            None => self.clone(),
        }
    }

    /// Serializes the event alone, as JSON for a queue.
    ///
    /// The JSON has the shape of a delivery from Meta with this one event in it. Read it with
    /// [`Notification::from_queue`](super::Notification::from_queue), or in another language as
    /// any webhook. [The module documentation](super#queues) describes the format and its
    /// guarantees.
    ///
    /// The length is that of the event and of the parts of the envelope that belong to it, plus at
    /// least 200 bytes.
    #[must_use]
    pub fn to_queue(&self) -> Bytes {
        self.queue_writer().into_bytes()
    }

    fn queue_writer(&self) -> QueueWriter<'_> {
        let element = self.element();
        QueueWriter::new(&self.envelope, &element.element, element.related_contacts())
    }

    /// Deserializes the JSON of the event into a type of your own.
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
    /// let notification = Notification::parse(
    ///     r#"{"entry":[{"changes":[{"field":"holograms","value":{"id":"7","depth":3}}]}]}"#,
    /// )?;
    /// let hologram: Hologram = notification.events()[0].deserialize_raw()?;
    /// assert_eq!((hologram.id.as_str(), hologram.depth), ("7", 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`DeserializeError`] if the JSON does not match `T`.
    pub fn deserialize_raw<T: DeserializeOwned>(&self) -> Result<T, DeserializeError> {
        serde_json::from_str(self.raw()).map_err(|error| DeserializeError::new(&error))
    }

    /// Returns the JSON of the event, exactly as it was received.
    ///
    /// It is valid JSON, except with [`Reason::Overflow`](super::Reason::Overflow).
    #[must_use]
    pub fn raw(&self) -> &str {
        self.element().raw()
    }

    /// Returns the length of [`raw`](Self::raw) in bytes, without a look at the text.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn raw_len(&self) -> usize {
        self.element().element.raw.len()
    }

    /// Returns [`raw`](Self::raw) as bytes that share the body.
    #[must_use]
    pub fn raw_bytes(&self) -> Bytes {
        let body = self.envelope.document.body();
        body.slice(self.element().element.raw.range())
    }

    /// Returns the JSON of the whole `value` that contains the event. It may have more in it than
    /// its elements.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        let value = self.element().change().value?;
        Some(self.envelope.document.text(value))
    }

    /// Whether the event may name the account that it is about, beside its entry.
    pub(crate) fn may_name_account(&self) -> bool {
        matches!(
            self.element().kind(),
            Kind::AccountUpdate | Kind::PartnerSolution
        )
    }

    /// The change whose account and phone number the event has. `None` for one that may name its
    /// own, and outside of changes.
    pub(crate) fn deciding_change(&self) -> Option<u32> {
        let element = self.element();
        match element.kind() {
            Kind::AccountUpdate
            | Kind::PartnerSolution
            | Kind::Handover
            | Kind::AccountSettings => None,
            _ => element.element.position.change(),
        }
    }

    /// Returns the webhook field that the app has subscribed to: `messages`, `account_update`, ….
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        let element = self.element();
        element.decode_at::<Id>(element.change().field)
    }

    /// Returns the id of the entry (`entry[].id`), usually the WhatsApp Business Account.
    ///
    /// It is `0` in the test deliveries of the App Dashboard. In events that tell a partner about
    /// a customer's account it is the partner's portfolio; the account is then in
    /// [`AccountUpdate::waba_info`](super::AccountUpdate::waba_info).
    #[doc(alias = "waba")]
    #[must_use]
    pub fn entry_id(&self) -> Option<&str> {
        let element = self.element();
        element.decode_at::<Id>(element.entry().id)
    }

    /// Returns the Unix time at which the notification was sent (`entry[].time`). Absent from
    /// `messages`.
    #[must_use]
    pub fn entry_time(&self) -> Option<Timestamp> {
        let element = self.element();
        element.decode_at::<Timestamp>(element.entry().time)
    }

    /// Returns the Unix time of the event (`timestamp`), or [`entry_time`](Self::entry_time) if
    /// the event has none.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let element = self.element();
        let timestamp = match element.kind() {
            Kind::GroupParticipant => {
                let group = self.envelope.group(&element.element);
                element.decode_at::<Timestamp>(group.timestamp)
            }
            Kind::AppState => {
                let metadata = element.cursor().member::<AppStateMetadata>(b"metadata");
                metadata.and_then(|metadata| metadata.timestamp)
            }
            _ => element.bare_cursor().member::<Timestamp>(b"timestamp"),
        };
        timestamp.or_else(|| self.entry_time())
    }

    /// Returns whether the event is so old that a `DedupLayer` may have forgotten whether it was
    /// handled, for example in a replay of a delivery that was captured long ago.
    ///
    /// Always `false` without a `DedupLayer`.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn into_stale(self) -> Self {
        Self {
            stale: true,
            ..self
        }
    }

    /// Returns the id of the business phone number that the event is about.
    ///
    /// Read from the metadata of the value, or from the event itself for `messaging_handovers`
    /// and `account_settings_update`. Events about an account have none.
    #[must_use]
    pub fn phone_number_id(&self) -> Option<&str> {
        let element = self.element();
        self.metadata_phone_number_id()
            .or_else(|| match element.kind() {
                Kind::Handover => {
                    let key = b"recipient";
                    let recipient = element.cursor().member::<HandoverRecipient<'_>>(key);
                    recipient?.phone_number_id
                }
                Kind::AccountSettings => {
                    let key = b"phone_number_settings";
                    let settings = element.cursor().member::<PhoneNumberSettings<'_>>(key);
                    settings?.phone_number_id
                }
                _ => None,
            })
    }

    /// The phone number id in the metadata of the value.
    fn metadata_phone_number_id(&self) -> Option<&str> {
        scalar_at(&self.envelope.document, self.phone_number_id_span()?)
    }

    /// The phone number id in the metadata of the value, for a key.
    pub(super) fn metadata_phone_number_id_bytes(&self) -> Option<&[u8]> {
        let document = &self.envelope.document;
        let id = self.phone_number_id_span()?;
        document.cursor_at(id).scalar_bytes()
    }

    fn phone_number_id_span(&self) -> Option<Span> {
        let change = self.element().change();
        let id = match change.phone_number_id {
            Some(id) => id,
            None => phone_number_id(&self.envelope.document, change.metadata),
        };
        (!id.range().is_empty()).then_some(id)
    }

    /// Returns the business phone number that the event is about, formatted for people: mostly
    /// digits.
    ///
    /// Read from the same places as [`phone_number_id`](Self::phone_number_id), and from events
    /// about a phone number.
    #[must_use]
    pub fn display_phone_number(&self) -> Option<&str> {
        let element = self.element();
        let metadata = element.decode_at::<Metadata<'_>>(element.change().metadata);
        metadata
            .and_then(|metadata| metadata.display_phone_number)
            .or_else(|| match element.kind() {
                Kind::Handover => {
                    let key = b"recipient";
                    let recipient = element.cursor().member::<HandoverRecipient<'_>>(key);
                    recipient?.display_phone_number
                }
                Kind::PhoneNumberName
                | Kind::PhoneNumberQuality
                | Kind::Security
                | Kind::BusinessUsername => element
                    .cursor()
                    .member::<PersonalId>(b"display_phone_number"),
                _ => None,
            })
    }

    /// Returns the text or number under a key of the value that contains the event, else of the
    /// entry.
    ///
    /// For keys that Meta has added there and that [`unread`](Self::unread) lists.
    ///
    /// ```
    /// use tower_whatsapp::Notification;
    ///
    /// let notification = Notification::parse(r#"{"entry":[{"id":"1","waac_id":"7","changes":[
    ///     {"field":"messages","value":{"messages":[
    ///         {"id":"wamid.A","type":"text","text":{"body":"hi"}}]}}]}]}"#)?;
    /// let [message] = notification.events() else { unreachable!() };
    /// assert_eq!(message.unread(), ["entry.waac_id"]);
    /// assert_eq!(message.envelope_value("waac_id"), Some("7"));
    /// # Ok::<(), tower_whatsapp::event::ParseError>(())
    /// ```
    #[must_use]
    pub fn envelope_value(&self, key: &str) -> Option<&str> {
        let element = self.element();
        [element.change().value, element.entry().raw]
            .into_iter()
            .flatten()
            .find_map(|object| {
                let cursor = self.envelope.document.cursor_at(object);
                cursor.member::<Id>(key.as_bytes())
            })
    }

    #[inline]
    pub(super) fn element(&self) -> ElementRef<'_> {
        ElementRef::new(&self.envelope, self.index)
    }
}

/// Shows the kind, time and state of the event, and no personal data. The id of a message would
/// show the phone number that Meta encodes in it.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("payload", &self.payload())
            .finish_non_exhaustive()
    }
}

/// The JSON of an event does not match the requested type.
///
/// Contains no data of the event. `serde_json::from_str` with [`Event::raw`] says more, in an error
/// that may quote the event.
#[derive(Debug)]
pub struct DeserializeError {
    line: usize,
    column: usize,
}

impl DeserializeError {
    fn new(error: &serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }

    /// Returns the line of [`Event::raw`] that does not match, from 1 on, or 0 if no single place
    /// is wrong.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column of the end of what does not match, in bytes.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the JSON of the event does not match the requested type")
    }
}

impl Error for DeserializeError {}
