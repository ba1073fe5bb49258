//! One delivery, from the claims to the commit, in a task that outlives the connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::unconstrained,
    time::{Instant, sleep_until, timeout_at},
};
use tower::{Service, ServiceExt};

use super::{
    builder::{OnStoreError, Times},
    chunked::Chunked,
    deferral::{Deferral, DeferralKind},
    guard::{Failure, Guarded},
    handle::{Run, Runs, after, count},
    outcome::Outcome,
    plan::{Plan, Policy},
    store::{Claim, Commit, Store, StoreErrorKind, Token},
};
use crate::{
    event::{EventKey, Notification},
    receive::Lease,
    verified::Verified,
};

/// The pauses between two looks at events that are being handled elsewhere. What this process handles itself wakes who waits for it.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// The pauses between two tries to tell the store something after the answer has been given.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The most events of which the store is still owed a word, over all deliveries: some 3 MiB, and for each delivery a task of less than a kilobyte.
/// Beyond, their leases pass.
const MAX_OWED: usize = 65_536;

/// One for each first byte of a key: who waits for a key is woken when any with its bell is handled.
const BELLS: usize = 256;

/// What the clones of a layer share.
pub(super) struct Shared<S> {
    store: Chunked<S>,
    policy: Policy,
    pub(super) times: Times,
    on_store_error: OnStoreError,
    waiters: Semaphore,
    owed: Semaphore,
    bells: [Notify; BELLS],
    pub(super) runs: Arc<Runs>,
}

/// An answer: one of ours, or the handler's.
pub(super) enum Answer<R> {
    Own(Response<Bytes>),
    Inner(Response<R>),
}

impl<R> From<DeferralKind> for Answer<R> {
    fn from(kind: DeferralKind) -> Self {
        Self::Own(Deferral::from(kind).to_response())
    }
}

/// What the store is to be told after the answer has been given.
struct Owed {
    commit: Vec<(EventKey, Duration)>,
    release: Vec<EventKey>,
}

impl Owed {
    const NOTHING: Self = Self {
        commit: Vec::new(),
        release: Vec::new(),
    };

    fn release(release: Vec<EventKey>) -> Self {
        Self {
            release,
            ..Self::NOTHING
        }
    }

    fn len(&self) -> usize {
        self.commit.len() + self.release.len()
    }

    fn is_empty(&self) -> bool {
        self.commit.is_empty() && self.release.is_empty()
    }
}

impl<S: Store> Shared<S> {
    pub(super) fn new(
        store: S,
        policy: Policy,
        times: Times,
        waiters: usize,
        on_store_error: OnStoreError,
    ) -> Self {
        let runs = Arc::new(Runs::new(times.store));
        Self {
            store: Chunked(Guarded::new(
                store,
                times.store,
                Arc::clone(&runs.store_failures),
            )),
            policy,
            times,
            on_store_error,
            waiters: Semaphore::new(waiters.min(Semaphore::MAX_PERMITS)),
            owed: Semaphore::new(MAX_OWED),
            bells: std::array::from_fn(|_| Notify::new()),
            runs,
        }
    }

    /// Handles a delivery and answers it. What the store is owed then goes on after it.
    pub(super) async fn handle<H, B, R>(
        self: Arc<Self>,
        inner: H,
        request: Request<B>,
        notification: Notification,
        run: Run,
        reply: oneshot::Sender<Answer<R>>,
    ) where
        H: Service<Request<B>, Response = Response<R>>,
    {
        let verified = request.extensions().get::<Verified>().cloned();
        let app = verified.as_ref().map_or("", Verified::app);
        let mut delivery = Delivery {
            shared: &self,
            plan: Plan::new(&notification, app, &self.policy).await,
            app,
            token: Token::random(),
            claimed: Instant::now(),
            run: &run,
        };
        let owed = delivery.handle(inner, request, notification, reply).await;
        if !owed.is_empty() {
            // In a small task of its own: this one has room for the handler and all that it awaits.
            let (token, claimed) = (delivery.token, delivery.claimed);
            drop(delivery);
            tokio::spawn(self.pay(owed, token, claimed, run));
        }
    }

