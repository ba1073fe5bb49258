//! The inbox in one SQLite file: one connection writes, others read.

mod file_identity;
mod open;
mod sql;

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use self::file_identity::FileIdentity;
use super::{
    Completion, Dead, DeadRow, Outcome, PURGE_BATCH, Phase, Progress, Renewal, Settings, StatusRow,
};
use crate::{
    conversation::MESSAGES,
    error::{DatabaseError, InboxError, InboxErrorKind},
    row::{Delivery, Failure, Lease, StoredRow, millis},
};

#[derive(Clone)]
pub(crate) struct SqliteBackend {
    writer: SqlitePool,
    readers: SqlitePool,
    file: FileIdentity,
    progress: Progress,
}

impl SqliteBackend {
    /// The same file for one operation, which tells what it waits for.
    pub(super) fn telling(&self, progress: &Progress) -> Self {
        progress.enter(Phase::Statement);
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }

    pub(crate) async fn store(
        &self,
        delivery: &Delivery,
        settings: &Settings,
    ) -> Result<u64, InboxError> {
        let mut transaction = self.begin().await?;
        let has_aliases: bool = sqlx::query_scalar(sql::HAS_ALIASES)
            .fetch_one(&mut *transaction)
            .await?;
        let mut stored = 0;
        let mut lanes: BTreeMap<String, (i16, i64)> = BTreeMap::new();
        for row in &delivery.rows {
            let mut conversation = row.conversation.clone();
            if has_aliases {
                conversation = resolve(&mut transaction, conversation).await?;
            }
            let lane = format!("{}{conversation}", row.prefix);
            let inserted = sqlx::query(sql::STORE_EVENT)
                .bind(&row.key[..])
                .bind(&row.app)
                .bind(row.kind)
                .bind(&row.number)
                .bind(&conversation)
                .bind(&lane)
                .bind(row.class)
                .bind(row.time)
                .bind(&*row.body)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if inserted > 0 {
                stored += 1;
                lanes.entry(lane).or_insert((row.class, 0)).1 += 1;
            }
        }
        let (quiet, longest) = settings.gather_millis();
        for (lane, (class, count)) in lanes {
            let gathers = i64::from(class == MESSAGES);
            sqlx::query(sql::STORE_LANE)
                .bind(lane)
                .bind(class)
                .bind(count)
                .bind(quiet * gathers)
                .bind(longest * gathers)
                .execute(&mut *transaction)
                .await?;
        }
        for (new, old) in &delivery.aliases {
            let old = resolve(&mut transaction, old.clone()).await?;
            if *new != old {
                sqlx::query(sql::ALIAS)
                    .bind(new)
                    .bind(&old)
                    .execute(&mut *transaction)
                    .await?;
                join(&mut transaction, new).await?;
            }
        }
        transaction.commit().await?;
        Ok(stored)
    }

