//! Detects layers in the wrong place: a `DedupLayer` outside the `WebhookLayer`, where it gets no
//! events, and a second `DedupLayer` inside the first, which would wait for the claims of the
//! first.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::{Extensions, Request};

use super::tracker::{Tracker, count};
use crate::{
    event::Notification, signature::SIGNATURE_HEADER, verified::Verified, webhook::SetupWarnings,
};

/// Marks a request whose events a `DedupLayer` has deduplicated, and holds the events to handle.
pub(super) struct Deduplicated(Notification);

impl Clone for Deduplicated {
    fn clone(&self) -> Self {
        Self(self.0.clone_unread())
    }
}

impl Deduplicated {
    /// Puts the events to handle into the extensions of a request.
    pub(super) fn mark(extensions: &mut Extensions, fresh: Notification) {
        extensions.insert(Self(fresh.clone_unread()));
        extensions.insert(fresh);
    }

    /// Returns whether an outer `DedupLayer` has marked the request, and reports that. Restores the
    /// events that the outer layer left, because a `WebhookLayer` in between has parsed the body
    /// again.
    ///
    /// A request with another body is another delivery, even with the extensions of this one.
    pub(super) fn check(extensions: &mut Extensions, notification: &Notification) -> bool {
        let Some(Self(fresh)) = extensions.get() else {
            return false;
        };
        if fresh.peek_body() != notification.peek_body() {
            return false;
        }
        let fresh = fresh.clone_unread();
        extensions.insert(fresh);
        // The handler gets the other one instead.
        notification.mark_read();
        if let Some(verified) = extensions.get::<Verified>() {
            verified.warnings().dedup_repeated();
        }
        true
    }
}

/// Marks a request that may be a delivery and that a `DedupLayer` passes through, because it has no
/// events yet.
#[derive(Clone)]
pub(crate) struct Passage(Arc<Layers>);

/// What the layers further inside did with the request.
#[derive(Default)]
struct Layers {
    /// Set by the `WebhookLayer` that verified it: where to report.
    warnings: OnceLock<Arc<SetupWarnings>>,
    deduplicated: AtomicBool,
}

impl Passage {
    /// Records that a `WebhookLayer` has verified the delivery, inside the `DedupLayer`.
    pub(crate) fn verified(extensions: &Extensions, warnings: &Arc<SetupWarnings>) {
        if let Some(Self(layers)) = extensions.get() {
            layers.warnings.get_or_init(|| Arc::clone(warnings));
        }
    }

    /// Records that another `DedupLayer` further inside got the events.
    pub(super) fn deduplicated(extensions: &mut Extensions) {
        if let Some(Self(layers)) = extensions.remove() {
            layers.deduplicated.store(true, Ordering::Relaxed);
        }
    }

    /// Marks a request without events if it has a signature.
    pub(super) fn mark<B>(request: &mut Request<B>, tracker: &Arc<Tracker>) -> Option<BypassCheck> {
        if !request.headers().contains_key(SIGNATURE_HEADER) {
            return None;
        }
        let passage = Self(Arc::default());
        request.extensions_mut().insert(passage.clone());
        Some(BypassCheck {
            passage,
            tracker: Arc::clone(tracker),
        })
    }
}

/// Checks at the response whether a marked request has bypassed deduplication.
pub(super) struct BypassCheck {
    passage: Passage,
    tracker: Arc<Tracker>,
}

impl BypassCheck {
    /// Counts and reports the request if it was verified inside and no other `DedupLayer` got it.
    pub(super) fn finish(&self) {
        let Layers {
            warnings,
            deduplicated,
        } = &*self.passage.0;
        if let Some(warnings) = warnings.get()
            && !deduplicated.load(Ordering::Relaxed)
        {
            count(&self.tracker.bypassed, 1);
            warnings.dedup_bypassed();
        }
    }
}
