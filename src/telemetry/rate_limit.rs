//! Limits repeated log events and warnings of one kind.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

#[cfg(any(feature = "metrics", feature = "tracing"))]
use super::clock::Moment;

/// Admits the first event of a kind, and after that one per interval.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    /// Time until which events are left out, in nanoseconds.
    closed_until: AtomicU64,
    left_out: AtomicU64,
}

/// One event per minute: strangers cause some kinds as often as they like.
impl Default for RateLimit {
    fn default() -> Self {
        Self::every(Self::MINUTE)
    }
}

impl RateLimit {
    pub(super) const MINUTE: Duration = Duration::from_secs(60);

    pub(super) const fn every(interval: Duration) -> Self {
        Self {
            interval,
            closed_until: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Returns the number of events left out since the last admitted one, or `None` if this one is
    /// to be left out too.
    #[cfg(feature = "tracing")]
    pub(super) fn admit(&self) -> Option<u64> {
        self.admit_at(Moment::now().nanos())
    }

    /// The same as [`admit`](Self::admit), for callers that know the time.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.is_open_at(now.nanos()) && self.admit_at(now.nanos()).is_some()
    }

    /// Returns whether an event could be admitted, without counting one.
    pub(crate) fn is_open_at(&self, now: u64) -> bool {
        now >= self.closed_until.load(Ordering::Relaxed)
    }

    /// The same as [`admit`](Self::admit), by another clock, in nanoseconds.
    pub(crate) fn admit_at(&self, now: u64) -> Option<u64> {
        let interval = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        let closed_until = self.closed_until.load(Ordering::Relaxed);
        // Only one of several threads gets the turn.
        let admitted = now >= closed_until
            && (self.closed_until)
                .compare_exchange(
                    closed_until,
                    now.saturating_add(interval),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if admitted {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_per_minute_with_the_number_left_out() {
        let limit = RateLimit::default();
        let at = |seconds: u64| limit.admit_at(seconds * 1_000_000_000);
        assert_eq!(at(0), Some(0));
        assert_eq!([at(0), at(30), at(59)], [None, None, None]);
        assert_eq!(at(60), Some(3));
        assert_eq!(at(61), None);
        assert_eq!(at(1000), Some(1));
    }
}
