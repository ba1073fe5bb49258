//! Drops a delivery at every await point: hyper drops the future when the client disconnects.

use std::{future::poll_fn, pin::Pin, task::Poll};

use http::Request;
use test_support::{PATH, SECRET, Script, Step, sign};
use tokio::task::yield_now;
use tower::ServiceExt;

use super::{
    host::{Host, good},
    scripted::Held,
    stack::{Answer, BUDGET, Stack, keys, millis, text},
};

/// Polls the future `times` times, each time after a wake-up, and drops it. Returns its output if
/// it was ready before.
async fn polled<F: Future>(mut future: Pin<Box<F>>, times: usize) -> Option<F::Output> {
    for _ in 0..times {
        let turn = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = turn {
            return Some(output);
        }
        // The delivery's task makes one step, then this one runs again, whatever woke it.
        yield_now().await;
    }
    None
}

fn yielding() -> Host {
    Host::new(|_, _| async {
        for _ in 0..5 {
            yield_now().await;
        }
        good()
    })
}

fn in_pieces(id: &str) -> Request<Script> {
    let body = text(id).body();
    let third = body.len() / 3;
    let steps = [
        Step::data(body.slice(..third)),
        Step::Pending,
        Step::data(body.slice(third..2 * third)),
        Step::Pending,
        Step::Pending,
        Step::data(body.slice(2 * third..)),
        Step::Pending,
    ];
    Request::post(PATH)
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(Script::new(steps))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn dropped_after_any_number_of_polls() {
    let (mut before, mut during) = (0, 0);
    for polls in 0.. {
        let stack = Stack::new(yielding());
        stack.store.yields(3);
        let sent = Box::pin(stack.service.clone().oneshot(in_pieces("A")));
        let answered = polled(sent, polls).await;
        let claimed = stack.store.ops()[0];

        // Meta retries at once, before the first attempt is over.
        let retry = stack.send(&text("A")).await;
        stack.rest().await;
        assert_eq!(stack.host.handled(), keys(&text("A")), "{polls} polls");
        assert_eq!(
            (stack.host.calls(), stack.host.ended()),
            (1, 1),
            "{polls} polls"
        );
        assert_eq!(stack.store.pending(), 0, "{polls} polls");
        assert_eq!(stack.held(&text("A")).await, [Held::Done], "{polls} polls");
        assert_eq!(stack.layer.available_memory(), BUDGET, "{polls} polls");
        let [_, commits, releases] = stack.store.ops();
        assert_eq!((commits, releases), (1, 0), "{polls} polls");
        if claimed == 0 && retry == Answer::good() {
            // The first attempt had not started: the retry is the first.
            before += 1;
        } else {
            assert_eq!(retry, Answer::known(), "{polls} polls");
            during += 1;
        }
        if let Some(answered) = answered {
            assert_eq!(answered.unwrap().status(), 200);
            // Four for the body, and six, six and five for claim, commit and handler.
            assert!(
                before >= 4 && during >= 16,
                "{before} before, {during} during"
            );
            return;
        }
    }
}

/// The same with a handler that fails the first time: the retry handles the event.
#[tokio::test(start_paused = true)]
async fn dropped_while_it_fails() {
    for polls in 0.. {
        let stack = Stack::new(Host::new(|call, _| async move {
            for _ in 0..5 {
                yield_now().await;
            }
            if call == 1 {
                Err("not yet".into())
            } else {
                good()
            }
        }));
        stack.store.yields(3);
        let sent = Box::pin(stack.service.clone().oneshot(in_pieces("A")));
        let answered = polled(sent, polls).await;
        let mut tries = 0;
        loop {
            tries += 1;
            let retry = stack.send(&text("A")).await;
            if retry.status == 200 {
                break;
            }
            assert!(
                retry.status == 500 && tries == 1,
                "{polls} polls: {retry:?}"
            );
        }
        stack.rest().await;
        assert_eq!(
            (stack.host.calls(), stack.store.pending()),
            (2, 0),
            "{polls} polls"
        );
        assert_eq!(stack.held(&text("A")).await, [Held::Done], "{polls} polls");
        let [_, commits, releases] = stack.store.ops();
        assert_eq!((commits, releases), (1, 1), "{polls} polls");
        if let Some(answered) = answered {
            assert_eq!(answered.unwrap().status(), 500);
            return;
        }
    }
}

/// A waiting delivery is dropped: it frees its place, and claims nothing.
#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits() {
    for polls in 0..12 {
        let stack = Stack::with(Host::slow(millis(300)), |builder| {
            builder.in_flight_waiters(1)
        });
        let first = stack.begin(&text("A")).await;
        stack.store.yields(2);
        let waiting = Box::pin(stack.service.clone().oneshot(in_pieces("A")));
        assert!(polled(waiting, polls).await.is_none());
        assert_eq!(first.await.unwrap(), Answer::good());
        stack.rest().await;
        assert_eq!(
            (stack.host.calls(), stack.store.pending()),
            (1, 0),
            "{polls} polls"
        );
        assert_eq!(stack.store.ops()[1..], [1, 0], "{polls} polls");
        // The place is free for the next.
        let second = stack.begin(&text("B")).await;
        assert_eq!(stack.send(&text("B")).await, Answer::known());
        assert_eq!(second.await.unwrap(), Answer::good());
        stack.rest().await;
    }
}

/// Dropped at every frame of the body: nothing is claimed or held.
#[tokio::test(start_paused = true)]
async fn dropped_while_the_body_arrives() {
    let body = text("A").body();
    for frames in 0..body.len() {
        let stack = Stack::new(Host::good());
        let steps = [Step::Bytewise(body.slice(..=frames)), Step::Stall];
        let request = Request::post(PATH)
            .header("x-hub-signature-256", sign(SECRET, &body))
            .body(Script::new(steps))
            .unwrap();
        let sent = Box::pin(stack.service.clone().oneshot(request));
        // 64 frames at a time.
        let pending = polled(sent, frames / 64 + 2).await.is_none();
        assert_eq!(stack.layer.available_memory(), BUDGET);
        assert!(pending && stack.store.ops() == [0, 0, 0] && stack.host.calls() == 0);
    }
}
