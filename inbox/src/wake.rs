//! Wakes the workers of this process, and tells other processes.

#[cfg(feature = "postgres")]
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

#[cfg(feature = "postgres")]
const IDLE: u8 = 0;
#[cfg(feature = "postgres")]
const SENDING: u8 = 1;
#[cfg(feature = "postgres")]
const AGAIN: u8 = 2;

/// Counts what the workers have to look at.
#[derive(Debug)]
pub(crate) struct Waker {
    events: watch::Sender<u64>,
    /// Whether a notification to other processes is on its way, and whether one must follow.
    #[cfg(feature = "postgres")]
    remote: AtomicU8,
}

impl Waker {
    pub(crate) fn new() -> Self {
        Self {
            events: watch::Sender::new(0),
            #[cfg(feature = "postgres")]
            remote: AtomicU8::new(IDLE),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    pub(crate) fn wake_local(&self) {
        self.events
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns whether the caller has to send a notification. If not, another is sent after the one
    /// on its way.
    #[cfg(feature = "postgres")]
    pub(crate) fn start_sending(&self) -> bool {
        let previous = self
            .remote
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                Some(if state == IDLE { SENDING } else { AGAIN })
            });
        previous == Ok(IDLE)
    }

    /// Whoever had to send the notifications has ended before.
    #[cfg(feature = "postgres")]
    pub(crate) fn given_up(&self) {
        self.remote.store(IDLE, Ordering::Release);
    }

    /// Returns whether another notification has to follow.
    #[cfg(feature = "postgres")]
    pub(crate) fn sent(&self) -> bool {
        let previous = self
            .remote
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                Some(if state == AGAIN { SENDING } else { IDLE })
            });
        previous == Ok(AGAIN)
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn one_sends_for_all_and_once_more_for_the_late() {
        let waker = Waker::new();
        assert!(waker.start_sending());
        assert!(!waker.start_sending());
        assert!(!waker.start_sending());
        assert!(waker.sent());
        assert!(!waker.sent());
        assert!(waker.start_sending());
    }
}
