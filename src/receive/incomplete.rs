//! Incomplete bodies that hold memory, and the eviction of the slowest of them.
//!
//! Nothing about a body is verified until it is complete, so an incomplete body keeps its memory
//! only while it sends fast enough. A verified body, or a faster incomplete one, can evict it at
//! any time. Small ones are spared by large ones as long as they fit the reserved part of the
//! budget: a large body cannot use that part, and has gained next to nothing by their few bytes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

use super::error::ReceiveError;

/// Largest reservation that may use the reserved part of the budget, in bytes: a small body and
/// what is parsed from it.
pub(super) const MAX_SMALL: usize = 16 * 1024;

/// Minimum number of bytes that a body counts as having received. A small body in two pieces then
/// does not rank as slower than a large one that has stalled.
const MIN_RECEIVED: usize = 4 * 1024;

/// Finding the slowest bodies takes a scan of all of them. Each scan yields candidates for several
/// evictions: one sixteenth of the bodies, but at least [`MIN_CANDIDATES`].
const CANDIDATES_DIVISOR: usize = 16;
const MIN_CANDIDATES: usize = 64;

/// Minimum time between two scans while candidates are left, in microseconds. Without tokio, in
/// bytes received: see [`Moment`].
const RESCAN_INTERVAL: u64 = 50_000;

/// Number of candidates compared for one eviction. Some may have become faster since the scan.
const MAX_COMPARED: usize = 8;

/// Index of a body that is not in the list.
const NOT_LISTED: usize = usize::MAX;

/// A reading of the clock that measures how fast bodies arrive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(
    #[cfg(feature = "tokio")] tokio::time::Instant,
    #[cfg(not(feature = "tokio"))] u64,
);

#[cfg(feature = "tokio")]
impl Moment {
    pub(super) fn now() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(super) fn instant(self) -> tokio::time::Instant {
        self.0
    }

    /// Microseconds since `earlier`.
    fn since(self, earlier: Self) -> u64 {
        let age = self.0.saturating_duration_since(earlier.0);
        u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Without tokio, no clock works on every platform. The number of bytes received by all bodies
/// takes its place, because memory runs short only while something is sent.
#[cfg(not(feature = "tokio"))]
impl Moment {
    pub(super) fn at(bytes: u64) -> Self {
        Self(bytes)
    }

    fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Received bytes of a body divided by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Speed(u64);

impl Speed {
    /// Speed of a verified body: faster than any other.
    pub(super) const VERIFIED: Self = Self(u64::MAX);

    pub(super) fn of(received: usize, started: Moment, now: Moment) -> Self {
        let received = received.max(MIN_RECEIVED) as u64;
        // Cannot overflow: a body has at most 2^32 bytes.
        Self(received.saturating_mul(1_000_000) / now.since(started).max(1))
    }
}

/// A body that is being received, shared by its task and the tasks that may evict it.
#[derive(Debug)]
pub(super) struct IncompleteBody {
    pub(super) started: Moment,
    received: AtomicUsize,
    /// Whether it holds more than a small body. Never changes back.
    is_large: AtomicBool,
    /// Index in the list. Written only while the list is locked.
    index: AtomicUsize,
    /// Locked briefly by the body's own task. Other tasks only try to lock it.
    buffer: Mutex<CopyBuffer>,
}

/// The received bytes, copied into one contiguous buffer.
#[derive(Debug, Default)]
pub(super) struct CopyBuffer {
    pub(super) bytes: Vec<u8>,
    /// Bytes taken from the budget.
    pub(super) charged: usize,
    evicted: bool,
    pub(super) waker: Option<Waker>,
}

impl IncompleteBody {
    pub(super) fn new(started: Moment) -> Self {
        Self {
            started,
            received: AtomicUsize::new(0),
            is_large: AtomicBool::new(false),
            index: AtomicUsize::new(NOT_LISTED),
            buffer: Mutex::default(),
        }
    }

    /// Locks the buffer for the body's own task. Fails if the body was evicted.
    pub(super) fn buffer(&self) -> Result<MutexGuard<'_, CopyBuffer>, ReceiveError> {
        // Nothing is known to panic under the lock; a panic would leave the buffer unchanged.
        let buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.evicted {
            return Err(ReceiveError::Budget);
        }
        Ok(buffer)
    }

    pub(super) fn set_received(&self, bytes: usize) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn set_charged(&self, bytes: usize) {
        if bytes > MAX_SMALL {
            self.is_large.store(true, Ordering::Relaxed);
        }
    }

    fn speed(&self, now: Moment) -> Speed {
        Speed::of(self.received.load(Ordering::Relaxed), self.started, now)
    }

    /// Frees the buffer, unless the body's task holds the lock: that body is making progress.
    fn evict(&self) -> Option<Evicted> {
        let mut buffer = self.buffer.try_lock().ok()?;
        buffer.evicted = true;
        buffer.bytes = Vec::new();
        Some(Evicted {
            bytes: std::mem::take(&mut buffer.charged),
            waker: buffer.waker.take(),
        })
    }
}

/// What the caller of an eviction still has to do.
pub(super) struct Evicted {
    /// Bytes to return to the budget.
    pub(super) bytes: usize,
    /// Wakes the task that has to answer the evicted request.
    pub(super) waker: Option<Waker>,
}

/// All incomplete bodies that hold memory.
#[derive(Debug, Default)]
pub(super) struct IncompleteBodies {
    bodies: Vec<Arc<IncompleteBody>>,
    all: Candidates,
    large: Candidates,
}

/// Some of the slowest bodies at the time of a scan, slowest last.
#[derive(Debug, Default)]
struct Candidates {
    bodies: Vec<Arc<IncompleteBody>>,
    scanned_at: Option<Moment>,
}

/// Which bodies may be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evictable {
    All,
    Large,
}

impl IncompleteBodies {
    pub(super) fn add(&mut self, body: &Arc<IncompleteBody>) {
        body.index.store(self.bodies.len(), Ordering::Relaxed);
        self.bodies.push(Arc::clone(body));
    }