    pub(crate) async fn claim(
        &self,
        class: i16,
        most: i64,
        lease: i64,
    ) -> Result<Vec<Lease>, InboxError> {
        // Most polls find nothing, and need not wait for the writer.
        if self.next_wake(class).await?.is_none_or(|next| next > 0) {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(sql::CLAIM)
            .bind(class)
            .bind(most)
            .bind(lease)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let lease = |row: &SqliteRow| {
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
        let mut connection = self.readers.acquire().await?;
        let mut found = Vec::new();
        for lane in lanes {
            let rows = sqlx::query(sql::FETCH)
                .bind(lane)
                .bind(per_lane)
                .fetch_all(&mut *connection)
                .await?;
            for row in &rows {
                found.push((lane.clone(), stored(row)?));
            }
        }
        Ok(found)
    }

    /// Reads what is needed to fail the first event of a lane.
    pub(crate) async fn first(&self, lane: &str) -> Result<Option<([u8; 16], i32)>, InboxError> {
        let first = sqlx::query(sql::FIRST).bind(lane);
        let Some(row) = first.fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        Ok(Some((key(&row)?, row.try_get("attempts")?)))
    }

    pub(crate) async fn complete(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        settings: &Settings,
    ) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        complete_in(&mut transaction, lease, keys, settings).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn complete_all(
        &self,
        completions: &[Completion],
        settings: &Settings,
    ) -> Result<HashSet<Vec<u8>>, InboxError> {
        let mut transaction = self.begin().await?;
        let mut done = HashSet::new();
        for Completion { lease, keys } in completions {
            match complete_in(&mut transaction, lease, keys, settings).await {
                Ok(()) => drop(done.insert(lease.token.clone())),
                // Nothing was written for this one.
                Err(error) if error.kind() == InboxErrorKind::LeaseLost => {}
                Err(error) => return Err(error),
            }
        }
        transaction.commit().await?;
        Ok(done)
    }

    pub(crate) async fn fail(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        failure: &Failure<'_>,
    ) -> Result<Vec<Dead>, InboxError> {
        let mut transaction = self.begin().await?;
        let claims: Option<i32> = sqlx::query_scalar(sql::CLAIMS)
            .bind(&lease.lane)
            .bind(&lease.token)
            .fetch_optional(&mut *transaction)
            .await?;
        let claims = claims.ok_or(InboxError::new(InboxErrorKind::LeaseLost))?;
        let (mut dead, mut alive) = (Vec::new(), false);
        for key in keys {
            let failed: Option<(i64, i32)> = sqlx::query_as(sql::FAIL_EVENT)
                .bind(&key[..])
                .bind(failure.attempts(claims))
                .bind(failure.error)
                .bind(failure.never)
                .bind(failure.max_attempts.unwrap_or(i32::MAX))
                .fetch_optional(&mut *transaction)
                .await?;
            match failed {
                Some((2, attempts)) => dead.push(Dead {
                    key: *key,
                    attempts,
                }),
                Some(_) => alive = true,
                None => {}
            }
        }
        sqlx::query(sql::FAIL_LANE)
            .bind(&lease.lane)
            .bind(i64::try_from(dead.len()).unwrap_or(i64::MAX))
            .bind(alive)
            .bind(if alive { millis(failure.delay) } else { 0 })
            .bind(keys.is_empty())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(dead)
    }

    pub(crate) async fn outcome(&self, keys: &[[u8; 16]]) -> Result<Outcome, InboxError> {
        let mut outcome = Outcome::default();
        for key in keys {
            let event: Option<(i64, i32)> = sqlx::query_as(sql::OUTCOME)
                .bind(&key[..])
                .fetch_optional(&self.readers)
                .await?;
            if let Some((state, attempts)) = event {
                outcome.add(*key, state, attempts);
            }
        }
        Ok(outcome)
    }

    pub(crate) async fn renew(
        &self,
        leases: &[Lease],
        lease: i64,
    ) -> Result<HashMap<Vec<u8>, Renewal>, InboxError> {
        let mut transaction = self.begin().await?;
        let mut kept = HashMap::new();
        for held in leases {
            let renewed = sqlx::query(sql::RENEW)
                .bind(&held.lane)
                .bind(&held.token)
                .bind(lease)
                .execute(&mut *transaction)
                .await?;
            if renewed.rows_affected() > 0 {
                kept.insert(held.token.clone(), Renewal::Renewed);
            }
        }
        transaction.commit().await?;
        Ok(kept)
    }

    /// Renews a lease, and returns whether it was still there.
    pub(crate) async fn renew_one(&self, held: &Lease, lease: i64) -> Result<bool, InboxError> {
        let kept = self.renew(std::slice::from_ref(held), lease).await?;
        Ok(kept.contains_key(&held.token))
    }

    /// Corrects the count of a lane without events, and ends its lease.
    pub(crate) async fn recount(&self, lease: &Lease) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        sqlx::query(sql::RECOUNT)
            .bind(&lease.lane)
            .bind(&lease.token)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn next_wake(&self, class: i16) -> Result<Option<i64>, InboxError> {
        let next = sqlx::query_scalar(sql::NEXT).bind(class);
        Ok(next.fetch_optional(&self.readers).await?)
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
        let row = sqlx::query(sql::STATUS).fetch_one(&self.readers).await?;
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
        let rows = sqlx::query(sql::DEAD)
            .bind(after)
            .bind(most)
            .fetch_all(&self.readers)
            .await?;
        let dead = |row: &SqliteRow| {
            Ok(DeadRow {
                seq: row.try_get("seq")?,
                key: key(row)?,
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
        let mut count = 0;
        for key in keys {
            let row = sqlx::query(sql::REPLAY_EVENT)
                .bind(&key[..])
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(row) = row else { continue };
            sqlx::query(sql::JOIN_LANE)
                .bind(row.try_get::<String, _>("lane")?)
                .bind(row.try_get::<i64, _>("class")?)
                .bind(1)
                .execute(&mut *transaction)
                .await?;
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }

    pub(crate) async fn discard(&self, keys: &[[u8; 16]], keep: i64) -> Result<u64, InboxError> {
        let mut transaction = self.begin().await?;
        let mut count = 0;
        for key in keys {
            let discarded = sqlx::query(sql::DONE)
                .bind(&key[..])
                .bind(keep)
                .bind(2)
                .execute(&mut *transaction)
                .await?;
            count += discarded.rows_affected();
        }
        transaction.commit().await?;
        Ok(count)
    }
}

/// Marks events as done in the transaction of a handler.
///
/// A statement of the handler may have ended that transaction (`OR ROLLBACK`, a full disk), and the
/// handler may have ignored its error. The savepoint is gone then, and nothing is marked.
pub(crate) async fn complete_run(
    connection: &mut SqliteConnection,
    lease: &Lease,
    keys: &[[u8; 16]],
    settings: &Settings,
) -> Result<(), InboxError> {
    let release = sqlx::query(sql::RELEASE_SAVEPOINT);
    release.execute(&mut *connection).await?;
    complete_in(connection, lease, keys, settings).await
}

/// Marks events as done in a transaction.
async fn complete_in(
    connection: &mut SqliteConnection,
    lease: &Lease,
    keys: &[[u8; 16]],
    settings: &Settings,
) -> Result<(), InboxError> {
    let (quiet, longest) = settings.gather_millis();
    let released = sqlx::query(sql::RELEASE)
        .bind(&lease.lane)
        .bind(&lease.token)
        .bind(i64::try_from(keys.len()).unwrap_or(i64::MAX))
        .bind(quiet)
        .bind(longest)
        .fetch_optional(&mut *connection)
        .await?;
    if released.is_none() {
        return Err(InboxError::new(InboxErrorKind::LeaseLost));
    }
    for key in keys {
        sqlx::query(sql::DONE)
            .bind(&key[..])
            .bind(millis(settings.keep))
            .bind(0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The name under which a conversation goes on.
async fn resolve(
    connection: &mut SqliteConnection,
    conversation: String,
) -> Result<String, InboxError> {
    let renamed = sqlx::query_scalar(sql::PLACE)
        .bind(&conversation)
        .fetch_optional(connection)
        .await?;
    Ok(renamed.unwrap_or(conversation))
}

/// What waits under a new name joins the conversation. The announcement may be late.
async fn join(connection: &mut SqliteConnection, new: &str) -> Result<(), InboxError> {
    let old = resolve(connection, new.to_owned()).await?;
    let repoint = sqlx::query(sql::REPOINT).bind(new).bind(&old);
    repoint.execute(&mut *connection).await?;
    let moving = sqlx::query(sql::MOVE).bind(new).bind(&old);
    let moved = moving.execute(&mut *connection).await?.rows_affected();
    if moved > 0 {
        let empty = sqlx::query(sql::EMPTY_LANE).bind(new);
        empty.execute(&mut *connection).await?;
        sqlx::query(sql::JOIN_LANE)
            .bind(&old)
            .bind(MESSAGES)
            .bind(i64::try_from(moved).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn stored(row: &SqliteRow) -> Result<StoredRow, InboxError> {
    let body: Option<Vec<u8>> = row.try_get("body")?;
    Ok(StoredRow {
        key: key(row)?,
        app: row.try_get("app")?,
        conversation: row.try_get("conversation")?,
        attempts: row.try_get("attempts")?,
        age: row.try_get("age")?,
        body: body.unwrap_or_default(),
    })
}

fn key(row: &SqliteRow) -> Result<[u8; 16], InboxError> {
    let key: Vec<u8> = row.try_get("event_key")?;
    key.try_into()
        .map_err(|_| InboxError::database(DatabaseError::unexpected_column()))
}
