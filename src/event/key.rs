//! Keys that identify events across deliveries.

use std::{error::Error, fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::{
    event::Event,
    field,
    group::GroupParticipant,
    payload::{Kind, Payload},
    schema::Timestamp,
    status::Status,
};
use crate::hex;

/// Identifies an event across deliveries: 16 bytes, the beginning of a SHA-256.
///
/// Meta redelivers events, also to other subscribed apps, regroups them in each attempt, and sends
/// no delivery id. The key is therefore computed from the event alone: from its ids if Meta never
/// reuses them, else from its exact JSON. It is the same in every process and for every grouping.
/// Collisions are negligible: among 200 million events the probability of one is 6 × 10⁻²³.
///
/// | Event | The key is computed from the field and |
/// |---|---|
/// | message, echo | phone number id, id, type: an edit has an id of its own. The two fields of echoes count as one |
/// | status | phone number id, id, status, timestamp, recipient and participant by user id and number, transaction and refunds of a payment: in a group there is one per participant |
/// | call | phone number id, id, event, timestamp |
/// | call status | phone number id, id, status, timestamp, recipient by user id and number |
/// | participant of a group | phone number id, group, type of the event, timestamp, request, list, JSON |
/// | user action | phone number id, list, JSON, user id and WhatsApp id of the contact |
/// | anything else | phone number id, or entry id if there is none; entry time, list, JSON |
///
/// All events with the same content, without an id and without a time, have the same key.
/// [`Event::is_distinguishable`] is false for them, and `DedupLayer` does not suppress them.
///
/// The timestamp is included where a state may occur again. If Meta ever changes the timestamp in a
/// redelivery, the event counts as new. Handling an event twice is preferred to losing one.
///
/// ```
/// use tower_whatsapp::{Notification, event::EventKey};
///
/// let one = r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[
///     {"id":"wamid.A","type":"text","text":{"body":"hi"}},{"id":"wamid.B"}]}}]}]}"#;
/// let again = r#"{"entry":[{"changes":[{"value":{"messages":[
///     {"type":"text","id":"wamid.A","text":{"body":"hi"}}]},"field":"messages"}]}]}"#;
/// let one = Notification::parse(one)?.events()[0].key();
/// let again = Notification::parse(again)?.events()[0].key();
/// assert_eq!(one, again);
/// assert_eq!(one.to_string().parse::<EventKey>()?, one);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "idempotency")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey([u8; 16]);

impl EventKey {
    /// Creates a key from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the key.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Starts the key of `event` for `app`. The caller advances it in steps, because the JSON of an
    /// event may have megabytes.
    pub(crate) fn in_steps<'a>(event: &'a Event, app: &'a str) -> KeyHash<'a> {
        let mut hash = KeyHash::new();
        hash.add("v1");
        hash.add(app);
        let kind = event.element().kind();
        hash.add(match kind {
            // The most frequent kinds have one field only, so no alias needs a lookup.
            Kind::Message | Kind::Status => event.field(),
            _ => event.field().map(field::key_name),
        });
        let number = event.metadata_phone_number_id();
        match kind {
            Kind::Message | Kind::Echo | Kind::Status | Kind::Call | Kind::CallStatus => {
                let payload = event.element().own_payload();
                if hash.add_identified(number, &payload).is_none() {
                    hash.add_json(number, event);
                }
            }
            // The type, the time and the ids of the event are in the group, not in the participant.
            Kind::GroupParticipant => match event.payload() {
                Payload::GroupParticipant(participant) => {
                    hash.add_participant(number, event, &participant);
                }
                _ => hash.add_json(number, event),
            },
            // A user action does not name its user; the contact in the value does.
            Kind::UserAction => {
                hash.add_json(number, event);
                if let Payload::UserAction(action) = event.payload() {
                    let contact = action.contact.get().unwrap_or_default();
                    hash.add_all([contact.user_id, contact.wa_id]);
                }
            }
            // The payload may be long and is not decoded: the key only needs its JSON.
            _ => hash.add_json(number, event),
        }
        hash
    }
}

impl Event {
    /// Returns the key that is equal for two deliveries of the same event.
    ///
    /// It depends on the event only: it is the same in every process and however Meta groups
    /// deliveries.
    #[doc(alias = "idempotency")]
    #[must_use]
    pub fn key(&self) -> EventKey {
        self.key_in("")
    }

    /// Returns the [`key`](Self::key) within one app.
    ///
    /// Use it in a process that serves several apps: a key that ignores the app makes one of the
    /// subscribed apps miss the event.
    #[must_use]
    pub fn key_in(&self, app: &str) -> EventKey {
        let mut hash = EventKey::in_steps(self, app);
        loop {
            if let Some(key) = hash.advance(usize::MAX) {
                return key;
            }
        }
    }

    /// Returns whether the [`key`](Self::key) differs from that of a later event with the same
    /// content, because the event has an id or a time.
    ///
    /// Meta sends some events without either, such as the errors of a phone number. A later one
    /// with the same content has the same key, so `DedupLayer` does not suppress such events:
    /// they are handled again when Meta redelivers them.
    #[must_use]
    pub fn is_distinguishable(&self) -> bool {
        let has_id = match self.element().kind() {
            Kind::Message | Kind::Echo | Kind::Status | Kind::Call | Kind::CallStatus => {
                self.id().is_some()
            }
            _ => false,
        };
        has_id || self.timestamp().is_some()
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({self})")
    }
}

impl FromStr for EventKey {
    type Err = ParseKeyError;

    /// Parses 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        hex::decode(text.as_bytes()).map(Self).ok_or(ParseKeyError)
    }
}

