//! The leases that a worker holds, and their renewal.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Shared;
use crate::{backend::Renewal, row::Lease, run::Term};

/// By lane.
#[derive(Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<String, Held>>,
}

struct Held {
    lease: Lease,
    term: Arc<Term>,
}

impl Leases {
    /// Holds a lease until `deadline`, which renewals move.
    pub(super) fn hold(&self, lease: &Lease, deadline: Instant) -> Arc<Term> {
        let term = Term::new(deadline);
        let held = Held {
            lease: lease.clone(),
            term: Arc::clone(&term),
        };
        self.lock().insert(lease.lane.clone(), held);
        term
    }

    /// Lets go of a lease, unless the lane was leased again meanwhile.
    pub(super) fn let_go(&self, lease: &Lease) {
        let mut held = self.lock();
        if held
            .get(&lease.lane)
            .is_some_and(|held| held.lease.token == lease.token)
        {
            held.remove(&lease.lane);
        }
    }

    fn all(&self) -> Vec<Lease> {
        self.lock()
            .values()
            .map(|held| held.lease.clone())
            .collect()
    }

    /// The run of a lease, unless the lane was leased again meanwhile.
    fn term(&self, lease: &Lease) -> Option<Arc<Term>> {
        let held = self.lock();
        let held = held.get(&lease.lane)?;
        (held.lease.token == lease.token).then(|| Arc::clone(&held.term))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews all leases three times in each.
pub(super) async fn renew_forever(shared: Arc<Shared>) {
    let lease = shared.options.lease;
    let mut ticks = interval(lease / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let held = shared.leases.all();
        if held.is_empty() {
            continue;
        }
        // The database counts from later on, so a lease never ends before its holder thinks so.
        let deadline = Instant::now() + lease;
        let backend = &shared.inbox.inner.backend;
        match backend.renew(&held, lease, shared.limit()).await {
            Ok(kept) => {
                for lease in &held {
                    let Some(term) = shared.leases.term(lease) else {
                        continue;
                    };
                    match kept.get(&lease.token) {
                        Some(Renewal::Renewed) => term.renew(deadline),
                        Some(Renewal::Locked) => {}
                        None => term.lose(),
                    }
                }
            }
            Err(error) => shared.inbox.inner.database_failed("renew", &error),
        }
    }
}
