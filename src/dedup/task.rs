//! Handles one delivery, from the claims to the commit, in a task that outlives the connection.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    sync::oneshot,
    task::unconstrained,
    time::{Instant, sleep_until, timeout_at},
};
use tower::{Service, ServiceExt};

use super::{
    circuit_breaker::CallFailure,
    claim_set::ClaimSet,
    config::OnStoreError,
    partial_failure::PartialFailure,
    placement::Deduplicated,
    rejection::{DedupRejection, DedupRejectionKind},
    retry::{PendingWrites, retry_pending},
    run_handler::{HandlerOutcome, race, run_handler, wait_beside},
    shared::Shared,
    store::{Claim, Renewal, Store, Token},
    tracker::{InFlightGuard, count},
};
use crate::{
    contain::{Contained, contain_drop},
    event::{EventKey, Notification},
    receive::Reservation,
    response::is_success,
    telemetry::{CutOff, EventOutcome, in_current_span},
    time::add_capped,
    verified::Verified,
};

/// Pause between two claims of events in flight elsewhere: doubles from the first to the last.
/// Mostly for other processes: this one wakes its waiters, unless a key is released just before one
/// begins to wait.
const FIRST_RECLAIM: Duration = Duration::from_millis(50);
const MAX_RECLAIM: Duration = Duration::from_millis(200);

/// A lease is renewed when this fraction of it has passed: two more attempts fit if one fails.
const RENEWALS_PER_LEASE: u32 = 3;

/// Maximum pause after a failed renewal. An open circuit refuses calls for the same time.
const RENEWAL_RETRY: Duration = Duration::from_secs(1);

/// The response to a delivery.
pub(super) enum DeliveryResponse<R> {
    /// Made by the layer.
    Own(Response<Bytes>),
    /// That of the handler.
    Inner(Response<R>),
}

impl<R> From<DedupRejection> for DeliveryResponse<R> {
    fn from(rejection: DedupRejection) -> Self {
        Self::Own(rejection.into_response())
    }
}

/// Handles one delivery and sends its response. Pending store writes are retried in a separate
/// task, however the delivery ends.
pub(super) async fn handle_delivery<S, H, B, R>(
    shared: Arc<Shared<S>>,
    inner: H,
    request: Request<B>,
    (notification, reservation): (Notification, Option<Arc<Reservation>>),
    in_flight: InFlightGuard,
    reply: oneshot::Sender<DeliveryResponse<R>>,
) where
    S: Store,
    H: Service<Request<B>, Response = Response<R>>,
{
    let verified = request.extensions().get::<Verified>().cloned();
    if let Some(verified) = &verified {
        shared.check_label(verified);
    }
    let app = verified.as_ref().map_or("", Verified::app);
    let mut delivery = Delivery {
        shared: &shared,
        claims: ClaimSet::default(),
        writes: None,
        app,
        verified: verified.as_ref(),
        token: Token::random(),
        lease_start: Instant::now(),
        in_flight: &in_flight,
    };
    // The handler may hold the body after its response, so the memory stays reserved until then.
    let _reservation = reservation;
    // If what the host left to be dropped panics, the response is lost and the writes are not.
    let _ = Contained::new(delivery.handle(inner, request, notification, reply)).await;
    let writes = delivery.take_writes();
    if !writes.is_empty() {
        // A separate task, because this one is as large as the handler and all that it awaits.
        let (token, lease_start) = (delivery.token, delivery.lease_start);
        drop(delivery);
        let retry = retry_pending(shared, writes, token, lease_start, in_flight);
        tokio::spawn(in_current_span(retry));
    }
}

struct Delivery<'a, S> {
    shared: &'a Shared<S>,
    claims: ClaimSet,
    /// Writes that the store has not confirmed. `None` until the outcome is known.
    writes: Option<PendingWrites>,
    /// Label of the app that received the delivery. If two apps receive an event, both handle it.
    app: &'a str,
    /// Where to report mistakes of the setup. `None` if the host made the notification itself.
    verified: Option<&'a Verified>,
    token: Token,
    /// When the last claim or successful renewal was sent: the earliest start of the current lease.
    lease_start: Instant,
    in_flight: &'a InFlightGuard,
}

/// Result of claiming the events of a delivery.
enum ClaimOutcome {
    /// There are events to handle.
    Proceed {
        unprotected: bool,
    },
    Respond(WithoutHandler),
}

