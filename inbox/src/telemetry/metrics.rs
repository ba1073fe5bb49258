//! The metrics (feature `metrics`). `docs/observability.md` lists them.
//!
//! Values of labels come from this crate, never from a request.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::status::Status;

/// Describes all metrics to the recorder that is installed, if there is one.
pub(crate) fn describe() {
    describe_counter!(
        "whatsapp_inbox_total",
        Unit::Count,
        "What this process did with the events, runs and deliveries of its inboxes, by `what`."
    );
    describe_gauge!(
        "whatsapp_inbox_waiting",
        Unit::Count,
        "Pending events, lanes that run or wait for a retry, and dead letters of all processes, by `state`."
    );
    describe_gauge!(
        "whatsapp_inbox_oldest_seconds",
        Unit::Seconds,
        "Time since the arrival of the oldest pending event; 0 if nothing is pending."
    );
    describe_histogram!(
        "whatsapp_inbox_wait_seconds",
        Unit::Seconds,
        "Time from the arrival of an event to the start of a run, by `kind`."
    );
    describe_histogram!(
        "whatsapp_inbox_handler_duration_seconds",
        Unit::Seconds,
        "Time that a handler took for one run."
    );
}

/// Something that [`Counters`](crate::Counters) counts, by the name of its field.
pub(crate) fn counted(what: &'static str, count: u64) {
    counter!("whatsapp_inbox_total", "what" => what).increment(count);
}

/// The time between the arrival of an event and the start of its run.
pub(crate) fn started(kind: &'static str, waited: Duration) {
    histogram!("whatsapp_inbox_wait_seconds", "kind" => kind).record(waited);
}

/// The time that a handler took.
pub(crate) fn ended(took: Duration) {
    histogram!("whatsapp_inbox_handler_duration_seconds").record(took);
}

/// What waits in all processes.
pub(crate) fn status(status: &Status) {
    #[allow(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point numbers"
    )]
    let set = |state: &'static str, count: u64| {
        gauge!("whatsapp_inbox_waiting", "state" => state).set(count as f64);
    };
    set("messages", status.messages);
    set("bulk", status.bulk);
    set("running", status.running);
    set("retrying", status.retrying);
    set("dead", status.dead);
    gauge!("whatsapp_inbox_oldest_seconds").set(status.oldest.unwrap_or_default());
}
