use std::{
    future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::random::{Random, checked_probability};
use crate::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

/// A store that fails as stores behind a network do, by chance and in the same way for the same seed.
///
/// Each operation has its [`Faults`]; without them it does what the store inside does. For the tests of whatever relies on a store: no
/// event may be lost, whatever happens here. All clones are one.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp::{
///     dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
///     event::EventKey,
///     testing::{Faults, FaultyStore},
/// };
///
/// /// A store that forgets everything.
/// struct Nothing;
///
/// impl Store for Nothing {
///     async fn claim(&self, keys: &[EventKey], _: Token, _: Duration) -> Result<Vec<Claim>, StoreError> {
///         Ok(vec![Claim::Claimed; keys.len()])
///     }
///
///     async fn renew(&self, keys: &[EventKey], _: Token, _: Duration) -> Result<Vec<Renewal>, StoreError> {
///         Ok(vec![Renewal::Renewed; keys.len()])
///     }
///
///     async fn commit(&self, keys: &[(EventKey, Duration)], _: Token) -> Result<Vec<Commit>, StoreError> {
///         Ok(vec![Commit::Recorded; keys.len()])
///     }
///
///     async fn release(&self, _: &[EventKey], _: Token) -> Result<(), StoreError> {
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = FaultyStore::new(Nothing, 1).on_claim(Faults::none().error(1.0));
/// let claim = || store.claim(&[], Token::random(), Duration::from_secs(30));
/// assert!(claim().await.is_err());
/// store.quiet();
/// assert!(claim().await.is_ok());
/// assert_eq!(store.counts().errors, 1);
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    shared: Arc<Shared<S>>,
    claim: Faults,
    renew: Faults,
    commit: Faults,
    release: Faults,
}

#[derive(Debug)]
struct Shared<S> {
    store: S,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Random,
    quiet: bool,
    counts: FaultCounts,
}

/// How often an operation fails, and in which way: one probability for each way, from 0 to 1. At most one happens to one call; a sum above 1
/// leaves no room for those that are named last in the list below.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[must_use]
pub struct Faults {
    error: f64,
    hang: f64,
    applied_then_error: f64,
    applied_then_hang: f64,
    late: f64,
}

impl Faults {
    /// It never fails.
    pub const fn none() -> Self {
        Self {
            error: 0.0,
            hang: 0.0,
            applied_then_error: 0.0,
            applied_then_hang: 0.0,
            late: 0.0,
        }
    }

    /// It fails in each way with a fifth of this probability.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub const fn all(probability: f64) -> Self {
        let each = checked_probability(probability) / 5.0;
        Self {
            error: each,
            hang: each,
            applied_then_error: each,
            applied_then_hang: each,
            late: each,
        }
    }

    /// Nothing is done, and an error comes back.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub const fn error(mut self, probability: f64) -> Self {
        self.error = checked_probability(probability);
        self
    }

    /// Nothing is done, and nothing ever comes back.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub const fn hang(mut self, probability: f64) -> Self {
        self.hang = checked_probability(probability);
        self
    }

    /// It is done, and an error comes back: the reply was lost.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub const fn applied_then_error(mut self, probability: f64) -> Self {
        self.applied_then_error = checked_probability(probability);
        self
    }

    /// It is done, and nothing ever comes back.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub const fn applied_then_hang(mut self, probability: f64) -> Self {
        self.applied_then_hang = checked_probability(probability);
        self
    }

    /// Nothing ever comes back, and it is done up to 10 s later, after whatever was asked of the store in between. Needs a runtime of
    /// tokio.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub const fn late(mut self, probability: f64) -> Self {
        self.late = checked_probability(probability);
        self
    }
}

/// What a [`FaultyStore`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// All calls, with those that were not disturbed.
    pub calls: u64,
    /// Nothing was done, and an error came back.
    pub errors: u64,
    /// Nothing was done, and nothing came back.
    pub hangs: u64,
    /// It was done, and an error came back.
    pub applied_then_errors: u64,
    /// It was done, and nothing came back.
    pub applied_then_hangs: u64,
    /// It was done later, and nothing came back.
    pub late: u64,
}

impl FaultCounts {
    /// All that went wrong.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.errors + self.hangs + self.applied_then_errors + self.applied_then_hangs + self.late
    }
}

