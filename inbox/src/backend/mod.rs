//! What the inbox asks of a database.

mod migrations;
mod phase;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use self::phase::{Phase, Progress};
use crate::{
    error::{DatabaseError, InboxError, InboxErrorKind},
    row::{Delivery, Failure, Lease, StoredRow, millis},
    testing::{self, Point},
};

/// Rows that one statement of a purge removes: few enough for its locks to last milliseconds.
pub(crate) const PURGE_BATCH: i64 = 1_000;

/// Longest wait for a row or a table that another transaction has locked, where the operation can
/// be tried again. Far longer than the transactions of this crate, which take milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Limit of what operators ask, and of a purge: each reads or writes up to 1,000 rows, or counts
/// the rows of a table.
const OPERATOR_LIMIT: Duration = Duration::from_secs(30);

/// Limit of a migration, with the wait for other processes that migrate.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

/// How long an operation may take. Without limits, whoever leaves a transaction open in a shell
/// would stop workers and operators without a word.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "postgres"),
    allow(dead_code, reason = "limits in a server")
)]
pub(crate) struct Limits {
    start: Instant,
    lock: Duration,
    /// Everything, with the wait for a connection.
    whole: Duration,
}

impl Limits {
    /// Waits for a lock for a part of the time.
    fn of(whole: Duration) -> Self {
        Self {
            lock: LOCK_WAIT.min(whole / 2),
            ..Self::patient(whole)
        }
    }

    /// May wait for a lock nearly until the limit of the whole operation.
    fn patient(whole: Duration) -> Self {
        let start = Instant::now();
        Self {
            start,
            lock: whole,
            whole,
        }
    }

    /// Limits in the server: of the wait for a lock, and of a statement. They end before the whole
    /// does, so that the caller learns the cause, and so that nothing is executed after its caller
    /// has given up.
    #[cfg(feature = "postgres")]
    fn in_server(&self) -> [Duration; 2] {
        let left = self.whole.saturating_sub(self.start.elapsed());
        [self.lock.min(left - left / 5), left - left / 10]
    }
}

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
    /// Somebody has locked the lane.
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

/// An event that a failure has made a dead letter.
pub(crate) struct Dead {
    #[cfg_attr(
        not(feature = "tracing"),
        allow(dead_code, reason = "shown in the log")
    )]
    pub(crate) key: [u8; 16],
    #[cfg_attr(
        not(feature = "tracing"),
        allow(dead_code, reason = "shown in the log")
    )]
    pub(crate) attempts: i32,
}

/// What has become of the events of a run.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) done: u64,
    pub(crate) dead: Vec<Dead>,
}

impl Outcome {
    /// Counts an event by its state.
    pub(crate) fn add(&mut self, key: [u8; 16], state: i64, attempts: i32) {
        match state {
            1 => self.done += 1,
            2 => self.dead.push(Dead { key, attempts }),
            _ => {}
        }
    }
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

/// Asks the database within the limits, with the points before and after at which tests inject
/// faults.
macro_rules! ask {
    ($self:ident, $point:ident, $limits:expr, $method:ident($($argument:expr),*)) => {{
        let limits: Limits = $limits;
        let progress = Progress::default();
        let asking = async {
            testing::before(Point::$point).await?;
            let answer = match $self {
                #[cfg(feature = "postgres")]
                Self::Postgres(backend) => backend.within(limits, &progress).$method($($argument),*).await,
                #[cfg(feature = "sqlite")]
                Self::Sqlite(backend) => backend.telling(&progress).$method($($argument),*).await,
            };
            testing::after(Point::$point).await?;
            answer
        };
        let in_time = timeout(limits.whole, asking).await;
        in_time.unwrap_or_else(|_| Err($self.timed_out(progress.phase())))
    }};
}

/// What workers ask has a limit of theirs, a part of the lease.
impl Backend {
    fn timed_out(&self, phase: Phase) -> InboxError {
        let cause = match phase {
            Phase::Start => return InboxError::new(InboxErrorKind::Timeout),
            Phase::Statement => DatabaseError::slow_statement(),
            Phase::Connection => match self {
                #[cfg(feature = "postgres")]
                Self::Postgres(backend) => backend.no_connection(),
                #[cfg(feature = "sqlite")]
                Self::Sqlite(_) => DatabaseError::writing_here(),
            },
            #[cfg(feature = "sqlite")]
            Phase::OtherProcess => DatabaseError::writing_elsewhere(),
        };
        InboxError::caused(InboxErrorKind::Timeout, cause)
    }

    pub(crate) async fn migrate(&self) -> Result<(), InboxError> {
        ask!(self, Migrate, Limits::patient(MIGRATION_LIMIT), migrate())
    }

    /// Stores the events that are new in one transaction, and returns how many they are.
    pub(crate) async fn store(
        &self,
        delivery: &Delivery,
        settings: &Settings,
    ) -> Result<u64, InboxError> {
        let limits = Limits::patient(settings.store_timeout);
        ask!(self, Store, limits, store(delivery, settings))
    }

