//! Claims, renewals, commits and releases in any order and at any time. The memory store must
//! follow the rules of `Store` for each key.

#![no_main]

use std::{collections::HashMap, time::Duration};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tower_whatsapp::{
    dedup::{Claim, Commit, MemoryStore, Renewal, Store, StoreErrorKind, Token},
    event::EventKey,
};

/// More than the number of keys.
const ROOMY: usize = 1000;

/// Ten years: longer than the test's time, so that such a lease or window never expires.
const LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[derive(Arbitrary, Debug)]
struct Input {
    /// Capacity. `None` has room for all keys.
    room: Option<u8>,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    /// Keys as a bit set.
    Claim(u16, u8, Span),
    Renew(u16, u8, Span),
    Commit(u16, u8, Span),
    Release(u16, u8),
    Wait(Span),
}

/// A few values, so that several often expire at the same time, or almost.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Span {
    Nothing,
    Millis(u8),
    Seconds(u8),
    Hours(u8),
    Ever,
}

impl Span {
    fn duration(self) -> Duration {
        match self {
            Self::Nothing => Duration::ZERO,
            Self::Millis(which) => {
                Duration::from_millis([1, 499, 500, 999][usize::from(which % 4)])
            }
            Self::Seconds(seconds) => Duration::from_secs(u64::from(seconds % 4)),
            Self::Hours(hours) => Duration::from_secs(3600 * u64::from(hours % 16)),
            Self::Ever => Duration::MAX,
        }
    }
}

fuzz_target!(|input: Input| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let room = input.room.map(|room| usize::from(room % 12) + 1);
        let store = MemoryStore::with_capacity(room.unwrap_or(ROOMY));
        let mut model = Model {
            room,
            ..Model::default()
        };
        // A store whose clock starts at zero treats zero durations differently, so
        // advance it by a nanosecond.
        model.wait(Duration::from_millis(1)).await;
        for operation in input.operations {
            match operation {
                Operation::Claim(keys, token, span) => {
                    let (keys, token) = (keys_of(keys), token_of(token));
                    let claims = store.claim(&keys, token, span.duration()).await;
                    let claims = claims.map_err(|error| error.kind());
                    model.claim(&keys, token, span.duration(), claims);
                }
                Operation::Renew(keys, token, span) => {
                    let mut keys = keys_of(keys);
                    if room.is_some() {
                        // Which of several keys find no room is not specified.
                        keys.truncate(1);
                    }
                    let token = token_of(token);
                    let renewals = store.renew(&keys, token, span.duration()).await;
                    let renewals = renewals.map_err(|error| error.kind());
                    model.renew(&keys, token, span.duration(), renewals);
                }
                Operation::Commit(keys, token, span) => {
                    let mut keys = keys_of(keys);
                    if room.is_some() {
                        // Which of several keys find no room is not specified.
                        keys.truncate(1);
                    }
                    let token = token_of(token);
                    let windows: Vec<_> = keys.iter().map(|key| (*key, span.duration())).collect();
                    let commits = store.commit(&windows, token).await;
                    let commits = commits.map_err(|error| error.kind());
                    model.commit(&keys, token, span.duration(), commits);
                }
                Operation::Release(keys, token) => {
                    let (keys, token) = (keys_of(keys), token_of(token));
                    store.release(&keys, token).await.unwrap();
                    model.release(&keys, token);
                }
                Operation::Wait(span) => model.wait(span.duration()).await,
            }
            model.look_at(&store);
        }
    });
});

fn keys_of(bits: u16) -> Vec<EventKey> {
    let set = (0..16).filter(|place| bits >> place & 1 == 1);
    set.map(|place| EventKey::from_bytes([place; 16])).collect()
}

fn token_of(number: u8) -> Token {
    Token::from_bytes([number % 4; 16])
}

#[derive(Debug, Clone, Copy)]
enum State {
    Pending {
        token: Token,
        /// After a claim that failed for lack of room, an existing lease may or may
        /// not be extended.
        until: Duration,
        at_most: Duration,
    },
    Done {
        until: Duration,
    },
}

/// The expected state of each key. A store with little room may forget done keys.
#[derive(Debug, Default)]
struct Model {
    now: Duration,
    room: Option<usize>,
    states: HashMap<EventKey, State>,
}

impl Model {
    /// Limited to the longest time that the store can represent.
    async fn wait(&mut self, span: Duration) {
        let span = span.min(LIFE.saturating_sub(self.now));
        tokio::time::advance(span).await;
        self.now += span;
    }

