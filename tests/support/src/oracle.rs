//! Invariants for every body: whether it is accepted, that no message or status is lost, and that
//! all accessors of its events work.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{ParseError, Reason},
};

use crate::mutants::{Node, depth};

/// Maximum depth that `Notification::parse` accepts.
const MAX_DEPTH: usize = 127;

/// Parses the body. Returns it with the number of messages and statuses that a naive walk finds.
/// `None` if it is rejected rightly. `name` is for failure messages.
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
    if let Some(extra) = surplus(&wanted, notification.events()) {
        panic!("not in the body, or twice: {extra}: {name}: {body}");
    }
    for event in notification.events() {
        look_at(event, body, name);
    }
    Some((notification, wanted.len()))
}

/// Calls all accessors of an event. Its copy must give the same results.
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

/// An element that occurs more often than there are events with its text, ignoring white space.
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

/// A message or status that occurs more often among the events than in the body.
pub fn surplus(wanted: &[String], events: &[Event]) -> Option<String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for element in wanted {
        *left.entry(element).or_default() += 1;
    }
    let is_element = |event: &&Event| {
        matches!(event.field(), None | Some("messages"))
            && matches!(event.payload(), Payload::Message(_) | Payload::Status(_))
    };
    events.iter().filter(is_element).find_map(|event| {
        let text = Node::parse(event.raw()).write();
        match left.get_mut(text.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                None
            }
            _ => Some(text),
        }
    })
}

/// Messages and statuses of a body, found by a walk over the tree.
pub fn elements(body: &Node) -> Vec<String> {
    let mut elements = Vec::new();
    for change in body
        .all("entry")
        .flat_map(Node::items)
        .flat_map(|entry| entry.all("changes"))
        .flat_map(Node::items)
    {
        // Of two equal keys the last one counts. `null` and the empty string count as missing.
        let field = change
            .all("field")
            .filter(|field| field.is_present())
            .last();
        if field.is_some_and(|field| field.text() != Some("messages".to_owned())) {
            continue;
        }
        // Elements of every `value` count, and of duplicate lists those of both.
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

/// The rest of too many events, which is not valid JSON.
fn is_rest(event: &Event) -> bool {
    matches!(event.payload(), Payload::Unknown(unknown) if unknown.reason == Reason::Overflow)
}
