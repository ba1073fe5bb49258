//! Retries the store writes that failed before the response was sent.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    shared::Shared,
    store::{Store, Token},
    tracker::InFlightGuard,
};
use crate::{event::EventKey, telemetry::EventOutcome, time::add_capped};

/// Back-off between two attempts: doubles from the first pause to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Writes of a delivery that the store has not confirmed.
pub(super) struct PendingWrites {
    pub(super) commit: Vec<(EventKey, Duration)>,
    pub(super) release: Vec<EventKey>,
}

impl PendingWrites {
    pub(super) fn release(release: Vec<EventKey>) -> Self {
        Self {
            commit: Vec::new(),
            release,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commit.is_empty() && self.release.is_empty()
    }

    fn len(&self) -> usize {
        self.commit.len() + self.release.len()
    }
}

/// Repeats the writes until the store confirms them, the lease has expired or a drain ends.
pub(super) async fn retry_pending<S: Store>(
    shared: Arc<Shared<S>>,
    mut writes: PendingWrites,
    token: Token,
    lease_start: Instant,
    in_flight: InFlightGuard,
) {
    let permits = u32::try_from(writes.len()).unwrap_or(u32::MAX);
    let Ok(_permits) = shared.pending_writes.try_acquire_many(permits) else {
        shared
            .tracker
            .count_events(EventOutcome::Unrecorded, writes.commit.len());
        return;
    };
    shared.tracker.telemetry.writes_pending(writes.len());
    let lease_end = add_capped(lease_start, shared.timeouts.lease);
    let mut pause = FIRST_PAUSE;
    while !writes.is_empty() {
        let mut is_last = in_flight.is_aborted();
        if !is_last {
            let aborted = pin!(in_flight.aborted());
            let next = Instant::now() + pause;
            let _ = timeout_at(next.min(lease_end), aborted).await;
            pause = (2 * pause).min(MAX_PAUSE);
            // One more attempt after the lease: a commit is still recorded if nobody else has
            // claimed the event since.
            is_last = Instant::now() >= lease_end;
        }
        // Boxed, because the futures of a store are most of the size of this task, which mostly
        // waits.
        Box::pin(shared.commit(&mut writes.commit, token, lease_start)).await;
        Box::pin(shared.release(&mut writes.release, token)).await;
        if is_last {
            shared
                .tracker
                .count_events(EventOutcome::Unrecorded, writes.commit.len());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task_size<S: Store>() -> usize {
        fn size<A, F>(_: impl FnOnce(A) -> F) -> usize {
            size_of::<F>()
        }
        size(|(shared, writes, token, lease_start, in_flight)| {
            retry_pending::<S>(shared, writes, token, lease_start, in_flight)
        })
    }

    /// While the store is unavailable there may be `MAX_PENDING_WRITES` of these tasks.
    #[test]
    fn a_retry_task_is_small() {
        assert!(task_size::<crate::dedup::MemoryStore>() <= 640);
        #[cfg(feature = "redis")]
        assert!(task_size::<crate::dedup::RedisStore>() <= 640);
    }
}
