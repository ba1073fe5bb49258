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
                let mut locked = Vec::new();
                for lease in held {
                    let Some(term) = shared.leases.term(&lease) else {
                        continue;
                    };
                    match kept.get(&lease.token) {
                        Some(Renewal::Renewed) => term.renew(deadline),
                        Some(Renewal::Locked) => locked.push(lease),
                        None => term.lose(),
                    }
                }
                renew_locked(&shared, locked).await;
            }
            Err(error) => shared.inbox.inner.database_failed("renew", &error),
        }
    }
}

/// Waits for lanes that others have locked, one after the other. Deliveries that come in close
/// sequence lock a lane nearly always, and let go of it for those who wait.
///
/// Begins the last wait within a quarter of a lease, so that the next renewals are not late. What
/// was locked for longer is tried again with them, in another order; its lease ends when it would
/// have.
async fn renew_locked(shared: &Shared, mut locked: Vec<Lease>) {
    let lease = shared.options.lease;
    let end = Instant::now() + shared.limit();
    fastrand::shuffle(&mut locked);
    for held in locked {
        let now = Instant::now();
        let Some(term) = shared.leases.term(&held).filter(|_| now < end) else {
            continue;
        };
        let backend = &shared.inbox.inner.backend;
        match backend.renew_one(&held, lease, shared.limit() / 2).await {
            Ok(true) => term.renew(now + lease),
            Ok(false) => term.lose(),
            // Still locked. If the database is away, the next renewals tell of it.
            Err(_) => {}
        }
    }
}
