//! Mutated deliveries: keys missing or duplicated, values of another type, names in
//! another case, texts truncated. Everything that is still JSON must be accepted, and
//! no message or status may be lost.

use std::{collections::BTreeMap, time::Instant};
use test_support::mutants::{MUTATIONS, Node, OWN, Random, bodies, variable};
use test_support::oracle::{self, elements, missing, surplus};
use test_support::repetitions;

use tower_whatsapp::{Notification, Payload};

/// Number of mutants with `LONG_TESTS`, unless `MUTANTS` is set.
const MUTANTS: usize = 20_000;

/// Seed of the mutants, unless `SEED` is set.
const SEED: u64 = 0x5eed_0001;

#[test]
fn no_mutant_is_refused_and_no_element_of_it_is_lost() {
    let mutants = variable("MUTANTS").map_or(repetitions(MUTANTS), |number| {
        usize::try_from(number).unwrap()
    });
    let seed = variable("SEED").unwrap_or(SEED);
    println!("seed {seed}");
    let bodies = bodies();
    let started = Instant::now();
    let mut random = Random(seed);
    let mut seen = Seen::default();
    for (name, body) in &bodies {
        // The originals must pass, or the mutants prove nothing.
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
    // Otherwise the test has checked nothing.
    if mutants >= repetitions(MUTANTS) {
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

/// Shows that the oracle detects faults.
#[test]
fn a_loss_or_a_surplus_would_be_noticed() {
    let body = OWN[0];
    let notification = Notification::parse(body).unwrap();
    let wanted = elements(&Node::parse(body));
    assert_eq!(wanted.len(), 2);
    assert_eq!(missing(&wanted, notification.events()), None);
    assert!(missing(&wanted, &notification.events()[1..]).is_some());
    assert_eq!(surplus(&wanted, notification.events()), None);
    assert!(surplus(&wanted[1..], notification.events()).is_some());
    // A duplicated element must be found twice, and others once.
    let events = [notification.events(), notification.events()].concat();
    assert!(surplus(&wanted, &events).is_some());
    let twice = [wanted.clone(), wanted].concat();
    assert!(missing(&twice, notification.events()).is_some());
}

/// Statistics of the mutants.
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
    /// Returns the number of messages and statuses in the body.
    fn check(&mut self, body: &str, name: &str) -> usize {
        let Some((notification, wanted)) = oracle::check(body, name) else {
            self.refused += 1;
            return 0;
        };
        assert_eq!(
            Node::parse(body).write(),
            body.trim(),
            "the tree is not the body: {name}"
        );
        self.lone_surrogates +=
            usize::from(serde_json::from_str::<serde_json::Value>(body).is_err());
        self.elements += wanted;
        for event in notification.events() {
            self.events += 1;
            self.unknown += usize::from(!event.is_known());
            self.untyped += usize::from(matches!(event.payload(), Payload::Unknown(_)));
        }
        wanted
    }
}
