//! What the inbox asks of a database.

mod migrations;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::{
    error::InboxError,
    row::{Delivery, Failure, Lease, StoredRow, millis},
    testing::{self, Point},
};

/// Rows that one statement of a purge removes: few enough for its locks to last milliseconds.
pub(crate) const PURGE_BATCH: i64 = 1_000;

/// Settings that the statements need.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long a done event is remembered.
    pub(crate) keep: Duration,
    /// Longest time until a delivery is stored.
    pub(crate) store_timeout: Duration,
    /// Quiet and longest time of gathering.
    pub(crate) gather: Option<(Duration, Duration)>,
}

impl Settings {
    pub(crate) fn gather_millis(&self) -> (i64, i64) {
        let (quiet, longest) = self.gather.unwrap_or_default();
        (millis(quiet), millis(longest))
    }
}

/// What a run has done.
pub(crate) struct Completion {
    pub(crate) lease: Lease,
    pub(crate) keys: Vec<[u8; 16]>,
}

/// What a renewal has done with a lease that was still there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    Renewed,
    /// Somebody has locked the lane. Its lease ends when it would have.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "locks of a row"))]
    Locked,
}

/// The numbers of `Inbox::status`.
pub(crate) struct StatusRow {
    pub(crate) messages: i64,
    pub(crate) bulk: i64,
    pub(crate) running: i64,
    pub(crate) retrying: i64,
    pub(crate) dead: i64,
    /// Milliseconds.
    pub(crate) oldest: Option<i64>,
}

pub(crate) struct DeadRow {
    pub(crate) seq: i64,
    pub(crate) key: [u8; 16],
    pub(crate) app: String,
    pub(crate) kind: String,
    pub(crate) conversation: String,
    pub(crate) attempts: i32,
    pub(crate) error: Option<String>,
    /// Unix milliseconds.
    pub(crate) finished: Option<i64>,
    pub(crate) body: Option<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) enum Backend {
    #[cfg(feature = "postgres")]
    Postgres(postgres::PostgresBackend),
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::SqliteBackend),
}

/// Asks the database, with the points before and after at which tests inject faults.
macro_rules! ask {
    ($self:ident, $point:ident, $method:ident($($argument:expr),*)) => {{
        testing::before(Point::$point).await?;
        let answer = match $self {
            #[cfg(feature = "postgres")]
            Self::Postgres(backend) => backend.$method($($argument),*).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(backend) => backend.$method($($argument),*).await,
        };
        testing::after(Point::$point).await?;
        answer
    }};
}

impl Backend {
    pub(crate) async fn migrate(&self) -> Result<(), InboxError> {
        ask!(self, Migrate, migrate())
    }

    /// Stores the events that are new in one transaction, and returns how many they are.
    pub(crate) async fn store(
        &self,
        delivery: &Delivery,
        settings: &Settings,
    ) -> Result<u64, InboxError> {
        ask!(self, Store, store(delivery, settings))
    }

    /// Leases lanes that are due, the longest due first.
    pub(crate) async fn claim(
        &self,
        class: i16,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Lease>, InboxError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        ask!(self, Claim, claim(class, limit, millis(lease)))
    }

    /// Returns the first events of each lane, lane by lane, in the order in which they are handled.
    pub(crate) async fn fetch(
        &self,
        lanes: &[String],
        per_lane: usize,
    ) -> Result<Vec<(String, StoredRow)>, InboxError> {
        let per_lane = i64::try_from(per_lane).unwrap_or(i64::MAX);
        ask!(self, Fetch, fetch(lanes, per_lane))
    }

    /// Marks events as done and ends the lease.
    pub(crate) async fn complete(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        settings: &Settings,
    ) -> Result<(), InboxError> {
        ask!(self, Complete, complete(lease, keys, settings))
    }

    /// Does the same for several lanes in one transaction, and returns those for which it did. It
    /// waits for no lock of a single lane.
    pub(crate) async fn complete_all(
        &self,
        completions: &[Completion],
        settings: &Settings,
    ) -> Result<HashSet<String>, InboxError> {
        ask!(self, Complete, complete_all(completions, settings))
    }

    /// Records a run without success and ends the lease. Returns the number of dead letters.
    pub(crate) async fn fail(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        failure: &Failure<'_>,
    ) -> Result<u64, InboxError> {
        ask!(self, Fail, fail(lease, keys, failure))
    }

    /// Renews leases, and returns the lanes whose lease was still there. It waits for no lock of a
    /// single lane.
    pub(crate) async fn renew(
        &self,
        leases: &[Lease],
        lease: Duration,
    ) -> Result<HashMap<String, Renewal>, InboxError> {
        ask!(self, Renew, renew(leases, millis(lease)))
    }

    pub(crate) async fn recount(&self, lease: &Lease) -> Result<(), InboxError> {
        ask!(self, Recount, recount(lease))
    }

    /// Milliseconds until a lane is due, negative if one is overdue.
    pub(crate) async fn next_wake(&self, class: i16) -> Result<Option<i64>, InboxError> {
        ask!(self, NextWake, next_wake(class))
    }

    pub(crate) async fn purge(&self) -> Result<u64, InboxError> {
        ask!(self, Purge, purge())
    }

    pub(crate) async fn status(&self) -> Result<StatusRow, InboxError> {
        ask!(self, Status, status())
    }

    pub(crate) async fn dead(&self, after: i64, limit: i64) -> Result<Vec<DeadRow>, InboxError> {
        ask!(self, DeadLetters, dead(after, limit))
    }

    pub(crate) async fn replay(&self, keys: &[[u8; 16]]) -> Result<u64, InboxError> {
        ask!(self, Replay, replay(keys))
    }

    pub(crate) async fn discard(
        &self,
        keys: &[[u8; 16]],
        keep: Duration,
    ) -> Result<u64, InboxError> {
        ask!(self, Discard, discard(keys, millis(keep)))
    }
}
