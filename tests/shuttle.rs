//! The memory store under schedules that shuttle chooses: three threads on one or two keys, in one
//! shard and in several.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle`
//!
//! The calls on each key must be linearisable. The test searches for an order of the
//! calls in which a simple model gives the same results, and in which no call
//! precedes one that ended before it began.
//!
//! The source of the store is compiled again here, with shuttle's locks. As a dependency of the
//! crate, shuttle would be in every user's `Cargo.lock`.

#![cfg(test)]
#![cfg(all(shuttle, feature = "tokio"))]

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use shuttle::{
    rand::{Rng, thread_rng},
    sync::{Mutex, MutexGuard},
    thread,
};
use tower_whatsapp::dedup::{Claim, Commit, Renewal, Store, StoreError, Token};

use self::{event::EventKey, memory::MemoryStore};

#[path = "../src/dedup/memory/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unfulfilled_lint_expectations,
    reason = "this is no library: not all is used, and what lints say of tests differs"
)]
mod memory;

/// The module path that the source uses.
mod event {
    pub(crate) use tower_whatsapp::event::EventKey;
}

const SCHEDULES: usize = 100_000;
const THREADS: u8 = 3;
const CALLS: usize = 4;
/// PCT: maximum number of priority changes.
const DEPTH: usize = 3;

/// Never expires. An expired lease is one of zero duration.
const LONG: Duration = Duration::from_secs(7 * 24 * 3600);
const ONE_SHARD: usize = 8;
const SHARDS: usize = 100_000;

#[test]
fn one_key_in_one_shard() {
    check(1, ONE_SHARD);
}

#[test]
fn one_key_in_several_shards() {
    check(1, SHARDS);
}

#[test]
fn two_keys_in_one_shard() {
    check(2, ONE_SHARD);
}

#[test]
fn two_keys_in_several_shards() {
    check(2, SHARDS);
}

fn check(keys: u8, capacity: usize) {
    shuttle::check_random(move || run(keys, capacity), SCHEDULES);
    shuttle::check_pct(move || run(keys, capacity), SCHEDULES, DEPTH);
}

/// Random calls for every schedule, and a check of every key after all have ended.
fn run(keys: u8, capacity: usize) {
    let store = MemoryStore::with_capacity(capacity);
    let clock = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let caller = Caller::new(number, &store, &clock);
            thread::spawn(move || (0..CALLS).flat_map(|_| caller.call(keys)).collect())
        })
        .collect();
    let mut histories: Vec<Vec<Event>> = Vec::new();
    for thread in threads {
        histories.push(thread.join().unwrap());
    }
    let all: Vec<_> = (0..keys).collect();
    let last = Caller::new(THREADS, &store, &clock);
    histories.push(last.claim(&all, true));
    // After a claim no key is absent.
    assert_eq!(store.len(), all.len());
    for key in all {
        let of_key = |history: &Vec<Event>| {
            let events = history.iter().filter(|event| event.key == key);
            events.copied().collect()
        };
        let histories: Vec<Vec<Event>> = histories.iter().map(of_key).collect();
        assert!(has_order(&histories), "no order explains {histories:#?}");
    }
}

/// One call on one key, with its result.
#[derive(Debug, Clone, Copy)]
struct Event {
    key: u8,
    caller: u8,
    began: u32,
    ended: u32,
    answer: Answer,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Claim { long: bool, claim: Claim },
    Renew(Renewal),
    Commit(Commit),
    Release,
}

/// A caller with its token, and the logical clock of all callers.
struct Caller {
    number: u8,
    store: MemoryStore,
    clock: Arc<AtomicU32>,
}

impl Caller {
    fn new(number: u8, store: &MemoryStore, clock: &Arc<AtomicU32>) -> Self {
        Self {
            number,
            store: store.clone(),
            clock: Arc::clone(clock),
        }
    }

    fn call(&self, keys: u8) -> Vec<Event> {
        let mut rng = thread_rng();
        let keys: &[u8] = match rng.gen_range(0..if keys == 1 { 1 } else { 4 }) {
            0 => &[0],
            1 => &[1],
            2 => &[0, 1],
            _ => &[1, 0],
        };
        match rng.gen_range(0..6) {
            0 | 1 => self.claim(keys, true),
            2 => self.claim(keys, false),
            3 => self.commit(keys),
            4 => self.renew(keys),
            _ => self.release(keys),
        }
    }

