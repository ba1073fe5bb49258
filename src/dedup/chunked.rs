//! Splits the keys of a large delivery over several calls of the store, each with its own timeout.

use std::time::Duration;

use tokio::task::yield_now;

use super::{
    circuit_breaker::{CallFailure, CircuitBreaker},
    store::{Claim, Commit, Renewal, Store, Token},
};
use crate::event::EventKey;

/// Maximum number of keys in one call of the store.
///
/// In a single call, a large delivery would exceed the timeout every time, and its failures would
/// open the circuit for all deliveries. 256 keys are 68 kB for Redis: 11 ms at 50 Mbit/s, and
/// within the default timeout down to 2.2 Mbit/s.
const MAX_KEYS: usize = 256;

/// A store that is called with at most [`MAX_KEYS`] keys at a time. An operation stops at its first
/// failed call.
pub(super) struct ChunkedStore<S>(pub(super) CircuitBreaker<S>);

/// Result of an operation that may have stopped early.
pub(super) struct Answers<T> {
    /// One for each key, up to the first failed call.
    pub(super) answers: Vec<T>,
    /// The failure of that call.
    pub(super) result: Result<(), CallFailure>,
}

impl<S: Store> ChunkedStore<S> {
    pub(super) async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Answers<Claim> {
        let mut answers = Answers::new(keys.len());
        for chunk in keys.chunks(MAX_KEYS) {
            answers.yield_between_calls().await;
            if !answers.extend(self.0.claim(chunk, token, lease).await) {
                break;
            }
        }
        answers
    }

    pub(super) async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Answers<Renewal> {
        let mut answers = Answers::new(keys.len());
        for chunk in keys.chunks(MAX_KEYS) {
            answers.yield_between_calls().await;
            if !answers.extend(self.0.renew(chunk, token, lease).await) {
                break;
            }
        }
        answers
    }

    pub(super) async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Answers<Commit> {
        let mut answers = Answers::new(keys.len());
        for chunk in keys.chunks(MAX_KEYS) {
            answers.yield_between_calls().await;
            if !answers.extend(self.0.commit(chunk, token).await) {
                break;
            }
        }
        answers
    }

    pub(super) async fn release(&self, keys: &[EventKey], token: Token) -> Answers<()> {
        let mut answers = Answers::new(keys.len());
        for chunk in keys.chunks(MAX_KEYS) {
            answers.yield_between_calls().await;
            let released = self.0.release(chunk, token).await;
            if !answers.extend(released.map(|()| vec![(); chunk.len()])) {
                break;
            }
        }
        answers
    }
}

impl<T> Answers<T> {
    fn new(keys: usize) -> Self {
        Self {
            answers: Vec::with_capacity(keys),
            result: Ok(()),
        }
    }

    /// Returns the maximum number of keys that the store may have received: those with an answer,
    /// and those of a call whose answer is unknown.
    pub(super) fn sent(&self) -> usize {
        match self.result {
            Ok(()) | Err(CallFailure::NotSent(_)) => self.answers.len(),
            Err(CallFailure::Ambiguous(_)) => self.answers.len() + MAX_KEYS,
        }
    }

    /// Yields between two calls, because a store in memory never returns `Pending`.
    async fn yield_between_calls(&self) {
        if !self.answers.is_empty() {
            yield_now().await;
        }
    }

    /// Appends the answers of one call. Returns whether the next one may be made.
    fn extend(&mut self, result: Result<Vec<T>, CallFailure>) -> bool {
        self.result = result.map(|answers| self.answers.extend(answers));
        self.result.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{Arc, Mutex},
    };

    use super::{
        super::{claim_set::tests::count_polls, memory::MemoryStore, store::StoreError},
        *,
    };

    const LEASE: Duration = Duration::from_secs(30);

    /// A store behind a slow connection: each key takes 50 µs.
    #[derive(Default)]
    struct SlowStore {
        /// Number of keys of each call.
        calls: Arc<Mutex<Vec<usize>>>,
        /// First call that hangs, counted from 1. Later calls hang too.
        hangs_at: Option<usize>,
    }

    impl SlowStore {
        async fn transfer<T: Clone>(&self, keys: usize, answer: T) -> Result<Vec<T>, StoreError> {
            let number = {
                let mut calls = self.calls.lock().unwrap();
                calls.push(keys);
                calls.len()
            };
            if self.hangs_at.is_some_and(|first| number >= first) {
                pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_micros(50) * keys as u32).await;
            Ok(vec![answer; keys])
        }
    }

