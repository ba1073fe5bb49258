//! The conformance suite for stores, and the memory store compared with a model.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, advance, sleep},
};
use tower_whatsapp::{
    dedup::{Claim, Commit, MemoryStore, Renewal, Store, StoreError, StoreErrorKind, Token},
    event::EventKey,
    testing::store::conformance,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Delay of a call that makes a lease of two seconds expire before it can be looked at.
const SLOW: Duration = Duration::from_millis(500);
/// The same for a lease of half a minute.
const TOO_SLOW: Duration = Duration::from_secs(9);

#[tokio::test(start_paused = true)]
async fn the_store_in_memory_conforms() {
    conformance(MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_on_threads_and_in_real_time() {
    let store = MemoryStore::new();
    // Twice concurrently: the runs use different keys.
    let mut runs = JoinSet::new();
    runs.spawn(conformance(store.clone()));
    runs.spawn(conformance(store));
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn conformance_passes_a_simple_store() {
    conformance(Simple::new(None)).await;
}

#[tokio::test(start_paused = true)]
async fn conformance_catches_every_broken_store() {
    let broken = [
        (Fault::CommitWithoutToken, "rule 2"),
        (Fault::ReleaseWithoutToken, "rule"),
        (Fault::ClaimInTwoSteps, "rule 1"),
        (Fault::AbsentTakenForDone, "never committed"),
        (Fault::AbsentTakenForRecorded, "rule 2"),
        (Fault::LateCommitInTwoSteps, "rule"),
        (Fault::CommitInTwoSteps, "rule"),
        (Fault::ReleaseOfDone, "rule 4"),
        (Fault::DoneShortenedByHolder, "rule 4"),
        (Fault::DoneShortenedByAnother, "rule 4"),
        (Fault::DoneTakenBackByAnother, "rule"),
        (Fault::DoneFenced, "rule 5"),
        (Fault::AbsentNotRecorded, "rule 3"),
        (Fault::AbsentFenced, "rule 3"),
        (Fault::LateFenced, "rule 3"),
        (Fault::ClaimNotRepeatable, "rule 5"),
        (Fault::CommitNotRepeatable, "rule 5"),
        (Fault::LeaseNeverPasses, "the lease"),
        (Fault::LeaseShortened, "the lease"),
        (Fault::TakeOverKeepsToken, "rule"),
        (Fault::ClaimsInOtherOrder, "rule"),
        (Fault::CommitsInOtherOrder, "rule"),
        (Fault::AnswersMissing, "rule 8"),
        (Fault::WindowShortened, "rule 4"),
        (Fault::WindowNeverPasses, "rule 4"),
        (Fault::OneWindowForAll, "rule 4"),
        (Fault::TokenComparedInPart, "rule 2"),
        (Fault::RenewWithoutToken, "rule"),
        (Fault::RenewInTwoSteps, "rule 1"),
        (Fault::RenewDoesNothing, "the lease"),
        (Fault::RenewNeverPasses, "the lease"),
        (Fault::RenewAbsentLost, "rule"),
        (Fault::RenewAbsentNotTaken, "rule 3"),
        (Fault::RenewOfDone, "rule 4"),
        (Fault::RenewDoneRenewed, "rule"),
        (Fault::RenewalsInOtherOrder, "rule"),
        (Fault::ClaimAdds, "the lease"),
        (Fault::RenewAdds, "the lease"),
        (Fault::LeaseInWholeSeconds, "the lease"),
        (Fault::LeaseAtMostHour, "the lease"),
        (Fault::RenewAtMostHour, "the lease"),
        (Fault::WindowInWholeSeconds, "rule 4"),
        (Fault::WindowAtMostMinute, "rule 4"),
        (Fault::WindowAtMostHour, "rule 4"),
        (Fault::WindowInU16Seconds, "rule 4"),
        (Fault::WindowInI32Micros, "rule 4"),
        (Fault::KeyCutAtNul, "rule"),
        (Fault::KeyCutToLast(4), "rule"),
        (Fault::KeyCutToLast(2), "rule"),
        (Fault::KeyAsText, "rule"),
        (Fault::KeyInAnyCase, "rule"),
        (Fault::Fails, "error"),
        (Fault::ClaimHangs, "a claim had no result"),
        (Fault::RenewHangs, "a renewal had no result"),
        (Fault::CommitHangs, "a commit had no result"),
        (Fault::ReleaseHangs, "a release had no result"),
    ];
    let without_byte = (0..16).map(|place| (Fault::KeyWithoutByte(place), "rule"));
    let mut missed = Vec::new();
    for (fault, rule) in broken.into_iter().chain(without_byte) {
        let Some(message) = failure(Simple::new(Some(fault))).await else {
            missed.push(fault);
            continue;
        };
        println!("{fault:?}: {message}");
        assert!(message.contains(rule), "{fault:?}: {message}");
    }
    assert_eq!(missed, [], "not caught");
}

#[tokio::test(start_paused = true)]
async fn conformance_catches_early_expiry_in_a_slow_store() {
    for (fault, rule) in [
        (Fault::ShortLeaseHalved, "the lease"),
        (Fault::ShortWindowHalved, "rule 4"),
    ] {
        let store = Simple::new(Some(fault)).slow(SLOW);
        let message = failure(store).await;
        assert!(
            message
                .as_deref()
                .is_some_and(|message| message.contains(rule) && message.contains("quarters")),
            "{fault:?}: {message:?}"
        );
    }
}

/// What cannot be observed in time has not been checked.
#[tokio::test(start_paused = true)]
async fn conformance_fails_a_store_that_is_too_slow_to_check() {
    for fault in [Fault::SlowClaims, Fault::SlowCommits] {
        let message = failure(Simple::new(Some(fault))).await;
        assert!(
            message
                .as_deref()
                .is_some_and(|message| message.contains("too slow to tell")),
            "{fault:?}: {message:?}"
        );
    }
}

/// Runs the suite. Returns the message of its panic.
async fn failure(store: Simple) -> Option<String> {
    let panic = tokio::spawn(conformance(store)).await.err()?.into_panic();
    let message = panic.downcast_ref::<String>().cloned();
    message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
}

/// Faults of a store.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    CommitWithoutToken,
    ReleaseWithoutToken,
    ClaimInTwoSteps,
    /// The recipe of earlier docs: a second statement looks up keys that were not claimed. A row
    /// that was deleted meanwhile has no token, like a done one.
    AbsentTakenForDone,
    /// The same in a commit.
    AbsentTakenForRecorded,
    LateCommitInTwoSteps,
    CommitInTwoSteps,
    ReleaseOfDone,
    DoneShortenedByHolder,
    DoneShortenedByAnother,
    DoneTakenBackByAnother,
    DoneFenced,
    AbsentNotRecorded,
    AbsentFenced,
    LateFenced,
    ClaimNotRepeatable,
    CommitNotRepeatable,
    LeaseNeverPasses,
    LeaseShortened,
    TakeOverKeepsToken,
    ClaimsInOtherOrder,
    CommitsInOtherOrder,
    AnswersMissing,
    WindowShortened,
    WindowNeverPasses,
    OneWindowForAll,
    TokenComparedInPart,
    RenewWithoutToken,
    RenewInTwoSteps,
    RenewDoesNothing,
    RenewNeverPasses,
    RenewAbsentLost,
    RenewAbsentNotTaken,
    RenewOfDone,
    RenewDoneRenewed,
    RenewalsInOtherOrder,
    /// Repeated claims add to the lease.
    ClaimAdds,
    /// Renewals add to the lease, instead of starting it again.
    RenewAdds,
    LeaseInWholeSeconds,
    ShortLeaseHalved,
    LeaseAtMostHour,
    RenewAtMostHour,
    WindowInWholeSeconds,
    ShortWindowHalved,
    WindowAtMostMinute,
    WindowAtMostHour,
    WindowInU16Seconds,
    WindowInI32Micros,
    KeyCutAtNul,
    KeyCutToLast(usize),
    /// Bytes that are not UTF-8 are replaced.
    KeyAsText,
    KeyInAnyCase,
    KeyWithoutByte(usize),
    Fails,
    ClaimHangs,
    RenewHangs,
    CommitHangs,
    ReleaseHangs,
    /// Claims under a lease of more than a second and less than a minute take [`TOO_SLOW`].
    SlowClaims,
    /// The same for commits.
    SlowCommits,
}

/// A store that breaks exactly one rule.
struct Simple {
    states: Mutex<HashMap<Vec<u8>, State>>,
    fault: Option<Fault>,
    delay: Duration,
}

#[derive(Clone, Copy)]
struct State {
    done: bool,
    token: Token,
    until: Instant,
}

impl Simple {
    fn new(fault: Option<Fault>) -> Self {
        Self {
            states: Mutex::default(),
            fault,
            delay: Duration::ZERO,
        }
    }

    /// Delays each call.
    fn slow(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    async fn hang(&self, fault: Fault) {
        sleep(self.delay).await;
        if self.has(fault) {
            std::future::pending::<()>().await;
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn same(&self, one: Token, other: Token) -> bool {
        if self.has(Fault::TokenComparedInPart) {
            return one.to_bytes()[..8] == other.to_bytes()[..8];
        }
        one == other
    }

    fn find(&self, key: &EventKey) -> Option<State> {
        let column = self.column(key);
        self.states.lock().unwrap().get(&column).copied()
    }

    fn set(&self, key: EventKey, done: bool, token: Token, until: Instant) {
        let (column, state) = (self.column(&key), State { done, token, until });
        self.states.lock().unwrap().insert(column, state);
    }

    fn remove(&self, key: &EventKey) {
        let column = self.column(key);
        self.states.lock().unwrap().remove(&column);
    }

    /// The stored form of a key.
    fn column(&self, key: &EventKey) -> Vec<u8> {
        let mut bytes = key.to_bytes().to_vec();
        match self.fault {
            Some(Fault::KeyCutAtNul) => {
                let end = bytes.iter().position(|byte| *byte == 0);
                bytes.truncate(end.unwrap_or(bytes.len()));
            }
            Some(Fault::KeyCutToLast(count)) => drop(bytes.drain(..16 - count)),
            Some(Fault::KeyAsText) => bytes = String::from_utf8_lossy(&bytes).as_bytes().to_vec(),
            Some(Fault::KeyInAnyCase) => bytes.make_ascii_lowercase(),
            Some(Fault::KeyWithoutByte(place)) => drop(bytes.remove(place)),
            _ => {}
        }
        bytes
    }

    /// The stored form of a lease.
    fn lease(&self, lease: Duration) -> Duration {
        match self.fault {
            Some(Fault::LeaseShortened) => lease / 2,
            Some(Fault::ShortLeaseHalved) if lease < MINUTE => lease / 2,
            Some(Fault::LeaseInWholeSeconds) => Duration::from_secs(lease.as_secs()),
            Some(Fault::LeaseAtMostHour) => lease.min(HOUR),
            _ => lease,
        }
    }

    /// The stored form of a window.
    fn window(&self, window: Duration) -> Duration {
        match self.fault {
            Some(Fault::WindowShortened) => window / 2,
            Some(Fault::ShortWindowHalved) if window < MINUTE => window / 2,
            Some(Fault::WindowInWholeSeconds) => Duration::from_secs(window.as_secs()),
            Some(Fault::WindowAtMostMinute) => window.min(MINUTE),
            Some(Fault::WindowAtMostHour) => window.min(HOUR),
            Some(Fault::WindowInU16Seconds) => {
                Duration::from_secs((window.as_secs() as u16).into())
            }
            Some(Fault::WindowInI32Micros) => {
                let micros = window.as_micros() as i32;
                Duration::from_micros(micros.try_into().unwrap_or(0))
            }
            _ => window,
        }
    }

    fn lives(&self, state: State) -> bool {
        Instant::now() < state.until
            || self.has(Fault::LeaseNeverPasses) && !state.done
            || self.has(Fault::WindowNeverPasses) && state.done
    }
}

impl Store for Simple {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.hang(Fault::ClaimHangs).await;
        if self.has(Fault::Fails) {
            return Err(StoreError::unavailable("on purpose"));
        }
        if self.has(Fault::SlowClaims) && lease > SECOND && lease < MINUTE {
            sleep(TOO_SLOW).await;
        }
        let lease = self.lease(lease);
        let mut claims = Vec::new();
        for key in keys {
            let found = self.find(key);
            if self.has(Fault::ClaimInTwoSteps) {
                yield_now().await;
            }
            let claim = match found.filter(|state| self.lives(*state)) {
                Some(state) if state.done => Claim::Done,
                Some(state) if !self.same(state.token, token) => Claim::Pending,
                Some(_) if self.has(Fault::ClaimNotRepeatable) => Claim::Pending,
                _ => Claim::Claimed,
            };
            if claim == Claim::Claimed {
                let keeps = self.has(Fault::TakeOverKeepsToken);
                let holder = found.filter(|state| keeps && !state.done);
                let holder = holder.map_or(token, |state| state.token);
                let adds = self.has(Fault::ClaimAdds);
                let from = found.filter(|state| adds && self.lives(*state));
                let from = from.map_or_else(Instant::now, |state| state.until);
                self.set(*key, false, holder, from + lease);
            }
            claims.push(claim);
        }
        if self.has(Fault::AbsentTakenForDone) && claims.contains(&Claim::Pending) {
            yield_now().await;
            for (key, claim) in keys.iter().zip(&mut claims) {
                if *claim == Claim::Pending && self.find(key).is_none_or(|state| state.done) {
                    *claim = Claim::Done;
                }
            }
        }
        if self.has(Fault::ClaimsInOtherOrder) {
            claims.reverse();
        }
        if self.has(Fault::AnswersMissing) {
            claims.truncate(500);
        }
        Ok(claims)
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        self.hang(Fault::RenewHangs).await;
        let mut renewals = Vec::new();
        for key in keys {
            let lease = match self.fault {
                Some(Fault::RenewNeverPasses) => HOUR,
                Some(Fault::RenewAtMostHour) => lease.min(HOUR),
                _ => lease,
            };
            let found = self.find(key).filter(|state| self.lives(*state));
            let from = found.filter(|_| self.has(Fault::RenewAdds));
            let until = from.map_or_else(Instant::now, |state| state.until) + lease;
            let renewal = match found {
                Some(state) if state.done => {
                    if self.has(Fault::RenewOfDone) {
                        self.set(*key, false, token, until);
                    }
                    if self.has(Fault::RenewDoneRenewed) {
                        Renewal::Renewed
                    } else {
                        Renewal::Lost
                    }
                }
                Some(state)
                    if !self.same(state.token, token) && !self.has(Fault::RenewWithoutToken) =>
                {
                    Renewal::Lost
                }
                Some(_) if self.has(Fault::RenewDoesNothing) => Renewal::Renewed,
                None if self.has(Fault::RenewAbsentLost) => Renewal::Lost,
                None if self.has(Fault::RenewAbsentNotTaken) => Renewal::Renewed,
                _ => {
                    if self.has(Fault::RenewInTwoSteps) {
                        self.remove(key);
                        yield_now().await;
                    }
                    self.set(*key, false, token, until);
                    Renewal::Renewed
                }
            };
            renewals.push(renewal);
        }
        if self.has(Fault::RenewalsInOtherOrder) {
            renewals.reverse();
        }
        Ok(renewals)
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        self.hang(Fault::CommitHangs).await;
        let mut commits = Vec::new();
        let first = keys.first().map(|(_, window)| *window);
        if self.has(Fault::SlowCommits) && first.is_some_and(|time| time > SECOND && time < MINUTE)
        {
            sleep(TOO_SLOW).await;
        }
        for (key, window) in keys {
            let mut window = *window;
            if self.has(Fault::OneWindowForAll) {
                window = first.unwrap_or(window);
            }
            let until = Instant::now() + self.window(window);
            let found = self.find(key);
            let commit = match found {
                Some(state) if state.done && self.lives(state) => {
                    let holder = state.token == token;
                    if self.has(Fault::DoneShortenedByHolder) && holder
                        || self.has(Fault::DoneShortenedByAnother) && !holder
                    {
                        self.set(*key, true, state.token, until);
                    }
                    if self.has(Fault::DoneTakenBackByAnother) && !holder {
                        self.remove(key);
                    }
                    if self.has(Fault::DoneFenced) && !holder
                        || self.has(Fault::CommitNotRepeatable) && holder
                    {
                        Commit::Fenced
                    } else {
                        Commit::Recorded
                    }
                }
                Some(state)
                    if !state.done && self.lives(state) && !self.same(state.token, token) =>
                {
                    if self.has(Fault::CommitWithoutToken) {
                        self.set(*key, true, token, until);
                        Commit::Recorded
                    } else {
                        Commit::Fenced
                    }
                }
                Some(state) if !state.done && !self.lives(state) && self.has(Fault::LateFenced) => {
                    Commit::Fenced
                }
                None if self.has(Fault::AbsentFenced) => Commit::Fenced,
                None if self.has(Fault::AbsentNotRecorded) => Commit::Recorded,
                _ => {
                    if self.has(Fault::CommitInTwoSteps) {
                        self.remove(key);
                        yield_now().await;
                    }
                    if self.has(Fault::LateCommitInTwoSteps) && found.is_none() {
                        yield_now().await;
                    }
                    self.set(*key, true, token, until);
                    Commit::Recorded
                }
            };
            commits.push(commit);
        }
        if self.has(Fault::AbsentTakenForRecorded) && commits.contains(&Commit::Fenced) {
            yield_now().await;
            for ((key, _), commit) in keys.iter().zip(&mut commits) {
                if *commit == Commit::Fenced && self.find(key).is_none_or(|state| state.done) {
                    *commit = Commit::Recorded;
                }
            }
        }
        if self.has(Fault::CommitsInOtherOrder) {
            commits.reverse();
        }
        Ok(commits)
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        self.hang(Fault::ReleaseHangs).await;
        for key in keys {
            if let Some(state) = self.find(key) {
                let holder = self.same(state.token, token) || self.has(Fault::ReleaseWithoutToken);
                let pending = !state.done || self.has(Fault::ReleaseOfDone);
                if holder && pending {
                    self.remove(key);
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Claim {
        keys: Vec<u8>,
        token: u8,
        lease: u64,
    },
    Renew {
        keys: Vec<u8>,
        token: u8,
        lease: u64,
    },
    Commit {
        keys: Vec<(u8, u64)>,
        token: u8,
    },
    Release {
        keys: Vec<u8>,
        token: u8,
    },
    Advance {
        millis: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || proptest::sample::subsequence((0..6).collect::<Vec<u8>>(), 0..=6).prop_shuffle();
    let millis = || {
        prop_oneof![
            Just(0),
            1..5_000_u64,
            Just(1_000),
            Just(HOUR.as_millis() as u64 * 7)
        ]
    };
    let claim = (keys(), 0..3_u8, millis());
    let renewal = (keys(), 0..3_u8, millis());
    let windows = keys().prop_flat_map(move |keys| {
        let length = keys.len();
        (Just(keys), vec(millis(), length))
            .prop_map(|(keys, windows)| keys.into_iter().zip(windows).collect())
    });
    let step = prop_oneof![
        3 => claim.prop_map(|(keys, token, lease)| Step::Claim { keys, token, lease }),
        2 => renewal.prop_map(|(keys, token, lease)| Step::Renew { keys, token, lease }),
        3 => (windows, 0..3_u8).prop_map(|(keys, token)| Step::Commit { keys, token }),
        2 => (keys(), 0..3_u8).prop_map(|(keys, token)| Step::Release { keys, token }),
        2 => millis().prop_map(|millis| Step::Advance { millis }),
    ];
    vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: test_support::repetitions(1000) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_its_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(follow(steps))?;
    }
}

async fn follow(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store = MemoryStore::new();
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Claim { keys, token, lease } => {
                let (keys, token): (Vec<_>, _) = (keys.into_iter().map(key).collect(), name(token));
                let lease = Duration::from_millis(lease);
                let claims = store.claim(&keys, token, lease).await.unwrap();
                let expected: Vec<_> = keys
                    .iter()
                    .map(|key| model.claim(*key, token, lease))
                    .collect();
                prop_assert_eq!(claims, expected);
            }
            Step::Renew { keys, token, lease } => {
                let (keys, token): (Vec<_>, _) = (keys.into_iter().map(key).collect(), name(token));
                let lease = Duration::from_millis(lease);
                let renewals = store.renew(&keys, token, lease).await.unwrap();
                let expected: Vec<_> = keys
                    .iter()
                    .map(|key| match model.claim(*key, token, lease) {
                        Claim::Claimed => Renewal::Renewed,
                        Claim::Pending | Claim::Done => Renewal::Lost,
                    })
                    .collect();
                prop_assert_eq!(renewals, expected);
            }
            Step::Commit { keys, token } => {
                let keys: Vec<_> = keys
                    .into_iter()
                    .map(|(number, window)| (key(number), Duration::from_millis(window)))
                    .collect();
                let token = name(token);
                let commits = store.commit(&keys, token).await.unwrap();
                let expected: Vec<_> = keys
                    .iter()
                    .map(|(key, window)| model.commit(*key, *window, token))
                    .collect();
                prop_assert_eq!(commits, expected);
            }
            Step::Release { keys, token } => {
                let (keys, token): (Vec<_>, _) = (keys.into_iter().map(key).collect(), name(token));
                store.release(&keys, token).await.unwrap();
                keys.iter().for_each(|key| model.release(*key, token));
            }
            Step::Advance { millis } => advance(Duration::from_millis(millis)).await,
        }
        prop_assert_eq!(store.pending(), model.pending());
        prop_assert!(store.len() >= model.len());
        prop_assert!(store.len() <= 6);
        prop_assert_eq!(store.effective_window(), None);
    }
    Ok(())
}

/// A model of the rules per key, with the store's clock.
struct Model {
    start: Instant,
    states: HashMap<EventKey, (Option<Token>, Duration)>,
}

impl Model {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            states: HashMap::new(),
        }
    }

    fn find(&self, key: EventKey) -> Option<Option<Token>> {
        let (holder, until) = self.states.get(&key)?;
        (self.start.elapsed() < *until).then_some(*holder)
    }

    fn claim(&mut self, key: EventKey, token: Token, lease: Duration) -> Claim {
        // Nothing expires in the store's first nanosecond.
        let until = (self.start.elapsed() + lease).max(Duration::from_nanos(1));
        match self.find(key) {
            None => {
                self.states.insert(key, (Some(token), until));
                Claim::Claimed
            }
            Some(None) => Claim::Done,
            Some(Some(holder)) if holder == token => {
                let until = until.max(self.states[&key].1);
                self.states.insert(key, (Some(token), until));
                Claim::Claimed
            }
            Some(Some(_)) => Claim::Pending,
        }
    }

    fn commit(&mut self, key: EventKey, window: Duration, token: Token) -> Commit {
        match self.find(key) {
            Some(None) => {}
            Some(Some(holder)) if holder != token => return Commit::Fenced,
            _ => {
                let until = self.start.elapsed() + window;
                // Nor do done keys in its first second.
                let seconds = until.as_nanos().div_ceil(1_000_000_000).max(1);
                self.states
                    .insert(key, (None, Duration::from_secs(seconds as u64)));
            }
        }
        Commit::Recorded
    }

    fn release(&mut self, key: EventKey, token: Token) {
        if self
            .states
            .get(&key)
            .is_some_and(|(holder, _)| *holder == Some(token))
        {
            self.states.remove(&key);
        }
    }

    fn pending(&self) -> usize {
        self.states
            .keys()
            .filter(|key| matches!(self.find(**key), Some(Some(_))))
            .count()
    }

    fn len(&self) -> usize {
        self.states
            .keys()
            .filter(|key| self.find(**key).is_some())
            .count()
    }
}

fn key(number: impl Into<u64>) -> EventKey {
    EventKey::from_bytes(u128::from(number.into()).to_be_bytes())
}

fn name(number: u8) -> Token {
    Token::from_bytes([number; 16])
}

/// The store never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory waits"),
    }
}

const TASKS: u64 = 64;

/// 64 tasks on four threads. Each key's model is locked while the store is called, so it predicts
/// the exact result. The keys of all tasks share shards, and tables grow and shards are swept
/// during the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_million_operations_agree_with_a_model() {
    const CELLS: u64 = 400;
    const CALLS: u64 = 7_000;

    /// A key and its holder. When it has been done for a while, another key replaces it.
    struct Cell {
        key: EventKey,
        state: Option<Result<(), Token>>,
        done: u32,
    }

    let store = MemoryStore::new();
    let fresh = Arc::new(AtomicU64::new(CELLS));
    let cells = (0..CELLS).map(|number| {
        Mutex::new(Cell {
            key: key(number),
            state: None,
            done: 0,
        })
    });
    let cells: Arc<[_]> = cells.collect();
    let operations = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, cells) = (store.clone(), Arc::clone(&cells));
        let (fresh, operations) = (Arc::clone(&fresh), Arc::clone(&operations));
        tasks.spawn(async move {
            let mut random = Random(task + 1);
            let mine = Token::random();
            for call in 0..CALLS {
                {
                    let mut places: Vec<_> =
                        (0..=random.below(4)).map(|_| random.below(CELLS)).collect();
                    // Always in the same order, to avoid deadlocks.
                    places.sort_unstable();
                    places.dedup();
                    let mut locked: Vec<_> = places
                        .iter()
                        .map(|place| cells[*place as usize].lock().unwrap())
                        .collect();
                    for cell in &mut locked {
                        if cell.done > 8 {
                            let number = fresh.fetch_add(1, Ordering::Relaxed);
                            **cell = Cell {
                                key: key(number),
                                state: None,
                                done: 0,
                            };
                        }
                        cell.done += u32::from(cell.state == Some(Ok(())));
                    }
                    let keys: Vec<_> = locked.iter().map(|cell| cell.key).collect();
                    operations.fetch_add(keys.len() as u64, Ordering::Relaxed);
                    match random.below(10) {
                        lease @ 0..4 => {
                            // Some leases expire at once.
                            let lapses = lease == 0;
                            let lease = if lapses { Duration::ZERO } else { HOUR };
                            let claims = now(store.claim(&keys, mine, lease)).unwrap();
                            for (cell, claim) in locked.iter_mut().zip(claims) {
                                let expected = match cell.state {
                                    None => Claim::Claimed,
                                    Some(Err(holder)) if holder == mine => Claim::Claimed,
                                    Some(Err(_)) => Claim::Pending,
                                    Some(Ok(())) => Claim::Done,
                                };
                                assert_eq!(claim, expected);
                                if cell.state.is_none() && !lapses {
                                    cell.state = Some(Err(mine));
                                }
                            }
                        }
                        8.. => {
                            let renewals = now(store.renew(&keys, mine, HOUR)).unwrap();
                            for (cell, renewal) in locked.iter_mut().zip(renewals) {
                                let lost = match cell.state {
                                    None => false,
                                    Some(Err(holder)) => holder != mine,
                                    Some(Ok(())) => true,
                                };
                                assert_eq!(renewal == Renewal::Lost, lost);
                                if !lost {
                                    cell.state = Some(Err(mine));
                                }
                            }
                        }
                        4..6 => {
                            let windows: Vec<_> = keys.iter().map(|key| (*key, WEEK)).collect();
                            let commits = now(store.commit(&windows, mine)).unwrap();
                            for (cell, commit) in locked.iter_mut().zip(commits) {
                                if matches!(cell.state, Some(Err(holder)) if holder != mine) {
                                    assert_eq!(commit, Commit::Fenced);
                                } else {
                                    assert_eq!(commit, Commit::Recorded);
                                    cell.state = Some(Ok(()));
                                }
                            }
                        }
                        _ => {
                            now(store.release(&keys, mine)).unwrap();
                            for cell in &mut locked {
                                if cell.state == Some(Err(mine)) {
                                    cell.state = None;
                                }
                            }
                        }
                    }
                }
                if call % 16 == 0 {
                    yield_now().await;
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let count = operations.load(Ordering::Relaxed);
    assert!(count >= 1_000_000, "{count}");
    let held = cells
        .iter()
        .filter(|cell| matches!(cell.lock().unwrap().state, Some(Err(_))));
    assert_eq!(store.pending(), held.count());
}

/// 64 tasks without further locks: no two tasks hold the same key, and nobody gets a done key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_who_race_one_holds_a_key() {
    const KEYS: u64 = 2_000;

    #[derive(Default)]
    struct Cell {
        holders: AtomicU32,
        done: AtomicBool,
    }

    let store = MemoryStore::new();
    let cells: Arc<[_]> = (0..KEYS).map(|_| Cell::default()).collect();
    let runs = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, cells, runs) = (store.clone(), Arc::clone(&cells), Arc::clone(&runs));
        tasks.spawn(async move {
            let mut random = Random(task + 1);
            // All tasks visit the keys in the same order, so that they collide.
            for step in 0..KEYS * 3 {
                let number = (step / 3 + random.below(3)) % KEYS;
                let (cell, key) = (&cells[number as usize], key(number));
                let mine = Token::random();
                let was_done = cell.done.load(Ordering::SeqCst);
                let claims = now(store.claim(&[key], mine, HOUR)).unwrap();
                if claims == [Claim::Claimed] {
                    assert!(!was_done, "claimed what was done");
                    assert_eq!(
                        cell.holders.fetch_add(1, Ordering::SeqCst),
                        0,
                        "two hold a key"
                    );
                    if random.below(2) == 0 {
                        yield_now().await;
                    }
                    assert_eq!(cell.holders.load(Ordering::SeqCst), 1, "two hold a key");
                    if random.below(4) == 0 {
                        let commits = now(store.commit(&[(key, WEEK)], mine)).unwrap();
                        assert_eq!(commits, [Commit::Recorded]);
                        assert!(!cell.done.swap(true, Ordering::SeqCst), "done twice");
                        runs.fetch_add(1, Ordering::SeqCst);
                    } else {
                        cell.holders.fetch_sub(1, Ordering::SeqCst);
                        now(store.release(&[key], mine)).unwrap();
                    }
                } else {
                    // Operations under a wrong token have no effect.
                    assert!(claims == [Claim::Done] || !was_done);
                    now(store.release(&[key], mine)).unwrap();
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(store.pending(), 0);
    assert_eq!(store.len(), runs.load(Ordering::SeqCst));
    assert!(store.len() > KEYS as usize / 2, "{}", store.len());
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Claims and commits the keys with these numbers.
async fn handle(store: &MemoryStore, numbers: impl IntoIterator<Item = u64>, window: Duration) {
    let token = Token::random();
    let keys: Vec<_> = numbers.into_iter().map(key).collect();
    let windows: Vec<_> = keys.iter().map(|key| (*key, window)).collect();
    let claims = store.claim(&keys, token, SECOND).await.unwrap();
    assert!(claims.iter().all(|claim| *claim == Claim::Claimed));
    store.commit(&windows, token).await.unwrap();
}

/// Whether the key with this number is done.
async fn done(store: &MemoryStore, number: u64) -> bool {
    let token = Token::random();
    let claims = store.claim(&[key(number)], token, SECOND).await.unwrap();
    store.release(&[key(number)], token).await.unwrap();
    claims == [Claim::Done]
}

#[tokio::test(start_paused = true)]
async fn a_full_store_forgets_what_ends_soonest() {
    let store = MemoryStore::with_capacity(160);
    assert_eq!((store.capacity(), store.len()), (160, 0));
    // The first ten expire before all others, and were not committed first.
    handle(&store, 10..170, WEEK).await;
    advance(HOUR).await;
    handle(&store, 0..10, 2 * HOUR).await;
    assert_eq!((store.len(), store.effective_window()), (170, None));
    advance(Duration::from_secs(600)).await;
    handle(&store, [1000], WEEK).await;
    assert_eq!(store.len(), 161);
    assert_eq!(store.effective_window(), Some(Duration::from_secs(600)));
    for number in 10..170 {
        assert!(done(&store, number).await, "{number}");
    }
    for number in 0..10 {
        assert!(!done(&store, number).await, "{number}");
    }
}

/// Of entries that expire in the same second, only as many as necessary are evicted.
#[tokio::test(start_paused = true)]
async fn an_eviction_leaves_the_capacity() {
    let store = MemoryStore::with_capacity(160);
    handle(&store, 0..5, HOUR).await;
    handle(&store, 5..170, WEEK).await;
    handle(&store, [1000], WEEK).await;
    assert_eq!(store.len(), 161);
    for number in 0..5 {
        assert!(!done(&store, number).await, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_passed_goes_before_what_has_not() {
    let store = MemoryStore::with_capacity(100);
    handle(&store, 0..50, SECOND).await;
    handle(&store, 50..105, HOUR).await;
    let lapsed = store
        .claim(&[key(105_u64)], Token::random(), SECOND)
        .await
        .unwrap();
    assert_eq!(lapsed, [Claim::Claimed]);
    advance(SECOND).await;
    assert_eq!((store.len(), store.pending()), (106, 0));
    handle(&store, [106], HOUR).await;
    assert_eq!((store.len(), store.effective_window()), (56, None));
    for number in 50..105 {
        assert!(done(&store, number).await, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_pending_is_never_evicted() {
    let store = MemoryStore::with_capacity(19);
    let (first, second) = (Token::random(), Token::random());
    let keys: Vec<_> = (0..20_u64).map(key).collect();
    store.claim(&keys[..15], first, HOUR).await.unwrap();
    handle(&store, 100..105, WEEK).await;
    // Five more fit, one after the other, each replacing a done entry.
    for key in &keys[15..] {
        assert_eq!(
            store.claim(&[*key], first, HOUR).await.unwrap(),
            [Claim::Claimed]
        );
    }
    assert_eq!((store.len(), store.pending()), (20, 20));
    let error = store
        .claim(&[key(200_u64)], second, HOUR)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    // Existing keys can still be looked up.
    assert_eq!(
        store.claim(&keys[..1], second, HOUR).await.unwrap(),
        [Claim::Pending]
    );
    assert_eq!(
        store.claim(&keys, first, HOUR).await.unwrap(),
        [Claim::Claimed; 20]
    );
    // Absent keys cannot be committed, but the others are.
    let error = store
        .commit(&[(key(200_u64), WEEK), (keys[19], WEEK)], first)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert_eq!(
        store.claim(&keys[19..], second, HOUR).await.unwrap(),
        [Claim::Done]
    );
    assert_eq!(store.pending(), 19);
    // After the leases there is room again.
    advance(HOUR).await;
    handle(&store, 200..219, WEEK).await;
    assert_eq!(store.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_renews_what_is_held() {
    let store = MemoryStore::with_capacity(19);
    let token = Token::random();
    let keys: Vec<_> = (0..21_u64).map(key).collect();
    store.claim(&keys[..20], token, HOUR).await.unwrap();
    advance(HOUR / 2).await;
    let error = store.renew(&keys, token, HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    advance(HOUR / 2).await;
    assert_eq!((store.len(), store.pending()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_finds_no_room_takes_nothing() {
    let store = MemoryStore::with_capacity(19);
    let (first, second) = (Token::random(), Token::random());
    let keys: Vec<_> = (0..30_u64).map(key).collect();
    store.claim(&keys[..18], first, HOUR).await.unwrap();
    let error = store.claim(&keys[16..], second, HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert_eq!((store.len(), store.pending()), (18, 18));
    // The caller keeps what it held before.
    let error = store.claim(&keys[10..], first, HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert_eq!((store.len(), store.pending()), (18, 18));
    let claims = store.claim(&keys[10..18], second, HOUR).await.unwrap();
    assert_eq!(claims, [Claim::Pending; 8]);
}

/// A batch that does not fit as a whole evicts nothing, in one shard or in several.
#[tokio::test(start_paused = true)]
async fn a_refused_claim_evicts_nothing() {
    for (capacity, held) in [(160, 60), (20, 0), (30_000, 11_000)] {
        let store = MemoryStore::with_capacity(capacity);
        let pending: Vec<_> = (0..held).map(|number| key(1_000_000 + number)).collect();
        let (first, second) = (Token::random(), Token::random());
        store.claim(&pending, first, HOUR).await.unwrap();
        let done_before = capacity as u64 - held;
        handle(&store, 0..done_before, WEEK).await;
        let before = (store.len(), store.pending());
        assert_eq!(before, (capacity, held as usize));

        let batch: Vec<_> = (0..2 * capacity as u64)
            .map(|number| key(2_000_000 + number))
            .collect();
        for _ in 0..3 {
            let error = store.claim(&batch, second, HOUR).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Full);
        }
        assert_eq!((store.len(), store.pending()), before);
        assert_eq!(store.effective_window(), None);
        for number in 0..done_before {
            assert!(done(&store, number).await, "{number} of {capacity}");
        }
        // A failed claim does not reserve room: a batch that fits succeeds.
        let fits = (capacity as u64 - held) / 2;
        let claims = store.claim(&batch[..fits as usize], second, HOUR).await;
        let claims = claims.unwrap();
        assert!(claims.iter().all(|claim| *claim == Claim::Claimed));
        assert_eq!(store.pending() as u64, held + fits);
        store.release(&batch, second).await.unwrap();
        let claims = store.claim(&batch[..fits as usize], second, HOUR).await;
        assert_eq!(claims.unwrap().len() as u64, fits);
    }
}

/// The documented rates, scaled down: the capacity is the rate times the window, and nothing is
/// evicted within the window.
#[tokio::test(start_paused = true)]
async fn a_capacity_of_rate_times_window_is_enough() {
    const WINDOW: Duration = Duration::from_secs(169 * 3600);
    const STEP: Duration = Duration::from_secs(600);
    for capacity in [1_014, 25_350, 101_400] {
        let store = MemoryStore::with_capacity(capacity as usize);
        let steps = WINDOW.as_secs() / STEP.as_secs();
        let batch = capacity / steps;
        // The documented mean is that of a week: the capacity is used up when the
        // first entries expire.
        for step in 0..2 * steps {
            handle(&store, step * batch..(step + 1) * batch, WINDOW).await;
            advance(STEP).await;
            assert_eq!(store.effective_window(), None, "{capacity}: step {step}");
        }
        // The entries of the last step but one are as old as the window allows.
        for number in (steps + 1) * batch..2 * steps * batch {
            assert!(done(&store, number).await, "{number} of {capacity}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_capacity_makes_a_store() {
    for capacity in [0, 1, usize::MAX / 2, usize::MAX] {
        let store = MemoryStore::with_capacity(capacity);
        let expected = capacity.clamp(1, MemoryStore::MAX_CAPACITY);
        assert_eq!(store.capacity(), expected);
        handle(&store, [1], WEEK).await;
        assert!(done(&store, 1).await);
    }
}

#[tokio::test(start_paused = true)]
async fn the_effective_window_is_that_of_late() {
    let store = MemoryStore::with_capacity(8);
    handle(&store, 0..8, WEEK).await;
    advance(5 * HOUR).await;
    handle(&store, [10], WEEK).await;
    assert_eq!(store.effective_window(), Some(5 * HOUR));
    // Later in the same hour.
    advance(HOUR / 2).await;
    handle(&store, [11], WEEK).await;
    assert_eq!(store.effective_window(), Some(5 * HOUR));
    advance(HOUR / 2).await;
    handle(&store, [12], WEEK).await;
    // The minimum of this hour and the previous one.
    assert_eq!(store.effective_window(), Some(5 * HOUR));
    advance(HOUR).await;
    assert_eq!(store.effective_window(), Some(6 * HOUR));
    advance(HOUR).await;
    assert_eq!(store.effective_window(), None);
    handle(&store, [13], WEEK).await;
    assert_eq!(store.effective_window(), Some(8 * HOUR));
}

/// Of several shards, the one that forgot the soonest counts.
#[tokio::test(start_paused = true)]
async fn the_effective_window_is_the_shortest_of_all_shards() {
    let store = MemoryStore::with_capacity(30_000);
    handle(&store, 0..30_000, WEEK).await;
    advance(5 * HOUR).await;
    let mut next = 30_000;
    while store.effective_window().is_none() {
        handle(&store, [next], WEEK).await;
        next += 1;
    }
    advance(HOUR / 2).await;
    handle(&store, next..next + 10_000, WEEK).await;
    assert_eq!(store.effective_window(), Some(5 * HOUR));
}

#[tokio::test(start_paused = true)]
async fn what_has_passed_is_thrown_away_in_time() {
    let store = MemoryStore::new();
    for batch in 0..100_u64 {
        handle(&store, batch * 1000..(batch + 1) * 1000, HOUR).await;
    }
    assert_eq!(store.len(), 100_000);
    advance(7 * HOUR).await;
    // Each call sweeps its shard if that is due. 5,000 keys leave out none of some 90 shards.
    for number in 0..5_000_u64 {
        handle(&store, [1_000_000 + number], HOUR).await;
    }
    assert_eq!(store.len(), 5_000);
    assert_eq!(store.clone().len(), 5_000);
}

/// Expired entries stay until the next sweep, however often the store is called.
#[tokio::test(start_paused = true)]
async fn a_shard_is_swept_after_six_hours() {
    let store = MemoryStore::with_capacity(100);
    for _ in 0..3 {
        handle(&store, 0..10, SECOND).await;
        advance(6 * HOUR - SECOND).await;
        handle(&store, [10], HOUR).await;
        handle(&store, [11], HOUR).await;
        assert_eq!(store.len(), 12);
        advance(SECOND).await;
        assert!(done(&store, 10).await);
        assert_eq!(store.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn rooms_of_every_size_hold_what_they_say() {
    for capacity in [
        0, 1, 2, 3, 15, 16, 17, 11_999, 12_000, 12_001, 30_000, 100_000,
    ] {
        let store = MemoryStore::with_capacity(capacity);
        let capacity = capacity.max(1);
        assert_eq!(store.capacity(), capacity);
        for number in 0..capacity as u64 * 5 / 4 + 2 {
            handle(&store, [number], WEEK).await;
            assert!(done(&store, number).await);
            let count = number as usize + 1;
            if number % 64 == 0 || capacity < 20 {
                let length = store.len();
                assert!(length >= count.min(capacity), "{length} of {capacity}");
                assert!(length <= capacity + capacity / 6, "{length} of {capacity}");
            }
            if count <= capacity {
                assert_eq!(store.effective_window(), None, "{count} of {capacity}");
            }
        }
        assert!(store.effective_window().is_some(), "{capacity}");
    }
}

#[tokio::test(start_paused = true)]
async fn extremes_of_time_are_no_trouble() {
    let store = MemoryStore::new();
    let token = Token::random();
    store
        .claim(&[key(1_u64)], token, Duration::MAX)
        .await
        .unwrap();
    store
        .commit(
            &[(key(2_u64), Duration::MAX), (key(3_u64), Duration::ZERO)],
            token,
        )
        .await
        .unwrap();
    advance(100 * 52 * WEEK).await;
    let claims = store
        .claim(
            &[key(1_u64), key(2_u64), key(3_u64)],
            Token::random(),
            SECOND,
        )
        .await
        .unwrap();
    assert_eq!(claims, [Claim::Pending, Claim::Done, Claim::Claimed]);
}

#[tokio::test]
async fn debug_shows_counts_only() {
    let store = MemoryStore::with_capacity(100);
    handle(&store, 0..3, WEEK).await;
    store
        .claim(&[key(9_u64)], Token::random(), HOUR)
        .await
        .unwrap();
    assert_eq!(
        format!("{store:?}"),
        "MemoryStore { len: 4, pending: 1, capacity: 100 }"
    );
    assert!(!store.is_empty() && MemoryStore::default().is_empty());
}
