//! Deliveries that are built from parts: every part must come out, in order and with
//! the right contact.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use test_support::mutants::Node;
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{Content, Interactive, Message, Status, Timestamp},
};

#[derive(Arbitrary, Debug)]
struct Input {
    entries: Vec<Entry>,
    style: Style,
}

/// Variants of the JSON text with the same meaning.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Style {
    /// The members of all objects in reverse order.
    backwards: bool,
    /// Every character escaped.
    escaped: bool,
    /// Timestamps and codes as JSON numbers.
    numbers: bool,
}

#[derive(Arbitrary, Debug)]
struct Entry {
    id: u32,
    changes: Vec<Change>,
}

#[derive(Arbitrary, Debug)]
struct Change {
    number: u32,
    contacts: Vec<Contact>,
    messages: Vec<MessageIn>,
    statuses: Vec<StatusIn>,
}

/// A contact. Its ids are derived from its index.
#[derive(Arbitrary, Debug)]
struct Contact {
    name: String,
    has_phone: bool,
    has_user: bool,
}

#[derive(Arbitrary, Debug)]
struct MessageIn {
    id: String,
    timestamp: u64,
    from: Option<u8>,
    from_user: Option<u8>,
    content: ContentIn,
    context: Option<String>,
    errors: Vec<(i64, String)>,
}

#[derive(Arbitrary, Debug)]
enum ContentIn {
    Text(String),
    Image(u64, Option<String>),
    Location(i32, i32, Option<String>),
    Reaction(String, Option<String>),
    Button(String, String),
    ListReply(String, String),
    Unknown(String),
}

#[derive(Arbitrary, Debug)]
struct StatusIn {
    id: String,
    state: Option<u8>,
    timestamp: u64,
    to: Option<u8>,
    to_user: Option<u8>,
    callback_data: Option<String>,
    errors: Vec<(i64, String)>,
}

const STATES: &[&str] = &[
    "sent",
    "delivered",
    "read",
    "played",
    "failed",
    "deleted",
    "warning",
    "pending",
    "captured",
];

/// With more elements than this the only contact is not assigned.
const FEW: usize = 16;

/// A state that the crate does not know.
const NEW_STATE: &str = "sparkling";

fuzz_target!(|input: Input| {
    let body = write(&input).write();
    let notification = Notification::parse(body.clone()).expect("the input is valid JSON");
    assert_eq!(notification.object(), Some("whatsapp_business_account"));
    let mut events = notification.events().iter();
    for entry in &input.entries {
        for change in &entry.changes {
            let mut next = || {
                let event = events.next().expect("an event is missing");
                around(event, entry, change);
                event
            };
            if change.is_contacts_alone() {
                assert!(matches!(next().payload(), Payload::Unknown(_)));
            }
            for messages in [!input.style.backwards, input.style.backwards] {
                if messages {
                    for message in &change.messages {
                        check_message(next(), message, change);
                    }
                } else {
                    for status in &change.statuses {
                        check_status(next(), status, change);
                    }
                }
            }
        }
    }
    assert!(events.next().is_none(), "there is an unexpected event");
});

fn around(event: &Event, entry: &Entry, change: &Change) {
    assert_eq!(event.field(), Some("messages"));
    assert_eq!(event.entry_id(), Some(&*entry.id.to_string()));
    assert_eq!(event.phone_number_id(), Some(&*change.number.to_string()));
    let queued =
        Notification::from_queue(event.to_queue()).expect("the crate reads its own format");
    let [again] = queued.events() else {
        panic!("the queued body must have one event")
    };
    assert_eq!(again.key(), event.key());
    assert_eq!(again.payload(), event.payload());
}

