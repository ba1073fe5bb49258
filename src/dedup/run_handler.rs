//! Runs a handler until it ends, its deadline passes or a drain aborts it.

use std::{
    future::{pending, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use http::Response;
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until},
};

use super::tracker::InFlightGuard;
use crate::contain::{Contained, Panicked, contain_drop};

/// How a call of the handler ended.
pub(super) enum HandlerOutcome<R> {
    Responded(Response<R>),
    /// The inner service returned an error.
    Failed,
    Panicked,
    TimedOut,
    Aborted,
}

/// Runs a call of the handler. A call that has not ended by then is dropped before this returns.
pub(super) async fn run_handler<R, E, F>(
    call: F,
    deadline: Option<Instant>,
    in_flight: &InFlightGuard,
) -> HandlerOutcome<R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    let mut call = pin!(Contained::new(call));
    // Unconstrained: the handler may have used up the cooperative budget that they share.
    let mut deadline = pin!(unconstrained(async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    }));
    let mut aborted = pin!(unconstrained(in_flight.aborted()));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = call.as_mut().poll(cx) {
            return Poll::Ready(match ended {
                Ok(Ok(response)) => HandlerOutcome::Responded(response),
                Ok(Err(error)) => {
                    contain_drop(error);
                    HandlerOutcome::Failed
                }
                Err(Panicked) => HandlerOutcome::Panicked,
            });
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
