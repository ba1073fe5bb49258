//! The metrics (feature `metrics`). `docs/observability.md` lists their names.
//!
//! Values of labels come from the configuration or from this crate, never from a request: their
//! number is bounded by that of the apps. The label `app` is left out for the only app of a layer,
//! which has no label.

#[cfg(feature = "tokio")]
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{sync::Arc, time::Duration};

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::observation::{Outcome, VerifiedDelivery};
#[cfg(feature = "tokio")]
use super::{
    clock::Moment,
    observation::{CutOff, EventOutcome, StoreOperation},
    rate_limit::RateLimit,
};
use crate::{event::Event, webhook::TEST_ENTRY_ID};

/// Number of events of a delivery whose lag is recorded. Those of a batch have nearly the same.
const LAG_SAMPLES: usize = 16;

/// Calls a macro of `metrics` with the label `app`, if the app has a label.
macro_rules! for_app {
    ($metric:ident, $name:literal, $app:expr $(, $key:literal => $value:literal)?) => {
        if $app.is_empty() {
            // With literals only, the key of the metric is a static.
            $metric!($name $(, $key => $value)?)
        } else {
            $metric!($name, "app" => SharedString::from(Arc::clone($app)) $(, $key => $value)?)
        }
    };
    ($metric:ident, $name:literal, $app:expr, $key:literal => $value:expr) => {
        if $app.is_empty() {
            $metric!($name, $key => $value)
        } else {
            $metric!($name, "app" => SharedString::from(Arc::clone($app)), $key => $value)
        }
    };
}

/// Describes all metrics to the recorder that is installed, if there is one.
// Long because it is a table with one row per metric.
pub(super) fn describe() {
    describe_counter!(
        "whatsapp_rejections_total",
        "Requests refused before their signature was found valid, and verified deliveries that the layer answered itself, by `reason`."
    );
    describe_counter!(
        "whatsapp_handshakes_total",
        "Handshakes answered with the challenge."
    );
    describe_counter!(
        "whatsapp_deliveries_total",
        "Verified deliveries, by `outcome`: acknowledged, refused, deferred, failed or abandoned."
    );
    describe_gauge!(
        "whatsapp_deliveries_in_flight",
        "Verified deliveries that have no response yet."
    );
    describe_counter!(
        "whatsapp_events_total",
        "Events received in verified deliveries, by `kind`, duplicates included."
    );
    describe_counter!(
        "whatsapp_unread_keys_total",
        "Different JSON keys seen that this version does not read."
    );
    describe_counter!(
        "whatsapp_setup_warnings_total",
        "Mistakes of the setup, by `warning`."
    );
    describe_histogram!(
        "whatsapp_body_size_bytes",
        Unit::Bytes,
        "Length of verified bodies."
    );
    describe_histogram!(
        "whatsapp_verdict_duration_seconds",
        Unit::Seconds,
        "Time from the head of a request to the call of the inner service: mostly that of the sender."
    );
    describe_histogram!(
        "whatsapp_handler_duration_seconds",
        Unit::Seconds,
        "Time from the call of the inner service to its response."
    );
    describe_histogram!(
        "whatsapp_event_lag_seconds",
        Unit::Seconds,
        "Age of received events by their own timestamps: rises when Meta or this service has a backlog."
    );
    describe_gauge!(
        "whatsapp_memory_reserved_bytes",
        Unit::Bytes,
        "Memory reserved by requests, of the memory budgets of all layers."
    );
    #[cfg(feature = "tokio")]
    {
        describe_counter!(
            "whatsapp_dedup_events_total",
            "Events that were not simply handled once, by `outcome`."
        );
        describe_counter!(
            "whatsapp_dedup_rejections_total",
            "Deliveries that a DedupLayer answered with anything but 2xx, by `reason`."
        );
        describe_counter!(
            "whatsapp_handlers_cut_off_total",
            "Handlers that were dropped before their end, by `reason`."
        );
        describe_histogram!(
            "whatsapp_store_duration_seconds",
            Unit::Seconds,
            "Time of the calls of the store, by `operation`."
        );
        describe_counter!(
            "whatsapp_store_failures_total",
            "Calls of the store that failed or that an open circuit refused, by `operation`."
        );
        describe_gauge!(
            "whatsapp_store_circuits_open",
            "Circuit breakers that are open: each store gets at most one call a second, and only while deliveries arrive."
        );
        describe_gauge!(
            "whatsapp_store_entries",
            "Keys in the stores that know it: in MemoryStore."
        );
    }
}

