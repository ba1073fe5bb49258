//! What is kept of a request, and its summary for the list.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{EventKey, Message},
};

/// Events of a delivery that are looked at for its summary. Detail pages show all.
const SUMMARISED: usize = 100;
/// Kinds, and numbers, in a summary.
const LISTED: usize = 8;
/// Characters of a title or a path.
const TITLE: usize = 160;
/// Characters of a text of a loaded refusal. Those of the library are shorter.
const REFUSAL: usize = 1_000;

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    /// The network.
    Live,
    /// The page: a sample or pasted JSON.
    Page,
    /// A loaded session.
    Loaded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Delivery,
    Handshake,
    Refused,
    /// The request was sent to another path.
    Missed,
}

/// Why the layer refused a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) text: String,
    pub(super) detail: Option<String>,
    pub(super) advice: Option<String>,
    pub(super) declared_length: Option<usize>,
    pub(super) received_length: Option<usize>,
}

impl Refusal {
    /// Of a loaded session, whose texts may be of any length.
    pub(super) fn shortened(self) -> Self {
        let shortened = |text: String| shorten(&text, REFUSAL);
        Self {
            reason: shorten(&self.reason, TITLE),
            text: shortened(self.text),
            detail: self.detail.map(shortened),
            advice: self.advice.map(shortened),
            ..self
        }
    }
}

/// A request and its outcome. Serialised without the body, it is the row of the page.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Record {
    /// Set by the store.
    pub(super) number: u64,
    pub(super) origin: Origin,
    /// Unix time in milliseconds.
    pub(super) at: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) verdict: Verdict,
    pub(super) status: u16,
    pub(super) micros: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// Number of an earlier record with the same first event, set by the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeat_of: Option<u64>,
    #[serde(skip)]
    pub(super) first_key: Option<EventKey>,
    #[serde(skip)]
    pub(super) body: Bytes,
}

/// What the list shows and filters.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Summary {
    title: String,
    events: usize,
    kinds: Vec<String>,
    numbers: Vec<String>,
    /// Whether an event has keys that this version does not read.
    unread: bool,
    length: usize,
}

impl Record {
    pub(super) fn new(
        origin: Origin,
        at: u64,
        method: &str,
        path: &str,
        status: u16,
        time: Duration,
    ) -> Self {
        let verdict = match status {
            200 if method == "GET" => Verdict::Handshake,
            _ => Verdict::Missed,
        };
        let summary = Summary {
            title: match verdict {
                Verdict::Handshake => "handshake: token and challenge are right".to_owned(),
                _ => "not the path of the webhook".to_owned(),
            },
            ..Summary::default()
        };
        Self {
            number: 0,
            origin,
            at,
            method: shorten(method, 16),
            path: shorten(path, TITLE),
            verdict,
            status,
            micros: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            refusal: None,
            summary,
            repeat_of: None,
            first_key: None,
            body: Bytes::new(),
        }
    }

    pub(super) fn refused(mut self, refusal: Refusal) -> Self {
        self.verdict = Verdict::Refused;
        self.summary.title = refusal.text.clone();
        self.summary.length = refusal
            .received_length
            .or(refusal.declared_length)
            .unwrap_or_default();
        self.refusal = Some(refusal);
        self
    }

    /// What a session says of a request other than a delivery.
    pub(super) fn loaded(
        mut self,
        verdict: Verdict,
        title: &str,
        length: usize,
        refusal: Option<Refusal>,
    ) -> Self {
        self.verdict = verdict;
        self.summary.title = shorten(title, TITLE);
        self.summary.length = length;
        self.refusal = refusal;
        self
    }

    /// Copies the body: the buffer of the layer may be larger.
    pub(super) fn delivered(mut self, notification: &Notification) -> Self {
        self.verdict = Verdict::Delivery;
        self.summary = Summary::new(notification);
        self.first_key = notification.events().first().map(Event::key);
        self.body = Bytes::copy_from_slice(notification.body());
        self
    }

    /// Estimate of the memory that it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let Summary {
            title,
            kinds,
            numbers,
            ..
        } = &self.summary;
        let refusal = self.refusal.as_ref().map_or(0, |refusal| {
            let optional = [&refusal.detail, &refusal.advice];
            let optional = optional.into_iter().flatten().map(String::len);
            refusal.reason.len() + refusal.text.len() + optional.sum::<usize>()
        });
        let lists = [kinds, numbers].into_iter().flatten();
        let lists: usize = lists.map(|text| text.len() + size_of::<String>()).sum();
        size_of::<Self>()
            + 128
            + self.body.len()
            + self.method.len()
            + self.path.len()
            + title.len()
            + lists
            + refusal
    }
}

impl Summary {
    fn new(notification: &Notification) -> Self {
        let events = notification.events();
        let mut summary = Self {
            title: events.first().map(title).unwrap_or_default(),
            events: events.len(),
            length: notification.body().len(),
            ..Self::default()
        };
        for event in events.iter().take(SUMMARISED) {
            let payload = event.payload();
            let kind = match payload.subtype() {
                Some(subtype) => format!("{} {subtype}", payload.name()),
                None => payload.name().to_owned(),
            };
            add(&mut summary.kinds, &kind);
            let number = event.display_phone_number().or(event.phone_number_id());
            if let Some(number) = number {
                add(&mut summary.numbers, number);
            }
            summary.unread |= !event.unread().is_empty();
        }
        if events.is_empty() {
            summary.title = "no events".to_owned();
        }
        summary
    }
}

fn add(list: &mut Vec<String>, text: &str) {
    let text = shorten(text, 60);
    if list.len() < LISTED && !list.contains(&text) {
        list.push(text);
    }
}

fn title(event: &Event) -> String {
    let payload = event.payload();
    let text = match &payload {
        Payload::Message(message) => message_title(message),
        Payload::Status(status) => {
            let recipient = status.recipient.id.or(status.recipient.user_id);
            format!("to {}", recipient.unwrap_or("-"))
        }
        _ => event.id().unwrap_or_default().to_owned(),
    };
    shorten(&text, TITLE)
}

fn message_title(message: &Message<'_>) -> String {
    let name = message.sender.name();
    let sender = name.or(message.sender.phone).or(message.sender.user_id());
    let sender = sender.unwrap_or("-");
    match message.text() {
        Some(text) => format!("{sender}: {text}"),
        None => format!("from {sender}"),
    }
}

pub(super) fn shorten(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Unix time in milliseconds.
pub(super) fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "shown to a person")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