    /// Leases lanes that are due, the longest due first.
    pub(crate) async fn claim(
        &self,
        class: i16,
        most: usize,
        lease: Duration,
        limit: Duration,
    ) -> Result<Vec<Lease>, InboxError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let lease = millis(lease);
        ask!(self, Claim, Limits::of(limit), claim(class, most, lease))
    }

    /// Returns the first events of each lane, lane by lane, in the order in which they are handled.
    pub(crate) async fn fetch(
        &self,
        lanes: &[String],
        per_lane: usize,
        limit: Duration,
    ) -> Result<Vec<(String, StoredRow)>, InboxError> {
        let per_lane = i64::try_from(per_lane).unwrap_or(i64::MAX);
        ask!(self, Fetch, Limits::of(limit), fetch(lanes, per_lane))
    }

    /// Returns key and attempts of the first event of a lane, without the event.
    pub(crate) async fn first(
        &self,
        lane: &str,
        limit: Duration,
    ) -> Result<Option<([u8; 16], i32)>, InboxError> {
        ask!(self, Fetch, Limits::of(limit), first(lane))
    }

    /// Marks events as done and ends the lease.
    pub(crate) async fn complete(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        settings: &Settings,
        limit: Duration,
    ) -> Result<(), InboxError> {
        ask!(
            self,
            Complete,
            Limits::of(limit),
            complete(lease, keys, settings)
        )
    }

    /// Does the same for several runs in one transaction, and returns the tokens of those for which
    /// it did. It waits for no lock of a single lane or event.
    pub(crate) async fn complete_all(
        &self,
        completions: &[Completion],
        settings: &Settings,
        limit: Duration,
    ) -> Result<HashSet<Vec<u8>>, InboxError> {
        ask!(
            self,
            Complete,
            Limits::of(limit),
            complete_all(completions, settings)
        )
    }

    /// Records a run without success and ends the lease. Returns the dead letters.
    pub(crate) async fn fail(
        &self,
        lease: &Lease,
        keys: &[[u8; 16]],
        failure: &Failure<'_>,
        limit: Duration,
    ) -> Result<Vec<Dead>, InboxError> {
        ask!(self, Fail, Limits::of(limit), fail(lease, keys, failure))
    }

    /// Looks at what has become of events, after a result whose answer was lost.
    pub(crate) async fn outcome(
        &self,
        keys: &[[u8; 16]],
        limit: Duration,
    ) -> Result<Outcome, InboxError> {
        ask!(self, Outcome, Limits::of(limit), outcome(keys))
    }

    /// Renews leases, and returns by token what became of those that were still there. It waits for
    /// no lock of a single lane.
    pub(crate) async fn renew(
        &self,
        leases: &[Lease],
        lease: Duration,
        limit: Duration,
    ) -> Result<HashMap<Vec<u8>, Renewal>, InboxError> {
        let lease = millis(lease);
        ask!(self, Renew, Limits::of(limit), renew(leases, lease))
    }

    /// Renews one lease, and waits for its lane. Returns whether it was still there.
    pub(crate) async fn renew_one(
        &self,
        held: &Lease,
        lease: Duration,
        limit: Duration,
    ) -> Result<bool, InboxError> {
        let lease = millis(lease);
        ask!(self, Renew, Limits::of(limit), renew_one(held, lease))
    }

    pub(crate) async fn recount(&self, lease: &Lease, limit: Duration) -> Result<(), InboxError> {
        ask!(self, Recount, Limits::of(limit), recount(lease))
    }

    /// Milliseconds until a lane is due, negative if one is overdue.
    pub(crate) async fn next_wake(
        &self,
        class: i16,
        limit: Duration,
    ) -> Result<Option<i64>, InboxError> {
        ask!(self, NextWake, Limits::of(limit), next_wake(class))
    }

    pub(crate) async fn purge(&self) -> Result<u64, InboxError> {
        ask!(self, Purge, Limits::of(OPERATOR_LIMIT), purge())
    }

    pub(crate) async fn status(&self) -> Result<StatusRow, InboxError> {
        ask!(self, Status, Limits::of(OPERATOR_LIMIT), status())
    }

    pub(crate) async fn dead(&self, after: i64, most: i64) -> Result<Vec<DeadRow>, InboxError> {
        ask!(
            self,
            DeadLetters,
            Limits::of(OPERATOR_LIMIT),
            dead(after, most)
        )
    }

    pub(crate) async fn replay(&self, keys: &[[u8; 16]]) -> Result<u64, InboxError> {
        ask!(self, Replay, Limits::of(OPERATOR_LIMIT), replay(keys))
    }

    pub(crate) async fn discard(
        &self,
        keys: &[[u8; 16]],
        keep: Duration,
    ) -> Result<u64, InboxError> {
        let keep = millis(keep);
        ask!(
            self,
            Discard,
            Limits::of(OPERATOR_LIMIT),
            discard(keys, keep)
        )
    }
}