    pub(super) fn remove(&mut self, body: &Arc<IncompleteBody>) {
        let index = body.index.swap(NOT_LISTED, Ordering::Relaxed);
        if index >= self.bodies.len() {
            return;
        }
        self.bodies.swap_remove(index);
        if let Some(moved) = self.bodies.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
        if self.bodies.is_empty() {
            *self = Self::default();
        } else if self.bodies.capacity() > MIN_CANDIDATES + 4 * self.bodies.len() {
            self.bodies.shrink_to(2 * self.bodies.len());
        }
    }

    /// Evicts one of the slowest bodies, if it is slower than `speed`.
    pub(super) fn evict_slowest(
        &mut self,
        which: Evictable,
        speed: Speed,
        now: Moment,
    ) -> Option<Evicted> {
        let mut candidates = std::mem::take(self.candidates(which));
        let mut found = candidates.pop_slower_than(speed, now);
        if found.is_none() && candidates.may_scan(now) {
            candidates = Candidates::find(&self.bodies, which, now);
            found = candidates.pop_slower_than(speed, now);
        }
        *self.candidates(which) = candidates;
        let (body, evicted) = found?;
        self.remove(&body);
        Some(evicted)
    }

    fn candidates(&mut self, which: Evictable) -> &mut Candidates {
        match which {
            Evictable::All => &mut self.all,
            Evictable::Large => &mut self.large,
        }
    }
}

impl Candidates {
    fn find(bodies: &[Arc<IncompleteBody>], which: Evictable, now: Moment) -> Self {
        let mut speeds: Vec<_> = bodies
            .iter()
            .filter(|body| which == Evictable::All || body.is_large.load(Ordering::Relaxed))
            .map(|body| (body.speed(now), body))
            .collect();
        let count = MIN_CANDIDATES.max(speeds.len() / CANDIDATES_DIVISOR);
        if count < speeds.len() {
            speeds.select_nth_unstable_by_key(count, |(speed, _)| *speed);
            speeds.truncate(count);
        }
        speeds.sort_unstable_by_key(|(speed, _)| std::cmp::Reverse(*speed));
        Self {
            bodies: speeds
                .into_iter()
                .map(|(_, body)| Arc::clone(body))
                .collect(),
            scanned_at: Some(now),
        }
    }

    fn may_scan(&self, now: Moment) -> bool {
        let is_recent = |scanned_at: Moment| now.since(scanned_at) < RESCAN_INTERVAL;
        self.bodies.is_empty() || !self.scanned_at.is_some_and(is_recent)
    }

    /// Evicts one of the slowest candidates, if it is slower than `speed`. It is still listed.
    fn pop_slower_than(
        &mut self,
        speed: Speed,
        now: Moment,
    ) -> Option<(Arc<IncompleteBody>, Evicted)> {
        let is_gone = |body: &Arc<IncompleteBody>| body.index.load(Ordering::Relaxed) == NOT_LISTED;
        while self.bodies.pop_if(|body| is_gone(body)).is_some() {}
        let first = self.bodies.len().saturating_sub(MAX_COMPARED);
        for index in (first..self.bodies.len()).rev() {
            let Some(body) = self.bodies.get(index).filter(|body| !is_gone(body)) else {
                continue;
            };
            if body.speed(now) >= speed {
                continue;
            }
            if let Some(evicted) = body.evict() {
                return Some((self.bodies.remove(index), evicted));
            }
        }
        None
    }
}
