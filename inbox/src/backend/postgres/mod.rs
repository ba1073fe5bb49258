//! The inbox on PostgreSQL 13 or later.

mod fetch;
mod sql;
mod store;
mod transaction;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sqlx::{PgConnection, PgPool, Row, postgres::PgListener, postgres::PgRow};
use tokio::time::timeout;

use super::{
    Completion, Dead, DeadRow, Limits, OPERATOR_LIMIT, Outcome, PURGE_BATCH, Progress, Renewal,
    Settings, StatusRow, migrations, migrations::Found,
};
use crate::{
    error::{InboxError, InboxErrorKind},
    row::{Failure, Lease, millis},
};

/// Channel of `NOTIFY`.
const CHANNEL: &str = "whatsapp_inbox";

/// Notifications only save time.
const NOTIFY_LIMIT: Duration = Duration::from_secs(4);

/// Key of the advisory lock under which one process migrates: the first bytes of SHA-256 of the
/// name of this crate.
const MIGRATION_LOCK: i64 = 0x1cab_86c0_6143_0aef;

/// Key of the advisory lock under which ids of persons change.
const RENAME_LOCK: i64 = MIGRATION_LOCK + 1;

#[derive(Clone)]
pub(crate) struct PostgresBackend {
    pool: PgPool,
    /// Payload of the notifications of this inbox, which has woken its own workers already.
    name: Arc<str>,
    limits: Limits,
    progress: Progress,
}

impl PostgresBackend {
    pub(crate) fn new(pool: PgPool) -> Self {
        let name = format!("{:016x}", fastrand::u64(..)).into();
        Self {
            pool,
            name,
            limits: Limits::of(OPERATOR_LIMIT),
            progress: Progress::default(),
        }
    }

    /// The same database for one operation, with its limits.
    pub(super) fn within(&self, limits: Limits, progress: &Progress) -> Self {
        Self {
            limits,
            progress: progress.clone(),
            ..self.clone()
        }
    }

