use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{store::StoreError, tracker::Tracker};
use crate::time::add_capped;

/// Monitors the deliveries of a [`DedupLayer`](super::DedupLayer) and its clones, and shuts them
/// down gracefully.
///
/// A clone is cheap.
#[derive(Clone)]
pub struct DedupHandle {
    pub(super) tracker: Arc<Tracker>,
}

/// Totals since the layer was built. All fields count events unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Deliveries that are being handled now, or that have pending store writes.
    pub running: usize,
    /// Events given to the handler, whether it handled them or not. Events that it did not handle
    /// are counted again at their next delivery.
    pub delivered: u64,
    /// Events kept from the handler: handled before, in flight elsewhere, twice in one delivery, or
    /// too old.
    ///
    /// Events in flight elsewhere may still fail there, and then reach a handler with a later
    /// delivery. They are counted only if the handler got other events of the delivery.
    pub suppressed: u64,
    /// Events given to the handler while the store was unavailable.
    pub unprotected: u64,
    /// Events given to the handler although they were older than their window.
    pub stale: u64,
    /// Events handled here that another holder had claimed and not committed yet, because the lease
    /// had expired before the commit. If the other holder has committed them, they are
    /// `lease_overruns` instead.
    pub fenced: u64,
    /// Events that another holder had claimed or handled when their lease was renewed. The handler
    /// goes on; its commit of these events is then `fenced`, or repeats what the other one
    /// recorded.
    pub leases_lost: u64,
    /// Events whose lease was over when their commit was confirmed or their handler failed. Another
    /// holder may have claimed and handled them in between; whether one has is unknown.
    ///
    /// If `fenced`, `leases_lost` and this are more than a few, a handler blocks its thread, the
    /// process is suspended, or the store is unavailable for longer than a lease.
    pub lease_overruns: u64,
    /// Events that were handled and never recorded as done. The store did not accept the commit
    /// before the lease expired, more than 65,536 events had a pending write, or a drain ended.
    /// These events are handled again if Meta repeats them.
    pub unrecorded: u64,
    /// Events that were in flight elsewhere at a delivery, and at each earlier one for longer than
    /// a lease. Their deliveries are answered with 503 until the handler that has them ends: it
    /// hangs or is slow, or its process died and the lease is long. Counted at each delivery.
    pub stuck: u64,
    /// Deliveries whose handler was dropped at the
    /// [`handler_deadline`](super::DedupLayerBuilder::handler_deadline). Their events were
    /// released.
    pub timed_out: u64,
    /// Deliveries whose handler was dropped when the time of a [drain](DedupHandle::drain) was up.
    /// Their events were released.
    pub aborted: u64,
    /// Calls of the store that failed, or that the open circuit breaker refused.
    /// [`last_store_error`](DedupHandle::last_store_error) returns the reason.
    pub store_failures: u64,
    /// Events kept from the handler because they were older than their window. See
    /// [`OnStale::Refuse`](super::OnStale::Refuse).
    pub refused_stale: u64,
    /// Deliveries that passed through this layer and were then verified by a `WebhookLayer` further
    /// inside, without a `DedupLayer` inside that one. Their duplicates are not suppressed.
    ///
    /// Any number but 0 means that the layers are in the wrong order. The `WebhookLayer` reports
    /// that too ([`SetupWarning::DedupBypassed`](crate::webhook::SetupWarning::DedupBypassed)).
    pub bypassed: u64,
}

/// Result of a [drain](DedupHandle::drain). All fields count deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Deliveries in flight when the drain began.
    pub running: usize,
    /// Deliveries still in flight when the time was up, and stopped then. Their events were
    /// released. With several drains at once, the time is up when that of the first one is.
    pub aborted: usize,
    /// Deliveries that could not be stopped, because a handler blocks its thread or the store does
    /// not answer. Their events can be claimed again when the lease has expired.
    pub left: usize,
}

impl DedupHandle {
    /// Shuts down gracefully: waits for the deliveries in flight, and answers further ones with
    /// 503, so that another process takes them.
    ///
    /// When the time is up, handlers that are still running are dropped and their events are
    /// released. That takes at most five more calls of the store for 256 events, so at most five
    /// [`store_timeout`](super::DedupLayerBuilder::store_timeout)s. Keep the sum below the grace
    /// period of your platform: 30 seconds in Kubernetes.
    ///
    /// A drain is for good: the layer and its clones refuse deliveries from its first poll on, even
    /// if this future is dropped. Build a new layer to start again.
    ///
    /// Call it once the server accepts no new connections. `examples/shutdown.rs` does both.
    #[doc(alias = "graceful shutdown")]
    pub async fn drain(&self, timeout: Duration) -> Drained {
        let tracker = &self.tracker;
        tracker.start_draining();
        let running = tracker.in_flight();
        if !tracker.idle(add_capped(Instant::now(), timeout)).await {
            tracker.abort();
            tracker
                .idle(add_capped(Instant::now(), tracker.abort_grace()))
                .await;
        }
        let left = tracker.in_flight();
        // Another drain may have stopped them, now or before this one.
        let aborted = tracker.in_flight_at_abort().min(running);
        Drained {
            running,
            aborted: aborted.saturating_sub(left),
            left,
        }
    }

    /// Whether a [drain](Self::drain) has begun, so that deliveries are refused. For readiness
    /// probes.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.tracker.is_draining()
    }

    /// Returns the error of the last failed call of the store, with its cause as
    /// [`source`](std::error::Error::source). This includes calls that affect no response:
    /// renewals, and commits and releases after the response.
    ///
    /// The error stays when the store is available again. Whether there are new failures shows in
    /// [`Counters::store_failures`].
    #[must_use]
    pub fn last_store_error(&self) -> Option<Arc<StoreError>> {
        self.tracker.store_failures.last()
    }

    /// Returns the current totals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let tracker = &self.tracker;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            running: tracker.in_flight(),
            delivered: count(&tracker.delivered),
            suppressed: count(&tracker.suppressed),
            unprotected: count(&tracker.unprotected),
            stale: count(&tracker.stale),
            fenced: count(&tracker.fenced),
            leases_lost: count(&tracker.leases_lost),
            lease_overruns: count(&tracker.lease_overruns),
            unrecorded: count(&tracker.unrecorded),
            stuck: count(&tracker.stuck),
            timed_out: count(&tracker.timed_out),
            aborted: count(&tracker.aborted),
            store_failures: count(&tracker.store_failures.count),
            refused_stale: count(&tracker.refused_stale),
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
