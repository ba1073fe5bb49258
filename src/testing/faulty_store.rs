use std::{
    future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{fault_rates::FaultRates, rng::Rng};
use crate::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

/// Wraps a store and injects the faults of a store behind a network, at random.
///
/// Each operation has its own [`FaultRates`], all zero by default. The same seed gives the same
/// faults. Use it to test code that relies on a store: no event may be lost, whichever faults are
/// injected. Clones share the store, the counts and the random numbers.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp::{
///     dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
///     event::EventKey,
///     testing::{FaultRates, FaultyStore},
/// };
///
/// /// A store that keeps nothing.
/// struct NoStore;
///
/// impl Store for NoStore {
///     async fn claim(
///         &self,
///         keys: &[EventKey],
///         _: Token,
///         _: Duration,
///     ) -> Result<Vec<Claim>, StoreError> {
///         Ok(vec![Claim::Claimed; keys.len()])
///     }
///
///     async fn renew(
///         &self,
///         keys: &[EventKey],
///         _: Token,
///         _: Duration,
///     ) -> Result<Vec<Renewal>, StoreError> {
///         Ok(vec![Renewal::Renewed; keys.len()])
///     }
///
///     async fn commit(
///         &self,
///         keys: &[(EventKey, Duration)],
///         _: Token,
///     ) -> Result<Vec<Commit>, StoreError> {
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
/// let store = FaultyStore::new(NoStore, 1).on_claim(FaultRates::none().error(1.0));
/// let claim = || store.claim(&[], Token::random(), Duration::from_secs(30));
/// assert!(claim().await.is_err());
/// store.disable_faults();
/// assert!(claim().await.is_ok());
/// assert_eq!(store.counts().errors, 1);
/// # }
/// ```
#[doc(alias = "fault injection")]
#[doc(alias = "chaos")]
#[derive(Debug)]
pub struct FaultyStore<S> {
    shared: Arc<Shared<S>>,
    claim: FaultRates,
    renew: FaultRates,
    commit: FaultRates,
    release: FaultRates,
}

#[derive(Debug)]
struct Shared<S> {
    store: S,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    is_disabled: bool,
    counts: FaultCounts,
}

/// Number of calls and of injected faults of a [`FaultyStore`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Number of all calls, including those without a fault.
    pub calls: u64,
    /// Number of calls that were not applied and returned an error.
    pub errors: u64,
    /// Number of calls that were not applied and never returned.
    pub hangs: u64,
    /// Number of calls that were applied and returned an error.
    pub applied_then_errors: u64,
    /// Number of calls that were applied and never returned.
    pub applied_then_hangs: u64,
    /// Number of calls that never returned and were scheduled to be applied later.
    pub hangs_then_applied: u64,
}

impl FaultCounts {
    /// Returns the number of all injected faults.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.errors
            + self.hangs
            + self.applied_then_errors
            + self.applied_then_hangs
            + self.hangs_then_applied
    }
}