    fn bell(&self, key: EventKey) -> &Notify {
        let [first, ..] = key.to_bytes();
        // A key of the host's own may have the same there in all; then more are woken than need be.
        #[expect(clippy::indexing_slicing, reason = "there is one for each byte")]
        &self.bells[usize::from(first)]
    }

    fn ring(&self, keys: impl IntoIterator<Item = EventKey>) {
        for key in keys {
            self.bell(key).notify_waiters();
        }
    }

    /// Records keys as done, and removes them from the list. Those that the store has not confirmed
    /// stay.
    async fn commit(&self, keys: &mut Vec<(EventKey, Duration)>, token: Token) {
        if keys.is_empty() {
            return;
        }
        let commits = self.store.commit(keys, token).await.answers;
        let fenced = commits.iter().filter(|commit| **commit == Commit::Fenced);
        count(&self.runs.fenced, fenced.count());
        self.ring(keys.drain(..commits.len()).map(|(key, _)| key));
    }

    /// Releases keys, and removes them from the list. Those that the store has not confirmed stay.
    async fn release(&self, keys: &mut Vec<EventKey>, token: Token) {
        if keys.is_empty() {
            return;
        }
        let released = self.store.release(keys, token).await.answers;
        self.ring(keys.drain(..released.len()));
    }

    /// Tells the store what it has not heard yet, until the lease has passed.
    async fn pay(self: Arc<Self>, mut owed: Owed, token: Token, claimed: Instant, run: Run) {
        let permits = u32::try_from(owed.len()).unwrap_or(u32::MAX);
        let Ok(_permits) = self.owed.try_acquire_many(permits) else {
            return;
        };
        let end = after(claimed, self.times.lease);
        let mut pause = FIRST_RETRY;
        while !owed.is_empty() {
            let mut last = run.is_aborted();
            if !last {
                let aborted = pin!(run.aborted());
                let next = Instant::now() + pause;
                let _ = timeout_at(next.min(end), aborted).await;
                pause = (2 * pause).min(LAST_RETRY);
                // Once more when the lease has passed: as long as nobody has taken the event, that it is done can still be recorded.
                last = Instant::now() >= end;
            }
            // Boxed: most of the time these tasks wait, and a store's futures are the most of them.
            Box::pin(self.commit(&mut owed.commit, token)).await;
            Box::pin(self.release(&mut owed.release, token)).await;
            if last {
                return;
            }
        }
    }
}

struct Delivery<'a, S> {
    shared: &'a Shared<S>,
    plan: Plan,
    /// The label of the app that has received it: two apps may receive the same event, and both handle it.
    app: &'a str,
    token: Token,
    /// When the last claim was sent: from then on the lease runs, at the earliest.
    claimed: Instant,
    run: &'a Run,
}

/// How the claims ended.
enum Claimed {
    /// There is something to handle.
    Fresh { unprotected: bool },
    /// There is not.
    Answered(Answered, Owed),
}

enum Answered {
    AllDone,
    Deferred(DeferralKind),
}

