//! Detects JSON keys that Meta has added and this version of the crate does not read.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::event::Event;

/// Maximum number of different paths that are remembered, and so reported.
const MAX_PATHS: usize = 256;

/// The search walks over the whole JSON of an event. This bounds what it adds to a delivery: some
/// tenths of a millisecond.
const MAX_BYTES: usize = 32 * 1024;

/// The paths seen so far.
#[derive(Debug, Default)]
pub(super) struct Drift {
    is_full: AtomicBool,
    seen: Mutex<HashSet<(&'static str, String)>>,
}

impl Drift {
    /// Calls `report` with the kind of event and the path of each unread key that was not seen
    /// before. Looks at the first events of a delivery.
    pub(super) fn check(&self, events: &[Event], mut report: impl FnMut(&'static str, &str)) {
        if self.is_full.load(Ordering::Relaxed) {
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
