//! What code can find out about a failed store.

use std::{
    error::Error,
    fmt,
    panic::panic_any,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::ServiceExt;
use tower_whatsapp::{
    dedup::{
        Claim, Commit, DedupRejection, DedupRejectionKind, MemoryStore, Renewal, Store, StoreError,
        StoreErrorKind, Token,
    },
    event::EventKey,
};

use super::{
    host::Host,
    scripted::{Fault, Held, Op, Scripted},
    stack::{Answer, Stack, millis, request, text},
};

/// The error of a host's database.
#[derive(Debug)]
struct NoTable;

impl fmt::Display for NoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("relation \"event\" does not exist")
    }
}

impl Error for NoTable {}

/// Fault of an operation of a [`Broken`] store.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Errs,
    /// The call itself panics.
    PanicsAtOnce,
    /// The future panics.
    PanicsLater,
    /// It panics after its effect.
    PanicsAfterwards,
}

/// No operation means all of them.
type Breakage = (Option<Op>, How);

/// A memory store with one faulty operation. Clones share it.
#[derive(Debug, Clone)]
struct Broken {
    store: MemoryStore,
    fault: Arc<Mutex<Option<Breakage>>>,
}

impl Broken {
    fn new(op: impl Into<Option<Op>>, how: How) -> Self {
        Self {
            store: MemoryStore::new(),
            fault: Arc::new(Mutex::new(Some((op.into(), how)))),
        }
    }

    fn mend(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn call<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let fault = *self.fault.lock().unwrap();
        let broken = fault.filter(|fault| fault.0.is_none_or(|broken| broken == op));
        let how = broken.map(|fault| fault.1);
        if how == Some(How::PanicsAtOnce) {
            panic_any(Planned);
        }
        async move {
            match how {
                Some(How::Errs) => Err(StoreError::unavailable(NoTable)),
                Some(How::PanicsAfterwards) => {
                    let _ = call.await;
                    panic_any(Planned)
                }
                Some(_) => panic_any(Planned),
                None => call.await,
            }
        }
    }
}

struct Planned;

impl Store for Broken {
    fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send {
        self.call(Op::Claim, self.store.claim(keys, token, lease))
    }

    fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Renewal>, StoreError>> + Send {
        self.call(Op::Renew, self.store.renew(keys, token, lease))
    }

    fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> impl Future<Output = Result<Vec<Commit>, StoreError>> + Send {
        self.call(Op::Commit, self.store.commit(keys, token))
    }

    fn release(
        &self,
        keys: &[EventKey],
        token: Token,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.call(Op::Release, self.store.release(keys, token))
    }
}

fn stack(store: &Broken, host: Host) -> Stack<Broken> {
    Stack::over(Scripted::over(store.clone()), host, |builder| builder)
}

async fn rejection<S: Store + Clone>(stack: &Stack<S>) -> DedupRejection {
    let response = stack.service.clone().oneshot(request(text("A").body()));
    let response = response.await.unwrap();
    response
        .extensions()
        .get::<DedupRejection>()
        .unwrap()
        .clone()
}

/// All errors from the first cause on.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts
}

const AWAY: &str = "the store of handled events is not available";

/// The chain from the rejection to the host's own error type, also while the circuit is open.
#[tokio::test(start_paused = true)]
async fn the_error_of_the_hosts_own_store() {
    let store = Broken::new(None, How::Errs);
    let stack = stack(&store, Host::good());
    assert!(stack.handle.last_store_error().is_none());
    let first = rejection(&stack).await;
    assert_eq!(first.kind(), DedupRejectionKind::StoreUnavailable);
    assert_eq!(chain(&first), [AWAY, &NoTable.to_string()]);
    let error = first.source().unwrap();
    assert!(error.is::<StoreError>() && error.source().unwrap().is::<NoTable>());
    assert!(!format!("{first} {first:?}").contains("relation"));
    for _ in 0..4 {
        rejection(&stack).await;
    }
    let open = rejection(&stack).await;
    assert_eq!(open.kind(), DedupRejectionKind::StoreUnavailable);
    let not_called = "the store was not called, because its last calls failed";
    let expected = [AWAY, not_called, AWAY, &NoTable.to_string()];
    assert_eq!(chain(&open), expected);
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_full_stores() {
    for (fault, kind, causes) in [
        (
            Fault::Hang,
            DedupRejectionKind::StoreUnavailable,
            vec![AWAY, "the store did not answer within `store_timeout`"],
        ),
        (
            Fault::Short,
            DedupRejectionKind::StoreUnavailable,
            vec![AWAY, "the store did not answer for every key"],
        ),
        (
            Fault::Full,
            DedupRejectionKind::StoreFull,
            vec!["the store of handled events is full"],
        ),
    ] {
        let stack = Stack::new(Host::good());
        stack.store.at(Op::Claim, 1, fault);
        let rejection = rejection(&stack).await;
        assert_eq!(
            (rejection.kind(), chain(&rejection)),
            (kind, causes.iter().map(ToString::to_string).collect())
        );
        stack.rest().await;
    }
}

/// No response reports these: it was already sent, or the handler is still running.
#[tokio::test(start_paused = true)]
async fn the_handle_has_what_no_response_tells() {
    for op in [Op::Renew, Op::Commit] {
        let store = Broken::new(op, How::Errs);
        let stack = stack(&store, Host::slow(Duration::from_secs(12)));
        stack.send(&text("A")).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let error = stack.handle.last_store_error().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.source().unwrap().is::<NoTable>(), "{op:?}: {error:?}");
        store.mend();
        stack.rest().await;
        assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    }
}

