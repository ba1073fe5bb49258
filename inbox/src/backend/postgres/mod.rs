//! The inbox on PostgreSQL 13 or later.

mod sql;

use std::collections::{HashMap, HashSet};

use sqlx::{
    PgConnection, PgPool, Postgres, Row, Transaction, postgres::PgListener, postgres::PgRow,
};

use super::{Completion, DeadRow, PURGE_BATCH, Renewal, Settings, StatusRow, migrations};
use crate::{
    error::{InboxError, InboxErrorKind},
    row::{Delivery, Failure, Lease, StoredRow, millis},
};

/// Channel of `NOTIFY`.
const CHANNEL: &str = "whatsapp_inbox";

/// Key of the advisory lock under which one process migrates: the first bytes of SHA-256 of the
/// name of this crate.
const MIGRATION_LOCK: i64 = 0x3a61_77f1_2c0e_5d18;

#[derive(Clone)]
pub(crate) struct PostgresBackend {
    pool: PgPool,
    /// Payload of the notifications of this inbox, which has woken its own workers already.
    name: String,
}

impl PostgresBackend {
    pub(crate) fn new(pool: PgPool) -> Self {
        let name = format!("{:016x}", fastrand::u64(..));
        Self { pool, name }
    }

    /// Applies the migrations that are missing. Other processes wait meanwhile.
    pub(crate) async fn migrate(&self) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(migrations::POSTGRES_VERSIONS)
            .execute(&mut *transaction)
            .await?;
        let version: Option<i32> =
            sqlx::query_scalar("SELECT max(version) FROM whatsapp_inbox_schema")
                .fetch_one(&mut *transaction)
                .await?;
        for (version, migration) in migrations::missing(migrations::POSTGRES, version)? {
            sqlx::raw_sql(migration).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO whatsapp_inbox_schema (version) VALUES ($1)")
                .bind(version)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn store(
        &self,
        delivery: &Delivery,
        settings: &Settings,
    ) -> Result<u64, InboxError> {
        let rows = &delivery.rows;
        let (new, old): (Vec<_>, Vec<_>) = delivery.aliases.iter().cloned().unzip();
        let (quiet, longest) = settings.gather_millis();
        let mut connection = self.pool.acquire().await?;
        let stored = sqlx::query(sql::STORE)
            .bind(rows.iter().map(|row| row.key).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.app.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.kind).collect::<Vec<_>>())
            .bind(
                rows.iter()
                    .map(|row| row.number.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(
                rows.iter()
                    .map(|row| row.conversation.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(rows.iter().map(|row| row.prefix).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.class).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.time).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| &*row.body).collect::<Vec<&[u8]>>())
            .bind(new)
            .bind(old)
            .bind(quiet)
            .bind(longest)
            .bind(lock_timeout(settings))
            .fetch_one(&mut *connection)
            .await?;
        let (count, transaction): (i64, Option<String>) =
            (stored.try_get("count")?, stored.try_get("transaction")?);
        // Somebody else's mistake with a shared pool must not become a lost event.
        let is_committed = match transaction {
            None => true,
            Some(transaction) => {
                let status = sqlx::query_scalar(sql::IS_COMMITTED).bind(transaction);
                status.fetch_one(&mut *connection).await?
            }
        };
        if !is_committed {
            connection.close_on_drop();
            return Err(InboxError::new(InboxErrorKind::Database));
        }
        drop(connection);
        for (new, _) in &delivery.aliases {
            self.join(new, settings).await?;
        }
        Ok(count.unsigned_abs())
    }

    /// What waits under a new name joins the conversation. The announcement may be late. If this
    /// fails, Meta redelivers the announcement.
    async fn join(&self, new: &str, settings: &Settings) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        sqlx::query(sql::LOCK_TIMEOUT)
            .bind(lock_timeout(settings))
            .execute(&mut *transaction)
            .await?;
        let old: Option<String> = sqlx::query_scalar(sql::REPOINT)
            .bind(new)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(old) = old else { return Ok(()) };
        let lanes: Vec<(String, bool)> = sqlx::query_as(sql::LOCK_BOTH)
            .bind(new)
            .bind(&old)
            .fetch_all(&mut *transaction)
            .await?;
        if lanes.iter().any(|(lane, is_held)| lane == new && !is_held) {
            let moving = sqlx::query(sql::MOVE).bind(new).bind(&old);
            moving.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn notify(&self) -> Result<(), InboxError> {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(&self.name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Listens for the notifications of other processes.
    pub(crate) async fn listen(&self) -> Result<PgListener, InboxError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    /// Waits for a notification of another inbox.
    pub(crate) async fn notified(&self, listener: &mut PgListener) -> Result<(), InboxError> {
        while listener.recv().await?.payload() == self.name {}
        Ok(())
    }

    pub(crate) async fn claim(
        &self,
        class: i16,
        limit: i64,
        lease: i64,
    ) -> Result<Vec<Lease>, InboxError> {
        let rows = sqlx::query(sql::CLAIM)
            .bind(class)
            .bind(limit)
            .bind(lease)
            .fetch_all(&self.pool)
            .await?;
        let lease = |row: &PgRow| {
            Ok(Lease {
                lane: row.try_get("lane")?,
                token: row.try_get("owner")?,
                claims: row.try_get("claims")?,
            })
        };
        rows.iter().map(lease).collect()
    }

    pub(crate) async fn fetch(
        &self,
        lanes: &[String],
        per_lane: i64,
    ) -> Result<Vec<(String, StoredRow)>, InboxError> {
        let rows = sqlx::query(sql::FETCH)
            .bind(lanes)
            .bind(per_lane)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(stored).collect()
    }

    pub(crate) async fn complete(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        settings: &Settings,
    ) -> Result<(), InboxError> {
        let mut connection = self.pool.acquire().await?;
        complete_in(&mut connection, lease, keys, settings).await
    }

    pub(crate) async fn complete_all(
        &self,
        completions: &[Completion],
        settings: &Settings,
    ) -> Result<HashSet<String>, InboxError> {
        let (mut lanes, mut tokens, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut lane_of_key) = (Vec::new(), Vec::new());
        for completion in completions {
            let lane = completion.lease.lane.as_str();
            lanes.push(lane);
            tokens.push(completion.lease.token.as_slice());
            counts.push(i32::try_from(completion.keys.len()).unwrap_or(i32::MAX));
            keys.extend_from_slice(&completion.keys);
            lane_of_key.extend(completion.keys.iter().map(|_| lane));
        }
        let (quiet, longest) = settings.gather_millis();
        let done: Vec<String> = sqlx::query_scalar(sql::COMPLETE_ALL)
            .bind(lanes)
            .bind(tokens)
            .bind(counts)
            .bind(keys)
            .bind(lane_of_key)
            .bind(millis(settings.keep))
            .bind(quiet)
            .bind(longest)
            .fetch_all(&self.pool)
            .await?;
        Ok(done.into_iter().collect())
    }

    pub(crate) async fn fail(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        failure: &Failure<'_>,
    ) -> Result<u64, InboxError> {
        let mut transaction = self.begin().await?;
        let claims: Option<i32> = sqlx::query_scalar(sql::LOCK)
            .bind(&lease.lane)
            .bind(&lease.token)
            .fetch_optional(&mut *transaction)
            .await?;
        let claims = claims.ok_or(InboxError::new(InboxErrorKind::LeaseLost))?;
        let states: Vec<i16> = sqlx::query_scalar(sql::FAIL_EVENTS)
            .bind(keys)
            .bind(failure.max_attempts.map_or(0, |_| claims))
            .bind(failure.error)
            .bind(failure.never)
            .bind(failure.max_attempts.unwrap_or(i32::MAX))
            .fetch_all(&mut *transaction)
            .await?;
        let dead = states.iter().filter(|state| **state == 2).count();
        sqlx::query(sql::FAIL_LANE)
            .bind(&lease.lane)
            .bind(i64::try_from(dead).unwrap_or(i64::MAX))
            .bind(dead < states.len())
            .bind(if dead < states.len() {
                millis(failure.delay)
            } else {
                0
            })
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(dead as u64)
    }

    pub(crate) async fn renew(
        &self,
        leases: &[Lease],
        lease: i64,
    ) -> Result<HashMap<String, Renewal>, InboxError> {
        let (lanes, tokens): (Vec<_>, Vec<_>) = leases
            .iter()
            .map(|lease| (lease.lane.as_str(), lease.token.as_slice()))
            .unzip();
        let kept: Vec<(String, bool)> = sqlx::query_as(sql::RENEW)
            .bind(lanes)
            .bind(tokens)
            .bind(lease)
            .fetch_all(&self.pool)
            .await?;
        let renewal = |(lane, is_renewed)| {
            let renewal = if is_renewed {
                Renewal::Renewed
            } else {
                Renewal::Locked
            };
            (lane, renewal)
        };
        Ok(kept.into_iter().map(renewal).collect())
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
        let next = sqlx::query_scalar(sql::NEXT).bind(class);
        Ok(next.fetch_optional(&self.pool).await?)
    }

    /// Removes one batch of each table, and returns the rows of the largest. Wakes lanes that were
    /// forgotten.
    pub(crate) async fn purge(&self) -> Result<u64, InboxError> {
        let mut most = 0;
        for statement in [sql::PURGE_EVENTS, sql::PURGE_LANES, sql::PURGE_ALIASES] {
            let purged = sqlx::query(statement).bind(PURGE_BATCH);
            most = most.max(purged.execute(&self.pool).await?.rows_affected());
        }
        let healed = sqlx::query(sql::HEAL).bind(PURGE_BATCH);
        healed.execute(&self.pool).await?;
        Ok(most)
    }

    pub(crate) async fn status(&self) -> Result<StatusRow, InboxError> {
        let row = sqlx::query(sql::STATUS).fetch_one(&self.pool).await?;
        Ok(StatusRow {
            messages: row.try_get("messages")?,
            bulk: row.try_get("bulk")?,
            running: row.try_get("running")?,
            retrying: row.try_get("retrying")?,
            dead: row.try_get("dead")?,
            oldest: row.try_get("oldest")?,
        })
    }

    pub(crate) async fn dead(&self, after: i64, limit: i64) -> Result<Vec<DeadRow>, InboxError> {
        let rows = sqlx::query(sql::DEAD)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
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
        let count: i64 = sqlx::query_scalar(sql::REPLAY)
            .bind(keys)
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn discard(&self, keys: &[[u8; 16]], keep: i64) -> Result<u64, InboxError> {
        let count: i64 = sqlx::query_scalar(sql::DISCARD)
            .bind(keys)
            .bind(keep)
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Begins a transaction of a handler. How long it may idle is up to the host.
    pub(crate) async fn begin_run(&self) -> Result<Transaction<'static, Postgres>, InboxError> {
        self.begin_with("BEGIN").await
    }

    /// Begins a transaction of this crate.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, InboxError> {
        self.begin_with(sql::BEGIN).await
    }

    /// Begins a transaction, also if the caller is dropped meanwhile.
    ///
    /// A `begin` of sqlx 0.9.0 that is cancelled returns its connection to the pool inside an open
    /// transaction (issue 4393 of sqlx). What others write there is never committed.
    async fn begin_with(
        &self,
        statement: &'static str,
    ) -> Result<Transaction<'static, Postgres>, InboxError> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
        Ok(begun.map_err(|_| InboxError::new(InboxErrorKind::Database))??)
    }
}

/// Milliseconds, at least 1: 0 would be no limit.
fn lock_timeout(settings: &Settings) -> String {
    let limit = i64::from(i32::MAX);
    millis(settings.store_timeout).clamp(1, limit).to_string()
}

/// Marks events as done in a transaction of the host or in one of its own.
pub(crate) async fn complete_in(
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

fn stored(row: &PgRow) -> Result<(String, StoredRow), InboxError> {
    let body: Option<Vec<u8>> = row.try_get("body")?;
    let event = StoredRow {
        key: row.try_get("event_key")?,
        app: row.try_get("app")?,
        conversation: row.try_get("conversation")?,
        attempts: row.try_get("attempts")?,
        age: row.try_get("age")?,
        body: body.unwrap_or_default(),
    };
    Ok((row.try_get("lane")?, event))
}