/// Registers counters at zero, so that the first increment shows as an increase. Those with an app
/// or a reason appear with their first increment, except for the one that asks for a larger budget.
pub(super) fn register() {
    for outcome in Outcome::ALL {
        counter!("whatsapp_deliveries_total", "outcome" => outcome.name()).increment(0);
    }
    counter!("whatsapp_rejections_total", "reason" => "memory_budget").increment(0);
    counter!("whatsapp_unread_keys_total").increment(0);
    #[cfg(feature = "tokio")]
    {
        dedup_events(EventOutcome::Stuck, 0);
        for reason in CutOff::ALL {
            counter!("whatsapp_handlers_cut_off_total", "reason" => reason.name()).increment(0);
        }
        for operation in StoreOperation::ALL {
            let operation = operation.name();
            counter!("whatsapp_store_failures_total", "operation" => operation).increment(0);
        }
        gauge!("whatsapp_store_circuits_open").increment(0.0);
    }
}

pub(super) fn rejected(app: Option<&Arc<str>>, reason: &'static str) {
    match app {
        Some(app) => {
            for_app!(counter, "whatsapp_rejections_total", app, "reason" => reason).increment(1);
        }
        None => counter!("whatsapp_rejections_total", "reason" => reason).increment(1),
    }
}

pub(super) fn handshake(app: &Arc<str>) {
    for_app!(counter, "whatsapp_handshakes_total", app).increment(1);
}

pub(super) fn setup_warning(warning: &'static str) {
    counter!("whatsapp_setup_warnings_total", "warning" => warning).increment(1);
}

pub(super) fn verified(delivery: &VerifiedDelivery<'_>, verdict: Duration) {
    let app = delivery.app;
    gauge!("whatsapp_deliveries_in_flight").increment(1.0);
    for_app!(histogram, "whatsapp_body_size_bytes", app).record(as_f64(delivery.length));
    for_app!(histogram, "whatsapp_verdict_duration_seconds", app).record(verdict);
    count_kinds(app, delivery.events);
}

/// Records the age of the first events of a delivery.
pub(super) fn lag(delivery: &VerifiedDelivery<'_>) {
    let app = delivery.app;
    let Some(now) = super::clock::unix_time() else {
        return;
    };
    let lag = for_app!(histogram, "whatsapp_event_lag_seconds", app);
    let sample = delivery.events.iter().take(LAG_SAMPLES);
    // Histories and samples of the App Dashboard are old by nature.
    let sample = sample.filter(|event| {
        !matches!(
            event.kind(),
            "history_message" | "history_progress" | "app_state"
        ) && event.entry_id() != Some(TEST_ENTRY_ID)
    });
    for time in sample.filter_map(Event::timestamp) {
        // The clocks of two machines differ by a little.
        lag.record(as_f64(now.saturating_sub(time.seconds())));
    }
}

/// Elements of one kind stand side by side, so the counter of a run is looked up once.
fn count_kinds(app: &Arc<str>, events: &[Event]) {
    for run in events.chunk_by(|one, next| one.kind() == next.kind()) {
        let Some(kind) = run.first().map(Event::kind) else {
            continue;
        };
        let count = run.len() as u64;
        // A label that is a literal needs no allocation. Most events are of two kinds.
        match kind {
            "message" => for_app!(counter, "whatsapp_events_total", app, "kind" => "message")
                .increment(count),
            "status" => {
                for_app!(counter, "whatsapp_events_total", app, "kind" => "status")
                    .increment(count);
            }
            kind => {
                for_app!(counter, "whatsapp_events_total", app, "kind" => kind).increment(count);
            }
        }
    }
}

