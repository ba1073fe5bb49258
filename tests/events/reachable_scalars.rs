//! A differential walk: every scalar of an element is in the serialised typed view under its path,
//! or is listed by `Event::unread`. The deliveries are samples, real ones if the collection is next
//! to the project, and mutants of both.

use std::collections::BTreeSet;

use serde_json::Value;
use tower_whatsapp::{Event, Notification, Payload, event::Reason, testing::sample};

use test_support::mutants::{Node, Random, bodies, variable};

/// Number of deliveries, unless `WALKS` is set.
const WALKS: usize = 1_000;

/// Maximum number of paths that `Event::unread` names.
const MAX_PATHS: usize = 64;

/// Seed of the mutants, unless `SEED` is set.
const SEED: u64 = 0x5eed_0003;

/// Keys with several spellings, and the one that is serialised.
const ALIASES: &[(&str, &str)] = &[
    ("participant_recipient_id", "recipient_participant_id"),
    ("parent_recipient_user_id", "recipient_parent_user_id"),
    ("pricing_type", "type"),
    ("new_wa_id", "wa_id"),
    ("voice", "audio"),
];

/// One step of a path into an object or list.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

#[test]
fn every_scalar_is_typed_or_named_as_unread() {
    let walks = variable("WALKS").map_or(WALKS, |number| usize::try_from(number).unwrap());
    let mut random = Random(variable("SEED").unwrap_or(SEED));
    let bodies = deliveries();
    let mut walked = Walked::default();
    for (name, body) in &bodies {
        walked.delivery(name, body);
    }
    for number in 0..walks.saturating_sub(bodies.len()) {
        let (name, body) = &bodies[number % bodies.len()];
        let mut tree = Node::parse(body);
        let mutation = tree.mutate(&mut random);
        walked.delivery(
            &format!("{name}, {mutation}, number {number}"),
            &tree.write(),
        );
    }
    println!("{walked:?}");
    assert!(walked.gaps.is_empty(), "{:#?}", walked.gaps);
    // Otherwise the test has checked nothing.
    assert!(
        walked.events >= walks / 2 && walked.scalars > 5 * walks,
        "{walked:?}"
    );
    assert!(walked.typed > walked.unread, "{walked:?}");
}

/// Shows that the walk detects faults: a view without one scalar, and a scalar in the
/// place of its neighbour.
#[test]
fn a_gap_would_be_noticed() {
    let notification = sample::named("location").unwrap().notification();
    let event = &notification.events()[0];
    let raw = Node::parse(event.raw());
    let whole = serde_json::to_value(event.payload()).unwrap();
    let gaps = |view: &Value| {
        let mut walked = Walked::default();
        walked.element("test", "message", &raw, view, &BTreeSet::new());
        walked.gaps.len()
    };
    assert_eq!(gaps(&whole), 0);
    let mut view = whole.clone();
    view["location"].as_object_mut().unwrap().remove("name");
    assert_eq!(gaps(&view), 1);
    let mut view = whole;
    let latitude = view["location"]["latitude"].take();
    view["location"]["longitude"] = latitude;
    assert_eq!(gaps(&view), 2);
}

/// Samples, and the originals of the other mutation tests.
fn deliveries() -> Vec<(String, String)> {
    let samples = sample::all().into_iter().map(|(name, sample)| {
        let body = String::from_utf8(sample.body().to_vec()).unwrap();
        (name.to_owned(), Node::parse(&body).write())
    });
    samples.chain(bodies()).collect()
}

#[derive(Debug, Default)]
struct Walked {
    events: usize,
    scalars: usize,
    typed: usize,
    unread: usize,
    /// Scalars in another event, or constant ones.
    elsewhere: usize,
    left_out: usize,
    gaps: Vec<String>,
}

impl Walked {
    fn delivery(&mut self, name: &str, body: &str) {
        // Rejected, for example because it is too deep.
        let Ok(notification) = Notification::parse(body.to_owned()) else {
            return;
        };
        for event in notification.events() {
            self.event(name, event);
        }
    }

    fn event(&mut self, name: &str, event: &Event) {
        let payload = event.payload();
        let unread: BTreeSet<_> = event
            .unread()
            .iter()
            .map(|path| plain(path.as_ref()))
            .collect();
        // The overflow of a list is not JSON by itself, and the list of paths has a limit.
        let is_overflow =
            matches!(payload, Payload::Unknown(unknown) if unknown.reason == Reason::Overflow);
        if is_overflow || event.unread().len() >= MAX_PATHS {
            self.left_out += 1;
            return;
        }
        let raw = Node::parse(event.raw());
        self.events += 1;
        let view = serde_json::to_value(payload).unwrap();
        self.element(name, event.kind(), &raw, &view, &unread);
    }

