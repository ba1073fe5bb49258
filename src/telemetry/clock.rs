//! The time, where there is one: `wasm32-unknown-unknown` has none, and asking for it panics.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

#[cfg(any(feature = "metrics", feature = "tracing"))]
const HAS_CLOCK: bool = !cfg!(all(target_family = "wasm", target_os = "unknown"));

/// Measures how long something takes, if anybody can see it.
/// Not started by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stopwatch(#[cfg(any(feature = "metrics", feature = "tracing"))] Option<Instant>);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            HAS_CLOCK.then(Instant::now),
        )
    }

    /// Returns the time since the start, or zero if it was not started or there is no clock.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn elapsed(self) -> Duration {
        self.0.map_or(Duration::ZERO, |start| start.elapsed())
    }
}

/// Time since the first call in this process. Without a clock every call is an hour later, so that
/// nothing is left out.
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(super) fn uptime() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    if HAS_CLOCK {
        return START.get_or_init(Instant::now).elapsed();
    }
    static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Duration::from_secs(3600).saturating_mul(calls)
}

/// Unix time, in seconds.
#[cfg(feature = "metrics")]
pub(super) fn unix_time() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};
    HAS_CLOCK
        .then(|| SystemTime::now().duration_since(UNIX_EPOCH).ok())
        .flatten()
        .map(|since| since.as_secs())
}
