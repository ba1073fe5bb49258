//! Telemetry of a [`DedupLayer`](crate::dedup::DedupLayer).
#![cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(
        unused_variables,
        clippy::unused_self,
        reason = "each feature uses a part of what is observed, and without both nothing is used"
    )
)]

use super::{
    clock::Moment,
    observation::{CutOff, EventOutcome, StoreOperation},
};
#[cfg(feature = "tracing")]
use super::{dedup_logs as logs, rate_limit::RateLimit};
use crate::dedup::{DedupRejection, StoreError};

/// Telemetry of one layer and its clones.
#[derive(Debug, Default)]
pub(crate) struct DedupTelemetry {
    #[cfg(feature = "tracing")]
    rejections: logs::DedupLimits,
    #[cfg(feature = "tracing")]
    drained: RateLimit,
    #[cfg(feature = "tracing")]
    outcomes: [RateLimit; EventOutcome::COUNT],
    #[cfg(feature = "tracing")]
    cut_off: [RateLimit; CutOff::COUNT],
    #[cfg(feature = "tracing")]
    store_failures: RateLimit,
    #[cfg(feature = "metrics")]
    store_len: super::metrics::StoreLen,
    #[cfg(feature = "metrics")]
    open_circuit: super::metrics::OpenCircuit,
}

impl DedupTelemetry {
    /// Reports a delivery that the layer rejects. It is counted if that is its response.
    pub(crate) fn rejected(&self, rejection: &DedupRejection, is_response: bool) {
        #[cfg(feature = "tracing")]
        logs::rejected(&self.rejections, rejection);
        #[cfg(feature = "metrics")]
        if is_response {
            super::metrics::dedup_rejected(rejection.kind().name());
        }
    }

    /// Reports a delivery that the layer refuses because it drains, or has drained.
    pub(crate) fn refused_by_drain(&self, rejection: &DedupRejection) {
        #[cfg(feature = "tracing")]
        logs::refused_by_drain(&self.drained);
        #[cfg(feature = "metrics")]
        super::metrics::dedup_rejected(rejection.kind().name());
    }

    pub(crate) fn events(&self, outcome: EventOutcome, count: usize) {
        #[cfg(feature = "tracing")]
        if let Some(limit) = self.outcomes.get(outcome as usize)
            && count > 0
        {
            logs::events(limit, outcome, count);
        }
        #[cfg(feature = "metrics")]
        if count > 0 {
            super::metrics::dedup_events(outcome, count);
        }
    }

    pub(crate) fn cut_off(&self, reason: CutOff) {
        #[cfg(feature = "tracing")]
        if let Some(limit) = self.cut_off.get(reason as usize) {
            logs::cut_off(limit, reason);
        }
        #[cfg(feature = "metrics")]
        super::metrics::cut_off(reason);
    }

    /// Reports leases that were renewed because the handler still runs.
    pub(crate) fn leases_renewed(&self, count: usize) {
        #[cfg(feature = "tracing")]
        logs::leases_renewed(count);
    }

    /// Reports writes that the store has not confirmed and that are repeated.
    pub(crate) fn writes_pending(&self, count: usize) {
        #[cfg(feature = "tracing")]
        logs::writes_pending(count);
    }

    /// Reports a call of the store that began at `started`.
    pub(crate) fn store_called(&self, operation: StoreOperation, started: Moment) {
        #[cfg(feature = "metrics")]
        super::metrics::store_called(operation, started.elapsed());
    }

    /// Reports the number of keys in the store, from time to time.
    pub(crate) fn store_len(&self, len: impl FnOnce() -> Option<usize>) {
        #[cfg(feature = "metrics")]
        self.store_len.update(len);
    }

    /// Reports a call of the store that failed, or that an open circuit refused.
    pub(crate) fn store_failed(&self, operation: StoreOperation, error: &StoreError) {
        #[cfg(feature = "tracing")]
        logs::store_failed(&self.store_failures, operation, error);
        #[cfg(feature = "metrics")]
        super::metrics::store_failed(operation);
    }

    /// Reports that the circuit breaker has opened or closed.
    pub(crate) fn circuit(&self, is_open: bool) {
        #[cfg(feature = "tracing")]
        logs::circuit(is_open);
        #[cfg(feature = "metrics")]
        self.open_circuit.set(is_open);
    }
}
