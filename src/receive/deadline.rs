//! The deadline of a body and the idle timeout between its frames.

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

    use crate::receive::{Limits, ReceiveError, incomplete::Moment};

    pin_project! {
        /// Watches one body. Most bodies are complete at once and never register a timer.
        pub(in crate::receive) struct Deadline {
            #[pin]
            alarm: Option<Sleep>,
            end: Instant,
            idle: Duration,
        }
    }

    impl Deadline {
        /// # Panics
        ///
        /// Panics outside of a Tokio runtime and in one without a timer. Without this check a
        /// short body would work there and one in two pieces would panic, so that a sender could
        /// choose; and without a timer there is no deadline.
        pub(in crate::receive) fn new(limits: &Limits, began: Moment) -> Self {
            let began = began.instant();
            // Creating a timer registers nothing.
            drop(sleep_until(began));
            Self {
                alarm: None,
                end: after(began, limits.deadline),
                idle: limits.idle,
            }
        }

        /// `progress`: data have arrived since the last call.
        pub(in crate::receive) fn poll_expired(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            progress: bool,
        ) -> Poll<ReceiveError> {
            let mut this = self.project();
            let next = || after(Instant::now(), *this.idle).min(*this.end);
            match this.alarm.as_mut().as_pin_mut() {
                None => this.alarm.set(Some(sleep_until(next()))),
                Some(alarm) if progress => alarm.reset(next()),
                Some(_) => {}
            }
            let Some(alarm) = this.alarm.as_pin_mut() else {
                return Poll::Pending;
            };
            let due = alarm.deadline();
            ready!(alarm.poll(cx));
            Poll::Ready(if due < *this.end {
                ReceiveError::Idle
            } else {
                ReceiveError::Deadline
            })
        }
    }

    /// Adds a duration, capped at one year so that the addition cannot overflow.
    fn after(now: Instant, duration: Duration) -> Instant {
        const YEAR: Duration = Duration::from_secs(31_536_000);
        now + duration.min(YEAR)
    }
}

#[cfg(not(feature = "tokio"))]
mod without_tokio {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use crate::receive::{Limits, ReceiveError, incomplete::Moment};

    /// Without a runtime there is no timer: the host bounds the time of a request.
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
