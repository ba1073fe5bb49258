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

#![doc = include_str!("samples.md")]

use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;

use super::{
    accounts, chats, messages, statuses,
    template::{Piece, Template, WHOLE, pieces, shared},
    templates,
};
use crate::event::{Notification, State};

/// A message of text.
pub fn text(body: impl Into<String>) -> Sample {
    known("text").text(body)
}

/// A status. [`State::Other`] makes one that this version does not know.
pub fn status(state: State<'_>) -> Sample {
    let sample = named(&format!("status_{}", state.as_str()));
    sample
        .unwrap_or_else(|| known("unknown_state"))
        .state(state)
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
/// A setter changes every event that the sample holds so far and that has such a value; the other events stay as they are. If no event
/// has it, the setter panics, because the test would not test what it says: a template has no sender. [`lenient`](Self::lenient)
/// turns that off. The table in the docs of [this module](self) has the setters of every sample. Texts are written into the JSON
/// with escapes, as Meta does (`\/`, `\u00e4`).
///
/// ```
/// use tower_whatsapp::{event::{Content, Interactive}, testing::sample};
///
/// let pressed = sample::named("button_reply").ok_or("no such sample")?;
/// let notification = pressed
///     .from("16505550001")
///     .profile_name("Ada")
///     .button_id("book-a-table")
///     .context("wamid.QUESTION")
///     .notification();
///
/// let message = notification.messages().next().ok_or("no message")?;
/// assert_eq!(message.sender.name(), Some("Ada"));
/// assert_eq!(message.context.and_then(|context| context.id), Some("wamid.QUESTION"));
/// let Content::Interactive(Interactive::ButtonReply(reply)) = message.content else { unreachable!() };
/// assert_eq!(reply.id, Some("book-a-table"));
/// # Ok::<(), &str>(())
/// ```
///
/// The events of one delivery differ. Two deliveries of one sample are the same events again, as when Meta repeats a delivery; with
/// [`id`](Self::id) or [`timestamp`](Self::timestamp) they are others.
#[derive(Debug, Clone)]
#[must_use = "a sample does nothing until its body is taken"]
pub struct Sample {
    parts: Vec<Part>,
    is_lenient: bool,
}

/// Some events of the same kind in one `value`.
#[derive(Debug, Clone)]
struct Part {
    template: &'static Template,
    count: usize,
    account_id: String,
    timestamp: u64,
    /// Whether the phone number of the user is left out.
    is_hidden: bool,
    /// What the setters gave, by the name in the template.
    values: BTreeMap<&'static str, String>,
}

/// Declares the setters of [`Sample`]: how the argument becomes a text, and the names in the templates that it goes into.
macro_rules! setters {
    ($(
        $(#[$meta:meta])*
        $setter:ident($argument:ident: $type:ty) { $text:expr } = $($name:literal)|+;
    )*) => {
        impl Sample {
            $(
                $(#[$meta])*
                ///
                /// # Panics
                ///
                /// If no event of the sample has it and the sample is not [`lenient`](Self::lenient).
                #[track_caller]
                pub fn $setter(self, $argument: $type) -> Self {
                    self.set(stringify!($setter), &[$($name),+], &$text)
                }
            )*

            /// The setters, and the names in the templates that they need.
            #[cfg(test)]
            const SETTERS: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($setter), &[$($name),+])),*];
        }
    };
}

