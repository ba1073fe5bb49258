//! Telemetry of an [`App`](crate::App).

#[cfg(feature = "tracing")]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::time::Duration;

#[cfg(feature = "tracing")]
use super::clock::Moment;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use super::rate_limit::RateLimit;

/// What is counted and limited for each app, so that a busy or broken app hides nothing about
/// another.
#[derive(Debug, Default)]
pub(crate) struct AppTelemetry {
    /// Deliveries with a valid signature so far.
    #[cfg(feature = "tracing")]
    verified: AtomicU64,
    /// [`Moment`] of the last one, in nanoseconds.
    #[cfg(feature = "tracing")]
    last_verified: AtomicU64,
    #[cfg(feature = "tracing")]
    pub(super) signature_mismatch: RateLimit,
    #[cfg(feature = "tracing")]
    pub(super) handshake_token: RateLimit,
    /// Deliveries that the handler refused.
    #[cfg(feature = "tracing")]
    pub(super) refused: RateLimit,
    #[cfg(feature = "tracing")]
    pub(super) failed: RateLimit,
    #[cfg(feature = "tracing")]
    pub(super) abandoned: RateLimit,
    #[cfg(feature = "tracing")]
    pub(super) test_deliveries: RateLimit,
    /// Deliveries that are looked at closely.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) samples: Samples,
}

/// Four a second.
#[cfg(any(feature = "metrics", feature = "tracing"))]
#[derive(Debug)]
pub(super) struct Samples(pub(super) RateLimit);

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Default for Samples {
    fn default() -> Self {
        Self(RateLimit::every(Duration::from_millis(250)))
    }
}

#[cfg(feature = "tracing")]
impl AppTelemetry {
    /// Counts a delivery with a valid signature.
    pub(super) fn count_verified(&self, now: Moment) {
        self.last_verified.store(now.nanos(), Ordering::Relaxed);
        self.verified.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// `None` if there was no delivery with a valid signature yet.
    pub(super) fn seconds_since_verified(&self) -> Option<u64> {
        let last = self.last_verified.load(Ordering::Relaxed);
        let since = Moment::now().nanos().saturating_sub(last);
        (self.verified() > 0).then_some(since / 1_000_000_000)
    }
}
