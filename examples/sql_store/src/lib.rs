//! A deduplication [`Store`] on PostgreSQL with sqlx, for hosts that have a database and want no
//! Redis beside it.
//!
//! Copy this file and `schema.sql` into your project. The tests need the Debian package
//! `postgresql`, and run the conformance suite of `tower_whatsapp::testing::store` on a real
//! server: `cargo test -p example-sql-store`.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use example_sql_store::SqlStore;
//! use sqlx::PgPool;
//! use tower_whatsapp::dedup::DedupLayer;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqlStore::new(PgPool::connect("postgres://user@localhost/whatsapp").await?);
//! store.create_schema().await?;
//! tokio::spawn(store.clone().purge_every(Duration::from_secs(60)));
//! let dedup = DedupLayer::new(store);
//! # Ok(()) }
//! ```
//!
//! # Why it is correct
//!
//! - **One statement per operation, and it returns a row for every key.** `ON CONFLICT DO UPDATE`
//!   without a `WHERE` locks the existing row and returns its new content. With a `WHERE` it
//!   returns nothing for rows that it does not change, so a second statement must read them. By
//!   then their holder may have released them, and the row is *absent*: the event is still pending.
//!   A store that treats absent as done answers 200 for an event that was never handled.
//! - **Every statement locks its rows in the order of their keys**, including the DELETEs.
//!   Otherwise two overlapping batches can deadlock, or a batch and a purge.
//! - **All times come from the server's clock**, `now()`. It is the start of the statement, so a
//!   lease never outlasts what its holder assumes.
//! - **Expired rows count as absent** at once. [`SqlStore::purge`] removes them in small batches.
//!
//! Each statement is its own transaction, at the default isolation level `READ COMMITTED`. At a
//! stricter level, concurrent claims fail with serialization errors.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::time::sleep;
use tower_whatsapp::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

const SCHEMA: &str = include_str!("../schema.sql");

/// A caller can claim a key if its row has expired or is the caller's own. Otherwise the row does
/// not change. NULL equals no token, so a done row can be claimed only after it has expired.
const CLAIM: &str = "
    INSERT INTO whatsapp_event AS held (key, token, until)
    SELECT key, $2, now() + $3 * interval '1 microsecond'
    FROM unnest($1::bytea[]) AS asked (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        token = CASE WHEN held.until <= now() OR held.token = $2
            THEN excluded.token ELSE held.token END,
        until = CASE WHEN held.until <= now() OR held.token = $2
            THEN greatest(held.until, excluded.until) ELSE held.until END
    RETURNING key, token";

const COMMIT: &str = "
    INSERT INTO whatsapp_event AS held (key, token, until)
    SELECT key, NULL, now() + span * interval '1 microsecond'
    FROM unnest($1::bytea[], $3::bigint[]) AS asked (key, span) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        token = CASE WHEN held.until <= now() OR held.token = $2
            THEN NULL ELSE held.token END,
        until = CASE WHEN held.until <= now() OR held.token = $2
            THEN excluded.until ELSE held.until END
    RETURNING key, token";

/// A DELETE locks rows in scan order. The inner SELECT locks them in key order first.
const RELEASE: &str = "
    DELETE FROM whatsapp_event WHERE key IN (
        SELECT key FROM whatsapp_event WHERE key = ANY ($1) AND token = $2
        ORDER BY key FOR UPDATE)";

/// Skips locked rows, because they are being claimed. `SKIP LOCKED` still waits for a row that was
/// updated and whose new version is locked, so the purge locks in key order as well. It therefore
/// selects the oldest rows first, without locks.
const PURGE: &str = "
    DELETE FROM whatsapp_event WHERE key IN (
        SELECT key FROM whatsapp_event
        WHERE until < now() AND key = ANY (ARRAY(
            SELECT key FROM whatsapp_event WHERE until < now() ORDER BY until LIMIT $1))
        ORDER BY key FOR UPDATE SKIP LOCKED)";

/// Rows per statement of a purge. A small batch holds its locks only for milliseconds.
const PURGE_BATCH: i64 = 1_000;

/// A deduplication store in one table of a PostgreSQL database, shared by any number of processes.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pool: PgPool,
}

