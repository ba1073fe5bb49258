//! The memory that all bodies of a layer and its clones may take together.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    ReceiveError,
    incomplete::{Incomplete, Incompletes, Moment, Speed},
};

/// Bodies up to this size, with what is made of them, may use the reserved part of the budget.
pub(crate) const SMALL: usize = 16 * 1024;

/// The reserved part: one quarter.
const RESERVED_PART: usize = 4;

/// Counts the bytes that bodies take, and evicts incomplete bodies when there are too few.
///
/// Nobody waits for memory: waiting while holding a reservation can deadlock. Relaxed ordering is
/// enough for the counter, which guards no other memory.
pub(crate) struct Budget {
    total: usize,
    free: AtomicUsize,
    /// What a reservation over [`SMALL`] must leave free.
    reserved: usize,
    incomplete: Mutex<Incompletes>,
    /// Bytes of incomplete bodies so far: the clock where there is no other.
    #[cfg(not(feature = "tokio"))]
    received: std::sync::atomic::AtomicU64,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            total: bytes,
            free: AtomicUsize::new(bytes),
            reserved: reserved(bytes),
            incomplete: Mutex::default(),
            #[cfg(not(feature = "tokio"))]
            received: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The longest body that a budget of `bytes` can hold when it is the only one.
    pub(crate) fn longest_body(bytes: usize) -> usize {
        bytes - reserved(bytes)
    }

    /// The bytes that are free now.
    pub(crate) fn available(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Makes a share of `held` bytes one of `total`. Incomplete bodies that are slower than `speed`
    /// are evicted if nothing else helps. A failure changes nothing.
    pub(super) fn reserve(&self, held: usize, total: usize, speed: Speed) -> bool {
        while !self.take(held, total) {
            if !self.evict(speed) {
                return false;
            }
        }
        true
    }

    pub(super) fn take(&self, held: usize, total: usize) -> bool {
        let more = total.saturating_sub(held);
        let left = if total > SMALL { self.reserved } else { 0 };
        let enough = |free: usize| free.checked_sub(more).filter(|rest| *rest >= left);
        more == 0
            || (self.free)
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough)
                .is_ok()
    }

    /// Takes all that is free, if nothing but these `held` bytes is taken.
    fn take_rest(&self, held: usize) -> bool {
        let others = self.total - held.min(self.total);
        (self.free)
            .compare_exchange(others, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.free.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Evicts the slowest incomplete body, if it is slower than `speed`.
    fn evict(&self, speed: Speed) -> bool {
        let evicted = self.incompletes().evict_slowest(speed, self.now());
        let Some(evicted) = evicted else {
            return false;
        };
        self.give_back(evicted.bytes);
        // No lock is held: the task of the evicted body may run at once.
        if let Some(waker) = evicted.waker {
            waker.wake();
        }
        true
    }

    pub(super) fn add(&self, body: &Arc<Incomplete>) {
        self.incompletes().add(body);
    }

    pub(super) fn remove(&self, body: &Arc<Incomplete>) {
        self.incompletes().remove(body);
    }

    /// A panic while it is held (none is known) leaves a list that is at most incomplete.
    fn incompletes(&self) -> MutexGuard<'_, Incompletes> {
        self.incomplete
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Moment {
        #[cfg(feature = "tokio")]
        return Moment::now();
        #[cfg(not(feature = "tokio"))]
        return Moment::at(self.received.load(Ordering::Relaxed));
    }

    /// `bytes` more have come.
    #[cfg(not(feature = "tokio"))]
    pub(super) fn tick(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("total", &self.total)
            .field("free", &self.free)
            .finish_non_exhaustive()
    }
}

/// A small body may use the reserved part, and the first bytes of a large one count as one.
fn reserved(bytes: usize) -> usize {
    (bytes / RESERVED_PART).saturating_sub(SMALL)
}

/// A complete body's share of the budget, with what was made of the body. Dropping it returns the
/// bytes.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// A share that has been taken already.
    pub(super) fn of(budget: &Arc<Budget>, bytes: usize) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows the share of a body whose signature was right to `total` bytes. Every incomplete body
    /// gives way. If nothing else is in memory the rest of the budget will do, however little it is:
    /// otherwise a small budget would refuse a large delivery whenever it comes.
    pub(crate) fn grow_to(&mut self, total: usize) -> Result<(), ReceiveError> {
        if total <= self.bytes {
            return Ok(());
        }
        if self.budget.reserve(self.bytes, total, Speed::VERIFIED) {
            self.bytes = total;
        } else if self.budget.take_rest(self.bytes) {
            self.bytes = self.budget.total;
        } else {
            return Err(ReceiveError::Budget);
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(budget: &Arc<Budget>, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation::of(budget, 0);
        reservation.grow_to(bytes).is_ok().then_some(reservation)
    }

    #[test]
    fn large_bodies_leave_the_reserved_part_to_small_ones() {
        let budget = Arc::new(Budget::new(256 * 1024));
        let one = reservation(&budget, 1).unwrap();
        let mut large = reservation(&budget, 100 * 1024).unwrap();
        let longest = Budget::longest_body(256 * 1024);
        assert!(large.grow_to(longest).is_err());
        // A failure changes nothing.
        assert_eq!(budget.available(), 156 * 1024 - 1);
        assert!(large.grow_to(longest - 1).is_ok());
        assert!(reservation(&budget, SMALL + 1).is_none());
        let small: Vec<_> = (0..3)
            .map(|_| reservation(&budget, SMALL).unwrap())
            .collect();
        assert!(reservation(&budget, 1).is_none());
        drop((one, large, small));
        assert_eq!(budget.available(), 256 * 1024);
    }

    #[test]
    fn the_longest_body_fits_and_one_byte_more_does_not() {
        for bytes in [1, 3, 4, 1000, 65_536, 65_537, 1 << 26] {
            let longest = Budget::longest_body(bytes);
            let budget = Budget::new(bytes);
            assert!(!budget.take(0, longest + 1), "{bytes}");
            assert!(budget.take(0, longest), "{bytes}");
        }
    }

    #[test]
    fn a_verified_body_that_is_alone_may_exceed_the_budget() {
        let budget = Arc::new(Budget::new(1000));
        let mut alone = reservation(&budget, 900).unwrap();
        assert!(alone.grow_to(5000).is_ok());
        assert_eq!(budget.available(), 0);
        drop(alone);
        assert_eq!(budget.available(), 1000);
        let _other = reservation(&budget, 1);
        let mut second = reservation(&budget, 900).unwrap();
        assert!(second.grow_to(5000).is_err());
        assert_eq!(budget.available(), 99);
    }
}
