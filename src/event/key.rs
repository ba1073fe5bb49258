//! Keys that identify events across deliveries.

use std::{error::Error, fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::schema::Timestamp;
use crate::hex;

/// Identifies an event across deliveries: 16 bytes, the beginning of a SHA-256.
///
/// Meta redelivers events, also to other subscribed apps, regroups them in each attempt, and sends
/// no delivery id. The key is therefore computed from the event alone: from its ids if Meta never
/// reuses them, else from its exact JSON. It is the same in every process and for every grouping
/// ([`Event::key`](super::Event::key) has two exceptions).
/// Collisions are negligible: among 200 million events the probability of one is 6 × 10⁻²³.
///
/// | Event | The key is computed from the field and |
/// |---|---|
/// | message, echo | phone number id, id, type: an edit has an id of its own. The two fields of echoes count as one |
/// | status | phone number id, id, status, timestamp, recipient and participant by user id and number, transaction, its state and its refunds for a payment: in a group there is one per participant |
/// | call | phone number id, id, event, timestamp |
/// | call status | phone number id, id, status, timestamp, recipient by user id and number |
/// | participant of a group | phone number id, group, type of the event, timestamp or else entry time, request, list, JSON |
/// | user action | phone number id, list, JSON, user id and WhatsApp id of the contact |
/// | element of an unknown list | as below, and ids of the contact that it names, or of the only one |
/// | anything else | phone number id, or entry id if there is none; entry time, list, JSON |
///
/// A status or a call without its state or without its timestamp has its JSON in the key too. Two
/// events that differ only in other values have the same key: two failures of a message in one
/// second are one event, whatever their errors. A text that is not valid Unicode counts as its
/// valid part.
///
/// All events with the same content, without an id and without a time, have the same key.
/// [`Event::is_distinguishable`](super::Event::is_distinguishable) is false for them, and
/// `DedupLayer` does not suppress them.
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

/// Length of the buffer in bytes. The parts of most keys take 150 to 300.
const BUFFER: usize = 512;

/// Hash of a tuple. Each part is prefixed with its length, so that different tuples have different
/// input.
pub(crate) struct KeyHash<'a> {
    hash: Sha256,
    /// Parts that are not hashed yet: many short updates of the hash cost more than one.
    buffer: [u8; BUFFER],
    /// Number of bytes in the buffer.
    buffered: usize,
    /// The first long part and all parts after it. Most keys have none.
    rest: Vec<Part<'a>>,
    /// Index in `rest` of the part to hash next.
    part: usize,
    /// Bytes of that part that have been hashed.
    offset: usize,
}

enum Part<'a> {
    Number([u8; 8]),
    Bytes(&'a [u8]),
    Json(Bytes),
}

impl Part<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => bytes,
            Self::Json(json) => json,
        }
    }
}

impl<'a> KeyHash<'a> {
    pub(super) fn new() -> Self {
        Self {
            hash: Sha256::new(),
            buffer: [0; BUFFER],
            buffered: 0,
            rest: Vec::new(),
            part: 0,
            offset: 0,
        }
    }

    pub(super) fn add(&mut self, part: Option<&'a [u8]>) {
        let length = length(part.map(<[u8]>::len));
        let part = part.unwrap_or_default();
        if self.rest.is_empty() && part.len() <= SHORT {
            self.push(&length, part);
        } else {
            self.defer(Part::Number(length));
            self.defer(Part::Bytes(part));
        }
    }

    pub(super) fn add_all<const N: usize>(&mut self, parts: [Option<&'a [u8]>; N]) {
        for part in parts {
            self.add(part);
        }
    }

    /// Equal to `add` with the same bytes.
    pub(super) fn add_json(&mut self, json: Bytes) {
        let length = length(Some(json.len()));
        if self.rest.is_empty() && json.len() <= SHORT {
            self.push(&length, &json);
        } else {
            self.defer(Part::Number(length));
            self.defer(Part::Json(json));
        }
    }

    pub(super) fn add_time(&mut self, time: Option<Timestamp>) {
        let number = time.map_or(u64::MAX, Timestamp::millis).to_be_bytes();
        if self.rest.is_empty() {
            self.push(&number, &[]);
        } else {
            self.defer(Part::Number(number));
        }
    }

    /// Adds a number and bytes to the buffer, or to the hash if they do not fit.
    #[inline]
    fn push(&mut self, number: &[u8; 8], bytes: &[u8]) {
        let end = self.buffered + number.len() + bytes.len();
        let free = self.buffer.get_mut(self.buffered..end);
        if let Some((first, rest)) = free.and_then(<[u8]>::split_first_chunk_mut) {
            *first = *number;
            // Many parts are absent.
            if !bytes.is_empty() {
                rest.copy_from_slice(bytes);
            }
            self.buffered = end;
        } else {
            self.hash_now(number, bytes);
        }
    }

    /// Adds what does not fit into the buffer.
    #[cold]
    #[inline(never)]
    fn hash_now(&mut self, number: &[u8; 8], bytes: &[u8]) {
        self.flush();
        self.hash.update(number);
        self.hash.update(bytes);
    }

    /// Hashes the buffer.
    fn flush(&mut self) {
        let buffered = self.buffer.get(..self.buffered);
        self.hash.update(buffered.unwrap_or_default());
        self.buffered = 0;
    }

    #[cold]
    fn defer(&mut self, part: Part<'a>) {
        self.rest.push(part);
    }

    /// Hashes at most `bytes` more bytes. Returns the key once all bytes are hashed, and must not
    /// be called again after that.
    pub(crate) fn advance(&mut self, mut bytes: usize) -> Option<EventKey> {
        self.flush();
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
