use std::{collections::HashSet, time::Duration};

use tower_whatsapp::event::Payload;

use crate::{
    backend::{Backend, Settings},
    error::InboxError,
    inbox::Inbox,
};

/// How long Meta retries a delivery, and an hour for clocks that differ.
const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60 + 60 * 60);

/// Fewest connections of a pool: one listens, and one is left to store deliveries and to renew
/// leases while a handler has a transaction.
#[cfg(feature = "postgres")]
const MIN_CONNECTIONS: u32 = 3;

/// Builds an [`Inbox`]. Create one with [`Inbox::builder`].
///
/// The receiver and the worker of a service are usually in one process. If they are not, both
/// need the same settings.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp_inbox::Inbox;
///
/// # async fn example(file: &std::path::Path) -> Result<(), tower_whatsapp_inbox::InboxError> {
/// let inbox = Inbox::builder()
///     .ignore(["status", "history_message"])
///     .gather(Duration::from_secs(5), Duration::from_secs(30))
///     .sqlite(file)
///     .await?;
/// # Ok(()) }
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(example(&dir.path().join("inbox.db"))).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct InboxBuilder {
    keep: Duration,
    store_timeout: Duration,
    gather: Option<(Duration, Duration)>,
    only: Option<Vec<String>>,
    ignore: Vec<String>,
}

/// Which kinds are stored.
#[derive(Debug)]
pub(crate) struct Filter {
    only: Option<HashSet<String>>,
    ignore: HashSet<String>,
}

impl InboxBuilder {
    pub(crate) fn new() -> Self {
        Self {
            keep: WINDOW,
            store_timeout: Duration::from_secs(3),
            gather: None,
            only: None,
            ignore: Vec::new(),
        }
    }

    /// How long a handled event is remembered, so that a redelivery is not stored again.
    ///
    /// 7 days and 1 hour by default: Meta retries for 7 days. The event's content is removed when
    /// it is done; only its key and columns are kept.
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// Longest time until a delivery is stored. Beyond it Meta gets 503 and redelivers.
    ///
    /// 3 seconds by default. A commit that is slower may still succeed. The redelivery then finds
    /// the events stored. What the database does for the delivery ends then too: waits for locks
    /// and statements on Postgres, waits for writers of other processes on SQLite.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Gathers the messages of a conversation: it is handed out when nothing has arrived for
    /// `quiet`, or `max` after the first message.
    ///
    /// Off by default. Use it with [`Inbox::batch_worker`], which gets all pending messages of a
    /// conversation in one call. Statuses and histories are not delayed.
    pub fn gather(mut self, quiet: Duration, max: Duration) -> Self {
        self.gather = Some((quiet, max));
        self
    }

    /// Stores these kinds of events only. All others are answered with 200, counted and dropped.
    /// Further calls add kinds. Changes of ids that other kinds announce are noted all the same.
    ///
    /// The names are those of `Event::kind`. Events that a later version of Meta's API adds are of
    /// kind `unknown` until this crate knows them.
    pub fn only<I>(mut self, kinds: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let only = self.only.get_or_insert_default();
        only.extend(kinds.into_iter().map(Into::into));
        self
    }

    /// Does not store these kinds of events: they are answered with 200, counted and dropped.
    /// Further calls add kinds.
    ///
    /// The names are those of `Event::kind`.
    pub fn ignore<I>(mut self, kinds: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ignore.extend(kinds.into_iter().map(Into::into));
        self
    }

