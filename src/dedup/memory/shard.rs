use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{
    super::{Claim, Commit, StoreError, Token},
    clock::Timestamp,
    eviction::EvictionAges,
    hash::KeyHashBuilder,
    slab::LeaseSlab,
};
use crate::event::EventKey;

/// Mean number of entries in a shard of a full store. With the spread that [`Shard::new`] adds it
/// stays below [`MAX_SHARD_LEN`].
pub(super) const MEAN_SHARD_LEN: usize = 12_000;

/// Maximum number of entries in a shard: 15/16 of the load that a hash table of 2¹⁴ slots takes.
/// The rest is for the tombstones of removed entries, which would double the table otherwise. See
/// [`Shard::insert`].
const MAX_SHARD_LEN: usize = 14_336 - 14_336 / 16;

/// Interval between two sweeps of a shard, seconds. With a window of a week, an entry stays 4 %
/// longer than necessary.
const SWEEP_INTERVAL: u32 = 6 * 60 * 60;

const _: () = assert!(size_of::<(EventKey, Entry)>() == 24);

/// A part of the store under a lock of its own.
pub(super) struct Shard {
    entries: HashMap<EventKey, Entry, KeyHashBuilder>,
    /// Number of entries that the table takes. [`HashMap::capacity`] reports less while there are
    /// tombstones.
    table_capacity: usize,
    leases: LeaseSlab,
    /// Number of pending entries that a reservation was made for and that are not inserted yet.
    reserved: usize,
    /// Number of entries that an eviction leaves.
    evict_to: usize,
    /// Maximum number of entries. Those beyond `evict_to` are room for expired entries.
    max_len: usize,
    /// Time of the last sweep, seconds since the store was created.
    last_sweep: u32,
    evictions: EvictionAges,
}

/// State of a key, eight bytes for each. Few keys are pending, so their tokens are in a slab.
#[derive(Clone, Copy)]
enum Entry {
    Pending {
        /// Slot in the [`LeaseSlab`].
        slot: u32,
    },
    /// Times are in seconds since the store was created.
    Done { since: u32, until: NonZeroU32 },
}

/// The caller of a claim.
#[derive(Clone, Copy)]
pub(super) struct Claimant {
    pub(super) token: Token,
    /// End of the lease, nanoseconds since the store was created.
    pub(super) until: NonZeroU64,
    pub(super) now: Timestamp,
}

/// Whether a claim may evict done entries when the shard is full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    Forbidden,
    Allowed,
    /// Allowed, and the claim uses up a reservation.
    Reserved,
}

/// State of a key when a claim arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Absent or expired: the claim has taken the key.
    Absent,
    /// Pending under the token of the caller.
    Held,
    /// Pending under another token.
    Pending,
    Done,
}

impl From<Found> for Claim {
    fn from(found: Found) -> Self {
        match found {
            Found::Absent | Found::Held => Self::Claimed,
            Found::Pending => Self::Pending,
            Found::Done => Self::Done,
        }
    }
}

impl Shard {
    /// Creates one of `count` shards of a store of this capacity.
    pub(super) fn new(capacity: usize, count: usize, hasher: KeyHashBuilder) -> Self {
        let mean = capacity.div_ceil(count);
        // The number of entries in one of several shards has a standard deviation of the square
        // root of its mean. One shard in a billion is more than six of them above the mean.
        let spread = if count == 1 { 0 } else { 6 * mean.isqrt() };
        let evict_to = mean + spread;
        // The entries in between are room for expired ones: not every new entry needs a search.
        let max_len = (evict_to + evict_to / 16).min(MAX_SHARD_LEN);
        Self {
            entries: HashMap::with_hasher(hasher),
            table_capacity: 0,
            leases: LeaseSlab::default(),
            reserved: 0,
            evict_to,
            max_len,
            last_sweep: 0,
            evictions: EvictionAges::default(),
        }
    }

    /// Number of entries, expired ones included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of pending entries whose lease has not expired.
    pub(super) fn pending(&self, now: Timestamp) -> usize {
        self.leases.count_active(now)
    }

    /// Returns the lowest age of an entry that was evicted in this hour or the one before, seconds.
    pub(super) fn least_evicted_age(&self, hour: u32) -> Option<u32> {
        self.evictions.least(hour)
    }

