//! Opens the file, migrates it and begins transactions.

use std::{
    fs,
    path::{self, Path},
    time::{Duration, Instant},
};

use sqlx::{
    Connection, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{sleep, timeout};

use super::{FileIdentity, Phase, Progress, SqliteBackend, sql};
use crate::{
    backend::{
        Backend,
        migrations::{self, Found},
    },
    error::{DatabaseError, InboxError},
};

/// How long opening a file, a handler that begins a transaction, and a reader wait for writers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite itself waits for the writer of another process. Nothing ends this wait, and the
/// connection that writes is of no use to others meanwhile. It is therefore far shorter than the
/// limit of any operation, which tries again until its limit.
const BUSY_SLICE: Duration = Duration::from_millis(100);
/// Time between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How long an operation waits for the connection that writes.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

impl SqliteBackend {
    pub(crate) async fn open(path: &Path) -> Result<Self, InboxError> {
        // What is relative means the same file for later connections.
        let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on the disk before Meta gets its 200.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_SLICE);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        // SQLite rolls back by itself, for example when the disk is full. sqlx does not notice, and
        // could not begin another transaction on this connection.
        let writer = pool(1).before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
        let writer = open_file(writer, &options).await?;
        // And a link to it too.
        let path = fs::canonicalize(&path)
            .map_err(|_| InboxError::database(DatabaseError::file_lost()))?;
        let options = options.filename(&path);
        writer.set_connect_options(options.clone());
        let options = options.read_only(true).busy_timeout(BUSY_TIMEOUT);
        // One stays open, so that SQLite never removes the log, also if the writer is replaced.
        let readers = pool(READERS).connect_with(options).await?;
        sqlx::query(sql::HAS_SCHEMA).execute(&readers).await?;
        let file = FileIdentity::new(&path).map_err(InboxError::database)?;
        Ok(Self {
            writer,
            readers,
            file,
            progress: Progress::default(),
        })
    }

    /// Applies the migrations that are missing. Other processes wait meanwhile.
    pub(crate) async fn migrate(&self) -> Result<(), InboxError> {
        // Usually there are none. That takes no wait for a writer.
        if migrations::missing(migrations::SQLITE, self.version().await?)?
            .next()
            .is_none()
        {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        sqlx::query(migrations::SQLITE_VERSIONS)
            .execute(&mut *transaction)
            .await?;
        let found = sqlx::query_as(sql::VERSION)
            .fetch_optional(&mut *transaction)
            .await?;
        for (version, migration) in migrations::missing(migrations::SQLITE, found)? {
            let statements = sqlx::raw_sql(migration.statements);
            statements.execute(&mut *transaction).await?;
            sqlx::query(sql::ADD_VERSION)
                .bind(version)
                .bind(migration.oldest_code)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The version of the schema. `None` if it is not there.
    async fn version(&self) -> Result<Option<Found>, InboxError> {
        let is_there: bool = sqlx::query_scalar(sql::HAS_SCHEMA)
            .fetch_one(&self.readers)
            .await?;
        if !is_there {
            return Ok(None);
        }
        Ok(sqlx::query_as(sql::VERSION)
            .fetch_optional(&self.readers)
            .await?)
    }

    /// Begins a transaction as soon as no other process writes. The caller limits the time.
    ///
    /// Fails if what is written would not be found again.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, InboxError> {
        self.progress.enter(Phase::Connection);
        loop {
            match self.writer.begin_with("BEGIN IMMEDIATE").await {
                Err(error) if is_busy(&error) => {
                    self.progress.enter(Phase::OtherProcess);
                    sleep(BUSY_PAUSE).await;
                }
                begun => {
                    let transaction = begun?;
                    self.progress.enter(Phase::Statement);
                    self.file.check().map_err(InboxError::database)?;
                    return Ok(transaction);
                }
            }
        }
    }

    /// Begins a transaction of a handler. [`complete_run`](super::complete_run) marks its events as
    /// done.
    pub(crate) async fn begin_run(&self) -> Result<Transaction<'static, Sqlite>, InboxError> {
        let progress = Progress::default();
        let begun = timeout(ACQUIRE_TIMEOUT, self.telling(&progress).begin()).await;
        let timed_out = |_| Backend::Sqlite(self.clone()).timed_out(progress.phase());
        let mut transaction = begun.map_err(timed_out)??;
        let savepoint = sqlx::query(sql::SAVEPOINT);
        savepoint.execute(&mut *transaction).await?;
        Ok(transaction)
    }
}

/// Opens the file, and turns a new one into WAL mode.
///
/// Only one connection can do that, and SQLite refuses the others without regard to the time-out,
/// because waiting could be a deadlock.
async fn open_file(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                sleep(BUSY_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Whether the primary result code is `SQLITE_BUSY`.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.parse::<u32>().is_ok_and(|code| code & 0xff == 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each connection of the pools is opened when it is needed.
    #[cfg(unix)]
    #[tokio::test]
    async fn later_connections_open_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let before = std::env::current_dir().unwrap();
        let [relative, link] = ["relative", "link"].map(|name| dir.path().join(name));
        for place in [&relative, &link] {
            fs::create_dir(place).unwrap();
        }
        std::os::unix::fs::symlink(relative.join("inbox.db"), link.join("inbox.db")).unwrap();
        std::env::set_current_dir(&relative).unwrap();
        let by_name = SqliteBackend::open(Path::new("inbox.db")).await.unwrap();
        std::env::set_current_dir(&before).unwrap();
        let by_link = SqliteBackend::open(&link.join("inbox.db")).await.unwrap();
        fs::remove_file(link.join("inbox.db")).unwrap();
        by_name.migrate().await.unwrap();
        for inbox in [by_name, by_link] {
            // The connection that writes is replaced.
            let writer = inbox.writer.acquire().await.unwrap();
            writer.close().await.unwrap();
            let writer = inbox.writer.acquire().await.unwrap();
            let mut all = vec![writer];
            for _ in 0..READERS {
                all.push(inbox.readers.acquire().await.unwrap());
            }
            for mut connection in all {
                let there: bool = sqlx::query_scalar(sql::HAS_SCHEMA)
                    .fetch_one(&mut *connection)
                    .await
                    .unwrap();
                assert!(there);
            }
        }
    }

    #[tokio::test]
    async fn changed_names_are_found_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = SqliteBackend::open(&dir.path().join("inbox.db"))
            .await
            .unwrap();
        inbox.migrate().await.unwrap();
        for statement in [sql::PLACE, sql::REPOINT, sql::PURGE_ALIASES] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
                .fetch_all(&inbox.readers)
                .await
                .unwrap();
            let scans = plan.iter().any(|(.., step)| step.starts_with("SCAN"));
            assert!(!plan.is_empty() && !scans, "{plan:?}");
        }
    }

    /// What a cancelled caller leaves behind does not hold up the next one.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_begin_that_was_given_up_does_not_wait_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inbox.db");
        let (one, two) = (
            SqliteBackend::open(&path).await.unwrap(),
            SqliteBackend::open(&path).await.unwrap(),
        );
        let other = one.begin().await.unwrap();
        let given_up = timeout(Duration::from_millis(50), two.begin()).await;
        assert!(given_up.is_err());
        let free = timeout(Duration::from_secs(2), two.writer.acquire()).await;
        free.unwrap().unwrap();
        other.rollback().await.unwrap();
        two.begin().await.unwrap();
    }
}
