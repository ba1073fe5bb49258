//! Deliveries that look like Meta's.
//!
//! A [`Sample`] is a delivery that is not written out yet: set what your test is about, put several into one, and take the
//! [`body`](Sample::body) or the [`notification`](Sample::notification).
//!
//! ```
//! use tower_whatsapp::{Payload, event::State, testing::sample};
//!
//! let notification = sample::text("Grüße")
//!     .from("16505550001")
//!     .and(sample::status(State::Read).repeat(2))
//!     .notification();
//! let [text, first, second] = notification.events() else { unreachable!() };
//!
//! let Payload::Message(message) = text.payload() else { unreachable!() };
//! assert_eq!(message.sender.phone, Some("16505550001"));
//! // No two events of a delivery are the same, and the same sample always makes the same events.
//! assert_ne!(first.key(), second.key());
//! ```

use std::fmt::Write;

use bytes::Bytes;

use super::{
    accounts, chats, messages, statuses,
    template::{Template, WHOLE, shared},
    templates,
};
use crate::event::{Notification, State};

/// A message of text.
pub fn text(body: impl Into<String>) -> Sample {
    let mut sample = known("text");
    let body = body.into();
    sample.each(|part| part.text.clone_from(&body));
    sample
}

/// A status. [`State::Other`] makes one that this version does not know.
pub fn status(state: State<'_>) -> Sample {
    let state = state.as_str();
    let mut sample = named(&format!("status_{state}")).unwrap_or_else(|| known("unknown_state"));
    sample.each(|part| state.clone_into(&mut part.state));
    sample
}

/// A message from a user of whom Meta does not tell the phone number: there is a business-scoped user id and a user name.
pub fn bsuid_only() -> Sample {
    known("bsuid_only")
}

/// A message of a type that nobody knows, as Meta adds them.
pub fn unknown_type() -> Sample {
    known("unknown_type")
}

/// A delivery of so many events: messages of text, and as many statuses (one less if the number is odd).
pub fn batch(events: usize) -> Sample {
    let statuses = events / 2;
    text("A sample of a text")
        .repeat(events - statuses)
        .and(status(State::Delivered).repeat(statuses))
}

/// The sample of this name, if there is one: `image`, `list_reply`, `call_connect`, `template_rejected`, ….
#[must_use]
pub fn named(name: &str) -> Option<Sample> {
    templates()
        .find(|template| template.name == name)
        .map(Sample::of)
}

/// All samples with their names: every field, type and event, and some that are unknown, with names that begin with `unknown`.
///
/// More come with every version of this crate, as fields and types do.
#[must_use]
pub fn all() -> Vec<(&'static str, Sample)> {
    templates()
        .map(|template| (template.name, Sample::of(template)))
        .collect()
}

fn templates() -> impl Iterator<Item = &'static Template> {
    [
        messages::TEMPLATES,
        statuses::TEMPLATES,
        accounts::TEMPLATES,
        templates::TEMPLATES,
        chats::TEMPLATES,
    ]
    .into_iter()
    .flatten()
}

#[expect(
    clippy::expect_used,
    reason = "called with names that stand in the tables"
)]
fn known(name: &str) -> Sample {
    named(name).expect("there is a sample of this name")
}

/// A delivery that is not written out yet.
///
/// What is set goes for everything that the sample holds so far, and has no effect where the event does not say it: a template has no
/// sender. Texts are written into the JSON with escapes, as Meta does (`\/`, `\u00e4`).
///
/// The events of one delivery differ. Two deliveries of one sample are the same events again, as when Meta repeats a delivery; with
/// [`id`](Self::id) or [`timestamp`](Self::timestamp) they are others.
#[derive(Debug, Clone)]
#[must_use = "a sample does nothing until its body is taken"]
pub struct Sample {
    parts: Vec<Part>,
}

/// Some events of the same kind in one `value`.
#[derive(Debug, Clone)]
struct Part {
    template: &'static Template,
    count: usize,
    id: Option<String>,
    user: String,
    user_id: String,
    number_id: String,
    account_id: String,
    timestamp: u64,
    text: String,
    state: String,
}

impl Sample {
    fn of(template: &'static Template) -> Self {
        Self {
            parts: vec![Part {
                template,
                count: 1,
                id: None,
                user: "12025550101".to_owned(),
                user_id: "US.SampleUser0001".to_owned(),
                number_id: "700000000000001".to_owned(),
                account_id: "800000000000001".to_owned(),
                timestamp: 1_760_000_000,
                text: "A sample of a text, with an ä and a /".to_owned(),
                state: "sparkling".to_owned(),
            }],
        }
    }

    /// The phone number of the user, in digits: who wrote the message, or to whom the status belongs.
    pub fn from(mut self, phone: impl Into<String>) -> Self {
        let phone = phone.into();
        self.each(|part| part.user.clone_from(&phone));
        self
    }

    /// The business-scoped user id of the user.
    pub fn user_id(mut self, user_id: impl Into<String>) -> Self {
        let user_id = user_id.into();
        self.each(|part| part.user_id.clone_from(&user_id));
        self
    }

    /// The id of the business phone number.
    pub fn phone_number_id(mut self, phone_number_id: impl Into<String>) -> Self {
        let phone_number_id = phone_number_id.into();
        self.each(|part| part.number_id.clone_from(&phone_number_id));
        self
    }

    /// The id of the entry: the WhatsApp Business Account.
    pub fn entry_id(mut self, entry_id: impl Into<String>) -> Self {
        let entry_id = entry_id.into();
        self.each(|part| part.account_id.clone_from(&entry_id));
        self
    }

