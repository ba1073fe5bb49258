//! What an operator sees of the layers: spans and log events (feature `tracing`), and metrics
//! (feature `metrics`). Without these features all of this does nothing and is optimised out.
//!
//! No function here takes anything of a body but its length, kinds of events, the hash of an event,
//! and the names of unread keys. `docs/observability.md` lists what is emitted.

mod app;
mod clock;
#[cfg(feature = "tokio")]
mod dedup;
#[cfg(all(feature = "tokio", feature = "tracing"))]
mod dedup_logs;
#[cfg(all(feature = "tokio", feature = "metrics", feature = "tracing"))]
#[cfg(test)]
mod documented;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod drift;
#[cfg(feature = "tracing")]
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod observation;
mod rate_limit;
mod webhook;

#[cfg(feature = "metrics")]
pub(crate) use self::metrics::{memory_released, memory_reserved};
#[cfg(feature = "axum")]
pub(crate) use self::webhook::layer_missing;
pub(crate) use self::{
    app::AppTelemetry,
    clock::{HAS_CLOCK, Moment},
    observation::{Outcome, VerifiedDelivery},
    rate_limit::RateLimit,
    webhook::{DeliveryTelemetry, WebhookTelemetry},
};
#[cfg(feature = "tokio")]
pub(crate) use self::{
    dedup::DedupTelemetry,
    observation::{CutOff, EventOutcome, StoreOperation},
};

/// Puts the log events of a task, and of what the host runs in it, into the current span.
#[cfg(feature = "tokio")]
pub(crate) fn in_current_span<F: Future>(future: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tracing")]
    let future = tracing::Instrument::in_current_span(future);
    future
}
