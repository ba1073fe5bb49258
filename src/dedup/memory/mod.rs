mod clock;
mod eviction;
mod hash;
mod shard;
mod shards;
mod slab;

use std::{fmt, sync::Arc, time::Duration};

use self::{
    shard::{Claimant, Eviction, Found, Shard},
    shards::Shards,
};
use super::{Claim, Commit, Renewal, Store, StoreError, Token};
use crate::event::EventKey;

/// A [`Store`] in the memory of one process.
///
/// Clones share their entries. Entries do not survive the process: after a restart, redeliveries of
/// earlier events are handled once more. Several instances of a service need a store that they
/// share.
///
/// # Memory
///
/// Capacity is counted in entries, done and pending. A large store takes about 34 bytes per done
/// entry and about 24 more per pending entry; a store of less than 10,000 entries can take twice
/// that. Memory grows with the entries and is freed when they expire.
///
/// The default capacity of 1,000,000 entries takes at most 64 MB. It covers a week of 1.6 events
/// per second, or 40 hours of 7 events per second. A week of 100 events per second needs 61,000,000
/// entries, which take 2.1 GB.
///
/// The store holds at least its capacity: no entry is evicted below it. Entries are spread over
/// shards of about 12,000 by a keyed hash that callers cannot predict. Each shard has room for a
/// tenth more than the mean, because the distribution is never even. A full shard evicts the done
/// entries that would expire first. [`effective_window`](Self::effective_window) reports how long
/// entries are remembered then.
///
/// Pending entries are never evicted before their lease expires. A claim that finds no room beside
/// them is refused, and a refused claim evicts nothing. A delivery with more events than the store
/// has room for can therefore never be claimed as a whole, however often Meta repeats it. Meta puts
/// up to 1000 events into a delivery; choose a capacity many times that.
///
/// # Time
///
/// Time is that of [`tokio::time`]: tests can pause and advance it. A lease is exact. A window is
/// rounded up to a full second.
///
/// Operations never wait for I/O. Each takes its keys one by one and holds the lock of a shard for
/// one key. Expired entries are removed shard by shard, at most one shard per call: 6 hours after
/// the last time, or when the shard is full. That takes less than a millisecond.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp::{dedup::{Claim, Commit, MemoryStore, Store, Token}, event::EventKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let (key, week) = (EventKey::from_bytes([1; 16]), Duration::from_secs(7 * 24 * 60 * 60));
/// let (mine, other) = (Token::random(), Token::random());
///
/// assert_eq!(store.claim(&[key], mine, Duration::from_secs(30)).await?, [Claim::Claimed]);
/// assert_eq!(store.claim(&[key], other, Duration::from_secs(30)).await?, [Claim::Pending]);
/// assert_eq!(store.commit(&[(key, week)], mine).await?, [Commit::Recorded]);
/// assert_eq!(store.claim(&[key], other, Duration::from_secs(30)).await?, [Claim::Done]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Shards>);

impl MemoryStore {
    /// Maximum capacity: 2³² - 1 entries, which would take 146 GB. The empty shards of such a store
    /// take 60 MB; those of a store for [`usize::MAX`] entries could not be allocated.
    pub const MAX_CAPACITY: usize = u32::MAX as usize;

    /// Creates a store for 1,000,000 entries. It takes at most 64 MB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(1_000_000)
    }

    /// Creates a store that holds at least this number of entries. It takes about 34 MB per
    /// million, and up to 64 MB if all are pending at once.
    ///
    /// The capacity is clamped to the range from 1 to [`MAX_CAPACITY`](Self::MAX_CAPACITY). A
    /// delivery with more events than that never fits and is answered with 503 each time: Meta
    /// sends up to 1000 events in one.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        let capacity = entries.clamp(1, Self::MAX_CAPACITY);
        Self(Arc::new(Shards::new(capacity)))
    }

    /// Returns the number of entries that the store holds at least before it evicts any.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns the number of entries, done and pending. Expired entries count until they are
    /// removed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.sum(Shard::len)
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of pending keys. Keys with an expired lease are not counted.
    #[must_use]
    pub fn pending(&self) -> usize {
        let now = self.0.now();
        self.0.sum(|shard| shard.pending(now))
    }

    /// Returns for how long entries are remembered while the store is full: the shortest time from
    /// a commit to the eviction of its entry, over the evictions of this hour and the hour before.
    /// `None` if nothing was evicted; every entry is then remembered for its whole window.
    ///
    /// Every done entry is remembered for its window or for at least this time. If it is far below
    /// the configured windows, the store needs more capacity.
    #[must_use]
    pub fn effective_window(&self) -> Option<Duration> {
        let age = self.0.least_evicted_age();
        age.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("pending", &self.pending())
            .field("capacity", &self.capacity())
            .finish()
    }
}

impl Store for MemoryStore {
    /// # Errors
    ///
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) if the shard of a key is full of
    /// pending entries. No key is then claimed that was not claimed before, and nothing is evicted.
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let now = self.0.now();
        let claimant = Claimant {
            token,
            until: now.after(lease),
            now,
        };
        let found = match self.0.claim(keys, claimant, None) {
            Ok(found) => found,
            // An eviction for the first key must not happen unless there is room for all keys.
            Err(_) => {
                let reservations = self.0.reserve(keys, now)?;
                self.0.claim(keys, claimant, Some(reservations))?
            }
        };
        Ok(found.into_iter().map(Claim::from).collect())
    }

    /// # Errors
    ///
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) if a key was absent and its shard is
    /// full of pending entries. The other keys are renewed.
    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let now = self.0.now();
        let claimant = Claimant {
            token,
            until: now.after(lease),
            now,
        };
        let mut sweep = true;
        let mut renewals = Vec::with_capacity(keys.len());
        let mut full = None;
        for key in keys {
            let mut shard = self.0.shard(key, now, &mut sweep);
            match shard.claim(key, claimant, Eviction::Allowed) {
                Ok(Found::Absent | Found::Held) => renewals.push(Renewal::Renewed),
                Ok(Found::Pending | Found::Done) => renewals.push(Renewal::Lost),
                Err(error) => full = Some(error),
            }
        }
        full.map_or(Ok(renewals), Err)
    }

    /// # Errors
    ///
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) if a key was absent and its shard is
    /// full of pending entries. The other keys are recorded.
    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let now = self.0.now();
        let mut sweep = true;
        let mut commits = Vec::with_capacity(keys.len());
        let mut full = None;
        for (key, window) in keys {
            let mut shard = self.0.shard(key, now, &mut sweep);
            match shard.commit(key, token, *window, now) {
                Ok(commit) => commits.push(commit),
                Err(error) => full = Some(error),
            }
        }
        full.map_or(Ok(commits), Err)
    }

    /// # Errors
    ///
    /// Never fails.
    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let now = self.0.now();
        let mut sweep = true;
        for key in keys {
            self.0.shard(key, now, &mut sweep).release(key, token);
        }
        Ok(())
    }

    fn len_hint(&self) -> Option<usize> {
        Some(self.len())
    }
}
