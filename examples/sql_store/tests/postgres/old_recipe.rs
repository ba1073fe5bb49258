//! A broken store, as an earlier version of the documentation of `Store` recommended it.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tower_whatsapp::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

const CLAIM: &str = "
    INSERT INTO whatsapp_event AS event
    SELECT key, $2, now() + $3 * interval '1 second' FROM unnest($1::bytea[]) AS key ORDER BY key
    ON CONFLICT (key) DO UPDATE SET token = excluded.token, until = excluded.until
    WHERE event.until <= now() OR event.token = excluded.token RETURNING key";

const COMMIT: &str = "
    INSERT INTO whatsapp_event AS event
    SELECT key, NULL, now() + span * interval '1 second'
    FROM unnest($1::bytea[], $3::bigint[]) AS t (key, span) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET token = NULL, until = excluded.until
    WHERE event.token = $2 OR event.until <= now() RETURNING key";

const LOOK_UP: &str = "SELECT key, token FROM whatsapp_event WHERE key = ANY ($1)";

const RELEASE: &str = "DELETE FROM whatsapp_event WHERE key = ANY ($1) AND token = $2";

pub(crate) struct OldRecipe {
    pool: PgPool,
}

impl OldRecipe {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn look_up(
        &self,
        keys: &[[u8; 16]],
    ) -> Result<HashMap<[u8; 16], Option<[u8; 16]>>, StoreError> {
        let query = sqlx::query_as(LOOK_UP).bind(keys.to_vec());
        let rows: Result<Vec<_>, _> = query.fetch_all(&self.pool).await;
        Ok(rows.map_err(StoreError::unavailable)?.into_iter().collect())
    }

    async fn hold(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| key.to_bytes()).collect();
        let query = sqlx::query_scalar(CLAIM)
            .bind(keys.clone())
            .bind(token.to_bytes())
            .bind(lease.as_secs_f64());
        let claimed: Result<Vec<[u8; 16]>, _> = query.fetch_all(&self.pool).await;
        let claimed = claimed.map_err(StoreError::unavailable)?;
        let others = self.look_up(&keys).await?;
        let claim = |key| {
            if claimed.contains(key) {
                Claim::Claimed
            } else if others.get(key).copied().flatten().is_none() {
                // The fault: a row that was released meanwhile has no token either.
                Claim::Done
            } else {
                Claim::Pending
            }
        };
        Ok(keys.iter().map(claim).collect())
    }
}

impl Store for OldRecipe {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.hold(keys, token, lease).await
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let claims = self.hold(keys, token, lease).await?;
        let renewal = |claim| match claim {
            Claim::Claimed => Renewal::Renewed,
            _ => Renewal::Lost,
        };
        Ok(claims.into_iter().map(renewal).collect())
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let (keys, windows): (Vec<_>, Vec<_>) = keys
            .iter()
            .map(|(key, window)| (key.to_bytes(), window.as_secs().cast_signed()))
            .unzip();
        let query = sqlx::query_scalar(COMMIT)
            .bind(keys.clone())
            .bind(token.to_bytes())
            .bind(windows);
        let recorded: Result<Vec<[u8; 16]>, _> = query.fetch_all(&self.pool).await;
        let recorded = recorded.map_err(StoreError::unavailable)?;
        let others = self.look_up(&keys).await?;
        let commit = |key| {
            if recorded.contains(key) || others.get(key).copied().flatten().is_none() {
                Commit::Recorded
            } else {
                Commit::Fenced
            }
        };
        Ok(keys.iter().map(commit).collect())
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| key.to_bytes()).collect();
        let query = sqlx::query(RELEASE).bind(keys).bind(token.to_bytes());
        let released = query.execute(&self.pool).await;
        released.map(drop).map_err(StoreError::unavailable)
    }
}
