//! Telemetry of a [`DedupLayer`](crate::dedup::DedupLayer).
#![cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(
        unused_variables,
        clippy::unused_self,
        reason = "each feature uses a part of what is observed, and without both nothing is used"
    )
)]

use super::clock::Moment;
#[cfg(feature = "tracing")]
use super::{dedup_logs as logs, rate_limit::RateLimit};
use crate::dedup::{DedupRejection, StoreError};

/// Telemetry of one layer and its clones.
#[derive(Debug, Default)]
pub(crate) struct DedupTelemetry {
    #[cfg(feature = "tracing")]
    rejections: logs::DedupLimits,
    #[cfg(feature = "tracing")]
    outcomes: [RateLimit; EventOutcome::COUNT],
    #[cfg(feature = "tracing")]
    cut_off: [RateLimit; CutOff::COUNT],
    #[cfg(feature = "tracing")]
    store_failures: RateLimit,
    #[cfg(feature = "metrics")]
    store_len: super::metrics::StoreLen,
}

/// What happened to events that were not simply handled once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventOutcome {
    /// Kept from the handler, because they were handled before or are in flight elsewhere.
    Suppressed,
    /// Given to the handler although they are older than their window.
    Stale,
    /// Kept from the handler because they are older than their window.
    RefusedStale,
    /// Given to the handler while the store was unavailable.
    Unprotected,
    /// Claimed or handled by another holder when they were to be recorded.
    Fenced,
    /// Claimed or handled by another holder when their lease was to be renewed.
    LeaseLost,
    /// Handled for longer than the lease, so that another holder may have handled them too.
    LeaseOverrun,
    /// Handled, and never recorded as handled.
    Unrecorded,
}

/// Why a handler was dropped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutOff {
    /// Its deadline passed.
    Deadline,
    /// The time of a drain was up.
    Drain,
    Panic,
}

impl DedupTelemetry {
    /// Reports a delivery that the layer answered with anything but 2xx.
    pub(crate) fn rejected(&self, rejection: &DedupRejection) {
        #[cfg(feature = "tracing")]
        logs::rejected(&self.rejections, rejection);
        #[cfg(feature = "metrics")]
        super::metrics::dedup_rejected(rejection.kind().name());
    }

    pub(crate) fn events(&self, outcome: EventOutcome, count: usize) {
        if count == 0 {
            return;
        }
        #[cfg(feature = "tracing")]
        if let Some(limit) = self.outcomes.get(outcome as usize) {
            logs::events(limit, outcome, count);
        }
        #[cfg(feature = "metrics")]
        super::metrics::dedup_events(outcome, count);
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
        super::metrics::circuit(is_open);
    }
}

/// The operations of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOperation {
    Claim,
    Renew,
    Commit,
    Release,
}

impl EventOutcome {
    #[cfg(feature = "tracing")]
    const COUNT: usize = Self::Unrecorded as usize + 1;

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Suppressed => "suppressed",
            Self::Stale => "stale",
            Self::RefusedStale => "refused_stale",
            Self::Unprotected => "unprotected",
            Self::Fenced => "fenced",
            Self::LeaseLost => "lease_lost",
            Self::LeaseOverrun => "lease_overrun",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl CutOff {
    #[cfg(feature = "tracing")]
    const COUNT: usize = Self::Panic as usize + 1;

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Drain => "drain",
            Self::Panic => "panic",
        }
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl StoreOperation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Commit => "commit",
            Self::Release => "release",
        }
    }
}
