//! Workers: what runs handlers.

mod completions;
mod handler;
mod helpers;
mod lane_run;
mod leases;
mod reason;
mod run_loop;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use crate::{
    event::{InboxBatch, InboxEvent},
    inbox::Inbox,
    run::YEAR,
    verdict::Verdict,
};

use self::handler::Handler;
pub(crate) use self::reason::Reason;

/// Pause after an error of the database, or after a panic.
const ERROR_PAUSE: Duration = Duration::from_millis(500);

/// Runs a handler for the events of an inbox. Create one with [`Inbox::worker`] or
/// [`Inbox::batch_worker`].
///
/// Any number of workers, in any number of processes, share the work. A setting out of its range
/// counts as the nearest value in it, which each method names. Durations of more than a year count
/// as a year.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use tower_whatsapp_inbox::{Inbox, InboxEvent};
///
/// async fn on_event(event: InboxEvent) -> Result<(), Infallible> {
///     println!("{} for the {}. time", event.kind(), event.attempt());
///     Ok(())
/// }
///
/// # async fn example(file: &std::path::Path) -> Result<(), tower_whatsapp_inbox::InboxError> {
/// let inbox = Inbox::sqlite(file).await?;
/// let shutdown = tokio::time::sleep(Duration::from_millis(50));
/// inbox.worker(on_event).concurrency(8).run(shutdown).await;
/// # Ok(()) }
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(example(&dir.path().join("inbox.db"))).unwrap();
/// ```
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    inbox: Inbox,
    handler: Handler,
    options: Options,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// By class of lanes.
    concurrency: [usize; 2],
    lease: Duration,
    handler_timeout: Option<Duration>,
    max_attempts: u32,
    backoff: (Duration, Duration),
    drain_timeout: Duration,
    poll_interval: Duration,
    purge_interval: Duration,
    /// Events that a run gets at most.
    per_lane: usize,
    is_in_batches: bool,
}

impl Worker {
    pub(crate) fn one_by_one<H, F, V, E>(inbox: Inbox, handler: H) -> Self
    where
        H: Fn(InboxEvent) -> F + Send + Sync + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Verdict>,
        E: fmt::Display,
    {
        Self::new(inbox, handler::one_by_one(handler), None)
    }

    pub(crate) fn in_batches<H, F, V, E>(inbox: Inbox, handler: H) -> Self
    where
        H: Fn(InboxBatch) -> F + Send + Sync + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Verdict>,
        E: fmt::Display,
    {
        Self::new(inbox, handler::in_batches(handler), Some(100))
    }

    fn new(inbox: Inbox, handler: Handler, batch_limit: Option<usize>) -> Self {
        Self {
            inbox,
            handler,
            options: Options {
                concurrency: [16, 4],
                lease: Duration::from_secs(30),
                handler_timeout: Some(Duration::from_secs(15 * 60)),
                max_attempts: 10,
                backoff: (Duration::from_secs(1), Duration::from_secs(10 * 60)),
                drain_timeout: Duration::from_secs(20),
                poll_interval: Duration::from_secs(1),
                purge_interval: Duration::from_secs(60),
                per_lane: batch_limit.unwrap_or(1),
                is_in_batches: batch_limit.is_some(),
            },
        }
    }

    /// Maximum number of conversations that are handled at the same time. 16 by default; 0 counts
    /// as 1.
    ///
    /// Choose it by what the handler waits for: an LLM allows more, a database fewer.
    pub fn concurrency(mut self, conversations: usize) -> Self {
        self.options.concurrency[0] = conversations.max(1);
        self
    }

    /// Maximum number of lanes of statuses, histories and tracking events that are handled at the
    /// same time. 4 by default; 0 leaves them to other workers.
    ///
    /// They have slots of their own, so that a flood of them does not delay messages.
    pub fn bulk_concurrency(mut self, lanes: usize) -> Self {
        self.options.concurrency[1] = lanes;
        self
    }

