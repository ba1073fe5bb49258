//! What is told by the crate `metrics`. Without the feature `metrics`, nothing.

use std::time::Duration;

use crate::status::Status;

/// Something that [`Counters`](crate::Counters) counts, by the name of its field.
#[cfg(feature = "metrics")]
pub(crate) fn counted(what: &'static str, count: u64) {
    metrics::counter!("whatsapp_inbox_total", "what" => what).increment(count);
}

/// The time between the arrival of an event and the start of its run.
#[cfg(feature = "metrics")]
pub(crate) fn started(kind: &'static str, waited: Duration) {
    metrics::histogram!("whatsapp_inbox_wait_seconds", "kind" => kind).record(waited);
}

/// The time that a handler took.
#[cfg(feature = "metrics")]
pub(crate) fn ended(took: Duration) {
    metrics::histogram!("whatsapp_inbox_handler_duration_seconds").record(took);
}

/// What waits in all processes.
#[cfg(feature = "metrics")]
pub(crate) fn status(status: &Status) {
    #[allow(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point numbers"
    )]
    let set = |state: &'static str, count: u64| {
        metrics::gauge!("whatsapp_inbox_waiting", "state" => state).set(count as f64);
    };
    set("messages", status.messages);
    set("bulk", status.bulk);
    set("running", status.running);
    set("retrying", status.retrying);
    set("dead", status.dead);
    metrics::gauge!("whatsapp_inbox_oldest_seconds").set(status.oldest.unwrap_or_default());
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn counted(_: &'static str, _: u64) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn started(_: &'static str, _: Duration) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn ended(_: Duration) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn status(_: &Status) {}
