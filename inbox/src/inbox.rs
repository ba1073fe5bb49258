use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tower_whatsapp::event::EventKey;

use crate::{
    backend::{Backend, Dead, Settings},
    builder::{Filter, InboxBuilder},
    counters::{Counters, Counting},
    dead_letter::DeadLetter,
    error::InboxError,
    event::{InboxBatch, InboxEvent},
    receiver::Receiver,
    status::Status,
    telemetry,
    verdict::Verdict,
    wake::Waker,
    worker::{Reason, Worker},
};

/// Connections beside those of handlers: one listens, the others renew leases, mark events as done
/// and store deliveries.
#[cfg(feature = "postgres")]
const SPARE_CONNECTIONS: usize = 4;

/// A durable inbox for the events of WhatsApp webhooks: see the [crate documentation](crate).
///
/// A clone is cheap and is the same inbox.
#[derive(Clone)]
pub struct Inbox {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) backend: Backend,
    pub(crate) settings: Settings,
    pub(crate) filter: Filter,
    pub(crate) waker: Waker,
    pub(crate) counting: Counting,
    pub(crate) warnings: telemetry::Warnings,
    pub(crate) handlers: Handlers,
}

/// Handlers that the workers of this process may run at the same time.
#[derive(Debug, Default)]
pub(crate) struct Handlers(AtomicUsize);

impl Handlers {
    /// Adds those of a worker, until the guard is dropped.
    pub(crate) fn start(&self, most: usize) -> impl Drop + '_ {
        struct Running<'a>(&'a AtomicUsize, usize);

        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(self.1, Ordering::Relaxed);
            }
        }

        self.0.fetch_add(most, Ordering::Relaxed);
        Running(&self.0, most)
    }
}

impl Inbox {
    /// Opens the inbox in a SQLite file, with the default settings.
    ///
    /// See [`InboxBuilder::sqlite`].
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or migrated.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(path: impl AsRef<std::path::Path>) -> Result<Self, InboxError> {
        Self::builder().sqlite(path).await
    }

    /// Opens the inbox in the database of this pool, with the default settings.
    ///
    /// See [`InboxBuilder::postgres`].
    ///
    /// # Errors
    ///
    /// If the database cannot be reached or migrated.
    #[cfg(feature = "postgres")]
    pub async fn postgres(pool: sqlx::PgPool) -> Result<Self, InboxError> {
        Self::builder().postgres(pool).await
    }

    /// Starts to configure an inbox.
    pub fn builder() -> InboxBuilder {
        InboxBuilder::new()
    }

    pub(crate) fn new(backend: Backend, settings: Settings, filter: Filter) -> Self {
        let counting = Counting::new();
        telemetry::describe();
        counting.register();
        Self {
            inner: Arc::new(Inner {
                backend,
                settings,
                filter,
                waker: Waker::new(),
                counting,
                warnings: telemetry::Warnings::new(),
                handlers: Handlers::default(),
            }),
        }
    }

