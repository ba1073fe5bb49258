//! Deliveries that somebody has spoilt: keys gone or doubled, values of another type, names in another case, texts cut in half. Whatever
//! is still JSON is taken, and no message and no status in it is lost.

#![cfg(test)]

#[path = "support/mutants.rs"]
mod mutants;

use std::{collections::BTreeMap, time::Instant};

use serde::de::IgnoredAny;
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{ParseError, Reason},
};

use self::mutants::{MUTATIONS, Node, OWN, Random, bodies, depth, variable};

/// How many mutants there are, if `MUTANTS` does not say another number.
const MUTANTS: usize = 20_000;

/// The same mutants in every run, if `SEED` does not say another number.
const SEED: u64 = 0x5eed_0001;

/// What `Notification::parse` lets through.
const MAX_DEPTH: usize = 127;

#[test]
fn no_mutant_is_refused_and_no_element_of_it_is_lost() {
    let mutants = variable("MUTANTS").map_or(MUTANTS, |number| usize::try_from(number).unwrap());
    let seed = variable("SEED").unwrap_or(SEED);
    println!("seed {seed}");
    let bodies = bodies();
    let started = Instant::now();
    let mut random = Random(seed);
    let mut seen = Seen::default();
    for (name, body) in &bodies {
        // The originals must be good, or the mutants prove nothing.
        let elements = seen.check(body, name);
        assert!(seen.refused == 0, "{name}");
        seen.of_originals += elements;
    }
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..mutants {
        let (name, body) = &bodies[number % bodies.len()];
        let mut tree = Node::parse(body);
        let mut names = Vec::new();
        for _ in 0..=random.below(3) {
            let mutation = tree.mutate(&mut random);
            *by_kind.entry(mutation).or_default() += 1;
            names.push(mutation);
        }
        let mutant = tree.write();
        seen.check(
            &mutant,
            &format!("seed {seed}, mutant {number} of {name} ({names:?})"),
        );
    }
    println!(
        "{} bodies, {mutants} mutants, {} events, {} of them not known, {} without a type, {} messages and statuses found again, \
         {} mutants refused, in {:?}",
        bodies.len(),
        seen.events,
        seen.unknown,
        seen.untyped,
        seen.elements,
        seen.refused,
        started.elapsed()
    );
    println!("{by_kind:?}");
    // Otherwise this test is one of nothing.
    if mutants >= MUTANTS {
        assert!(by_kind.len() == MUTATIONS.len(), "{by_kind:?}");
        assert!(
            by_kind.values().all(|count| *count > mutants / 100),
            "{by_kind:?}"
        );
        assert!(seen.elements > mutants / 4 && seen.events > mutants);
        assert!(seen.unknown > mutants / 20 && seen.unknown < seen.events * 3 / 4);
        assert!(seen.lone_surrogates > mutants / 200);
        assert!(seen.of_originals > 8);
    }
}

/// The oracle is worth as much as it notices.
#[test]
fn a_loss_would_be_noticed() {
    let body = OWN[0];
    let notification = Notification::parse(body).unwrap();
    let wanted = elements(&Node::parse(body));
    assert_eq!(wanted.len(), 2);
    assert_eq!(missing(&wanted, notification.events()), None);
    assert!(missing(&wanted, &notification.events()[1..]).is_some());
    // The same element twice is wanted twice.
    let twice = [wanted.clone(), wanted].concat();
    assert!(missing(&twice, notification.events()).is_some());
}

/// What was seen of the mutants.
#[derive(Default)]
struct Seen {
    events: usize,
    unknown: usize,
    untyped: usize,
    elements: usize,
    of_originals: usize,
    refused: usize,
    lone_surrogates: usize,
}

impl Seen {
    /// Returns how many messages and statuses there are in the body.
    fn check(&mut self, body: &str, name: &str) -> usize {
        let valid = serde_json::from_str::<IgnoredAny>(body).is_ok();
        let notification = match Notification::parse(body.to_owned()) {
            Ok(notification) => notification,
            Err(error) => {
                let deep = depth(body) > MAX_DEPTH;
                let right = match error {
                    ParseError::TooDeep => deep,
                    _ => !valid,
                };
                assert!(right, "{error}: {name}: {body}");
                self.refused += 1;
                return 0;
            }
        };
        assert!(valid, "{name}: {body}");
        let tree = Node::parse(body);
        assert_eq!(
            tree.write(),
            body.trim(),
            "the tree is not the body: {name}"
        );
        self.lone_surrogates +=
            usize::from(serde_json::from_str::<serde_json::Value>(body).is_err());
        let wanted = elements(&tree);
        if let Some(lost) = missing(&wanted, notification.events()) {
            panic!("lost {lost}: {name}: {body}");
        }
        self.elements += wanted.len();
        for event in notification.events() {
            self.events += 1;
            self.unknown += usize::from(!event.known());
            self.untyped += usize::from(matches!(event.payload(), Payload::Unknown(_)));
            look_at(event, body, name);
        }
        wanted.len()
    }
}

/// Everything that can be asked of an event has an answer, and its copy gives the same.
fn look_at(event: &Event, body: &str, name: &str) {
    let payload = event.payload();
    let overflow =
        matches!(payload, Payload::Unknown(unknown) if unknown.reason == Reason::Overflow);
    let raw = event.raw();
    assert!(body.contains(raw) && !raw.is_empty(), "{name}: {raw}");
    assert!(
        overflow || serde_json::from_str::<IgnoredAny>(raw).is_ok(),
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
        (copy.raw(), copy.known(), copy.id()),
        (raw, event.known(), event.id()),
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

/// An element that is wanted more often than there is an event with its exact text.
fn missing(wanted: &[String], events: &[Event]) -> Option<String> {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        *found.entry(event.raw()).or_default() += 1;
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
fn elements(body: &Node) -> Vec<String> {
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
