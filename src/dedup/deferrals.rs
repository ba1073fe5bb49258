//! Finds events whose lease does not end, so that each of their deliveries is deferred.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::event::EventKey;

/// Events that are remembered, about 64 KiB. Beyond them, all are forgotten, and each lease is
/// measured from the next delivery on. Of a delivery not more are looked at, so that nothing waits
/// for the lock for long.
const MAX_EVENTS: usize = 1024;

/// The events that were in flight elsewhere at their last delivery, and since which one.
#[derive(Debug, Default)]
pub(super) struct Deferrals {
    since: Mutex<HashMap<EventKey, Instant>>,
    /// Spares the lock where nothing is in flight elsewhere, as usual.
    has_any: AtomicBool,
}

impl Deferrals {
    /// Notes that events are in flight elsewhere. Returns how many of them have been for longer
    /// than a lease.
    pub(super) fn note(&self, pending: &[EventKey], now: Instant, lease: Duration) -> usize {
        if pending.is_empty() {
            return 0;
        }
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_any.store(true, Ordering::Relaxed);
        let mut longer = 0;
        for key in pending.iter().take(MAX_EVENTS) {
            if since.len() >= MAX_EVENTS && !since.contains_key(key) {
                since.clear();
            }
            let first = *since.entry(*key).or_insert(now);
            longer += usize::from(now.duration_since(first) > lease);
        }
        longer
    }

    /// Notes that events are not in flight elsewhere any more.
    pub(super) fn end(&self, resolved: impl FnOnce() -> Vec<EventKey>) {
        if !self.has_any.load(Ordering::Relaxed) {
            return;
        }
        let resolved = resolved();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if resolved.len() > MAX_EVENTS {
            since.clear();
        }
        for key in resolved.iter().take(MAX_EVENTS) {
            since.remove(key);
        }
        self.has_any.store(!since.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_events_is_bounded() {
        let (deferrals, now) = (Deferrals::default(), Instant::now());
        let later = now + Duration::from_secs(31);
        let lease = Duration::from_secs(30);
        let key = |number: usize| EventKey::from_bytes((number as u128).to_be_bytes());
        let keys: Vec<_> = (0..MAX_EVENTS).map(key).collect();
        assert_eq!(deferrals.note(&keys, now, lease), 0);
        assert_eq!(deferrals.note(&keys, later, lease), MAX_EVENTS);
        assert_eq!(deferrals.note(&[key(MAX_EVENTS)], later, lease), 0);
        assert_eq!(deferrals.note(&keys, later, lease), 0);
        assert!(deferrals.since.lock().unwrap().len() <= MAX_EVENTS);
    }
}
