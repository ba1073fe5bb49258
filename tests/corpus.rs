//! Real notifications, where the collection of them is at hand beside the project. None is refused, no element is lost, and all that
//! is said in them is known.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tower_whatsapp::{Event, Notification, Payload, event::Reason};

#[test]
fn no_element_of_a_real_notification_is_lost() {
    let Some(root) = collection() else { return };
    let (mut files, mut messages, mut statuses, mut others) =
        (0, Share::default(), Share::default(), 0);
    for Sample { file, body, .. } in samples(&root) {
        let value: Result<Value, _> = serde_json::from_slice(&body);
        let notification = Notification::parse(body);
        assert_eq!(notification.is_ok(), value.is_ok(), "{file}");
        let (Ok(value), Ok(notification)) = (value, notification) else {
            continue;
        };
        files += 1;
        for event in notification.events() {
            assert!(serde_json::from_str::<Value>(event.raw()).is_ok(), "{file}");
            match event.payload() {
                Payload::Message(_) => messages.count(event),
                Payload::Status(_) => statuses.count(event),
                _ => others += 1,
            }
        }
        for (list, typed, elements) in lists(&value) {
            let found: Vec<Value> = notification
                .events()
                .iter()
                .filter(|event| is_of(event, list, typed))
                .map(|event| serde_json::from_str(event.raw()).unwrap())
                .collect();
            for element in elements {
                assert!(found.contains(element), "{file}: {list} {element}");
            }
        }
        assert!(
            value
                .get("entry")
                .is_none_or(|entry| entry == &Value::Array(Vec::new()))
                || !notification.events().is_empty(),
            "{file}"
        );
    }
    println!("{files} files, messages {messages:?}, statuses {statuses:?}, {others} other events");
    assert!(files > 400 && messages.all > 150 && statuses.all > 40);
}

/// Field by field: a walk that knows nothing but the names of the lists finds the same elements, in the same order.
#[test]
fn every_field_delivers_what_a_naive_walk_finds_in_it() {
    let Some(root) = collection() else { return };
    let mut totals: BTreeMap<Label, usize> = BTreeMap::new();
    let mut shapeless = 0;
    for sample in samples(&root) {
        let body = sample.envelope();
        let (Ok(value), Ok(notification)) = (
            serde_json::from_slice(&body),
            Notification::parse(body.clone()),
        ) else {
            continue;
        };
        let expected = walk(&value);
        let mut found: BTreeMap<Label, Vec<Value>> = BTreeMap::new();
        for event in notification.events() {
            let payload = event.payload();
            if let Payload::Unknown(unknown) = payload
                && unknown.reason == Reason::Shape
            {
                // What has no shape for the crate has none for the walk: it is there all the same, as itself.
                shapeless += 1;
                continue;
            }
            let field = event.field().unwrap_or("messages").to_owned();
            found
                .entry((field, payload.name()))
                .or_default()
                .push(serde_json::from_str(event.raw()).unwrap());
        }
        for (label, elements) in &expected {
            *totals.entry(label.clone()).or_default() += elements.len();
        }
        assert_eq!(found, expected, "{}", sample.file);
    }
    for ((field, payload), count) in &totals {
        println!("{field} {payload}: {count}, lost 0");
    }
    println!("{shapeless} without a shape");
    // Otherwise the walk found nothing, and agrees with anything.
    for field in FIELDS_OF_THE_COLLECTION {
        assert!(totals.keys().any(|(name, _)| name == field), "{field}");
    }
    assert!(totals.values().sum::<usize>() > 400);
}

/// What was taken whole from a page, a test or a log of somebody is known in all its parts.
#[test]
fn all_that_is_complete_is_known() {
    let Some(root) = collection() else { return };
    let (mut files, mut events, mut strange) = (0, 0, Vec::new());
    for sample in samples(&root) {
        if sample.quality != "complete" {
            continue;
        }
        files += 1;
        let notification = Notification::parse(sample.envelope()).unwrap();
        for event in notification.events() {
            events += 1;
            if !event.known() {
                strange.push((sample.file.clone(), format!("{event:?} {}", event.raw())));
            }
        }
    }
    println!("{files} complete files, {events} events");
    for (file, event) in &strange {
        println!("not known: {file}: {event}");
    }
    let mut names: Vec<_> = strange.iter().map(|(file, _)| file.as_str()).collect();
    names.dedup();
    assert_eq!(names, NOT_KNOWN);
    assert!(files > 300 && events > 300);
}