impl<S: Store> Delivery<'_, S> {
    /// Handles and answers it. What is left is what the store is still owed.
    async fn handle<H, B, R>(
        &mut self,
        inner: H,
        mut request: Request<B>,
        notification: Notification,
        reply: oneshot::Sender<Answer<R>>,
    ) -> Owed
    where
        H: Service<Request<B>, Response = Response<R>>,
    {
        let counters = &self.shared.runs;
        let unprotected = match self.claim().await {
            Claimed::Fresh { unprotected } => unprotected,
            Claimed::Answered(answered, owed) => {
                let answer = match answered {
                    Answered::AllDone => {
                        count(&counters.suppressed, notification.events().len());
                        Answer::Own(Response::new(Bytes::new()))
                    }
                    Answered::Deferred(kind) => kind.into(),
                };
                drop((request, notification));
                let _ = reply.send(answer);
                return owed;
            }
        };
        // The body stays in the memory budget for as long as the handler may hold it, answered or not.
        let lease = request.extensions_mut().remove::<Arc<Lease>>();
        let fresh = self.plan.fresh(&notification, unprotected);
        count(&counters.handled, fresh.events().len());
        count(&counters.suppressed, fresh.suppressed().len());
        if unprotected {
            count(&counters.unprotected, fresh.events().len());
        }
        if self.plan.has_stale {
            let stale = fresh.events().iter().filter(|event| event.stale());
            count(&counters.stale, stale.count());
        }
        request.extensions_mut().insert(fresh);

        let call = async { inner.oneshot(request).await.map_err(drop) };
        let end = self.supervise(call).await;
        let (answer, owed) = match end {
            End::Answered(response) => {
                let (done, undone) = self.settle(&response, &notification);
                self.conclude(response, done, undone).await
            }
            End::Failed => self.undo(DeferralKind::HandlerFailed).await,
            End::Panicked => self.undo(DeferralKind::HandlerPanicked).await,
            End::TimedOut => self.undo(DeferralKind::HandlerDeadline).await,
            End::Aborted => self.undo(DeferralKind::Draining).await,
        };
        let _ = reply.send(answer);
        drop(lease);
        owed
    }

    /// Claims what can be claimed, and waits for the rest if that is all there is.
    async fn claim(&mut self) -> Claimed {
        let shared = self.shared;
        let deferred = |kind| Claimed::Answered(Answered::Deferred(kind), Owed::NOTHING);
        if self.plan.has_stale && shared.policy.refuses_stale {
            return deferred(DeferralKind::Stale);
        }
        let patience = after(Instant::now(), shared.times.wait);
        let mut waiter = None;
        let mut look = FIRST_LOOK;
        loop {
            let mut open = self.plan.open();
            if !open.is_empty() {
                self.claimed = Instant::now();
                let claims = shared.store.claim(&open, self.token, shared.times.lease);
                let claims = claims.await;
                open.truncate(claims.asked());
                self.plan.learn(claims.answers);
                if let Err(failure) = claims.result {
                    return self.without_store(failure, open);
                }
            }
            if self.plan.has(Claim::Claimed) {
                return Claimed::Fresh { unprotected: false };
            }
            let open = self.plan.open();
            let Some(first) = open.first() else {
                return if self.plan.has_unkeyed() || self.plan.is_empty() {
                    Claimed::Fresh { unprotected: false }
                } else {
                    Claimed::Answered(Answered::AllDone, Owed::NOTHING)
                };
            };
            if waiter.is_none() {
                waiter = shared.waiters.try_acquire().ok();
            }
            if waiter.is_none() || Instant::now() >= patience || self.run.is_aborted() {
                return deferred(DeferralKind::InFlight);
            }
            let mut rung = pin!(shared.bell(*first).notified());
            let mut aborted = pin!(self.run.aborted());
            let woken = std::future::poll_fn(|cx| match rung.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => aborted.as_mut().poll(cx),
            });
            let _ = timeout_at(patience.min(Instant::now() + look), woken).await;
            look = (2 * look).min(LAST_LOOK);
        }
    }

    /// What becomes of a delivery whose claims failed. The store may hold claims of the keys it was
    /// asked for: unless they are needed, they are released.
    fn without_store(&mut self, failure: Failure, asked: Vec<EventKey>) -> Claimed {
        if self.shared.on_store_error == OnStoreError::Deliver && self.plan.presume() {
            return Claimed::Fresh { unprotected: true };
        }
        let kind = match failure {
            Failure::Ambiguous(StoreErrorKind::Full) => DeferralKind::StoreFull,
            Failure::NotSent | Failure::Ambiguous(StoreErrorKind::Unavailable) => {
                DeferralKind::StoreUnavailable
            }
        };
        Claimed::Answered(Answered::Deferred(kind), Owed::release(asked))
    }

    /// Runs the handler, as long as it may.
    async fn supervise<R, F>(&self, call: F) -> End<R>
    where
        F: Future<Output = Result<Response<R>, ()>>,
    {
        let mut call = pin!(call);
        // A handler that has used up the turn of its task leaves nothing for these, if they ask for their share of it.
        let deadline = after(self.claimed, self.shared.times.handler);
        let mut deadline = pin!(unconstrained(sleep_until(deadline)));
        let mut aborted = pin!(unconstrained(self.run.aborted()));
        std::future::poll_fn(|cx| {
            // Whatever a handler leaves behind when it panics is dropped with it.
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
            match polled {
                Ok(Poll::Ready(Ok(response))) => return Poll::Ready(End::Answered(response)),
                Ok(Poll::Ready(Err(()))) => return Poll::Ready(End::Failed),
                Err(_) => return Poll::Ready(End::Panicked),
                Ok(Poll::Pending) => {}
            }
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::TimedOut);
            }
            if aborted.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Aborted);
            }
            Poll::Pending
        })
        .await
    }

    /// What the handler has said of its events: which are done, and which are not.
    fn settle<R>(
        &self,
        response: &Response<R>,
        notification: &Notification,
    ) -> (Vec<(EventKey, Duration)>, Vec<EventKey>) {
        let success = response.status().is_success();
        match said(response) {
            // A key of no event here was made in another way than ours, so it may mean any of them: none is taken for done.
            Some(outcome)
                if outcome
                    .keys()
                    .any(|key| !self.plan.knows(key, notification, self.app)) =>
            {
                self.plan.settle(|_| true)
            }
            Some(outcome) => self.plan.settle(|key| outcome.has_failed(key)),
            None => self.plan.settle(|_| !success),
        }
    }

    /// Tells the store, and says the same to Meta.
    async fn conclude<R>(
        &self,
        mut response: Response<R>,
        mut done: Vec<(EventKey, Duration)>,
        mut undone: Vec<EventKey>,
    ) -> (Answer<R>, Owed) {
        let deferral = if said(&response).is_some() {
            Some(DeferralKind::PartlyFailed)
        } else if !response.status().is_success() {
            Some(DeferralKind::HandlerRefused)
        } else {
            None
        };
        self.shared.commit(&mut done, self.token).await;
        self.shared.release(&mut undone, self.token).await;
        // The work is done, whether the store has confirmed it or not. Another answer would repeat
        // it.
        let owed = Owed {
            commit: done,
            release: undone,
        };
        let answer = match deferral {
            Some(kind) => {
                Deferral::from(kind).mark(&mut response);
                Answer::Inner(response)
            }
            // A 200 would end Meta's tries although the other holder may still fail.
            None if self.plan.has(Claim::Pending) => DeferralKind::InFlight.into(),
            None => Answer::Inner(response),
        };
        (answer, owed)
    }

    async fn undo<R>(&self, kind: DeferralKind) -> (Answer<R>, Owed) {
        let mut claimed = self.plan.claimed();
        self.shared.release(&mut claimed, self.token).await;
        (kind.into(), Owed::release(claimed))
    }
}

/// What a handler has said of single events.
fn said<R>(response: &Response<R>) -> Option<&Outcome> {
    let outcome = response.extensions().get::<Outcome>();
    outcome.filter(|outcome| !outcome.is_empty())
}

/// How a call of the handler ended.
enum End<R> {
    Answered(Response<R>),
    Failed,
    Panicked,
    TimedOut,
    Aborted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task<S: Store>() -> usize {
        fn size<A, F>(_: impl FnOnce(A) -> F) -> usize {
            size_of::<F>()
        }
        size(|(shared, owed, token, claimed, run)| {
            Shared::<S>::pay(shared, owed, token, claimed, run)
        })
    }

    /// While a store is away there may be as many of these tasks as `MAX_OWED`.
    #[test]
    fn what_the_store_is_owed_takes_little() {
        assert!(task::<crate::dedup::MemoryStore>() <= 640);
        #[cfg(feature = "redis")]
        assert!(task::<crate::dedup::RedisStore>() <= 640);
    }
}
