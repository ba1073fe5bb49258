use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{guard::StoreFailures, store::StoreError};

/// Watches over the deliveries of a [`DedupLayer`](super::DedupLayer) and its clones, and lets them end before the process does.
///
/// A clone is cheap.
#[derive(Clone)]
pub struct DedupHandle {
    pub(super) tracker: Arc<Tracker>,
}

/// What a layer has done since it was built. Every number counts events, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Deliveries that are being handled now, or whose last word to the store is still owed.
    pub running: usize,
    /// Given to the handler. Those that it did not handle are counted again when they come again.
    pub handled: u64,
    /// Kept from the handler: handled before, or being handled elsewhere or twice in a delivery of which the handler got the rest.
    pub suppressed: u64,
    /// Given to the handler though the store could not be asked.
    pub unprotected: u64,
    /// Given to the handler though older than their window.
    pub stale: u64,
    /// Handled here and claimed by somebody else as well, because the lease expired while the handler
    /// ran. More than a few: a handler blocks its thread, or the store is away for longer than a lease.
    pub fenced: u64,
    /// Found to be claimed or handled by somebody else when their lease was renewed. The handler goes
    /// on; its commit of these events is then `fenced`, or repeats what the other has recorded.
    pub leases_lost: u64,
    /// Handled, and never recorded as handled: the store did not take the commit before the lease
    /// expired, more than 65,536 events had a pending write, or a drain ended. Handled again if they
    /// come again.
    pub unrecorded: u64,
    /// Deliveries whose handler was dropped at the
    /// [`handler_deadline`](super::DedupLayerBuilder::handler_deadline). Their events were released.
    pub timed_out: u64,
    /// Deliveries whose handler was dropped because a [drain](DedupHandle::drain) ended. Their events
    /// were released.
    pub aborted: u64,
    /// Calls of the store that failed, or were not made because it had failed before.
    /// [`last_store_error`](DedupHandle::last_store_error) says why.
    pub store_failures: u64,
    /// Older than their windows and kept from the handler, because of
    /// [`OnStale::Refuse`](super::OnStale::Refuse).
    pub refused: u64,
    /// Deliveries that passed through this layer and were verified by a `WebhookLayer` further inside,
    /// without another `DedupLayer` in it: their duplicates are not suppressed. Anything but 0 means
    /// that the layers are in the wrong order, which the `WebhookLayer` reports too
    /// ([`SetupWarning::DedupBypassed`](crate::webhook::SetupWarning::DedupBypassed)).
    pub bypassed: u64,
}

/// How a [drain](DedupHandle::drain) ended. All numbers are deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Were running when it began.
    pub running: usize,
    /// Were still running when the time was up, and were stopped: their events are free again.
    pub aborted: usize,
    /// Could not be stopped: a handler blocks its thread, or the store does not answer. Their events are free when the lease has passed.
    pub left: usize,
}

impl DedupHandle {
    /// Lets what is running end, and takes nothing more: further deliveries are answered with 503, for another process to take.
    ///
    /// When the time is up the handlers that are still running are dropped, and their events released. That takes five calls of
    /// the store more at most. Keep the sum below the time that your platform leaves between its two signals: Kubernetes has 30 seconds.
    ///
    /// Call it when the server takes no new connections any more. `examples/shutdown.rs` has both.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        self.tracker.draining.store(true, Ordering::SeqCst);
        let running = self.tracker.running();
        if self.tracker.ended(after(Instant::now(), timeout)).await {
            return Drained {
                running,
                aborted: 0,
                left: 0,
            };
        }
        let aborted = self.tracker.running();
        self.tracker.abort.send_replace(true);
        self.tracker
            .ended(after(Instant::now(), self.tracker.grace))
            .await;
        let left = self.tracker.running();
        Drained {
            running,
            aborted: aborted.saturating_sub(left),
            left,
        }
    }

    /// The error of the last call of the store that failed, with its cause as
    /// [`source`](std::error::Error::source). Also of calls that no response tells of: renewals, and
    /// commits and releases after the answer.
    ///
    /// It stays when the store is back: [`Counters::store_failures`] tells whether there are new ones.
    #[must_use]
    pub fn last_store_error(&self) -> Option<Arc<StoreError>> {
        self.tracker.store_failures.last()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let tracker = &self.tracker;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            running: tracker.running(),
            handled: count(&tracker.handled),
            suppressed: count(&tracker.suppressed),
            unprotected: count(&tracker.unprotected),
            stale: count(&tracker.stale),
            fenced: count(&tracker.fenced),
            leases_lost: count(&tracker.leases_lost),
            unrecorded: count(&tracker.unrecorded),
            timed_out: count(&tracker.timed_out),
            aborted: count(&tracker.aborted),
            store_failures: count(&tracker.store_failures.count),
            refused: count(&tracker.refused),
            bypassed: count(&tracker.bypassed),
        }
    }
}

impl fmt::Debug for DedupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DedupHandle")
            .field(&self.counters())
            .finish()
    }
}

/// The deliveries that are being handled.
#[derive(Debug)]
pub(super) struct Tracker {
    running: watch::Sender<usize>,
    draining: AtomicBool,
    abort: watch::Sender<bool>,
    grace: Duration,
    pub(super) handled: AtomicU64,
    pub(super) suppressed: AtomicU64,
    pub(super) unprotected: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) leases_lost: AtomicU64,
    pub(super) unrecorded: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) store_failures: Arc<StoreFailures>,
    pub(super) refused: AtomicU64,
    pub(super) bypassed: AtomicU64,
}

impl Tracker {
    /// `limit` is that of one call of the store.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            running: watch::Sender::new(0),
            draining: AtomicBool::new(false),
            abort: watch::Sender::new(false),
            // A renewal under way; release, and once more if it fails; commit and release if the handler has answered that moment.
            grace: limit.saturating_mul(5),
            handled: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            unprotected: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
            leases_lost: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            store_failures: Arc::default(),
            refused: AtomicU64::new(0),
            bypassed: AtomicU64::new(0),
        }
    }

    /// Counts one more delivery, unless the process is shutting down.
    pub(super) fn start(self: &Arc<Self>) -> Option<InFlightGuard> {
        self.running.send_modify(|running| *running += 1);
        let run = InFlightGuard {
            tracker: Arc::clone(self),
        };
        // Looked at after the count: a drain sees either the delivery or no more of them.
        (!self.draining.load(Ordering::SeqCst)).then_some(run)
    }

    fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until nothing is running. Tells whether it came to that.
    async fn ended(&self, deadline: Instant) -> bool {
        let mut running = self.running.subscribe();
        let ended = running.wait_for(|running| *running == 0);
        timeout_at(deadline, ended).await.is_ok()
    }
}

/// A time too far away for the clock is as good as a year.
pub(super) fn after(now: Instant, span: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(31_536_000);
    now + span.min(YEAR)
}

/// Adds to one of the counters.
pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// A delivery that is being handled, for as long as it lives.
#[derive(Debug)]
pub(super) struct InFlightGuard {
    tracker: Arc<Tracker>,
}

impl InFlightGuard {
    /// Ready when the time of a drain is up.
    pub(super) async fn aborted(&self) {
        let mut abort = self.tracker.abort.subscribe();
        // The sender lives as long as `self`.
        let _ = abort.wait_for(|abort| *abort).await;
    }

    pub(super) fn is_aborted(&self) -> bool {
        *self.tracker.abort.borrow()
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.tracker.running.send_modify(|running| *running -= 1);
    }
}
