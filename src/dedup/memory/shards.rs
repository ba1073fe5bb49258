use std::{hash::BuildHasher, sync::PoisonError};

use tokio::time::Instant;

use super::{
    super::{Mutex, MutexGuard, StoreError},
    clock::Timestamp,
    hash::KeyHashBuilder,
    shard::{Claimant, Eviction, Found, MEAN_SHARD_LEN, Shard},
};
use crate::event::EventKey;

/// The shards of a store, and calls that take all of their keys or none.
pub(super) struct Shards {
    capacity: usize,
    shards: Box<[Mutex<Shard>]>,
    hasher: KeyHashBuilder,
    start: Instant,
}

/// Whether each key of a call has a reservation in its shard. See [`Shard::reserve`].
pub(super) struct Reservations(Vec<bool>);

impl Shards {
    pub(super) fn new(capacity: usize) -> Self {
        let count = capacity.div_ceil(MEAN_SHARD_LEN);
        let hasher = KeyHashBuilder::random();
        let shards = (0..count).map(|_| Mutex::new(Shard::new(capacity, count, hasher.clone())));
        Self {
            capacity,
            shards: shards.collect(),
            // Not the hash of the tables: the hashes in one shard would share their upper bits.
            hasher: KeyHashBuilder::random(),
            start: Instant::now(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn sum(&self, count: impl Fn(&Shard) -> usize) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| count(&lock(shard))).sum()
    }

    /// Returns the lowest age of an entry that was evicted in this hour or the one before, seconds.
    pub(super) fn least_evicted_age(&self) -> Option<u32> {
        let hour = self.now().hour();
        let shards = self.shards.iter();
        let ages = shards.filter_map(|shard| lock(shard).least_evicted_age(hour));
        ages.min()
    }

    /// Claims all keys or none. Done entries are evicted only for keys with a reservation, which is
    /// used up.
    pub(super) fn claim(
        &self,
        keys: &[EventKey],
        claimant: Claimant,
        reservations: Option<Reservations>,
    ) -> Result<Vec<Found>, StoreError> {
        let mut sweep = true;
        let mut reserved = reservations.map(|reservations| reservations.0.into_iter());
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            // A single key needs no reservation: nothing can fail after its eviction.
            let mut eviction = match keys {
                [_] => Eviction::Allowed,
                _ => Eviction::Forbidden,
            };
            if let Some(reserved) = &mut reserved {
                eviction = match reserved.next() {
                    Some(true) => Eviction::Reserved,
                    _ => Eviction::Allowed,
                };
            }
            // Not in the `match`: the lock would still be held where the claims are released.
            let claimed = self
                .shard(key, claimant.now, &mut sweep)
                .claim(key, claimant, eviction);
            match claimed {
                Ok(state) => found.push(state),
                Err(full) => {
                    let claimed = keys.iter().zip(&found);
                    for (key, _) in claimed.filter(|(_, found)| **found == Found::Absent) {
                        self.shard(key, claimant.now, &mut sweep)
                            .release(key, claimant.token);
                    }
                    let rest = keys.get(found.len() + 1..).unwrap_or_default();
                    self.unreserve(rest.iter().zip(reserved.into_iter().flatten()));
                    return Err(full);
                }
            }
        }
        Ok(found)
    }

    /// Reserves room for each key that is absent, or for none.
    pub(super) fn reserve(
        &self,
        keys: &[EventKey],
        now: Timestamp,
    ) -> Result<Reservations, StoreError> {
        let mut sweep = true;
        let mut reserved = Vec::with_capacity(keys.len());
        for key in keys {
            let reservation = self.shard(key, now, &mut sweep).reserve(key, now);
            match reservation {
                Ok(is_reserved) => reserved.push(is_reserved),
                Err(full) => {
                    self.unreserve(keys.iter().zip(reserved));
                    return Err(full);
                }
            }
        }
        Ok(Reservations(reserved))
    }

    fn unreserve<'a>(&self, reserved: impl Iterator<Item = (&'a EventKey, bool)>) {
        for (key, _) in reserved.filter(|(_, reserved)| *reserved) {
            lock(self.shard_of(key)).unreserve();
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Timestamp {
        let nanos = self.start.elapsed().as_nanos();
        Timestamp(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Locks the shard of a key. Sweeps it if that is due and this call has not swept another
    /// shard.
    #[inline]
    pub(super) fn shard(
        &self,
        key: &EventKey,
        now: Timestamp,
        sweep: &mut bool,
    ) -> MutexGuard<'_, Shard> {
        let mut shard = lock(self.shard_of(key));
        if *sweep && shard.is_sweep_due(now) {
            *sweep = false;
            shard.sweep(now);
        }
        shard
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a length times a number below 2³² is below the length after the shift"
    )]
    fn shard_of(&self, key: &EventKey) -> &Mutex<Shard> {
        let fraction = self.hasher.hash_one(key) >> 32;
        let index = (u128::from(fraction) * self.shards.len() as u128) >> 32;
        &self.shards[index as usize]
    }
}

/// Locks a shard, poisoned or not. Only a failed allocation can panic under the lock, and a shard
/// is consistent after every step.
#[inline]
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dedup::store::Token;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(number: u32) -> EventKey {
        EventKey::from_bytes(u128::from(number).to_be_bytes())
    }

    /// What a call reserved must not lower the capacity once it has failed.
    #[test]
    fn a_failed_call_gives_its_reservations_back() {
        let (token, capacity) = (Token::from_bytes([1; 16]), 4);
        let shards = Shards::new(capacity);
        let now = shards.now();
        let claimant = Claimant {
            token,
            until: now.after(HOUR),
            now,
        };
        let [pending, one, two, three] = [0, 1, 2, 3].map(key);
        assert!(shards.claim(&[pending], claimant, None).is_ok());
        for key in [one, two, three] {
            let committed = shards
                .shard(&key, now, &mut false)
                .commit(&key, token, HOUR, now);
            assert!(committed.is_ok());
        }
        assert!(shards.reserve(&[10, 11, 12, 13].map(key), now).is_err());
        // All room that done entries take is reserved for these.
        let reserved = [10, 11, 12].map(key);
        let reservations = shards.reserve(&reserved, now);
        let Ok(Reservations(mut reservations)) = reservations else {
            panic!("it is full");
        };
        assert_eq!(reservations, [true; 3]);
        assert!(shards.reserve(&[key(13)], now).is_err());
        // The first key was claimed by another when the room was reserved, and was released since.
        let keys = [9, 10, 11, 12].map(key);
        reservations.insert(0, false);
        let claimed = shards.claim(&keys, claimant, Some(Reservations(reservations)));
        assert!(claimed.is_err());
        let reservations = shards.reserve(&reserved, now);
        assert!(matches!(reservations, Ok(Reservations(all)) if all == [true; 3]));
    }
}
