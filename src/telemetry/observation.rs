//! What is observed, as data. The names are those of log fields and metric labels.

use std::sync::Arc;

use super::{app::AppTelemetry, clock::Moment};
use crate::event::Event;

/// What is known of a delivery before the inner service is called.
#[cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(dead_code, reason = "each feature uses a part of it")
)]
pub(crate) struct VerifiedDelivery<'a> {
    /// Label of the app.
    pub(crate) app: &'a Arc<str>,
    pub(crate) telemetry: &'a Arc<AppTelemetry>,
    pub(crate) path: Option<&'a str>,
    /// Label of the secret that matched.
    pub(crate) secret: &'a str,
    pub(crate) events: &'a [Event],
    /// Length of the body in bytes.
    pub(crate) length: usize,
    /// When the head of the request arrived.
    pub(crate) started: Moment,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered with 200.
    Acknowledged,
    /// The handler answered with another status.
    Refused,
    /// A `DedupLayer` answered with another status.
    Deferred,
    /// The inner service returned an error.
    Failed,
    /// The sender disconnected before there was a response. With a `DedupLayer` the handler goes
    /// on.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    Abandoned,
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Outcome {
    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 5] = [
        Self::Acknowledged,
        Self::Refused,
        Self::Deferred,
        Self::Failed,
        Self::Abandoned,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What happened to events that were not simply handled once.
#[cfg(feature = "tokio")]
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
    /// In flight elsewhere for longer than a lease.
    Stuck,
}

/// Why a handler was dropped before its end.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutOff {
    /// Its deadline passed.
    Deadline,
    /// The time of a drain was up.
    Drain,
    Panic,
}

/// The operations of a store.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOperation {
    Claim,
    Renew,
    Commit,
    Release,
}

#[cfg(feature = "tokio")]
impl EventOutcome {
    #[cfg(feature = "tracing")]
    pub(super) const COUNT: usize = Self::Stuck as usize + 1;

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
            Self::Stuck => "stuck",
        }
    }
}

#[cfg(feature = "tokio")]
impl CutOff {
    #[cfg(feature = "tracing")]
    pub(super) const COUNT: usize = Self::Panic as usize + 1;

    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 3] = [Self::Deadline, Self::Drain, Self::Panic];

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Drain => "drain",
            Self::Panic => "panic",
        }
    }
}

#[cfg(all(feature = "tokio", any(feature = "metrics", feature = "tracing")))]
impl StoreOperation {
    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 4] = [Self::Claim, Self::Renew, Self::Commit, Self::Release];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Commit => "commit",
            Self::Release => "release",
        }
    }
}
