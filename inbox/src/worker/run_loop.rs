//! Claims lanes while there are slots, and ends in order.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    Shared,
    completions::{self, Request},
    lane_run, leases,
};
use crate::{
    backend::Backend,
    conversation::{BULK, MESSAGES},
    error::InboxError,
    row::{Failure, Lease, StoredRow},
};

/// Pause after an error of the database.
const ERROR_PAUSE: Duration = Duration::from_millis(500);

/// Pause after a claim that found nothing although a lane is due: somebody has locked it.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// One class of lanes, with slots of its own.
struct Slots {
    class: i16,
    limit: usize,
    running: usize,
    /// Whether a claim may find something.
    is_due: bool,
    /// When a lane becomes due of which is known.
    wake_at: Instant,
}

/// Runs until `shutdown`, then drains.
pub(super) async fn run(
    shared: Arc<Shared>,
    completed: mpsc::UnboundedReceiver<Request>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut helpers = JoinSet::new();
    helpers.spawn(leases::renew_forever(Arc::clone(&shared)));
    helpers.spawn(completions::complete_forever(
        Arc::clone(&shared),
        completed,
    ));
    helpers.spawn(purge_forever(Arc::clone(&shared)));
    helpers.spawn(listen_forever(Arc::clone(&shared)));
    let mut woken = shared.inbox.inner.waker.subscribe();
    let (stop, stopped) = watch::channel(false);
    let mut runs = JoinSet::new();
    let [messages, bulk] = shared.options.concurrency;
    let mut slots = [(MESSAGES, messages), (BULK, bulk)].map(|(class, limit)| Slots {
        class,
        limit,
        running: 0,
        is_due: true,
        wake_at: Instant::now(),
    });
    loop {
        let claiming = claim_all(&shared, &mut slots, &mut runs, &stopped);
        if is_over_after(claiming, shutdown.as_mut()).await {
            break;
        }
        let next = slots.iter().map(|slots| slots.wake_at).min();
        let next = next.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = runs.join_next(), if !runs.is_empty() => {
                note_end(&mut slots, &ended);
                while let Some(ended) = runs.try_join_next() {
                    note_end(&mut slots, &ended);
                }
            }
            _ = woken.changed() => slots.iter_mut().for_each(|slots| slots.is_due = true),
            () = tokio::time::sleep_until(next) => {
                let now = Instant::now();
                for slots in &mut slots {
                    slots.is_due |= slots.wake_at <= now;
                }
            }
        }
    }
    drain(&shared, runs, &stop).await;
}

/// Waits for claims, and returns whether `shutdown` has resolved meanwhile. It goes on beside them,
/// because it may have the connection that they wait for: SQLite has one that writes.
async fn is_over_after(
    claiming: impl Future<Output = ()>,
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let mut claiming = pin!(claiming);
    tokio::select! {
        biased;
        () = &mut claiming => false,
        () = shutdown => {
            // Not dropped: nobody would know of the leases.
            claiming.await;
            true
        }
    }
}

fn note_end(slots: &mut [Slots; 2], ended: &Result<i16, tokio::task::JoinError>) {
    // A run catches the panics of handlers, so this is always `Ok`.
    if let Ok(class) = ended {
        for slots in slots.iter_mut().filter(|slots| slots.class == *class) {
            slots.running = slots.running.saturating_sub(1);
            // The lane may have more.
            slots.is_due = true;
        }
    }
}

/// Claims for both classes, one after the other.
async fn claim_all(
    shared: &Arc<Shared>,
    slots: &mut [Slots; 2],
    runs: &mut JoinSet<i16>,
    stopped: &watch::Receiver<bool>,
) {
    for slots in slots {
        claim(shared, slots, runs, stopped).await;
    }
}

/// Claims as many lanes as there are free slots, and starts their runs.
async fn claim(
    shared: &Arc<Shared>,
    slots: &mut Slots,
    runs: &mut JoinSet<i16>,
    stopped: &watch::Receiver<bool>,
) {
    let poll = shared.options.poll_interval;
    let free = slots.limit - slots.running;
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
    slots.running += claimed.len();
    for Claimed {
        lease,
        rows,
        deadline,
    } in claimed
    {
        let term = shared.leases.hold(&lease, deadline);
        let (shared, stopped) = (Arc::clone(shared), stopped.clone());
        let class = slots.class;
        runs.spawn(async move {
            lane_run::handle(shared, lease, rows, term, stopped).await;
            class
        });
    }
    slots.wake_at = Instant::now() + poll;
    if !slots.is_due {
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
        Err(error) => {
            // Given up, as far as the database is there, so that nobody waits for them to expire.
            for lease in &leases {
                let failure = Failure::unattempted(Duration::ZERO);
                let _ = backend.fail(lease, &[], &failure, ERROR_PAUSE).await;
            }
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

/// Waits for what is running. What takes too long is dropped, and its lease is given up.
async fn drain(shared: &Shared, mut runs: JoinSet<i16>, stop: &watch::Sender<bool>) {
    let end = Instant::now() + shared.options.drain_timeout;
    let all = async { while runs.join_next().await.is_some() {} };
    if timeout_at(end, all).await.is_ok() {
        return;
    }
    stop.send_replace(true);
    // Long enough to give up the leases. Those that cannot be given up expire.
    let all = async { while runs.join_next().await.is_some() {} };
    let _ = timeout(Duration::from_secs(5), all).await;
}

async fn purge_forever(shared: Arc<Shared>) {
    loop {
        // Sets the gauges.
        if cfg!(feature = "metrics")
            && let Err(error) = shared.inbox.status().await
        {
            shared.inbox.inner.database_failed("status", &error);
        }
        // Not all processes at once.
        let pause = shared.options.purge_interval;
        sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        if let Err(error) = shared.inbox.purge().await {
            shared.inbox.inner.database_failed("purge", &error);
        }
    }
}

/// Wakes this worker when another process has stored something.
async fn listen_forever(shared: Arc<Shared>) {
    let inner = &shared.inbox.inner;
    match &inner.backend {
        #[cfg(feature = "postgres")]
        Backend::Postgres(backend) => loop {
            if let Err(error) = listen(inner, backend).await {
                inner.database_failed("listen", &error);
            }
            sleep(ERROR_PAUSE).await;
        },
        #[cfg(feature = "sqlite")]
        Backend::Sqlite(_) => {}
    }
}

#[cfg(feature = "postgres")]
async fn listen(
    inner: &crate::inbox::Inner,
    backend: &crate::backend::postgres::PostgresBackend,
) -> Result<(), InboxError> {
    let mut listener = backend.listen().await?;
    loop {
        // What was stored before it listened has notified nobody. A lost connection is opened again
        // by the listener.
        inner.waker.wake_local();
        backend.notified(&mut listener).await?;
    }
}
