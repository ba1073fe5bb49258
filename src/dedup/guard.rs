//! A store that answers in time: a timeout for each call, and a circuit breaker.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::store::{Claim, Commit, Renewal, Store, StoreError, StoreErrorKind, Token};
use crate::event::EventKey;

/// Consecutive failures that open the circuit.
const FAILURES: u32 = 5;

/// How long an open circuit refuses calls. Then one call goes through and decides.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a call had no result.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The circuit is open: the store has not heard of it.
    NotSent(Arc<StoreError>),
    /// It may have had its effect.
    Ambiguous(Arc<StoreError>),
}

/// Calls that have failed, those that an open circuit refused among them.
#[derive(Debug, Default)]
pub(super) struct StoreFailures {
    pub(super) count: AtomicU64,
    last: Mutex<Option<Arc<StoreError>>>,
}

impl StoreFailures {
    /// The error of the last call that failed.
    pub(super) fn last(&self) -> Option<Arc<StoreError>> {
        self.lock().clone()
    }

    fn add(&self, error: &Arc<StoreError>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.lock() = Some(Arc::clone(error));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<StoreError>>> {
        // A pointer is right after every step.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Guarded<S> {
    store: S,
    limit: Duration,
    breaker: Mutex<Breaker>,
    failures: Arc<StoreFailures>,
}

#[derive(Default)]
struct Breaker {
    /// Consecutive failures.
    failures: u32,
    open_until: Option<Instant>,
    /// The error of the last of them.
    last: Option<Arc<StoreError>>,
}

impl<S: Store> Guarded<S> {
    pub(super) fn new(store: S, limit: Duration, failures: Arc<StoreFailures>) -> Self {
        Self {
            store,
            limit,
            breaker: Mutex::default(),
            failures,
        }
    }

    pub(super) async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, Failure> {
        let claims = self.call(|| self.store.claim(keys, token, lease)).await?;
        self.complete(claims, keys.len())
    }

    pub(super) async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, Failure> {
        let renewals = self.call(|| self.store.renew(keys, token, lease)).await?;
        self.complete(renewals, keys.len())
    }

    pub(super) async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, Failure> {
        let commits = self.call(|| self.store.commit(keys, token)).await?;
        self.complete(commits, keys.len())
    }

    pub(super) async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), Failure> {
        self.call(|| self.store.release(keys, token)).await
    }

    async fn call<F, T>(&self, make: impl FnOnce() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if let Err(open) = self.breaker().allow() {
            let refused = Arc::new(open.into());
            self.failures.add(&refused);
            return Err(Failure::NotSent(refused));
        }
        let error = match timeout(self.limit, caught(make)).await {
            Ok(Ok(answer)) => {
                self.breaker().succeeded();
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => StoreError::unavailable(Broken::Timeout),
        };
        let error = Arc::new(error);
        self.failures.add(&error);
        if error.kind() == StoreErrorKind::Full {
            // It answers, and quickly.
            self.breaker().succeeded();
        } else {
            self.breaker().failed(&error);
        }
        Err(Failure::Ambiguous(error))
    }

    /// A store that does not answer for every key is broken, and nobody knows what it did.
    fn complete<T>(&self, answers: Vec<T>, keys: usize) -> Result<Vec<T>, Failure> {
        if answers.len() == keys {
            return Ok(answers);
        }
        let error = Arc::new(StoreError::unavailable(Broken::Incomplete));
        self.failures.add(&error);
        Err(Failure::Ambiguous(error))
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaker {
    fn allow(&mut self) -> Result<(), CircuitOpen> {
        let Some(until) = self.open_until else {
            return Ok(());
        };
        let now = Instant::now();
        if now < until {
            return Err(CircuitOpen(self.last.clone()));
        }
        // The others are refused until this probe has its result.
        self.open_until = Some(now + PAUSE);
        Ok(())
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self, error: &Arc<StoreError>) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(Arc::clone(error));
        if self.failures >= FAILURES {
            self.open_until = Some(Instant::now() + PAUSE);
        }
    }
}

/// A store that panics fails like one that is away. Otherwise the panic would end the task of the
/// delivery, and nobody would release what it has claimed.
async fn caught<F, T>(make: impl FnOnce() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let panicked = |_| StoreError::unavailable(Broken::Panicked);
    let call = catch_unwind(AssertUnwindSafe(make)).map_err(panicked)?;
    let mut call = pin!(call);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panicked(panic))))
    })
    .await
}

/// How a store is broken that did not say so itself.
#[derive(Debug)]
enum Broken {
    Timeout,
    Panicked,
    Incomplete,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the store did not answer within `store_timeout`",
            Self::Panicked => "the store panicked",
            Self::Incomplete => "the store did not answer for every key",
        })
    }
}

impl Error for Broken {}

