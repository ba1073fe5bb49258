//! The deadline of a body, and the idle timeout between its frames.

#[cfg(feature = "tokio")]
pub(super) use with_tokio::Deadline;
#[cfg(not(feature = "tokio"))]
pub(super) use without_tokio::Deadline;

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::{
        pin::Pin,
        task::{Context, Poll, ready},
        time::Duration,
    };

    use pin_project_lite::pin_project;
    use tokio::time::{Instant, Sleep, sleep_until};

    use crate::{
        receive::{error::ReceiveError, incomplete::Moment, limits::Limits},
        time::add_capped,
    };

    pin_project! {
        /// The timer of one body. Most bodies are complete at the first poll and never register it.
        pub(in crate::receive) struct Deadline {
            #[pin]
            timer: Option<Sleep>,
            end: Instant,
            idle: Duration,
        }
    }

    impl Deadline {
        /// # Panics
        ///
        /// Panics outside of a Tokio runtime, and in a runtime without a timer: there would be no
        /// deadline. The check is made for every body. Otherwise only bodies that arrive in
        /// pieces would panic, and the sender decides that.
        pub(in crate::receive) fn new(limits: &Limits, started: Moment) -> Self {
            let started = started.instant();
            // Creating a `Sleep` checks for a timer and registers nothing.
            drop(sleep_until(started));
            Self {
                timer: None,
                end: add_capped(started, limits.deadline),
                idle: limits.idle,
            }
        }

        /// `progress` says whether data has arrived, or was hashed, since the last call.
        pub(in crate::receive) fn poll_expired(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            progress: bool,
        ) -> Poll<ReceiveError> {
            let mut this = self.project();
            let next = || add_capped(Instant::now(), *this.idle).min(*this.end);
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(sleep_until(next()))),
                Some(timer) if progress => timer.reset(next()),
                Some(_) => {}
            }
            let Some(timer) = this.timer.as_pin_mut() else {
                return Poll::Pending;
            };
            let due = timer.deadline();
            ready!(timer.poll(cx));
            Poll::Ready(if due < *this.end {
                ReceiveError::Idle
            } else {
                ReceiveError::Deadline
            })
        }
    }
}

#[cfg(not(feature = "tokio"))]
mod without_tokio {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use crate::receive::{error::ReceiveError, incomplete::Moment, limits::Limits};

    /// Never expires: without a runtime there is no timer, and the host limits request times.
    pub(in crate::receive) struct Deadline;

    impl Deadline {
        pub(in crate::receive) fn new(_: &Limits, _: Moment) -> Self {
            Self
        }

        pub(in crate::receive) fn poll_expired(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: bool,
        ) -> Poll<ReceiveError> {
            Poll::Pending
        }
    }
}
