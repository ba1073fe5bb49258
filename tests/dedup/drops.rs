//! Foreign code that panics when it is dropped, or where nobody expects it: no claim stays pending,
//! no write is lost, and all of it is counted.

use std::{
    error::Error,
    fmt,
    future::pending,
    panic::panic_any,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, StatusCode};
use test_support::builder;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_whatsapp::{
    dedup::{
        Claim, Commit, DedupLayer, DedupRejectionKind, MemoryStore, PartialFailure, Renewal, Store,
        StoreError, StoreErrorKind, Token,
    },
    event::EventKey,
};

use super::{
    host::{Handling, Host, Reply, good, says},
    scripted::{Fault, Held, Op, Scripted},
    stack::{Answer, LEASE, Stack, Tally, answer, keys, millis, quiet_panics, request, text},
};

struct Planned;

/// Panics when it is dropped by a task that was spawned: that of the delivery, and not that of the
/// test.
#[derive(Debug, Clone)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if tokio::task::try_id().is_some() && !std::thread::panicking() {
            panic_any(Planned);
        }
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl Error for Bomb {}

/// Hangs until it is dropped, and panics then.
async fn hang<T>() -> T {
    let _bomb = Bomb;
    pending().await
}

#[tokio::test(start_paused = true)]
async fn a_handler_dropped_at_its_deadline() {
    quiet_panics::<Planned>();
    let stack = Stack::with(Host::new(|_, _| hang::<Reply>()), |builder| {
        builder.handler_deadline(millis(1000))
    });
    let stopped = Answer::later(DedupRejectionKind::HandlerDeadline);
    assert_eq!(stack.send(&text("A")).await, stopped);
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    stack
        .at_rest([1, 0, 1], Tally::handled(1).and_timed_out(1))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_dropped_by_a_drain() {
    quiet_panics::<Planned>();
    let stack = Stack::new(Host::new(|_, _| hang::<Reply>()));
    let sent = stack.begin(&text("A")).await;
    let drained = stack.handle.drain(millis(100)).await;
    assert_eq!((drained.running, drained.aborted, drained.left), (1, 1, 0));
    let stopped = Answer::later(DedupRejectionKind::Draining);
    assert_eq!(sent.await.unwrap(), stopped);
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    stack
        .at_rest([1, 0, 1], Tally::handled(1).and_aborted(1))
        .await;
}

/// The payload of a panic, and the error of a service.
#[tokio::test(start_paused = true)]
async fn what_a_handler_leaves_to_be_dropped() {
    quiet_panics::<Planned>();
    quiet_panics::<Bomb>();
    let failed = Answer::own(500, DedupRejectionKind::HandlerFailed);
    let panicked = Answer::own(500, DedupRejectionKind::HandlerPanicked);
    let panics = Host::new(|_, _| async { panic_any(Bomb) });
    let errs = Host::new(|_, _| async { Err(BoxError::from(Bomb)) });
    for (host, expected) in [(panics, panicked), (errs, failed)] {
        let stack = Stack::new(host);
        assert_eq!(stack.send(&text("A")).await, expected);
        assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
        stack.at_rest([1, 0, 1], Tally::handled(1)).await;
    }
}

/// How the first call of an operation goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// It has its effect and hangs. It panics when it is dropped at the timeout.
    Hangs,
    /// It panics with a payload that panics when it is dropped.
    Panics,
    /// Its error panics when it is dropped.
    Errs,
}

#[derive(Debug, Clone)]
struct Explosive {
    store: MemoryStore,
    fault: Arc<Mutex<Option<(Op, How)>>>,
}

impl Explosive {
    async fn call<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut fault = self.fault.lock().unwrap();
            fault.take_if(|fault| fault.0 == op)
        };
        let answer = call.await;
        match fault.map(|fault| fault.1) {
            Some(How::Hangs) => hang().await,
            Some(How::Panics) => panic_any(Bomb),
            Some(How::Errs) => Err(StoreError::unavailable(Bomb)),
            None => answer,
        }
    }
}