pub(super) fn answered(app: &Arc<str>, outcome: Outcome, handler: Duration) {
    gauge!("whatsapp_deliveries_in_flight").decrement(1.0);
    match outcome {
        Outcome::Acknowledged => {
            for_app!(counter, "whatsapp_deliveries_total", app, "outcome" => "acknowledged")
                .increment(1);
        }
        other => for_app!(counter, "whatsapp_deliveries_total", app, "outcome" => other.name())
            .increment(1),
    }
    for_app!(histogram, "whatsapp_handler_duration_seconds", app).record(handler);
}

pub(crate) fn memory_reserved(more: usize) {
    gauge!("whatsapp_memory_reserved_bytes").increment(as_f64(more));
}

pub(crate) fn memory_released(bytes: usize) {
    gauge!("whatsapp_memory_reserved_bytes").decrement(as_f64(bytes));
}

pub(super) fn unread_key() {
    counter!("whatsapp_unread_keys_total").increment(1);
}

/// Precise up to 2^53, which no length or age in seconds reaches.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn as_f64(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

#[cfg(feature = "tokio")]
pub(super) fn dedup_rejected(reason: &'static str) {
    counter!("whatsapp_dedup_rejections_total", "reason" => reason).increment(1);
}

#[cfg(feature = "tokio")]
pub(super) fn dedup_events(outcome: EventOutcome, count: usize) {
    counter!("whatsapp_dedup_events_total", "outcome" => outcome.name()).increment(count as u64);
}

#[cfg(feature = "tokio")]
pub(super) fn cut_off(reason: CutOff) {
    counter!("whatsapp_handlers_cut_off_total", "reason" => reason.name()).increment(1);
}

#[cfg(feature = "tokio")]
pub(super) fn store_called(operation: StoreOperation, time: Duration) {
    histogram!("whatsapp_store_duration_seconds", "operation" => operation.name()).record(time);
}

#[cfg(feature = "tokio")]
pub(super) fn store_failed(operation: StoreOperation) {
    counter!("whatsapp_store_failures_total", "operation" => operation.name()).increment(1);
}

/// The share of one layer in the gauge of open circuits.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(super) struct OpenCircuit(AtomicBool);

#[cfg(feature = "tokio")]
impl OpenCircuit {
    pub(super) fn set(&self, is_open: bool) {
        let gauge = gauge!("whatsapp_store_circuits_open");
        match (self.0.swap(is_open, Ordering::Relaxed), is_open) {
            (false, true) => gauge.increment(1.0),
            (true, false) => gauge.decrement(1.0),
            _ => {}
        }
    }
}

#[cfg(feature = "tokio")]
impl Drop for OpenCircuit {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// The share of one store in the gauge of the keys in all stores.
#[cfg(feature = "tokio")]
#[derive(Debug)]
pub(super) struct StoreLen {
    limit: RateLimit,
    reported: AtomicUsize,
}

#[cfg(feature = "tokio")]
impl Default for StoreLen {
    fn default() -> Self {
        Self {
            // A large store takes a lock for each of its parts.
            limit: RateLimit::every(Duration::from_secs(10)),
            reported: AtomicUsize::new(0),
        }
    }
}

#[cfg(feature = "tokio")]
impl StoreLen {
    pub(super) fn update(&self, len: impl FnOnce() -> Option<usize>) {
        if self.limit.is_due(Moment::now())
            && let Some(len) = len()
        {
            let before = self.reported.swap(len, Ordering::Relaxed);
            gauge!("whatsapp_store_entries").increment(as_f64(len) - as_f64(before));
        }
    }
}

#[cfg(feature = "tokio")]
impl Drop for StoreLen {
    fn drop(&mut self) {
        let reported = *self.reported.get_mut();
        if reported > 0 {
            gauge!("whatsapp_store_entries").decrement(as_f64(reported));
        }
    }
}
