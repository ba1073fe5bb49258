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
    tracker::{InFlightGuard, add_capped, count},
};
use crate::{
    event::{EventKey, Notification},
    receive::Reservation,
    response::is_success,
    verified::Verified,
};

/// Pause between two claims of events in flight elsewhere: doubles from the first to the last. Only
/// other processes need it, because this one wakes its waiters.
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

impl<R> From<DedupRejectionKind> for DeliveryResponse<R> {
    fn from(kind: DedupRejectionKind) -> Self {
        DedupRejection::from(kind).into()
    }
}

/// Handles one delivery and sends its response. Pending store writes are retried in a separate
/// task.
pub(super) async fn handle_delivery<S, H, B, R>(
    shared: Arc<Shared<S>>,
    inner: H,
    request: Request<B>,
    notification: Notification,
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
        claims: ClaimSet::new(&notification, app, &shared.policy).await,
        app,
        verified: verified.as_ref(),
        token: Token::random(),
        lease_start: Instant::now(),
        in_flight: &in_flight,
    };
    let writes = delivery.handle(inner, request, notification, reply).await;
    if !writes.is_empty() {
        // A separate task, because this one is as large as the handler and all that it awaits.
        let (token, lease_start) = (delivery.token, delivery.lease_start);
        drop(delivery);
        tokio::spawn(retry_pending(shared, writes, token, lease_start, in_flight));
    }
}

struct Delivery<'a, S> {
    shared: &'a Shared<S>,
    claims: ClaimSet,
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
    Respond(WithoutHandler, PendingWrites),
}

/// Response to a delivery whose handler is not called.
enum WithoutHandler {
    /// All events were handled before.
    AllDone,
    Rejected(DedupRejection),
}

impl ClaimOutcome {
    fn reject(kind: DedupRejectionKind) -> Self {
        Self::Respond(WithoutHandler::Rejected(kind.into()), PendingWrites::NONE)
    }
}