fn check_message(event: &Event, expected: &MessageIn, change: &Change) {
    let Payload::Message(message) = event.payload() else {
        panic!("{event:?}")
    };
    let Message {
        id,
        timestamp,
        sender,
        kind,
        content,
        context,
        errors,
        ..
    } = message;
    assert_eq!(id, Some(&*wamid(&expected.id)));
    assert_eq!(event.id(), id);
    assert_eq!(
        timestamp.map(Timestamp::millis),
        Some(millis(expected.timestamp))
    );
    assert_eq!(event.timestamp(), timestamp);
    assert_eq!(sender.phone, expected.from.map(phone).as_deref());
    let meant = person(change, expected.from, expected.from_user);
    let contact = sender.contact.get();
    assert_eq!(contact.is_some(), meant.is_some());
    if let (Some(contact), Some((place, meant))) = (contact, meant) {
        assert_eq!(sender.name(), Some(&*meant.name));
        assert_eq!(
            contact.wa_id,
            meant.has_phone.then(|| phone(place)).as_deref()
        );
        assert_eq!(
            contact.user_id,
            meant.has_user.then(|| user(place)).as_deref()
        );
    }
    assert_eq!(
        context.map(|context| context.id),
        expected.context.as_deref().map(wamid).as_deref().map(Some)
    );
    assert!(
        errors
            .iter()
            .map(|error| (error.code, error.title))
            .eq(titled(&expected.errors))
    );
    assert_eq!(
        event.is_known(),
        !matches!(expected.content, ContentIn::Unknown(_))
    );
    match (&expected.content, content) {
        (ContentIn::Text(body), Content::Text(text)) => assert_eq!(text.body, Some(&**body)),
        (ContentIn::Image(id, caption), Content::Image(media)) => {
            assert_eq!(media.id, Some(&*id.to_string()));
            assert_eq!(media.caption, caption.as_deref());
        }
        (ContentIn::Location(latitude, longitude, name), Content::Location(place)) => {
            assert_eq!(place.latitude, Some(degrees(*latitude)));
            assert_eq!(place.longitude, Some(degrees(*longitude)));
            assert_eq!(place.name, name.as_deref());
        }
        (ContentIn::Reaction(to, emoji), Content::Reaction(reaction)) => {
            assert_eq!(reaction.message_id, Some(&*wamid(to)));
            assert_eq!(reaction.emoji, emoji.as_deref());
        }
        (ContentIn::Button(text, payload), Content::Button(button)) => {
            assert_eq!(
                (button.text, button.payload),
                (Some(&**text), Some(&**payload))
            );
        }
        (ContentIn::ListReply(id, title), Content::Interactive(Interactive::ListReply(reply))) => {
            assert_eq!((reply.id, reply.title), (Some(&**id), Some(&**title)));
        }
        (ContentIn::Unknown(name), Content::Unknown) => assert_eq!(kind, Some(&*new_type(name))),
        (expected, found) => panic!("{expected:?} became {found:?}"),
    }
}

fn check_status(event: &Event, expected: &StatusIn, change: &Change) {
    let Payload::Status(status) = event.payload() else {
        panic!("{event:?}")
    };
    let Status {
        id,
        state,
        timestamp,
        recipient,
        callback_data,
        errors,
        ..
    } = status;
    assert_eq!(id, Some(&*wamid(&expected.id)));
    assert_eq!(
        state.map(|state| state.as_str()),
        Some(name(expected.state))
    );
    assert_eq!(event.is_known(), expected.state.is_some());
    assert_eq!(
        timestamp.map(Timestamp::millis),
        Some(millis(expected.timestamp))
    );
    assert_eq!(recipient.id, expected.to.map(phone).as_deref());
    assert_eq!(recipient.user_id, expected.to_user.map(user).as_deref());
    let meant = person(change, expected.to, expected.to_user);
    let found = recipient
        .contact
        .get()
        .and_then(|contact| contact.profile?.name);
    assert_eq!(found, meant.map(|(_, meant)| &*meant.name));
    assert_eq!(callback_data, expected.callback_data.as_deref());
    assert!(
        errors
            .iter()
            .map(|error| (error.code, error.title))
            .eq(titled(&expected.errors))
    );
}

