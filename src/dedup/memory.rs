use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    num::{NonZeroU32, NonZeroU64},
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Claim, Commit, Mutex, MutexGuard, Renewal, Store, StoreError, Token};
use crate::event::EventKey;

/// Remembers in this process which events were handled: the store for a service that runs once.
///
/// Clones share what they remember. Nothing of it survives the process: after a restart Meta's repetitions are handled again, once.
/// Several instances of a service need a store that they share.
///
/// # Memory
///
/// Room is given in entries: what is done and what is pending. In a large store an entry that is done takes about 34 bytes, and one that is
/// pending about 24 more; in one of less than 10,000 it can be twice that. Memory grows with the entries, and is given back when they have
/// passed. The million that [`new`](Self::new) allows takes at most 64 MB, whatever was in it: that is a week of 1.6 events per second,
/// or a day and a half of 7. For a week of 100 events per second allow 61,000,000 entries, which take 2 GB.
///
/// A store that is full forgets first what would be forgotten soonest. [`effective_window`](Self::effective_window) tells how long things
/// are remembered then. What is pending is never forgotten before its lease has passed: if there is nothing else, claims are refused. The
/// entries are spread over shards of about 12,000 by a hash that nobody outside can predict, and each shard keeps to its share of the
/// room. So a large store begins to forget when it is 97 % full.
///
/// # Time
///
/// Time is that of [`tokio::time`]: tests may pause and advance it. A lease is exact. A window is rounded up to a full second.
/// No operation waits; each looks at its keys one by one and holds the lock of a shard for one key. What has passed is thrown away a
/// shard at a time, at most one per call: when 6 hours have gone since the last time, or when the shard is full. That takes below a
/// millisecond.
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
pub struct MemoryStore(Arc<Inner>);

impl MemoryStore {
    /// A store with room for 1,000,000 entries: at most 64 MB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(1_000_000)
    }

    /// A store with room for so many entries: about 34 MB for each million, and up to 64 MB if all were pending at once. None is taken as one.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        let entries = entries.max(1);
        let count = entries.div_ceil(SHARD);
        let hasher = Seeds::random();
        let shards = (0..count).map(|index| {
            let limit = entries / count + usize::from(index < entries % count);
            Mutex::new(Shard::new(limit, hasher.clone()))
        });
        Self(Arc::new(Inner {
            shards: shards.collect(),
            // Not that of the shards: in one shard all hashes would begin alike.
            hasher: Seeds::random(),
            start: Instant::now(),
        }))
    }

    /// The room, in entries.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sum(|shard| shard.limit)
    }

    /// How many entries there are, done or pending. What has passed is counted until it is thrown away.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sum(|shard| shard.entries.len())
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys are pending. A lease that has passed is not counted.
    #[must_use]
    pub fn pending(&self) -> usize {
        let now = self.0.now();
        self.sum(|shard| shard.claims.count(now))
    }

    /// For how long things are remembered while the store is full: the least time between a commit and the eviction of what it had
    /// recorded, among the evictions of this hour and the one before. `None` if there was none: everything is remembered for its
    /// whole window.
    ///
    /// Whatever was done is remembered for its window, or for at least this long. If this is far below the windows that are configured,
    /// the store needs more room.
    #[must_use]
    pub fn effective_window(&self) -> Option<Duration> {
        let hour = self.0.now().hour();
        let shards = self.0.shards.iter();
        let least = shards.filter_map(|shard| lock(shard).evicted.least(hour));
        least
            .min()
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn sum(&self, count: impl Fn(&Shard) -> usize) -> usize {
        let shards = self.0.shards.iter();
        shards.map(|shard| count(&lock(shard))).sum()
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
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) if a key finds no room because everything near it is pending. No key is then
    /// claimed that was not before.
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let now = self.0.now();
        let until = now.after(lease);
        let mut sweep = true;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            // A statement of its own: a guard in the `match` would still be held where all are released.
            let what = self
                .0
                .shard(key, now, &mut sweep)
                .claim(key, token, until, now);
            match what {
                Ok(what) => found.push(what),
                Err(full) => {
                    for (key, what) in keys.iter().zip(found) {
                        if what == Found::Absent {
                            self.0.shard(key, now, &mut sweep).release(key, token);
                        }
                    }
                    return Err(full);
                }
            }
        }
        Ok(found.into_iter().map(Claim::from).collect())
    }

    /// # Errors
    ///
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) if a key was absent and finds no room
    /// because everything near it is pending. The others are renewed.
    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let now = self.0.now();
        let until = now.after(lease);
        let mut sweep = true;
        let mut renewed = Vec::with_capacity(keys.len());
        let mut full = None;
        for key in keys {
            let mut shard = self.0.shard(key, now, &mut sweep);
            match shard.claim(key, token, until, now) {
                Ok(Found::Absent | Found::Held) => renewed.push(Renewal::Renewed),
                Ok(Found::Pending | Found::Done) => renewed.push(Renewal::Lost),
                Err(error) => full = Some(error),
            }
        }
        full.map_or(Ok(renewed), Err)
    }

    /// # Errors
    ///
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) if a key was absent and finds no room because everything near it is pending.
    /// The others are recorded.
    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let now = self.0.now();
        let mut sweep = true;
        let mut done = Vec::with_capacity(keys.len());
        let mut full = None;
        for (key, window) in keys {
            let mut shard = self.0.shard(key, now, &mut sweep);
            match shard.commit(key, token, *window, now) {
                Ok(what) => done.push(what),
                Err(error) => full = Some(error),
            }
        }
        full.map_or(Ok(done), Err)
    }

    /// # Errors
    ///
    /// None.
    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let now = self.0.now();
        let mut sweep = true;
        for key in keys {
            self.0.shard(key, now, &mut sweep).release(key, token);
        }
        Ok(())
    }
}

