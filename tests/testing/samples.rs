//! The samples cover all types of the crate, and the table of fields matches the code.
//!
//! The items to cover are read from the source: adding a name, key or field fails here until there
//! is a sample of it.

use std::collections::{BTreeMap, BTreeSet};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Event, Notification, Payload, WebhookLayer,
    event::{Content, Interactive, Message, Reason, State},
    testing::{
        self,
        sample::{self, Sample},
    },
    webhook::RequestBody,
};

const FIELD: &str = include_str!("../../src/event/field.rs");
const TABLE: &str = include_str!("../../src/event/fields.md");
const SOURCES: &[&str] = &[
    include_str!("../../src/event/account.rs"),
    include_str!("../../src/event/call.rs"),
    include_str!("../../src/event/contact.rs"),
    include_str!("../../src/event/error.rs"),
    include_str!("../../src/event/flow.rs"),
    include_str!("../../src/event/group.rs"),
    include_str!("../../src/event/handover.rs"),
    include_str!("../../src/event/history.rs"),
    include_str!("../../src/event/marketing.rs"),
    include_str!("../../src/event/message/card.rs"),
    include_str!("../../src/event/message/content.rs"),
    include_str!("../../src/event/message/context.rs"),
    include_str!("../../src/event/message/interactive.rs"),
    include_str!("../../src/event/message/media.rs"),
    include_str!("../../src/event/message/mod.rs"),
    include_str!("../../src/event/message/order.rs"),
    include_str!("../../src/event/message/referral.rs"),
    include_str!("../../src/event/message/system.rs"),
    include_str!("../../src/event/message/unsupported.rs"),
    include_str!("../../src/event/status.rs"),
    include_str!("../../src/event/template.rs"),
    include_str!("../../src/event/user.rs"),
];

fn samples() -> Vec<(&'static str, Notification)> {
    sample::all()
        .into_iter()
        .map(|(name, sample)| (name, sample.notification()))
        .collect()
}

fn events() -> Vec<(&'static str, Event)> {
    samples()
        .into_iter()
        .flat_map(|(name, notification)| {
            let events = notification.events().to_vec();
            events.into_iter().map(move |event| (name, event))
        })
        .collect()
}

/// The blocks of a macro in the sources: the text from `struct` or `enum` to its end.
fn blocks(name: &str) -> Vec<&'static str> {
    let start = format!("\n{name}! {{\n");
    let blocks: Vec<_> = SOURCES
        .iter()
        .flat_map(|source| source.split(&*start).skip(1))
        .map(|block| block.split("\n}\n").next().unwrap())
        .collect();
    assert!(!blocks.is_empty());
    blocks
}

/// The lines of a block, without docs and empty lines.
fn lines(block: &str) -> impl Iterator<Item = &str> {
    block
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("///") && !line.is_empty())
}

/// The name after a keyword: `struct Message<'a> {`.
fn name_behind<'a>(word: &str, block: &'a str) -> &'a str {
    let line = lines(block).find(|line| line.contains(word)).unwrap();
    let name = line.split(word).nth(1).unwrap();
    let end = name.find(|char: char| !char.is_alphanumeric()).unwrap();
    &name[..end]
}

/// The quoted texts of a line.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// All contents of the samples with their paths.
#[derive(Default)]
struct Seen {
    keys: BTreeSet<String>,
    values: BTreeSet<String>,
    /// Keys of event objects, with the names of their payloads.
    surface: BTreeSet<(&'static str, String)>,
}

impl Seen {
    fn new() -> Self {
        let mut seen = Self::default();
        for (_, sample) in sample::all() {
            seen.walk(&serde_json::from_slice(&sample.body()).unwrap());
        }
        for (_, event) in events() {
            let json: serde_json::Value = serde_json::from_str(event.raw()).unwrap();
            for key in json
                .as_object()
                .into_iter()
                .flat_map(|object| object.keys())
            {
                seen.surface.insert((event.payload().name(), key.clone()));
            }
        }
        seen
    }