    pub(super) fn claim(
        &mut self,
        key: &EventKey,
        claimant: Claimant,
        eviction: Eviction,
    ) -> Result<Found, StoreError> {
        let Claimant { token, until, now } = claimant;
        if eviction == Eviction::Reserved {
            self.reserved -= 1;
        }
        let expired = match self.entries.get(key) {
            Some(Entry::Done { until, .. }) if now.seconds() < until.get() => {
                return Ok(Found::Done);
            }
            Some(Entry::Pending { slot }) => {
                let (holder, lease_end) = self.leases.get(*slot);
                let found = if now.0 >= lease_end.get() {
                    Found::Absent
                } else if holder == token {
                    Found::Held
                } else {
                    return Ok(Found::Pending);
                };
                let until = match found {
                    // A repeated claim does not shorten the lease: the caller counts it from the
                    // call whose answer arrives.
                    Found::Held => until.max(lease_end),
                    _ => until,
                };
                self.leases.set(*slot, token, until);
                return Ok(found);
            }
            Some(Entry::Done { .. }) => true,
            None => false,
        };
        self.make_room_for_lease(now)?;
        if !expired {
            self.make_room(eviction != Eviction::Forbidden, now)?;
        }
        let slot = self.leases.insert(token, until, self.max_len);
        let pending = Entry::Pending { slot };
        // The expired entry is gone if `make_room_for_lease` has swept the shard.
        if expired && let Some(entry) = self.entries.get_mut(key) {
            *entry = pending;
        } else {
            self.insert(*key, pending);
        }
        Ok(Found::Absent)
    }

    /// Reserves room for one pending entry if the key is absent. Returns whether it is.
    pub(super) fn reserve(&mut self, key: &EventKey, now: Timestamp) -> Result<bool, StoreError> {
        let absent = match self.entries.get(key) {
            Some(Entry::Done { until, .. }) => now.seconds() >= until.get(),
            Some(Entry::Pending { .. }) => false,
            None => true,
        };
        if absent {
            self.make_room_for_lease(now)?;
            self.reserved += 1;
        }
        Ok(absent)
    }

    /// Gives back one reservation.
    pub(super) fn unreserve(&mut self) {
        self.reserved -= 1;
    }

    pub(super) fn commit(
        &mut self,
        key: &EventKey,
        token: Token,
        window: Duration,
        now: Timestamp,
    ) -> Result<Commit, StoreError> {
        let done = Entry::Done {
            since: now.seconds(),
            until: now.second_after(window),
        };
        match self.entries.get_mut(key) {
            Some(Entry::Done { until, .. }) if now.seconds() < until.get() => {}
            Some(entry) => {
                if let Entry::Pending { slot } = *entry {
                    let (holder, lease_end) = self.leases.get(slot);
                    if holder != token && now.0 < lease_end.get() {
                        return Ok(Commit::Fenced);
                    }
                    self.leases.remove(slot);
                }
                *entry = done;
            }
            None => {
                self.make_room(true, now)?;
                self.insert(*key, done);
            }
        }
        Ok(Commit::Recorded)
    }

    pub(super) fn release(&mut self, key: &EventKey, token: Token) {
        if let Some(Entry::Pending { slot }) = self.entries.get(key) {
            let slot = *slot;
            if self.leases.get(slot).0 == token {
                self.entries.remove(key);
                self.leases.remove(slot);
            }
        }
    }

    pub(super) fn is_sweep_due(&self, now: Timestamp) -> bool {
        now.seconds().saturating_sub(self.last_sweep) >= SWEEP_INTERVAL
    }