impl<S: Store> FaultyStore<S> {
    /// Around a store, without faults so far.
    pub fn new(store: S, seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            quiet: false,
            counts: FaultCounts::default(),
        };
        Self {
            shared: Arc::new(Shared {
                store,
                state: Mutex::new(state),
            }),
            claim: Faults::none(),
            renew: Faults::none(),
            commit: Faults::none(),
            release: Faults::none(),
        }
    }

    /// How claims fail. Default: they do not.
    #[must_use]
    pub fn on_claim(mut self, faults: Faults) -> Self {
        self.claim = faults;
        self
    }

    /// How renewals fail. Default: they do not.
    #[must_use]
    pub fn on_renew(mut self, faults: Faults) -> Self {
        self.renew = faults;
        self
    }

    /// How commits fail. Default: they do not.
    #[must_use]
    pub fn on_commit(mut self, faults: Faults) -> Self {
        self.commit = faults;
        self
    }

    /// How releases fail. Default: they do not.
    #[must_use]
    pub fn on_release(mut self, faults: Faults) -> Self {
        self.release = faults;
        self
    }

    /// From now on nothing fails. What hangs goes on to hang, and what is late still comes.
    pub fn quiet(&self) {
        self.state().quiet = true;
    }

    /// It fails again.
    pub fn loud(&self) {
        self.state().quiet = false;
    }

    /// What it did so far, in all clones.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.state().counts
    }

    /// The store inside.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.shared.store
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // It is only ever locked for a few assignments, which do not panic.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, faults: Faults) -> Fault {
        let state = &mut *self.state();
        let counts = &mut state.counts;
        counts.calls += 1;
        // Drawn also when it is quiet: what comes afterwards is the same then.
        let mut left = state.random.unit();
        let late_by = Duration::from_secs(10).mul_f64(state.random.unit());
        if state.quiet {
            return Fault::None;
        }
        let ways = [
            (faults.error, &mut counts.errors, Fault::Error),
            (faults.hang, &mut counts.hangs, Fault::Hang),
            (
                faults.applied_then_error,
                &mut counts.applied_then_errors,
                Fault::AppliedThenError,
            ),
            (
                faults.applied_then_hang,
                &mut counts.applied_then_hangs,
                Fault::AppliedThenHang,
            ),
            (faults.late, &mut counts.late, Fault::Late(late_by)),
        ];
        for (probability, count, fault) in ways {
            if left < probability {
                *count += 1;
                return fault;
            }
            left -= probability;
        }
        Fault::None
    }

    /// Does it, or not, as the fault wants.
    async fn disturb<T, F>(
        &self,
        fault: Fault,
        operation: impl FnOnce(Arc<Shared<S>>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let operation = operation(Arc::clone(&self.shared));
        match fault {
            Fault::None => operation.await,
            Fault::Error => Err(StoreError::unavailable("a fault of a test")),
            Fault::Hang => future::pending().await,
            Fault::AppliedThenError => {
                let _ = operation.await;
                Err(StoreError::unavailable(
                    "a fault of a test: the reply was lost",
                ))
            }
            Fault::AppliedThenHang => {
                let _ = operation.await;
                future::pending().await
            }
            Fault::Late(by) => {
                // In a task: whoever waits gives up before.
                tokio::spawn(async move {
                    tokio::time::sleep(by).await;
                    let _ = operation.await;
                });
                future::pending().await
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Error,
    Hang,
    AppliedThenError,
    AppliedThenHang,
    Late(Duration),
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            claim: self.claim,
            renew: self.renew,
            commit: self.commit,
            release: self.release,
        }
    }
}

impl<S: Store> Store for FaultyStore<S> {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let keys = keys.to_vec();
        self.disturb(self.draw(self.claim), |shared| async move {
            shared.store.claim(&keys, token, lease).await
        })
        .await
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let keys = keys.to_vec();
        self.disturb(self.draw(self.renew), |shared| async move {
            shared.store.renew(&keys, token, lease).await
        })
        .await
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let keys = keys.to_vec();
        self.disturb(self.draw(self.commit), |shared| async move {
            shared.store.commit(&keys, token).await
        })
        .await
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.disturb(self.draw(self.release), |shared| async move {
            shared.store.release(&keys, token).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Counts what reaches it.
    #[derive(Debug, Default)]
    struct Counter(Mutex<u64>);

    impl Counter {
        fn count(&self) {
            *self.0.lock().unwrap() += 1;
        }
    }

    impl Store for Counter {
        async fn claim(
            &self,
            keys: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Claim>, StoreError> {
            self.count();
            Ok(vec![Claim::Claimed; keys.len()])
        }

        async fn renew(
            &self,
            keys: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Renewal>, StoreError> {
            self.count();
            Ok(vec![Renewal::Renewed; keys.len()])
        }

        async fn commit(
            &self,
            keys: &[(EventKey, Duration)],
            _: Token,
        ) -> Result<Vec<Commit>, StoreError> {
            self.count();
            Ok(vec![Commit::Recorded; keys.len()])
        }

        async fn release(&self, _: &[EventKey], _: Token) -> Result<(), StoreError> {
            self.count();
            Ok(())
        }
    }

    const TOKEN: Token = Token::from_bytes([0; 16]);

    /// Whether an answer came, whether it was a good one, and how often the store inside was called, at once and after a minute.
    async fn outcome(faults: Faults) -> [(Option<bool>, u64, u64); 4] {
        let mut outcomes = [(None, 0, 0); 4];
        for (operation, outcome) in outcomes.iter_mut().enumerate() {
            let store = FaultyStore::new(Counter::default(), 1);
            let store = match operation {
                0 => store.on_claim(faults),
                1 => store.on_commit(faults),
                2 => store.on_renew(faults),
                _ => store.on_release(faults),
            };
            let answer = timeout(Duration::from_secs(1), async {
                match operation {
                    0 => store.claim(&[], TOKEN, Duration::ZERO).await.is_ok(),
                    1 => store.commit(&[], TOKEN).await.is_ok(),
                    2 => store.renew(&[], TOKEN, Duration::ZERO).await.is_ok(),
                    _ => store.release(&[], TOKEN).await.is_ok(),
                }
            });
            let answer = answer.await.ok();
            let at_once = *store.store().0.lock().unwrap();
            sleep(Duration::from_secs(60)).await;
            *outcome = (answer, at_once, *store.store().0.lock().unwrap());
            let counts = store.counts();
            assert_eq!(
                (counts.calls, counts.faults()),
                (1, u64::from(faults != Faults::none()))
            );
        }
        outcomes
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_does_what_it_says() {
        let none = Faults::none();
        for (faults, expected) in [
            (none, (Some(true), 1, 1)),
            (none.error(1.0), (Some(false), 0, 0)),
            (none.hang(1.0), (None, 0, 0)),
            (none.applied_then_error(1.0), (Some(false), 1, 1)),
            (none.applied_then_hang(1.0), (None, 1, 1)),
            (none.late(1.0), (None, 0, 1)),
        ] {
            assert_eq!(outcome(faults).await, [expected; 4], "{faults:?}");
        }
    }

    #[test]
    fn a_probability_outside_0_to_1_is_refused() {
        for invalid in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY] {
            for setter in [
                |_, probability| Faults::all(probability),
                Faults::error,
                Faults::hang,
                Faults::applied_then_error,
                Faults::applied_then_hang,
                Faults::late,
            ] {
                let set = || setter(Faults::none(), invalid);
                assert!(std::panic::catch_unwind(set).is_err(), "{invalid}");
            }
        }
        for valid in [0.0, -0.0, f64::MIN_POSITIVE, 1.0] {
            let _ = Faults::none().error(valid);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_the_same_for_the_same_seed() {
        let mut runs = Vec::new();
        for seed in [1, 1, 2] {
            let store = FaultyStore::new(Counter::default(), seed).on_claim(Faults::all(0.5));
            let mut answers = Vec::new();
            for _ in 0..200 {
                let claim = store.claim(&[], TOKEN, Duration::ZERO);
                let answer = timeout(Duration::from_secs(60), claim).await;
                answers.push(answer.map(|answer| answer.is_ok()).ok());
            }
            let faults = store.counts().faults();
            assert!((70..130).contains(&faults), "{faults}");
            runs.push((answers, store.counts()));
        }
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_means_no_faults() {
        let store = FaultyStore::new(Counter::default(), 1).on_claim(Faults::none().error(1.0));
        let other = store.clone();
        for loud in [true, false, true] {
            if loud {
                other.loud();
            } else {
                other.quiet();
            }
            let claim = store.claim(&[], TOKEN, Duration::ZERO).await;
            assert_eq!(claim.is_err(), loud);
        }
        assert_eq!(other.counts().errors, 2);
    }
}
