//! Large deliveries in several calls of the store, each with a timeout of its own.

use std::time::Duration;

use tokio::task::yield_now;

use super::{
    guard::{Failure, Guarded},
    store::{Claim, Commit, Renewal, Store, Token},
};
use crate::event::EventKey;

/// Maximum number of keys in one call of the store.
///
/// With all keys of a delivery in one call, a large delivery takes longer than the timeout every
/// time, and its failures open the circuit for all others. 256 keys are 68 kB for Redis: 11 ms at
/// 50 Mbit/s, and within the default timeout down to 2.2 Mbit/s.
const CHUNK: usize = 256;

/// A store that is asked in chunks. The first call of an operation that fails is its last.
pub(super) struct Chunked<S>(pub(super) Guarded<S>);

/// The answers for the first keys of an operation, and why there are not more.
pub(super) struct Answers<T> {
    pub(super) answers: Vec<T>,
    pub(super) result: Result<(), Failure>,
}

impl<S: Store> Chunked<S> {
    pub(super) async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Answers<Claim> {
        let mut answers = Answers::new(keys.len());
        for chunk in keys.chunks(CHUNK) {
            answers.yield_now().await;
            if !answers.add(self.0.claim(chunk, token, lease).await) {
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
        for chunk in keys.chunks(CHUNK) {
            answers.yield_now().await;
            if !answers.add(self.0.renew(chunk, token, lease).await) {
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
        for chunk in keys.chunks(CHUNK) {
            answers.yield_now().await;
            if !answers.add(self.0.commit(chunk, token).await) {
                break;
            }
        }
        answers
    }

    pub(super) async fn release(&self, keys: &[EventKey], token: Token) -> Answers<()> {
        let mut answers = Answers::new(keys.len());
        for chunk in keys.chunks(CHUNK) {
            answers.yield_now().await;
            let released = self.0.release(chunk, token).await;
            if !answers.add(released.map(|()| vec![(); chunk.len()])) {
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

    /// Number of keys that the store may have been asked about, at most: those with an answer, and
    /// those of a call whose answer is unknown.
    pub(super) fn asked(&self) -> usize {
        match self.result {
            Ok(()) | Err(Failure::NotSent(_)) => self.answers.len(),
            Err(Failure::Ambiguous(_)) => self.answers.len() + CHUNK,
        }
    }

    /// Yields between two calls: a store in memory is never pending.
    async fn yield_now(&self) {
        if !self.answers.is_empty() {
            yield_now().await;
        }
    }

    /// Adds the result of one call. Returns whether the next one may be made.
    fn add(&mut self, result: Result<Vec<T>, Failure>) -> bool {
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
        super::{claim_set::tests::turns, memory::MemoryStore, store::StoreError},
        *,
    };

    const LEASE: Duration = Duration::from_secs(30);

    /// A store at the end of a narrow line: each key takes 50 µs.
    #[derive(Default)]
    struct Narrow {
        /// Keys of each call.
        calls: Arc<Mutex<Vec<usize>>>,
        /// This call and those after it get no answer.
        hangs_at: Option<usize>,
    }

    impl Narrow {
        async fn pass<T: Clone>(&self, keys: usize, answer: T) -> Result<Vec<T>, StoreError> {
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

    impl Store for Narrow {
        async fn claim(
            &self,
            keys: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Claim>, StoreError> {
            self.pass(keys.len(), Claim::Claimed).await
        }

        async fn renew(
            &self,
            keys: &[EventKey],
            _: Token,
            _: Duration,
        ) -> Result<Vec<Renewal>, StoreError> {
            self.pass(keys.len(), Renewal::Renewed).await
        }

        async fn commit(
            &self,
            keys: &[(EventKey, Duration)],
            _: Token,
        ) -> Result<Vec<Commit>, StoreError> {
            self.pass(keys.len(), Commit::Recorded).await
        }

        async fn release(&self, keys: &[EventKey], _: Token) -> Result<(), StoreError> {
            self.pass(keys.len(), ()).await.map(drop)
        }
    }

    fn narrow(hangs_at: Option<usize>) -> (Chunked<Narrow>, Arc<Mutex<Vec<usize>>>) {
        let calls = Arc::<Mutex<_>>::default();
        let store = Narrow {
            calls: Arc::clone(&calls),
            hangs_at,
        };
        let limit = Duration::from_millis(250);
        let guarded = Guarded::new(store, limit, Arc::default());
        (Chunked(guarded), calls)
    }

    fn keys(count: usize) -> Vec<EventKey> {
        let key = |number: usize| EventKey::from_bytes((number as u128).to_be_bytes());
        (0..count).map(key).collect()
    }

    fn windows(keys: &[EventKey]) -> Vec<(EventKey, Duration)> {
        keys.iter().map(|key| (*key, LEASE)).collect()
    }

    /// It never waits, so nothing else would make it give way.
    #[tokio::test]
    async fn a_store_in_memory_is_asked_in_turns() {
        const KEYS: usize = 10 * CHUNK;
        let guarded = Guarded::new(MemoryStore::new(), LEASE, Arc::default());
        let (store, token) = (Chunked(guarded), Token::random());
        let keys = keys(KEYS);
        let (claims, turns_to_claim) = turns(store.claim(&keys, token, LEASE)).await;
        assert_eq!((claims.answers.len(), turns_to_claim), (KEYS, 10));
        let (renewals, turns_to_renew) = turns(store.renew(&keys, token, LEASE)).await;
        assert_eq!((renewals.answers.len(), turns_to_renew), (KEYS, 10));
        let windows = windows(&keys);
        let (commits, turns_to_commit) = turns(store.commit(&windows, token)).await;
        assert_eq!((commits.answers.len(), turns_to_commit), (KEYS, 10));
        let (released, turns_to_release) = turns(store.release(&keys, token)).await;
        assert_eq!((released.answers.len(), turns_to_release), (KEYS, 10));
        let one = turns(store.claim(&keys[..CHUNK], token, LEASE)).await.1;
        assert_eq!(one, 1);
    }

    /// 700 ms for all keys, and 250 for each call.
    #[tokio::test(start_paused = true)]
    async fn a_large_delivery_passes_in_small_calls() {
        const KEYS: usize = 14_000;
        let ((store, calls), token) = (narrow(None), Token::random());
        let keys = keys(KEYS);
        let claims = store.claim(&keys, token, LEASE).await;
        assert!(claims.result.is_ok());
        assert_eq!((claims.answers.len(), claims.asked()), (KEYS, KEYS));
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
        assert!(calls.iter().all(|keys| *keys <= CHUNK));
        assert_eq!(calls.iter().sum::<usize>(), 4 * KEYS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_answered_before_a_call_failed_is_kept() {
        let token = Token::random();
        let keys = keys(10 * CHUNK);

        let (store, calls) = narrow(Some(3));
        let claims = store.claim(&keys, token, LEASE).await;
        assert!(claims.result.is_err());
        assert_eq!(claims.answers.len(), 2 * CHUNK);
        assert_eq!(claims.asked(), 3 * CHUNK);
        assert_eq!(*calls.lock().unwrap(), [CHUNK; 3]);

        let (store, calls) = narrow(Some(3));
        let commits = store.commit(&windows(&keys), token).await;
        assert!(commits.result.is_err());
        assert_eq!(commits.answers.len(), 2 * CHUNK);
        assert_eq!(*calls.lock().unwrap(), [CHUNK; 3]);

        let (store, calls) = narrow(Some(3));
        let released = store.release(&keys, token).await;
        assert!(released.result.is_err());
        assert_eq!(released.answers.len(), 2 * CHUNK);
        assert_eq!(*calls.lock().unwrap(), [CHUNK; 3]);
    }

    /// The store has not heard of what comes when the circuit is open.
    #[tokio::test(start_paused = true)]
    async fn nothing_was_asked_while_the_circuit_is_open() {
        let ((store, calls), token) = (narrow(Some(1)), Token::random());
        let keys = keys(10);
        for _ in 0..5 {
            let claims = store.claim(&keys, token, LEASE).await;
            assert_eq!(claims.asked(), CHUNK);
        }
        let claims = store.claim(&keys, token, LEASE).await;
        assert!(claims.result.is_err());
        assert_eq!(claims.asked(), 0);
        assert_eq!(calls.lock().unwrap().len(), 5);
    }
}