    /// Removes expired entries, and shrinks the table if less than a quarter of it is used.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let seconds = now.seconds();
        self.last_sweep = seconds;
        let leases = &mut self.leases;
        self.entries.retain(|_, entry| match *entry {
            Entry::Done { until, .. } => seconds < until.get(),
            Entry::Pending { slot } => {
                let held = now.0 < leases.get(slot).1.get();
                if !held {
                    leases.remove(slot);
                }
                held
            }
        });
        if self.entries.len() < self.table_capacity / 4 {
            self.entries.shrink_to(2 * self.entries.len());
            self.table_capacity = self.entries.capacity();
        }
    }

    /// Ensures that one more entry can be pending, beside the pending ones and the reservations.
    fn make_room_for_lease(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let is_full = |shard: &Self| shard.leases.len() + shard.reserved >= shard.max_len;
        if is_full(self) {
            // Removes expired leases.
            self.sweep(now);
        }
        if is_full(self) {
            return Err(StoreError::full());
        }
        Ok(())
    }

    /// Makes room for one entry. A full shard shrinks to `evict_to` entries at once, which spreads
    /// the cost of the search over many insertions.
    fn make_room(&mut self, evict: bool, now: Timestamp) -> Result<(), StoreError> {
        if self.entries.len() < self.max_len {
            return Ok(());
        }
        self.sweep(now);
        let kept = self.evict_to.min(self.max_len - 1);
        let excess = self.entries.len().saturating_sub(kept);
        if excess > 0 && evict {
            self.evict(excess, now);
        }
        if excess > 0 && !evict || self.entries.len() >= self.max_len {
            return Err(StoreError::full());
        }
        Ok(())
    }

    /// Evicts the done entries that would expire first: `count` of them, or all if there are fewer.
    fn evict(&mut self, count: usize, now: Timestamp) {
        let done = self.entries.values().filter_map(|entry| match entry {
            Entry::Done { until, .. } => Some(until.get()),
            Entry::Pending { .. } => None,
        });
        let mut ends: Vec<u32> = done.collect();
        let count = count.min(ends.len());
        let Some(last) = count.checked_sub(1) else {
            return;
        };
        let (sooner, &mut end, _) = ends.select_nth_unstable(last);
        // Not all entries that expire in the second `end` need to go.
        let mut ties = count - sooner.iter().filter(|sooner| **sooner < end).count();
        let seconds = now.seconds();
        let mut least_age = u32::MAX;
        self.entries.retain(|_, entry| {
            let Entry::Done { since, until } = entry else {
                return true;
            };
            let evicted = until.get() < end || until.get() == end && ties > 0;
            if evicted {
                ties -= usize::from(until.get() == end);
                least_age = least_age.min(seconds.saturating_sub(*since));
            }
            !evicted
        });
        self.evictions.record(now.hour(), least_age);
    }

    fn insert(&mut self, key: EventKey, entry: Entry) {
        let entries = &mut self.entries;
        if entries.len() == entries.capacity()
            && entries.len() < self.table_capacity - self.table_capacity / 16
        {
            // Only tombstones fill the table, and it would double because of them: copy it instead.
            let hasher = entries.hasher().clone();
            let mut copy = HashMap::with_capacity_and_hasher(self.table_capacity, hasher);
            copy.extend(entries.drain());
            *entries = copy;
        }
        entries.insert(key, entry);
        self.table_capacity = self.table_capacity.max(entries.capacity());
    }
}

// Two attributes: `scripts/mutants` skips these tests by the second one, exactly as it stands.
#[cfg(not(shuttle))]
#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(0);
    const LATER: Timestamp = Timestamp(2 * Timestamp::SECOND);

    fn key(number: u32) -> EventKey {
        EventKey::from_bytes(u128::from(number).to_be_bytes())
    }

    fn token() -> Token {
        Token::from_bytes([1; 16])
    }

    /// A shard with `entries` done entries. The first `lasting` expire after an hour, the others
    /// after a second.
    fn shard(entries: u32, lasting: u32) -> Shard {
        let mut shard = Shard::new(MEAN_SHARD_LEN, 1, KeyHashBuilder::random());
        for number in 0..entries {
            let window = Duration::from_secs(if number < lasting { 3600 } else { 1 });
            assert!(shard.commit(&key(number), token(), window, NOW).is_ok());
        }
        shard
    }

    #[test]
    fn the_table_does_not_grow_because_of_tombstones() {
        let mut shard = shard(1500, 0);
        let capacity = shard.table_capacity;
        assert!(capacity - capacity / 16 > 1600);
        for number in 2000..50_000 {
            let claimant = Claimant {
                token: token(),
                until: NOW.after(Duration::from_secs(1)),
                now: NOW,
            };
            let claimed = shard.claim(&key(number), claimant, Eviction::Forbidden);
            assert!(claimed.is_ok());
            shard.release(&key(number), token());
        }
        assert_eq!(shard.table_capacity, capacity);
        assert!(shard.entries.capacity() <= capacity);
    }

    #[test]
    fn the_table_shrinks_when_less_than_a_quarter_is_used() {
        let quarter = shard(1500, 0).table_capacity / 4;
        for (lasting, shrinks) in [
            (quarter + 100, false),
            (quarter, false),
            (quarter - 1, true),
            (300, true),
        ] {
            let mut shard = shard(1500, lasting as u32);
            let capacity = shard.table_capacity;
            shard.sweep(LATER);
            assert_eq!(shard.entries.len(), lasting);
            assert_eq!(shard.table_capacity < capacity, shrinks, "{lasting}");
            // It does not have to grow again at once.
            assert!(shard.table_capacity >= 2 * lasting);
        }
    }
}
