//! Limits repeated log events of one kind.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::clock;

/// Admits the first event of a kind, and after that one per interval.
#[derive(Debug)]
pub(super) struct RateLimit {
    interval: Duration,
    /// Milliseconds since the start of the process until which events are left out.
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
    pub(super) fn admit(&self) -> Option<u64> {
        self.admit_at(clock::uptime())
    }

    fn admit_at(&self, uptime: Duration) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(uptime);
        let closed_until = self.closed_until.load(Ordering::Relaxed);
        // Only one of several threads gets the turn.
        let admitted = now >= closed_until
            && (self.closed_until)
                .compare_exchange(
                    closed_until,
                    now.saturating_add(millis(self.interval)),
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
        let at = |seconds| limit.admit_at(Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!([at(0), at(30), at(59)], [None, None, None]);
        assert_eq!(at(60), Some(3));
        assert_eq!(at(61), None);
        assert_eq!(at(1000), Some(1));
    }
}
