//! One call of a handler.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard, watch},
    time::Instant,
};

use crate::{inbox::Inbox, row::Lease};

/// No transaction was asked for.
const NONE: u8 = 0;
/// A transaction was begun, and its commit has not been confirmed.
const OPEN: u8 = 1;
/// A commit was tried and not confirmed: it may have happened.
const UNCONFIRMED: u8 = 2;
/// What the run came to is being committed: the lease may be gone because that has succeeded.
const COMMITTING: u8 = 3;
/// The events are done: the commit was confirmed.
const COMMITTED: u8 = 4;

/// Longer than any handler runs.
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a run may go on: until its lease ends, or as long as it wants once it is committed.
pub(crate) struct Term {
    deadline: watch::Sender<Instant>,
    transaction: AtomicU8,
}

impl Term {
    pub(crate) fn new(deadline: Instant) -> Arc<Self> {
        Arc::new(Self {
            deadline: watch::Sender::new(deadline),
            transaction: AtomicU8::new(NONE),
        })
    }

    /// Moves the end of the lease.
    pub(crate) fn renew(&self, deadline: Instant) {
        self.deadline.send_if_modified(|end| {
            let is_committed = self.transaction() == COMMITTED;
            if !is_committed {
                *end = deadline;
            }
            !is_committed
        });
    }

    /// Ends the run, unless the lease may be gone because the run has committed.
    pub(crate) fn lose(&self) {
        if self.transaction() < COMMITTING {
            self.renew(Instant::now());
        }
    }

    /// The end of the run is being committed, by its handler or by the worker.
    pub(crate) fn committing(&self) {
        self.note(COMMITTING);
    }

    /// A transaction was begun. If the one before was dropped in its commit, it may be committed.
    fn begun(&self) {
        let (noted, order) = (&self.transaction, Ordering::AcqRel);
        let _ = noted.compare_exchange(COMMITTING, UNCONFIRMED, order, Ordering::Acquire);
        self.note(OPEN);
    }

    fn commit(&self) {
        self.deadline.send_modify(|end| {
            self.transaction.store(COMMITTED, Ordering::Release);
            *end = Instant::now() + YEAR;
        });
    }

    /// Waits until the run has to end.
    pub(crate) async fn ended(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let end = *deadline.borrow_and_update();
            if end <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                _ = deadline.changed() => {}
            }
        }
    }

    fn transaction(&self) -> u8 {
        self.transaction.load(Ordering::Acquire)
    }

    /// Once committed, a run stays so, whatever else its handler begins. Once it may be, too, until
    /// that is known.
    fn note(&self, transaction: u8) {
        let change = |old| {
            let is_kept = old == COMMITTED || (old, transaction) == (UNCONFIRMED, OPEN);
            (!is_kept).then_some(transaction)
        };
        let noted = &self.transaction;
        let _ = noted.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }
}

/// What a run holds, shared with its events and its transaction.
pub(crate) struct Run {
    pub(crate) inbox: Inbox,
    pub(crate) lease: Lease,
    pub(crate) keys: Vec<[u8; 16]>,
    /// Number of this run for the event that was tried most often, from 1.
    pub(crate) attempt: i32,
    term: Arc<Term>,
    /// Locked while the handler has a transaction, or begins one.
    slot: Arc<Mutex<()>>,
}

/// The one transaction that a run may have at a time.
pub(crate) struct Slot {
    run: Arc<Run>,
    _guard: OwnedMutexGuard<()>,
}

impl Run {
    pub(crate) fn new(
        inbox: Inbox,
        lease: Lease,
        keys: Vec<[u8; 16]>,
        attempt: i32,
        term: Arc<Term>,
    ) -> Self {
        Self {
            inbox,
            lease,
            keys,
            attempt,
            term,
            slot: Arc::default(),
        }
    }

    /// Takes the place of the transaction. `None` if there is one.
    pub(crate) fn slot(self: &Arc<Self>) -> Option<Slot> {
        let guard = Arc::clone(&self.slot).try_lock_owned().ok()?;
        let run = Arc::clone(self);
        Some(Slot { run, _guard: guard })
    }

    pub(crate) fn begun(&self) {
        self.term.begun();
    }

    /// The mark and the commit follow.
    pub(crate) fn committing(&self) {
        self.term.committing();
    }

    /// The commit was not confirmed, or `is_refused`.
    pub(crate) fn commit_failed(&self, is_refused: bool) {
        self.term.note(if is_refused { OPEN } else { UNCONFIRMED });
    }

    /// Whether a commit was tried that may have happened.
    pub(crate) fn may_be_committed(&self) -> bool {
        matches!(self.term.transaction(), UNCONFIRMED | COMMITTING)
    }

    pub(crate) fn committed(&self) {
        self.term.commit();
    }

    /// Whether a transaction was begun whose commit was not confirmed.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.term.transaction(), OPEN | UNCONFIRMED | COMMITTING)
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.term.transaction() == COMMITTED
    }
}

impl Deref for Slot {
    type Target = Arc<Run>;

    fn deref(&self) -> &Arc<Run> {
        &self.run
    }
}
