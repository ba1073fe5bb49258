use std::{error::Error, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::{
    Event,
    contact::Contact,
    field,
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
        let mut parts = Parts(Sha256::new());
        parts.add("v1");
        parts.add(namespace);
        parts.add(match event.payload_kind() {
            // The most frequent kinds have one field only.
            Kind::Message | Kind::Status => event.field(),
            _ => event.field().map(field::key_name),
        });
        let payload = match event.payload_alone() {
            // What has happened to a participant is said of all of them together.
            Payload::GroupParticipant(_) => event.payload(),
            payload => payload,
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
                for refund in transaction
                    .iter()
                    .flat_map(|transaction| transaction.refunds)
                {
                    parts.all([refund.id, refund.status]);
                    parts.number(refund.updated_timestamp.map(Timestamp::millis));
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
                    Some(event.raw()),
                ]);
                parts.number(participant.timestamp.map(Timestamp::millis));
                Some(())
            }
            _ => None,
        };
        if named.is_none() {
            // One number may have several account ids, one for each partner.
            let entry_id = match number {
                None => event.entry_id(),
                Some(_) => None,
            };
            parts.all([entry_id, number, event.list(), Some(event.raw())]);
            parts.number(event.entry_time().map(Timestamp::millis));
        }
        if let Payload::UserAction(_) = payload {
            // The action does not say whose it is.
            let contact = match event.payload() {
                Payload::UserAction(action) => action.contact.get().unwrap_or_default(),
                _ => Contact::default(),
            };
            parts.all([contact.user_id, contact.wa_id]);
        }
        parts.finish()
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

/// A tuple under a hash. Each part goes with its length, so that no two tuples look alike.
struct Parts(Sha256);

impl Parts {
    fn add<'a>(&mut self, part: impl Into<Option<&'a str>>) {
        let part = part.into();
        // One more than the length: nothing is not the same as the empty text.
        let length = part.map_or(0, |part| part.len() as u64 + 1);
        self.0.update(length.to_be_bytes());
        self.0.update(part.unwrap_or_default());
    }

    fn all<const N: usize>(&mut self, parts: [Option<&str>; N]) {
        for part in parts {
            self.add(part);
        }
    }

    fn number(&mut self, number: Option<u64>) {
        self.0.update(number.unwrap_or(u64::MAX).to_be_bytes());
    }

    fn finish(self) -> EventKey {
        let hash = self.0.finalize();
        let mut key = [0; 16];
        key.iter_mut().zip(hash).for_each(|(key, hash)| *key = hash);
        EventKey(key)
    }
}
