//! Detects JSON keys that Meta has added and this version of the crate does not read.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use crate::event::Event;

/// Maximum number of different paths of one kind of event that are remembered, and so reported. In
/// some kinds the account chooses the keys, and they must not use up the places of other kinds.
const MAX_PATHS_PER_KIND: usize = 32;

/// The most bytes of JSON that are walked over in one delivery: some tenths of a millisecond.
const MAX_BYTES: usize = 32 * 1024;

/// The paths seen so far, by kind of event.
#[derive(Debug, Default)]
pub(super) struct Drift {
    seen: Mutex<HashMap<&'static str, HashSet<String>>>,
}

impl Drift {
    /// Calls `report` with the kind of event and the path of each unread key that was not seen
    /// before. Looks at the first events of a delivery.
    pub(super) fn check(&self, events: &[Event], mut report: impl FnMut(&'static str, &str)) {
        let mut budget = MAX_BYTES;
        for event in events {
            if event.raw_len() > budget {
                return;
            }
            for path in event.unread_within(&mut budget) {
                if self.is_new(event.kind(), &path) {
                    report(event.kind(), &path);
                }
            }
        }
    }

    /// The caller reports without the lock: subscribers and recorders are foreign code.
    fn is_new(&self, kind: &'static str, path: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = seen.entry(kind).or_default();
        paths.len() < MAX_PATHS_PER_KIND && paths.insert(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Notification;

    fn reported(drift: &Drift, value: &str) -> Vec<String> {
        let body =
            format!(r#"{{"entry":[{{"changes":[{{"field":"messages","value":{value}}}]}}]}}"#);
        let notification = Notification::parse(body).unwrap();
        let mut reported = Vec::new();
        drift.check(notification.events(), |kind, path| {
            reported.push(format!("{kind} {path}"));
        });
        reported
    }

    #[test]
    fn each_path_is_reported_once() {
        let drift = Drift::default();
        let value = r#"{"metadata":{"new":1},"messages":[{"id":"a","type":"text","mood":1}]}"#;
        let expected = ["message mood", "message value.metadata.new"];
        assert_eq!(reported(&drift, value), expected);
        assert_eq!(reported(&drift, value), [""; 0]);
    }

    /// What surrounds the elements would be walked over once for each of them.
    #[test]
    fn long_surroundings_of_many_elements_are_not_walked_over() {
        let metadata = format!(r#"{{"new":1,"long":"{}"}}"#, "a".repeat(MAX_BYTES));
        let messages = vec![r#"{"id":"a","mood":1}"#; 1000].join(",");
        let value = format!(r#"{{"metadata":{metadata},"messages":[{messages}]}}"#);
        assert_eq!(reported(&Drift::default(), &value), ["message mood"]);

        let messages = vec![r#"{"id":"a"}"#; 1000].join(",");
        let value = format!(r#"{{"metadata":{{"new":1}},"messages":[{messages}]}}"#);
        let first_1000 = reported(&Drift::default(), &value);
        assert_eq!(first_1000, ["message value.metadata.new"]);
    }

    #[test]
    fn the_budget_covers_everything_that_is_walked_over() {
        let body = r#"{"entry":[{"changes":[{"field":"messages","value":
            {"metadata":{"new":1},"messages":[{"id":"a","mood":1}]}}]}]}"#;
        let notification = Notification::parse(body).unwrap();
        let event = &notification.events()[0];
        let element = event.raw_len();
        let entry = body.len() - r#"{"entry":[]}"#.len();
        for (budget, paths) in [
            (element - 1, 0),
            (element, 1),
            (element + entry - 1, 1),
            (element + entry, 2),
        ] {
            let mut rest = budget;
            assert_eq!(event.unread_within(&mut rest).len(), paths, "{budget}");
            let walked = [0, element, element + entry][paths];
            assert_eq!(rest, budget - walked);
        }
    }

    #[test]
    fn one_kind_does_not_use_up_the_places_of_others() {
        let drift = Drift::default();
        let keys: Vec<_> = (0..100).map(|key| format!(r#""new{key}":1"#)).collect();
        let messages = format!(r#"{{"messages":[{{"id":"a",{}}}]}}"#, keys.join(","));
        assert_eq!(reported(&drift, &messages).len(), MAX_PATHS_PER_KIND);
        let statuses = r#"{"statuses":[{"id":"a","status":"sent","new":1}]}"#;
        assert_eq!(reported(&drift, statuses), ["status new"]);
    }
}
