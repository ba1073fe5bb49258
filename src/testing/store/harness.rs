use std::{panic, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use crate::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

/// Does not expire while a check runs.
pub(super) const LONG: Duration = Duration::from_secs(100);
/// Expires while a check waits.
pub(super) const SHORT: Duration = Duration::from_secs(1);
/// Time after which a [`SHORT`] lease or window has expired, even if the store rounds it up.
pub(super) const EXPIRED: Duration = Duration::from_millis(2100);

/// Far longer than a call takes, also on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The store under test. Its methods fail a check if the store returns an error or the wrong number
/// of results.
pub(super) struct Harness<S> {
    store: Arc<S>,
}

impl<S> Clone for Harness<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
        }
    }
}

impl<S: Store> Harness<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store: Arc::new(store),
        }
    }

    /// Returns a new random key.
    pub(super) fn key(&self) -> EventKey {
        EventKey::from_bytes(Token::random().to_bytes())
    }

    /// Returns new keys in ascending order, as the layer passes them.
    pub(super) fn keys(&self, count: usize) -> Vec<EventKey> {
        let mut keys: Vec<_> = (0..count).map(|_| self.key()).collect();
        keys.sort_unstable();
        keys
    }

    /// Returns three new keys that are held for this time: by a claim, a renewal and a commit.
    pub(super) async fn hold_three_keys(&self, token: Token, time: Duration) -> [EventKey; 3] {
        let keys = [self.key(), self.key(), self.key()];
        let [leased, renewed, done] = keys;
        self.claim_one(leased, token, time).await;
        self.claim_one(renewed, token, SHORT).await;
        self.renew_one(renewed, token, time).await;
        self.commit_one(done, time, token).await;
        keys
    }

    pub(super) async fn assert_held(&self, keys: &[EventKey; 3], time: Duration) {
        let claims = self.claim(keys, Token::random(), SHORT).await;
        let (leases, window) = claims.split_at(2);
        assert!(
            all_are(leases, Claim::Pending),
            "the lease: a claim before a lease and a renewed lease of {time:?} have expired: \
             {leases:?}"
        );
        assert!(
            all_are(window, Claim::Done),
            "rule 4: a claim before a window of {time:?} has expired: {window:?}"
        );
    }

    pub(super) async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Vec<Claim> {
        let claims = answer(self.store.claim(keys, token, lease), "a claim").await;
        assert_eq!(
            claims.len(),
            keys.len(),
            "rule 8: one result per key of a claim"
        );
        claims
    }

    pub(super) async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Vec<Renewal> {
        let renewals = answer(self.store.renew(keys, token, lease), "a renewal").await;
        assert_eq!(
            renewals.len(),
            keys.len(),
            "rule 8: one result per key of a renewal"
        );
        renewals
    }

    pub(super) async fn commit(&self, keys: &[(EventKey, Duration)], token: Token) -> Vec<Commit> {
        let commits = answer(self.store.commit(keys, token), "a commit").await;
        assert_eq!(
            commits.len(),
            keys.len(),
            "rule 8: one result per key of a commit"
        );
        commits
    }

    pub(super) async fn release(&self, keys: &[EventKey], token: Token) {
        answer(self.store.release(keys, token), "a release").await;
    }

    pub(super) async fn claim_one(&self, key: EventKey, token: Token, lease: Duration) -> Claim {
        single(self.claim(&[key], token, lease).await)
    }

    pub(super) async fn renew_one(&self, key: EventKey, token: Token, lease: Duration) -> Renewal {
        single(self.renew(&[key], token, lease).await)
    }

    pub(super) async fn commit_one(&self, key: EventKey, window: Duration, token: Token) -> Commit {
        single(self.commit(&[(key, window)], token).await)
    }
}

/// Returns the only result.
pub(super) fn single<T>(mut results: Vec<T>) -> T {
    results
        .pop()
        .unwrap_or_else(|| panic!("rule 8: one result per key"))
}

async fn answer<T>(call: impl Future<Output = Result<T, StoreError>>, what: &str) -> T {
    match timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => panic!("{what} returned an error: {error:?}"),
        Err(_) => panic!("{what} had no result within {PATIENCE:?}"),
    }
}

pub(super) fn all_are<T: PartialEq + Copy>(results: &[T], expected: T) -> bool {
    results.iter().all(|result| *result == expected)
}

/// Waits for all tasks. A panic of a task is propagated.
pub(super) async fn join_all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(result) => results.push(result),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => panic::resume_unwind(payload),
                Err(error) => panic!("a check was aborted: {error}"),
            },
        }
    }
    results
}