/// Complete files with something in them that is rightly not known.
const NOT_KNOWN: &[&str] = &[];

const FIELDS_OF_THE_COLLECTION: &[&str] = &["messages"];

/// What is known of how many.
#[derive(Debug, Default)]
struct Share {
    all: usize,
    known: usize,
}

impl Share {
    fn count(&mut self, event: &Event) {
        self.all += 1;
        self.known += usize::from(event.known());
    }
}

fn is_of(event: &Event, list: &str, typed: bool) -> bool {
    match (event.payload(), list) {
        (Payload::Message(_), "messages") | (Payload::Status(_), "statuses") => true,
        (Payload::Unknown(unknown), _) => !typed && unknown.list == Some(list),
        _ => false,
    }
}

/// The lists of messages and statuses, found without any type: name, whether the elements have a type here, elements.
fn lists(body: &Value) -> Vec<(&'static str, bool, &Vec<Value>)> {
    let mut lists = Vec::new();
    let entries = body["entry"].as_array().into_iter().flatten();
    for change in entries.flat_map(|entry| entry["changes"].as_array().into_iter().flatten()) {
        let typed = ["messages", ""].contains(&change["field"].as_str().unwrap_or_default())
            && body["object"]
                .as_str()
                .is_none_or(|object| object == "whatsapp_business_account");
        for list in ["messages", "statuses"] {
            if let Some(elements) = change["value"][list].as_array() {
                lists.push((list, typed, elements));
            }
        }
    }
    lists
}

