//! The memory budget: shared by all bodies of a layer and its clones.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    error::ReceiveError,
    incomplete::{Evictable, IncompleteBodies, IncompleteBody, MAX_SMALL, Moment, Speed},
};

#[cfg(feature = "metrics")]
use crate::{contain::contain, telemetry};

/// One quarter of the budget is reserved for small bodies.
const RESERVED_DIVISOR: usize = 4;

/// Counts the bytes that bodies hold, and evicts incomplete bodies when memory runs short.
///
/// No task waits for memory, because waiting while holding a reservation can deadlock. Relaxed
/// ordering is enough for the counter: it guards no other memory.
pub(crate) struct Budget {
    total: usize,
    free: AtomicUsize,
    /// Bytes that a reservation over [`MAX_SMALL`] must leave free.
    reserved: usize,
    incomplete: Mutex<IncompleteBodies>,
    /// Bytes that incomplete bodies hold. May be too high for a moment, never too low.
    evictable: AtomicUsize,
    /// Bytes of them that small ones hold.
    small: AtomicUsize,
    /// Bytes taken from `free`, less those returned, that the recorder has not been told yet.
    /// Wraps below zero.
    #[cfg(feature = "metrics")]
    unreported: AtomicUsize,
    /// Total bytes of incomplete bodies so far: the clock without tokio, see [`Moment`].
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
            evictable: AtomicUsize::new(0),
            small: AtomicUsize::new(0),
            #[cfg(feature = "metrics")]
            unreported: AtomicUsize::new(0),
            #[cfg(not(feature = "tokio"))]
            received: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Length of the longest body that fits a budget of `bytes` on its own.
    pub(crate) fn longest_body(bytes: usize) -> usize {
        bytes - reserved(bytes)
    }