/// Response to a delivery whose handler is not called.
enum WithoutHandler {
    /// All events were handled before.
    AllDone,
    Rejected(DedupRejection),
}

impl ClaimOutcome {
    fn reject(kind: DedupRejectionKind) -> Self {
        Self::Respond(WithoutHandler::Rejected(kind.into()))
    }
}

impl<S: Store> Delivery<'_, S> {
    /// Handles the delivery and sends its response. Sends none if the host's key function panics.
    async fn handle<H, B, R>(
        &mut self,
        inner: H,
        mut request: Request<B>,
        notification: Notification,
        reply: oneshot::Sender<DeliveryResponse<R>>,
    ) where
        H: Service<Request<B>, Response = Response<R>>,
    {
        let tracker = &self.shared.tracker;
        let claims = ClaimSet::new(&notification, self.app, &self.shared.policy).await;
        let Ok(claims) = claims else { return };
        self.claims = claims;
        if let Some(verified) = self.verified.filter(|_| self.claims.has_collision) {
            verified.warnings().keys_collide();
        }
        let claimed = self.claim().await;
        self.note_deferrals();
        let unprotected = match claimed {
            ClaimOutcome::Proceed { unprotected } => unprotected,
            ClaimOutcome::Respond(response) => {
                let response = self.respond_without_handler(response, &notification);
                contain_drop((request, notification));
                self.send(response, reply);
                return;
            }
        };
        let fresh = self.claims.fresh(&notification, unprotected).await;
        self.count_events(&fresh, unprotected);
        let handling = Deduplicated::mark(request.extensions_mut(), fresh);

        let outcome = self.run_with_renewals(inner.oneshot(request)).await;
        drop(handling);
        let response = match outcome {
            HandlerOutcome::Responded(response) => self.settle(response, &notification).await,
            HandlerOutcome::Failed => self.release_all(DedupRejectionKind::HandlerFailed).await,
            HandlerOutcome::Panicked => {
                tracker.count_cut_off(CutOff::Panic);
                self.release_all(DedupRejectionKind::HandlerPanicked).await
            }
            HandlerOutcome::TimedOut => {
                tracker.count_cut_off(CutOff::Deadline);
                self.release_all(DedupRejectionKind::HandlerDeadline).await
            }
            HandlerOutcome::Aborted => {
                tracker.count_cut_off(CutOff::Drain);
                self.release_all(DedupRejectionKind::Draining).await
            }
        };
        self.send(response, reply);
    }

    /// Sends the response, and reports why it is a rejection.
    fn send<R>(&self, response: DeliveryResponse<R>, reply: oneshot::Sender<DeliveryResponse<R>>) {
        let extensions = match &response {
            DeliveryResponse::Own(response) => response.extensions(),
            DeliveryResponse::Inner(response) => response.extensions(),
        };
        if let Some(rejection) = extensions.get::<DedupRejection>() {
            // Without a receiver the sender has disconnected, or got a 503 at the deadline.
            let telemetry = &self.shared.tracker.telemetry;
            telemetry.rejected(rejection, !reply.is_closed());
        }
        let _ = reply.send(response);
    }

    fn respond_without_handler<R>(
        &self,
        response: WithoutHandler,
        notification: &Notification,
    ) -> DeliveryResponse<R> {
        let tracker = &self.shared.tracker;
        match response {
            WithoutHandler::AllDone => {
                let events = notification.peek_events().len();
                tracker.count_events(EventOutcome::Suppressed, events);
                // Nobody need read what was handled before.
                notification.mark_read();
                DeliveryResponse::Own(Response::new(Bytes::new()))
            }
            WithoutHandler::Rejected(rejection) => rejection.into(),
        }
    }

    /// Counts the events that are in flight elsewhere for longer than a lease: no retry of Meta
    /// gets through to the handler.
    fn note_deferrals(&self) {
        let (shared, claims) = (self.shared, &self.claims);
        shared.deferrals.end(|| claims.resolved());
        let (pending, lease) = (claims.pending(), shared.timeouts.lease);
        let stuck = shared.deferrals.note(&pending, Instant::now(), lease);
        shared.tracker.count_events(EventOutcome::Stuck, stuck);
    }

    /// Returns the writes that the store has not confirmed. Without a known outcome, those are the
    /// releases of all claimed events.
    fn take_writes(&mut self) -> PendingWrites {
        let writes = self.writes.take();
        writes.unwrap_or_else(|| PendingWrites::release(self.claims.claimed()))
    }

    /// Claims the events. If all of them are in flight elsewhere, waits until one is free or all
    /// are done.
    async fn claim(&mut self) -> ClaimOutcome {
        let shared = self.shared;
        let tracker = &shared.tracker;
        tracker.count_events(EventOutcome::RefusedStale, self.claims.refused);
        if self.claims.are_all_refused() {
            return ClaimOutcome::reject(DedupRejectionKind::Stale);
        }
        let wait_deadline = add_capped(Instant::now(), shared.timeouts.in_flight_wait);
        let mut permit = None;
        let mut pause = FIRST_RECLAIM;
        loop {
            let mut unresolved = self.claims.unresolved();
            if !unresolved.is_empty() {
                self.lease_start = Instant::now();
                let lease = shared.timeouts.lease;
                let claims = shared.store.claim(&unresolved, self.token, lease);
                let claims = claims.await;
                unresolved.truncate(claims.sent());
                self.claims.record(claims.answers);
                if let Err(failure) = claims.result {
                    return self.on_claim_failure(failure, unresolved);
                }
            }
            if self.claims.has(Claim::Claimed) {
                return ClaimOutcome::Proceed { unprotected: false };
            }
            let unresolved = self.claims.unresolved();
            let Some(first) = unresolved.first() else {
                return if self.claims.has_undeduplicated() || self.claims.is_empty() {
                    ClaimOutcome::Proceed { unprotected: false }
                } else {
                    ClaimOutcome::Respond(WithoutHandler::AllDone)
                };
            };
            if permit.is_none() {
                permit = shared.waiters.try_acquire().ok();
            }
            let is_over = Instant::now() >= wait_deadline || self.in_flight.is_aborted();
            if permit.is_none() || is_over {
                return ClaimOutcome::reject(DedupRejectionKind::InFlight);
            }
            let mut notified = pin!(shared.notifier(*first).notified());
            let mut aborted = pin!(self.in_flight.aborted());
            let woken = poll_fn(|cx| match notified.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => aborted.as_mut().poll(cx),
            });
            let _ = timeout_at(wait_deadline.min(Instant::now() + pause), woken).await;
            pause = (2 * pause).min(MAX_RECLAIM);
        }
    }

    /// Decides what happens after a failed claim. The store may hold claims of the keys that were
    /// sent: they are released unless the handler runs unprotected.
    fn on_claim_failure(&mut self, failure: CallFailure, sent: Vec<EventKey>) -> ClaimOutcome {
        let delivers = self.shared.on_store_error == OnStoreError::Deliver;
        if delivers && self.claims.assume_claimed() {
            return ClaimOutcome::Proceed { unprotected: true };
        }
        self.writes = Some(PendingWrites::release(sent));
        let (CallFailure::NotSent(error) | CallFailure::Ambiguous(error)) = failure;
        ClaimOutcome::Respond(WithoutHandler::Rejected(error.into()))
    }

    /// Counts the events that the handler gets, and those that are kept from it.
    fn count_events(&self, fresh: &Notification, unprotected: bool) {
        let tracker = &self.shared.tracker;
        count(&tracker.delivered, fresh.peek_events().len());
        tracker.count_events(EventOutcome::Suppressed, fresh.peek_suppressed().len());
        if unprotected {
            tracker.count_events(EventOutcome::Unprotected, fresh.peek_events().len());
        }
        if self.claims.has_stale {
            let stale = fresh.peek_events().iter().filter(|event| event.is_stale());
            tracker.count_events(EventOutcome::Stale, stale.count());
        }
    }

    /// Runs the handler until its end or deadline, and renews the leases of its events meanwhile.
    ///
    /// In the task of the handler on purpose: a handler that blocks its thread renews nothing, so
    /// others can claim its events.
    async fn run_with_renewals<R, E, F>(&mut self, call: F) -> HandlerOutcome<R>
    where
        F: Future<Output = Result<Response<R>, E>>,
    {
        let deadline = self.shared.timeouts.handler_deadline;
        let deadline = deadline.map(|deadline| add_capped(self.lease_start, deadline));
        let mut handler = pin!(run_handler(call, deadline, self.in_flight));
        let mut held = self.claims.claimed();
        let lease = self.shared.timeouts.lease;
        let mut next_renewal = add_capped(self.lease_start, lease / RENEWALS_PER_LEASE);
        while !held.is_empty() {
            // Unconstrained: the handler may have used up the cooperative budget that they share.
            let due = unconstrained(sleep_until(next_renewal));
            if let Some(outcome) = race(handler.as_mut(), due).await {
                return outcome;
            }
            let sent_at = Instant::now();
            // Boxed: most handlers end before their first renewal.
            let renewal = Box::pin(self.shared.store.renew(&held, self.token, lease));
            // The renewal is awaited even if the handler ends first. If it reached the store after
            // the release, the events would be pending for another lease.
            let (outcome, renewals) = wait_beside(handler.as_mut(), unconstrained(renewal)).await;
            let held_before = held.len();
            let mut answers = renewals.answers.into_iter();
            // A lease without an answer may still be held.
            held.retain(|_| {
                answers
                    .next()
                    .is_none_or(|answer| answer == Renewal::Renewed)
            });
            let tracker = &self.shared.tracker;
            tracker.count_events(EventOutcome::LeaseLost, held_before - held.len());
            next_renewal = match renewals.result {
                Ok(()) => {
                    if !held.is_empty() {
                        tracker.telemetry.leases_renewed(held.len());
                    }
                    self.lease_start = sent_at;
                    add_capped(sent_at, lease / RENEWALS_PER_LEASE)
                }
                Err(_) => {
                    let pause = RENEWAL_RETRY.min(lease / (2 * RENEWALS_PER_LEASE));
                    add_capped(Instant::now(), pause)
                }
            };
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
        handler.await
    }

    /// Commits and releases events as the response of the handler says. Returns the response to
    /// send.
    async fn settle<R>(
        &mut self,
        mut response: Response<R>,
        notification: &Notification,
    ) -> DeliveryResponse<R> {
        if let Some(verified) = self.verified {
            verified.warnings().check_response(&response);
        }
        let success = is_success(&response);
        let failure = response.extensions_mut().remove::<PartialFailure>();
        let rejection = match failure.filter(|failure| !failure.is_empty()) {
            Some(failure) => Some(self.split_by(&failure, notification).await),
            None if success => {
                self.split(|_| false).await;
                None
            }
            None => {
                self.split(|_| true).await;
                Some(DedupRejectionKind::HandlerRefused)
            }
        };
        self.write().await;
        // The response does not depend on the writes: after a failed commit the work is done all
        // the same, and a redelivery would only repeat it.
        match rejection {
            Some(kind) => {
                DedupRejection::from(kind).mark(&mut response);
                DeliveryResponse::Inner(response)
            }
            // A 200 would stop the redelivery of events that may still fail elsewhere.
            None if self.claims.has(Claim::Pending) => {
                contain_drop(response);
                DedupRejection::from(DedupRejectionKind::InFlight).into()
            }
            None => DeliveryResponse::Inner(response),
        }
    }

    /// Splits the claimed events into those to commit and those to release.
    async fn split(&mut self, has_failed: impl Fn(EventKey) -> bool) {
        let (commit, release) = self.claims.split(has_failed).await;
        self.writes = Some(PendingWrites { commit, release });
    }

    /// Splits the claimed events as the handler has reported them. Returns the reason to reject the
    /// delivery.
    async fn split_by(
        &mut self,
        failure: &PartialFailure,
        notification: &Notification,
    ) -> DedupRejectionKind {
        let policy = &self.shared.policy;
        let failed = self
            .claims
            .failed_keys(failure, notification, self.app, policy)
            .await;
        match failed {
            Some(failed) => {
                self.split(|key| failed.contains(&key)).await;
                DedupRejectionKind::PartlyFailed
            }
            None => {
                self.split(|_| true).await;
                DedupRejectionKind::FailureUnmatched
            }
        }
    }

    /// Releases all claimed events and returns a rejection.
    async fn release_all<R>(&mut self, kind: DedupRejectionKind) -> DeliveryResponse<R> {
        self.writes = Some(PendingWrites::release(self.claims.claimed()));
        self.write().await;
        DedupRejection::from(kind).into()
    }

    /// Sends the writes to the store. Those that it does not confirm stay pending.
    async fn write(&mut self) {
        let shared = self.shared;
        let Some(writes) = &mut self.writes else {
            return;
        };
        if shared.is_lease_over(self.lease_start) {
            let tracker = &shared.tracker;
            tracker.count_events(EventOutcome::LeaseOverrun, writes.release.len());
        }
        let commit = shared.commit(&mut writes.commit, self.token, self.lease_start);
        commit.await;
        shared.release(&mut writes.release, self.token).await;
    }
}
