//! What must hold of every body, whatever is in it: whether it is taken, that no message and no status of it is lost, and that everything can
//! be asked of its events.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{ParseError, Reason},
};

use crate::mutants::{Node, depth};

/// What `Notification::parse` lets through.
const MAX_DEPTH: usize = 127;

/// The body taken apart, and how many messages and statuses a naive walk finds in it. `None` if it is rightly refused. `name` is for the
/// message if something is wrong.
pub fn check(body: &str, name: &str) -> Option<(Notification, usize)> {
    let valid = serde_json::from_str::<IgnoredAny>(body).is_ok();
    let deep = depth(body) > MAX_DEPTH;
    let notification = match Notification::parse(body.to_owned()) {
        Ok(notification) => notification,
        Err(error) => {
            let right = match error {
                ParseError::TooDeep => deep,
                ParseError::NotJson => !valid,
                _ => false,
            };
            assert!(right, "{error}: {name}: {body}");
            return None;
        }
    };
    assert!(valid && !deep, "{name}: {body}");
    let wanted = elements(&Node::parse(body));
    if let Some(lost) = missing(&wanted, notification.events()) {
        panic!("lost {lost}: {name}: {body}");
    }
    for event in notification.events() {
        look_at(event, body, name);
    }
    Some((notification, wanted.len()))
}

/// Everything that can be asked of an event has an answer, and its copy gives the same.
fn look_at(event: &Event, body: &str, name: &str) {
    let payload = event.payload();
    let raw = event.raw();
    assert!(body.contains(raw) && !raw.is_empty(), "{name}: {raw}");
    assert!(
        is_rest(event) || serde_json::from_str::<IgnoredAny>(raw).is_ok(),
        "{name}: {raw}"
    );
    assert_eq!(event.raw_bytes(), raw.as_bytes());
    assert!(!format!("{event:?} {event:#?}").is_empty());
    assert_eq!(payload, event.payload(), "{name}");
    let copy = event.detach();
    assert_eq!(copy.payload(), payload, "{name}: {raw}");
    assert_eq!(copy.key(), event.key(), "{name}: {raw}");
    assert_eq!(copy.key_in("app"), event.key_in("app"), "{name}");
    assert_eq!(
        (copy.raw(), copy.is_known(), copy.id()),
        (raw, event.is_known(), event.id()),
        "{name}"
    );
    assert_eq!(
        (copy.field(), copy.entry_id(), copy.entry_time()),
        (event.field(), event.entry_id(), event.entry_time()),
        "{name}"
    );
    assert_eq!(
        (copy.phone_number_id(), copy.display_phone_number()),
        (event.phone_number_id(), event.display_phone_number()),
        "{name}"
    );
}

/// An element that is wanted more often than there is an event with its exact text, but for the white space.
pub fn missing(wanted: &[String], events: &[Event]) -> Option<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| !is_rest(event)) {
        *found.entry(Node::parse(event.raw()).write()).or_default() += 1;
    }
    wanted
        .iter()
        .find(|element| match found.get_mut(element.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        })
        .cloned()
}

/// The messages and statuses of a body, found by a walk over the tree.
pub fn elements(body: &Node) -> Vec<String> {
    let mut elements = Vec::new();
    for change in body
        .all("entry")
        .flat_map(Node::items)
        .flat_map(|entry| entry.all("changes"))
        .flat_map(Node::items)
    {
        // Of two equal keys the last counts; absent are `null` and the empty string.
        let field = change
            .all("field")
            .filter(|field| field.is_present())
            .last();
        if field.is_some_and(|field| field.text() != Some("messages".to_owned())) {
            continue;
        }
        // Elements are taken from every `value`, and of two lists from both.
        for value in change.all("value") {
            for list in value.all("messages").chain(value.all("statuses")) {
                let objects = list
                    .items()
                    .filter(|element| matches!(element, Node::Object(_)));
                elements.extend(objects.map(Node::write));
            }
        }
    }
    elements
}

/// Of too many events those that were not told apart: no JSON text.
fn is_rest(event: &Event) -> bool {
    matches!(event.payload(), Payload::Unknown(unknown) if unknown.reason == Reason::Overflow)
}