/// So many entries have to share a lock at most. It is three quarters of the slots of a table (2¹⁴): a table that is fuller is slow, and one that
/// is emptier is waste.
const SHARD: usize = 12 * 1024;

/// How often a shard throws away what has passed, in seconds: with the window of a week an entry stays 4 % longer than it has to.
const SWEEP: u32 = 6 * 60 * 60;

struct Inner {
    shards: Box<[Mutex<Shard>]>,
    hasher: Seeds,
    start: Instant,
}

impl Inner {
    fn now(&self) -> Now {
        let nanos = self.start.elapsed().as_nanos();
        Now(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The shard of a key, swept if that is due and the call has not swept another.
    #[expect(
        clippy::indexing_slicing,
        reason = "a length times a number below 2³² is below the length after the shift"
    )]
    fn shard(&self, key: &EventKey, now: Now, sweep: &mut bool) -> MutexGuard<'_, Shard> {
        let fraction = self.hasher.hash_one(key) >> 32;
        let index = (u128::from(fraction) * self.shards.len() as u128) >> 32;
        let mut shard = lock(&self.shards[index as usize]);
        if *sweep && shard.due(now) {
            *sweep = false;
            shard.sweep(now);
        }
        shard
    }
}

/// Nothing panics under the lock but an allocation that fails. What a shard says is right after every step, so it is taken as it is.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes keys by multiplications, under numbers that nobody outside knows. The standard hash would be a third of what an event costs
/// here, and guards against strangers who choose keys: these are hashes already, or chosen by the host.
#[derive(Clone)]
struct Seeds(u64, u64);

impl Seeds {
    fn random() -> Self {
        let random = || RandomState::new().hash_one(());
        Self(random(), random() | 1)
    }
}

impl BuildHasher for Seeds {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer {
            state: self.0,
            factor: self.1,
        }
    }
}

struct Mixer {
    state: u64,
    factor: u64,
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.state = self.folded(self.state ^ word);
    }

    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    /// Once more: what the host numbers one after the other would still be in steps.
    fn finish(&self) -> u64 {
        self.folded(self.state)
    }
}

impl Mixer {
    fn folded(&self, word: u64) -> u64 {
        let product = u128::from(word) * u128::from(self.factor);
        let [low, high] = [product as u64, (product >> 64) as u64];
        low ^ high
    }
}

/// The time since the store was made, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Now(u64);

impl Now {
    const SECOND: u64 = 1_000_000_000;

    fn seconds(self) -> u32 {
        u32::try_from(self.0 / Self::SECOND).unwrap_or(u32::MAX)
    }

    fn hour(self) -> u32 {
        self.seconds() / 3600
    }

    fn after(self, span: Duration) -> NonZeroU64 {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        NonZeroU64::new(self.0.saturating_add(span)).unwrap_or(NonZeroU64::MIN)
    }

