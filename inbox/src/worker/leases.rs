//! The leases that a worker holds, and their renewal.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Shared, timed_out};
use crate::{backend::Renewal, row::Lease};

/// By lane. The values end the run when they are in the past.
#[derive(Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<String, Held>>,
}

struct Held {
    lease: Lease,
    deadline: watch::Sender<Instant>,
}

impl Leases {
    /// Holds a lease, and returns when it ends: a moment that moves.
    pub(super) fn hold(&self, lease: &Lease, deadline: Instant) -> watch::Receiver<Instant> {
        let (sender, receiver) = watch::channel(deadline);
        let held = Held {
            lease: lease.clone(),
            deadline: sender,
        };
        self.lock().insert(lease.lane.clone(), held);
        receiver
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

    /// Moves the end of a lease. One that was lost ends now.
    fn settle(&self, lease: &Lease, deadline: Instant) {
        if let Some(held) = self.lock().get(&lease.lane)
            && held.lease.token == lease.token
        {
            held.deadline.send_replace(deadline);
        }
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
        match timeout(lease / 3, backend.renew(&held, lease)).await {
            Ok(Ok(kept)) => {
                for lease in &held {
                    match kept.get(&lease.lane) {
                        Some(Renewal::Renewed) => shared.leases.settle(lease, deadline),
                        Some(Renewal::Locked) => {}
                        None => shared.leases.settle(lease, Instant::now()),
                    }
                }
            }
            Ok(Err(error)) => shared.inbox.inner.database_failed("renew", &error),
            Err(_) => shared.inbox.inner.database_failed("renew", &timed_out()),
        }
    }
}

/// Waits until a lease has ended.
pub(super) async fn ended(mut deadline: watch::Receiver<Instant>) {
    loop {
        let end = *deadline.borrow_and_update();
        let pause = end.saturating_duration_since(Instant::now());
        if pause == Duration::ZERO {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = deadline.changed() => {
                if changed.is_err() {
                    // Let go of: it is not renewed any more.
                    tokio::time::sleep_until(end).await;
                    return;
                }
            }
        }
    }
}
