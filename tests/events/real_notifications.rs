//! Real notifications, if the collection is available next to the project. None may be rejected, no
//! element may be lost, and all their fields must be known.

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use test_support::{mutants::OWN, payloads, payloads_index};
use tower_whatsapp::{Event, Notification, Payload, event::Reason};

#[test]
fn no_element_of_a_real_notification_is_lost() {
    let (samples, has_collection) = samples();
    let (mut files, mut messages, mut statuses, mut others) =
        (0, Share::default(), Share::default(), 0);
    for Sample { file, body, .. } in samples {
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
        // Their payloads are checked by the other test.
        let found: Vec<Value> = notification
            .events()
            .iter()
            .map(|event| serde_json::from_str(event.raw()).unwrap())
            .collect();
        for change in items(&value["entry"]).flat_map(|entry| items(&entry["changes"])) {
            for list in ["messages", "statuses"] {
                for element in items(&change["value"][list]) {
                    assert!(found.contains(element), "{file}: {list} {element}");
                }
            }
        }
        let changes = items(&value["entry"]).flat_map(|entry| items(&entry["changes"]));
        let says_something = changes.map(|change| &change["value"]).any(|value| {
            let around = ["messaging_product", "metadata", "contacts"];
            let members = value.as_object().into_iter().flatten();
            members
                .filter(|(key, _)| !around.contains(&key.as_str()))
                .any(|(_, member)| !["null", "[]", "{}"].contains(&member.to_string().as_str()))
        });
        assert!(
            !says_something || !notification.events().is_empty(),
            "{file}"
        );
    }
    println!("{files} files, messages {messages:?}, statuses {statuses:?}, {others} other events");
    assert!(files >= OWN.len() && messages.all >= 6 && statuses.all >= 4);
    assert!(!has_collection || files > 400 && messages.all > 150 && statuses.all > 40);
}

