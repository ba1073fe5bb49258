//! A store that answers in time: a limit for each call, and none at all for a while when one after the other has failed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::store::{Claim, Commit, Store, StoreError, StoreErrorKind, Token};
use crate::event::EventKey;

/// After so many failures in a row the store is left alone …
const FAILURES: u32 = 5;

/// … for so long. Then one call goes through and decides.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a call had no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The store has not heard of it.
    NotSent,
    /// It may have had its effect.
    Ambiguous(StoreErrorKind),
}

pub(super) struct Guarded<S> {
    store: S,
    limit: Duration,
    breaker: Mutex<Breaker>,
    /// Calls that have failed, those that were not made among them.
    failures: Arc<AtomicU64>,
}

#[derive(Default)]
struct Breaker {
    /// In a row.
    failures: u32,
    closed_until: Option<Instant>,
}

impl<S: Store> Guarded<S> {
    pub(super) fn new(store: S, limit: Duration, failures: Arc<AtomicU64>) -> Self {
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
        if !self.breaker().lets_through() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::NotSent);
        }
        let kind = match timeout(self.limit, make()).await {
            Ok(Ok(answer)) => {
                self.breaker().succeeded();
                return Ok(answer);
            }
            Ok(Err(error)) => error.kind(),
            Err(_) => StoreErrorKind::Unavailable,
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        if kind == StoreErrorKind::Full {
            // It answers, and quickly.
            self.breaker().succeeded();
        } else {
            self.breaker().failed();
        }
        Err(Failure::Ambiguous(kind))
    }

    /// A store that does not answer for every key is broken, and nobody knows what it did.
    fn complete<T>(&self, answers: Vec<T>, keys: usize) -> Result<Vec<T>, Failure> {
        if answers.len() == keys {
            return Ok(answers);
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        Err(Failure::Ambiguous(StoreErrorKind::Unavailable))
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaker {
    fn lets_through(&mut self) -> bool {
        match self.closed_until {
            None => true,
            Some(until) => {
                let now = Instant::now();
                let probe = now >= until;
                if probe {
                    // The others go on waiting for what this one finds.
                    self.closed_until = Some(now + PAUSE);
                }
                probe
            }
        }
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.closed_until = Some(Instant::now() + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::AtomicUsize,
    };

    use tokio::time::advance;

    use super::{super::store::Renewal, *};

    /// A store that does as it is told, and counts.
    #[derive(Default)]
    struct Told {
        works: std::sync::atomic::AtomicBool,
        calls: AtomicUsize,
    }

    impl Store for &'static Told {
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

    fn told() -> (&'static Told, Guarded<&'static Told>) {
        let told: &'static Told = Box::leak(Box::default());
        let limit = Duration::from_millis(250);
        (told, Guarded::new(told, limit, Arc::default()))
    }

    const KEYS: &[EventKey] = &[EventKey::from_bytes([0; 16])];
    const UNAVAILABLE: Failure = Failure::Ambiguous(StoreErrorKind::Unavailable);

    #[tokio::test(start_paused = true)]
    async fn after_five_failures_the_store_is_left_alone_for_a_second() {
        let (told, guarded) = told();
        let claim = async || {
            let lease = Duration::from_secs(30);
            guarded.claim(KEYS, Token::random(), lease).await
        };
        for call in 1..=5 {
            let began = Instant::now();
            assert_eq!(claim().await, Err(UNAVAILABLE));
            assert_eq!(began.elapsed(), Duration::from_millis(250));
            assert_eq!(told.calls.load(Ordering::SeqCst), call);
        }
        let began = Instant::now();
        assert_eq!(claim().await, Err(Failure::NotSent));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(told.calls.load(Ordering::SeqCst), 5);

        // One call decides for the next second.
        advance(Duration::from_secs(1)).await;
        let (probe, other) = (claim(), claim());
        let mut probe = std::pin::pin!(probe);
        assert!(futures_poll(probe.as_mut()).await.is_none());
        assert_eq!(other.await, Err(Failure::NotSent));
        assert_eq!(probe.await, Err(UNAVAILABLE));
        assert_eq!(claim().await, Err(Failure::NotSent));

        advance(Duration::from_secs(1)).await;
        told.works.store(true, Ordering::SeqCst);
        assert_eq!(claim().await, Ok(vec![Claim::Claimed]));
        told.works.store(false, Ordering::SeqCst);
        // The count has begun anew.
        assert_eq!(claim().await, Err(UNAVAILABLE));
        assert_eq!(claim().await, Err(UNAVAILABLE));
        assert_eq!(guarded.failures.load(Ordering::Relaxed), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_is_there() {
        let (told, guarded) = told();
        for _ in 0..10 {
            let full = guarded.release(KEYS, Token::random()).await;
            assert_eq!(full, Err(Failure::Ambiguous(StoreErrorKind::Full)));
        }
        assert_eq!(told.calls.load(Ordering::SeqCst), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_answers_for_too_few_keys_is_broken() {
        let (_, guarded) = told();
        let keys = [(KEYS[0], Duration::from_secs(1))];
        let answer = guarded.commit(&keys, Token::random()).await;
        assert_eq!(answer, Err(UNAVAILABLE));
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            let polled = std::pin::Pin::new(&mut future).poll(cx);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
