//! Runs a handler until it ends, its deadline passes or a drain aborts it.

use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
};

use http::Response;
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until},
};

use super::tracker::InFlightGuard;

/// How a call of the handler ended.
pub(super) enum HandlerOutcome<R> {
    Responded(Response<R>),
    /// The inner service returned an error.
    Failed,
    Panicked,
    TimedOut,
    Aborted,
}

pub(super) async fn run_handler<R, F>(
    call: F,
    deadline: Option<Instant>,
    in_flight: &InFlightGuard,
) -> HandlerOutcome<R>
where
    F: Future<Output = Result<Response<R>, ()>>,
{
    let mut call = pin!(call);
    // Unconstrained: the handler may have used up the cooperative budget that they share.
    let mut deadline = pin!(unconstrained(async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    }));
    let mut aborted = pin!(unconstrained(in_flight.aborted()));
    poll_fn(|cx| {
        // Unwind safe: a handler that has panicked is dropped and not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Ready(Ok(response))) => {
                return Poll::Ready(HandlerOutcome::Responded(response));
            }
            Ok(Poll::Ready(Err(()))) => return Poll::Ready(HandlerOutcome::Failed),
            Err(_) => return Poll::Ready(HandlerOutcome::Panicked),
            Ok(Poll::Pending) => {}
        }
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(HandlerOutcome::TimedOut);
        }
        if aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(HandlerOutcome::Aborted);
        }
        Poll::Pending
    })
    .await
}

/// Returns the output of `first` if it is ready before `second`.
pub(super) async fn race<F: Future>(
    mut first: Pin<&mut F>,
    second: impl Future,
) -> Option<F::Output> {
    let mut second = pin!(second);
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => second.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// Waits for `awaited` and polls `background` meanwhile. Returns both outputs, that of `background`
/// only if it became ready.
pub(super) async fn wait_beside<F: Future, G: Future>(
    mut background: Pin<&mut F>,
    awaited: G,
) -> (Option<F::Output>, G::Output) {
    let mut awaited = pin!(awaited);
    let mut finished = None;
    poll_fn(|cx| {
        if finished.is_none()
            && let Poll::Ready(output) = background.as_mut().poll(cx)
        {
            finished = Some(output);
        }
        awaited
            .as_mut()
            .poll(cx)
            .map(|output| (finished.take(), output))
    })
    .await
}
