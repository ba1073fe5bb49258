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

/// Watches over the deliveries of a [`DedupLayer`](super::DedupLayer) and its clones, and lets them end before the process does.
///
/// A clone is cheap.
#[derive(Clone)]
pub struct DedupHandle {
    pub(super) runs: Arc<Runs>,
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
    /// Handled by somebody else as well, because this handler was slower than its lease. More than a few: the lease is too short, or
    /// a handler blocks its thread.
    pub fenced: u64,
    /// Calls of the store that failed or were not made because it had failed before.
    pub store_failures: u64,
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
    /// When the time is up the handlers that are still running are dropped, and their events released. That takes four calls of
    /// the store more at most. Keep the sum below the time that your platform leaves between its two signals: Kubernetes has 30 seconds.
    ///
    /// Call it when the server takes no new connections any more. `examples/shutdown.rs` has both.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        self.runs.draining.store(true, Ordering::SeqCst);
        let running = self.runs.running();
        if self.runs.ended(after(Instant::now(), timeout)).await {
            return Drained {
                running,
                aborted: 0,
                left: 0,
            };
        }
        let aborted = self.runs.running();
        self.runs.abort.send_replace(true);
        self.runs
            .ended(after(Instant::now(), self.runs.grace))
            .await;
        let left = self.runs.running();
        Drained {
            running,
            aborted: aborted.saturating_sub(left),
            left,
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let runs = &self.runs;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            running: runs.running(),
            handled: count(&runs.handled),
            suppressed: count(&runs.suppressed),
            unprotected: count(&runs.unprotected),
            stale: count(&runs.stale),
            fenced: count(&runs.fenced),
            store_failures: count(&runs.store_failures),
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
pub(super) struct Runs {
    running: watch::Sender<usize>,
    draining: AtomicBool,
    abort: watch::Sender<bool>,
    grace: Duration,
    pub(super) handled: AtomicU64,
    pub(super) suppressed: AtomicU64,
    pub(super) unprotected: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) store_failures: Arc<AtomicU64>,
}

impl Runs {
    /// `limit` is that of one call of the store.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            running: watch::Sender::new(0),
            draining: AtomicBool::new(false),
            abort: watch::Sender::new(false),
            // Release, and once more if it fails; commit and release if the handler has answered that moment.
            grace: limit.saturating_mul(4),
            handled: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            unprotected: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
            store_failures: Arc::default(),
        }
    }

    /// Counts one more delivery, unless the process is shutting down.
    pub(super) fn start(self: &Arc<Self>) -> Option<Run> {
        self.running.send_modify(|running| *running += 1);
        let run = Run {
            runs: Arc::clone(self),
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
pub(super) struct Run {
    runs: Arc<Runs>,
}

impl Run {
    /// Ready when the time of a drain is up.
    pub(super) async fn aborted(&self) {
        let mut abort = self.runs.abort.subscribe();
        // The sender lives as long as `self`.
        let _ = abort.wait_for(|abort| *abort).await;
    }

    pub(super) fn is_aborted(&self) -> bool {
        *self.runs.abort.borrow()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.runs.running.send_modify(|running| *running -= 1);
    }
}
