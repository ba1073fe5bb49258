//! Detects JSON keys that Meta has added and this version of the crate does not read.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::rate_limit::RateLimit;
use crate::event::Event;

/// Maximum number of different paths that are remembered, and so reported.
const MAX_PATHS: usize = 256;

/// The search walks over the whole JSON of an event. These bound what it adds to one delivery: some
/// tenths of a millisecond, a few times a second.
const MAX_BYTES: usize = 32 * 1024;
const INTERVAL: Duration = Duration::from_millis(250);

/// The paths seen so far.
#[derive(Debug)]
pub(crate) struct Drift {
    turn: RateLimit,
    is_full: AtomicBool,
    seen: Mutex<HashSet<(&'static str, String)>>,
}

impl Default for Drift {
    fn default() -> Self {
        Self {
            turn: RateLimit::every(INTERVAL),
            is_full: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }
}

impl Drift {
    /// Calls `report` with the kind of event and the path of each unread key that was not seen
    /// before. Looks at the first events of a delivery, at most four deliveries a second.
    pub(crate) fn check(&self, events: &[Event], mut report: impl FnMut(&'static str, &str)) {
        if self.is_full.load(Ordering::Relaxed) || self.turn.admit().is_none() {
            return;
        }
        let mut bytes = 0;
        for event in events {
            bytes += event.raw().len();
            if bytes > MAX_BYTES {
                return;
            }
            for path in event.unread() {
                let entry = (event.kind(), path);
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.len() >= MAX_PATHS {
                    self.is_full.store(true, Ordering::Relaxed);
                    return;
                }
                if !seen.contains(&entry) {
                    report(entry.0, &entry.1);
                    seen.insert(entry);
                }
            }
        }
    }
}
