//! One delivery, from the claims to the commit, in a task that outlives the connection.

use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    ptr,
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
    claim_set::{Plan, Policy},
    guard::{Failure, Guarded},
    handle::{InFlightGuard, Tracker, after, count},
    partial_failure::PartialFailure,
    placement::Deduplicated,
    rejection::{DedupRejection, DedupRejectionKind},
    store::{Claim, Commit, Renewal, Store, Token},
};
use crate::{
    event::{EventKey, Notification},
    receive::Reservation,
    response::is_success,
    verified::Verified,
};

/// The pauses between two looks at events that are being handled elsewhere. What this process handles itself wakes who waits for it.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// A lease is renewed when this part of it has passed. Two more attempts fit if the first one fails.
const RENEWALS_PER_LEASE: u32 = 3;

/// Maximum pause after a failed renewal. It is that of an open circuit.
const RENEWAL_RETRY: Duration = Duration::from_secs(1);

/// The pauses between two tries to tell the store something after the answer has been given.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The most events of which the store is still pending a word, over all deliveries: some 3 MiB, and for each delivery a task of less than a kilobyte.
/// Beyond, their leases pass.
const MAX_OWED: usize = 65_536;

/// One for each first byte of a key: who waits for a key is woken when any with its notifier is handled.
const NOTIFIERS: usize = 256;

/// What the clones of a layer share.
pub(super) struct Shared<S> {
    store: Chunked<S>,
    policy: Policy,
    pub(super) times: Times,
    on_store_error: OnStoreError,
    waiters: Semaphore,
    pending: Semaphore,
    notifiers: [Notify; NOTIFIERS],
    pub(super) tracker: Arc<Tracker>,
}

/// An answer: one of ours, or the handler's.
pub(super) enum Answer<R> {
    Own(Response<Bytes>),
    Inner(Response<R>),
}

impl<R> From<DedupRejection> for Answer<R> {
    fn from(rejection: DedupRejection) -> Self {
        Self::Own(rejection.into_response())
    }
}

impl<R> From<DedupRejectionKind> for Answer<R> {
    fn from(kind: DedupRejectionKind) -> Self {
        DedupRejection::from(kind).into()
    }
}

/// What the store is to be told after the answer has been given.
struct PendingWrites {
    commit: Vec<(EventKey, Duration)>,
    release: Vec<EventKey>,
}

