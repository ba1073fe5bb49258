//! The metrics (feature `metrics`). `docs/observability.md` lists their names.
//!
//! Values of labels come from the configuration or from this crate, never from a request, so their
//! number is bounded. The label `app` is left out for the only app of a layer, which has no label.

use std::{sync::Arc, time::Duration};

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

#[cfg(feature = "tokio")]
use super::dedup::{CutOff, EventOutcome, StoreOperation};
use super::webhook::VerifiedDelivery;
use crate::event::Event;

const REJECTIONS: &str = "whatsapp_rejections_total";
const HANDSHAKES: &str = "whatsapp_handshakes_total";
const DELIVERIES: &str = "whatsapp_deliveries_total";
const IN_FLIGHT: &str = "whatsapp_deliveries_in_flight";
const EVENTS: &str = "whatsapp_events_total";
const UNREAD_KEYS: &str = "whatsapp_unread_keys_total";
const SETUP_WARNINGS: &str = "whatsapp_setup_warnings_total";
const BODY_SIZE: &str = "whatsapp_body_size_bytes";
const VERDICT_TIME: &str = "whatsapp_verdict_duration_seconds";
const HANDLER_TIME: &str = "whatsapp_handler_duration_seconds";
const LAG: &str = "whatsapp_event_lag_seconds";
const MEMORY: &str = "whatsapp_memory_reserved_bytes";
#[cfg(feature = "tokio")]
const DEDUP_EVENTS: &str = "whatsapp_dedup_events_total";
#[cfg(feature = "tokio")]
const DEDUP_REJECTIONS: &str = "whatsapp_dedup_rejections_total";
#[cfg(feature = "tokio")]
const CUT_OFF: &str = "whatsapp_handlers_cut_off_total";
#[cfg(feature = "tokio")]
const STORE_TIME: &str = "whatsapp_store_duration_seconds";
#[cfg(feature = "tokio")]
const STORE_FAILURES: &str = "whatsapp_store_failures_total";
#[cfg(feature = "tokio")]
const CIRCUIT_OPEN: &str = "whatsapp_store_circuits_open";
#[cfg(feature = "tokio")]
const STORE_ENTRIES: &str = "whatsapp_memory_store_entries";

/// Number of events of a delivery whose lag is recorded. The events of a batch have nearly the same.
const LAG_SAMPLES: usize = 16;

/// Calls a macro of `metrics` with the label `app`, if the app has a label.
macro_rules! for_app {
    ($metric:ident, $name:expr, $app:expr $(, $key:literal => $value:expr)*) => {
        if $app.is_empty() {
            $metric!($name $(, $key => $value)*)
        } else {
            $metric!($name, "app" => SharedString::from(Arc::clone($app)) $(, $key => $value)*)
        }
    };
}

/// Describes all metrics to the recorder that is installed, if there is one.
pub(super) fn describe() {
    describe_counter!(
        REJECTIONS,
        "Requests refused before their signature was found valid, and verified deliveries that the layer answered itself, by `reason`."
    );
    describe_counter!(HANDSHAKES, "Handshakes answered with the challenge.");
    describe_counter!(
        DELIVERIES,
        "Verified deliveries, by `outcome`: acknowledged, refused, failed or abandoned."
    );
    describe_gauge!(IN_FLIGHT, "Verified deliveries that have no response yet.");
    describe_counter!(
        EVENTS,
        "Events received in verified deliveries, by `kind`, duplicates included."
    );
    describe_counter!(
        UNREAD_KEYS,
        "Different JSON keys seen that this version does not read."
    );
    describe_counter!(SETUP_WARNINGS, "Mistakes of the setup, by `warning`.");
    describe_histogram!(BODY_SIZE, Unit::Bytes, "Length of verified bodies.");
    describe_histogram!(
        VERDICT_TIME,
        Unit::Seconds,
        "Time from the head of a request to its valid signature: mostly the time of the sender."
    );
    describe_histogram!(
        HANDLER_TIME,
        Unit::Seconds,
        "Time from the call of the inner service to its response."
    );
    describe_histogram!(
        LAG,
        Unit::Seconds,
        "Age of received events by their own timestamps: rises when Meta or this service has a backlog."
    );
    describe_gauge!(
        MEMORY,
        Unit::Bytes,
        "Memory reserved by requests, of the memory budgets of all layers."
    );
    #[cfg(feature = "tokio")]
    {
        describe_counter!(
            DEDUP_EVENTS,
            "Events that were not simply handled once, by `outcome`."
        );
        describe_counter!(
            DEDUP_REJECTIONS,
            "Deliveries that a DedupLayer answered with anything but 2xx, by `reason`."
        );
        describe_counter!(
            CUT_OFF,
            "Handlers that were dropped before their end, by `reason`."
        );
        describe_histogram!(
            STORE_TIME,
            Unit::Seconds,
            "Time of the calls of the store, by `operation`."
        );
        describe_counter!(
            STORE_FAILURES,
            "Calls of the store that failed or that an open circuit refused."
        );
        describe_gauge!(
            CIRCUIT_OPEN,
            "Circuit breakers that are open: their stores are not called."
        );
        describe_gauge!(STORE_ENTRIES, "Keys in the MemoryStores.");
    }
}