    /// The second at which the span is over.
    fn second_after(self, span: Duration) -> NonZeroU32 {
        let second = self.after(span).get().div_ceil(Self::SECOND);
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        NonZeroU32::new(second).unwrap_or(NonZeroU32::MIN)
    }
}

/// What a claim found at one key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Absent,
    /// The caller's already.
    Held,
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

/// Eight bytes for every key. The token of what is pending is elsewhere, because few are.
#[derive(Clone, Copy)]
enum State {
    Pending {
        slot: u32,
    },
    /// In seconds since the store was made.
    Done {
        since: u32,
        until: NonZeroU32,
    },
}

const _: () = assert!(size_of::<(EventKey, State)>() == 24);
const _: () = assert!(size_of::<Slot>() == 24);

struct Shard {
    entries: HashMap<EventKey, State, Seeds>,
    /// How many entries the table takes. [`HashMap::capacity`] says less when removed entries have left marks.
    room: usize,
    claims: Claims,
    limit: usize,
    /// The second of the last sweep.
    swept: u32,
    evicted: Evicted,
}

impl Shard {
    fn new(limit: usize, hasher: Seeds) -> Self {
        Self {
            entries: HashMap::with_hasher(hasher),
            room: 0,
            claims: Claims::default(),
            limit,
            swept: 0,
            evicted: Evicted::default(),
        }
    }

    fn claim(
        &mut self,
        key: &EventKey,
        token: Token,
        until: NonZeroU64,
        now: Now,
    ) -> Result<Found, StoreError> {
        match self.entries.get_mut(key) {
            Some(State::Done { until, .. }) if now.seconds() < until.get() => Ok(Found::Done),
            Some(State::Pending { slot }) => {
                let (holder, lease) = self.claims.get(*slot);
                let found = if now.0 >= lease.get() {
                    Found::Absent
                } else if holder == token {
                    Found::Held
                } else {
                    return Ok(Found::Pending);
                };
                let until = match found {
                    // Who asks again counts from the answer that arrives.
                    Found::Held => until.max(lease),
                    _ => until,
                };
                self.claims.set(*slot, token, until);
                Ok(found)
            }
            // What has passed makes room for its successor.
            Some(state @ State::Done { .. }) => {
                let slot = self.claims.add(token, until, self.limit);
                *state = State::Pending { slot };
                Ok(Found::Absent)
            }
            None => {
                self.make_room(now)?;
                let slot = self.claims.add(token, until, self.limit);
                self.insert(*key, State::Pending { slot });
                Ok(Found::Absent)
            }
        }
    }

    fn commit(
        &mut self,
        key: &EventKey,
        token: Token,
        window: Duration,
        now: Now,
    ) -> Result<Commit, StoreError> {
        let done = State::Done {
            since: now.seconds(),
            until: now.second_after(window),
        };
        match self.entries.get_mut(key) {
            Some(State::Done { until, .. }) if now.seconds() < until.get() => {}
            Some(state) => {
                if let State::Pending { slot } = *state {
                    let (holder, lease) = self.claims.get(slot);
                    if holder != token && now.0 < lease.get() {
                        return Ok(Commit::Fenced);
                    }
                    self.claims.remove(slot);
                }
                *state = done;
            }
            None => {
                self.make_room(now)?;
                self.insert(*key, done);
            }
        }
        Ok(Commit::Recorded)
    }

    fn release(&mut self, key: &EventKey, token: Token) {
        if let Some(State::Pending { slot }) = self.entries.get(key) {
            let slot = *slot;
            if self.claims.get(slot).0 == token {
                self.entries.remove(key);
                self.claims.remove(slot);
            }
        }
    }

    fn insert(&mut self, key: EventKey, state: State) {
        let entries = &mut self.entries;
        if entries.len() == entries.capacity() && entries.len() < self.room - self.room / 16 {
            // The table would double, for the sake of the marks that removed entries have left.
            let hasher = entries.hasher().clone();
            let mut fresh = HashMap::with_capacity_and_hasher(self.room, hasher);
            fresh.extend(entries.drain());
            *entries = fresh;
        }
        entries.insert(key, state);
        self.room = self.room.max(entries.capacity());
    }