/// An independent walk that knows only the names of the lists finds the same
/// elements, in the same order.
#[test]
fn every_field_delivers_what_a_naive_walk_finds_in_it() {
    let (samples, has_collection) = samples();
    let mut totals: BTreeMap<Label, usize> = BTreeMap::new();
    let mut shapeless = 0;
    for sample in samples {
        let body = sample.envelope();
        let value: Result<Value, _> = serde_json::from_slice(&body);
        let (Ok(value), Ok(notification)) = (value, Notification::parse(body)) else {
            continue;
        };
        // Files of another product are not in the tables below.
        if value["object"]
            .as_str()
            .is_some_and(|object| object != "whatsapp_business_account")
        {
            continue;
        }
        let expected = walk(&value);
        let mut found: BTreeMap<Label, Vec<Value>> = BTreeMap::new();
        for event in notification.events() {
            let payload = event.payload();
            let field = event.field().unwrap_or("messages").to_owned();
            let name = match payload {
                // An element of unknown shape is compared as a whole.
                Payload::Unknown(unknown)
                    if matches!(unknown.reason, Reason::Shape | Reason::Key) =>
                {
                    shapeless += 1;
                    continue;
                }
                Payload::Unknown(unknown) => of_list(unknown.list),
                payload => payload.name().to_owned(),
            };
            found
                .entry((field, name))
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
    // Otherwise the walk may have found nothing.
    assert!(totals.values().sum::<usize>() > 20);
    if !has_collection {
        return;
    }
    for field in FIELDS_OF_THE_COLLECTION {
        assert!(totals.keys().any(|(name, _)| name == field), "{field}");
    }
    assert!(totals.values().sum::<usize>() > 400);
}

/// Complete samples from documentation, tests or logs must be known in all their parts.
#[test]
fn all_that_is_complete_is_known() {
    let (samples, has_collection) = samples();
    let (mut files, mut events, mut strange) = (0, 0, Vec::new());
    for sample in samples {
        if !["complete", "own"].contains(&sample.quality.as_str()) {
            continue;
        }
        files += 1;
        let notification = Notification::parse(sample.envelope()).unwrap();
        for event in notification.events() {
            events += 1;
            if !event.is_known() {
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
    let own = names.iter().take_while(|name| name.starts_with("own "));
    let collected = names.split_off(own.count());
    assert_eq!(names, OWN_NOT_KNOWN);
    if has_collection {
        assert_eq!(collected, NOT_KNOWN);
        assert!(files > 300 && events > 300);
    }
}

/// Deliveries of the tests with unknown fields and lists on purpose.
const OWN_NOT_KNOWN: &[&str] = &["own 11"];

/// Complete files that contain something that must be unknown.
const NOT_KNOWN: &[&str] = &[
    // A test of another project with the body of a different type.
    "MarcosNicolau__whatsapp-business-sdk/002_message.audio.message.json",
    // Words instead of numbers: `message_timestamp`, `number-of-item`.
    "dogalyir__whatsapp-cloud-api-types/009_messages.reaction.json",
    // Fields and an event that do not exist, invented to be unknown.
    "dogalyir__whatsapp-cloud-api-types/018_template-status-update.json",
    "dogalyir__whatsapp-cloud-api-types/021_message-template-status-update.INVALID-EVENT.json",
    "dogalyir__whatsapp-cloud-api-types/025_invalid-field.json",
    // Words instead of numbers.
    "wazapin__wa-sdk/023_messages.order.json",
];

/// Fields for which the collection has samples.
const FIELDS_OF_THE_COLLECTION: &[&str] = &[
    "messages",
    "calls",
    "history",
    "standby",
    "smb_message_echoes",
    "smb_app_state_sync",
    "user_id_update",
    "user_preferences",
    "automatic_events",
    "group_participants_update",
    "group_settings_update",
    "account_update",
    "flows",
    "messaging_handovers",
];

/// Known events, and all events.
#[derive(Debug, Default)]
struct Share {
    all: usize,
    known: usize,
}

impl Share {
    fn count(&mut self, event: &Event) {
        self.all += 1;
        self.known += usize::from(event.is_known());
    }
}

/// Field and name of the payload.
type Label = (String, String);

/// The label of elements without a type, because the order of several lists is lost in a map.
fn of_list(list: Option<&str>) -> String {
    format!("unknown {}", list.unwrap_or("value"))
}

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

/// Members of a group that are copied to its participants.
const CARRIED: &[&str] = &[
    "group_id",
    "type",
    "timestamp",
    "request_id",
    "reason",
    "initiated_by",
];

const PARTICIPANTS: &[&str] = &[
    "added_participants",
    "removed_participants",
    "failed_participants",
];

/// All elements of a body by field and payload, following the documentation of the protocol.
fn walk(body: &Value) -> BTreeMap<Label, Vec<Value>> {
    let mut found: BTreeMap<Label, Vec<Value>> = BTreeMap::new();
    for change in items(&body["entry"]).flat_map(|entry| items(&entry["changes"])) {
        let value = &change["value"];
        let field = change["field"].as_str().filter(|name| !name.is_empty());
        let field = field.unwrap_or("messages");
        let mut add = |payload: &str, element: &Value| {
            let label = (field.to_owned(), payload.to_owned());
            found.entry(label).or_default().push(element.clone());
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
                    .map_or_else(
                        || of_list(Some(list)),
                        |(.., payload)| (*payload).to_owned(),
                    );
                elements.for_each(|element| add(&payload, element));
            }
        } else if field.starts_with("group_") {
            for group in items(&value["groups"]) {
                let lists = || PARTICIPANTS.iter().flat_map(|list| items(&group[list]));
                lists().for_each(|participant| add("group_participant", participant));
                let says_more = group.as_object().into_iter().flatten().any(|(key, value)| {
                    !value.is_null()
                        && !CARRIED.contains(&key.as_str())
                        && !PARTICIPANTS.contains(&key.as_str())
                });
                if lists().next().is_none() || says_more {
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
            arrays(value).for_each(|(list, elements)| {
                elements.for_each(|element| add(&of_list(Some(list)), element));
            });
        } else {
            add(&of_list(None), value);
        }
    }
    found
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The lists of a value, except `contacts`, which belong to elements of the others.
fn arrays(value: &Value) -> impl Iterator<Item = (&str, impl Iterator<Item = &Value>)> {
    let members = value.as_object().into_iter().flatten();
    members
        .filter(|(key, list)| list.is_array() && *key != "contacts")
        .map(|(key, list)| (key.as_str(), items(list)))
}

/// A file of the collection.
struct Sample {
    file: String,
    /// Which part of the envelope the sample is.
    kind: String,
    quality: String,
    body: Vec<u8>,
}

impl Sample {
    /// A delivery with the sample. Adds an envelope if it has none.
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
            // Samples of another field are recognised by their list.
            "value" if self.body.windows(9).any(|part| part == b"\"history\"") => (
                r#"{"entry":[{"changes":[{"field":"history","value":"#,
                "}]}]}",
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

/// The deliveries of the tests, and the collection of real ones. Tells whether the latter is there.
fn samples() -> (Vec<Sample>, bool) {
    let own = OWN.iter().enumerate().map(|(number, body)| Sample {
        file: format!("own {number}"),
        kind: "envelope".to_owned(),
        quality: "own".to_owned(),
        body: body.as_bytes().to_vec(),
    });
    let index = payloads_index();
    let has_collection = index.is_some();
    let index = index.unwrap_or_default();
    let collected = index.lines().skip(1).map(|line| {
        let mut columns = line.split('\t').map(str::to_owned);
        let mut column = || columns.next().unwrap();
        let file = column();
        Sample {
            body: fs::read(payloads().join(&file)).unwrap(),
            file,
            kind: column(),
            quality: column(),
        }
    });
    (own.chain(collected).collect(), has_collection)
}
