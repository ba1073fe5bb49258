//! Claims lanes while there are slots, and ends in order.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, timeout, timeout_at},
};

use super::{ERROR_PAUSE, RunReport, Shared, completions::Requests, helpers::Helpers, lane_run};
use crate::{
    conversation::{BULK, MESSAGES},
    error::InboxError,
    row::{Failure, Lease, StoredRow},
};

/// Pause after a claim that found nothing although a lane is due: somebody has locked it.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// One class of lanes, with slots of its own.
struct Slots {
    class: i16,
    limit: usize,
    runs: JoinSet<()>,
    /// Whether a claim may find something.
    is_due: bool,
    /// When a lane becomes due of which is known.
    wake_at: Instant,
}

impl Slots {
    fn new(class: i16, limit: usize) -> Self {
        Self {
            class,
            limit,
            runs: JoinSet::new(),
            is_due: true,
            wake_at: Instant::now(),
        }
    }

    /// Waits for the end of a run, and frees the slots of all that have ended.
    async fn free(&mut self, shared: &Shared) {
        let Some(ended) = self.runs.join_next().await else {
            return pending().await;
        };
        note_end(shared, &ended);
        while let Some(ended) = self.runs.try_join_next() {
            note_end(shared, &ended);
        }
        // The lanes may have more.
        self.is_due = true;
    }

    async fn free_all(&mut self, shared: &Shared) {
        while let Some(ended) = self.runs.join_next().await {
            note_end(shared, &ended);
        }
    }
}

/// A run catches the panics of handlers, but not those of a recorder of metrics of the host.
fn note_end(shared: &Shared, ended: &Result<(), JoinError>) {
    if ended.as_ref().is_err_and(JoinError::is_panic) {
        shared.inbox.inner.warnings.run_panicked();
    }
}

/// Runs until `shutdown`, then drains.
pub(super) async fn run(
    shared: Arc<Shared>,
    requests: Requests,
    shutdown: impl Future<Output = ()>,
) -> RunReport {
    let shutdown = pin!(shutdown);
    let mut helpers = Helpers::start(Arc::clone(&shared), requests);
    tokio::select! {
        report = run_lanes(&shared, shutdown) => report,
        never = helpers.watch() => match never {},
    }
}

