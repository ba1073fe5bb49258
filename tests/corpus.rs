//! Real notifications, where the collection of them is at hand beside the project. None is refused, and no element is lost.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tower_whatsapp::{Event, Notification, Payload};

#[test]
fn no_element_of_a_real_notification_is_lost() {
    let Some(root) = collection() else { return };
    let (mut files, mut messages, mut statuses, mut others) =
        (0, Share::default(), Share::default(), 0);
    for (file, body) in bodies(&root) {
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

fn collection() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/payloads");
    let found = root.join("INDEX.tsv").exists();
    if !found {
        println!("there is no collection beside the project: nothing to compare with");
    }
    found.then_some(root)
}

fn bodies(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let index = fs::read_to_string(root.join("INDEX.tsv")).unwrap();
    index
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .map(|file| (file.to_owned(), fs::read(root.join(file)).unwrap()))
        .collect()
}