    /// Time after which another worker takes over from one that has died. 30 seconds by default;
    /// less than 1 second counts as 1 second, or with the feature `testing` (for the tests of this
    /// crate) less than 100 milliseconds as those.
    ///
    /// Renewed while the handler runs, so it does not limit the handler. A process that is paused
    /// or cut off from the database for longer loses its conversations, and what it still does is
    /// not recorded.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = at_most_a_year(lease).max(SHORTEST);
        self
    }

    /// Time after which a run is dropped and counts as failed. 15 minutes by default, at least 1
    /// second, `None` for no limit.
    pub fn handler_timeout(mut self, timeout: Option<Duration>) -> Self {
        let bounded = |timeout| at_most_a_year(timeout).max(SHORTEST);
        self.options.handler_timeout = timeout.map(bounded);
        self
    }

    /// Number of runs after which an event becomes a dead letter. 10 by default; 0 counts as 1.
    ///
    /// A [`batch_worker`](Inbox::batch_worker) hands an event out alone after half of them, and
    /// with 1 always: otherwise one that fails would take its neighbours with it.
    ///
    /// With the default back-off, the tenth run is 4 to 9 minutes after the first, if the runs are
    /// short. To survive a longer outage of what the handler calls, raise this or the
    /// [`backoff`](Self::backoff).
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = attempts.max(1);
        self
    }

    /// Pause before the second run, and the longest pause. 1 second and 10 minutes by default.
    ///
    /// A `first` that is longer than `longest` counts as `longest`.
    ///
    /// The pause doubles with every run. Each is shortened by a random part of up to a half, so
    /// that what failed together is not retried together. The conversation waits meanwhile.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.options.backoff = (at_most_a_year(first), at_most_a_year(longest));
        self
    }

    /// Time that running handlers have at shutdown. 20 seconds by default. Those that are still
    /// running then are dropped, and another worker runs them again at once.
    ///
    /// It counts from the moment at which `shutdown` resolves, also while the database does not
    /// answer. Handing runs over takes up to 5 seconds more. By default, Kubernetes kills 30
    /// seconds after SIGTERM, which leaves time for both. Docker kills after 10, so raise its limit
    /// (`stop_grace_period`) or lower this one. What is killed runs again when its
    /// [`lease`](Self::lease) has expired, and this run counts as an attempt.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.options.drain_timeout = at_most_a_year(timeout);
        self
    }

    /// Longest time between two looks at the database. 1 second by default; less than 10
    /// milliseconds counts as those.
    ///
    /// Only a fallback: new events wake the workers.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = at_most_a_year(interval).max(Duration::from_millis(10));
        self
    }

    /// Maximum number of events in a batch. 100 by default; 0 counts as 1. Without effect unless
    /// the worker is a [`batch_worker`](Inbox::batch_worker).
    pub fn batch_limit(mut self, events: usize) -> Self {
        if self.options.is_in_batches {
            self.options.per_lane = events.max(1);
        }
        self
    }

    /// Runs the worker until `shutdown` resolves, then finishes what is running. Returns how many
    /// runs did not finish within [`drain_timeout`](Self::drain_timeout).
    ///
    /// Errors of the database do not end it: it tries again, and counts them in
    /// [`Counters::database_errors`](crate::Counters::database_errors). An operation that takes
    /// longer than a quarter of `lease`, or that waits for a lock of Postgres for 2 seconds (or
    /// half of that quarter), is such an error. A purge and the gauges have 30 seconds. Claims are
    /// tried again after half a second, results of handlers after pauses that double up to a sixth
    /// of `lease`.
    ///
    /// A panic outside of a handler, as in a recorder of metrics, does not end it either: the task
    /// is started again, and events whose run panicked are handled again when their lease has
    /// ended. A panic while events are claimed propagates out of `run`.
    ///
    /// Dropped earlier, it drops the running handlers; other workers take over when their leases
    /// have expired.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> RunReport {
        let (completions, requests) = completions::Completions::new();
        let inner = Arc::clone(&self.inbox.inner);
        let _running = inner.handlers.start(self.options.concurrency[0]);
        let shared = Arc::new(Shared {
            inbox: self.inbox,
            handler: self.handler,
            options: self.options,
            leases: leases::Leases::default(),
            completions,
            is_over: AtomicBool::new(false),
        });
        run_loop::run(shared, requests, shutdown).await
    }
}

/// How a [`Worker`] has ended: see [`Worker::run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunReport {
    /// Runs that were dropped at the end of [`Worker::drain_timeout`]. Their events are handed to
    /// another worker.
    pub dropped: u64,
}

/// Renewals need some time, and no handler ends in none. The tests of this crate have less.
const SHORTEST: Duration = if cfg!(feature = "testing") {
    Duration::from_millis(100)
} else {
    Duration::from_secs(1)
};

/// Bounds a setting, so that no sum with it overflows: `Instant + Duration::MAX` panics.
fn at_most_a_year(time: Duration) -> Duration {
    time.min(YEAR)
}

/// What the tasks of a worker share.
struct Shared {
    inbox: Inbox,
    handler: Handler,
    options: Options,
    leases: leases::Leases,
    completions: completions::Completions,
    /// `shutdown` has resolved: nothing more is claimed.
    is_over: AtomicBool,
}

impl Shared {
    /// Limit of each operation on the database: it can be repeated before the lease ends.
    fn limit(&self) -> Duration {
        self.options.lease / 4
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
