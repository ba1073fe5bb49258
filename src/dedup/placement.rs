//! Detects a `DedupLayer` outside of the `WebhookLayer`, where it sees no events.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use http::{Extensions, Request};

use super::handle::{Runs, count};
use crate::signature::SIGNATURE_HEADER;

/// In the extensions of a request that a `DedupLayer` passes through and that may be a delivery.
#[derive(Clone)]
pub(crate) struct Passage(Arc<AtomicU8>);

const UNVERIFIED: u8 = 0;
const VERIFIED: u8 = 1;
/// A `DedupLayer` further inside has got it.
const DEDUPLICATED: u8 = 2;

impl Passage {
    /// A `WebhookLayer` has verified the delivery, further inside than the `DedupLayer`.
    pub(crate) fn verified(extensions: &Extensions) {
        if let Some(Self(state)) = extensions.get() {
            state.store(VERIFIED, Ordering::Relaxed);
        }
    }

    pub(super) fn deduplicated(extensions: &mut Extensions) {
        if let Some(Self(state)) = extensions.remove() {
            state.store(DEDUPLICATED, Ordering::Relaxed);
        }
    }

    /// Marks a request that carries a signature, and no events yet.
    pub(super) fn mark<B>(request: &mut Request<B>, runs: &Arc<Runs>) -> Option<Bypass> {
        if !request.headers().contains_key(SIGNATURE_HEADER) {
            return None;
        }
        let passage = Self(Arc::new(AtomicU8::new(UNVERIFIED)));
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
    /// Counts a delivery that was verified inside and that no other `DedupLayer` got. Says so once.
    pub(super) fn check(&self) {
        if self.passage.0.load(Ordering::Relaxed) != VERIFIED {
            return;
        }
        count(&self.runs.bypassed, 1);
        if !self.runs.bypass_reported.swap(true, Ordering::Relaxed) {
            report();
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a mistake of the host that nothing else makes visible, told once"
)]
fn report() {
    eprintln!(
        "tower-whatsapp: a DedupLayer is outside of the WebhookLayer and does not see its events: \
         duplicates are not suppressed. Put the DedupLayer inside of the WebhookLayer; with axum, \
         call `.layer(dedup)` before `.layer(webhook)`."
    );
}