    /// Returns the service that stores deliveries and answers them, to be mounted inside a
    /// `WebhookLayer`.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        Receiver::new(self.clone())
    }

    /// Creates a worker that hands out one event at a time per conversation.
    ///
    /// The handler returns `Ok(())` or a [`Verdict`], or an error with which the event is retried.
    /// The text of the error is kept with the event ([`DeadLetter::error`]). The crate never logs
    /// it, because it may contain personal data: log in the handler what is safe to be read.
    pub fn worker<H, F, V, E>(&self, handler: H) -> Worker
    where
        H: Fn(InboxEvent) -> F + Send + Sync + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Verdict>,
        E: fmt::Display,
    {
        Worker::one_by_one(self.clone(), handler)
    }

    /// Creates a worker that hands out all pending events of a conversation in one call, up to
    /// [`Worker::batch_limit`]. Each verdict and each error of the handler is for all of them.
    ///
    /// An event that was in half of [`Worker::max_attempts`] runs (rounded up) without success is
    /// handed out alone, so that one that always fails, or kills the process, does not take its
    /// neighbours with it. With a maximum of 1, every event is handed out alone. To give up a
    /// single event with [`Verdict::Never`], wait for a batch of that event alone: otherwise all
    /// events of the batch are given up.
    ///
    /// See [`InboxBuilder::gather`] for waiting until a burst is over.
    pub fn batch_worker<H, F, V, E>(&self, handler: H) -> Worker
    where
        H: Fn(InboxBatch) -> F + Send + Sync + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Verdict>,
        E: fmt::Display,
    {
        Worker::in_batches(self.clone(), handler)
    }

    /// Asks the database how many events are waiting, for health checks and metrics.
    ///
    /// Reads one row per lane with pending events, the index entry of every dead letter and one of
    /// the oldest event, so ask every few seconds and not for every request.
    ///
    /// # Errors
    ///
    /// If the database fails, takes longer than 30 seconds, or (on Postgres) another transaction
    /// holds a lock for longer than 2 seconds.
    pub async fn status(&self) -> Result<Status, InboxError> {
        let status = Status::new(&self.inner.backend.status().await?);
        telemetry::status(&status);
        Ok(status)
    }

    /// Returns what this process has counted since the inbox was opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.counting.snapshot()
    }

    /// Lists dead letters, the oldest first. For the next page, pass the
    /// [`position`](DeadLetter::position) of the last one; for the first page, 0.
    ///
    /// # Errors
    ///
    /// If the database fails, takes longer than 30 seconds, or (on Postgres) another transaction
    /// holds a lock for longer than 2 seconds.
    pub async fn dead_letters(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, InboxError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = self.inner.backend.dead(after, limit.into()).await?;
        Ok(rows.into_iter().map(DeadLetter::new).collect())
    }

    /// Makes dead letters pending again, with no attempts, at their places in their conversations.
    /// Returns how many of the keys were dead letters.
    ///
    /// # Errors
    ///
    /// If the database fails, takes longer than 30 seconds, or (on Postgres) another transaction
    /// holds a lock for longer than 2 seconds.
    pub async fn replay(&self, keys: &[EventKey]) -> Result<u64, InboxError> {
        let replayed = self.inner.backend.replay(&to_bytes(keys)).await?;
        self.wake();
        Ok(replayed)
    }

    /// Ends dead letters: their content is removed, and redeliveries are still duplicates for the
    /// time of [`InboxBuilder::keep`]. Returns how many of the keys were dead letters.
    ///
    /// # Errors
    ///
    /// If the database fails, takes longer than 30 seconds, or (on Postgres) another transaction
    /// holds a lock for longer than 2 seconds.
    pub async fn discard(&self, keys: &[EventKey]) -> Result<u64, InboxError> {
        let keep = self.inner.settings.keep;
        self.inner.backend.discard(&to_bytes(keys), keep).await
    }

    /// Removes what has expired, in batches of 1,000 rows. Workers do this every minute; call it
    /// in a service without workers.
    ///
    /// It also finds old events that no worker would find because somebody has changed rows by
    /// hand.
    ///
    /// # Errors
    ///
    /// If the database fails, takes longer than 30 seconds, or (on Postgres) another transaction
    /// holds a lock for longer than 2 seconds. What was removed until then stays removed.
    pub async fn purge(&self) -> Result<(), InboxError> {
        while self.inner.backend.purge().await? >= crate::backend::PURGE_BATCH.unsigned_abs() {
            // Others get their turn.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Wakes all workers, those of other processes through the database.
    pub(crate) fn wake(&self) {
        self.inner.waker.wake_local();
        #[cfg(feature = "postgres")]
        if let Backend::Postgres(backend) = &self.inner.backend
            && self.inner.waker.start_sending()
        {
            let backend = backend.clone();
            let mut sending = Sending {
                inner: Arc::clone(&self.inner),
                is_over: false,
            };
            tokio::spawn(async move {
                while !sending.is_over {
                    // A lost notification costs one polling interval.
                    let _ = backend.notify().await;
                    sending.is_over = !sending.inner.waker.sent();
                }
            });
        }
    }
}

/// The turn of one task to notify other processes. The next has it, also if this one ends early
/// with its runtime.
#[cfg(feature = "postgres")]
struct Sending {
    inner: Arc<Inner>,
    is_over: bool,
}

#[cfg(feature = "postgres")]
impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            self.inner.waker.given_up();
        }
    }
}

impl Inner {
    /// A handler begins a transaction: are there connections for as many as may do so?
    #[cfg(feature = "postgres")]
    pub(crate) fn check_pool(&self, connections: u32) {
        let handlers = self.handlers.0.load(Ordering::Relaxed);
        let needed = handlers.saturating_add(SPARE_CONNECTIONS);
        if usize::try_from(connections).is_ok_and(|connections| connections < needed) {
            self.warnings.small_pool(connections, needed);
        }
    }

    pub(crate) fn refused(&self, error: &InboxError) {
        self.counting.refused.add(1);
        self.warnings.refused(error);
    }

    pub(crate) fn database_failed(&self, operation: &'static str, error: &InboxError) {
        self.counting.database_errors.add(1);
        self.warnings.database_failed(operation, error);
    }

    pub(crate) fn event_damaged(&self, key: &[u8; 16], error: &InboxError) {
        self.counting.database_errors.add(1);
        self.warnings.event_damaged(key, error);
    }

    pub(crate) fn lease_lost(&self) {
        self.counting.lost.add(1);
        self.warnings.lease_lost();
    }

    pub(crate) fn dead_letters(&self, dead: &[Dead], reason: Reason) {
        if !dead.is_empty() {
            self.counting.dead.add(dead.len() as u64);
            self.warnings.dead_letters(dead, reason);
        }
    }
}

fn to_bytes(keys: &[EventKey]) -> Vec<[u8; 16]> {
    keys.iter().map(|key| key.to_bytes()).collect()
}

/// Shows no address and no password.
impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("settings", &self.inner.settings)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
