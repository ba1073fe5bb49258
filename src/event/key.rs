use std::{error::Error, fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::{
    Event, field,
    payload::{Kind, Payload},
    scalar::Timestamp,
};

/// What makes two deliveries of an event the same event: 16 bytes, the beginning of a SHA-256.
///
/// Meta repeats deliveries, to other apps too, and groups them anew, and sends no id along. So the key is made of the event alone: of its
/// ids where it has ids that Meta never uses twice, and of its exact JSON where it has none. It is the same in every process and
/// in every grouping. Two events with the same key are the same with a probability that leaves no room for doubt: among 200 million events
/// the odds of a collision are 6 × 10⁻²³.
///
/// | Event | The key is made of the field, and |
/// |---|---|
/// | message, echo | phone number id, id, type: an edit has an id of its own. The two fields of echoes count as one |
/// | status | phone number id, id, status, timestamp, recipient and participant by user id and number, transaction and refunds of a payment: in a group there is one per participant |
/// | call | phone number id, id, event, timestamp |
/// | call status | phone number id, id, status, timestamp, recipient by user id and number |
/// | participant of a group | phone number id, group, what happened and when, the request, the list, the JSON |
/// | user action | phone number id, the list, the JSON, user id and WhatsApp id of the contact |
/// | anything else | phone number id, or entry id where there is none; entry time, the list, the JSON |
///
/// An event with neither id nor time has the key of every other that says the same: [`Event::is_distinguishable`] tells, and
/// `DedupLayer` does not suppress it.
///
/// A timestamp is in it where states repeat legitimately. Should Meta stamp a repeated delivery anew, it passes for another event: harmless, and
/// better than a loss.
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey([u8; 16]);

impl EventKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The key of `event` among those of the app `namespace`.
    pub(super) fn of(event: &Event, namespace: &str) -> Self {
        let mut hash = Self::in_steps(event, namespace);
        loop {
            if let Some(key) = hash.advance(usize::MAX) {
                return key;
            }
        }
    }

    /// The same in steps: the JSON of an event may be megabytes.
    pub(crate) fn in_steps<'a>(event: &'a Event, namespace: &'a str) -> KeyHash<'a> {
        let mut parts = Parts::new();
        parts.add("v1");
        parts.add(namespace);
        let kind = event.payload_kind();
        parts.add(match kind {
            // The most frequent kinds have one field only.
            Kind::Message | Kind::Status => event.field(),
            _ => event.field().map(field::key_name),
        });
        let payload = match kind {
            Kind::Message | Kind::Echo | Kind::Status | Kind::Call | Kind::CallStatus => {
                event.payload_alone()
            }
            // What has happened to a participant is said of all of them together.
            Kind::GroupParticipant => event.payload(),
            // Not read: nothing in it is in the key but its JSON, which may be long.
            _ => return parts.unnamed(event),
        };
        let number = event.metadata_phone_number_id();
        let named = match payload {
            Payload::Message(message) => message.id.map(|id| {
                parts.all([number, Some("msg"), Some(id), message.kind]);
            }),
            Payload::Echo(echo) => echo.id.map(|id| {
                parts.all([number, Some("echo"), Some(id), echo.kind]);
            }),
            Payload::Status(status) => status.id.map(|id| {
                let recipient = status.recipient;
                let payment = status.payment.get();
                let transaction = payment.and_then(|payment| payment.transaction);
                parts.all([
                    number,
                    Some("st"),
                    Some(id),
                    status.state.map(|state| state.as_str()),
                    recipient.id,
                    recipient.user_id,
                    recipient.participant_id,
                    recipient.participant_user_id,
                    transaction.and_then(|transaction| transaction.id),
                ]);
                parts.number(status.timestamp.map(Timestamp::millis));
                // A payment keeps its state and its time when it is paid back.
                if transaction.is_some_and(|transaction| !transaction.refunds.is_empty()) {
                    parts.raw = Some(event.raw_bytes());
                }
            }),
            Payload::Call(call) => call.id.map(|id| {
                parts.all([
                    number,
                    Some("call"),
                    Some(id),
                    call.event.map(|event| event.as_str()),
                ]);
                parts.number(call.timestamp.map(Timestamp::millis));
            }),
            Payload::CallStatus(status) => status.id.map(|id| {
                parts.all([
                    number,
                    Some("callst"),
                    Some(id),
                    status.state.map(|state| state.as_str()),
                    status.recipient_id,
                    status.recipient_user_id,
                ]);
                parts.number(status.timestamp.map(Timestamp::millis));
            }),
            Payload::GroupParticipant(participant) => {
                parts.all([
                    number,
                    Some("participant"),
                    event.list(),
                    participant.group_id,
                    participant.event.map(|event| event.as_str()),
                    participant.request_id,
                ]);
                parts.raw = Some(event.raw_bytes());
                parts.number(participant.timestamp.map(Timestamp::millis));
                Some(())
            }
            _ => None,
        };
        match named {
            Some(()) => parts.hash(),
            None => parts.unnamed(event),
        }
    }

    /// Whether the key of the event is made of something that no later event has: an id, or a time.
    pub(super) fn tells_apart(event: &Event) -> bool {
        let has_id = match event.payload_kind() {
            Kind::Message | Kind::Echo | Kind::Status | Kind::Call | Kind::CallStatus => {
                event.id().is_some()
            }
            _ => false,
        };
        has_id || event.timestamp().is_some()
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

    /// Reads 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let digits = text.as_bytes();
        let mut bytes = [0; 16];
        if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(ParseKeyError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| ParseKeyError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseKeyError)?;
        }
        Ok(Self(bytes))
    }
}

