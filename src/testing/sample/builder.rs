use bytes::Bytes;

use super::{part::Part, template::Template, writer};
use crate::event::{Notification, State};

/// Builder of a delivery.
///
/// A setter changes every event of the sample that has such a value; other events stay unchanged.
/// If no event has it, the setter panics, because the test would not test what it says: a template
/// has no sender. [`lenient`](Self::lenient) disables that check. The table in the docs of
/// [this module](super) lists the setters of every sample. Values are written with Meta's JSON
/// escapes (`\/`, `\u00e4`).
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
/// let Content::Interactive(Interactive::ButtonReply(reply)) = message.content else {
///     unreachable!()
/// };
/// assert_eq!(reply.id, Some("book-a-table"));
/// # Ok::<(), &str>(())
/// ```
///
/// The events of one delivery differ. Two deliveries of the same sample have the same events, like
/// a redelivery. Change [`id`](Self::id) or [`timestamp`](Self::timestamp) to get other events.
#[derive(Debug, Clone)]
#[must_use = "a sample does nothing until its body is taken"]
pub struct Sample {
    parts: Vec<Part>,
    is_lenient: bool,
}

/// Declares the setters of [`Sample`]: how the argument becomes a text, and the names in the
/// templates that it replaces.
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
                /// If no event of the sample has it and the sample is not
                /// [`lenient`](Self::lenient).
                #[track_caller]
                pub fn $setter(self, $argument: $type) -> Self {
                    self.set(stringify!($setter), &[$($name),+], &$text)
                }
            )*

            /// The setters, and the names in the templates that they replace.
            #[cfg(test)]
            const SETTERS: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($setter), &[$($name),+])),*];
        }
    };
}