    fn walk(&mut self, json: &serde_json::Value) {
        match json {
            serde_json::Value::Object(object) => {
                for (key, value) in object {
                    self.keys.insert(key.clone());
                    self.walk(value);
                }
            }
            serde_json::Value::Array(list) => list.iter().for_each(|value| self.walk(value)),
            serde_json::Value::String(text) => {
                self.values.insert(text.clone());
            }
            _ => {}
        }
    }
}

/// Struct fields with a value in `Debug` output: struct, field, and the start of the value.
fn shown() -> BTreeSet<(String, String, String)> {
    let mut shown = BTreeSet::new();
    for (_, event) in events() {
        let text = debug(&event.payload());
        let mut structs: Vec<&str> = Vec::new();
        let mut rest = &text[..];
        while let Some(char) = rest.chars().next() {
            let end = rest
                .find(|char: char| !char.is_alphanumeric() && char != '_')
                .unwrap_or(rest.len());
            if char == '"' {
                let mut escaped = false;
                let end = rest[1..].find(|char| {
                    let found = char == '"' && !escaped;
                    escaped = char == '\\' && !escaped;
                    found
                });
                rest = &rest[end.unwrap() + 2..];
            } else if end == 0 {
                if char == '}' {
                    structs.pop().unwrap();
                }
                rest = &rest[char.len_utf8()..];
            } else {
                let (word, after) = rest.split_at(end);
                if after.starts_with(" {") {
                    structs.push(word);
                } else if let Some(value) = after.strip_prefix(": ")
                    && !value.starts_with("None")
                    && !value.starts_with("[]")
                {
                    let value = value.strip_prefix("Some(").unwrap_or(value);
                    let end = value
                        .find(|char: char| !char.is_alphanumeric())
                        .unwrap_or(value.len());
                    shown.insert((
                        (*structs.last().unwrap()).to_owned(),
                        word.to_owned(),
                        value[..end].to_owned(),
                    ));
                }
                rest = after;
            }
        }
        assert!(structs.is_empty(), "{text}");
    }
    shown
}

/// `Debug` of the payload, and of the parts that it omits as context or personal data.
fn debug(payload: &Payload<'_>) -> String {
    match payload {
        Payload::Message(message) => format!(
            "{message:?} {:?} {:?} {:?} {:?}",
            message.context, message.referral, message.identity, message.sender.contact
        ),
        Payload::Status(status) => format!(
            "{status:?} {:?} {:?} {:?}",
            status.conversation, status.pricing, status.payment
        ),
        Payload::GroupParticipant(participant) => format!(
            "{participant:?} GroupParticipant {{ event: {:?} }}",
            participant.event
        ),
        payload => format!("{payload:?}"),
    }
}

/// The rows of the table: fields, payload, and time.
fn rows() -> Vec<(Vec<&'static str>, &'static str, &'static str)> {
    TABLE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Field"))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let &[fields, _, payload, _, time, _, _] = &cells[..] else {
                panic!("{line}");
            };
            let code = |cell: &'static str| cell.split('`').skip(1).step_by(2);
            (code(fields).collect(), code(payload).next().unwrap(), time)
        })
        .collect()
}

/// The names in `FIELDS`.
fn fields() -> Vec<&'static str> {
    let list = FIELD.split("FIELDS: &[Field] = &[").nth(1).unwrap();
    let list = list.split("\n];").next().unwrap();
    list.split("field(")
        .skip(1)
        .flat_map(|field| {
            let names = field.split("&[").nth(1).unwrap().split(']').next().unwrap();
            literals(names)
        })
        .collect()
}

#[test]
fn every_payload_has_a_sample() {
    let seen: BTreeSet<_> = events()
        .iter()
        .map(|(_, event)| event.payload().name())
        .collect();
    let names: BTreeSet<_> = Payload::NAMES.iter().copied().collect();
    assert_eq!(seen, names);
}

#[test]
fn every_field_has_a_sample() {
    let seen: BTreeSet<_> = events()
        .iter()
        .filter_map(|(_, event)| event.field().map(str::to_owned))
        .collect();
    let fields = fields();
    assert!(fields.len() > 35, "{fields:?}");
    for field in fields {
        assert!(seen.contains(field), "{field}");
    }
}

#[test]
fn every_key_has_a_sample() {
    let seen = Seen::new();
    let shown = shown();
    let mut missing = Vec::new();
    let mut count = 0;
    for block in blocks("object") {
        let name = name_behind("struct ", block);
        // Long declarations are wrapped: a field ends with a comma after a bracket.
        let text = lines(block).skip(1).collect::<Vec<_>>().join(" ");
        for field in text.split("],") {
            let Some((before, keys)) = field.rsplit_once('[') else {
                continue;
            };
            let Some((declared, reader)) = before.rsplit_once(" = ") else {
                continue;
            };
            let declared = declared.split(": ").next().unwrap();
            let declared = declared.split(' ').next_back().unwrap();
            for key in literals(keys) {
                count += 1;
                let payload = match name {
                    "WireMessage" => Some("message"),
                    "WireStatus" => Some("status"),
                    _ => None,
                };
                let found = match payload {
                    Some(payload) => seen.surface.contains(&(payload, key.to_owned())),
                    None => seen.keys.contains(key),
                };
                if !found {
                    missing.push(format!("{name}: {key}"));
                }
            }
            let hidden = ["UserText", "PersonalId", "RawJson", "Coordinate"].contains(&reader);
            // Only keys of events are made of these. The payload has the same fields.
            let is_identity = name.ends_with("Ids");
            if !name.starts_with("Wire")
                && !is_identity
                && !hidden
                && !shown
                    .iter()
                    .any(|(of, field, _)| of == name && field == declared)
            {
                missing.push(format!("{name}.{declared}"));
            }
        }
    }
    assert!(count > 400, "{count}");
    assert!(missing.is_empty(), "of {count}: {missing:#?}");
}

#[test]
fn every_name_has_a_sample() {
    let seen = Seen::new();
    let shown = shown();
    // Where the names of an enum occur: structs and fields.
    let mut places: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for block in blocks("object") {
        for line in lines(block) {
            let Some((field, kind)) = line.trim_start_matches("pub ").split_once(": Option<")
            else {
                continue;
            };
            let end = kind.find(|char: char| !char.is_alphanumeric());
            let of = match name_behind("struct ", block) {
                "WireStatus" => "Status",
                name => name,
            };
            let field = if of == "Status" && field == "status" {
                "state"
            } else {
                field
            };
            let kind = &kind[..end.unwrap()];
            places.entry(kind).or_default().push((of, field));
        }
    }
    let mut missing = Vec::new();
    let mut count = 0;
    for block in blocks("string_enum") {
        let name = name_behind("enum ", block);
        for line in lines(block) {
            let Some((variant, names)) = line.split_once(" = ") else {
                continue;
            };
            for literal in literals(names) {
                count += 1;
                if !seen.values.contains(literal)
                    && !seen.values.contains(&literal.replace('_', "-"))
                {
                    missing.push(format!("{name}: {literal}"));
                }
            }
            if !places[name].iter().any(|&(of, field)| {
                shown.contains(&(of.to_owned(), field.to_owned(), variant.to_owned()))
            }) {
                missing.push(format!("{name}::{variant}"));
            }
        }
    }
    assert!(count > 100, "{count}");
    assert!(missing.is_empty(), "of {count}: {missing:#?}");
}

#[test]
fn every_type_of_content_has_a_sample() {
    let debug: Vec<_> = events()
        .iter()
        .map(|(_, event)| format!("{:?}", event.payload()))
        .collect();
    let seen = Seen::new();
    let mut count = 0;
    for block in blocks("tagged_union") {
        let before = match name_behind("enum ", block) {
            "Content" => "content: ",
            "Interactive" => "Interactive(",
            name => panic!("{name} is new: say where it stands"),
        };
        let text = lines(block).skip(1).collect::<Vec<_>>().join(" ");
        for variant in text.split("\",") {
            let Some((variant, tags)) = variant.rsplit_once(" = ") else {
                continue;
            };
            let name = variant.trim().split([' ', '(']).next().unwrap();
            let shown = format!("{before}{name}");
            assert!(debug.iter().any(|debug| debug.contains(&shown)), "{shown}");
            for tag in literals(&format!("{tags}\"")) {
                count += 1;
                assert!(seen.values.contains(tag), "{tag}");
            }
        }
        let unknown = format!("{before}Unknown");
        assert!(debug.iter().any(|debug| debug.contains(&unknown)));
    }
    assert!(count >= 26, "{count}");
}

#[test]
fn all_are_known_but_those_that_are_not() {
    for (name, event) in events() {
        let unknown = name.starts_with("unknown");
        assert_eq!(event.is_known(), !unknown, "{name}: {}", event.raw());
    }
}

#[test]
fn the_unknown_ones_are_unknown_in_different_ways() {
    let event = |name: &str| sample::named(name).unwrap().notification().events()[0].clone();
    let reason = |name: &str| match event(name).payload() {
        Payload::Unknown(unknown) => unknown.reason,
        payload => panic!("{payload:?}"),
    };
    assert_eq!(reason("unknown_field"), Reason::Field);
    assert_eq!(reason("unknown_list"), Reason::List);
    assert_eq!(reason("unknown_shape"), Reason::Shape);
    let message = event("unknown_type");
    let Payload::Message(message) = message.payload() else {
        panic!("{message:?}");
    };
    assert_eq!(message.content, Content::Unknown);
    let message = event("unknown_interactive");
    let Payload::Message(message) = message.payload() else {
        panic!("{message:?}");
    };
    assert_eq!(message.content, Content::Interactive(Interactive::Unknown));
}

#[test]
fn every_sample_is_json_as_meta_writes_it() {
    let names: BTreeSet<_> = sample::all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), sample::all().len());
    for (name, notification) in samples() {
        let body = notification.body();
        assert!(body.is_ascii(), "{name}");
        assert!(!body.contains(&b'$'), "{name}: something is not filled in");
        let body = std::str::from_utf8(body).unwrap();
        assert!(!body.replace("\\/", "").contains('/'), "{name}");
        assert!(body.find("\"value\"") < body.find("\"field\""), "{name}");
        assert!(!notification.events().is_empty(), "{name}");
        for event in notification.events() {
            serde_json::from_str::<serde_json::Value>(event.raw()).unwrap();
        }
    }
}

#[test]
fn what_is_filled_in_comes_out() {
    let given = "a \"quote\", a \\, a /, a $user, \u{1}\0\n, ä and 👍";
    let notification = sample::text(given)
        .from(given)
        .user_id(given)
        .phone_number_id(given)
        .entry_id(given)
        .id(given)
        .timestamp(1_700_000_000)
        .and(sample::status(State::Other(given)))
        .notification();
    let [text, status] = notification.events() else {
        panic!("{notification:?}");
    };
    let Payload::Message(message) = text.payload() else {
        panic!("{text:?}");
    };
    let Content::Text(body) = message.content else {
        panic!("{text:?}");
    };
    assert_eq!(body.body, Some(given));
    assert_eq!(message.sender.phone, Some(given));
    assert_eq!(message.sender.user_id(), Some(given));
    assert_eq!(message.sender.wa_id(), Some(given));
    assert_eq!(message.id, Some(given));
    assert_eq!(message.timestamp.unwrap().seconds(), 1_700_000_000);
    assert_eq!(text.phone_number_id(), Some(given));
    assert_eq!(text.entry_id(), Some(given));
    let Payload::Status(status) = status.payload() else {
        panic!("{status:?}");
    };
    assert_eq!(status.state, Some(State::Other(given)));
}

/// Calls a function with the only message of a sample.
fn with_message<T>(sample: &Sample, look: impl FnOnce(Message<'_>) -> T) -> T {
    let notification = sample.notification();
    let message = notification.messages().next().unwrap();
    look(message)
}

fn named(name: &str) -> Sample {
    sample::named(name).unwrap()
}

#[test]
fn what_a_host_routes_by_can_be_set() {
    let pressed = named("button_reply")
        .button_id("b")
        .title("B")
        .context("wamid.Q");
    with_message(&pressed, |message| {
        let Content::Interactive(Interactive::ButtonReply(reply)) = message.content else {
            panic!("{message:?}");
        };
        assert_eq!((reply.id, reply.title), (Some("b"), Some("B")));
        assert_eq!(message.context.unwrap().id, Some("wamid.Q"));
    });
    with_message(&named("button").button_id("p").title("B"), |message| {
        let Content::Button(button) = message.content else {
            panic!("{message:?}");
        };
        assert_eq!((button.payload, button.text), (Some("p"), Some("B")));
    });
    with_message(&named("list_reply").list_id("l").title("L"), |message| {
        let Content::Interactive(Interactive::ListReply(reply)) = message.content else {
            panic!("{message:?}");
        };
        assert_eq!((reply.id, reply.title), (Some("l"), Some("L")));
    });
    with_message(
        &named("flow_reply").response_json(r#"{"a":"ä/"}"#),
        |message| {
            let Content::Interactive(Interactive::FlowReply(reply)) = message.content else {
                panic!("{message:?}");
            };
            assert_eq!(reply.response_json, Some(r#"{"a":"ä/"}"#));
        },
    );
    with_message(
        &named("reaction").emoji("🎉").context("wamid.Q"),
        |message| {
            let Content::Reaction(reaction) = message.content else {
                panic!("{message:?}");
            };
            assert_eq!(
                (reaction.emoji, reaction.message_id),
                (Some("🎉"), Some("wamid.Q"))
            );
            assert_eq!(message.context, None);
        },
    );
    with_message(&named("edit").text("new").context("wamid.Q"), |message| {
        let Content::Edit(edit) = message.content else {
            panic!("{message:?}");
        };
        assert_eq!(edit.original_message_id, Some("wamid.Q"));
        assert_eq!(message.text(), Some("new"));
    });
    for name in ["image", "video", "document"] {
        let sample = named(name).caption("C").media_id("7").mime_type("a/b");
        with_message(&sample, |message| {
            let media = message.content.media().unwrap();
            assert_eq!(
                (media.id, media.mime_type),
                (Some("7"), Some("a/b")),
                "{name}"
            );
            assert_eq!(message.text(), Some("C"), "{name}");
        });
    }
    with_message(&named("document").filename("f"), |message| {
        assert_eq!(message.content.media().unwrap().filename, Some("f"));
    });
    // The setter turns the message into a reply.
    with_message(
        &sample::text("yes")
            .context("wamid.Q")
            .display_phone_number("1555"),
        |message| {
            let context = message.context.unwrap();
            assert_eq!((context.id, context.from), (Some("wamid.Q"), Some("1555")));
        },
    );
    with_message(&named("group_text").group_id("g"), |message| {
        assert_eq!(message.group_id, Some("g"));
    });
}

#[test]
fn a_user_can_be_anybody() {
    let anybody = sample::text("hi")
        .user_id("US.1")
        .profile_name("Ada")
        .username("ada");
    with_message(&anybody.clone().from("1650"), |message| {
        let sender = message.sender;
        assert_eq!((sender.phone, sender.wa_id()), (Some("1650"), Some("1650")));
        assert_eq!(
            (sender.name(), sender.username()),
            (Some("Ada"), Some("ada"))
        );
        assert_eq!(sender.user_id(), Some("US.1"));
    });
    with_message(&anybody.without_phone(), |message| {
        let sender = message.sender;
        assert_eq!((sender.phone, sender.wa_id()), (None, None));
        assert_eq!(
            (sender.name(), sender.user_id()),
            (Some("Ada"), Some("US.1"))
        );
    });
    with_message(
        &named("parent_user_id").parent_user_id("US.ENT.1"),
        |message| {
            assert_eq!(message.sender.parent_user_id(), Some("US.ENT.1"));
        },
    );
    // A failure contains the recipient: a phone number, or a user id.
    for (sample, id, user_id) in [
        (
            sample::status(State::Failed).from("1650"),
            Some("1650"),
            None,
        ),
        (
            sample::status(State::Failed)
                .without_phone()
                .user_id("US.1"),
            None,
            Some("US.1"),
        ),
    ] {
        let notification = sample.notification();
        let recipient = notification.statuses().next().unwrap().recipient;
        assert_eq!((recipient.id, recipient.user_id), (id, user_id));
    }
}

/// Where the phone number can be omitted, no trace of it remains, and a user id is present.
#[test]
fn without_a_phone_number_there_is_a_user_id() {
    let mut count = 0;
    for (name, sample) in sample::all() {
        let given = sample.clone().lenient().from("16505559999").body();
        let hidden = sample
            .lenient()
            .without_phone()
            .from("16505559999")
            .user_id("US.9")
            .body();
        let has = |body: &[u8], text: &str| String::from_utf8_lossy(body).contains(text);
        if has(&given, "16505559999") && !has(&hidden, "16505559999") {
            count += 1;
            assert!(has(&hidden, "US.9"), "{name}");
            serde_json::from_slice::<serde_json::Value>(&hidden).unwrap();
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn a_status_can_be_any() {
    let sample = named("status_group")
        .state(State::Failed)
        .group_id("g")
        .callback_data("order-7");
    let notification = sample
        .and(sample::status(State::Failed).error_code(131_026))
        .notification();
    let statuses: Vec<_> = notification.statuses().collect();
    let [group, failed] = statuses[..] else {
        panic!("{statuses:?}");
    };
    assert_eq!(
        (group.state, group.group_id),
        (Some(State::Failed), Some("g"))
    );
    assert_eq!(
        (group.recipient.id, group.callback_data),
        (Some("g"), Some("order-7"))
    );
    assert_eq!(failed.errors.first().unwrap().code, Some(131_026));
    let paid = named("status_captured").reference_id("r").notification();
    let payment = paid.statuses().next().unwrap().payment.get().unwrap();
    assert_eq!(payment.reference_id, Some("r"));

    let rejected = named("template_rejected")
        .template_id(7)
        .template_name("t")
        .notification();
    let Payload::TemplateStatus(template) = rejected.events()[0].payload() else {
        panic!("{rejected:?}");
    };
    assert_eq!((template.id, template.name), (Some("7"), Some("t")));
}

/// Setting a value that the sample does not have must fail, or the test would check nothing.
#[test]
fn a_setter_that_sets_nothing_panics() {
    type Set = fn(Sample) -> Sample;
    let cases: [(&str, Set); 12] = [
        ("caption", |sample| sample.caption("x")),
        ("button_id", |sample| sample.button_id("x")),
        ("list_id", |sample| sample.list_id("x")),
        ("error_code", |sample| sample.error_code(1)),
        ("state", |sample| sample.state(State::Read)),
        ("group_id", |sample| sample.group_id("x")),
        ("media_id", |sample| sample.media_id("x")),
        ("template_name", |sample| sample.template_name("x")),
        ("emoji", |sample| sample.emoji("x")),
        ("reference_id", |sample| sample.reference_id("x")),
        ("response_json", |sample| sample.response_json("x")),
        ("callback_data", |sample| sample.callback_data("x")),
    ];
    for (setter, set) in cases {
        let panic = std::panic::catch_unwind(|| set(sample::text("hi"))).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains(&format!("`{setter}`")), "{text}");
        assert!(text.contains("text"), "{text}");
        // `lenient` ignores it instead.
        let sample = set(sample::text("hi").lenient());
        assert_eq!(sample.body(), sample::text("hi").body(), "{setter}");
    }
    for (name, set) in [
        ("template_rejected", (|sample| sample.from("1")) as Set),
        ("template_rejected", |sample| sample.without_phone()),
        ("template_rejected", |sample| sample.phone_number_id("1")),
        ("account_verified", |sample| sample.id("1")),
        ("unknown_field", |sample| sample.timestamp(1)),
        ("bsuid_only", |sample| sample.from("1")),
        ("forwarded_text", |sample| sample.context("1")),
        ("status_failed", |sample| sample.user_id("US.1")),
        ("changed_number", |sample| sample.without_phone()),
    ] {
        assert!(
            std::panic::catch_unwind(|| set(named(name))).is_err(),
            "{name}"
        );
    }
    // One of several samples is enough, and the others stay unchanged.
    let both = sample::text("hi")
        .and(named("image"))
        .caption("C")
        .notification();
    let texts: Vec<_> = both
        .messages()
        .map(|message| message.text().map(str::to_owned))
        .collect();
    assert_eq!(texts, [Some("hi".to_owned()), Some("C".to_owned())]);
}

#[test]
fn what_the_functions_say_is_so() {
    for state in [
        State::Sent,
        State::Delivered,
        State::Read,
        State::Played,
        State::Failed,
        State::Deleted,
        State::Warning,
        State::Pending,
        State::Captured,
    ] {
        let notification = sample::status(state).notification();
        let status = notification.statuses().next().unwrap();
        assert_eq!(status.state, Some(state));
        assert_eq!(!status.errors.is_empty(), state == State::Failed);
    }
    let notification = sample::bsuid_only().notification();
    let message = notification.messages().next().unwrap();
    assert_eq!((message.sender.phone, message.sender.wa_id()), (None, None));
    assert!(message.sender.user_id().is_some() && message.sender.username().is_some());
    for count in [0, 1, 2, 7, 1000] {
        let notification = sample::batch(count).notification();
        assert_eq!(notification.events().len(), count);
        assert_eq!(notification.statuses().count(), count / 2);
    }
}

#[test]
fn repeated_events_are_different_events() {
    for (name, sample) in sample::all() {
        if name == "unknown_shape" {
            continue;
        }
        let once = sample.notification().events().len();
        let notification = sample.clone().repeat(3).notification();
        let keys: BTreeSet<_> = notification.events().iter().map(Event::key).collect();
        assert_eq!(notification.events().len(), 3 * once, "{name}");
        assert_eq!(keys.len(), 3 * once, "{name}");
        assert_eq!(sample.body(), sample.body());
        assert!(sample.repeat(0).notification().events().is_empty());
    }
}

#[test]
fn all_of_them_fit_into_one_delivery() {
    let count = events().len();
    let all = sample::all()
        .into_iter()
        .map(|(_, sample)| sample)
        .reduce(Sample::and)
        .unwrap()
        .notification();
    assert_eq!(all.events().len(), count);
    let one_by_one: Vec<_> = events()
        .iter()
        .map(|(_, event)| event.payload().name())
        .collect();
    let together: Vec<_> = all
        .events()
        .iter()
        .map(|event| event.payload().name())
        .collect();
    assert_eq!(one_by_one, together);
}

#[test]
fn a_detached_event_is_the_same() {
    let all = sample::all()
        .into_iter()
        .map(|(_, sample)| sample.repeat(2))
        .reduce(Sample::and)
        .unwrap()
        .notification();
    for event in all.events() {
        let detached = event.detach();
        assert_eq!(detached.payload(), event.payload());
        assert_eq!(detached.key(), event.key());
        assert_eq!(detached.raw(), event.raw());
        assert_eq!(detached.is_known(), event.is_known());
        assert_eq!(detached.field(), event.field());
        assert_eq!(detached.entry_id(), event.entry_id());
        assert_eq!(detached.entry_time(), event.entry_time());
        assert_eq!(detached.phone_number_id(), event.phone_number_id());
    }
}

#[tokio::test]
async fn every_sample_passes_the_layer() -> Result<(), BoxError> {
    let layer = WebhookLayer::new("/webhook", "the app secret", "the verify token")?;
    let service = layer.layer(service_fn(
        |request: Request<RequestBody<Full<bytes::Bytes>>>| async move {
            let notification = request.extensions().get::<Notification>().cloned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(notification.as_ref().map(Notification::body), Some(&body));
            let mut response = Response::new(Empty::<bytes::Bytes>::new());
            response.extensions_mut().insert(notification.unwrap());
            Ok::<_, std::convert::Infallible>(response)
        },
    ));
    for (name, sample) in sample::all() {
        let request = testing::delivery("/webhook", sample.body(), "the app secret");
        let response = service.clone().oneshot(request.map(Full::new)).await?;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let notification = response.extensions().get::<Notification>().unwrap();
        assert_eq!(notification.body(), &sample.body(), "{name}");
    }
    let request = testing::delivery("/webhook", sample::text("hi").body(), "another secret");
    let response = service.oneshot(request.map(Full::new)).await?;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    Ok(())
}

#[test]
#[should_panic(expected = "the secret must not be blank")]
fn a_blank_secret_panics() {
    let _ = testing::sign(b"{}", " ");
}

#[test]
fn the_table_has_every_field_and_no_other() {
    let table: BTreeSet<_> = rows().into_iter().flat_map(|(fields, ..)| fields).collect();
    let fields: BTreeSet<_> = fields().into_iter().collect();
    assert_eq!(table, fields);
}

#[test]
fn the_table_has_every_payload_and_links_it() {
    let table: BTreeSet<_> = rows().into_iter().map(|(_, payload, _)| payload).collect();
    let names: BTreeSet<_> = Payload::NAMES.iter().copied().collect();
    assert_eq!(table, names);
    // The link of a payload points to the variant of that name.
    for (_, payload, _) in rows() {
        let mut variant = String::new();
        for word in payload.split('_') {
            variant.push_str(&word[..1].to_uppercase());
            variant.push_str(&word[1..]);
        }
        let link = format!("[`{payload}`](Payload::{variant})");
        assert!(TABLE.contains(&link), "{link}");
    }
}

#[test]
fn the_table_says_what_the_samples_say() {
    let rows = rows();
    let mut used = BTreeSet::new();
    for (name, event) in events() {
        let payload = event.payload().name();
        let field = event.field().unwrap();
        let row = rows.iter().position(|(fields, row_payload, _)| {
            *row_payload == payload && (fields.contains(&field) || fields.is_empty())
        });
        let row = row.unwrap_or_else(|| panic!("{name}: no row for {field} and {payload}"));
        used.insert(row);
        match rows[row].2 {
            "yes" => assert!(event.entry_time().is_some(), "{name}"),
            "no" => assert!(event.entry_time().is_none(), "{name}"),
            "sometimes" | "not known" | "" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(used.len(), rows.len(), "a row has no sample");
}