/// Field and name of the payload.
type Label = (String, &'static str);

/// The lists of the fields that have some: field, list, name of the payload.
const LISTS: &[(&str, &str, &str)] = &[
    ("messages", "messages", "message"),
    ("messages", "statuses", "status"),
    ("messages", "errors", "error"),
    ("messages", "user_actions", "user_action"),
    ("calls", "calls", "call"),
    ("calls", "statuses", "call_status"),
    ("calls", "errors", "error"),
    ("automatic_events", "automatic_events", "automatic_event"),
    ("message_echoes", "message_echoes", "echo"),
    ("message_echoes", "errors", "error"),
    ("smb_message_echoes", "message_echoes", "echo"),
    ("smb_message_echoes", "errors", "error"),
    ("smb_app_state_sync", "state_sync", "app_state"),
    ("tracking_events", "events", "tracking_event"),
    ("user_id_update", "user_id_update", "user_id_update"),
    ("user_preferences", "user_preferences", "user_preference"),
];

/// The fields whose value is one event.
const WHOLE: &[(&str, &str)] = &[
    ("account_alerts", "account_alert"),
    ("account_review_update", "account_review"),
    ("account_settings_update", "account_settings"),
    ("account_update", "account_update"),
    ("business_capability_update", "business_capability"),
    ("business_status_update", "business_status"),
    ("business_username_update", "business_username"),
    ("business_username_updates", "business_username"),
    ("campaign_status_update", "campaign_status"),
    ("flows", "flow"),
    ("message_template_components_update", "template_components"),
    ("message_template_quality_update", "template_quality"),
    ("message_template_status_update", "template_status"),
    ("messaging_handovers", "handover"),
    ("partner_solutions", "partner_solution"),
    ("payment_configuration_update", "payment_configuration"),
    ("phone_number_name_update", "phone_number_name"),
    ("phone_number_quality_update", "phone_number_quality"),
    ("phone_number_username_update", "business_username"),
    ("security", "security"),
    ("template_category_update", "template_category"),
    (
        "template_correct_category_detection",
        "template_category_detection",
    ),
];

const STANDBY: &[(&str, &str)] = &[
    ("messages", "standby_message"),
    ("statuses", "standby_status"),
    ("message_echoes", "standby_echo"),
];

const PARTICIPANTS: &[&str] = &[
    "added_participants",
    "removed_participants",
    "failed_participants",
];

/// All elements of a body by field and payload, as the documentation of the protocol has them.
fn walk(body: &Value) -> BTreeMap<Label, Vec<Value>> {
    let mut found: BTreeMap<Label, Vec<Value>> = BTreeMap::new();
    let ours = body["object"]
        .as_str()
        .is_none_or(|object| object == "whatsapp_business_account");
    for change in items(&body["entry"]).flat_map(|entry| items(&entry["changes"])) {
        let value = &change["value"];
        let field = change["field"].as_str().unwrap_or("messages");
        let mut add = |payload, element: &Value| {
            let payload = if ours { payload } else { "unknown" };
            found
                .entry((field.to_owned(), payload))
                .or_default()
                .push(element.clone());
        };
        if !value.is_object() {
            continue;
        }
        if let Some((_, payload)) = WHOLE.iter().find(|(name, _)| *name == field) {
            add(payload, value);
        } else if LISTS.iter().any(|(name, ..)| *name == field) {
            for (list, elements) in arrays(value) {
                let payload = LISTS
                    .iter()
                    .find(|(name, known, _)| *name == field && *known == list)
                    .map_or("unknown", |(_, _, payload)| *payload);
                elements.for_each(|element| add(payload, element));
            }
        } else if field.starts_with("group_") {
            for group in items(&value["groups"]) {
                let lists = || PARTICIPANTS.iter().flat_map(|list| items(&group[list]));
                lists().for_each(|participant| add("group_participant", participant));
                if lists().next().is_none() {
                    add("group", group);
                }
            }
        } else if field == "history" {
            for chunk in items(&value["history"]) {
                let threads = || items(&chunk["threads"]);
                let messages = || threads().flat_map(|thread| items(&thread["messages"]));
                messages().for_each(|message| add("history_message", message));
                items(&chunk["errors"]).for_each(|error| add("error", error));
                if threads().next().is_none() && items(&chunk["errors"]).next().is_none() {
                    add("history_progress", chunk);
                }
            }
            for list in ["messages", "message_echoes"] {
                items(&value[list]).for_each(|message| add("history_message", message));
            }
            items(&value["errors"]).for_each(|error| add("error", error));
        } else if field == "standby" {
            for (list, payload) in STANDBY {
                items(&value["standby"][list]).for_each(|element| add(payload, element));
            }
        } else if value.get("messages").is_some() || value.get("statuses").is_some() {
            arrays(value).for_each(|(_, elements)| {
                elements.for_each(|element| add("unknown", element));
            });
        } else {
            add("unknown", value);
        }
    }
    found
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The lists among the members of a value, but for `contacts`, whose elements belong to those of the others.
fn arrays(value: &Value) -> impl Iterator<Item = (&str, impl Iterator<Item = &Value>)> {
    let members = value.as_object().into_iter().flatten();
    members
        .filter(|(key, list)| list.is_array() && *key != "contacts")
        .map(|(key, list)| (key.as_str(), items(list)))
}

fn collection() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/payloads");
    let found = root.join("INDEX.tsv").exists();
    if !found {
        println!("there is no collection beside the project: nothing to compare with");
    }
    found.then_some(root)
}

/// A file of the collection.
struct Sample {
    file: String,
    /// How much of an envelope it is.
    kind: String,
    quality: String,
    body: Vec<u8>,
}

impl Sample {
    /// A delivery with it: what was found without an envelope gets one.
    fn envelope(&self) -> Vec<u8> {
        let (before, after) = match self.kind.as_str() {
            "message" => (
                r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":["#,
                "]}}]}]}",
            ),
            "status" => (
                r#"{"entry":[{"changes":[{"field":"messages","value":{"statuses":["#,
                "]}}]}]}",
            ),
            "value" => (
                r#"{"entry":[{"changes":[{"field":"messages","value":"#,
                "}]}]}",
            ),
            "change" => (r#"{"entry":[{"changes":["#, "]}]}"),
            "entryonly" => (r#"{"entry":["#, "]}"),
            _ => ("", ""),
        };
        [before.as_bytes(), &self.body, after.as_bytes()].concat()
    }
}

fn samples(root: &Path) -> Vec<Sample> {
    let index = fs::read_to_string(root.join("INDEX.tsv")).unwrap();
    let lines = index.lines().skip(1);
    lines
        .map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut column = || columns.next().unwrap();
            let file = column();
            Sample {
                body: fs::read(root.join(&file)).unwrap(),
                file,
                kind: column(),
                quality: column(),
            }
        })
        .collect()
}
