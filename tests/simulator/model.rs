//! A minimal deduplication by the layer's documented rules, to test the oracles. Each
//! rule can be broken.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};
use tower_whatsapp::{
    dedup::{Claim, Store, StoreError, Token},
    event::EventKey,
};

use crate::{
    broken::Broken,
    host::Host,
    store::Connection,
    {LEASE, RESPONSE_DEADLINE, STORE_TIMEOUT, WINDOW},
};

/// The model does not renew leases, so its handlers must end before their lease does.
const DEADLINE: Duration = Duration::from_secs(25);

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) store: Connection,
    pub(crate) host: Host,
    pub(crate) broken: Option<Broken>,
}

/// An event's key in the store, and its real key.
pub(crate) type Keys = (EventKey, EventKey);

impl Model {
    pub(crate) async fn answer(self: Arc<Self>, request: usize, keys: Vec<Keys>) -> StatusCode {
        // In a task, because the client may disconnect.
        let work = tokio::spawn(async move { self.work(request, keys).await });
        match timeout(RESPONSE_DEADLINE, work).await {
            Ok(Ok(status)) => status,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    async fn work(&self, request: usize, mut events: Vec<Keys>) -> StatusCode {
        events.sort_unstable();
        events.dedup_by_key(|(key, _)| *key);
        let keys: Vec<_> = events.iter().map(|(key, _)| *key).collect();
        let token = Token::random();
        let claim = limited(self.store.claim(&keys, token, LEASE)).await;
        let Ok(claims) = claim else {
            self.release(keys, token);
            return StatusCode::SERVICE_UNAVAILABLE;
        };
        let pending = claims.contains(&Claim::Pending) && !self.is(Broken::OkWhilePending);
        let claimed = events.into_iter().zip(claims);
        let claimed = claimed.filter(|(_, claim)| *claim == Claim::Claimed);
        let claimed: Vec<Keys> = claimed.map(|(event, _)| event).collect();
        let mut status = if pending {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        if claimed.is_empty() {
            return status;
        }
        let lease_end = Instant::now() + LEASE;
        if self.is(Broken::RecordedFirst) {
            let _ = self.commit(&claimed, token).await;
        }
        let host = self.host.clone();
        let own = claimed.iter().map(|(_, own)| *own).collect();
        let mut handler = tokio::spawn(async move { host.handle(request, own, false).await });
        let (good, bad): (Vec<Keys>, Vec<Keys>) = match timeout(DEADLINE, &mut handler).await {
            Ok(Ok(Ok(answer))) if answer.status.is_success() => {
                let failed = |(_, own): &Keys| !answer.failed.contains(own);
                claimed.into_iter().partition(failed)
            }
            _ => (Vec::new(), claimed),
        };
        handler.abort();
        if !bad.is_empty() {
            status = StatusCode::INTERNAL_SERVER_ERROR;
            self.release(bad.iter().map(|(key, _)| *key).collect(), token);
        }
        if !good.is_empty() && self.commit(&good, token).await.is_err() {
            if self.is(Broken::FailureAfterCommitFailed) {
                status = StatusCode::INTERNAL_SERVER_ERROR;
            }
            if self.is(Broken::ReleasedAfterCommitFailed) {
                self.release(good.iter().map(|(key, _)| *key).collect(), token);
                return status;
            }
            let again = self.clone();
            tokio::spawn(async move {
                while Instant::now() < lease_end && again.commit(&good, token).await.is_err() {
                    sleep(Duration::from_secs(1)).await;
                }
            });
        }
        status
    }

    async fn commit(&self, events: &[Keys], token: Token) -> Result<(), StoreError> {
        let keys: Vec<_> = events.iter().map(|(key, _)| (*key, WINDOW)).collect();
        limited(self.store.commit(&keys, token)).await.map(drop)
    }

    fn release(&self, keys: Vec<EventKey>, token: Token) {
        let store = self.store.clone();
        tokio::spawn(async move {
            // Without a release the event is free after its lease.
            let _ = limited(store.release(&keys, token)).await;
        });
    }
}

async fn limited<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(STORE_TIMEOUT, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::unavailable(elapsed)),
    }
}