    /// Applies the migrations that are missing. Other processes wait meanwhile.
    pub(crate) async fn migrate(&self) -> Result<(), InboxError> {
        // Usually there are none. That takes no right to create tables, and no lock.
        if migrations::missing(migrations::POSTGRES, self.version().await?)?
            .next()
            .is_none()
        {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        sqlx::query(sql::ADVISORY_LOCK)
            .bind(MIGRATION_LOCK)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(migrations::POSTGRES_VERSIONS)
            .execute(&mut *transaction)
            .await?;
        let found = sqlx::query_as(sql::VERSION)
            .fetch_optional(&mut *transaction)
            .await?;
        for (version, migration) in migrations::missing(migrations::POSTGRES, found)? {
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

    /// The version of the schema in which the crate would make its tables. `None` if it is not
    /// there.
    async fn version(&self) -> Result<Option<Found>, InboxError> {
        let mut transaction = self.begin().await?;
        let (is_there, is_elsewhere): (bool, bool) = sqlx::query_as(sql::HAS_SCHEMA)
            .fetch_one(&mut *transaction)
            .await?;
        if is_elsewhere {
            return Err(InboxError::config(
                "the tables of an inbox are in another schema of the `search_path` than the first: \
                 put that schema first, or leave it out",
            ));
        }
        let mut version = None;
        if is_there {
            version = sqlx::query_as(sql::VERSION)
                .fetch_optional(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(version)
    }

    /// Wakes the workers of other processes. A notification waits for the commits of others that
    /// notify.
    pub(crate) async fn notify(&self) -> Result<(), InboxError> {
        let limited = self.within(Limits::of(NOTIFY_LIMIT), &Progress::default());
        let notifying = async {
            let mut transaction = limited.begin().await?;
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(&*self.name)
                .execute(&mut *transaction)
                .await?;
            Ok(transaction.commit().await?)
        };
        in_time(notifying).await
    }

    /// Listens for the notifications of other processes.
    pub(crate) async fn listen(&self) -> Result<PgListener, InboxError> {
        let listening = async {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        in_time(listening).await
    }

    /// Waits for a notification of another inbox.
    pub(crate) async fn notified(&self, listener: &mut PgListener) -> Result<(), InboxError> {
        while *listener.recv().await?.payload() == *self.name {}
        Ok(())
    }

    pub(crate) async fn claim(
        &self,
        class: i16,
        most: i64,
        lease: i64,
    ) -> Result<Vec<Lease>, InboxError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(sql::CLAIM)
            .bind(class)
            .bind(most)
            .bind(lease)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let lease = |row: &PgRow| {
            Ok(Lease {
                lane: row.try_get("lane")?,
                token: row.try_get("owner")?,
                claims: row.try_get("claims")?,
            })
        };
        rows.iter().map(lease).collect()
    }

    pub(crate) async fn complete(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        settings: &Settings,
    ) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        lock_run(&mut transaction, lease, keys).await?;
        complete_in(&mut transaction, lease, keys, settings).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn complete_all(
        &self,
        completions: &[Completion],
        settings: &Settings,
    ) -> Result<HashSet<Vec<u8>>, InboxError> {
        let (mut lanes, mut tokens, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut token_of_key) = (Vec::new(), Vec::new());
        for completion in completions {
            let token = completion.lease.token.as_slice();
            lanes.push(completion.lease.lane.as_str());
            tokens.push(token);
            counts.push(i32::try_from(completion.keys.len()).unwrap_or(i32::MAX));
            keys.extend_from_slice(&completion.keys);
            token_of_key.extend(completion.keys.iter().map(|_| token));
        }
        let (quiet, longest) = settings.gather_millis();
        let mut transaction = self.begin().await?;
        let done: Vec<Vec<u8>> = sqlx::query_scalar(sql::COMPLETE_ALL)
            .bind(lanes)
            .bind(tokens)
            .bind(counts)
            .bind(keys)
            .bind(token_of_key)
            .bind(millis(settings.keep))
            .bind(quiet)
            .bind(longest)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.into_iter().collect())
    }

    pub(crate) async fn fail(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        failure: &Failure<'_>,
    ) -> Result<Vec<Dead>, InboxError> {
        let mut transaction = self.begin().await?;
        let claims = lock_run(&mut transaction, lease, keys).await?;
        let failed: Vec<([u8; 16], i16, i32)> = sqlx::query_as(sql::FAIL_EVENTS)
            .bind(keys)
            .bind(failure.attempts(claims))
            .bind(failure.error)
            .bind(failure.never)
            .bind(failure.max_attempts.unwrap_or(i32::MAX))
            .fetch_all(&mut *transaction)
            .await?;
        let is_alive = failed.iter().any(|(_, state, _)| *state == 0);
        let dead = failed.into_iter().filter(|(_, state, _)| *state == 2);
        let dead: Vec<_> = dead
            .map(|(key, _, attempts)| Dead { key, attempts })
            .collect();
        sqlx::query(sql::FAIL_LANE)
            .bind(&lease.lane)
            .bind(i64::try_from(dead.len()).unwrap_or(i64::MAX))
            .bind(is_alive)
            .bind(if is_alive { millis(failure.delay) } else { 0 })
            .bind(keys.is_empty())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(dead)
    }

    pub(crate) async fn outcome(&self, keys: &[[u8; 16]]) -> Result<Outcome, InboxError> {
        let mut transaction = self.begin().await?;
        let events: Vec<([u8; 16], i64, i32)> = sqlx::query_as(sql::OUTCOME)
            .bind(keys)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let mut outcome = Outcome::default();
        for (key, state, attempts) in events {
            outcome.add(key, state, attempts);
        }
        Ok(outcome)
    }

    pub(crate) async fn renew(
        &self,
        leases: &[Lease],
        lease: i64,
    ) -> Result<HashMap<Vec<u8>, Renewal>, InboxError> {
        let (lanes, tokens): (Vec<_>, Vec<_>) = leases
            .iter()
            .map(|lease| (lease.lane.as_str(), lease.token.as_slice()))
            .unzip();
        let mut transaction = self.begin().await?;
        let kept: Vec<(Vec<u8>, bool)> = sqlx::query_as(sql::RENEW)
            .bind(lanes)
            .bind(tokens)
            .bind(lease)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let renewal = |(token, is_renewed)| {
            let renewal = if is_renewed {
                Renewal::Renewed
            } else {
                Renewal::Locked
            };
            (token, renewal)
        };
        Ok(kept.into_iter().map(renewal).collect())
    }

    /// Renews a lease when its lane is free, and returns whether it was still there.
    pub(crate) async fn renew_one(&self, held: &Lease, lease: i64) -> Result<bool, InboxError> {
        let mut transaction = self.begin().await?;
        let renewed = sqlx::query(sql::RENEW_ONE)
            .bind(&held.lane)
            .bind(&held.token)
            .bind(lease)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(renewed.rows_affected() > 0)
    }

    /// Corrects the count of a lane without events, and ends its lease.
    pub(crate) async fn recount(&self, lease: &Lease) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        let claims: Option<i32> = sqlx::query_scalar(sql::LOCK)
            .bind(&lease.lane)
            .bind(&lease.token)
            .fetch_optional(&mut *transaction)
            .await?;
        if claims.is_some() {
            sqlx::query(sql::RECOUNT)
                .bind(&lease.lane)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn next_wake(&self, class: i16) -> Result<Option<i64>, InboxError> {
        let mut transaction = self.begin().await?;
        let next = sqlx::query_scalar(sql::NEXT)
            .bind(class)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(next)
    }

    /// Removes one batch of each table, and returns the rows of the largest. Wakes lanes that were
    /// forgotten.
    pub(crate) async fn purge(&self) -> Result<u64, InboxError> {
        let mut most = 0;
        for statement in [sql::PURGE_EVENTS, sql::PURGE_LANES, sql::PURGE_ALIASES] {
            let mut transaction = self.begin().await?;
            let purged = sqlx::query(statement)
                .bind(PURGE_BATCH)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            most = most.max(purged.rows_affected());
        }
        let mut transaction = self.begin().await?;
        let healed = sqlx::query(sql::HEAL).bind(PURGE_BATCH);
        healed.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(most)
    }

    pub(crate) async fn status(&self) -> Result<StatusRow, InboxError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(sql::STATUS)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(StatusRow {
            messages: row.try_get("messages")?,
            bulk: row.try_get("bulk")?,
            running: row.try_get("running")?,
            retrying: row.try_get("retrying")?,
            dead: row.try_get("dead")?,
            oldest: row.try_get("oldest")?,
        })
    }

    pub(crate) async fn dead(&self, after: i64, most: i64) -> Result<Vec<DeadRow>, InboxError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(sql::DEAD)
            .bind(after)
            .bind(most)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let dead = |row: &PgRow| {
            Ok(DeadRow {
                seq: row.try_get("seq")?,
                key: row.try_get("event_key")?,
                app: row.try_get("app")?,
                kind: row.try_get("kind")?,
                conversation: row.try_get("conversation")?,
                attempts: row.try_get("attempts")?,
                error: row.try_get("last_error")?,
                finished: row.try_get("finished")?,
                body: row.try_get("body")?,
            })
        };
        rows.iter().map(dead).collect()
    }

    pub(crate) async fn replay(&self, keys: &[[u8; 16]]) -> Result<u64, InboxError> {
        let mut transaction = self.begin().await?;
        let count: i64 = sqlx::query_scalar(sql::REPLAY)
            .bind(keys)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn discard(&self, keys: &[[u8; 16]], keep: i64) -> Result<u64, InboxError> {
        let mut transaction = self.begin().await?;
        let count: i64 = sqlx::query_scalar(sql::DISCARD)
            .bind(keys)
            .bind(keep)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(count.unsigned_abs())
    }
}

/// Notifications only save time, so neither they nor the wait for a connection may take long.
async fn in_time<T>(asking: impl Future<Output = Result<T, InboxError>>) -> Result<T, InboxError> {
    let answer = timeout(NOTIFY_LIMIT, asking).await;
    answer.unwrap_or(Err(InboxError::new(InboxErrorKind::Timeout)))
}

/// Locks the lane and the events of a run, and returns the claims of the lane.
async fn lock_run(
    connection: &mut PgConnection,
    lease: &Lease,
    keys: &[[u8; 16]],
) -> Result<i32, InboxError> {
    let claims = sqlx::query_scalar(sql::LOCK)
        .bind(&lease.lane)
        .bind(&lease.token)
        .fetch_optional(&mut *connection)
        .await?;
    let claims = claims.ok_or(InboxError::new(InboxErrorKind::LeaseLost))?;
    let lock = sqlx::query(sql::LOCK_EVENTS).bind(keys);
    lock.execute(connection).await?;
    Ok(claims)
}

/// Marks events as done in the transaction of a handler.
///
/// The handler may have ended that transaction with a statement of its own. The savepoint is gone
/// then, and nothing is marked.
pub(crate) async fn complete_run(
    connection: &mut PgConnection,
    lease: &Lease,
    keys: &[[u8; 16]],
    settings: &Settings,
) -> Result<(), InboxError> {
    // Several statements, so not a prepared one.
    let begin = sqlx::raw_sql(sql::BEGIN_MARK);
    begin.execute(&mut *connection).await?;
    complete_in(connection, lease, keys, settings).await
}

/// Marks events as done in a transaction.
async fn complete_in(
    connection: &mut PgConnection,
    lease: &Lease,
    keys: &[[u8; 16]],
    settings: &Settings,
) -> Result<(), InboxError> {
    let (quiet, longest) = settings.gather_millis();
    let pending: Option<i32> = sqlx::query_scalar(sql::COMPLETE)
        .bind(&lease.lane)
        .bind(&lease.token)
        .bind(keys)
        .bind(millis(settings.keep))
        .bind(quiet)
        .bind(longest)
        .fetch_optional(connection)
        .await?;
    match pending {
        Some(_) => Ok(()),
        None => Err(InboxError::new(InboxErrorKind::LeaseLost)),
    }
}
