//! Transactions, and how long they may take.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, Transaction};

use super::{
    PostgresBackend,
    sql::{self, BEGIN},
};
use crate::{
    backend::phase::Phase,
    error::{DatabaseError, InboxError},
    row::millis,
};

/// The transactions of this crate never idle on purpose. A process that stops inside of one, or a
/// machine that is cut off, must not keep its locks until TCP notices.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

impl PostgresBackend {
    /// Begins a transaction of this crate, with its limits.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, InboxError> {
        self.begin_own("").await
    }

    /// Begins a transaction whose commit is on the disk of the server before it is answered,
    /// whatever the role, the database or the pool says. What waits for replicas goes on doing so.
    pub(super) async fn begin_durable(&self) -> Result<Transaction<'static, Postgres>, InboxError> {
        self.begin_own(sql::DURABLE).await
    }

    async fn begin_own(
        &self,
        more: &'static str,
    ) -> Result<Transaction<'static, Postgres>, InboxError> {
        // Before the wait for a connection: they are part of the `BEGIN`. A wait that ends later
        // than that has the phase as its cause.
        let [lock, statement] = self.limits.in_server().map(setting);
        let idle = setting(IDLE_LIMIT);
        // Only numbers, and one round trip.
        let statement = format!(
            "{BEGIN}; SET LOCAL idle_in_transaction_session_timeout = {idle}; \
             SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}{more}"
        );
        self.begin_with(AssertSqlSafe(statement)).await
    }

    /// Begins a transaction of a handler, which [`complete_run`](super::complete_run) marks as
    /// done. How long it takes is up to the host.
    pub(crate) async fn begin_run(&self) -> Result<Transaction<'static, Postgres>, InboxError> {
        self.begin_with(sql::BEGIN_RUN).await
    }

    /// Begins a transaction, also if the caller is dropped meanwhile.
    ///
    /// A `begin` of sqlx 0.9.0 that is cancelled returns its connection to the pool inside an open
    /// transaction (issue 4393 of sqlx). What others write there is never committed.
    async fn begin_with(
        &self,
        statement: impl SqlSafeStr + Send + 'static,
    ) -> Result<Transaction<'static, Postgres>, InboxError> {
        let pool = self.pool.clone();
        self.progress.enter(Phase::Connection);
        let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
        match begun {
            Ok(Ok(transaction)) => {
                self.progress.enter(Phase::Statement);
                Ok(transaction)
            }
            Ok(Err(sqlx::Error::PoolTimedOut)) => Err(InboxError::database(self.no_connection())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(InboxError::database(DatabaseError::driver())),
        }
    }

    /// Why there was no connection in time, as far as the pool tells. Those that are being opened
    /// count as part of it.
    pub(crate) fn no_connection(&self) -> DatabaseError {
        DatabaseError::no_connection(self.pool.size() < self.max_connections())
    }

    pub(crate) fn max_connections(&self) -> u32 {
        self.pool.options().get_max_connections()
    }
}

/// Milliseconds as a setting takes them, at least 1: 0 would be no limit.
fn setting(limit: Duration) -> i64 {
    millis(limit).clamp(1, i64::from(i32::MAX))
}
