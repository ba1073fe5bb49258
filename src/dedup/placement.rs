//! Detects a `DedupLayer` outside of the `WebhookLayer`, where it sees no events.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::{Extensions, Request};

use super::handle::{Runs, count};
use crate::{signature::SIGNATURE_HEADER, webhook::SetupWarnings};

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
    pub(super) fn mark<B>(request: &mut Request<B>, runs: &Arc<Runs>) -> Option<Bypass> {
        if !request.headers().contains_key(SIGNATURE_HEADER) {
            return None;
        }
        let passage = Self(Arc::default());
        request.extensions_mut().insert(passage.clone());
        Some(Bypass {
            passage,
            runs: Arc::clone(runs),
        })
    }
}

/// A request that was marked, until its response.
pub(super) struct Bypass {
    passage: Passage,
    runs: Arc<Runs>,
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
            count(&self.runs.bypassed, 1);
            warnings.dedup_bypassed();
        }
    }
}
