//! A store with kill points before and after its calls.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower_whatsapp::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

use crate::{
    journal::Journal,
    point::{Point, Trap},
};

pub(crate) struct Watched<S> {
    pub(crate) store: S,
    pub(crate) trap: Arc<Trap>,
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) waits: Arc<Waits>,
}

/// Counts deliveries that wait for events that another one is handling, by their repeated claims.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    claims: Mutex<HashMap<Token, u32>>,
    deliveries: AtomicU64,
    looks: AtomicU64,
}

impl Waits {
    fn claims(&self, token: Token) {
        let mut claims = self.claims.lock().unwrap();
        let count = claims.entry(token).or_default();
        *count += 1;
        if *count == 2 {
            self.deliveries.fetch_add(1, Ordering::SeqCst);
        }
        if *count > 1 {
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Number of deliveries that waited.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::SeqCst)
    }

    /// Number of repeated claims.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }
}

impl<S: Store> Store for Watched<S> {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.trap.pass(Point::BeforeClaim);
        // Without a journal the time is being measured, so no work may be added.
        if self.journal.is_some() {
            self.waits.claims(token);
        }
        let claims = self.store.claim(keys, token, lease).await?;
        self.trap.pass(Point::AfterClaim);
        Ok(claims)
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        self.trap.pass(Point::BeforeRenewal);
        let renewals = self.store.renew(keys, token, lease).await?;
        self.trap.pass(Point::AfterRenewal);
        Ok(renewals)
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        self.trap.pass(Point::BeforeCommit);
        let commits = self.store.commit(keys, token).await?;
        if let Some(journal) = &self.journal {
            for ((key, _), commit) in keys.iter().zip(&commits) {
                if *commit == Commit::Recorded {
                    journal.committed(*key);
                }
            }
        }
        self.trap.pass(Point::AfterCommit);
        Ok(commits)
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        self.trap.pass(Point::BeforeRelease);
        self.store.release(keys, token).await?;
        self.trap.pass(Point::AfterRelease);
        Ok(())
    }
}
