//! A timeout for each call of the store, and a circuit breaker.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::store::{Claim, Commit, Renewal, Store, StoreError, StoreErrorKind, Token};
use crate::{
    contain::{Contained, Panicked, contain, contain_drop},
    event::EventKey,
    telemetry::{DedupTelemetry, Moment, StoreOperation},
};

/// Consecutive failures that open the circuit.
const FAILURE_THRESHOLD: u32 = 5;

/// How long an open circuit refuses calls. After that, one probe call closes it or opens it again.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// A call of the store without a result.
#[derive(Debug, Clone)]
pub(super) enum CallFailure {
    /// The circuit is open: the store was not called.
    NotSent(Arc<StoreError>),
    /// The store was called, and the call may have had its effect.
    Ambiguous(Arc<StoreError>),
}

/// Counts failed calls, including those that an open circuit refused, and keeps the last error.
#[derive(Debug, Default)]
pub(super) struct StoreFailures {
    pub(super) count: AtomicU64,
    last: Mutex<Option<Arc<StoreError>>>,
    telemetry: Arc<DedupTelemetry>,
}

impl StoreFailures {
    pub(super) fn new(telemetry: Arc<DedupTelemetry>) -> Self {
        Self {
            telemetry,
            ..Self::default()
        }
    }

    /// Returns the error of the last failed call.
    pub(super) fn last(&self) -> Option<Arc<StoreError>> {
        self.lock().clone()
    }

    fn add(&self, operation: StoreOperation, error: &Arc<StoreError>) {
        // Formats the error of the host.
        let _ = contain(|| self.telemetry.store_failed(operation, error));
        self.count.fetch_add(1, Ordering::Relaxed);
        let last = self.lock().replace(Arc::clone(error));
        // An error of the host is not dropped under the lock.
        contain_drop(last);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<StoreError>>> {
        // A pointer is consistent after every step, so a poisoned lock is harmless.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store behind a circuit breaker.
pub(super) struct CircuitBreaker<S> {
    store: S,
    call_timeout: Duration,
    circuit: Mutex<Circuit>,
    failures: Arc<StoreFailures>,
}

#[derive(Default)]
struct Circuit {
    consecutive_failures: u32,
    open_until: Option<Instant>,
    last_error: Option<Arc<StoreError>>,
}

impl<S: Store> CircuitBreaker<S> {
    pub(super) fn new(store: S, call_timeout: Duration, failures: Arc<StoreFailures>) -> Self {
        Self {
            store,
            call_timeout,
            circuit: Mutex::default(),
            failures,
        }
    }

    pub(super) async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, CallFailure> {
        let claims = self
            .call(StoreOperation::Claim, || {
                self.store.claim(keys, token, lease)
            })
            .await?;
        self.check_length(StoreOperation::Claim, claims, keys.len())
    }

    pub(super) async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, CallFailure> {
        let renewals = self
            .call(StoreOperation::Renew, || {
                self.store.renew(keys, token, lease)
            })
            .await?;
        self.check_length(StoreOperation::Renew, renewals, keys.len())
    }

    pub(super) async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, CallFailure> {
        let commits = self
            .call(StoreOperation::Commit, || self.store.commit(keys, token))
            .await?;
        self.check_length(StoreOperation::Commit, commits, keys.len())
    }

    pub(super) async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), CallFailure> {
        self.call(StoreOperation::Release, || self.store.release(keys, token))
            .await
    }

    async fn call<F, T>(
        &self,
        operation: StoreOperation,
        make: impl FnOnce() -> F,
    ) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        // On a line of its own: the lock must not be held while the failure is reported.
        let allowed = self.circuit().allow(self.call_timeout);
        if let Err(open) = allowed {
            let refused = Arc::new(open.into());
            self.failures.add(operation, &refused);
            return Err(CallFailure::NotSent(refused));
        }
        let started = Moment::now();
        let result = timeout(self.call_timeout, catch_panics(make)).await;
        self.failures.telemetry.store_called(operation, started);
        let error = match result {
            Ok(Ok(answer)) => {
                self.record_success();
                (self.failures.telemetry)
                    .store_len(|| contain(|| self.store.len_hint()).ok().flatten());
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => StoreError::unavailable(CallError::Timeout),
        };
        let error = Arc::new(error);
        self.failures.add(operation, &error);
        if error.kind() == StoreErrorKind::Full {
            // A full store is reachable and answers in time.
            self.record_success();
        } else {
            self.record_failure(&error);
        }
        Err(CallFailure::Ambiguous(error))
    }

    /// Checks that there is one answer per key. Otherwise the effect of the call is unknown.
    fn check_length<T>(
        &self,
        operation: StoreOperation,
        answers: Vec<T>,
        keys: usize,
    ) -> Result<Vec<T>, CallFailure> {
        if answers.len() == keys {
            return Ok(answers);
        }
        let error = Arc::new(StoreError::unavailable(CallError::Incomplete));
        self.failures.add(operation, &error);
        Err(CallFailure::Ambiguous(error))
    }

    fn record_success(&self) {
        let previous = std::mem::take(&mut *self.circuit());
        let was_open = previous.open_until.is_some();
        // An error of the host is not dropped under the lock.
        contain_drop(previous);
        if was_open {
            self.failures.telemetry.circuit(false);
        }
    }

    fn record_failure(&self, error: &Arc<StoreError>) {
        let (has_opened, previous) = self.circuit().record_failure(error);
        contain_drop(previous);
        if has_opened {
            self.failures.telemetry.circuit(true);
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn allow(&mut self, call_timeout: Duration) -> Result<(), CircuitOpen> {
        let Some(until) = self.open_until else {
            return Ok(());
        };
        let now = Instant::now();
        if now < until {
            return Err(CircuitOpen(self.last_error.clone()));
        }
        // Half-open: this call is the probe, and others are refused until it has a result. It may
        // be dropped without one, so they are not refused for longer than it may take.
        self.open_until = Some(now + OPEN_FOR.max(call_timeout));
        Ok(())
    }

    /// Returns whether this failure opened the circuit, and the error of the one before. It is to
    /// be dropped without the lock.
    fn record_failure(&mut self, error: &Arc<StoreError>) -> (bool, Option<Arc<StoreError>>) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let previous = self.last_error.replace(Arc::clone(error));
        if self.consecutive_failures < FAILURE_THRESHOLD {
            return (false, previous);
        }
        let was_open = self.open_until.is_some();
        self.open_until = Some(Instant::now() + OPEN_FOR);
        (!was_open, previous)
    }
}

/// Turns a panic of the store into an error. A panic when the call is dropped, at its timeout, has
/// no effect.
async fn catch_panics<F, T>(make: impl FnOnce() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let panicked = |Panicked| StoreError::unavailable(CallError::Panicked);
    let call = contain(make).map_err(panicked)?;
    Contained::new(call).await.map_err(panicked)?
}

/// A failed call for which the store returned no error.
#[derive(Debug)]
enum CallError {
    Timeout,
    Panicked,
    Incomplete,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the store did not answer within `store_timeout`",
            Self::Panicked => "the store panicked",
            Self::Incomplete => "the store did not answer for every key",
        })
    }
}

