//! One call of a handler.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::{inbox::Inbox, row::Lease};

/// No transaction was asked for.
const NONE: u8 = 0;
/// A transaction was begun, and its commit has not been confirmed.
const OPEN: u8 = 1;
/// The events are done: the commit was confirmed.
const COMMITTED: u8 = 2;

/// What a run holds, shared with its events and its transaction.
pub(crate) struct Run {
    pub(crate) inbox: Inbox,
    pub(crate) lease: Lease,
    pub(crate) keys: Vec<[u8; 16]>,
    /// Number of this run for the event that was tried most often, from 1.
    pub(crate) attempt: i32,
    transaction: AtomicU8,
}

impl Run {
    pub(crate) fn new(inbox: Inbox, lease: Lease, keys: Vec<[u8; 16]>, attempt: i32) -> Self {
        let transaction = AtomicU8::new(NONE);
        Self {
            inbox,
            lease,
            keys,
            attempt,
            transaction,
        }
    }

    pub(crate) fn begun(&self) {
        self.transaction.store(OPEN, Ordering::Release);
    }

    pub(crate) fn committed(&self) {
        self.transaction.store(COMMITTED, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.transaction.load(Ordering::Acquire) == OPEN
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.transaction.load(Ordering::Acquire) == COMMITTED
    }
}