/// The expected contact: found by user id, else by phone number, else the only contact if all
/// elements concern one person.
fn person(change: &Change, from: Option<u8>, user: Option<u8>) -> Option<(u8, &Contact)> {
    let contact = |place: u8| Some((place, change.contacts.get(usize::from(place))?));
    let by_user = user
        .and_then(contact)
        .filter(|(_, contact)| contact.has_user);
    let by_phone = || {
        from.and_then(contact)
            .filter(|(_, contact)| contact.has_phone)
    };
    let only = || {
        let [contact] = &*change.contacts else {
            return None;
        };
        // Neither id matches. If both have a user id, it is a different person.
        let is_another = contact.has_user && user.is_some();
        (!is_another && change.is_about(from, user)).then_some((0, contact))
    };
    by_user.or_else(by_phone).or_else(only)
}

impl Change {
    fn is_contacts_alone(&self) -> bool {
        !self.contacts.is_empty() && self.messages.is_empty() && self.statuses.is_empty()
    }

    /// Whether the only element, or a small number of elements, all share an id with this person.
    fn is_about(&self, from: Option<u8>, user: Option<u8>) -> bool {
        let messages = self.messages.iter();
        let messages = messages.map(|message| (message.from, message.from_user));
        let statuses = self
            .statuses
            .iter()
            .map(|status| (status.to, status.to_user));
        let mut all = messages.chain(statuses);
        let shares = |one: Option<u8>, other: Option<u8>| one.is_some() && one == other;
        let count = self.messages.len() + self.statuses.len();
        count == 1 || count <= FEW && all.all(|(phone, id)| shares(phone, from) || shares(id, user))
    }
}

fn titled(errors: &[(i64, String)]) -> impl Iterator<Item = (Option<i64>, Option<&str>)> {
    errors
        .iter()
        .map(|(code, title)| (Some(*code), Some(&**title)))
}

fn name(state: Option<u8>) -> &'static str {
    state.map_or(NEW_STATE, |state| STATES[usize::from(state) % STATES.len()])
}

fn wamid(id: &str) -> String {
    format!("wamid.{id}")
}

fn new_type(name: &str) -> String {
    format!("new_{name}")
}

fn phone(place: u8) -> String {
    format!("16505550{place:03}")
}

fn user(place: u8) -> String {
    format!("US.{place}")
}

fn degrees(hundredths: i32) -> f64 {
    f64::from(hundredths) / 100.0
}

fn stamp(timestamp: u64) -> u64 {
    timestamp % 1_000_000_000_000_000
}

/// Numbers of 10^12 and above are milliseconds.
fn millis(timestamp: u64) -> u64 {
    let stamp = stamp(timestamp);
    if stamp < 1_000_000_000_000 {
        stamp * 1000
    } else {
        stamp
    }
}

fn write(input: &Input) -> Node {
    let style = input.style;
    let entries = input.entries.iter().map(|entry| {
        let changes = entry.changes.iter().map(|change| style.change(change));
        style.object([
            ("id", style.text(&entry.id.to_string())),
            ("changes", list(changes)),
        ])
    });
    style.object([
        ("object", style.text("whatsapp_business_account")),
        ("entry", list(entries)),
    ])
}

fn list(elements: impl Iterator<Item = Node>) -> Node {
    Node::Array(elements.collect())
}

impl Style {
    fn change(self, change: &Change) -> Node {
        let contacts = (0..=u8::MAX).zip(&change.contacts).map(|(place, contact)| {
            let profile = self.object([("name", self.text(&contact.name))]);
            let mut members = vec![("profile", profile)];
            if contact.has_phone {
                members.push(("wa_id", self.text(&phone(place))));
            }
            if contact.has_user {
                members.push(("user_id", self.text(&user(place))));
            }
            self.object(members)
        });
        let number = self.text(&change.number.to_string());
        let value = self.object([
            ("messaging_product", self.text("whatsapp")),
            ("metadata", self.object([("phone_number_id", number)])),
            ("contacts", list(contacts)),
            (
                "messages",
                list(change.messages.iter().map(|message| self.message(message))),
            ),
            (
                "statuses",
                list(change.statuses.iter().map(|status| self.status(status))),
            ),
        ]);
        self.object([("value", value), ("field", self.text("messages"))])
    }

