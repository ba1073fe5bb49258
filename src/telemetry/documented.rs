//! The names in the documentation are those of this crate. With a wrong one, an alert never fires.

use std::collections::BTreeSet;

use super::EventOutcome;
use crate::{
    dedup::DedupRejectionKind,
    webhook::{RejectionKind, SetupWarning},
};

const PAGE: &str = include_str!("../../docs/observability.md");
const README: &str = include_str!("../../README.md");
const ALERTS: &str = include_str!("../../docs/alerts.yml");

type Names = BTreeSet<&'static str>;

fn rejections() -> Names {
    use RejectionKind as K;
    // The length makes this fail to compile when a kind is added.
    let kinds: [K; K::COUNT] = [
        K::MethodNotAllowed,
        K::NotHandshake,
        K::HandshakeIncomplete,
        K::HandshakeRepeated,
        K::HandshakeMode,
        K::HandshakeToken,
        K::HandshakeMalformed,
        K::AddressUnknown,
        K::AddressRefused,
        K::CertificateMissing,
        K::CertificateRefused,
        K::AppUnknown,
        K::AppResolverUnavailable,
        K::SignatureMissing,
        K::SignatureMalformed,
        K::SignatureMismatch,
        K::BodyTooLarge,
        K::ContentEncoding,
        K::BodyDeadline,
        K::BodyIdle,
        K::MemoryBudget,
        K::BodyBroken,
        K::NotJson,
        K::AccountRefused,
        K::HandlerFailed,
    ];
    distinct(kinds.map(K::name))
}

fn dedup_rejections() -> Names {
    use DedupRejectionKind as K;
    let kinds: [K; K::COUNT] = [
        K::InFlight,
        K::StoreUnavailable,
        K::StoreFull,
        K::ResponseDeadline,
        K::HandlerDeadline,
        K::HandlerRefused,
        K::HandlerFailed,
        K::HandlerPanicked,
        K::PartlyFailed,
        K::FailureUnmatched,
        K::TaskFailed,
        K::Draining,
        K::Stale,
    ];
    distinct(kinds.map(K::name))
}

fn warnings() -> Names {
    use SetupWarning as W;
    let kinds: [W; W::COUNT] = [
        W::RouteMissing,
        W::DeliveryRefused,
        W::EventsIgnored,
        W::PathMissed,
        W::LayersOverlap,
        W::WebhookRepeated,
        W::LabelShared,
        W::AllEventsForeign,
        W::DedupBypassed,
        W::DedupRepeated,
        W::KeysCollide,
    ];
    let mut names = distinct(kinds.map(W::name));
    // No layer sees this one, so it is no `SetupWarning`.
    names.insert("layer_missing");
    names
}

fn event_outcomes() -> Names {
    use EventOutcome as O;
    let kinds: [O; O::COUNT] = [
        O::Suppressed,
        O::Stale,
        O::RefusedStale,
        O::Unprotected,
        O::Fenced,
        O::LeaseLost,
        O::LeaseOverrun,
        O::Unrecorded,
        O::Stuck,
    ];
    distinct(kinds.map(O::name))
}

fn distinct<const N: usize>(names: [&'static str; N]) -> Names {
    let set = Names::from(names);
    assert_eq!(set.len(), N, "{names:?}");
    set
}

/// The cells of the rows of a section's last table, by the heading of the section.
fn rows(page: &'static str, heading: &str) -> Vec<Vec<&'static str>> {
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with('#'));
    let rows = section.filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<_> = rows
        .map(|line| line.split('|').skip(1).collect::<Vec<_>>())
        .collect();
    assert!(!rows.is_empty(), "{heading}");
    rows
}

/// What is in backticks.
fn code(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_reason_and_warning_has_a_row() {
    for (heading, expected) in [
        ("### Rejections", rejections()),
        ("### Setup warnings", warnings()),
    ] {
        let rows = rows(PAGE, heading);
        let names: Vec<_> = rows.iter().flat_map(|cells| code(cells[0])).collect();
        assert_eq!(names.len(), expected.len(), "{heading}: a name twice");
        assert_eq!(Names::from_iter(names), expected, "{heading}");
    }
}

#[test]
fn the_log_lines_of_deduplication_name_each_reason_and_outcome() {
    let rows = rows(PAGE, "### Deduplication");
    let named = |field: &str| -> Names {
        let after = rows.iter().filter_map(|cells| cells[2].split_once(field));
        let lists = after.map(|(_, list)| list.split(';').next().unwrap_or_default());
        lists
            .flat_map(|list| code(list).filter(|name| *name != "count"))
            .collect()
    };
    let mut reasons = dedup_rejections();
    // Those of the line of the dropped handler.
    reasons.extend(["deadline", "drain", "panic"]);
    assert_eq!(named("`reason` ="), reasons);
    let mut outcomes = event_outcomes();
    // Has a line at DEBUG without the field.
    outcomes.remove("suppressed");
    assert_eq!(named("`dedup_outcome` ="), outcomes);
}

#[test]
fn the_values_of_labels_are_those_of_the_code() {
    for (metric, expected) in [
        ("`whatsapp_setup_warnings_total`", warnings()),
        ("`whatsapp_dedup_rejections_total`", dedup_rejections()),
        ("`whatsapp_dedup_events_total`", event_outcomes()),
    ] {
        let rows = rows(PAGE, "## Metrics");
        let row = rows.iter().find(|cells| cells[0].trim() == metric);
        let values = code(row.unwrap()[3]).skip(1);
        assert_eq!(values.collect::<Names>(), expected, "{metric}");
    }
}

#[test]
fn the_readme_and_the_alerts_use_names_that_exist() {
    let mut all = rejections();
    all.extend(dedup_rejections());
    all.extend(warnings());
    let rows = rows(README, "## Troubleshooting");
    let checks = rows.iter().flat_map(|cells| code(cells[2]));
    // The others are commands.
    let names: Vec<_> = checks.filter(|name| !name.contains(' ')).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(name == "cause" || all.contains(name), "README.md: {name}");
    }

    all.extend(event_outcomes());
    all.extend(super::Outcome::ALL.map(super::Outcome::name));
    for label in ["reason", "warning", "outcome"] {
        // `=`, `=~`, `!=` or `!~`.
        let lists: Vec<_> = ["=", "!"]
            .map(|operator| format!("{label}{operator}"))
            .iter()
            .flat_map(|start| ALERTS.split(start.as_str()).skip(1))
            .map(|rest| rest.split('"').nth(1).unwrap_or_default())
            .collect();
        assert!(!lists.is_empty(), "{label}");
        for name in lists.iter().flat_map(|list| list.split('|')) {
            let is_name = match name.strip_suffix(".+") {
                Some(start) => all.iter().any(|one| one.starts_with(start)),
                None => all.contains(name),
            };
            assert!(is_name, "alerts.yml: {label} {name}");
        }
    }
}
