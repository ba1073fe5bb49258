//! Incomplete bodies that hold memory, and which of them gives way.
//!
//! Nothing is proved before a body is complete, so an incomplete one must not keep out others for
//! longer than it earns by sending. Its memory can be taken back at any time: by a body whose
//! signature was right, and by an incomplete one that is faster.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use super::ReceiveError;

/// A body counts as if at least this much of it had come, so that a small body in two pieces is
/// not slower than a large one that is stalled.
const LEAST_RECEIVED: usize = 4 * 1024;

/// The slowest bodies are found by looking at all. The result serves for several evictions: for one
/// of this many bodies, and for at least `LEAST_FOUND`.
const FOUND_PART: usize = 16;
const LEAST_FOUND: usize = 64;

/// A body that is slower than all that were found looks again after this time, in microseconds.
const SEARCH_AGAIN: u64 = 50_000;

/// How many of those that were found are compared: some may have become faster since.
const COMPARED: usize = 8;

/// A place in a list from which a body has been removed.
const NOWHERE: usize = usize::MAX;

/// When a body began.
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

    /// In microseconds.
    fn since(self, earlier: Self) -> u64 {
        let age = self.0.saturating_duration_since(earlier.0);
        u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Without tokio there is no clock on all platforms. What others have sent meanwhile takes its
/// place: memory is short only while something is sent.
#[cfg(not(feature = "tokio"))]
impl Moment {
    pub(super) fn at(bytes: u64) -> Self {
        Self(bytes)
    }

    fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Bytes of a body over its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Speed(u64);

impl Speed {
    /// Of a body whose signature was right: faster than all others.
    pub(super) const VERIFIED: Self = Self(u64::MAX);

    pub(super) fn of(received: usize, began: Moment, now: Moment) -> Self {
        let received = received.max(LEAST_RECEIVED) as u64;
        // A body has at most 2^32 bytes.
        Self(received.saturating_mul(1_000_000) / now.since(began).max(1))
    }
}

/// A body that is being received, as its task and those that may evict it see it.
#[derive(Debug)]
pub(super) struct Incomplete {
    pub(super) began: Moment,
    received: AtomicUsize,
    /// In the list. Written only while the list is locked.
    place: AtomicUsize,
    /// Its task holds the lock for a moment at a time. Others only try.
    buffer: Mutex<Copied>,
}

/// Its bytes, copied into one piece.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) bytes: Vec<u8>,
    /// Taken from the budget.
    pub(super) charged: usize,
    evicted: bool,
    pub(super) waker: Option<Waker>,
}

impl Incomplete {
    pub(super) fn new(began: Moment) -> Self {
        Self {
            began,
            received: AtomicUsize::new(0),
            place: AtomicUsize::new(NOWHERE),
            buffer: Mutex::default(),
        }
    }

    /// For the task of the body.
    pub(super) fn buffer(&self) -> Result<MutexGuard<'_, Copied>, ReceiveError> {
        // A panic while it is locked (none is known) leaves a buffer that is as it was.
        let buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.evicted {
            return Err(ReceiveError::Budget);
        }
        Ok(buffer)
    }

    pub(super) fn set_received(&self, bytes: usize) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    fn speed(&self, now: Moment) -> Speed {
        Speed::of(self.received.load(Ordering::Relaxed), self.began, now)
    }

    /// Frees its buffer. A body whose task is at work on it is left alone: it makes progress.
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

/// What an eviction leaves to be done.
pub(super) struct Evicted {
    pub(super) bytes: usize,
    /// Of the task that has to answer.
    pub(super) waker: Option<Waker>,
}

/// All incomplete bodies that hold memory.
#[derive(Debug, Default)]
pub(super) struct Incompletes {
    bodies: Vec<Arc<Incomplete>>,
    /// Some of the slowest at the time of the last search, the slowest last.
    slowest: Vec<Arc<Incomplete>>,
    searched: Option<Moment>,
}

impl Incompletes {
    pub(super) fn add(&mut self, body: &Arc<Incomplete>) {
        body.place.store(self.bodies.len(), Ordering::Relaxed);
        self.bodies.push(Arc::clone(body));
    }

    pub(super) fn remove(&mut self, body: &Arc<Incomplete>) {
        let place = body.place.swap(NOWHERE, Ordering::Relaxed);
        if place >= self.bodies.len() {
            return;
        }
        self.bodies.swap_remove(place);
        if let Some(moved) = self.bodies.get(place) {
            moved.place.store(place, Ordering::Relaxed);
        }
        if self.bodies.is_empty() {
            *self = Self::default();
        } else if self.bodies.capacity() > LEAST_FOUND + 4 * self.bodies.len() {
            self.bodies.shrink_to(2 * self.bodies.len());
        }
    }

    /// Evicts one of the slowest bodies, if it is slower than `speed`.
    pub(super) fn evict_slowest(&mut self, speed: Speed, now: Moment) -> Option<Evicted> {
        if let Some(evicted) = self.evict_found(speed, now) {
            return Some(evicted);
        }
        let recent = |searched: Moment| now.since(searched) < SEARCH_AGAIN;
        if !self.slowest.is_empty() && self.searched.is_some_and(recent) {
            return None;
        }
        self.search(now);
        self.evict_found(speed, now)
    }

    fn evict_found(&mut self, speed: Speed, now: Moment) -> Option<Evicted> {
        let gone = |body: &Arc<Incomplete>| body.place.load(Ordering::Relaxed) == NOWHERE;
        while self.slowest.pop_if(|body| gone(body)).is_some() {}
        let last = self.slowest.len().saturating_sub(COMPARED);
        for place in (last..self.slowest.len()).rev() {
            let Some(body) = self.slowest.get(place).filter(|body| !gone(body)) else {
                continue;
            };
            if body.speed(now) >= speed {
                continue;
            }
            if let Some(evicted) = body.evict() {
                let body = self.slowest.remove(place);
                self.remove(&body);
                return Some(evicted);
            }
        }
        None
    }

    fn search(&mut self, now: Moment) {
        let mut speeds: Vec<_> = self
            .bodies
            .iter()
            .map(|body| (body.speed(now), body))
            .collect();
        let found = LEAST_FOUND.max(speeds.len() / FOUND_PART);
        if found < speeds.len() {
            speeds.select_nth_unstable_by_key(found, |(speed, _)| *speed);
            speeds.truncate(found);
        }
        speeds.sort_unstable_by_key(|(speed, _)| std::cmp::Reverse(*speed));
        self.slowest = speeds
            .into_iter()
            .map(|(_, body)| Arc::clone(body))
            .collect();
        self.searched = Some(now);
    }
}