setters! {
    /// Phone number of the user, in digits: the sender of a message, the recipient of a status (`from`, `wa_id`, `recipient_id`).
    from(phone: impl Into<String>) { phone.into() } = "user";

    /// Business-scoped user id of the user (`from_user_id`, `user_id`, `recipient_user_id`).
    user_id(user_id: impl Into<String>) { user_id.into() } = "user_id";

    /// User id of the user for a parent portfolio.
    parent_user_id(user_id: impl Into<String>) { user_id.into() } = "parent_user_id";

    /// Name that the user chose (`contacts[].profile.name`).
    profile_name(name: impl Into<String>) { name.into() } = "profile_name";

    /// User name of the user (`contacts[].profile.username`).
    username(username: impl Into<String>) { username.into() } = "username";

    /// Id of the business phone number (`metadata.phone_number_id`).
    phone_number_id(phone_number_id: impl Into<String>) { phone_number_id.into() } = "number_id";

    /// The business phone number itself (`metadata.display_phone_number`).
    display_phone_number(number: impl Into<String>) { number.into() } = "number";

    /// Id of the message or call. Of several events the first has it; the others have it with a number behind.
    id(id: impl Into<String>) { id.into() } = "id" | "call_id";

    /// Id of the message that this one answers, reacts to, edits or deletes (`context.id`, `reaction.message_id`,
    /// `original_message_id`). Adds a `context` to a message that has none.
    context(message_id: impl Into<String>) { message_id.into() } = "context_id";

    /// Id of the group.
    group_id(group_id: impl Into<String>) { group_id.into() } = "group_id";

    /// Text of a message or order (`text.body`, `order.text`).
    text(text: impl Into<String>) { text.into() } = "text";

    /// Caption of a picture, video or document.
    caption(caption: impl Into<String>) { caption.into() } = "caption";

    /// Id of a file: the one that it is downloaded by.
    media_id(media_id: impl Into<String>) { media_id.into() } = "media_id";

    /// Type of a file, `image/png` for example.
    mime_type(mime_type: impl Into<String>) { mime_type.into() } = "mime_type";

    /// Name of a document.
    filename(filename: impl Into<String>) { filename.into() } = "filename";

    /// Id of the reply button that was pressed (`button_reply.id`), or the payload of a template's quick reply (`button.payload`).
    button_id(button_id: impl Into<String>) { button_id.into() } = "button_id";

    /// Id of the row that was chosen (`list_reply.id`).
    list_id(list_id: impl Into<String>) { list_id.into() } = "list_id";

    /// Text of the button that was pressed, or title of the row that was chosen.
    title(title: impl Into<String>) { title.into() } = "title";

    /// Answers of a flow: JSON (`nfm_reply.response_json`).
    response_json(json: impl Into<String>) { json.into() } = "response_json";

    /// Emoji of a reaction.
    emoji(emoji: impl Into<String>) { emoji.into() } = "emoji";

    /// State of a status.
    state(state: State<'_>) { state.as_str() } = "state";

    /// Code of the error that a status failed with, or that a message, call or group comes with (`errors[].code`). The texts beside it
    /// stay as they are: decide by the code.
    error_code(code: u32) { code.to_string() } = "error_code";

    /// Text that the sender of a message gave to be sent back (`biz_opaque_callback_data`).
    callback_data(data: impl Into<String>) { data.into() } = "callback_data";

    /// Reference of a payment.
    reference_id(reference_id: impl Into<String>) { reference_id.into() } = "reference_id";

    /// Id of a message template.
    template_id(template_id: u64) { template_id.to_string() } = "template_id";

    /// Name of a message template.
    template_name(name: impl Into<String>) { name.into() } = "template_name";
}

impl Sample {
    fn of(template: &'static Template) -> Self {
        Self {
            parts: vec![Part {
                template,
                count: 1,
                account_id: "800000000000001".to_owned(),
                timestamp: 1_760_000_000,
                is_hidden: false,
                values: BTreeMap::new(),
            }],
            is_lenient: false,
        }
    }

    /// Lets setters pass that no event of the sample has a value for: to set something in a loop over [`all`].
    ///
    /// ```
    /// use tower_whatsapp::testing::sample;
    ///
    /// for (name, sample) in sample::all() {
    ///     let notification = sample.lenient().phone_number_id("100000000000001").notification();
    ///     for event in notification.events() {
    ///         let number = event.phone_number_id();
    ///         assert!(matches!(number, Some("100000000000001") | None), "{name}");
    ///     }
    /// }
    /// ```
    pub fn lenient(mut self) -> Self {
        self.is_lenient = true;
        self
    }

    /// Leaves the phone number of the user out: there is only the business-scoped user id, as for users who hide their number.
    ///
    /// ```
    /// use tower_whatsapp::testing::sample;
    ///
    /// let notification = sample::text("hi").without_phone().user_id("US.1").notification();
    /// let sender = notification.messages().next().ok_or("no message")?.sender;
    /// assert_eq!((sender.phone, sender.wa_id(), sender.user_id()), (None, None, Some("US.1")));
    /// # Ok::<(), &str>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If no event of the sample can do without a phone number and the sample is not [`lenient`](Self::lenient).
    #[track_caller]
    pub fn without_phone(mut self) -> Self {
        let mut is_set = self.is_lenient;
        for part in &mut self.parts {
            is_set |= part.hide();
        }
        self.assert_set(is_set, "without_phone");
        self
    }

    /// Id of the entry: the WhatsApp Business Account. Every sample has it.
    pub fn entry_id(mut self, entry_id: impl Into<String>) -> Self {
        let entry_id = entry_id.into();
        for part in &mut self.parts {
            part.account_id.clone_from(&entry_id);
        }
        self
    }

    /// Unix time of the event, in seconds. Each further event is one second later.
    ///
    /// # Panics
    ///
    /// If no event of the sample has a time and the sample is not [`lenient`](Self::lenient).
    #[track_caller]
    pub fn timestamp(mut self, seconds: u64) -> Self {
        let mut is_set = self.is_lenient;
        for part in &mut self.parts {
            part.timestamp = seconds;
            is_set |= part.has_time();
        }
        self.assert_set(is_set, "timestamp");
        self
    }

    /// So many times as many events of it, each another: with an id or a time of its own.
    pub fn repeat(mut self, times: usize) -> Self {
        for part in &mut self.parts {
            part.count = part.count.saturating_mul(times);
        }
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

    #[track_caller]
    fn set(
        mut self,
        setter: &str,
        names: &[&'static str],
        text: &(impl AsRef<str> + ?Sized),
    ) -> Self {
        let mut is_set = self.is_lenient;
        for part in &mut self.parts {
            is_set |= part.set(names, text.as_ref());
        }
        self.assert_set(is_set, setter);
        self
    }

    #[track_caller]
    fn assert_set(&self, is_set: bool, setter: &str) {
        let names: Vec<_> = self.parts.iter().map(|part| part.template.name).collect();
        assert!(
            is_set,
            "no event of this sample has what `{setter}` sets: {names:?}"
        );
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
        for Piece {
            name,
            default,
            json,
        } in pieces(text)
        {
            match name {
                None => {}
                Some("each") => {
                    for element in 0..elements {
                        if element > 0 {
                            self.out.push(',');
                        }
                        self.events += 1;
                        self.expand(part.template.element, part, index + element, elements);
                    }
                }
                Some("id") => self.id("wamid.SAMPLE", part, index),
                Some("call_id") => self.id("wacid.SAMPLE", part, index),
                Some("n") => self.number(self.events as u64),
                Some("time") => self.number(part.time(index)),
                Some(name) => match (part.values.get(name), part.shared(name)) {
                    (Some(value), _) => self.text(value),
                    (None, Some(text)) => self.expand(text, part, index, elements),
                    (None, None) => self.escaped(default),
                },
            }
            self.escaped(json);
        }
    }

    fn id(&mut self, prefix: &str, part: &Part, index: usize) {
        match part.values.get("id") {
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

    fn has_time(&self) -> bool {
        self.template.timed || self.mentions("time")
    }

    /// Takes a value for the first of these names. Returns whether one of them occurs in the template.
    fn set(&mut self, names: &[&'static str], text: &str) -> bool {
        let Some(first) = names.first() else {
            return false;
        };
        // What is there only with a value must see it.
        let before = self.values.insert(first, text.to_owned());
        let is_set = names.iter().any(|name| self.mentions(name));
        if !is_set {
            match before {
                Some(before) => self.values.insert(first, before),
                None => self.values.remove(first),
            };
        }
        is_set
    }

    /// Leaves the phone number out, if it can be left out and there is a user id instead. Returns whether it is.
    fn hide(&mut self) -> bool {
        self.is_hidden = true;
        self.is_hidden = self.mentions("user_id") && !self.mentions("user");
        self.is_hidden
    }

    /// Whether the name occurs in what is written.
    fn mentions(&self, wanted: &str) -> bool {
        self.mentions_in(self.template.value, wanted)
    }

    fn mentions_in(&self, text: &'static str, wanted: &str) -> bool {
        pieces(text).filter_map(|piece| piece.name).any(|name| {
            let inner = match name {
                "each" => Some(self.template.element),
                _ => self.shared(name),
            };
            name == wanted || inner.is_some_and(|inner| self.mentions_in(inner, wanted))
        })
    }

    /// The JSON that a name stands for. Some members depend on what was set.
    fn shared(&self, name: &str) -> Option<&'static str> {
        match name {
            "from" | "to" | "wa_id" | "recipient" | "participant" if self.is_hidden => Some(""),
            "addressee" if self.is_hidden => shared("addressee_hidden"),
            "quoted" if !self.values.contains_key("context_id") => Some(""),
            "callback" if !self.values.contains_key("callback_data") => Some(""),
            _ => shared(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("samples.md");

    /// The docs have every sample, its kind and its setters. What is to stand there is the left side of the failure.
    #[test]
    fn the_table_of_samples_is_that_of_the_code() {
        let (_, table) = DOCS.split_once("|---|---|---|---|\n").unwrap();
        let rows: String = templates().map(row).collect();
        assert!(
            rows == table,
            "src/testing/samples.md should end with:\n{rows}"
        );
    }

    fn row(template: &'static Template) -> String {
        let sample = Sample::of(template);
        let part = &sample.parts[0];
        let mut setters = Vec::new();
        if part.has_time() {
            setters.push("timestamp");
        }
        let of_template = Sample::SETTERS
            .iter()
            .filter(|(_, names)| part.clone().set(names, "x"));
        setters.extend(of_template.map(|(setter, _)| *setter));
        if part.clone().hide() {
            setters.push("without_phone");
        }
        let events = sample.notification();
        format!(
            "| `{}` | `{}` | `{}` | {} |\n",
            template.name,
            template.field,
            events.events()[0].kind(),
            setters.join(", ")
        )
    }

    /// A bracket behind a name begins what is written without a setter: JSON that must not look like the end of that, nor like a name.
    #[test]
    fn every_name_in_a_template_is_known() {
        const SPECIAL: &[&str] = &["each", "id", "call_id", "n", "time"];
        let setters: Vec<_> = Sample::SETTERS
            .iter()
            .flat_map(|(_, names)| *names)
            .collect();
        for template in templates() {
            for piece in pieces(template.value).chain(pieces(template.element)) {
                let Some(name) = piece.name else { continue };
                let known =
                    SPECIAL.contains(&name) || shared(name).is_some() || setters.contains(&&name);
                assert!(known, "{}: {name}", template.name);
                assert!(
                    !piece.default.contains(['[', ']', '$']),
                    "{}: {name}",
                    template.name
                );
            }
        }
    }
}