    /// Makes room for one entry: an eighth of what is done goes at once, so that the search for it is worth it.
    fn make_room(&mut self, now: Now) -> Result<(), StoreError> {
        if self.entries.len() < self.limit {
            return Ok(());
        }
        self.sweep(now);
        if self.entries.len() < self.limit {
            return Ok(());
        }
        let done = self.entries.values().filter_map(|state| match state {
            State::Done { until, .. } => Some(until.get()),
            State::Pending { .. } => None,
        });
        let mut ends: Vec<u32> = done.collect();
        let count = ends.len().div_ceil(8);
        let Some(last) = count.checked_sub(1) else {
            return Err(StoreError::full());
        };
        let (sooner, &mut end, _) = ends.select_nth_unstable(last);
        // Of those that end in the same second not all have to go.
        let mut ties = count - sooner.iter().filter(|sooner| **sooner < end).count();
        let seconds = now.seconds();
        let mut least = u32::MAX;
        self.entries.retain(|_, state| {
            let State::Done { since, until } = state else {
                return true;
            };
            let goes = until.get() < end || until.get() == end && ties > 0;
            if goes {
                ties -= usize::from(until.get() == end);
                least = least.min(seconds.saturating_sub(*since));
            }
            !goes
        });
        self.evicted.note(now.hour(), least);
        Ok(())
    }

    fn due(&self, now: Now) -> bool {
        now.seconds().saturating_sub(self.swept) >= SWEEP
    }

    /// Throws away what has passed, and gives back memory if much has.
    fn sweep(&mut self, now: Now) {
        let seconds = now.seconds();
        self.swept = seconds;
        let claims = &mut self.claims;
        self.entries.retain(|_, state| match *state {
            State::Done { until, .. } => seconds < until.get(),
            State::Pending { slot } => {
                let held = now.0 < claims.get(slot).1.get();
                if !held {
                    claims.remove(slot);
                }
                held
            }
        });
        if self.entries.len() < self.room / 4 {
            self.entries.shrink_to(2 * self.entries.len());
            self.room = self.entries.capacity();
        }
    }
}

/// Who holds what, and until when. Slots are used again.
#[derive(Default)]
struct Claims {
    slots: Vec<Slot>,
    free: Option<u32>,
    taken: usize,
}

#[derive(Clone, Copy)]
enum Slot {
    Free {
        next: Option<u32>,
    },
    /// In nanoseconds since the store was made.
    Taken {
        token: Token,
        until: NonZeroU64,
    },
}

impl Claims {
    /// More slots than this are given back when none is taken.
    const KEPT: usize = 64;

    fn count(&self, now: Now) -> usize {
        let held = |slot: &&Slot| matches!(slot, Slot::Taken { until, .. } if now.0 < until.get());
        self.slots.iter().filter(held).count()
    }

    fn get(&self, slot: u32) -> (Token, NonZeroU64) {
        match self.slots.get(slot as usize) {
            Some(&Slot::Taken { token, until }) => (token, until),
            // Never: an entry has its slot as long as it is pending.
            _ => (Token::from_bytes([0; 16]), NonZeroU64::MIN),
        }
    }

    fn set(&mut self, slot: u32, token: Token, until: NonZeroU64) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            *slot = Slot::Taken { token, until };
        }
    }

    /// Takes a slot, of which there are never more than `limit`: far below 2³².
    fn add(&mut self, token: Token, until: NonZeroU64, limit: usize) -> u32 {
        self.taken += 1;
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

    fn remove(&mut self, slot: u32) {
        if let Some(taken) = self.slots.get_mut(slot as usize) {
            *taken = Slot::Free { next: self.free };
            self.free = Some(slot);
            self.taken -= 1;
        }
        if self.taken == 0 {
            self.slots.clear();
            self.free = None;
            if self.slots.capacity() > Self::KEPT {
                self.slots = Vec::new();
            }
        }
    }
}

/// The least ages of what was evicted before its time, in an hour and in the one before.
#[derive(Default)]
struct Evicted {
    hour: u32,
    least: Option<u32>,
    before: Option<u32>,
}

impl Evicted {
    fn note(&mut self, hour: u32, age: u32) {
        if hour > self.hour {
            self.before = self.least.take().filter(|_| hour == self.hour + 1);
            self.hour = hour;
        }
        self.least = Some(self.least.map_or(age, |least| least.min(age)));
    }

