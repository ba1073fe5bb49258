//! Spans and log events (feature `tracing`).
//!
//! An operator must act on WARN. A database that is away fails many operations a second, so there
//! is at most one WARN per minute, kind, operation and inbox; those in between are DEBUG.

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Instrument, Span, debug, field, info_span, instrument::Instrumented, warn};

use tower_whatsapp::event::EventKey;

use crate::{backend::Dead, error::InboxError, event::InboxBatch, worker::Reason};

/// The target of all spans and events, for filters.
const TARGET: &str = "tower_whatsapp_inbox";

/// Dead letters that one WARN names.
const LETTERS: usize = 3;

/// Warnings of one inbox.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    refused: RateLimit,
    database: PerOperation,
    damaged: RateLimit,
    lost: RateLimit,
    dead: RateLimit,
    after_done: RateLimit,
    task_panicked: RateLimit,
    run_panicked: RateLimit,
    run_failed: [RateLimit; Reason::COUNT],
    layer_missing: RateLimit,
    #[cfg(feature = "postgres")]
    small_pool: RateLimit,
}

/// Emits one event with the same fields as WARN, with the number left out before, or as DEBUG.
macro_rules! warn_or_debug {
    ($limit:expr, { $($fields:tt)* }, $text:literal) => {
        match $limit.admit() {
            Some(left_out) => {
                let left_out = (left_out > 0).then_some(left_out);
                warn!(target: TARGET, $($fields)*, left_out, $text);
            }
            None => debug!(target: TARGET, $($fields)*, $text),
        }
    };
}

impl Warnings {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn refused(&self, error: &InboxError) {
        warn_or_debug!(
            self.refused,
            { cause = cause(error) },
            "answered a delivery with 503: its events are not stored, or the database did not say \
             so in time. Meta redelivers for 7 days, and what was stored all the same is not \
             stored again"
        );
    }