setters! {
    /// Sets the phone number of the user, in digits: the sender of a message, or the recipient of
    /// a status (`from`, `wa_id`, `recipient_id`).
    from(phone: impl Into<String>) { phone.into() } = "user";

    /// Sets the business-scoped user id (`from_user_id`, `user_id`, `recipient_user_id`).
    #[doc(alias = "bsuid")]
    user_id(user_id: impl Into<String>) { user_id.into() } = "user_id";

    /// Sets the user id that is scoped to a parent business portfolio (`parent_user_id`).
    parent_user_id(user_id: impl Into<String>) { user_id.into() } = "parent_user_id";

    /// Sets the profile name of the user (`contacts[].profile.name`).
    profile_name(name: impl Into<String>) { name.into() } = "profile_name";

    /// Sets the user name of the user (`contacts[].profile.username`).
    username(username: impl Into<String>) { username.into() } = "username";

    /// Sets the id of the business phone number (`metadata.phone_number_id`).
    phone_number_id(phone_number_id: impl Into<String>) { phone_number_id.into() } = "number_id";

    /// Sets the business phone number itself (`metadata.display_phone_number`).
    display_phone_number(number: impl Into<String>) { number.into() } = "number";

    /// Sets the id of the message or call (`id`). Of several events, the first has this id; the
    /// others have it with a suffix: `.2`, `.3`, and so on.
    #[doc(alias = "wamid")]
    id(id: impl Into<String>) { id.into() } = "id" | "call_id";

    /// Sets the id of the message that this one replies to, reacts to, edits or deletes
    /// (`context.id`, `reaction.message_id`, `original_message_id`). Adds a `context` to a message
    /// without one.
    context(message_id: impl Into<String>) { message_id.into() } = "context_id";

    /// Sets the id of the group (`group_id`).
    group_id(group_id: impl Into<String>) { group_id.into() } = "group_id";

    /// Sets the text of a message or order (`text.body`, `order.text`).
    text(text: impl Into<String>) { text.into() } = "text";

    /// Sets the caption of an image, video or document (`caption`).
    caption(caption: impl Into<String>) { caption.into() } = "caption";

    /// Sets the id that a media file is downloaded by (`image.id`, `audio.id`, …).
    media_id(media_id: impl Into<String>) { media_id.into() } = "media_id";

    /// Sets the MIME type of a media file (`mime_type`), such as `image/png`.
    mime_type(mime_type: impl Into<String>) { mime_type.into() } = "mime_type";

    /// Sets the file name of a document (`document.filename`).
    filename(filename: impl Into<String>) { filename.into() } = "filename";

    /// Sets the id of the pressed reply button (`button_reply.id`), or the payload of the pressed
    /// quick-reply button of a template (`button.payload`).
    button_id(button_id: impl Into<String>) { button_id.into() } = "button_id";

    /// Sets the id of the chosen list row (`list_reply.id`).
    list_id(list_id: impl Into<String>) { list_id.into() } = "list_id";

    /// Sets the text of the pressed button, or the title of the chosen row (`title`,
    /// `button.text`).
    title(title: impl Into<String>) { title.into() } = "title";

    /// Sets the answers of a flow, as JSON (`nfm_reply.response_json`).
    response_json(json: impl Into<String>) { json.into() } = "response_json";

    /// Sets the emoji of a reaction (`reaction.emoji`).
    emoji(emoji: impl Into<String>) { emoji.into() } = "emoji";

    /// Sets the state of a status (`status`).
    state(state: State<'_>) { state.as_str() } = "state";

    /// Sets the error code of a failed status, or of a message, call or group with an error
    /// (`errors[].code`). The error texts stay unchanged: handlers should branch on the code.
    error_code(code: u32) { code.to_string() } = "error_code";

    /// Sets the opaque text that the business attached to the message it sent
    /// (`biz_opaque_callback_data`).
    callback_data(data: impl Into<String>) { data.into() } = "callback_data";

    /// Sets the reference of a payment (`reference_id`).
    reference_id(reference_id: impl Into<String>) { reference_id.into() } = "reference_id";

    /// Sets the id of a message template (`message_template_id`, `template_id`).
    template_id(template_id: u64) { template_id.to_string() } = "template_id";

    /// Sets the name of a message template (`message_template_name`).
    template_name(name: impl Into<String>) { name.into() } = "template_name";
}

impl Sample {
    pub(super) fn new(template: &'static Template) -> Self {
        Self {
            parts: vec![Part::new(template)],
            is_lenient: false,
        }
    }

    /// Makes the setters after it ignore what no event of the sample has a value for. For setting a
    /// value in a loop over [`all`](super::all).
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

    /// Leaves out the phone number of the user, so that only the business-scoped user id is
    /// present, as for users who hide their number.
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
    /// If the phone number is required in every event of the sample and the sample is not
    /// [`lenient`](Self::lenient).
    #[doc(alias = "bsuid")]
    #[track_caller]
    pub fn without_phone(mut self) -> Self {
        let mut is_set = self.is_lenient;
        for part in &mut self.parts {
            is_set |= part.hide();
        }
        self.assert_set(is_set, "without_phone");
        self
    }

    /// Sets the id of the WhatsApp Business Account (`entry[].id`). Every sample has it.
    #[doc(alias = "waba")]
    pub fn entry_id(mut self, entry_id: impl Into<String>) -> Self {
        let entry_id = entry_id.into();
        for part in &mut self.parts {
            part.account_id.clone_from(&entry_id);
        }
        self
    }

    /// Sets the Unix time of the first event, in seconds (`timestamp`). Each further event is one
    /// second later.
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

    /// Multiplies the number of events. Each has its own id or time.
    pub fn repeat(mut self, times: usize) -> Self {
        for part in &mut self.parts {
            part.count = part.count.saturating_mul(times);
        }
        self
    }

    /// Adds the events of another sample to the delivery.
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Returns the body of the delivery: the same bytes on each call.
    #[must_use]
    pub fn body(&self) -> Bytes {
        writer::body(&self.parts)
    }

    /// Returns the parsed delivery, as the layer would pass it to a handler.
    ///
    /// # Panics
    ///
    /// If the body is longer than 4 GiB.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "values are escaped, so the body is JSON; no test needs 4 GiB"
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

#[cfg(test)]
mod tests {
    use super::{
        super::{
            catalog::templates,
            template::{pieces, shared},
        },
        *,
    };

    const DOCS: &str = include_str!("samples.md");

    /// The failure message has the expected rows.
    #[test]
    fn the_documented_table_lists_every_sample() {
        let (_, table) = DOCS.split_once("|---|---|---|---|\n").unwrap();
        let rows: String = templates().map(row).collect();
        assert!(
            rows == table,
            "src/testing/sample/samples.md should end with:\n{rows}"
        );
    }

    fn row(template: &'static Template) -> String {
        let sample = Sample::new(template);
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

    /// A bracket after a name starts its default, so a default must not contain `[`, `]` or `$`.
    #[test]
    fn every_name_in_a_template_is_defined() {
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