    fn least(&self, hour: u32) -> Option<u32> {
        match hour.saturating_sub(self.hour) {
            0 => self.least.into_iter().chain(self.before).min(),
            1 => self.least,
            _ => None,
        }
    }
}

// Two attributes: `scripts/mutants` knows by the second one, as it stands, that it must leave these alone.
#[cfg(not(shuttle))]
#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now(0);
    const LATER: Now = Now(2 * Now::SECOND);

    fn key(number: u32) -> EventKey {
        EventKey::from_bytes(u128::from(number).to_be_bytes())
    }

    fn token() -> Token {
        Token::from_bytes([1; 16])
    }

    fn lease() -> NonZeroU64 {
        NOW.after(Duration::from_secs(1))
    }

    #[test]
    fn keys_are_scattered_however_they_are_numbered() {
        const KEYS: u128 = 16_000;
        for shift in [0, 8, 32, 60, 64, 100, 112] {
            let seeds = Seeds::random();
            // A shard is found by the upper bits of a hash, a place in its table by the lower ones.
            let mut counts = [[0; 16]; 2];
            for number in 0..KEYS {
                let key = EventKey::from_bytes((number << shift).to_le_bytes());
                let hash = seeds.hash_one(key);
                counts[0][(hash >> 60) as usize] += 1;
                counts[1][(hash % 16) as usize] += 1;
            }
            let even = |count: &u32| (500..2000).contains(count);
            assert!(counts.iter().flatten().all(even), "{shift}: {counts:?}");
        }
    }

    #[test]
    fn slots_grow_with_what_is_pending_and_are_used_again() {
        let mut claims = Claims::default();
        let mut taken = Vec::new();
        for (count, capacity) in [(1, 4), (4, 4), (5, 8), (9, 10), (10, 10)] {
            taken.resize_with(count, || claims.add(token(), lease(), 10));
            assert_eq!(claims.slots.capacity(), capacity);
        }
        for slot in taken.drain(2..) {
            claims.remove(slot);
        }
        taken.resize_with(10, || claims.add(token(), lease(), 10));
        assert_eq!((claims.slots.len(), claims.slots.capacity()), (10, 10));
        assert_eq!(claims.count(NOW), 10);
    }

    #[test]
    fn slots_are_given_back_when_nothing_is_pending() {
        for (most, kept) in [(64, 64), (65, 0), (200, 0)] {
            let mut claims = Claims::default();
            let taken: Vec<_> = (0..most)
                .map(|_| claims.add(token(), lease(), 1000))
                .collect();
            for slot in taken {
                assert!(claims.slots.capacity() >= most);
                claims.remove(slot);
            }
            assert_eq!((claims.slots.len(), claims.slots.capacity()), (0, kept));
        }
    }

    /// A shard that has grown to `entries`, of which all pass at once but the first `lasting`.
    fn shard(entries: u32, lasting: u32) -> Shard {
        let mut shard = Shard::new(SHARD, Seeds::random());
        for number in 0..entries {
            let window = Duration::from_secs(if number < lasting { 3600 } else { 1 });
            assert!(shard.commit(&key(number), token(), window, NOW).is_ok());
        }
        shard
    }

    #[test]
    fn the_table_does_not_grow_for_what_was_removed() {
        let mut shard = shard(1500, 0);
        let room = shard.room;
        assert!(room - room / 16 > 1600);
        for number in 2000..50_000 {
            assert!(shard.claim(&key(number), token(), lease(), NOW).is_ok());
            shard.release(&key(number), token());
        }
        assert_eq!(shard.room, room);
        assert!(shard.entries.capacity() <= room);
    }

    #[test]
    fn the_table_shrinks_when_less_than_a_quarter_is_left() {
        let quarter = shard(1500, 0).room / 4;
        for (lasting, shrinks) in [
            (quarter + 100, false),
            (quarter, false),
            (quarter - 1, true),
            (300, true),
        ] {
            let mut shard = shard(1500, lasting as u32);
            let room = shard.room;
            shard.sweep(LATER);
            assert_eq!(shard.entries.len(), lasting);
            assert_eq!(shard.room < room, shrinks, "{lasting}");
            // Nor does it have to grow again at once.
            assert!(shard.room >= 2 * lasting);
        }
    }
}
