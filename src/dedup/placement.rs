//! Detects a `DedupLayer` outside of the `WebhookLayer`, where it sees no events, and a second one
//! inside of the first, which would wait for the claims of the first.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::{Extensions, Request};

use super::handle::{Tracker, count};
use crate::{
    event::Notification, signature::SIGNATURE_HEADER, verified::Verified, webhook::SetupWarnings,
};

/// In the extensions of a delivery that a `DedupLayer` hands to its handler: the events to handle.
#[derive(Clone)]
pub(super) struct Deduplicated(Notification);

impl Deduplicated {
    /// Hands these events to the handler.
    pub(super) fn mark(extensions: &mut Extensions, fresh: Notification) {
        extensions.insert(Self(fresh.clone()));
        extensions.insert(fresh);
    }

    /// Reports a delivery that an outer `DedupLayer` has marked, and puts the events back that it
    /// left: a `WebhookLayer` in between has parsed the body again. Returns whether it was marked.
    ///
    /// A request with another body is another delivery, even if it has the extensions of this one.
    pub(super) fn check(extensions: &mut Extensions, notification: &Notification) -> bool {
        let Some(Self(fresh)) = extensions.get() else {
            return false;
        };
        if fresh.body() != notification.body() {
            return false;
        }
        let fresh = fresh.clone();
        extensions.insert(fresh);
        if let Some(verified) = extensions.get::<Verified>() {
            verified.warnings().dedup_repeated();
        }
        true
    }
}

/// In the extensions of a request that a `DedupLayer` passes through and that may be a delivery.
#[derive(Clone)]
pub(crate) struct Passage(Arc<Layers>);

/// The layers further inside that got the request.
#[derive(Default)]
struct Layers {
    /// Where the `WebhookLayer` that verified it reports.
    warnings: OnceLock<Arc<SetupWarnings>>,
    deduplicated: AtomicBool,
}

impl Passage {
    /// A `WebhookLayer` has verified the delivery, further inside than the `DedupLayer`.
    pub(crate) fn verified(extensions: &Extensions, warnings: &Arc<SetupWarnings>) {
        if let Some(Self(layers)) = extensions.get() {
            layers.warnings.get_or_init(|| Arc::clone(warnings));
        }
    }

    pub(super) fn deduplicated(extensions: &mut Extensions) {
        if let Some(Self(layers)) = extensions.remove() {
            layers.deduplicated.store(true, Ordering::Relaxed);
        }
    }

    /// Marks a request that carries a signature, and no events yet.
    pub(super) fn mark<B>(request: &mut Request<B>, tracker: &Arc<Tracker>) -> Option<Bypass> {
        if !request.headers().contains_key(SIGNATURE_HEADER) {
            return None;
        }
        let passage = Self(Arc::default());
        request.extensions_mut().insert(passage.clone());
        Some(Bypass {
            passage,
            tracker: Arc::clone(tracker),
        })
    }
}

/// A request that was marked, until its response.
pub(super) struct Bypass {
    passage: Passage,
    tracker: Arc<Tracker>,
}

impl Bypass {
    /// Counts and reports a delivery that was verified inside and that no other `DedupLayer` got.
    pub(super) fn check(&self) {
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
