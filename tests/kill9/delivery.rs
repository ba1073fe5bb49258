//! Serialised and signed deliveries.

use test_support::{PATH, SECRET, sign};
use tower_whatsapp::{Event, Notification, event::EventKey};

use crate::journal;

/// Text of a message on which the handler fails the first time in each process.
pub(crate) const FAILS_ONCE: &str = "fails once";

/// A delivery as bytes.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) request: Vec<u8>,
    /// Offset of the middle of the body.
    pub(crate) middle: usize,
    pub(crate) keys: Vec<EventKey>,
}

impl Delivery {
    /// A delivery of messages with these ids and this text.
    pub(crate) fn new(ids: impl IntoIterator<Item = impl AsRef<str>>, text: &str) -> Self {
        let messages = ids.into_iter().map(|id| {
            format!(
                r#"{{"from":"16505550001","id":"{}","timestamp":"1760000000","type":"text","text":{{"body":"{text}"}}}}"#,
                id.as_ref()
            )
        });
        let messages = messages.collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"phone_number_id":"100000000000001"}},"messages":[{messages}]}},"field":"messages"}}]}}]}}"#
        );
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nx-hub-signature-256: {}\r\ncontent-length: {}\r\n\r\n",
            sign(SECRET, &body),
            body.len()
        );
        let middle = head.len() + body.len() / 2;
        let request = (head + &body).into_bytes();
        let notification = Notification::parse(body).unwrap();
        let keys = notification.events().iter().map(Event::key);
        let keys = keys.collect();
        Self {
            request,
            middle,
            keys,
        }
    }

    /// Names of its events in the journal.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(|key| journal::name(*key))
    }
}

/// Numbers that look random and are the same every time (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Below the end.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
