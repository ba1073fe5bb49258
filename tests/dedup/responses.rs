//! Effects of the handler's response, or of its absence.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use http::{Request, StatusCode};
use test_support::{PATH, SECRET, Script, Step, sign};
use tokio::{
    task::coop::consume_budget,
    time::{Instant, advance, sleep},
};
use tower::ServiceExt;
use tower_whatsapp::dedup::{Claim, Commit, DedupLayer, DedupRejectionKind, Store, Token};

use super::{
    host::{Host, good},
    scripted::{Fault, Held, Op, Scripted},
    stack::{Answer, BUDGET, HANDLER, LEASE, RESPONSE, Stack, Tally, answer, keys, millis, text},
};

#[tokio::test(start_paused = true)]
async fn any_2xx_is_200_after_the_commit() {
    for status in [200, 201, 202, 204, 299] {
        let stack = Stack::new(Host::says(StatusCode::from_u16(status).unwrap()));
        assert_eq!(stack.send(&text("A")).await, Answer::good());
        assert_eq!(stack.held(&text("A")).await, [Held::Done]);
        stack.at_rest([1, 1, 0], Tally::handled(1)).await;
        let [claim, commit] = &stack.store.calls()[..] else {
            panic!()
        };
        assert_eq!(
            (&claim.keys, &claim.times),
            (&keys(&text("A")), &vec![LEASE])
        );
        assert_eq!((&commit.keys, commit.token), (&claim.keys, claim.token));
    }
}

/// The response waits for the commit, and the commit for the handler.
#[tokio::test(start_paused = true)]
async fn the_commit_comes_after_the_handler_and_before_the_answer() {
    let stack = Stack::new(Host::slow(millis(100)));
    stack.store.at(Op::Commit, 1, Fault::Slow(millis(200)));
    let sent = stack.begin(&text("A")).await;
    sleep(millis(50)).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
    assert_eq!(stack.store.ops(), [1, 0, 0]);
    sleep(millis(100)).await;
    assert_eq!(stack.store.ops(), [1, 1, 0]);
    assert!(!sent.is_finished());
    assert_eq!(sent.await.unwrap(), Answer::good());
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;
}

