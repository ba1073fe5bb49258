//! The smallest and the largest value of every setting.

use std::time::Duration;

use tower_whatsapp_inbox::{Inbox, InboxBuilder, InboxErrorKind, InboxEvent, Verdict, Worker};

use crate::common::{Db, message, messages, post, until, until_empty};

const MAX: Duration = Duration::MAX;
const ZERO: Duration = Duration::ZERO;

/// The files with the settings.
const SOURCES: [&str; 2] = [
    include_str!("../../src/builder.rs"),
    include_str!("../../src/worker/mod.rs"),
];

type Configure = fn(Worker) -> Worker;
type Build = fn(InboxBuilder) -> InboxBuilder;

/// With each, an event is handled at once.
const OF_WORKER: [(&str, Configure); 20] = [
    ("concurrency", |worker| worker.concurrency(0)),
    ("concurrency", |worker| worker.concurrency(usize::MAX)),
    ("bulk_concurrency", |worker| worker.bulk_concurrency(0)),
    ("bulk_concurrency", |worker| {
        worker.bulk_concurrency(usize::MAX)
    }),
    ("lease", |worker| worker.lease(ZERO)),
    ("lease", |worker| worker.lease(MAX)),
    ("handler_timeout", |worker| {
        worker.handler_timeout(Some(ZERO)).backoff(ZERO, ZERO)
    }),
    ("handler_timeout", |worker| {
        worker.handler_timeout(Some(MAX))
    }),
    ("max_attempts", |worker| worker.max_attempts(0)),
    ("max_attempts", |worker| worker.max_attempts(u32::MAX)),
    ("backoff", |worker| worker.backoff(ZERO, ZERO)),
    ("backoff", |worker| worker.backoff(ZERO, MAX)),
    ("backoff", |worker| worker.backoff(MAX, ZERO)),
    ("backoff", |worker| worker.backoff(MAX, MAX)),
    ("drain_timeout", |worker| worker.drain_timeout(ZERO)),
    ("drain_timeout", |worker| worker.drain_timeout(MAX)),
    ("poll_interval", |worker| worker.poll_interval(ZERO)),
    ("poll_interval", |worker| worker.poll_interval(MAX)),
    ("batch_limit", |worker| worker.batch_limit(0)),
    ("batch_limit", |worker| worker.batch_limit(usize::MAX)),
];

/// Whether the setting is accepted.
const OF_BUILDER: [(&str, Build, bool); 9] = [
    ("keep", |builder| builder.keep(ZERO), false),
    ("keep", |builder| builder.keep(MAX), true),
    (
        "store_timeout",
        |builder| builder.store_timeout(ZERO),
        false,
    ),
    ("store_timeout", |builder| builder.store_timeout(MAX), true),
    ("gather", |builder| builder.gather(ZERO, ZERO), false),
    ("gather", |builder| builder.gather(ZERO, MAX), false),
    ("gather", |builder| builder.gather(MAX, ZERO), false),
    (
        "gather",
        |builder| builder.gather(Duration::from_nanos(1), MAX),
        true,
    ),
    ("gather", |builder| builder.gather(MAX, MAX), true),
];

/// Names of the settings in a source that are a time or a number.
fn settings(source: &str) -> impl Iterator<Item = &str> {
    let methods = source.split("pub fn ").skip(1);
    methods.filter_map(|method| {
        let (name, arguments) = method.split_once("(mut self, ")?;
        let arguments = arguments.split_once(')')?.0;
        let types = ["Duration", "usize", "u32", "u64"];
        let is_meant = types.iter().any(|name| arguments.contains(name));
        (is_meant && !name.contains('<')).then_some(name)
    })
}

#[test]
fn no_setting_is_left_out() {
    let of_worker = OF_WORKER.iter().map(|(name, _)| *name);
    let of_builder = OF_BUILDER.iter().map(|(name, ..)| *name);
    let tested: Vec<_> = of_worker.chain(of_builder).collect();
    let all: Vec<_> = SOURCES.iter().flat_map(|source| settings(source)).collect();
    assert!(all.len() > 10, "{all:?}");
    for name in all {
        assert!(tested.contains(&name), "{name} is not tested");
    }
}

pub(crate) async fn every_setting_works_at_its_extremes(db: &Db) {
    let inbox = db.inbox().await;
    let mut handled = 0;
    for (n, (name, configure)) in (0..).zip(OF_WORKER) {
        post(&inbox, messages(&[message("491", &format!("w{n}"), n)])).await;
        let worker = if name == "batch_limit" {
            inbox.batch_worker(|_| async { Ok::<_, String>(()) })
        } else {
            inbox.worker(|_| async {
                // Longer than no time.
                tokio::time::sleep(Duration::from_millis(30)).await;
                Ok::<_, String>(())
            })
        };
        configure(worker).run(until_empty(&inbox)).await;
        handled += 1;
        let counters = inbox.counters();
        assert_eq!((counters.handled, counters.dead), (handled, 0), "{name}");
    }
}

pub(crate) async fn builder_settings_work_at_their_extremes_or_are_refused_by_name(db: &Db) {
    for (n, (name, configure, is_accepted)) in (0..).zip(OF_BUILDER) {
        let opened = db.open(configure(Inbox::builder())).await;
        let inbox = match opened {
            Ok(inbox) => inbox,
            Err(error) => {
                let text = error.to_string();
                assert_eq!(error.kind(), InboxErrorKind::Config, "{name}: {text}");
                assert!(
                    !is_accepted && text.contains(&format!("`{name}`")),
                    "{text}"
                );
                continue;
            }
        };
        assert!(is_accepted, "{name} is accepted");
        // A person of its own: the last conversation waits for a century.
        let body = messages(&[message(&format!("49{n}"), &format!("w{n}"), n)]);
        for _ in 0..2 {
            assert_eq!(post(&inbox, body.clone()).await, http::StatusCode::OK);
        }
        assert_eq!(inbox.counters().duplicates, 1, "{name}");
        if name != "gather" {
            let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
            worker.run(until_empty(&inbox)).await;
        }
    }
}

/// The longest pause is that of the database, and does not fail.
pub(crate) async fn a_verdict_with_any_pause_is_obeyed(db: &Db) {
    let inbox = db.inbox().await;
    let items = [message("491", "zero", 1), message("492", "max", 1)];
    post(&inbox, messages(&items)).await;
    let worker = inbox.worker(|event: InboxEvent| async move {
        Ok::<_, String>(match (event.event().id(), event.age() > ZERO) {
            (Some("max"), _) => Verdict::NotBefore(MAX),
            (_, false) => Verdict::NotBefore(ZERO),
            _ => Verdict::Done,
        })
    });
    let host = until("one is done, and the other waits", async || {
        let status = inbox.status().await.unwrap();
        (inbox.counters().handled, status.retrying) == (1, 1)
    });
    worker.run(host).await;
    assert_eq!(inbox.counters().database_errors, 0);
}