impl Store for Explosive {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.call(Op::Claim, self.store.claim(keys, token, lease))
            .await
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        self.call(Op::Renew, self.store.renew(keys, token, lease))
            .await
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        self.call(Op::Commit, self.store.commit(keys, token)).await
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        self.call(Op::Release, self.store.release(keys, token))
            .await
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_of_a_store() {
    quiet_panics::<Planned>();
    quiet_panics::<Bomb>();
    for how in [How::Hangs, How::Panics, How::Errs] {
        for op in [Op::Claim, Op::Renew, Op::Commit, Op::Release] {
            let store = Explosive {
                store: MemoryStore::new(),
                fault: Arc::new(Mutex::new(Some((op, how)))),
            };
            let host = Host::new(move |call, _| async move {
                if op == Op::Renew {
                    tokio::time::sleep(LEASE / 2).await;
                }
                says(if op == Op::Release && call == 1 {
                    StatusCode::BAD_GATEWAY
                } else {
                    StatusCode::OK
                })
            });
            let watched = store.store.clone();
            let stack = Stack::over(Scripted::over(store), host, |builder| builder);
            let expected = match op {
                Op::Claim => Answer::later(DedupRejectionKind::StoreUnavailable),
                Op::Renew => Answer::later(DedupRejectionKind::ResponseDeadline),
                Op::Commit => Answer::good(),
                Op::Release => Answer::of_host(502, Some(DedupRejectionKind::HandlerRefused)),
            };
            assert_eq!(stack.send(&text("A")).await, expected, "{op:?} {how:?}");
            stack.rest().await;
            assert_eq!(watched.pending(), 0, "{op:?} {how:?}");
            let held = match op {
                Op::Claim | Op::Release => Held::Absent,
                Op::Renew | Op::Commit => Held::Done,
            };
            assert_eq!(stack.held(&text("A")).await, [held], "{op:?} {how:?}");
            let tally = Tally::handled(u64::from(op != Op::Claim)).and_failures(1);
            assert_eq!(stack.tally(), tally, "{op:?} {how:?}");
            let error = stack.handle.last_store_error().unwrap();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        }
    }
}

/// The claim had its effect, and the request goes before the release.
#[tokio::test(start_paused = true)]
async fn an_extension_of_the_request() {
    quiet_panics::<Planned>();
    let stack = Stack::new(Host::good());
    stack.store.at(Op::Claim, 1, Fault::LoseReply);
    let mut armed = request(text("A").body());
    armed.extensions_mut().insert(Arc::new(Bomb));
    let answer = stack.send_request(armed).await;
    assert_eq!(answer, Answer::later(DedupRejectionKind::StoreUnavailable));
    stack.rest().await;
    assert_eq!(stack.store.pending(), 0);
    let tally = Tally::default().and_failures(1);
    stack.at_rest([1, 0, 1], tally).await;
}

fn armed() -> Reply {
    let mut response = good()?;
    response.extensions_mut().insert(Arc::new(Bomb));
    Ok(response)
}

/// The sender has gone, and the commit has failed.
#[tokio::test(start_paused = true)]
async fn a_response_that_nobody_takes() {
    quiet_panics::<Planned>();
    let stack = Stack::new(Host::new(|_, _| async {
        tokio::time::sleep(millis(100)).await;
        armed()
    }));
    stack.store.at(Op::Commit, 1, Fault::Fail);
    stack.begin(&text("A")).await.abort();
    stack.rest().await;
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    stack
        .at_rest([1, 2, 0], Tally::handled(1).and_failures(1))
        .await;
}

/// The layer answers in place of the handler.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_replaced() {
    quiet_panics::<Planned>();
    let stack = Stack::new(Host::new(|_, _| async { armed() }));
    let elsewhere = keys(&text("A"));
    let token = Token::random();
    let claims = stack.store.inner().claim(&elsewhere, token, LEASE).await;
    assert_eq!(claims.unwrap(), [Claim::Claimed]);
    let answer = stack.send(&text("A").and(text("B"))).await;
    assert_eq!(answer, Answer::later(DedupRejectionKind::InFlight));
    stack.rest().await;
    assert_eq!(stack.held(&text("B")).await, [Held::Done]);
}

/// Panics when the task of a delivery drops it.
#[derive(Clone)]
struct Armed(Host, Bomb);

impl<B> Service<Request<B>> for Armed {
    type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
    type Error = BoxError;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Handling {
        self.0.call(request)
    }
}

/// Dropped without a call, because the claim failed and then because all was done; and in a call.
#[tokio::test(start_paused = true)]
async fn the_inner_service() {
    quiet_panics::<Planned>();
    let stack = Stack::new(Host::good());
    stack.store.at(Op::Claim, 1, Fault::LoseReply);
    let dedup = DedupLayer::new(stack.store.clone());
    let armed = dedup.layer(Armed(stack.host.clone(), Bomb));
    let service = stack.layer.layer(armed);
    let send = async || {
        let sent = service.clone().oneshot(request(text("A").body()));
        let answer = answer(sent.await).await;
        while dedup.handle().counters().running > 0 {
            tokio::time::sleep(millis(1)).await;
        }
        assert_eq!(stack.store.pending(), 0);
        answer
    };
    let unavailable = Answer::later(DedupRejectionKind::StoreUnavailable);
    assert_eq!(send().await, unavailable);
    let panicked = Answer::own(500, DedupRejectionKind::HandlerPanicked);
    assert_eq!(send().await, panicked);
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    let done = [(keys(&text("A"))[0], LEASE)];
    let store = stack.store.inner();
    store.commit(&done, Token::random()).await.unwrap();
    assert_eq!(send().await, Answer::known());
}

/// The hook is called before the events are settled.
#[tokio::test(start_paused = true)]
async fn a_hook_that_panics() {
    quiet_panics::<Planned>();
    let host = Host::new(|_, notification| {
        let mut response = says(StatusCode::NOT_FOUND).unwrap();
        PartialFailure::of_events(&notification.events()[..1]).mark(&mut response);
        async { Ok(response) }
    });
    let webhook = builder().on_setup_warning(|_| panic_any(Planned));
    let stack = Stack::under(webhook, Scripted::new(), host, |builder| builder);
    let batch = text("A").and(text("B"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    assert_eq!(stack.send(&batch).await, partly);
    assert_eq!(stack.held(&batch).await, [Held::Absent, Held::Done]);
    stack.at_rest([1, 1, 1], Tally::handled(2)).await;
}

/// Nothing was claimed, and the handler was not called: it is not what panicked.
#[tokio::test(start_paused = true)]
async fn a_key_function_that_panics() {
    quiet_panics::<Planned>();
    let stack = Stack::with(Host::good(), |builder| {
        builder.key(|_, _| panic_any(Planned))
    });
    let mut armed = request(text("A").body());
    armed.extensions_mut().insert(Arc::new(Bomb));
    let failed = Answer::own(500, DedupRejectionKind::TaskFailed);
    assert_eq!(stack.send_request(armed).await, failed);
    assert_eq!(stack.host.calls(), 0);
    stack.at_rest([0, 0, 0], Tally::default()).await;
}