impl Error for CallError {}

/// The store was not called. The source is the error of the last call that was made.
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
        future::{pending, poll_fn, ready},
        sync::atomic::AtomicUsize,
        task::Poll,
    };

    use tokio::time::advance;

    use super::*;

    /// Claims hang unless `is_available`, and releases find the store full. Counts its calls.
    #[derive(Default)]
    struct StoreDouble {
        is_available: std::sync::atomic::AtomicBool,
        calls: AtomicUsize,
    }

    impl Store for &'static StoreDouble {
        async fn claim(
            &self,
            _: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Claim>, StoreError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.is_available.load(Ordering::SeqCst) {
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

    fn store() -> (&'static StoreDouble, CircuitBreaker<&'static StoreDouble>) {
        with_timeout(Duration::from_millis(250))
    }

    fn with_timeout(
        call_timeout: Duration,
    ) -> (&'static StoreDouble, CircuitBreaker<&'static StoreDouble>) {
        let double: &'static StoreDouble = Box::leak(Box::default());
        let breaker = CircuitBreaker::new(double, call_timeout, Arc::default());
        (double, breaker)
    }

    const KEYS: &[EventKey] = &[EventKey::from_bytes([0; 16])];

    /// The result of a call, or whether the store was called and the kind of its error.
    fn kind<T>(result: Result<T, CallFailure>) -> Result<T, (bool, StoreErrorKind)> {
        result.map_err(|failure| match failure {
            CallFailure::NotSent(error) => (false, error.kind()),
            CallFailure::Ambiguous(error) => (true, error.kind()),
        })
    }

    const UNAVAILABLE: (bool, StoreErrorKind) = (true, StoreErrorKind::Unavailable);
    const NOT_SENT: (bool, StoreErrorKind) = (false, StoreErrorKind::Unavailable);

    #[tokio::test(start_paused = true)]
    async fn five_failures_open_the_circuit_for_a_second() {
        let (double, breaker) = store();
        let claim = async || {
            let lease = Duration::from_secs(30);
            kind(breaker.claim(KEYS, Token::random(), lease).await)
        };
        for call in 1..=5 {
            let start = Instant::now();
            assert_eq!(claim().await, Err(UNAVAILABLE));
            assert_eq!(start.elapsed(), Duration::from_millis(250));
            assert_eq!(double.calls.load(Ordering::SeqCst), call);
        }
        let start = Instant::now();
        assert_eq!(claim().await, Err(NOT_SENT));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(double.calls.load(Ordering::SeqCst), 5);

        // One probe call decides for the next second.
        advance(Duration::from_secs(1)).await;
        let (probe, other) = (claim(), claim());
        let mut probe = std::pin::pin!(probe);
        assert!(poll_once(probe.as_mut()).await.is_none());
        assert_eq!(other.await, Err(NOT_SENT));
        assert_eq!(probe.await, Err(UNAVAILABLE));
        assert_eq!(claim().await, Err(NOT_SENT));

        advance(Duration::from_secs(1)).await;
        double.is_available.store(true, Ordering::SeqCst);
        assert_eq!(claim().await, Ok(vec![Claim::Claimed]));
        double.is_available.store(false, Ordering::SeqCst);
        // A success resets the count of failures.
        assert_eq!(claim().await, Err(UNAVAILABLE));
        assert_eq!(claim().await, Err(UNAVAILABLE));
        assert_eq!(breaker.failures.count.load(Ordering::Relaxed), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_however_long_it_takes() {
        let (double, breaker) = with_timeout(Duration::from_secs(3));
        let claim = async || kind(breaker.claim(KEYS, Token::random(), OPEN_FOR).await);
        for _ in 0..5 {
            assert_eq!(claim().await, Err(UNAVAILABLE));
        }
        advance(Duration::from_secs(1)).await;
        let mut probe = std::pin::pin!(claim());
        assert!(poll_once(probe.as_mut()).await.is_none());
        advance(Duration::from_secs(2)).await;
        assert_eq!(claim().await, Err(NOT_SENT));
        assert_eq!(probe.await, Err(UNAVAILABLE));
        assert_eq!(double.calls.load(Ordering::SeqCst), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_does_not_open_the_circuit() {
        let (double, breaker) = store();
        for _ in 0..10 {
            let full = kind(breaker.release(KEYS, Token::random()).await);
            assert_eq!(full, Err((true, StoreErrorKind::Full)));
        }
        assert_eq!(double.calls.load(Ordering::SeqCst), 10);
    }

    /// Looks at the circuit when it is dropped, as an error does whose `Drop` calls the store.
    struct Probe {
        breaker: &'static CircuitBreaker<&'static StoreDouble>,
        is_free: std::sync::mpsc::Sender<bool>,
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            let _ = self.is_free.send(self.breaker.circuit.try_lock().is_ok());
        }
    }

    impl fmt::Debug for Probe {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Probe")
        }
    }

    impl fmt::Display for Probe {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an error of the host")
        }
    }

    impl Error for Probe {}

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_host_is_dropped_while_the_circuit_can_be_used() {
        let breaker: &'static _ = Box::leak(Box::new(store().1));
        let (is_free, dropped) = std::sync::mpsc::channel();
        let fail = async |error| {
            let answer = || ready(Err::<(), _>(error));
            let failure = breaker.call(StoreOperation::Claim, answer).await;
            assert!(failure.is_err());
        };
        for _ in 0..2 {
            let is_free = is_free.clone();
            fail(StoreError::unavailable(Probe { breaker, is_free })).await;
        }
        // The second failure was the first one's end.
        assert_eq!(dropped.try_iter().collect::<Vec<_>>(), [true]);
        // A full store counts as a success.
        fail(StoreError::full()).await;
        assert_eq!(dropped.try_iter().collect::<Vec<_>>(), [true]);
    }

    #[tokio::test(start_paused = true)]
    async fn too_few_answers_are_a_failure() {
        let (_, breaker) = store();
        let keys = [(KEYS[0], Duration::from_secs(1))];
        let answer = kind(breaker.commit(&keys, Token::random()).await);
        assert_eq!(answer, Err(UNAVAILABLE));
    }

    /// Polls once.
    async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
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