impl<S: Store> FaultyStore<S> {
    /// Wraps a store. No faults are injected until their rates are set.
    pub fn new(store: S, seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            is_disabled: false,
            counts: FaultCounts::default(),
        };
        Self {
            shared: Arc::new(Shared {
                store,
                state: Mutex::new(state),
            }),
            claim: FaultRates::none(),
            renew: FaultRates::none(),
            commit: FaultRates::none(),
            release: FaultRates::none(),
        }
    }

    /// Sets the fault rates of claims. Default: none.
    #[must_use]
    pub fn on_claim(mut self, rates: FaultRates) -> Self {
        self.claim = rates;
        self
    }

    /// Sets the fault rates of renewals. Default: none.
    #[must_use]
    pub fn on_renew(mut self, rates: FaultRates) -> Self {
        self.renew = rates;
        self
    }

    /// Sets the fault rates of commits. Default: none.
    #[must_use]
    pub fn on_commit(mut self, rates: FaultRates) -> Self {
        self.commit = rates;
        self
    }

    /// Sets the fault rates of releases. Default: none.
    #[must_use]
    pub fn on_release(mut self, rates: FaultRates) -> Self {
        self.release = rates;
        self
    }

    /// Stops injecting faults, in all clones. Calls that hang keep hanging, and delayed operations
    /// are still applied.
    pub fn disable_faults(&self) {
        self.state().is_disabled = true;
    }

    /// Injects faults again after [`disable_faults`](Self::disable_faults), in all clones.
    pub fn enable_faults(&self) {
        self.state().is_disabled = false;
    }

    /// Returns the number of calls and faults so far, over all clones.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.state().counts
    }

    /// Returns the wrapped store.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.shared.store
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The lock is held for a few assignments only, which do not panic.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, rates: FaultRates) -> Fault {
        let state = &mut *self.state();
        let counts = &mut state.counts;
        counts.calls += 1;
        // Drawn even when faults are disabled, so that later faults stay the same for a seed.
        let mut left = state.rng.unit_f64();
        let delay = Duration::from_secs(10).mul_f64(state.rng.unit_f64());
        if state.is_disabled {
            return Fault::None;
        }
        let faults = [
            (rates.error, &mut counts.errors, Fault::Error),
            (rates.hang, &mut counts.hangs, Fault::Hang),
            (
                rates.applied_then_error,
                &mut counts.applied_then_errors,
                Fault::AppliedThenError,
            ),
            (
                rates.applied_then_hang,
                &mut counts.applied_then_hangs,
                Fault::AppliedThenHang,
            ),
            (
                rates.hang_then_applied,
                &mut counts.hangs_then_applied,
                Fault::HangThenApplied(delay),
            ),
        ];
        for (probability, count, fault) in faults {
            if left < probability {
                *count += 1;
                return fault;
            }
            left -= probability;
        }
        Fault::None
    }

    /// Runs the operation with this fault.
    async fn run_with<T, F>(
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
            Fault::Error => Err(StoreError::unavailable("injected fault")),
            Fault::Hang => future::pending().await,
            Fault::AppliedThenError => {
                let _ = operation.await;
                Err(StoreError::unavailable(
                    "injected fault: the reply was lost",
                ))
            }
            Fault::AppliedThenHang => {
                let _ = operation.await;
                future::pending().await
            }
            Fault::HangThenApplied(delay) => {
                // In a task, because the caller times out and drops this future before.
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
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
    HangThenApplied(Duration),
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
        self.run_with(self.draw(self.claim), |shared| async move {
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
        self.run_with(self.draw(self.renew), |shared| async move {
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
        self.run_with(self.draw(self.commit), |shared| async move {
            shared.store.commit(&keys, token).await
        })
        .await
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.run_with(self.draw(self.release), |shared| async move {
            shared.store.release(&keys, token).await
        })
        .await
    }

    fn len_hint(&self) -> Option<usize> {
        self.shared.store.len_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Counts the calls that reach it.
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

    /// For each operation: whether it returned within 1 s and was `Ok`, and the number of calls of
    /// the wrapped store, at once and after a minute.
    async fn outcome(faults: FaultRates) -> [(Option<bool>, u64, u64); 4] {
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
            let at_once = *store.get_ref().0.lock().unwrap();
            sleep(Duration::from_secs(60)).await;
            *outcome = (answer, at_once, *store.get_ref().0.lock().unwrap());
            let counts = store.counts();
            assert_eq!(
                (counts.calls, counts.faults()),
                (1, u64::from(faults != FaultRates::none()))
            );
        }
        outcomes
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_is_injected_into_each_operation() {
        let none = FaultRates::none();
        for (faults, expected) in [
            (none, (Some(true), 1, 1)),
            (none.error(1.0), (Some(false), 0, 0)),
            (none.hang(1.0), (None, 0, 0)),
            (none.applied_then_error(1.0), (Some(false), 1, 1)),
            (none.applied_then_hang(1.0), (None, 1, 1)),
            (none.hang_then_applied(1.0), (None, 0, 1)),
        ] {
            assert_eq!(outcome(faults).await, [expected; 4], "{faults:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_faults() {
        let mut runs = Vec::new();
        for seed in [1, 1, 2] {
            let store =
                FaultyStore::new(Counter::default(), seed).on_claim(FaultRates::uniform(0.5));
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
    async fn disabled_faults_are_not_injected() {
        let store = FaultyStore::new(Counter::default(), 1).on_claim(FaultRates::none().error(1.0));
        let other = store.clone();
        for is_enabled in [true, false, true] {
            if is_enabled {
                other.enable_faults();
            } else {
                other.disable_faults();
            }
            let claim = store.claim(&[], TOKEN, Duration::ZERO).await;
            assert_eq!(claim.is_err(), is_enabled);
        }
        assert_eq!(other.counts().errors, 2);
    }
}