pub(super) fn rejected(app: Option<&Arc<str>>, reason: &'static str) {
    match app {
        Some(app) => for_app!(counter, REJECTIONS, app, "reason" => reason).increment(1),
        None => counter!(REJECTIONS, "reason" => reason).increment(1),
    }
}

pub(super) fn handshake(app: &Arc<str>) {
    for_app!(counter, HANDSHAKES, app).increment(1);
}

pub(super) fn setup_warning(warning: &'static str) {
    counter!(SETUP_WARNINGS, "warning" => warning).increment(1);
}

pub(super) fn verified(delivery: &VerifiedDelivery<'_>) {
    let app = delivery.app;
    gauge!(IN_FLIGHT).increment(1.0);
    for_app!(histogram, BODY_SIZE, app).record(as_f64(delivery.length));
    for_app!(histogram, VERDICT_TIME, app).record(delivery.stopwatch.elapsed());
    count_kinds(app, delivery.events);
    if let Some(now) = super::clock::unix_time() {
        let lag = for_app!(histogram, LAG, app);
        let sample = delivery.events.iter().take(LAG_SAMPLES);
        for time in sample.filter_map(Event::timestamp) {
            // The clocks of two machines differ by a little.
            lag.record(as_f64(now.saturating_sub(time.seconds())));
        }
    }
}

/// Elements of one kind stand side by side, so the counter of a run is looked up once.
fn count_kinds(app: &Arc<str>, events: &[Event]) {
    for run in events.chunk_by(|one, next| one.kind() == next.kind()) {
        let Some(kind) = run.first().map(Event::kind) else {
            continue;
        };
        for_app!(counter, EVENTS, app, "kind" => kind).increment(run.len() as u64);
    }
}

pub(super) fn answered(app: &Arc<str>, outcome: &'static str, handler: Duration) {
    gauge!(IN_FLIGHT).decrement(1.0);
    for_app!(counter, DELIVERIES, app, "outcome" => outcome).increment(1);
    for_app!(histogram, HANDLER_TIME, app).record(handler);
}

pub(crate) fn memory_reserved(more: usize) {
    gauge!(MEMORY).increment(as_f64(more));
}

pub(crate) fn memory_released(bytes: usize) {
    gauge!(MEMORY).decrement(as_f64(bytes));
}

pub(super) fn unread_key() {
    counter!(UNREAD_KEYS).increment(1);
}

/// Precise up to 2^53, which no length or age in seconds reaches.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn as_f64(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

#[cfg(feature = "tokio")]
pub(super) fn dedup_rejected(reason: &'static str) {
    counter!(DEDUP_REJECTIONS, "reason" => reason).increment(1);
}

#[cfg(feature = "tokio")]
pub(super) fn dedup_events(outcome: EventOutcome, count: usize) {
    counter!(DEDUP_EVENTS, "outcome" => outcome.name()).increment(count as u64);
}

#[cfg(feature = "tokio")]
pub(super) fn cut_off(reason: CutOff) {
    counter!(CUT_OFF, "reason" => reason.name()).increment(1);
}

#[cfg(feature = "tokio")]
pub(super) fn store_called(operation: StoreOperation, time: Duration) {
    histogram!(STORE_TIME, "operation" => operation.name()).record(time);
}

#[cfg(feature = "tokio")]
pub(super) fn store_failed(operation: StoreOperation) {
    counter!(STORE_FAILURES, "operation" => operation.name()).increment(1);
}

#[cfg(feature = "tokio")]
pub(super) fn circuit(is_open: bool) {
    let open = gauge!(CIRCUIT_OPEN);
    if is_open {
        open.increment(1.0);
    } else {
        open.decrement(1.0);
    }
}

/// Changes the number of entries in all stores from `before` to `now`, those of one store.
#[cfg(feature = "tokio")]
pub(crate) fn store_entries(before: usize, now: usize) {
    gauge!(STORE_ENTRIES).increment(as_f64(now) - as_f64(before));
}
