//! Stores deliveries.

use sqlx::PgConnection;

use super::{PostgresBackend, RENAME_LOCK, sql};
use crate::{
    backend::Settings,
    error::InboxError,
    row::{Delivery, NewRow},
};

impl PostgresBackend {
    pub(crate) async fn store(
        &self,
        delivery: &Delivery,
        settings: &Settings,
    ) -> Result<u64, InboxError> {
        let rows = &delivery.rows;
        let texts = |text: fn(&NewRow) -> &str| rows.iter().map(text).collect::<Vec<_>>();
        let numbers: Vec<_> = rows.iter().map(|row| row.number.as_deref()).collect();
        let (new, old): (Vec<_>, Vec<_>) = delivery.aliases.iter().cloned().unzip();
        let (quiet, longest) = settings.gather_millis();
        let mut transaction = self.begin_durable().await?;
        if !delivery.aliases.is_empty() {
            lock_names(&mut transaction).await?;
        }
        let count: i64 = sqlx::query_scalar(sql::STORE)
            .bind(rows.iter().map(|row| row.key).collect::<Vec<_>>())
            .bind(texts(|row| &row.app))
            .bind(texts(|row| row.kind))
            .bind(numbers)
            .bind(texts(|row| &row.conversation))
            .bind(texts(|row| row.prefix))
            .bind(rows.iter().map(|row| row.class).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.time).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| &*row.body).collect::<Vec<&[u8]>>())
            .bind(new)
            .bind(old)
            .bind(quiet)
            .bind(longest)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if !delivery.aliases.is_empty() {
            let new: Vec<_> = delivery.aliases.iter().map(|(new, _)| &**new).collect();
            for new in self.to_join(&new).await? {
                self.join(&new).await?;
            }
        }
        Ok(count.unsigned_abs())
    }

    /// The new names under which something waits, or to which another name leads. They are few: a
    /// redelivery of many announcements must be stored in time.
    async fn to_join(&self, new: &[&str]) -> Result<Vec<String>, InboxError> {
        let mut transaction = self.begin().await?;
        let names = sqlx::query_scalar(sql::TO_JOIN)
            .bind(new)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(names)
    }

    /// What waits under a new name joins the conversation. The announcement may be late. If this
    /// fails, Meta redelivers the announcement.
    ///
    /// A transaction of its own: the lanes that the delivery has locked may come after these.
    async fn join(&self, new: &str) -> Result<(), InboxError> {
        let mut transaction = self.begin().await?;
        lock_names(&mut transaction).await?;
        let old: Option<String> = sqlx::query_scalar(sql::REPOINT)
            .bind(new)
            .fetch_optional(&mut *transaction)
            .await?;
        let waits: bool = sqlx::query_scalar(sql::WAITS)
            .bind(new)
            .fetch_one(&mut *transaction)
            .await?;
        if let Some(old) = old.filter(|_| waits) {
            let lanes: Vec<(String, bool)> = sqlx::query_as(sql::LOCK_BOTH)
                .bind(new)
                .bind(&old)
                .fetch_all(&mut *transaction)
                .await?;
            if lanes.iter().any(|(lane, is_held)| lane == new && !is_held) {
                let moving = sqlx::query(sql::MOVE).bind(new).bind(&old);
                moving.execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Until the end of the transaction, no other delivery changes a name. Two that rename in opposite
/// directions would not see each other, and split a conversation.
///
/// The next statement sees what the others have committed.
async fn lock_names(connection: &mut PgConnection) -> Result<(), InboxError> {
    let lock = sqlx::query(sql::ADVISORY_LOCK).bind(RENAME_LOCK);
    lock.execute(connection).await?;
    Ok(())
}