async fn run_lanes(
    shared: &Arc<Shared>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> RunReport {
    let mut woken = shared.inbox.inner.waker.subscribe();
    let (stop, stopped) = watch::channel(false);
    let [messages, bulk] = shared.options.concurrency;
    let mut slots =
        [(MESSAGES, messages), (BULK, bulk)].map(|(class, limit)| Slots::new(class, limit));
    let end = loop {
        let claiming = claim_all(shared, &mut slots, &stopped);
        if let Some(end) = end_while(shared, claiming, shutdown.as_mut()).await {
            break end;
        }
        let next = slots.iter().map(|slots| slots.wake_at).min();
        let next = next.unwrap_or_else(Instant::now);
        let [messages, bulk] = &mut slots;
        tokio::select! {
            biased;
            () = &mut shutdown => break Instant::now() + shared.options.drain_timeout,
            () = messages.free(shared) => {}
            () = bulk.free(shared) => {}
            _ = woken.changed() => slots.iter_mut().for_each(|slots| slots.is_due = true),
            () = tokio::time::sleep_until(next) => {
                let now = Instant::now();
                for slots in &mut slots {
                    slots.is_due |= slots.wake_at <= now;
                }
            }
        }
    };
    drain(shared, slots, end, &stop).await
}

/// Waits for claims. If `shutdown` resolves meanwhile, returns the end of `drain_timeout`, which
/// counts from then. `shutdown` goes on beside the claims, because it may have the connection that
/// they wait for: SQLite has one that writes.
async fn end_while(
    shared: &Shared,
    claiming: impl Future<Output = ()>,
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Option<Instant> {
    let mut claiming = pin!(claiming);
    tokio::select! {
        biased;
        () = &mut claiming => None,
        () = shutdown => {
            let end = Instant::now() + shared.options.drain_timeout;
            shared.is_over.store(true, Ordering::Relaxed);
            // Not dropped at once: nobody would know of the leases, which then have to expire.
            let _ = timeout_at(end, claiming).await;
            Some(end)
        }
    }
}

/// Claims for both classes, one after the other, until the worker is to end.
async fn claim_all(shared: &Arc<Shared>, slots: &mut [Slots; 2], stopped: &watch::Receiver<bool>) {
    for slots in slots {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        claim(shared, slots, stopped).await;
    }
}

/// Claims as many lanes as there are free slots, and starts their runs.
async fn claim(shared: &Arc<Shared>, slots: &mut Slots, stopped: &watch::Receiver<bool>) {
    let poll = shared.options.poll_interval;
    let free = slots.limit.saturating_sub(slots.runs.len());
    if free == 0 {
        // A run that ends makes it due.
        slots.wake_at = Instant::now() + poll;
        return;
    }
    if !slots.is_due {
        return;
    }
    let claimed = match leased(shared, slots.class, free).await {
        Ok(claimed) => claimed,
        Err(error) => {
            shared.inbox.inner.database_failed("claim", &error);
            slots.is_due = false;
            slots.wake_at = Instant::now() + ERROR_PAUSE.min(poll);
            return;
        }
    };
    slots.is_due = claimed.len() == free;
    let found_nothing = claimed.is_empty();
    for Claimed {
        lease,
        rows,
        deadline,
    } in claimed
    {
        let term = shared.leases.hold(&lease, deadline);
        let (shared, stopped) = (Arc::clone(shared), stopped.clone());
        let run = lane_run::handle(shared, lease, rows, term, stopped);
        slots.runs.spawn(run);
    }
    slots.wake_at = Instant::now() + poll;
    if !slots.is_due && !shared.is_over.load(Ordering::Relaxed) {
        let backend = &shared.inbox.inner.backend;
        // Without an answer, the next poll finds out.
        if let Ok(Some(pause)) = backend.next_wake(slots.class, shared.limit()).await {
            let pause = match u64::try_from(pause) {
                Ok(pause @ 1..) => Duration::from_millis(pause),
                _ if found_nothing => LOCKED_PAUSE,
                _ => Duration::from_millis(1),
            };
            slots.wake_at = slots.wake_at.min(Instant::now() + pause);
        }
    }
}

struct Claimed {
    lease: Lease,
    rows: Vec<StoredRow>,
    deadline: Instant,
}

/// Leases lanes and reads their events.
async fn leased(shared: &Shared, class: i16, free: usize) -> Result<Vec<Claimed>, InboxError> {
    let (backend, lease) = (&shared.inbox.inner.backend, shared.options.lease);
    let deadline = Instant::now() + lease;
    // A lost answer leaves leases that nobody knows. They expire.
    let leases = backend.claim(class, free, lease, shared.limit()).await?;
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let lanes: Vec<_> = leases.iter().map(|lease| lease.lane.clone()).collect();
    let fetching = backend.fetch(&lanes, shared.options.per_lane, shared.limit());
    let rows = match fetching.await {
        Ok(rows) => rows,
        Err(error) if error.is_damage() => {
            return Ok(one_by_one(shared, leases, deadline).await);
        }
        Err(error) => {
            give_up(shared, &leases).await;
            return Err(error);
        }
    };
    let mut claimed: Vec<_> = leases
        .into_iter()
        .map(|lease| Claimed {
            lease,
            rows: Vec::new(),
            deadline,
        })
        .collect();
    for (lane, row) in rows {
        if let Some(claimed) = claimed
            .iter_mut()
            .find(|claimed| claimed.lease.lane == lane)
        {
            claimed.rows.push(row);
        }
    }
    Ok(claimed)
}

/// Given up, as far as the database is there, so that nobody waits for them to expire.
async fn give_up(shared: &Shared, leases: &[Lease]) {
    let backend = &shared.inbox.inner.backend;
    for lease in leases {
        let failure = Failure::unattempted(Duration::ZERO);
        let _ = backend.fail(lease, &[], &failure, ERROR_PAUSE).await;
    }
}

/// Reads the events of each lane alone, because those of one cannot be read: the others go on.
async fn one_by_one(shared: &Shared, leases: Vec<Lease>, deadline: Instant) -> Vec<Claimed> {
    let mut claimed = Vec::new();
    for lease in leases {
        match alone(shared, &lease).await {
            Ok(rows) => claimed.push(Claimed {
                lease,
                rows,
                deadline,
            }),
            Err(error) => {
                shared.inbox.inner.database_failed("claim", &error);
                give_up(shared, &[lease]).await;
            }
        }
    }
    claimed
}

/// Reads the first events of a lane, or the first alone. If that cannot be read, it has no body,
/// and the run will count as failed.
async fn alone(shared: &Shared, lease: &Lease) -> Result<Vec<StoredRow>, InboxError> {
    let (inner, limit) = (&shared.inbox.inner, shared.limit());
    let lanes = [lease.lane.clone()];
    let mut failed = None;
    for per_lane in [shared.options.per_lane, 1] {
        match inner.backend.fetch(&lanes, per_lane, limit).await {
            Ok(rows) => return Ok(rows.into_iter().map(|(_, row)| row).collect()),
            Err(error) if error.is_damage() => failed = Some(error),
            Err(error) => return Err(error),
        }
    }
    let Some((key, attempts)) = inner.backend.first(&lease.lane, limit).await? else {
        return Ok(Vec::new());
    };
    if let Some(error) = failed {
        inner.event_damaged(&key, &error);
    }
    Ok(vec![StoredRow::unreadable(key, attempts)])
}

/// Waits for what is running. What takes too long is dropped, and its lease is given up.
async fn drain(
    shared: &Shared,
    mut slots: [Slots; 2],
    end: Instant,
    stop: &watch::Sender<bool>,
) -> RunReport {
    if timeout_at(end, free_all(shared, &mut slots)).await.is_ok() {
        return RunReport::default();
    }
    let dropped = slots.iter().map(|slots| slots.runs.len() as u64).sum();
    stop.send_replace(true);
    // Long enough to give up the leases. Those that cannot be given up expire.
    let _ = timeout(Duration::from_secs(5), free_all(shared, &mut slots)).await;
    RunReport { dropped }
}

async fn free_all(shared: &Shared, slots: &mut [Slots; 2]) {
    for slots in slots {
        slots.free_all(shared).await;
    }
}