    fn claim(&self, keys: &[u8], long: bool) -> Vec<Event> {
        let lease = if long { LONG } else { Duration::ZERO };
        let began = self.now();
        let claims = done(self.store.claim(&names(keys), self.token(), lease));
        let answers = claims
            .into_iter()
            .map(|claim| Answer::Claim { long, claim });
        self.events(keys, began, answers.collect())
    }

    fn renew(&self, keys: &[u8]) -> Vec<Event> {
        let began = self.now();
        let renewals = done(self.store.renew(&names(keys), self.token(), LONG));
        let answers = renewals.into_iter().map(Answer::Renew);
        self.events(keys, began, answers.collect())
    }

    fn commit(&self, keys: &[u8]) -> Vec<Event> {
        let windows: Vec<_> = names(keys).into_iter().map(|key| (key, LONG)).collect();
        let began = self.now();
        let commits = done(self.store.commit(&windows, self.token()));
        let answers = commits.into_iter().map(Answer::Commit);
        self.events(keys, began, answers.collect())
    }

    fn release(&self, keys: &[u8]) -> Vec<Event> {
        let began = self.now();
        done(self.store.release(&names(keys), self.token()));
        self.events(keys, began, vec![Answer::Release; keys.len()])
    }

    fn events(&self, keys: &[u8], began: u32, answers: Vec<Answer>) -> Vec<Event> {
        assert_eq!(answers.len(), keys.len());
        let ended = self.now();
        let events = keys.iter().zip(answers).map(|(key, answer)| Event {
            key: *key,
            caller: self.number,
            began,
            ended,
            answer,
        });
        events.collect()
    }

    fn token(&self) -> Token {
        Token::from_bytes([self.number; 16])
    }

    fn now(&self) -> u32 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }
}

fn names(keys: &[u8]) -> Vec<EventKey> {
    let names = keys.iter().map(|key| EventKey::from_bytes([*key; 16]));
    names.collect()
}

/// The store waits only for its locks.
fn done<T>(call: impl Future<Output = Result<T, StoreError>>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("the call waits"),
    }
}

/// The model of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Absent,
    Held {
        by: u8,
    },
    /// Its lease expires during the call that claimed it, and that call ends then.
    Passed {
        by: u8,
        ended: u32,
    },
    Done,
}

impl State {
    /// The next state, if this result is possible in this state.
    fn after(self, event: Event) -> Option<Self> {
        let Event { caller, ended, .. } = event;
        // A call that read the clock earlier may see the lease as unexpired.
        let (by_another, may_be_free) = match self {
            Self::Held { by } => (by != caller, by == caller),
            Self::Passed { by, ended } => (by != caller && event.began < ended, true),
            Self::Absent | Self::Done => (false, true),
        };
        let held = self == Self::Held { by: caller };
        match event.answer {
            Answer::Claim { claim, .. } if self == Self::Done => {
                (claim == Claim::Done).then_some(self)
            }
            Answer::Claim { long, claim } => match claim {
                Claim::Claimed if !may_be_free => None,
                // A long lease is only extended.
                Claim::Claimed if long || held => Some(Self::Held { by: caller }),
                Claim::Claimed => Some(Self::Passed { by: caller, ended }),
                Claim::Pending => by_another.then_some(self),
                Claim::Done => None,
            },
            Answer::Renew(Renewal::Renewed) => {
                (may_be_free && self != Self::Done).then_some(Self::Held { by: caller })
            }
            Answer::Renew(Renewal::Lost) => (by_another || self == Self::Done).then_some(self),
            Answer::Commit(Commit::Recorded) => may_be_free.then_some(Self::Done),
            Answer::Commit(Commit::Fenced) => by_another.then_some(self),
            Answer::Release => Some(match self {
                Self::Held { by } | Self::Passed { by, .. } if by == caller => Self::Absent,
                _ => self,
            }),
        }
    }
}

/// Whether the histories have an order that the model explains.
fn has_order(histories: &[Vec<Event>]) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![(vec![0; histories.len()], State::Absent)];
    while let Some((next, state)) = open.pop() {
        let events: Vec<_> = histories
            .iter()
            .zip(&next)
            .map(|(history, next)| history.get(*next).copied())
            .collect();
        let Some(first_end) = events.iter().flatten().map(|event| event.ended).min() else {
            return true;
        };
        for (caller, event) in events.into_iter().enumerate() {
            let Some(event) = event.filter(|event| event.began <= first_end) else {
                continue;
            };
            if let Some(state) = state.after(event) {
                let mut next = next.clone();
                next[caller] += 1;
                if seen.insert((next.clone(), state)) {
                    open.push((next, state));
                }
            }
        }
    }
    false
}
