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
/// Capacity is counted in entries, done and pending. A large store takes about 34 bytes per done
/// entry and about 24 more per pending entry; a store of less than 10,000 entries can take twice
/// that. Memory grows with the entries and is freed when they expire.
///
/// The million entries of [`new`](Self::new) take at most 64 MB. They are a week of 1.6 events per
/// second, or a day and a half of 7. For a week of 100 events per second allow 61,000,000 entries,
/// which take 2.1 GB.
///
/// The store holds at least its capacity: nothing is evicted before. Entries are spread over shards
/// of about 12,000 by a keyed hash that callers cannot predict. Each shard has room for a tenth
/// more than the mean, because the spread is never even. A full shard evicts the done entries that
/// would expire first. [`effective_window`](Self::effective_window) reports how long entries are
/// remembered then.
///
/// Pending entries are never evicted before their lease expires. A claim that finds no room beside
/// them is refused, and a refused claim evicts nothing. A delivery whose events exceed the room of
/// the store can therefore never be claimed as a whole, however often Meta repeats it. Meta puts up
/// to 1000 events into a delivery; allow many times that.
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
    /// Largest capacity: 2³² - 1 entries, which would take 146 GB. The empty shards of such a store
    /// take 60 MB; those of a store for [`usize::MAX`] entries could not be allocated.
    pub const MAX_CAPACITY: usize = u32::MAX as usize;

    /// A store with room for 1,000,000 entries: at most 64 MB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(1_000_000)
    }

    /// A store that holds at least this number of entries. It takes about 34 MB per million, and up
    /// to 64 MB if all are pending at once.
    ///
    /// Zero is taken as one, and more than [`MAX_CAPACITY`](Self::MAX_CAPACITY) as that.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        let capacity = entries.clamp(1, Self::MAX_CAPACITY);
        let count = capacity.div_ceil(SHARD);
        let hasher = Seeds::random();
        let shards = (0..count).map(|_| Mutex::new(Shard::new(capacity, count, hasher.clone())));
        Self(Arc::new(Inner {
            capacity,
            shards: shards.collect(),
            // Not that of the shards: in one shard all hashes would begin alike.
            hasher: Seeds::random(),
            start: Instant::now(),
        }))
    }

    /// The number of entries that the store holds at least, before it evicts any.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity
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
    /// claimed that was not before, and nothing was evicted.
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
            // Nothing may be evicted for the first key unless there is room for all of them.
            Err(_) => {
                let reserved = self.0.reserve(keys, now)?;
                self.0.claim(keys, claimant, Some(reserved))?
            }
        };
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
        let claimant = Claimant {
            token,
            until: now.after(lease),
            now,
        };
        let mut sweep = true;
        let mut renewed = Vec::with_capacity(keys.len());
        let mut full = None;
        for key in keys {
            let mut shard = self.0.shard(key, now, &mut sweep);
            match shard.claim(key, claimant, Room::Evict) {
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

/// Mean number of entries in a shard of a full store. What [`Shard::new`] adds stays below
/// [`FULLEST`].
const SHARD: usize = 12_000;

/// Most entries of a shard: 15/16 of what a table of 2¹⁴ slots takes. The rest is for the
/// tombstones of removed entries, or the table would double for their sake. See [`Shard::insert`].
const FULLEST: usize = 14_336 - 14_336 / 16;

/// How often a shard throws away what has passed, in seconds: with the window of a week an entry stays 4 % longer than it has to.
const SWEEP: u32 = 6 * 60 * 60;

struct Inner {
    capacity: usize,
    shards: Box<[Mutex<Shard>]>,
    hasher: Seeds,
    start: Instant,
}

/// Who claims, from when, and until when.
#[derive(Clone, Copy)]
struct Claimant {
    token: Token,
    until: NonZeroU64,
    now: Now,
}

/// For each key whether its shard keeps room for it. See [`Shard::reserve`].
struct Reserved(Vec<bool>);

impl Inner {
    /// Claims all keys or none. Entries that are done are evicted only for keys with a reservation,
    /// which is used up.
    fn claim(
        &self,
        keys: &[EventKey],
        claimant: Claimant,
        reserved: Option<Reserved>,
    ) -> Result<Vec<Found>, StoreError> {
        let mut sweep = true;
        let mut reserved = reserved.map(|reserved| reserved.0.into_iter());
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            // A single key needs no reservation: nothing can fail after its eviction.
            let mut room = match keys {
                [_] => Room::Evict,
                _ => Room::Free,
            };
            if let Some(reserved) = &mut reserved {
                room = match reserved.next() {
                    Some(true) => Room::Reserved,
                    _ => Room::Evict,
                };
            }
            // A statement of its own: a guard in the `match` would still be held where all are
            // released.
            let what = self
                .shard(key, claimant.now, &mut sweep)
                .claim(key, claimant, room);
            match what {
                Ok(what) => found.push(what),
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
    fn reserve(&self, keys: &[EventKey], now: Now) -> Result<Reserved, StoreError> {
        let mut sweep = true;
        let mut reserved = Vec::with_capacity(keys.len());
        for key in keys {
            let what = self.shard(key, now, &mut sweep).reserve(key, now);
            match what {
                Ok(what) => reserved.push(what),
                Err(full) => {
                    self.unreserve(keys.iter().zip(reserved));
                    return Err(full);
                }
            }
        }
        Ok(Reserved(reserved))
    }

    fn unreserve<'a>(&self, reserved: impl Iterator<Item = (&'a EventKey, bool)>) {
        for (key, _) in reserved.filter(|(_, reserved)| *reserved) {
            lock(self.shard_of(key)).reserved -= 1;
        }
    }

    fn now(&self) -> Now {
        let nanos = self.start.elapsed().as_nanos();
        Now(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a length times a number below 2³² is below the length after the shift"
    )]
    fn shard_of(&self, key: &EventKey) -> &Mutex<Shard> {
        let fraction = self.hasher.hash_one(key) >> 32;
        let index = (u128::from(fraction) * self.shards.len() as u128) >> 32;
        &self.shards[index as usize]
    }

    /// The shard of a key, swept if that is due and the call has not swept another.
    fn shard(&self, key: &EventKey, now: Now, sweep: &mut bool) -> MutexGuard<'_, Shard> {
        let mut shard = lock(self.shard_of(key));
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

/// What a claim may do for room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Evict nothing.
    Free,
    Evict,
    /// As `Evict`, and use up a reservation.
    Reserved,
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
    /// Pending entries that have been promised room and are not there yet.
    reserved: usize,
    /// Entries that an eviction leaves.
    share: usize,
    /// Most entries. Beyond the share it is room for expired ones.
    limit: usize,
    /// The second of the last sweep.
    swept: u32,
    evicted: Evicted,
}

impl Shard {
    /// One of `count` shards of a store of this capacity.
    fn new(capacity: usize, count: usize, hasher: Seeds) -> Self {
        let mean = capacity.div_ceil(count);
        // The number of entries in one of several shards has a standard deviation of the square
        // root of its mean. Six of them are exceeded by one shard in a billion.
        let spread = if count == 1 { 0 } else { 6 * mean.isqrt() };
        let share = mean + spread;
        // The room between is for expired entries: it spares a search for each new entry.
        let limit = (share + share / 16).min(FULLEST);
        Self {
            reserved: 0,
            share,
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
        claimant: Claimant,
        room: Room,
    ) -> Result<Found, StoreError> {
        let Claimant { token, until, now } = claimant;
        if room == Room::Reserved {
            self.reserved -= 1;
        }
        let expired = match self.entries.get(key) {
            Some(State::Done { until, .. }) if now.seconds() < until.get() => {
                return Ok(Found::Done);
            }
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
                return Ok(found);
            }
            Some(State::Done { .. }) => true,
            None => false,
        };
        self.make_room_for_claim(now)?;
        if !expired {
            self.make_room(room != Room::Free, now)?;
        }
        let slot = self.claims.add(token, until, self.limit);
        let pending = State::Pending { slot };
        // An expired entry is gone if the search for room has swept it.
        if expired && let Some(state) = self.entries.get_mut(key) {
            *state = pending;
        } else {
            self.insert(*key, pending);
        }
        Ok(Found::Absent)
    }

    /// Keeps room for one pending entry if the key is absent. Tells whether it is.
    fn reserve(&mut self, key: &EventKey, now: Now) -> Result<bool, StoreError> {
        let absent = match self.entries.get(key) {
            Some(State::Done { until, .. }) => now.seconds() >= until.get(),
            Some(State::Pending { .. }) => false,
            None => true,
        };
        if absent {
            self.make_room_for_claim(now)?;
            self.reserved += 1;
        }
        Ok(absent)
    }

    /// Makes sure that one more entry can be pending, beside those that are and those that room is
    /// reserved for.
    fn make_room_for_claim(&mut self, now: Now) -> Result<(), StoreError> {
        let is_full = |shard: &Self| shard.claims.taken + shard.reserved >= shard.limit;
        if is_full(self) {
            // Removes expired leases.
            self.sweep(now);
        }
        if is_full(self) {
            return Err(StoreError::full());
        }
        Ok(())
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
                self.make_room(true, now)?;
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

    /// Makes room for one entry. A full shard goes down to its share at once, which spreads the
    /// cost of the search over many entries.
    fn make_room(&mut self, evict: bool, now: Now) -> Result<(), StoreError> {
        if self.entries.len() < self.limit {
            return Ok(());
        }
        self.sweep(now);
        let kept = self.share.min(self.limit - 1);
        let excess = self.entries.len().saturating_sub(kept);
        if excess > 0 && evict {
            self.evict(excess, now);
        }
        if excess > 0 && !evict || self.entries.len() >= self.limit {
            return Err(StoreError::full());
        }
        Ok(())
    }

    /// Removes the done entries that would expire first: this number of them, or all.
    fn evict(&mut self, count: usize, now: Now) {
        let done = self.entries.values().filter_map(|state| match state {
            State::Done { until, .. } => Some(until.get()),
            State::Pending { .. } => None,
        });
        let mut ends: Vec<u32> = done.collect();
        let count = count.min(ends.len());
        let Some(last) = count.checked_sub(1) else {
            return;
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
        let mut shard = Shard::new(SHARD, 1, Seeds::random());
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
            let claimant = Claimant {
                token: token(),
                until: lease(),
                now: NOW,
            };
            let claimed = shard.claim(&key(number), claimant, Room::Free);
            assert!(claimed.is_ok());
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
