//! Detects layers in the wrong place: a `DedupLayer` outside the `WebhookLayer`, where it gets no
//! events, and a second `DedupLayer` inside the first, which would wait for the claims of the
//! first.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicBool, Ordering},
};

use http::{Extensions, Request};

use super::tracker::{Tracker, count};
use crate::{
    event::Notification, signature::SIGNATURE_HEADER, verified::Verified, webhook::WarningReporter,
};

/// Removes the marks that belong to another request. A handler can keep a request, or its
/// extensions, and send it in again.
pub(crate) fn remove_stale_marks(extensions: &mut Extensions) {
    let deduplicated = extensions.get::<Deduplicated>();
    if deduplicated.is_some_and(|mark| !mark.is_current()) {
        extensions.remove::<Deduplicated>();
    }
    let passage = extensions.get::<Passage>();
    if passage.is_some_and(|mark| mark.layers().is_none()) {
        extensions.remove::<Passage>();
    }
}

/// Marks a request whose events a `DedupLayer` has deduplicated, and holds the events to handle.
pub(super) struct Deduplicated {
    fresh: Notification,
    handling: Weak<Handling>,
}

/// While it lives, the request is being handled and its mark counts.
pub(super) struct Handling;

impl Clone for Deduplicated {
    fn clone(&self) -> Self {
        Self {
            fresh: self.fresh.clone_unread(),
            handling: Weak::clone(&self.handling),
        }
    }
}

impl Deduplicated {
    /// Puts the events to handle into the extensions of a request. The mark counts as long as the
    /// returned value lives.
    pub(super) fn mark(extensions: &mut Extensions, fresh: Notification) -> Arc<Handling> {
        let handling = Arc::new(Handling);
        extensions.insert(Self {
            fresh: fresh.clone_unread(),
            handling: Arc::downgrade(&handling),
        });
        extensions.insert(fresh);
        handling
    }

    fn is_current(&self) -> bool {
        self.handling.strong_count() > 0
    }

    /// Returns whether an outer `DedupLayer` has marked the request, and reports that. Restores the
    /// events that the outer layer left, because a `WebhookLayer` in between has parsed the body
    /// again.
    ///
    /// A request with another body is another delivery, even with the extensions of this one.
    pub(super) fn check(extensions: &mut Extensions, notification: &Notification) -> bool {
        let Some(mark) = extensions.get::<Self>().filter(|mark| mark.is_current()) else {
            return false;
        };
        if mark.fresh.peek_body() != notification.peek_body() {
            return false;
        }
        let fresh = mark.fresh.clone_unread();
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
/// events yet. The mark counts until that layer has the response.
#[derive(Clone)]
pub(crate) struct Passage(Weak<Layers>);

/// What the layers further inside did with the request.
#[derive(Default)]
struct Layers {
    /// Set by the `WebhookLayer` that verified it: where to report.
    warnings: OnceLock<Arc<WarningReporter>>,
    deduplicated: AtomicBool,
}

impl Passage {
    /// Records that a `WebhookLayer` has verified the delivery, inside the `DedupLayer`.
    pub(crate) fn verified(extensions: &Extensions, warnings: &Arc<WarningReporter>) {
        if let Some(layers) = extensions.get().and_then(Self::layers) {
            layers.warnings.get_or_init(|| Arc::clone(warnings));
        }
    }

    /// Records that another `DedupLayer` further inside got the events.
    pub(super) fn deduplicated(extensions: &mut Extensions) {
        let passage: Option<Self> = extensions.remove();
        if let Some(layers) = passage.and_then(|passage| passage.layers()) {
            layers.deduplicated.store(true, Ordering::Relaxed);
        }
    }

    /// Marks a request without events if it has a signature.
    pub(super) fn mark<B>(request: &mut Request<B>, tracker: &Arc<Tracker>) -> Option<BypassCheck> {
        if !request.headers().contains_key(SIGNATURE_HEADER) {
            return None;
        }
        let layers = Arc::default();
        let passage = Self(Arc::downgrade(&layers));
        request.extensions_mut().insert(passage);
        Some(BypassCheck {
            layers,
            tracker: Arc::clone(tracker),
        })
    }

    fn layers(&self) -> Option<Arc<Layers>> {
        self.0.upgrade()
    }
}

/// Checks at the response whether a marked request has bypassed deduplication.
pub(super) struct BypassCheck {
    layers: Arc<Layers>,
    tracker: Arc<Tracker>,
}

impl BypassCheck {
    /// Counts and reports the request if it was verified inside and no other `DedupLayer` got it.
    pub(super) fn finish(&self) {
        let Layers {
            warnings,
            deduplicated,
        } = &*self.layers;
        if let Some(warnings) = warnings.get()
            && !deduplicated.load(Ordering::Relaxed)
        {
            count(&self.tracker.bypassed, 1);
            warnings.dedup_bypassed();
        }
    }
}