    /// The id of the message or call. Of several events the first has it, and the others have it with a number behind.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.each(|part| part.id = Some(id.clone()));
        self
    }

    /// When, in seconds since 1970. Each further event is one second later.
    pub fn timestamp(mut self, seconds: u64) -> Self {
        self.each(|part| part.timestamp = seconds);
        self
    }

    /// So many times as many events of it, each another: with an id or a time of its own.
    pub fn repeat(mut self, times: usize) -> Self {
        self.each(|part| part.count = part.count.saturating_mul(times));
        self
    }

    /// The events of both in one delivery.
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// The body of the delivery. The same each time.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let mut writer = Writer::default();
        for part in &self.parts {
            // A value without lists holds one event.
            let (changes, elements) = match part.template.value {
                WHOLE => (part.count, 1),
                _ => (1, part.count),
            };
            for change in 0..changes {
                writer.change(part, change, elements);
            }
        }
        writer.finish()
    }

    /// The delivery taken apart, as the layer would hand it to a handler.
    ///
    /// # Panics
    ///
    /// If it is longer than 4 GiB.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "whatever is filled in is escaped, so it is JSON; and nobody tests with 4 GiB"
    )]
    pub fn notification(&self) -> Notification {
        Notification::parse(self.body()).expect("a sample is JSON of less than 4 GiB")
    }

    fn each(&mut self, change: impl FnMut(&mut Part)) {
        self.parts.iter_mut().for_each(change);
    }
}

/// Writes a body, with `value` before `field`, as Meta does.
#[derive(Default)]
struct Writer {
    out: String,
    /// The entry that is open: its id, and its time if it has one.
    entry: Option<(String, Option<u64>)>,
    /// How many events there are so far.
    events: usize,
}

impl Writer {
    fn change(&mut self, part: &Part, index: usize, elements: usize) {
        if elements == 0 {
            return;
        }
        let time = part.template.timed.then(|| part.time(index));
        let entry = (part.account_id.clone(), time);
        // A change of an account is told in an entry of its own.
        let same = time.is_none() && self.entry.as_ref() == Some(&entry);
        if same {
            self.out.push(',');
        } else {
            if self.entry.is_some() {
                self.out.push_str("]},");
            }
            self.out.push_str("{\"id\":\"");
            self.text(&part.account_id);
            self.out.push('"');
            if let Some(time) = time {
                self.out.push_str(",\"time\":");
                self.number(time);
            }
            self.out.push_str(",\"changes\":[");
            self.entry = Some(entry);
        }
        self.out.push_str("{\"value\":");
        self.expand(part.template.value, part, index, elements);
        self.out.push_str(",\"field\":\"");
        self.out.push_str(part.template.field);
        self.out.push_str("\"}");
    }

    /// Writes a text in which names after `$` are replaced. What is filled in is not looked at again.
    fn expand(&mut self, text: &'static str, part: &Part, index: usize, elements: usize) {
        let mut pieces = text.split('$');
        self.escaped(pieces.next().unwrap_or_default());
        for piece in pieces {
            let end = piece
                .find(|char: char| char != '_' && !char.is_ascii_lowercase())
                .unwrap_or(piece.len());
            let (name, rest) = piece.split_at(end);
            match name {
                "each" => {
                    for element in 0..elements {
                        if element > 0 {
                            self.out.push(',');
                        }
                        self.events += 1;
                        self.expand(part.template.element, part, index + element, elements);
                    }
                }
                "id" => self.id("wamid.SAMPLE", part, index),
                "call_id" => self.id("wacid.SAMPLE", part, index),
                "n" => self.number(self.events as u64),
                "time" => self.number(part.time(index)),
                "user" => self.text(&part.user),
                "user_id" => self.text(&part.user_id),
                "number_id" => self.text(&part.number_id),
                "text" => self.text(&part.text),
                "state" => self.text(&part.state),
                _ => {
                    if let Some(text) = shared(name) {
                        self.expand(text, part, index, elements);
                    }
                }
            }
            self.escaped(rest);
        }
    }

    fn id(&mut self, prefix: &str, part: &Part, index: usize) {
        match &part.id {
            None => {
                self.out.push_str(prefix);
                self.number(self.events as u64);
            }
            Some(id) => {
                self.text(id);
                if index > 0 {
                    self.out.push('.');
                    self.number(index as u64 + 1);
                }
            }
        }
    }

    /// Writes what somebody gave into a string of the JSON.
    fn text(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\0'..='\x1f' => self.escape(char),
                _ => self.char(char),
            }
        }
    }

    /// Writes JSON with the escapes that Meta writes. They only ever stand in strings.
    fn escaped(&mut self, json: &str) {
        json.chars().for_each(|char| self.char(char));
    }

    fn char(&mut self, char: char) {
        match char {
            '/' => self.out.push_str("\\/"),
            ' '..='~' => self.out.push(char),
            _ => self.escape(char),
        }
    }

    fn escape(&mut self, char: char) {
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }

    fn number(&mut self, number: u64) {
        let _ = write!(self.out, "{number}");
    }

    fn finish(self) -> Bytes {
        let end = if self.entry.is_some() { "]}]}" } else { "]}" };
        let body = format!(
            "{{\"object\":\"whatsapp_business_account\",\"entry\":[{}{end}",
            self.out
        );
        Bytes::from(body)
    }
}

impl Part {
    fn time(&self, index: usize) -> u64 {
        self.timestamp.saturating_add(index as u64)
    }
}
