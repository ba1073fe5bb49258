//! Where the time of an operation goes: a time-out has no other cause to tell.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// What an operation waits for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing yet.
    Start,
    /// A connection: on Postgres one of the pool, on SQLite the one that writes.
    Connection,
    /// The end of a transaction of another process, on SQLite.
    #[cfg(feature = "sqlite")]
    OtherProcess,
    /// The answer of a statement.
    Statement,
}

/// The phase of one operation, shared with the tasks that do parts of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    pub(super) fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        let is = |phase: &Phase| *phase as u8 == self.0.load(Ordering::Relaxed);
        let later = [
            Phase::Connection,
            #[cfg(feature = "sqlite")]
            Phase::OtherProcess,
            Phase::Statement,
        ];
        later.into_iter().find(is).unwrap_or(Phase::Start)
    }
}