    fn claim(
        &mut self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
        claims: Result<Vec<Claim>, StoreErrorKind>,
    ) {
        let until = self.now.saturating_add(lease);
        let Ok(claims) = claims else {
            assert_eq!(claims, Err(StoreErrorKind::Full));
            let room = self.room.expect("an unlimited store is never full");
            // Only pending keys may take the room: those of others, and of this call.
            assert!(self.pending(|_, at_most| at_most) + keys.len() > room);
            for key in keys {
                if let Some(State::Pending {
                    token: holder,
                    at_most,
                    ..
                }) = self.states.get_mut(key)
                    && *holder == token
                {
                    *at_most = until.max(*at_most);
                }
            }
            return;
        };
        assert_eq!(claims.len(), keys.len());
        for (key, claim) in keys.iter().zip(claims) {
            match self.state(key) {
                None => assert_eq!(claim, Claim::Claimed),
                Some(State::Done { .. }) if self.room.is_none() => assert_eq!(claim, Claim::Done),
                Some(State::Done { .. }) => assert_ne!(claim, Claim::Pending),
                Some(State::Pending {
                    token: holder,
                    until: lease,
                    ..
                }) if self.now < lease => {
                    let expected = if holder == token {
                        Claim::Claimed
                    } else {
                        Claim::Pending
                    };
                    assert_eq!(claim, expected);
                }
                Some(State::Pending { .. }) => assert_ne!(claim, Claim::Done),
            }
            if claim == Claim::Claimed {
                let held = match self.state(key) {
                    Some(State::Pending {
                        token: holder,
                        until,
                        at_most,
                    }) if holder == token => (until, at_most),
                    _ => (Duration::ZERO, Duration::ZERO),
                };
                let state = State::Pending {
                    token,
                    until: until.max(held.0),
                    at_most: until.max(held.1),
                };
                self.states.insert(*key, state);
            }
        }
    }

    fn renew(
        &mut self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
        renewals: Result<Vec<Renewal>, StoreErrorKind>,
    ) {
        let Ok(renewals) = renewals else {
            assert_eq!(renewals, Err(StoreErrorKind::Full));
            let room = self.room.expect("an unlimited store is never full");
            assert!(self.pending(|_, at_most| at_most) >= room);
            return;
        };
        // A renewal is a claim that does not distinguish pending from done.
        let claims = keys
            .iter()
            .zip(renewals)
            .map(|(key, renewal)| match renewal {
                Renewal::Renewed => Claim::Claimed,
                Renewal::Lost if matches!(self.state(key), Some(State::Done { .. })) => Claim::Done,
                Renewal::Lost => Claim::Pending,
            });
        let claims = claims.collect();
        self.claim(keys, token, lease, Ok(claims));
    }

    fn commit(
        &mut self,
        keys: &[EventKey],
        token: Token,
        window: Duration,
        commits: Result<Vec<Commit>, StoreErrorKind>,
    ) {
        let Ok(commits) = commits else {
            assert_eq!(commits, Err(StoreErrorKind::Full));
            let room = self.room.expect("an unlimited store is never full");
            assert!(self.pending(|_, at_most| at_most) >= room);
            return;
        };
        assert_eq!(commits.len(), keys.len());
        // Windows are rounded up to full seconds.
        let end = self.now.saturating_add(window);
        let seconds = end
            .as_secs()
            .saturating_add(u64::from(end.subsec_nanos() > 0));
        let until = Duration::from_secs(seconds);
        for (key, commit) in keys.iter().zip(commits) {
            match self.state(key) {
                Some(State::Pending {
                    token: holder,
                    until,
                    ..
                }) if holder != token && self.now < until => {
                    assert_eq!(commit, Commit::Fenced);
                }
                Some(State::Pending { token: holder, .. }) if holder != token => {
                    // It may still be held.
                    if commit == Commit::Recorded {
                        self.states.insert(*key, State::Done { until });
                    }
                }
                Some(State::Done { until: before }) => {
                    assert_eq!(commit, Commit::Recorded);
                    // It may have been forgotten.
                    let until = if self.room.is_some() {
                        until.max(before)
                    } else {
                        before
                    };
                    self.states.insert(*key, State::Done { until });
                }
                _ => {
                    assert_eq!(commit, Commit::Recorded);
                    self.states.insert(*key, State::Done { until });
                }
            }
        }
    }

    fn release(&mut self, keys: &[EventKey], token: Token) {
        for key in keys {
            if let Some(State::Pending { token: holder, .. }) = self.states.get(key)
                && *holder == token
            {
                self.states.remove(key);
            }
        }
    }

    /// The state of a key. `None` if it is absent or expired.
    fn state(&self, key: &EventKey) -> Option<State> {
        let state = *self.states.get(key)?;
        let end = match state {
            State::Pending { at_most, .. } => at_most,
            State::Done { until } => until,
        };
        (self.now < end).then_some(state)
    }

    fn pending(&self, end: impl Fn(Duration, Duration) -> Duration) -> usize {
        let held = |state: &&State| match state {
            State::Pending { until, at_most, .. } => self.now < end(*until, *at_most),
            State::Done { .. } => false,
        };
        self.states.values().filter(held).count()
    }

    fn look_at(&self, store: &MemoryStore) {
        let pending = store.pending();
        assert!(pending >= self.pending(|until, _| until));
        assert!(pending <= self.pending(|_, at_most| at_most));
        assert!(store.len() <= store.capacity());
        if self.room.is_none() {
            let live = self.states.keys().filter(|key| self.state(key).is_some());
            assert!(store.len() >= live.count());
            assert_eq!(store.effective_window(), None);
        }
    }
}