/// As 32 hexadecimal digits.
impl Serialize for EventKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From 32 hexadecimal digits.
impl<'de> Deserialize<'de> for EventKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A text is not an [`EventKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseKeyError;

impl fmt::Display for ParseKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event key is 32 hexadecimal digits")
    }
}

impl Error for ParseKeyError {}

/// Maximum number of texts in a key. That of a status has the most.
const MAX_TEXTS: usize = 12;

/// What a key is made of: texts, then JSON and a number, where there are any.
struct Parts<'a> {
    texts: [Option<&'a str>; MAX_TEXTS],
    count: usize,
    raw: Option<Bytes>,
    /// In the form in which it is hashed.
    number: Option<u64>,
}

impl<'a> Parts<'a> {
    fn new() -> Self {
        Self {
            texts: [None; MAX_TEXTS],
            count: 0,
            raw: None,
            number: None,
        }
    }

    fn add(&mut self, text: impl Into<Option<&'a str>>) {
        debug_assert!(self.count < MAX_TEXTS, "a text is lost");
        if let Some(slot) = self.texts.get_mut(self.count) {
            *slot = text.into();
            self.count += 1;
        }
    }

    fn all<const N: usize>(&mut self, texts: [Option<&'a str>; N]) {
        for text in texts {
            self.add(text);
        }
    }

    fn number(&mut self, number: Option<u64>) {
        self.number = Some(number.unwrap_or(u64::MAX));
    }

    /// The key of an event without ids that Meta never uses twice.
    fn unnamed(mut self, event: &'a Event) -> KeyHash<'a> {
        let number = event.metadata_phone_number_id();
        // One number may have several account ids, one for each partner.
        let entry_id = match number {
            None => event.entry_id(),
            Some(_) => None,
        };
        self.all([entry_id, number, event.list()]);
        if event.payload_kind() == Kind::UserAction
            && let Payload::UserAction(action) = event.payload()
        {
            // The action does not say whose it is.
            let contact = action.contact.get().unwrap_or_default();
            self.all([contact.user_id, contact.wa_id]);
        }
        self.raw = Some(event.raw_bytes());
        self.number(event.entry_time().map(Timestamp::millis));
        self.hash()
    }

    fn hash(self) -> KeyHash<'a> {
        KeyHash {
            parts: self,
            hash: Sha256::new(),
            part: 0,
            offset: 0,
        }
    }

    /// A part, which may be absent; `None` behind the last.
    fn get(&self, index: usize) -> Option<Option<&[u8]>> {
        match self.texts.get(..self.count)?.get(index) {
            Some(text) => Some(text.map(str::as_bytes)),
            None if index == self.count => self.raw.as_deref().map(Some),
            None => None,
        }
    }
}

/// A tuple under a hash. Each part goes with its length, so that no two tuples look alike.
pub(crate) struct KeyHash<'a> {
    parts: Parts<'a>,
    hash: Sha256,
    /// The part that is hashed next, and from where on.
    part: usize,
    offset: usize,
}

impl KeyHash<'_> {
    /// Hashes at most `bytes` more bytes of the parts. Returns the key when all are hashed. Must not
    /// be called again then, and not with 0.
    pub(crate) fn advance(&mut self, mut bytes: usize) -> Option<EventKey> {
        while let Some(part) = self.parts.get(self.part) {
            if self.offset == 0 {
                if bytes == 0 {
                    return None;
                }
                // One more than the length: nothing is not the same as the empty text.
                let length = part.map_or(0, |part| part.len() as u64 + 1);
                self.hash.update(length.to_be_bytes());
            }
            let rest = part.unwrap_or_default().get(self.offset..);
            let rest = rest.unwrap_or_default();
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
        if let Some(number) = self.parts.number {
            self.hash.update(number.to_be_bytes());
        }
        let hash = self.hash.finalize_reset();
        let mut key = [0; 16];
        key.iter_mut().zip(hash).for_each(|(key, hash)| *key = hash);
        Some(EventKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Notification;

    #[test]
    fn in_steps_it_is_the_same_key() {
        let long = "x".repeat(1000);
        let body = format!(
            r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{
                "messages":[{{"id":"wamid.A","type":"text"}}],
                "statuses":[{{"id":"{long}","status":"sent","timestamp":"1"}}],
                "others":[{{"id":"{long}"}}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let hashed = [0, 1000, 1000];
        for (event, hashed) in notification.events().iter().zip(hashed) {
            for step in (1..150).chain([500, 5000]) {
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