/// The store was not called. The source is the error of the last call.
#[derive(Debug)]
struct CircuitOpen(Option<Arc<StoreError>>);

impl From<CircuitOpen> for StoreError {
    fn from(open: CircuitOpen) -> Self {
        Self::unavailable(open)
    }
}

impl fmt::Display for CircuitOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store was not called, because its last calls failed")
    }
}

impl Error for CircuitOpen {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let last = self.0.as_deref()?;
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::AtomicUsize,
    };

    use tokio::time::advance;

    use super::*;

    /// A store that does as it is told, and counts.
    #[derive(Default)]
    struct ScriptedStore {
        works: std::sync::atomic::AtomicBool,
        calls: AtomicUsize,
    }

    impl Store for &'static ScriptedStore {
        async fn claim(
            &self,
            _: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Claim>, StoreError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.works.load(Ordering::SeqCst) {
                return Ok(vec![Claim::Claimed]);
            }
            pending().await
        }

        async fn renew(
            &self,
            _: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Renewal>, StoreError> {
            Ok(Vec::new())
        }

        async fn commit(
            &self,
            _: &[(EventKey, Duration)],
            _: Token,
        ) -> Result<Vec<Commit>, StoreError> {
            Ok(Vec::new())
        }

        fn release(
            &self,
            _: &[EventKey],
            _: Token,
        ) -> impl Future<Output = Result<(), StoreError>> + Send {
            self.calls.fetch_add(1, Ordering::SeqCst);
            ready(Err(StoreError::full()))
        }
    }

    fn store() -> (&'static ScriptedStore, Guarded<&'static ScriptedStore>) {
        let script: &'static ScriptedStore = Box::leak(Box::default());
        let limit = Duration::from_millis(250);
        (script, Guarded::new(script, limit, Arc::default()))
    }

    const KEYS: &[EventKey] = &[EventKey::from_bytes([0; 16])];

    /// What became of a call: its result, or whether the store has heard of it and what it said.
    fn kind<T>(result: Result<T, Failure>) -> Result<T, (bool, StoreErrorKind)> {
        result.map_err(|failure| match failure {
            Failure::NotSent(error) => (false, error.kind()),
            Failure::Ambiguous(error) => (true, error.kind()),
        })
    }

    const UNAVAILABLE: (bool, StoreErrorKind) = (true, StoreErrorKind::Unavailable);
    const NOT_SENT: (bool, StoreErrorKind) = (false, StoreErrorKind::Unavailable);

    #[tokio::test(start_paused = true)]
    async fn after_five_failures_the_store_is_left_alone_for_a_second() {
        let (script, guarded) = store();
        let claim = async || {
            let lease = Duration::from_secs(30);
            kind(guarded.claim(KEYS, Token::random(), lease).await)
        };
        for call in 1..=5 {
            let began = Instant::now();
            assert_eq!(claim().await, Err(UNAVAILABLE));
            assert_eq!(began.elapsed(), Duration::from_millis(250));
            assert_eq!(script.calls.load(Ordering::SeqCst), call);
        }
        let began = Instant::now();
        assert_eq!(claim().await, Err(NOT_SENT));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(script.calls.load(Ordering::SeqCst), 5);

        // One call decides for the next second.
        advance(Duration::from_secs(1)).await;
        let (probe, other) = (claim(), claim());
        let mut probe = std::pin::pin!(probe);
        assert!(futures_poll(probe.as_mut()).await.is_none());
        assert_eq!(other.await, Err(NOT_SENT));
        assert_eq!(probe.await, Err(UNAVAILABLE));
        assert_eq!(claim().await, Err(NOT_SENT));

        advance(Duration::from_secs(1)).await;
        script.works.store(true, Ordering::SeqCst);
        assert_eq!(claim().await, Ok(vec![Claim::Claimed]));
        script.works.store(false, Ordering::SeqCst);
        // The count has begun anew.
        assert_eq!(claim().await, Err(UNAVAILABLE));
        assert_eq!(claim().await, Err(UNAVAILABLE));
        assert_eq!(guarded.failures.count.load(Ordering::Relaxed), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_is_there() {
        let (script, guarded) = store();
        for _ in 0..10 {
            let full = kind(guarded.release(KEYS, Token::random()).await);
            assert_eq!(full, Err((true, StoreErrorKind::Full)));
        }
        assert_eq!(script.calls.load(Ordering::SeqCst), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_answers_for_too_few_keys_is_broken() {
        let (_, guarded) = store();
        let keys = [(KEYS[0], Duration::from_secs(1))];
        let answer = kind(guarded.commit(&keys, Token::random()).await);
        assert_eq!(answer, Err(UNAVAILABLE));
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        poll_fn(|cx| {
            let polled = std::pin::Pin::new(&mut future).poll(cx);
            Poll::Ready(match polled {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        })
        .await
    }
}