    /// Bytes that are free now.
    pub(crate) fn available(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Grows what an incomplete body holds from `held` to `total` bytes if that much is free.
    pub(super) fn try_grow_incomplete(&self, held: usize, total: usize) -> bool {
        self.as_evictable(held, total, || self.try_grow(held, total))
    }

    /// Grows what an incomplete body holds from `held` to `total` bytes. Evicts slower ones than
    /// `speed` as needed. On failure the body holds what it held.
    pub(super) fn grow_incomplete(&self, held: usize, total: usize, speed: Speed) -> bool {
        self.as_evictable(held, total, || {
            self.grow_or_evict(held, total, speed, || {
                let (which, bytes) = self.evictable_for(total);
                // Its own bytes cannot be freed for it.
                let others = bytes.saturating_sub(total.max(held));
                self.can_grow(held, total, others).then_some(which)
            })
        })
    }

    /// Grows the reservation of a verified body from `held` to `total` bytes. Evicts incomplete
    /// bodies as needed, also if only [`take_all_free`](Self::take_all_free) can succeed then.
    fn grow_verified(&self, held: usize, total: usize) -> bool {
        self.grow_or_evict(held, total, Speed::VERIFIED, || {
            let (which, bytes) = self.evictable_for(total);
            if self.can_grow(held, total, bytes) {
                return Some(which);
            }
            let evictable = self.evictable.load(Ordering::Relaxed);
            let is_only_verified = self.available() + evictable + held >= self.total;
            is_only_verified.then_some(Evictable::All)
        })
    }

    /// `helps` returns which evictions can help. If none can, others would lose their memory for
    /// nothing.
    fn grow_or_evict(
        &self,
        held: usize,
        total: usize,
        speed: Speed,
        helps: impl FnOnce() -> Option<Evictable>,
    ) -> bool {
        if self.try_grow(held, total) {
            return true;
        }
        let Some(which) = helps() else {
            return false;
        };
        while !self.try_grow(held, total) {
            if !self.evict(which, speed) {
                return false;
            }
        }
        true
    }

    /// Which bodies may be evicted for a reservation of `total` bytes, and what they hold. Small
    /// ones in the reserved part make no room for a large one, which cannot use that part.
    fn evictable_for(&self, total: usize) -> (Evictable, usize) {
        let evictable = self.evictable.load(Ordering::Relaxed);
        let small = self.small.load(Ordering::Relaxed);
        if total > MAX_SMALL && small <= self.reserved {
            (Evictable::Large, evictable.saturating_sub(small))
        } else {
            (Evictable::All, evictable)
        }
    }

    /// Returns whether a reservation could grow if `evictable` bytes were freed.
    fn can_grow(&self, held: usize, total: usize, evictable: usize) -> bool {
        let needed = total.saturating_sub(held) + self.min_left(total);
        self.available() + evictable >= needed
    }

    /// Counts what `grow` takes for an incomplete body as evictable, beforehand.
    fn as_evictable(&self, held: usize, total: usize, grow: impl FnOnce() -> bool) -> bool {
        let more = total.saturating_sub(held);
        self.evictable.fetch_add(more, Ordering::Relaxed);
        let taken = grow();
        if taken {
            self.small.fetch_add(small_part(total), Ordering::Relaxed);
            self.small.fetch_sub(small_part(held), Ordering::Relaxed);
        } else {
            self.evictable.fetch_sub(more, Ordering::Relaxed);
        }
        taken
    }

    #[cfg(test)]
    pub(super) fn evictable(&self) -> usize {
        self.evictable.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn small(&self) -> usize {
        self.small.load(Ordering::Relaxed)
    }

    /// Bytes that a reservation of `total` bytes must leave free: what incomplete small bodies do
    /// not use of the part that is reserved for them.
    fn min_left(&self, total: usize) -> usize {
        if total > MAX_SMALL {
            self.reserved
                .saturating_sub(self.small.load(Ordering::Relaxed))
        } else {
            0
        }
    }

    /// Grows a reservation from `held` to `total` bytes if that much is free.
    fn try_grow(&self, held: usize, total: usize) -> bool {
        let more = total.saturating_sub(held);
        let min_left = self.min_left(total);
        let subtract = |free: usize| free.checked_sub(more).filter(|left| *left >= min_left);
        if more == 0 {
            return true;
        }
        let taken = (self.free)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract)
            .is_ok();
        #[cfg(feature = "metrics")]
        if taken {
            self.unreported.fetch_add(more, Ordering::Relaxed);
        }
        taken
    }

    /// Takes all free bytes, if nothing except these `held` bytes is in use.
    fn take_all_free(&self, held: usize) -> bool {
        let free = self.total - held.min(self.total);
        let taken = (self.free)
            .compare_exchange(free, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        #[cfg(feature = "metrics")]
        if taken {
            self.unreported.fetch_add(free, Ordering::Relaxed);
        }
        taken
    }

    /// Returns the bytes of an incomplete body. The caller [reports](Self::report) it.
    pub(super) fn release_incomplete(&self, bytes: usize) {
        self.release(bytes);
        self.complete(bytes);
    }

    /// The `bytes` of a body that is complete now cannot be evicted any more.
    pub(super) fn complete(&self, bytes: usize) {
        self.evictable.fetch_sub(bytes, Ordering::Relaxed);
        self.small.fetch_sub(small_part(bytes), Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.free.fetch_add(bytes, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.unreported.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Tells the recorder of the host what was taken and returned since the last report.
    ///
    /// It is foreign code, so it is called without a lock and once the bytes are counted. It may
    /// panic, here also in a `Drop` while another panic unwinds.
    pub(super) fn report(&self) {
        #[cfg(feature = "metrics")]
        {
            let change = self.unreported.swap(0, Ordering::Relaxed).cast_signed();
            let _ = contain(|| match change {
                0 => {}
                1.. => telemetry::memory_reserved(change.unsigned_abs()),
                _ => telemetry::memory_released(change.unsigned_abs()),
            });
        }
    }

    /// Evicts the slowest incomplete body, if it is slower than `speed`.
    fn evict(&self, which: Evictable, speed: Speed) -> bool {
        let now = self.now();
        let evicted = self.incomplete_bodies().evict_slowest(which, speed, now);
        let Some(evicted) = evicted else {
            return false;
        };
        self.release_incomplete(evicted.bytes);
        // The lock has been released: the woken task may run at once and take it.
        if let Some(waker) = evicted.waker {
            waker.wake();
        }
        true
    }

    pub(super) fn add(&self, body: &Arc<IncompleteBody>) {
        self.incomplete_bodies().add(body);
    }

    pub(super) fn remove(&self, body: &Arc<IncompleteBody>) {
        self.incomplete_bodies().remove(body);
    }

    /// Nothing is known to panic under the lock; a panic would at most leave the list incomplete.
    fn incomplete_bodies(&self) -> MutexGuard<'_, IncompleteBodies> {
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

    /// Advances the clock by `bytes` received.
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

/// The reserved part, less [`MAX_SMALL`]: the first bytes of a large body may use it too.
fn reserved(bytes: usize) -> usize {
    (bytes / RESERVED_DIVISOR).saturating_sub(MAX_SMALL)
}

/// What a body that holds `bytes` has of the reserved part.
fn small_part(bytes: usize) -> usize {
    if bytes > MAX_SMALL { 0 } else { bytes }
}

/// Bytes of the budget held for a complete body and what is parsed from it. Dropping it returns
/// them.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// Wraps bytes that have been taken from the budget already.
    pub(super) fn of(budget: &Arc<Budget>, bytes: usize) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows the reservation of a verified body to `total` bytes, evicting any incomplete body.
    ///
    /// Succeeds with less if this body is the only one: it then takes the rest of the budget.
    /// Otherwise a small budget would refuse a large delivery at every retry.
    pub(crate) fn grow_to(&mut self, total: usize) -> Result<(), ReceiveError> {
        if total <= self.bytes {
            return Ok(());
        }
        let grown = if self.budget.grow_verified(self.bytes, total) {
            Ok(total)
        } else if self.budget.take_all_free(self.bytes) {
            Ok(self.budget.total)
        } else {
            Err(ReceiveError::Budget)
        };
        self.bytes = grown.unwrap_or(self.bytes);
        self.budget.report();
        grown.map(drop)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
        self.budget.report();
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
    fn large_bodies_leave_the_reserved_part_to_small_bodies() {
        let budget = Arc::new(Budget::new(256 * 1024));
        let one = reservation(&budget, 1).unwrap();
        let mut large = reservation(&budget, 100 * 1024).unwrap();
        let longest = Budget::longest_body(256 * 1024);
        assert!(large.grow_to(longest).is_err());
        // The failure has changed nothing.
        assert_eq!(budget.available(), 156 * 1024 - 1);
        assert!(large.grow_to(longest - 1).is_ok());
        assert!(reservation(&budget, MAX_SMALL + 1).is_none());
        let small: Vec<_> = (0..3)
            .map(|_| reservation(&budget, MAX_SMALL).unwrap())
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
            assert!(!budget.try_grow(0, longest + 1), "{bytes}");
            assert!(budget.try_grow(0, longest), "{bytes}");
        }
    }

    #[test]
    fn the_only_verified_body_may_exceed_the_budget() {
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
