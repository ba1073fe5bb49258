use std::{ptr, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    chunked::ChunkedStore,
    circuit_breaker::CircuitBreaker,
    claim_set::Policy,
    config::{OnStoreError, Timeouts},
    deferrals::Deferrals,
    store::{Commit, Store, Token},
    tracker::Tracker,
};
use crate::{
    event::EventKey, telemetry::EventOutcome, time::add_capped, verified::Verified, webhook::Labels,
};

/// Maximum number of events with a pending commit or release. Beyond it, leases expire on their
/// own.
///
/// That is some 3 MiB for all deliveries, and a task of less than a kilobyte for each delivery.
const MAX_PENDING_WRITES: usize = 65_536;

/// One notifier per first key byte. A waiter may be woken by another key that shares it.
const NOTIFIERS: usize = 256;

/// State of a layer, shared by its clones and its services.
pub(super) struct Shared<S> {
    pub(super) store: ChunkedStore<S>,
    pub(super) policy: Policy,
    pub(super) timeouts: Timeouts,
    pub(super) on_store_error: OnStoreError,
    /// Permits of deliveries that may wait for events in flight elsewhere.
    pub(super) waiters: Semaphore,
    /// Permits of events with a pending write.
    pub(super) pending_writes: Semaphore,
    notifiers: [Notify; NOTIFIERS],
    /// The apps whose events were claimed, and the address of the warnings of their layers.
    labels: Labels<usize>,
    pub(super) deferrals: Deferrals,
    pub(super) tracker: Arc<Tracker>,
}

impl<S: Store> Shared<S> {
    pub(super) fn new(
        store: S,
        policy: Policy,
        timeouts: Timeouts,
        waiters: usize,
        on_store_error: OnStoreError,
    ) -> Self {
        let tracker = Arc::new(Tracker::new(timeouts.store_timeout));
        Self {
            store: ChunkedStore(CircuitBreaker::new(
                store,
                timeouts.store_timeout,
                Arc::clone(&tracker.store_failures),
            )),
            policy,
            timeouts,
            on_store_error,
            waiters: Semaphore::new(waiters.min(Semaphore::MAX_PERMITS)),
            pending_writes: Semaphore::new(MAX_PENDING_WRITES),
            notifiers: std::array::from_fn(|_| Notify::new()),
            labels: Labels::new(),
            deferrals: Deferrals::default(),
            tracker,
        }
    }

    /// Whether a lease that started then may have expired.
    pub(super) fn is_lease_over(&self, lease_start: Instant) -> bool {
        Instant::now() > add_capped(lease_start, self.timeouts.lease)
    }

    /// Reports an app that has the label of another layer's app. Within one layer, the layer itself
    /// compares them.
    pub(super) fn check_label(&self, verified: &Verified) {
        let warnings = verified.warnings();
        // An address that is used again after a layer was dropped hides a warning, no more.
        let layer = Arc::as_ptr(warnings).addr();
        warnings.check_label(|| self.labels.is_shared(verified.signer(), layer));
    }

    /// Returns the notifier that wakes the deliveries waiting for a key.
    pub(super) fn notifier(&self, key: EventKey) -> &Notify {
        let [first, ..] = key.to_bytes();
        // Keys of the host's own function may all share this byte: then more waiters wake than
        // need.
        #[expect(clippy::indexing_slicing, reason = "there is one for each byte")]
        &self.notifiers[usize::from(first)]
    }

    /// Records keys as done, and removes them from the list. Keys that the store has not confirmed
    /// stay in it.
    pub(super) async fn commit(
        &self,
        keys: &mut Vec<(EventKey, Duration)>,
        token: Token,
        lease_start: Instant,
    ) {
        if keys.is_empty() {
            return;
        }
        let commits = self.store.commit(keys, token).await.answers;
        let fenced = commits.iter().filter(|commit| **commit == Commit::Fenced);
        let fenced = fenced.count();
        self.tracker.count_events(EventOutcome::Fenced, fenced);
        if self.is_lease_over(lease_start) {
            // Another holder may have handled them and committed first: the store tells no
            // difference.
            let overruns = commits.len() - fenced;
            self.tracker
                .count_events(EventOutcome::LeaseOverrun, overruns);
        }
        self.notify(keys.drain(..commits.len()).map(|(key, _)| key));
    }

    /// Releases keys, and removes them from the list. Keys that the store has not confirmed stay in
    /// it.
    pub(super) async fn release(&self, keys: &mut Vec<EventKey>, token: Token) {
        if keys.is_empty() {
            return;
        }
        let released = self.store.release(keys, token).await.answers;
        self.notify(keys.drain(..released.len()));
    }

    /// Wakes the deliveries that wait for these keys. Keys are sorted, so a notifier that several
    /// of them share is called once.
    fn notify(&self, keys: impl IntoIterator<Item = EventKey>) {
        let mut last = None;
        for key in keys {
            let notifier = self.notifier(key);
            if !last.is_some_and(|last| ptr::eq(last, notifier)) {
                notifier.notify_waiters();
            }
            last = Some(notifier);
        }
    }
}