    fn message(self, message: &MessageIn) -> Node {
        let (kind, content) = self.content(&message.content);
        let mut members = vec![
            ("id", self.text(&wamid(&message.id))),
            ("timestamp", self.number(stamp(message.timestamp))),
            ("type", self.text(&kind)),
            ("errors", self.errors(&message.errors)),
        ];
        if let Some(from) = message.from {
            members.push(("from", self.text(&phone(from))));
        }
        if let Some(from) = message.from_user {
            members.push(("from_user_id", self.text(&user(from))));
        }
        if let Some(context) = &message.context {
            members.push(("context", self.object([("id", self.text(&wamid(context)))])));
        }
        if let Some((name, content)) = content {
            members.push((name, content));
        }
        self.object(members)
    }

    fn content(self, content: &ContentIn) -> (String, Option<(&'static str, Node)>) {
        let optional =
            |name, text: &Option<String>| text.as_deref().map(|text| (name, self.text(text)));
        let (name, members) = match content {
            ContentIn::Text(body) => ("text", vec![("body", self.text(body))]),
            ContentIn::Image(id, caption) => {
                let id = ("id", self.text(&id.to_string()));
                (
                    "image",
                    [Some(id), optional("caption", caption)]
                        .into_iter()
                        .flatten()
                        .collect(),
                )
            }
            ContentIn::Location(latitude, longitude, name) => {
                let latitude = ("latitude", self.scalar(degrees(*latitude)));
                let longitude = ("longitude", self.scalar(degrees(*longitude)));
                let members = [Some(latitude), Some(longitude), optional("name", name)];
                ("location", members.into_iter().flatten().collect())
            }
            ContentIn::Reaction(to, emoji) => {
                let to = ("message_id", self.text(&wamid(to)));
                (
                    "reaction",
                    [Some(to), optional("emoji", emoji)]
                        .into_iter()
                        .flatten()
                        .collect(),
                )
            }
            ContentIn::Button(text, payload) => (
                "button",
                vec![("text", self.text(text)), ("payload", self.text(payload))],
            ),
            ContentIn::ListReply(id, title) => {
                let reply = self.object([("id", self.text(id)), ("title", self.text(title))]);
                (
                    "interactive",
                    vec![("type", self.text("list_reply")), ("list_reply", reply)],
                )
            }
            ContentIn::Unknown(name) => return (new_type(name), None),
        };
        (name.to_owned(), Some((name, self.object(members))))
    }

    fn status(self, status: &StatusIn) -> Node {
        let mut members = vec![
            ("id", self.text(&wamid(&status.id))),
            ("status", self.text(name(status.state))),
            ("timestamp", self.number(stamp(status.timestamp))),
            ("errors", self.errors(&status.errors)),
        ];
        if let Some(to) = status.to {
            members.push(("recipient_id", self.text(&phone(to))));
        }
        if let Some(to) = status.to_user {
            members.push(("recipient_user_id", self.text(&user(to))));
        }
        if let Some(data) = &status.callback_data {
            members.push(("biz_opaque_callback_data", self.text(data)));
        }
        self.object(members)
    }

    fn errors(self, errors: &[(i64, String)]) -> Node {
        list(errors.iter().map(|(code, title)| {
            self.object([("code", self.number(*code)), ("title", self.text(title))])
        }))
    }

    fn object<'a>(self, members: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
        let members = members.into_iter();
        let mut members: Vec<_> = members
            .map(|(key, value)| (self.quoted(key), value))
            .collect();
        if self.backwards {
            members.reverse();
        }
        Node::Object(members)
    }

    fn text(self, text: &str) -> Node {
        Node::Scalar(self.quoted(text))
    }

    fn number(self, number: impl ToString) -> Node {
        if self.numbers {
            self.scalar(number)
        } else {
            self.text(&number.to_string())
        }
    }

    fn scalar(self, number: impl ToString) -> Node {
        Node::Scalar(number.to_string())
    }

    fn quoted(self, text: &str) -> String {
        if self.escaped {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        } else {
            serde_json::to_string(text).expect("a string is valid JSON")
        }
    }
}
