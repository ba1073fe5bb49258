//! Log events of a [`DedupLayer`](crate::dedup::DedupLayer) (feature `tracing`).

use std::{error::Error, fmt};

use tracing::{debug, info, warn};

use super::{
    logs::{TARGET, warn_or_debug},
    observation::{CutOff, EventOutcome, StoreOperation},
    rate_limit::RateLimit,
};
use crate::dedup::{DedupRejection, DedupRejectionKind, StoreError};

/// Rate limits of the rejections of one layer, by kind.
#[derive(Debug, Default)]
pub(super) struct DedupLimits([RateLimit; DedupRejectionKind::COUNT]);

pub(super) fn rejected(limits: &DedupLimits, rejection: &DedupRejection) {
    let kind = rejection.kind();
    // Normal in operation, or told by another event.
    let is_normal = matches!(
        kind,
        DedupRejectionKind::InFlight
            | DedupRejectionKind::Draining
            | DedupRejectionKind::HandlerDeadline
            | DedupRejectionKind::HandlerPanicked
            | DedupRejectionKind::StoreFull
            | DedupRejectionKind::StoreUnavailable
    );
    let limit = limits.0.get(kind as usize).filter(|_| !is_normal);
    let cause = rejection.source().map(|source| Chain(source).to_string());
    warn_or_debug!(
        limit.and_then(RateLimit::admit),
        {
            reason = kind.name(),
            cause = cause.as_deref()
        },
        advice(kind)
    );
}

/// A drain is for good, so a process that goes on answers 503 to everything.
pub(super) fn refused_by_drain(limit: &RateLimit) {
    let kind = DedupRejectionKind::Draining;
    warn_or_debug!(limit.admit(), { reason = kind.name() }, advice(kind));
}

pub(super) fn events(limit: &RateLimit, outcome: EventOutcome, count: usize) {
    let text = match outcome {
        EventOutcome::Suppressed => {
            debug!(target: TARGET, count, "kept events from the handler: handled before, in flight, repeated or stale");
            return;
        }
        EventOutcome::Stale => {
            "gave events to the handler that are older than their window, so they may have been \
             handled before: samples and late deliveries of Meta, or the clock of this machine is wrong"
        }
        EventOutcome::RefusedStale => {
            "refused events that are older than their window: replays of old deliveries, or Meta \
             sent them late"
        }
        EventOutcome::Unprotected => {
            "gave events to the handler without deduplication, because the store is unavailable: \
             they may be handled twice"
        }
        EventOutcome::Fenced | EventOutcome::LeaseLost | EventOutcome::LeaseOverrun => {
            "events may have been handled twice: their lease expired while the handler ran, because \
             it blocks its thread or the store was unavailable for longer than a `lease`"
        }
        EventOutcome::Unrecorded => {
            "events were handled, and the store did not confirm that it has recorded them: if Meta \
             sends them again, they are handled again. Check the store: its failures are logged too"
        }
        EventOutcome::Stuck => {
            "events are in flight for longer than a `lease`, and each of their deliveries is \
             answered with 503: a handler hangs or is slow, so give what it waits for a timeout, or \
             lower `handler_deadline`; or its process died, and the `lease` is long"
        }
    };
    warn_or_debug!(limit.admit(), { dedup_outcome = outcome.name(), count }, text);
}

pub(super) fn cut_off(limit: &RateLimit, reason: CutOff) {
    let text = match reason {
        CutOff::Deadline => {
            "a handler was dropped at its `handler_deadline`, and Meta's next retry starts it \
             again: raise the deadline or make the handler faster"
        }
        CutOff::Drain => {
            "a handler was dropped because the time of the drain was up: another process starts it \
             again"
        }
        CutOff::Panic => "a handler panicked: its events were released, and Meta retries them",
    };
    warn_or_debug!(limit.admit(), { reason = reason.name() }, text);
}

pub(super) fn leases_renewed(count: usize) {
    debug!(target: TARGET, count, "renewed the leases of events, because their handler still runs");
}

pub(super) fn writes_pending(count: usize) {
    debug!(target: TARGET, count, "the store did not confirm writes, which are repeated");
}

pub(super) fn store_failed(limit: &RateLimit, operation: StoreOperation, error: &StoreError) {
    let cause = Chain(error).to_string();
    warn_or_debug!(
        limit.admit(),
        { operation = operation.name(), cause },
        "a call of the store of handled events failed: see `cause`. While claims fail, deliveries \
         get 503 unless `on_store_error` says otherwise"
    );
}

pub(super) fn circuit(is_open: bool) {
    if is_open {
        warn!(
            target: TARGET,
            "the store of handled events has failed several times in a row: until a call succeeds, \
             it is called at most once a second, and only while deliveries arrive"
        );
    } else {
        info!(target: TARGET, "the store of handled events works again");
    }
}

/// An error and its causes, separated by colons.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

/// What happened and what to do about it.
fn advice(kind: DedupRejectionKind) -> &'static str {
    match kind {
        DedupRejectionKind::InFlight => {
            "answered 503 because other copies of these events are being handled now"
        }
        DedupRejectionKind::StoreUnavailable => {
            "answered 503 without calling the handler, because the store of handled events failed: \
             see `cause`"
        }
        DedupRejectionKind::StoreFull => {
            "answered 503 without calling the handler, because the store of handled events is full: \
             give it more memory or a shorter `window`"
        }
        DedupRejectionKind::ResponseDeadline => {
            "answered 503: the handler did not finish within `response_deadline`. It goes on, and \
             Meta's retry is answered with its result. Make it faster, or put slow work into a queue"
        }
        DedupRejectionKind::HandlerDeadline => {
            "answered 503 because the handler was dropped at its `handler_deadline`"
        }
        DedupRejectionKind::HandlerRefused => {
            "the handler did not answer with 2xx, so Meta retries these events: see what the \
             handler itself logged"
        }
        DedupRejectionKind::HandlerFailed => {
            "the inner service returned an error, so Meta retries these events: log it with \
             `tower::util::MapErrLayer` inside of the layer"
        }
        DedupRejectionKind::HandlerPanicked => {
            "the handler panicked, so Meta retries these events: see the panic message"
        }
        DedupRejectionKind::PartlyFailed => {
            "the handler reported that some events failed, so Meta retries those"
        }
        DedupRejectionKind::FailureUnmatched => {
            "the handler reported failed events that are not in the delivery, so Meta retries all \
             of it: compare the keys with `Event::key_in`"
        }
        DedupRejectionKind::TaskFailed => {
            "the task of a delivery ended without a response, so Meta retries it: a host function \
             panicked, or the runtime is shutting down"
        }
        DedupRejectionKind::Draining => {
            "answered 503 because the layer was drained for a shutdown. Meta retries, and another \
             process takes the delivery. If this process goes on, build a new layer: a drain is \
             for good"
        }
        DedupRejectionKind::Stale => {
            "refused a delivery whose events are all older than their windows"
        }
    }
}