    pub(crate) fn layer_missing(&self) {
        warn_or_debug!(
            self.layer_missing,
            { reason = "layer_missing" },
            "answered 500: this request reached the inbox without passing a WebhookLayer. If Meta \
             sent it, the layer does not wrap this route, or is set to another path"
        );
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn small_pool(&self, connections: u32, needed: usize) {
        warn_or_debug!(
            self.small_pool,
            { connections, needed },
            "the pool is smaller than the handlers of the workers need for their transactions: \
             they wait for each other and for deliveries. Raise `max_connections` or lower \
             `concurrency`"
        );
    }

    /// The handler has said nothing of it.
    pub(crate) fn run_failed(&self, reason: Reason, first: &[u8; 16]) {
        let Some(limit) = self.run_failed.get(reason as usize) else {
            return;
        };
        let first_key = EventKey::from_bytes(*first);
        warn_or_debug!(
            limit,
            { reason = reason.text(), first_key = field::display(first_key) },
            "a run failed: its events are retried, or become dead letters"
        );
    }

    pub(crate) fn database_failed(&self, operation: &'static str, error: &InboxError) {
        warn_or_debug!(
            self.database.of(operation),
            { operation, cause = cause(error) },
            "an operation of a worker failed in the database, and is tried again"
        );
    }

    pub(crate) fn event_damaged(&self, key: &[u8; 16], error: &InboxError) {
        let first_key = EventKey::from_bytes(*key);
        warn_or_debug!(
            self.damaged,
            { first_key = field::display(first_key), cause = cause(error) },
            "the database cannot read an event: it counts as failed, and its conversation waits. \
             Check the disk, and mend or delete the row"
        );
    }

    pub(crate) fn lease_lost(&self) {
        warn_or_debug!(
            self.lost,
            { reason = "lease_lost" },
            "a run was dropped because its lease was lost: its events are handled again. The \
             process was paused or cut off from the database, the database is slow, or a handler \
             blocks its thread"
        );
    }

    /// A handler said something else than "done" after its transaction had committed.
    pub(crate) fn failed_after_done(&self, outcome: &'static str, first: &[u8; 16]) {
        let first_key = EventKey::from_bytes(*first);
        warn_or_debug!(
            self.after_done,
            { outcome, first_key = field::display(first_key) },
            "a handler ended without success after `done` of its transaction: its events are \
             handled and are not retried. Call `done` last"
        );
    }

    pub(crate) fn task_panicked(&self, task: &'static str) {
        warn_or_debug!(
            self.task_panicked,
            { task },
            "a task of a worker panicked, and is started again: the panic says where. It may be \
             one of a recorder of metrics"
        );
    }

    pub(crate) fn run_panicked(&self) {
        warn_or_debug!(
            self.run_panicked,
            { reason = "run_panicked" },
            "a run panicked outside of its handler: its events are handled again when its lease \
             has ended, and it counts as an attempt. The panic says where. It may be one of a \
             recorder of metrics"
        );
    }

    pub(crate) fn dead_letters(&self, dead: &[Dead], reason: Reason) {
        let shown = |dead: &Dead| {
            let key = EventKey::from_bytes(dead.key);
            format!("{key} (attempt {})", dead.attempts)
        };
        let letters: Vec<_> = dead.iter().take(LETTERS).map(shown).collect();
        warn_or_debug!(
            self.dead,
            { reason = reason.text(), count = dead.len(), letters = letters.join(", ") },
            "events became dead letters: see `Inbox::dead_letters`, then replay or discard them"
        );
    }
}

/// Errors of the inbox have no text from the database, which could quote personal data.
fn cause(error: &InboxError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The span of a run. The handler is inside of it.
pub(crate) fn run_span(batch: &InboxBatch) -> Span {
    let Some(first) = batch.events().first() else {
        return Span::none();
    };
    info_span!(
        target: TARGET,
        "whatsapp.inbox.run",
        kind = first.kind(),
        events = batch.events().len(),
        attempt = batch.attempt(),
        first_key = field::display(first.key()),
        wait_ms = millis(first.age()),
        handler_ms = field::Empty,
        outcome = field::Empty,
    )
}

pub(crate) fn run_ended(span: &Span, outcome: &'static str, took: Duration) {
    span.record("handler_ms", millis(took));
    span.record("outcome", outcome);
    span.in_scope(|| debug!(target: TARGET, "the handler ended"));
}

/// What the future logs is inside of the span.
pub(crate) fn in_span<F: Future>(span: &Span, future: F) -> Instrumented<F> {
    future.instrument(span.clone())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A limit for each operation of a worker: they fail for reasons of their own.
#[derive(Debug, Default)]
struct PerOperation(Mutex<HashMap<&'static str, Arc<RateLimit>>>);

impl PerOperation {
    fn of(&self, operation: &'static str) -> Arc<RateLimit> {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(limits.entry(operation).or_default())
    }
}

/// Admits the first event of a kind, and after that one per minute.
#[derive(Debug, Default)]
struct RateLimit {
    /// Until when events are left out: milliseconds since [`START`].
    closed_until: AtomicU64,
    left_out: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl RateLimit {
    const INTERVAL: u64 = 60_000;

    fn admit(&self) -> Option<u64> {
        self.admit_at(millis(START.elapsed()))
    }

    /// Returns the number of events left out since the last admitted one, or `None` if this one is
    /// to be left out too.
    fn admit_at(&self, now: u64) -> Option<u64> {
        let closed_until = self.closed_until.load(Ordering::Relaxed);
        let until = now.saturating_add(Self::INTERVAL);
        // Only one of several threads gets the turn.
        let exchange = |until| {
            let order = Ordering::Relaxed;
            (self.closed_until).compare_exchange(closed_until, until, order, order)
        };
        if now >= closed_until && exchange(until).is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_per_minute_with_the_number_left_out() {
        let limit = RateLimit::default();
        assert_eq!(limit.admit_at(0), Some(0));
        assert_eq!([limit.admit_at(1), limit.admit_at(59_999)], [None, None]);
        assert_eq!(limit.admit_at(60_000), Some(2));
        assert_eq!(limit.admit_at(60_001), None);
    }
}