    /// Opens the inbox in a SQLite file, which is created unless it exists.
    ///
    /// For processes of one machine. The file must not be on a network file system. Two more files
    /// are beside it (`-wal`, `-shm`); all three belong together. If one of them is removed, moved
    /// or replaced while the inbox is open, also if another process makes a new one, deliveries are
    /// answered with 503 until the service is restarted: SQLite itself would go on writing to a
    /// file that nobody finds again.
    ///
    /// # Errors
    ///
    /// If a setting is out of its range, the path is a URL or the name of a database in memory, or
    /// the file cannot be opened or migrated.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(self, path: impl AsRef<std::path::Path>) -> Result<Inbox, InboxError> {
        self.check()?;
        let path = path.as_ref();
        check_path(path)?;
        let backend = crate::backend::sqlite::SqliteBackend::open(path).await?;
        self.open(Backend::Sqlite(backend)).await
    }

    /// Opens the inbox in the database of this pool, in the first schema of its `search_path`.
    ///
    /// For any number of processes and machines. PostgreSQL 13 or later. The user must be allowed
    /// to create tables when a new version of this crate runs for the first time. Otherwise the
    /// rights that `docs/inbox.md` in the repository lists are enough.
    ///
    /// Give the inbox a pool of its own. sqlx 0.9.0 returns a connection to the pool inside an open
    /// transaction if a `begin` is cancelled. On a shared pool, a cancelled request of the host
    /// could then hold up conversations. Deliveries are safe: the receiver commits a transaction of
    /// its own before it answers 200.
    ///
    /// Give the pool a connection for each delivery that is stored at the same time, one for each
    /// handler that uses a transaction, and 4 more. Fewer make deliveries and workers wait for each
    /// other, and fewer than 3 are refused: one listens for as long as a worker runs. Set
    /// `acquire_timeout` of the pool below [`store_timeout`](Self::store_timeout), so that a wait
    /// for a connection ends with the delivery.
    ///
    /// # Errors
    ///
    /// If a setting is out of its range, the pool has fewer than 3 connections, the tables are in
    /// another schema of the `search_path` than the first, or the database cannot be reached or
    /// migrated.
    #[cfg(feature = "postgres")]
    pub async fn postgres(self, pool: sqlx::PgPool) -> Result<Inbox, InboxError> {
        self.check()?;
        if pool.options().get_max_connections() < MIN_CONNECTIONS {
            return Err(InboxError::config(
                "the pool needs `max_connections` of at least 3: one listens, the receiver and \
                 the workers need the others",
            ));
        }
        let backend = crate::backend::postgres::PostgresBackend::new(pool);
        self.open(Backend::Postgres(backend)).await
    }

    fn check(&self) -> Result<(), InboxError> {
        let mut kinds = self.only.iter().flatten().chain(&self.ignore);
        if !kinds.all(|kind| Payload::NAMES.contains(&kind.as_str())) {
            return Err(InboxError::config("`only` or `ignore` has an unknown kind"));
        }
        if self.only.as_ref().is_some_and(Vec::is_empty) {
            return Err(InboxError::config("`only` has no kind"));
        }
        let is_stored = |kind: &&str| {
            let is_kind = |other: &String| other == kind;
            self.only
                .as_ref()
                .is_none_or(|only| only.iter().any(is_kind))
                && !self.ignore.iter().any(is_kind)
        };
        if !Payload::NAMES.iter().any(is_stored) {
            return Err(InboxError::config(
                "`only` and `ignore` leave no kind to store",
            ));
        }
        if self.keep.is_zero() || self.store_timeout.is_zero() {
            return Err(InboxError::config(
                "`keep` and `store_timeout` must not be 0",
            ));
        }
        if self
            .gather
            .is_some_and(|(quiet, max)| quiet.is_zero() || max < quiet)
        {
            return Err(InboxError::config(
                "`quiet` of `gather` must not be 0, and `max` not less than `quiet`",
            ));
        }
        Ok(())
    }

    async fn open(self, backend: Backend) -> Result<Inbox, InboxError> {
        backend.migrate().await?;
        let settings = Settings {
            keep: self.keep,
            store_timeout: self.store_timeout,
            gather: self.gather,
        };
        let filter = Filter {
            only: self.only.map(|kinds| kinds.into_iter().collect()),
            ignore: self.ignore.into_iter().collect(),
        };
        Ok(Inbox::new(backend, settings, filter))
    }
}

/// Refuses what SQLite takes for something else than a file. The connections of an inbox would each
/// have a database in memory of their own.
#[cfg(feature = "sqlite")]
fn check_path(path: &std::path::Path) -> Result<(), InboxError> {
    let name = path.as_os_str().as_encoded_bytes();
    let is_other = |prefix: &[u8]| name.starts_with(prefix);
    if name.is_empty() || name == b":memory:" || is_other(b"file:") || is_other(b"sqlite:") {
        return Err(InboxError::config(
            "`sqlite` takes the path of a file: no URL, and no database in memory",
        ));
    }
    Ok(())
}

impl Filter {
    pub(crate) fn stores(&self, kind: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(kind)) && !self.ignore.contains(kind)
    }
}