/// A panicking store counts as a failed one: possible claims are released, and handled events are
/// committed later.
#[tokio::test(start_paused = true)]
async fn a_store_that_panics() {
    super::stack::quiet_panics::<Planned>();
    for how in [How::PanicsAtOnce, How::PanicsLater, How::PanicsAfterwards] {
        for op in [Op::Claim, Op::Renew, Op::Commit, Op::Release] {
            let store = Broken::new(op, how);
            let host = Host::new(move |call, _| async move {
                tokio::time::sleep(Duration::from_secs(12)).await;
                let fails = op == Op::Release && call == 1;
                super::host::says(if fails {
                    http::StatusCode::BAD_GATEWAY
                } else {
                    http::StatusCode::OK
                })
            });
            let stack = stack(&store, host);
            let answer = stack.send(&text("A")).await;
            let late = if op == Op::Claim {
                Answer::later(DedupRejectionKind::StoreUnavailable)
            } else {
                Answer::later(DedupRejectionKind::ResponseDeadline)
            };
            assert_eq!(answer, late, "{op:?} {how:?}");
            tokio::time::sleep(Duration::from_secs(9)).await;
            store.mend();
            stack.rest().await;
            let held = match op {
                Op::Claim | Op::Release => Held::Absent,
                Op::Renew | Op::Commit => Held::Done,
            };
            assert_eq!(stack.store.inner().store.pending(), 0, "{op:?} {how:?}");
            assert_eq!(stack.held(&text("A")).await, [held], "{op:?} {how:?}");
            assert!(stack.handle.counters().store_failures > 0);
            let error = stack.handle.last_store_error().unwrap();
            assert!(chain(&*error)[0].contains("panicked"), "{op:?}: {error:?}");
        }
    }
}

/// Handled events whose commit never reached the store.
#[tokio::test(start_paused = true)]
async fn unrecorded_events_are_counted() {
    // The lease expires first.
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Fail);
    stack.send(&text("A").and(text("B"))).await;
    stack.rest().await;
    assert_eq!(stack.tally().unrecorded, 2);

    // A drain ends first.
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Fail);
    stack.send(&text("A")).await;
    stack.handle.drain(millis(200)).await;
    assert_eq!(stack.tally().unrecorded, 1);

    // Events recorded in time are not counted, nor are releases that were never sent.
    let stack = Stack::new(Host::says(http::StatusCode::BAD_GATEWAY));
    stack.store.always(Op::Release, Fault::Fail);
    stack.send(&text("A")).await;
    stack.rest().await;
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    assert_eq!(stack.tally().unrecorded, 0);
}

/// Beyond 65,536 events with a pending write.
#[tokio::test(start_paused = true)]
async fn too_many_pending_writes_are_counted() {
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Fail);
    const BATCH: usize = 16_384;
    for batch in 0..5 {
        let ids = (0..BATCH).map(|event| format!(r#"{{"id":"wamid.{batch}.{event}"}}"#));
        let messages = ids.collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{messages}]}}}}]}}]}}"#
        );
        assert_eq!(stack.send_body(body).await, Answer::good());
        let expected = if batch < 4 { 0 } else { BATCH as u64 };
        assert_eq!(stack.tally().unrecorded, expected, "{batch}");
    }
    stack.store.heal();
    stack.rest().await;
    assert_eq!(stack.tally().unrecorded, BATCH as u64);
    assert_eq!(stack.tally().handled, 5 * BATCH as u64);
}