#[tokio::test(start_paused = true)]
async fn anything_else_is_a_5xx_after_the_release() {
    for (said, answered) in [
        (301, 500),
        (304, 500),
        (400, 500),
        (404, 500),
        (429, 500),
        (500, 500),
        (502, 502),
        (503, 503),
        (599, 599),
    ] {
        let stack = Stack::new(Host::says(StatusCode::from_u16(said).unwrap()));
        let refused = Answer::of_host(answered, Some(DedupRejectionKind::HandlerRefused));
        assert_eq!(stack.send(&text("A")).await, refused);
        assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
        stack.at_rest([1, 0, 1], Tally::handled(1)).await;
        let [claim, release] = &stack.store.calls()[..] else {
            panic!()
        };
        assert_eq!((&release.keys, release.token), (&claim.keys, claim.token));
        // The retry is handled again.
        assert_eq!(stack.send(&text("A")).await, refused);
        assert_eq!(stack.host.calls(), 2);
        stack.at_rest([2, 0, 2], Tally::handled(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_is_500_after_the_release() {
    let failing: [(Host, DedupRejectionKind); 4] = [
        (
            Host::new(|_, _| async { Err("the host failed".into()) }),
            DedupRejectionKind::HandlerFailed,
        ),
        (
            Host::new(|call, _| {
                assert!(call == 0, "the host panics in its call");
                async { good() }
            }),
            DedupRejectionKind::HandlerPanicked,
        ),
        (
            Host::new(|_, _| async { panic!("the host panics at once") }),
            DedupRejectionKind::HandlerPanicked,
        ),
        (
            Host::new(|_, _| async {
                sleep(millis(10)).await;
                panic!("the host panics later")
            }),
            DedupRejectionKind::HandlerPanicked,
        ),
    ];
    for (host, kind) in failing {
        let stack = Stack::new(host);
        for time in 1..=2 {
            assert_eq!(stack.send(&text("A")).await, Answer::own(500, kind));
            assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
            stack
                .at_rest([time, 0, time], Tally::handled(time as u64))
                .await;
        }
        assert_eq!(
            stack.host.ended(),
            usize::from(kind == DedupRejectionKind::HandlerFailed) * 2
        );
    }
}

/// Meta is asked to retry. The retry waits for the running handler, and is answered with 200
/// without another run.
#[tokio::test(start_paused = true)]
async fn response_deadline() {
    let stack = Stack::new(Host::slow(RESPONSE + millis(500)));
    let began = Instant::now();
    let late = Answer::later(DedupRejectionKind::ResponseDeadline);
    assert_eq!(stack.send(&text("A")).await, late);
    assert_eq!(began.elapsed(), RESPONSE);
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
    assert_eq!(stack.handle.counters().running, 1);
    // The handler still holds the first body.
    assert!(stack.holds(&text("A")));

    let retry = stack.send(&text("A")).await;
    assert_eq!(retry, Answer::known());
    assert_eq!(began.elapsed(), RESPONSE + millis(500));
    assert_eq!(stack.host.calls(), 1);
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    stack.rest().await;
    assert_eq!(stack.tally(), Tally::handled(1).and_suppressed(1));
    let [claims, commits, releases] = stack.store.ops();
    // Polls after 50, 100 and 200 ms, and one after the notification.
    assert_eq!((claims, commits, releases), (6, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn handler_deadline() {
    let stack = Stack::new(Host::new(|call, _| async move {
        if call == 1 {
            pending::<()>().await;
        }
        good()
    }));
    let began = Instant::now();
    let late = Answer::later(DedupRejectionKind::ResponseDeadline);
    assert_eq!(stack.send(&text("A")).await, late);
    sleep(HANDLER - RESPONSE - millis(1)).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
    stack.rest().await;
    assert!(began.elapsed() <= HANDLER + millis(2));
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    let tally = Tally::handled(1).and_timed_out(1);
    stack.at_rest([1, 0, 1], tally).await;
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    let tally = Tally::handled(2).and_timed_out(1);
    stack.at_rest([2, 1, 1], tally).await;
}

/// The deadline counts from the claim, however long the store took.
#[tokio::test(start_paused = true)]
async fn handler_deadline_after_a_slow_claim() {
    let stack = Stack::with(Host::new(|_, _| pending()), |builder| {
        builder.handler_deadline(millis(700))
    });
    stack.store.at(Op::Claim, 1, Fault::Slow(millis(200)));
    let began = Instant::now();
    let stopped = Answer::later(DedupRejectionKind::HandlerDeadline);
    assert_eq!(stack.send(&text("A")).await, stopped);
    assert_eq!(began.elapsed(), millis(700));
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn handler_deadline_before_the_response_deadline() {
    let host = Host::new(|_, _| pending());
    let stack = Stack::with(host, |builder| builder.handler_deadline(millis(700)));
    let began = Instant::now();
    let stopped = Answer::later(DedupRejectionKind::HandlerDeadline);
    assert_eq!(stack.send(&text("A")).await, stopped);
    assert_eq!(began.elapsed(), millis(700));
    let tally = Tally::handled(1).and_timed_out(1);
    stack.at_rest([1, 0, 1], tally).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
}

/// Tokio gives each task a cooperative budget. A handler that uses it up at every poll would starve
/// timers of the same task.
#[tokio::test]
async fn a_handler_that_is_always_busy_is_stopped_too() {
    let host = Host::new(|_, _| async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            // Returns when the budget is used up.
            consume_budget().await;
        }
        good()
    });
    let stack = Stack::with(host, |builder| builder.handler_deadline(millis(300)));
    let stopped = Answer::later(DedupRejectionKind::HandlerDeadline);
    assert_eq!(stack.send(&text("A")).await, stopped);
    assert_eq!(stack.host.ended(), 0);
    let tally = Tally::handled(1).and_timed_out(1);
    stack.at_rest([1, 0, 1], tally).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_is_stopped() {
    let layer = test_support::builder()
        .memory_budget(BUDGET)
        .build()
        .unwrap();
    let store = Scripted::new();
    let dedup = DedupLayer::new(store.clone());
    let handle = dedup.handle();
    let busy = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let limit = tower::limit::GlobalConcurrencyLimitLayer::with_semaphore(busy);
    let host = Host::good();
    let service = tower::ServiceBuilder::new()
        .layer(layer.clone())
        .layer(dedup)
        .layer(limit)
        .service(host.clone());
    let late = answer(
        service
            .oneshot(super::stack::request(text("A").body()))
            .await,
    )
    .await;
    assert_eq!(late, Answer::later(DedupRejectionKind::ResponseDeadline));
    sleep(HANDLER - RESPONSE + millis(1)).await;
    assert_eq!(handle.counters().running, 0);
    assert_eq!(
        (host.calls(), store.ops(), store.pending()),
        (0, [1, 0, 1], 0)
    );
    assert_eq!(layer.available_memory(), BUDGET);
}

#[tokio::test(start_paused = true)]
async fn client_gone_while_it_sends() {
    let stack = Stack::new(Host::good());
    let body = text("A").body();
    let half = body.len() / 2;
    let request = Request::post(PATH)
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(Script::new([Step::Data(body.slice(..half)), Step::Stall]))
        .unwrap();
    let sent = tokio::spawn({
        let stack = stack.clone();
        async move { stack.service.clone().oneshot(request).await.is_ok() }
    });
    sleep(millis(10)).await;
    assert!(stack.layer.available_memory() < BUDGET);
    sent.abort();
    assert!(sent.await.is_err());
    stack.at_rest([0, 0, 0], Tally::default()).await;
    assert_eq!(stack.host.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn client_gone_while_it_is_handled() {
    let stack = Stack::new(Host::slow(millis(500)));
    let sent = stack.begin(&text("A")).await;
    sent.abort();
    assert!(sent.await.is_err());
    sleep(millis(100)).await;
    // The handler still holds the body.
    assert!(stack.holds(&text("A")));
    assert_eq!(stack.host.ended(), 0);
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;
    assert_eq!(stack.host.ended(), 1);
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    assert_eq!(stack.send(&text("A")).await, Answer::known());
}

/// The process dies while handling: here its runtime is dropped.
#[test]
fn killed_before_the_handler_has_ended() {
    let store = Scripted::new();
    // Drops the runtime at the response, or when `is_over` returns true.
    let run = |host: Host, is_over: fn(&Host) -> bool| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let shared = store.clone();
        runtime.block_on(async move {
            let stack = Stack::over(shared, host, |builder| {
                builder
                    .handler_deadline(millis(800))
                    .lease(millis(1000))
                    .in_flight_wait(millis(0))
            });
            let (host, sample) = (stack.host.clone(), text("A"));
            let answer = tokio::select! {
                answer = stack.send(&sample) => Some(answer),
                () = async {
                    while !is_over(&host) {
                        tokio::task::yield_now().await;
                    }
                } => None,
            };
            (stack, answer)
        })
    };
    let began = std::time::Instant::now();
    let (killed, none) = run(Host::new(|_, _| pending()), |host| host.calls() > 0);
    assert_eq!((killed.host.calls(), none), (1, None));
    assert_eq!(store.ops(), [1, 0, 0]);
    // Its lease expires, and another process takes over.
    loop {
        let (other, answer) = run(Host::good(), |_| false);
        match answer.unwrap() {
            handled if handled == Answer::good() => {
                assert_eq!(other.host.calls(), 1);
                break;
            }
            later => assert_eq!(later, Answer::later(DedupRejectionKind::InFlight)),
        }
        std::thread::sleep(millis(20));
    }
    assert!(began.elapsed() >= millis(1000));
    assert_eq!((store.ops()[1], store.ops()[2], store.pending()), (1, 0, 0));
}

/// A handler blocks its thread beyond its lease, and another one starts meanwhile. The first one
/// still did the work.
#[tokio::test(start_paused = true)]
async fn fenced() {
    let store = Scripted::new();
    let other = Token::random();
    let blocking = {
        let store = store.clone();
        Host::new(move |_, _| {
            let store = store.clone();
            async move {
                // Time passes within one poll, so that the deadline cannot be checked.
                let mut blocked = pin!(advance(LEASE));
                let _ = poll_fn(|cx| Poll::Ready(blocked.as_mut().poll(cx))).await;
                let claims = store.inner().claim(&keys(&text("A")), other, LEASE).await;
                assert_eq!(claims.unwrap(), [Claim::Claimed]);
                good()
            }
        })
    };
    let stack = Stack::over(store, blocking, |builder| builder);
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    let tally = Tally {
        fenced: 1,
        ..Tally::handled(1)
    };
    stack.at_rest([1, 1, 0], tally).await;
    let commit = &stack.store.calls_of(Op::Commit)[0];
    assert_eq!(commit.commits, Some(vec![Commit::Fenced]));
    // The other claim stays valid.
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
}
