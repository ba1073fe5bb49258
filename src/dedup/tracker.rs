use std::{
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

use super::circuit_breaker::StoreFailures;
use crate::telemetry::{CutOff, DedupTelemetry, EventOutcome};

/// Counts the deliveries in flight and what happened to their events, and shuts them down.
#[derive(Debug)]
pub(super) struct Tracker {
    in_flight: watch::Sender<usize>,
    draining: AtomicBool,
    /// Deliveries in flight when the handlers were stopped. `None`: they were not.
    abort: watch::Sender<Option<usize>>,
    /// Maximum time from the abort to the end of the aborted deliveries.
    abort_grace: Duration,
    pub(super) delivered: AtomicU64,
    pub(super) suppressed: AtomicU64,
    pub(super) unprotected: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) leases_lost: AtomicU64,
    pub(super) lease_overruns: AtomicU64,
    pub(super) unrecorded: AtomicU64,
    pub(super) stuck: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) store_failures: Arc<StoreFailures>,
    pub(super) refused_stale: AtomicU64,
    pub(super) bypassed: AtomicU64,
    pub(super) telemetry: Arc<DedupTelemetry>,
}

impl Tracker {
    pub(super) fn new(store_timeout: Duration) -> Self {
        let telemetry = Arc::new(DedupTelemetry::default());
        Self {
            in_flight: watch::Sender::new(0),
            draining: AtomicBool::new(false),
            abort: watch::Sender::new(None),
            // At most five calls: a renewal in progress, a release and its retry, and a commit and
            // a release if the handler has just responded.
            abort_grace: store_timeout.saturating_mul(5),
            delivered: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            unprotected: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
            leases_lost: AtomicU64::new(0),
            lease_overruns: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            store_failures: Arc::new(StoreFailures::new(Arc::clone(&telemetry))),
            refused_stale: AtomicU64::new(0),
            bypassed: AtomicU64::new(0),
            telemetry,
        }
    }

    /// Counts and reports what happened to events.
    pub(super) fn count_events(&self, outcome: EventOutcome, events: usize) {
        let counter = match outcome {
            EventOutcome::Suppressed => &self.suppressed,
            EventOutcome::Stale => &self.stale,
            EventOutcome::RefusedStale => &self.refused_stale,
            EventOutcome::Unprotected => &self.unprotected,
            EventOutcome::Fenced => &self.fenced,
            EventOutcome::LeaseLost => &self.leases_lost,
            EventOutcome::LeaseOverrun => &self.lease_overruns,
            EventOutcome::Unrecorded => &self.unrecorded,
            EventOutcome::Stuck => &self.stuck,
        };
        count(counter, events);
        self.telemetry.events(outcome, events);
    }

    /// Counts and reports a handler that was dropped before its end.
    pub(super) fn count_cut_off(&self, reason: CutOff) {
        match reason {
            CutOff::Deadline => count(&self.timed_out, 1),
            CutOff::Drain => count(&self.aborted, 1),
            CutOff::Panic => {}
        }
        self.telemetry.cut_off(reason);
    }

    /// Counts one more delivery in flight. Returns `None` if the process is shutting down.
    pub(super) fn start(self: &Arc<Self>) -> Option<InFlightGuard> {
        self.in_flight.send_modify(|count| *count += 1);
        let guard = InFlightGuard {
            tracker: Arc::clone(self),
        };
        // Checked after counting: a drain then either waits for this delivery or refuses it.
        (!self.is_draining()).then_some(guard)
    }

    /// Refuses further deliveries.
    pub(super) fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Stops the handlers that are running.
    pub(super) fn abort(&self) {
        self.abort.send_if_modified(|aborted| {
            let is_first = aborted.is_none();
            aborted.get_or_insert_with(|| self.in_flight());
            is_first
        });
    }

    /// Number of deliveries that were in flight when their handlers were stopped.
    pub(super) fn in_flight_at_abort(&self) -> usize {
        self.abort.borrow().unwrap_or(0)
    }

    pub(super) fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Waits until nothing is in flight. Returns whether that happened before the deadline.
    pub(super) async fn idle(&self, deadline: Instant) -> bool {
        let mut in_flight = self.in_flight.subscribe();
        let idle = in_flight.wait_for(|count| *count == 0);
        timeout_at(deadline, idle).await.is_ok()
    }

    pub(super) fn abort_grace(&self) -> Duration {
        self.abort_grace
    }
}

/// Counts one delivery as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard {
    tracker: Arc<Tracker>,
}

impl InFlightGuard {
    /// Waits until a drain aborts the running handlers.
    pub(super) async fn aborted(&self) {
        let mut abort = self.tracker.abort.subscribe();
        // Never an error: `self` keeps the sender alive.
        let _ = abort.wait_for(Option::is_some).await;
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.tracker.abort.borrow().is_some()
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.tracker.in_flight.send_modify(|count| *count -= 1);
    }
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}
