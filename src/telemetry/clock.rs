//! The time, where there is one: `wasm32-unknown-unknown` has none, and asking for it panics.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

pub(crate) const HAS_CLOCK: bool = !cfg!(all(target_family = "wasm", target_os = "unknown"));

/// A point in time, in nanoseconds since the first one of the process. Empty without telemetry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment(#[cfg(any(feature = "metrics", feature = "tracing"))] u64);

impl Moment {
    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    pub(crate) fn now() -> Self {
        Self()
    }

    /// Without a clock, every moment is an hour after the one before, so that rate limits leave
    /// nothing out.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn now() -> Self {
        if HAS_CLOCK {
            static START: OnceLock<Instant> = OnceLock::new();
            let now = Instant::now();
            let uptime = now.saturating_duration_since(*START.get_or_init(|| now));
            return Self(u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX));
        }
        const HOUR: u64 = 3_600_000_000_000;
        static CALLS: std::sync::Mutex<u64> = std::sync::Mutex::new(0);
        let mut calls = CALLS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *calls = calls.saturating_add(HOUR);
        Self(*calls)
    }

    /// Returns the time since `earlier`.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time since now.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn nanos(self) -> u64 {
        self.0
    }
}

/// Unix time, in seconds.
#[cfg(feature = "metrics")]
#[expect(
    clippy::disallowed_methods,
    reason = "the timestamps of Meta are Unix times; a jump shows in the metric"
)]
pub(super) fn unix_time() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};
    HAS_CLOCK
        .then(|| SystemTime::now().duration_since(UNIX_EPOCH).ok())
        .flatten()
        .map(|since| since.as_secs())
}