    impl Store for SlowStore {
        async fn claim(
            &self,
            keys: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Claim>, StoreError> {
            self.transfer(keys.len(), Claim::Claimed).await
        }

        async fn renew(
            &self,
            keys: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Renewal>, StoreError> {
            self.transfer(keys.len(), Renewal::Renewed).await
        }

        async fn commit(
            &self,
            keys: &[(EventKey, Duration)],
            _: Token,
        ) -> Result<Vec<Commit>, StoreError> {
            self.transfer(keys.len(), Commit::Recorded).await
        }

        async fn release(&self, keys: &[EventKey], _: Token) -> Result<(), StoreError> {
            self.transfer(keys.len(), ()).await.map(drop)
        }
    }

    fn slow_store(hangs_at: Option<usize>) -> (ChunkedStore<SlowStore>, Arc<Mutex<Vec<usize>>>) {
        let calls = Arc::<Mutex<_>>::default();
        let store = SlowStore {
            calls: Arc::clone(&calls),
            hangs_at,
        };
        let call_timeout = Duration::from_millis(250);
        let breaker = CircuitBreaker::new(store, call_timeout, Arc::default());
        (ChunkedStore(breaker), calls)
    }

    fn keys(count: usize) -> Vec<EventKey> {
        let key = |number: usize| EventKey::from_bytes((number as u128).to_be_bytes());
        (0..count).map(key).collect()
    }

    fn windows(keys: &[EventKey]) -> Vec<(EventKey, Duration)> {
        keys.iter().map(|key| (*key, LEASE)).collect()
    }

    /// A store in memory never returns `Pending`, so nothing else would yield.
    #[tokio::test]
    async fn calls_of_a_store_in_memory_yield_in_between() {
        const KEYS: usize = 10 * MAX_KEYS;
        let breaker = CircuitBreaker::new(MemoryStore::new(), LEASE, Arc::default());
        let (store, token) = (ChunkedStore(breaker), Token::random());
        let keys = keys(KEYS);
        let (claims, claim_polls) = count_polls(store.claim(&keys, token, LEASE)).await;
        assert_eq!((claims.answers.len(), claim_polls), (KEYS, 10));
        let (renewals, renew_polls) = count_polls(store.renew(&keys, token, LEASE)).await;
        assert_eq!((renewals.answers.len(), renew_polls), (KEYS, 10));
        let windows = windows(&keys);
        let (commits, commit_polls) = count_polls(store.commit(&windows, token)).await;
        assert_eq!((commits.answers.len(), commit_polls), (KEYS, 10));
        let (released, release_polls) = count_polls(store.release(&keys, token)).await;
        assert_eq!((released.answers.len(), release_polls), (KEYS, 10));
        let one = count_polls(store.claim(&keys[..MAX_KEYS], token, LEASE))
            .await
            .1;
        assert_eq!(one, 1);
    }

    /// All keys take 700 ms, and each call may take 250 ms.
    #[tokio::test(start_paused = true)]
    async fn a_large_delivery_is_split_into_small_calls() {
        const KEYS: usize = 14_000;
        let ((store, calls), token) = (slow_store(None), Token::random());
        let keys = keys(KEYS);
        let claims = store.claim(&keys, token, LEASE).await;
        assert!(claims.result.is_ok());
        assert_eq!((claims.answers.len(), claims.sent()), (KEYS, KEYS));
        let commits = store.commit(&windows(&keys), token).await;
        assert!(commits.result.is_ok());
        assert_eq!(commits.answers.len(), KEYS);
        let renewals = store.renew(&keys, token, LEASE).await;
        assert!(renewals.result.is_ok());
        assert_eq!(renewals.answers.len(), KEYS);
        let released = store.release(&keys, token).await;
        assert!(released.result.is_ok());
        assert_eq!(released.answers.len(), KEYS);
        let calls = calls.lock().unwrap();
        assert!(calls.iter().all(|keys| *keys <= MAX_KEYS));
        assert_eq!(calls.iter().sum::<usize>(), 4 * KEYS);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_before_a_failed_call_are_kept() {
        let token = Token::random();
        let keys = keys(10 * MAX_KEYS);

        let (store, calls) = slow_store(Some(3));
        let claims = store.claim(&keys, token, LEASE).await;
        assert!(claims.result.is_err());
        assert_eq!(claims.answers.len(), 2 * MAX_KEYS);
        assert_eq!(claims.sent(), 3 * MAX_KEYS);
        assert_eq!(*calls.lock().unwrap(), [MAX_KEYS; 3]);

        let (store, calls) = slow_store(Some(3));
        let commits = store.commit(&windows(&keys), token).await;
        assert!(commits.result.is_err());
        assert_eq!(commits.answers.len(), 2 * MAX_KEYS);
        assert_eq!(*calls.lock().unwrap(), [MAX_KEYS; 3]);

        let (store, calls) = slow_store(Some(3));
        let released = store.release(&keys, token).await;
        assert!(released.result.is_err());
        assert_eq!(released.answers.len(), 2 * MAX_KEYS);
        assert_eq!(*calls.lock().unwrap(), [MAX_KEYS; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_while_the_circuit_is_open() {
        let ((store, calls), token) = (slow_store(Some(1)), Token::random());
        let keys = keys(10);
        for _ in 0..5 {
            let claims = store.claim(&keys, token, LEASE).await;
            assert_eq!(claims.sent(), MAX_KEYS);
        }
        let claims = store.claim(&keys, token, LEASE).await;
        assert!(claims.result.is_err());
        assert_eq!(claims.sent(), 0);
        assert_eq!(calls.lock().unwrap().len(), 5);
    }
}
