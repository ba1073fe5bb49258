//! Reads the events of lanes.

use sqlx::{Row, postgres::PgRow};

use super::{PostgresBackend, sql};
use crate::{error::InboxError, row::StoredRow};

impl PostgresBackend {
    pub(crate) async fn fetch(
        &self,
        lanes: &[String],
        per_lane: i64,
    ) -> Result<Vec<(String, StoredRow)>, InboxError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(sql::FETCH)
            .bind(lanes)
            .bind(per_lane)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        rows.iter().map(stored).collect()
    }

    /// Reads what is needed to fail the first event of a lane.
    pub(crate) async fn first(&self, lane: &str) -> Result<Option<([u8; 16], i32)>, InboxError> {
        let mut transaction = self.begin().await?;
        let first = sqlx::query_as(sql::FIRST)
            .bind(lane)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(first)
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