impl PendingWrites {
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
        let tracker = Arc::new(Tracker::new(times.store));
        Self {
            store: Chunked(Guarded::new(
                store,
                times.store,
                Arc::clone(&tracker.store_failures),
            )),
            policy,
            times,
            on_store_error,
            waiters: Semaphore::new(waiters.min(Semaphore::MAX_PERMITS)),
            pending: Semaphore::new(MAX_OWED),
            notifiers: std::array::from_fn(|_| Notify::new()),
            tracker,
        }
    }

    /// Handles a delivery and answers it. What the store is pending then goes on after it.
    pub(super) async fn handle<H, B, R>(
        self: Arc<Self>,
        inner: H,
        request: Request<B>,
        notification: Notification,
        run: InFlightGuard,
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
            leased: Instant::now(),
            run: &run,
        };
        let pending = delivery.handle(inner, request, notification, reply).await;
        if !pending.is_empty() {
            // In a small task of its own: this one has room for the handler and all that it awaits.
            let (token, leased) = (delivery.token, delivery.leased);
            drop(delivery);
            tokio::spawn(self.retry_pending(pending, token, leased, run));
        }
    }

    fn notifier(&self, key: EventKey) -> &Notify {
        let [first, ..] = key.to_bytes();
        // A key of the host's own may have the same there in all; then more are woken than need be.
        #[expect(clippy::indexing_slicing, reason = "there is one for each byte")]
        &self.notifiers[usize::from(first)]
    }

    /// The keys are sorted. Those that share a notifier wake their waiters once.
    fn notify(&self, keys: impl IntoIterator<Item = EventKey>) {
        let mut last = None;
        for key in keys {
            let notifier = self.notifier(key);
            if !last.is_some_and(|last| ptr::eq(last, notifier)) {
                notifier.notify_waiters();
            }
            last = Some(notifier);
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
        count(&self.tracker.fenced, fenced.count());
        self.notify(keys.drain(..commits.len()).map(|(key, _)| key));
    }

    /// Releases keys, and removes them from the list. Those that the store has not confirmed stay.
    async fn release(&self, keys: &mut Vec<EventKey>, token: Token) {
        if keys.is_empty() {
            return;
        }
        let released = self.store.release(keys, token).await.answers;
        self.notify(keys.drain(..released.len()));
    }

    /// Tells the store what it has not heard yet, until the lease has passed.
    async fn retry_pending(
        self: Arc<Self>,
        mut pending: PendingWrites,
        token: Token,
        leased: Instant,
        run: InFlightGuard,
    ) {
        let permits = u32::try_from(pending.len()).unwrap_or(u32::MAX);
        let Ok(_permits) = self.pending.try_acquire_many(permits) else {
            count(&self.tracker.unrecorded, pending.commit.len());
            return;
        };
        let end = after(leased, self.times.lease);
        let mut pause = FIRST_RETRY;
        while !pending.is_empty() {
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
            Box::pin(self.commit(&mut pending.commit, token)).await;
            Box::pin(self.release(&mut pending.release, token)).await;
            if last {
                count(&self.tracker.unrecorded, pending.commit.len());
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
    /// When the last claim or successful renewal was sent: the earliest start of the current lease.
    leased: Instant,
    run: &'a InFlightGuard,
}

/// How the claims ended.
enum Claimed {
    /// There is something to handle.
    Fresh { unprotected: bool },
    /// There is not.
    Answered(Answered, PendingWrites),
}

enum Answered {
    AllDone,
    Rejected(DedupRejection),
}

impl<S: Store> Delivery<'_, S> {
    /// Handles and answers it. What is left is what the store is still pending.
    async fn handle<H, B, R>(
        &mut self,
        inner: H,
        mut request: Request<B>,
        notification: Notification,
        reply: oneshot::Sender<Answer<R>>,
    ) -> PendingWrites
    where
        H: Service<Request<B>, Response = Response<R>>,
    {
        let counters = &self.shared.tracker;
        let unprotected = match self.claim().await {
            Claimed::Fresh { unprotected } => unprotected,
            Claimed::Answered(answered, pending) => {
                let answer = match answered {
                    Answered::AllDone => {
                        count(&counters.suppressed, notification.events().len());
                        Answer::Own(Response::new(Bytes::new()))
                    }
                    Answered::Rejected(rejection) => rejection.into(),
                };
                drop((request, notification));
                let _ = reply.send(answer);
                return pending;
            }
        };
        // The body stays in the memory budget for as long as the handler may hold it, answered or not.
        let reservation = request.extensions_mut().remove::<Arc<Reservation>>();
        let fresh = self.plan.fresh(&notification, unprotected).await;
        count(&counters.handled, fresh.events().len());
        count(&counters.suppressed, fresh.suppressed().len());
        if unprotected {
            count(&counters.unprotected, fresh.events().len());
        }
        if self.plan.has_stale {
            let stale = fresh.events().iter().filter(|event| event.is_stale());
            count(&counters.stale, stale.count());
        }
        Deduplicated::mark(request.extensions_mut(), fresh);

        let call = async { inner.oneshot(request).await.map_err(drop) };
        let end = self.supervise(call).await;
        let (answer, pending) = match end {
            HandlerOutcome::Answered(response) => self.conclude(response, &notification).await,
            HandlerOutcome::Failed => self.undo(DedupRejectionKind::HandlerFailed).await,
            HandlerOutcome::Panicked => self.undo(DedupRejectionKind::HandlerPanicked).await,
            HandlerOutcome::TimedOut => {
                count(&counters.timed_out, 1);
                self.undo(DedupRejectionKind::HandlerDeadline).await
            }
            HandlerOutcome::Aborted => {
                count(&counters.aborted, 1);
                self.undo(DedupRejectionKind::Draining).await
            }
        };
        let _ = reply.send(answer);
        drop(reservation);
        pending
    }

    /// Claims what can be claimed, and waits for the rest if that is all there is.
    async fn claim(&mut self) -> Claimed {
        let shared = self.shared;
        let rejected = |kind: DedupRejectionKind| {
            Claimed::Answered(Answered::Rejected(kind.into()), PendingWrites::NOTHING)
        };
        count(&shared.tracker.refused, self.plan.refused);
        if self.plan.is_refused() {
            return rejected(DedupRejectionKind::Stale);
        }
        let patience = after(Instant::now(), shared.times.wait);
        let mut waiter = None;
        let mut look = FIRST_LOOK;
        loop {
            let mut open = self.plan.open();
            if !open.is_empty() {
                self.leased = Instant::now();
                let claims = shared.store.claim(&open, self.token, shared.times.lease);
                let claims = claims.await;
                open.truncate(claims.asked());
                self.plan.record(claims.answers);
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
                    Claimed::Answered(Answered::AllDone, PendingWrites::NOTHING)
                };
            };
            if waiter.is_none() {
                waiter = shared.waiters.try_acquire().ok();
            }
            if waiter.is_none() || Instant::now() >= patience || self.run.is_aborted() {
                return rejected(DedupRejectionKind::InFlight);
            }
            let mut notified = pin!(shared.notifier(*first).notified());
            let mut aborted = pin!(self.run.aborted());
            let woken = poll_fn(|cx| match notified.as_mut().poll(cx) {
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
        if self.shared.on_store_error == OnStoreError::Deliver && self.plan.assume_claimed() {
            return Claimed::Fresh { unprotected: true };
        }
        let (Failure::NotSent(error) | Failure::Ambiguous(error)) = failure;
        Claimed::Answered(
            Answered::Rejected(error.into()),
            PendingWrites::release(asked),
        )
    }

    /// Tracker the handler to its end or its deadline, and renews the leases of its events meanwhile.
    ///
    /// In the task of the handler on purpose: a handler that blocks its thread renews nothing, so
    /// its events become free.
    async fn supervise<R, F>(&mut self, call: F) -> HandlerOutcome<R>
    where
        F: Future<Output = Result<Response<R>, ()>>,
    {
        let deadline = self.shared.times.handler;
        let deadline = deadline.map(|deadline| after(self.leased, deadline));
        let mut handler = pin!(until_stopped(call, deadline, self.run));
        let mut held = self.plan.claimed();
        let lease = self.shared.times.lease;
        let mut next = after(self.leased, lease / RENEWALS_PER_LEASE);
        while !held.is_empty() {
            // A handler may have used up the cooperative budget of the task, which these share.
            let due = unconstrained(sleep_until(next));
            if let Some(end) = before(handler.as_mut(), due).await {
                return end;
            }
            let sent = Instant::now();
            // Boxed: most handlers end before their first renewal.
            let renewal = Box::pin(self.shared.store.renew(&held, self.token, lease));
            // The renewal is awaited even if the handler ends first. It must not reach the store
            // after the release, or the events would be pending for another lease.
            let (end, renewals) = beside(handler.as_mut(), unconstrained(renewal)).await;
            let before = held.len();
            let mut answers = renewals.answers.into_iter();
            // Without an answer a lease may still be held.
            held.retain(|_| {
                answers
                    .next()
                    .is_none_or(|answer| answer == Renewal::Renewed)
            });
            count(&self.shared.tracker.leases_lost, before - held.len());
            next = match renewals.result {
                Ok(()) => {
                    self.leased = sent;
                    after(sent, lease / RENEWALS_PER_LEASE)
                }
                Err(_) => {
                    let pause = RENEWAL_RETRY.min(lease / (2 * RENEWALS_PER_LEASE));
                    after(Instant::now(), pause)
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
        handler.await
    }

    /// What the handler has said of its events: which are done, and which are not.
    async fn settle(
        &self,
        success: bool,
        failure: Option<&PartialFailure>,
        notification: &Notification,
    ) -> (Vec<(EventKey, Duration)>, Vec<EventKey>) {
        let Some(failure) = failure else {
            return self.plan.settle(|_| !success).await;
        };
        let policy = &self.shared.policy;
        match self
            .plan
            .failed(failure, notification, self.app, policy)
            .await
        {
            Some(failed) => self.plan.settle(|key| failed.contains(&key)).await,
            None => self.plan.settle(|_| true).await,
        }
    }

    /// Tells the store what the handler has said, and says the same to Meta.
    async fn conclude<R>(
        &self,
        mut response: Response<R>,
        notification: &Notification,
    ) -> (Answer<R>, PendingWrites) {
        let success = is_success(&response);
        let failure = response.extensions_mut().remove::<PartialFailure>();
        let failure = failure.filter(|failure| !failure.is_empty());
        let (mut done, mut undone) = self.settle(success, failure.as_ref(), notification).await;
        let rejection = if failure.is_some() {
            Some(DedupRejectionKind::PartlyFailed)
        } else if !success {
            Some(DedupRejectionKind::HandlerRefused)
        } else {
            None
        };
        self.shared.commit(&mut done, self.token).await;
        self.shared.release(&mut undone, self.token).await;
        // The work is done, whether the store has confirmed it or not. Another answer would repeat
        // it.
        let pending = PendingWrites {
            commit: done,
            release: undone,
        };
        let answer = match rejection {
            Some(kind) => {
                DedupRejection::from(kind).mark(&mut response);
                Answer::Inner(response)
            }
            // A 200 would end Meta's tries although the other holder may still fail.
            None if self.plan.has(Claim::Pending) => DedupRejectionKind::InFlight.into(),
            None => Answer::Inner(response),
        };
        (answer, pending)
    }

    async fn undo<R>(&self, kind: DedupRejectionKind) -> (Answer<R>, PendingWrites) {
        let mut claimed = self.plan.claimed();
        self.shared.release(&mut claimed, self.token).await;
        (kind.into(), PendingWrites::release(claimed))
    }
}

/// Polls the handler until it ends, its deadline has passed or a drain aborts it.
async fn until_stopped<R, F>(
    call: F,
    deadline: Option<Instant>,
    run: &InFlightGuard,
) -> HandlerOutcome<R>
where
    F: Future<Output = Result<Response<R>, ()>>,
{
    let mut call = pin!(call);
    // A handler may have used up the cooperative budget of the task, which these share.
    let mut deadline = pin!(unconstrained(async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    }));
    let mut aborted = pin!(unconstrained(run.aborted()));
    poll_fn(|cx| {
        // Whatever a handler leaves behind when it panics is dropped with it.
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Ready(Ok(response))) => {
                return Poll::Ready(HandlerOutcome::Answered(response));
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

/// Returns the output of `first` if it is ready before `other`.
async fn before<F: Future>(mut first: Pin<&mut F>, other: impl Future) -> Option<F::Output> {
    let mut other = pin!(other);
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => other.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// Waits for `needed`, and polls `other` meanwhile. Returns both outputs, that of `other` if it
/// was ready.
async fn beside<F: Future, G: Future>(
    mut other: Pin<&mut F>,
    needed: G,
) -> (Option<F::Output>, G::Output) {
    let mut needed = pin!(needed);
    let mut ended = None;
    poll_fn(|cx| {
        if ended.is_none()
            && let Poll::Ready(output) = other.as_mut().poll(cx)
        {
            ended = Some(output);
        }
        needed
            .as_mut()
            .poll(cx)
            .map(|output| (ended.take(), output))
    })
    .await
}

/// How a call of the handler ended.
enum HandlerOutcome<R> {
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
        size(|(shared, pending, token, claimed, run)| {
            Shared::<S>::retry_pending(shared, pending, token, claimed, run)
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
