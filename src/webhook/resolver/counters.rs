use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::app_resolver::ResolveError;

/// Totals of a [`CachedResolver`](super::CachedResolver) since it was built, for monitoring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolverCounters {
    /// Calls of [`AppResolver::resolve`](super::AppResolver::resolve).
    pub lookups: u64,
    /// Lookups that returned an error or panicked.
    /// [`last_error`](super::CachedResolver::last_error) returns the last one.
    pub failed: u64,
    /// Lookups that were not complete, or could not begin, within the
    /// [`lookup_timeout`](super::CachedResolverBuilder::lookup_timeout).
    pub timed_out: u64,
    /// Lookups of unknown names that were refused beyond the limit of
    /// [`lookups_per_second`](super::CachedResolverBuilder::lookups_per_second) or of 1,024 waiting
    /// requests. A high number is usually a sender of made-up names. After a start, see
    /// [`preload`](super::CachedResolver::preload).
    pub rate_limited: u64,
}

/// How lookups went.
#[derive(Default)]
pub(super) struct Statistics {
    lookups: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    rate_limited: AtomicU64,
    last_error: Mutex<Option<Arc<ResolveError>>>,
}

impl Statistics {
    pub(super) fn counters(&self) -> ResolverCounters {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResolverCounters {
            lookups: count(&self.lookups),
            failed: count(&self.failed),
            timed_out: count(&self.timed_out),
            rate_limited: count(&self.rate_limited),
        }
    }

    pub(super) fn last_error(&self) -> Option<Arc<ResolveError>> {
        let last = self.last_error.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn began(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: ResolveError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut last = (self.last_error.lock()).unwrap_or_else(PoisonError::into_inner);
        let replaced = last.replace(Arc::new(error));
        // The error of the host is dropped without the lock.
        drop(last);
        drop(replaced);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }
}

/// Source of the [`ResolveError`] of a lookup that panicked. The message of the panic is left out,
/// because it may contain data of the request.
#[derive(Debug)]
pub(super) struct ResolverPanicked;

impl fmt::Display for ResolverPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app resolver panicked")
    }
}

impl Error for ResolverPanicked {}