/// Writes 32 hexadecimal digits.
impl Serialize for EventKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads 32 hexadecimal digits.
impl<'de> Deserialize<'de> for EventKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A text that is not an [`EventKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseKeyError;

impl fmt::Display for ParseKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event key is 32 hexadecimal digits")
    }
}

impl Error for ParseKeyError {}

/// Maximum length of a part that is hashed immediately, bytes. Longer parts are deferred to
/// [`KeyHash::advance`].
const SHORT: usize = 4096;

/// Hash of a tuple. Each part is prefixed with its length, so that different tuples have different
/// input.
pub(crate) struct KeyHash<'a> {
    hash: Sha256,
    /// The first long part and all parts after it. Most keys have none.
    rest: Vec<Part<'a>>,
    /// Index in `rest` of the part to hash next.
    part: usize,
    /// Bytes of that part that have been hashed.
    offset: usize,
}

enum Part<'a> {
    Number([u8; 8]),
    Text(&'a str),
    Json(Bytes),
}

impl Part<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Number(number) => number,
            Self::Text(text) => text.as_bytes(),
            Self::Json(json) => json,
        }
    }
}

impl<'a> KeyHash<'a> {
    fn new() -> Self {
        Self {
            hash: Sha256::new(),
            rest: Vec::new(),
            part: 0,
            offset: 0,
        }
    }

    /// Adds the ids and states of an event that has an id of its own. `None` if the id is absent.
    fn add_identified(&mut self, number: Option<&'a str>, payload: &Payload<'a>) -> Option<()> {
        match payload {
            Payload::Message(message) => {
                self.add_all([number, Some("msg"), Some(message.id?), message.kind]);
            }
            Payload::Echo(echo) => {
                self.add_all([number, Some("echo"), Some(echo.id?), echo.kind]);
            }
            Payload::Status(status) => self.add_status(number, status)?,
            Payload::Call(call) => {
                let event = call.event.map(|event| event.as_str());
                self.add_all([number, Some("call"), Some(call.id?), event]);
                self.add_time(call.timestamp);
            }
            Payload::CallStatus(status) => {
                self.add_all([
                    number,
                    Some("callst"),
                    Some(status.id?),
                    status.state.map(|state| state.as_str()),
                    status.recipient_id,
                    status.recipient_user_id,
                ]);
                self.add_time(status.timestamp);
            }
            _ => return None,
        }
        Some(())
    }

    fn add_status(&mut self, number: Option<&'a str>, status: &Status<'a>) -> Option<()> {
        let recipient = status.recipient;
        let payment = status.payment.get();
        let transaction = payment.and_then(|payment| payment.transaction);
        self.add_all([
            number,
            Some("st"),
            Some(status.id?),
            status.state.map(|state| state.as_str()),
            recipient.id,
            recipient.user_id,
            recipient.participant_id,
            recipient.participant_user_id,
            transaction.and_then(|transaction| transaction.id),
        ]);
        self.add_time(status.timestamp);
        // A refund does not change the state and the time of its payment.
        for refund in transaction
            .iter()
            .flat_map(|transaction| transaction.refunds)
        {
            self.add_all([refund.id, refund.status]);
            self.add_time(refund.updated_timestamp);
        }
        Some(())
    }

    fn add_participant(
        &mut self,
        number: Option<&'a str>,
        event: &'a Event,
        participant: &GroupParticipant<'a>,
    ) {
        self.add_all([
            number,
            Some("participant"),
            event.element().list(),
            participant.group_id,
            participant.event.map(|event| event.as_str()),
            participant.request_id,
        ]);
        self.add_bytes(event.raw_bytes());
        self.add_time(participant.timestamp);
    }

    /// Adds the JSON of an event without an id of its own.
    fn add_json(&mut self, number: Option<&'a str>, event: &'a Event) {
        // A number may belong to several entry ids, one for each partner.
        let entry_id = match number {
            None => event.entry_id(),
            Some(_) => None,
        };
        self.add_all([entry_id, number, event.element().list()]);
        self.add_bytes(event.raw_bytes());
        self.add_time(event.entry_time());
    }

    fn add(&mut self, text: impl Into<Option<&'a str>>) {
        let text = text.into();
        let length = length(text.map(str::len));
        let text = text.unwrap_or_default();
        if self.rest.is_empty() && text.len() <= SHORT {
            self.hash.update(length);
            self.hash.update(text);
        } else {
            self.defer(Part::Number(length));
            self.defer(Part::Text(text));
        }
    }

    fn add_all<const N: usize>(&mut self, texts: [Option<&'a str>; N]) {
        for text in texts {
            self.add(text);
        }
    }

    /// Equal to `add` with the same text, without a conversion to UTF-8.
    fn add_bytes(&mut self, json: Bytes) {
        let length = length(Some(json.len()));
        if self.rest.is_empty() && json.len() <= SHORT {
            self.hash.update(length);
            self.hash.update(json);
        } else {
            self.defer(Part::Number(length));
            self.defer(Part::Json(json));
        }
    }

    fn add_time(&mut self, time: Option<Timestamp>) {
        let number = time.map_or(u64::MAX, Timestamp::millis).to_be_bytes();
        if self.rest.is_empty() {
            self.hash.update(number);
        } else {
            self.defer(Part::Number(number));
        }
    }

    #[cold]
    fn defer(&mut self, part: Part<'a>) {
        self.rest.push(part);
    }

    /// Hashes at most `bytes` more bytes. Returns the key once all bytes are hashed, and must not
    /// be called again after that.
    pub(crate) fn advance(&mut self, mut bytes: usize) -> Option<EventKey> {
        while let Some(part) = self.rest.get(self.part) {
            let rest = part.bytes().get(self.offset..).unwrap_or_default();
            let piece = rest.get(..bytes).unwrap_or(rest);
            self.hash.update(piece);
            bytes -= piece.len();
            if piece.len() < rest.len() {
                self.offset += piece.len();
                return None;
            }
            self.part += 1;
            self.offset = 0;
        }
        let hash = self.hash.finalize_reset();
        let mut key = [0; 16];
        key.iter_mut().zip(hash).for_each(|(key, hash)| *key = hash);
        Some(EventKey(key))
    }
}

/// Length of a part in the hash. An absent part differs from an empty text.
fn length(length: Option<usize>) -> [u8; 8] {
    let length = length.map_or(0, |length| length as u64 + 1);
    length.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Notification;

    #[test]
    fn hashing_in_steps_gives_the_same_key() {
        let long = "x".repeat(10_000);
        let body = format!(
            r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{
                "messages":[{{"id":"wamid.A","type":"text"}}],
                "statuses":[{{"id":"{long}","status":"sent","timestamp":"1"}}],
                "others":[{{"id":"{long}"}}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let hashed = [0, 10_000, 10_000];
        for (event, hashed) in notification.events().iter().zip(hashed) {
            for step in (1..150).chain([500, 5000, 20_000]) {
                let mut hash = EventKey::in_steps(event, "app");
                let mut steps = 1;
                let key = loop {
                    if let Some(key) = hash.advance(step) {
                        break key;
                    }
                    steps += 1;
                };
                assert_eq!(key, event.key_in("app"), "{step}");
                assert!(steps >= hashed / step, "{steps} of {step}");
            }
        }
    }
}