    fn element(
        &mut self,
        name: &str,
        kind: &str,
        raw: &Node,
        view: &Value,
        unread: &BTreeSet<String>,
    ) {
        let mut scalars = Vec::new();
        collect(raw, &mut Vec::new(), &mut scalars);
        for (path, text) in scalars {
            self.scalars += 1;
            if found(view, &path).is_some_and(|found| is_same(found, &text)) {
                self.typed += 1;
            } else if is_named(unread, &path) {
                self.unread += 1;
            } else if is_elsewhere(kind, &path, &text) {
                self.elsewhere += 1;
            } else {
                self.gaps.push(format!("{name}: {}", dotted(&path)));
            }
        }
    }
}

/// All non-empty scalars with their paths. Half a surrogate pair has no text to compare.
fn collect(node: &Node, path: &mut Vec<Step>, scalars: &mut Vec<(Vec<Step>, String)>) {
    match node {
        Node::Scalar(scalar) => {
            let text = if scalar.starts_with('"') {
                node.text()
            } else {
                Some(scalar.clone())
            };
            if let Some(text) = text.filter(|_| node.is_present()) {
                scalars.push((path.clone(), text));
            }
        }
        Node::Array(elements) => {
            // The view omits `null`.
            let present = elements
                .iter()
                .filter(|element| !matches!(element, Node::Scalar(text) if text == "null"));
            for (index, element) in present.enumerate() {
                path.push(Step::Index(index));
                collect(element, path, scalars);
                path.pop();
            }
        }
        Node::Object(members) => {
            for (key, value) in members {
                let key: String = serde_json::from_str(key).unwrap_or_default();
                path.push(Step::Key(key));
                collect(value, path, scalars);
                path.pop();
            }
        }
    }
}

/// Scalars that are in another event, are constant, or are inside JSON that is kept as text (where
/// a `Value` keeps only the last of equal keys), and names with two spellings.
fn is_elsewhere(kind: &str, path: &[Step], text: &str) -> bool {
    let first = match path.first() {
        Some(Step::Key(key)) => key.as_str(),
        _ => "",
    };
    match kind {
        "group" if first.ends_with("_participants") => true,
        "history_progress" => matches!(first, "threads" | "errors"),
        "standby_echo" => matches!(first, "message" | "template" | "flow"),
        "account_settings" if path.contains(&Step::Key("calling".to_owned())) => true,
        _ => {
            first == "messaging_product"
                || [
                    "pin_reset_success",
                    "group_add_participants",
                    "group_remove_participants",
                ]
                .contains(&text.to_ascii_lowercase().replace(['-', ' '], "_").as_str())
        }
    }
}

/// The value at the end of a path. Texts on the way may be JSON that is kept as written.
fn found(view: &Value, path: &[Step]) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else {
        return Some(view.clone());
    };
    match (view, step) {
        (Value::Object(object), Step::Key(key)) => {
            let canonical = ALIASES.iter().find(|(alias, _)| alias == key);
            let names = [Some(key.as_str()), canonical.map(|(_, name)| *name)];
            let mut values = names
                .into_iter()
                .flatten()
                .filter_map(|name| object.get(name));
            values.find_map(|value| found(value, rest))
        }
        (Value::Array(list), Step::Index(index)) => found(list.get(*index)?, rest),
        (Value::String(json), _) => found(&serde_json::from_str(json).ok()?, path),
        _ => None,
    }
}

/// Whether a value of the view equals the text: numbers may be texts, and names have
/// several spellings.
fn is_same(found: Value, text: &str) -> bool {
    let found = match found {
        Value::String(found) => found,
        other => other.to_string(),
    };
    let fold = |text: &str| text.to_ascii_lowercase().replace(['-', ' '], "_");
    let number = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
    found == text
        || fold(&found) == fold(text)
        || (number(text).is_some() && number(&found) == number(text))
}

/// Whether the path or a prefix of it is listed. A key that may be data is shown as `*`.
fn is_named(unread: &BTreeSet<String>, path: &[Step]) -> bool {
    let is_same = |named: &str, path: &str| {
        let mut keys = path.split('.');
        let same = named
            .split('.')
            .all(|name| keys.next().is_some_and(|key| name == key || name == "*"));
        same && keys.next().is_none()
    };
    unread.contains("")
        || (1..=path.len()).any(|length| {
            let path = dotted(&path[..length]);
            unread.iter().any(|named| is_same(named, &path))
        })
}

/// The keys of a path, without indices, because elements of a list share their unread keys.
fn dotted(path: &[Step]) -> String {
    let keys = path.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// A path of `Event::unread` without its indices, in any notation: `errors[].new`, `errors[0].new`,
/// `errors.0.new`.
fn plain(path: &str) -> String {
    path.split(['.', '[', ']'])
        .filter(|part| !part.is_empty() && !part.bytes().all(|byte| byte.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join(".")
}