impl<S: Store> Delivery<'_, S> {
    /// Handles the delivery and sends its response. Returns the writes that the store has not
    /// confirmed.
    async fn handle<H, B, R>(
        &mut self,
        inner: H,
        mut request: Request<B>,
        notification: Notification,
        reply: oneshot::Sender<DeliveryResponse<R>>,
    ) -> PendingWrites
    where
        H: Service<Request<B>, Response = Response<R>>,
    {
        let tracker = &self.shared.tracker;
        let unprotected = match self.claim().await {
            ClaimOutcome::Proceed { unprotected } => unprotected,
            ClaimOutcome::Respond(response, writes) => {
                let response = match response {
                    WithoutHandler::AllDone => {
                        count(&tracker.suppressed, notification.peek_events().len());
                        // Nobody need read what was handled before.
                        notification.mark_read();
                        DeliveryResponse::Own(Response::new(Bytes::new()))
                    }
                    WithoutHandler::Rejected(rejection) => rejection.into(),
                };
                drop((request, notification));
                let _ = reply.send(response);
                return writes;
            }
        };
        // The handler may hold the body after its response, so the memory stays reserved until
        // then.
        let reservation = request.extensions_mut().remove::<Arc<Reservation>>();
        let fresh = self.claims.fresh(&notification, unprotected).await;
        self.count_events(&fresh, unprotected);
        Deduplicated::mark(request.extensions_mut(), fresh);

        let call = async { inner.oneshot(request).await.map_err(drop) };
        let outcome = self.run_with_renewals(call).await;
        let (response, writes) = match outcome {
            HandlerOutcome::Responded(response) => self.settle(response, &notification).await,
            HandlerOutcome::Failed => self.release_all(DedupRejectionKind::HandlerFailed).await,
            HandlerOutcome::Panicked => self.release_all(DedupRejectionKind::HandlerPanicked).await,
            HandlerOutcome::TimedOut => {
                count(&tracker.timed_out, 1);
                self.release_all(DedupRejectionKind::HandlerDeadline).await
            }
            HandlerOutcome::Aborted => {
                count(&tracker.aborted, 1);
                self.release_all(DedupRejectionKind::Draining).await
            }
        };
        let _ = reply.send(response);
        drop(reservation);
        writes
    }

    /// Claims the events. If all of them are in flight elsewhere, waits until one is free or all
    /// are done.
    async fn claim(&mut self) -> ClaimOutcome {
        let shared = self.shared;
        count(&shared.tracker.refused, self.claims.refused);
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
                return if self.claims.has_unkeyed() || self.claims.is_empty() {
                    ClaimOutcome::Proceed { unprotected: false }
                } else {
                    ClaimOutcome::Respond(WithoutHandler::AllDone, PendingWrites::NONE)
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
        let (CallFailure::NotSent(error) | CallFailure::Ambiguous(error)) = failure;
        ClaimOutcome::Respond(
            WithoutHandler::Rejected(error.into()),
            PendingWrites::release(sent),
        )
    }

    /// Counts the events that the handler gets, and those that are kept from it.
    fn count_events(&self, fresh: &Notification, unprotected: bool) {
        let tracker = &self.shared.tracker;
        count(&tracker.handled, fresh.peek_events().len());
        count(&tracker.suppressed, fresh.peek_suppressed().len());
        if unprotected {
            count(&tracker.unprotected, fresh.peek_events().len());
        }
        if self.claims.has_stale {
            let stale = fresh.peek_events().iter().filter(|event| event.is_stale());
            count(&tracker.stale, stale.count());
        }
    }

    /// Runs the handler until its end or deadline, and renews the leases of its events meanwhile.
    ///
    /// In the task of the handler on purpose: a handler that blocks its thread renews nothing, so
    /// others can claim its events.
    async fn run_with_renewals<R, F>(&mut self, call: F) -> HandlerOutcome<R>
    where
        F: Future<Output = Result<Response<R>, ()>>,
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
            count(&self.shared.tracker.leases_lost, held_before - held.len());
            next_renewal = match renewals.result {
                Ok(()) => {
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
        &self,
        mut response: Response<R>,
        notification: &Notification,
    ) -> (DeliveryResponse<R>, PendingWrites) {
        if let Some(verified) = self.verified {
            verified.warnings().check_response(&response);
        }
        let success = is_success(&response);
        let failure = response.extensions_mut().remove::<PartialFailure>();
        let failure = failure.filter(|failure| !failure.is_empty());
        let (mut done, mut failed) = self.split(success, failure.as_ref(), notification).await;
        let rejection = if failure.is_some() {
            Some(DedupRejectionKind::PartlyFailed)
        } else if !success {
            Some(DedupRejectionKind::HandlerRefused)
        } else {
            None
        };
        self.shared.commit(&mut done, self.token).await;
        self.shared.release(&mut failed, self.token).await;
        let writes = PendingWrites {
            commit: done,
            release: failed,
        };
        // The response does not depend on the writes: after a failed commit the work is done all
        // the same, and a redelivery would only repeat it.
        let response = match rejection {
            Some(kind) => {
                DedupRejection::from(kind).mark(&mut response);
                DeliveryResponse::Inner(response)
            }
            // A 200 would stop the redelivery of events that may still fail elsewhere.
            None if self.claims.has(Claim::Pending) => DedupRejectionKind::InFlight.into(),
            None => DeliveryResponse::Inner(response),
        };
        (response, writes)
    }

    /// Splits the claimed events into handled ones, with their windows, and failed ones.
    async fn split(
        &self,
        success: bool,
        failure: Option<&PartialFailure>,
        notification: &Notification,
    ) -> (Vec<(EventKey, Duration)>, Vec<EventKey>) {
        let Some(failure) = failure else {
            return self.claims.split(|_| !success).await;
        };
        let policy = &self.shared.policy;
        let failed = self
            .claims
            .failed_keys(failure, notification, self.app, policy)
            .await;
        match failed {
            Some(failed) => self.claims.split(|key| failed.contains(&key)).await,
            None => self.claims.split(|_| true).await,
        }
    }

    /// Releases all claimed events and returns a rejection.
    async fn release_all<R>(
        &self,
        kind: DedupRejectionKind,
    ) -> (DeliveryResponse<R>, PendingWrites) {
        let mut claimed = self.claims.claimed();
        self.shared.release(&mut claimed, self.token).await;
        (kind.into(), PendingWrites::release(claimed))
    }
}
