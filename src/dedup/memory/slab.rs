use std::num::NonZeroU64;

use super::{super::Token, clock::Timestamp};

const _: () = assert!(size_of::<Slot>() == 24);

/// The holders of pending entries, and when their leases expire. Freed slots are reused.
#[derive(Default)]
pub(super) struct LeaseSlab {
    slots: Vec<Slot>,
    /// First slot of the list of free slots.
    free: Option<u32>,
    len: usize,
}

#[derive(Clone, Copy)]
enum Slot {
    Free {
        next: Option<u32>,
    },
    Taken {
        token: Token,
        /// Nanoseconds since the store was created.
        until: NonZeroU64,
    },
}

impl LeaseSlab {
    /// Largest capacity that an empty slab keeps.
    const MAX_IDLE_CAPACITY: usize = 64;

    /// Number of leases, expired ones included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of leases that have not expired.
    pub(super) fn count_active(&self, now: Timestamp) -> usize {
        let active =
            |slot: &&Slot| matches!(slot, Slot::Taken { until, .. } if now.0 < until.get());
        self.slots.iter().filter(active).count()
    }

    /// Returns the holder of a lease and its end, in nanoseconds since the store was created.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> (Token, NonZeroU64) {
        match self.slots.get(slot as usize) {
            Some(&Slot::Taken { token, until }) => (token, until),
            // Unreachable: a pending entry keeps its slot.
            _ => (Token::from_bytes([0; 16]), NonZeroU64::MIN),
        }
    }

    #[inline]
    pub(super) fn set(&mut self, slot: u32, token: Token, until: NonZeroU64) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            *slot = Slot::Taken { token, until };
        }
    }

    /// Takes a slot. The caller keeps the number of slots within `limit`, which is far below 2³².
    #[inline]
    pub(super) fn insert(&mut self, token: Token, until: NonZeroU64, limit: usize) -> u32 {
        self.len += 1;
        let free = self
            .free
            .and_then(|free| match self.slots.get(free as usize) {
                Some(&Slot::Free { next }) => Some((free, next)),
                _ => None,
            });
        if let Some((slot, next)) = free {
            self.free = next;
            self.set(slot, token, until);
            return slot;
        }
        let length = self.slots.len();
        if length == self.slots.capacity() {
            let more = length.max(4).min(limit.saturating_sub(length)).max(1);
            self.slots.reserve_exact(more);
        }
        self.slots.push(Slot::Taken { token, until });
        length as u32
    }

    #[inline]
    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(taken) = self.slots.get_mut(slot as usize) {
            *taken = Slot::Free { next: self.free };
            self.free = Some(slot);
            self.len -= 1;
        }
        if self.len == 0 {
            self.slots.clear();
            self.free = None;
            if self.slots.capacity() > Self::MAX_IDLE_CAPACITY {
                self.slots = Vec::new();
            }
        }
    }
}

// Two attributes: `scripts/mutants` skips these tests by the second one, exactly as it stands.
#[cfg(not(shuttle))]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(0);

    fn insert(slab: &mut LeaseSlab, limit: usize) -> u32 {
        let until = NOW.after(Duration::from_secs(1));
        slab.insert(Token::from_bytes([1; 16]), until, limit)
    }

    #[test]
    fn slots_grow_up_to_the_limit_and_are_reused() {
        let mut slab = LeaseSlab::default();
        let mut taken = Vec::new();
        for (count, capacity) in [(1, 4), (4, 4), (5, 8), (9, 10), (10, 10)] {
            taken.resize_with(count, || insert(&mut slab, 10));
            assert_eq!(slab.slots.capacity(), capacity);
        }
        for slot in taken.drain(2..) {
            slab.remove(slot);
        }
        taken.resize_with(10, || insert(&mut slab, 10));
        assert_eq!((slab.slots.len(), slab.slots.capacity()), (10, 10));
        assert_eq!(slab.count_active(NOW), 10);
    }

    #[test]
    fn a_large_empty_slab_frees_its_memory() {
        for (count, kept) in [(64, 64), (65, 0), (200, 0)] {
            let mut slab = LeaseSlab::default();
            let taken: Vec<_> = (0..count).map(|_| insert(&mut slab, 1000)).collect();
            for slot in taken {
                assert!(slab.slots.capacity() >= count);
                slab.remove(slot);
            }
            assert_eq!((slab.slots.len(), slab.slots.capacity()), (0, kept));
        }
    }
}