impl SqlStore {
    /// Creates a store that uses this pool. The pool should have a short `acquire_timeout`, and one
    /// connection per delivery that is claimed or committed concurrently.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Creates the table and the index unless they exist. Services with migrations can add
    /// `schema.sql` to them instead.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or the user may not create tables.
    pub async fn create_schema(&self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(SCHEMA).execute(&self.pool).await?;
        Ok(())
    }

    /// Removes all expired rows, 1,000 per statement. Returns the number of removed rows.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached. Rows that were removed until then stay removed.
    pub async fn purge(&self) -> Result<u64, sqlx::Error> {
        let mut purged = 0;
        loop {
            let query = sqlx::query(PURGE).bind(PURGE_BATCH);
            let count = query.execute(&self.pool).await?.rows_affected();
            purged += count;
            if count < PURGE_BATCH as u64 {
                return Ok(purged);
            }
        }
    }

    /// Purges forever, with this pause between runs. One process per service is
    /// enough; more do no harm.
    pub async fn purge_every(self, pause: Duration) {
        loop {
            if let Err(error) = self.purge().await {
                eprintln!("cannot purge the table whatsapp_event: {error}");
            }
            sleep(pause).await;
        }
    }

    /// Claims all free keys. Returns the current holder of each key, `None` if it is done.
    async fn claim_free(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Option<Token>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(CLAIM)
            .bind(to_bytes(keys))
            .bind(token.to_bytes())
            .bind(micros(lease));
        let rows = query.fetch_all(&self.pool).await;
        in_order(keys.iter(), rows.map_err(StoreError::unavailable)?)
    }
}

impl Store for SqlStore {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let holders = self.claim_free(keys, token, lease).await?;
        let claim = |holder| match holder {
            None => Claim::Done,
            Some(holder) if holder == token => Claim::Claimed,
            Some(_) => Claim::Pending,
        };
        Ok(holders.into_iter().map(claim).collect())
    }

    /// Claims again, which extends the lease of the keys that the caller still holds.
    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let holders = self.claim_free(keys, token, lease).await?;
        let renewal = |holder| match holder {
            Some(holder) if holder == token => Renewal::Renewed,
            _ => Renewal::Lost,
        };
        Ok(holders.into_iter().map(renewal).collect())
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (names, windows): (Vec<_>, Vec<_>) = keys
            .iter()
            .map(|(key, window)| (key.to_bytes(), micros(*window)))
            .unzip();
        let query = sqlx::query_as(COMMIT)
            .bind(names)
            .bind(token.to_bytes())
            .bind(windows);
        let rows = query.fetch_all(&self.pool).await;
        let keys = keys.iter().map(|(key, _)| key);
        let holders = in_order(keys, rows.map_err(StoreError::unavailable)?)?;
        let commit = |holder: Option<Token>| match holder {
            None => Commit::Recorded,
            Some(_) => Commit::Fenced,
        };
        Ok(holders.into_iter().map(commit).collect())
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let query = sqlx::query(RELEASE)
            .bind(to_bytes(keys))
            .bind(token.to_bytes());
        let released = query.execute(&self.pool).await;
        released.map(drop).map_err(StoreError::unavailable)
    }
}

/// A key and the token of its holder.
type Row = ([u8; 16], Option<[u8; 16]>);

/// Returns the holders in the order of the keys. PostgreSQL returns rows in any order.
fn in_order<'a>(
    keys: impl Iterator<Item = &'a EventKey>,
    rows: Vec<Row>,
) -> Result<Vec<Option<Token>>, StoreError> {
    let holders: HashMap<_, _> = rows.into_iter().collect();
    let holder = |key: &EventKey| match holders.get(&key.to_bytes()) {
        Some(holder) => Ok(holder.map(Token::from_bytes)),
        // Cannot happen: every statement of this store returns all rows. A guess
        // could lose an event.
        None => Err(StoreError::unavailable(
            "the database returned no row for a key",
        )),
    };
    keys.map(holder).collect()
}

fn to_bytes(keys: &[EventKey]) -> Vec<[u8; 16]> {
    keys.iter().map(|key| key.to_bytes()).collect()
}

/// Microseconds, rounded up and capped at a century, which PostgreSQL can still add to the time.
fn micros(time: Duration) -> i64 {
    const LONGEST: u128 = 100 * 366 * 24 * 60 * 60 * 1_000_000;
    i64::try_from(time.as_nanos().div_ceil(1_000).min(LONGEST)).unwrap_or(i64::MAX)
}
