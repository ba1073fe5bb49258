//! Mistakes in the setup of a host that requests make visible.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use http::{HeaderMap, StatusCode};

use super::routes::Routes;
use crate::signature::SIGNATURE_HEADER;

/// Path segments that a gateway or a router may have put in front of the path of the layer.
const MAX_PREFIX_SEGMENTS: usize = 3;

/// Longest path that is compared, in bytes. A comparison copies the path, and servers take paths of
/// up to 64 KiB from anybody.
const MAX_COMPARED: usize = 1024;

/// A sign that the host is put together wrongly, seen in the requests that arrive.
///
/// The handshake succeeds in all of these cases, so the App Dashboard shows a healthy webhook while
/// no delivery reaches the handler, its duplicates do, or a layer has no effect. Each kind is
/// reported once for a layer and its clones, to
/// [`on_setup_warning`](crate::WebhookLayerBuilder::on_setup_warning). A warning contains nothing of
/// the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetupWarning {
    /// The inner service answered a verified delivery with 404 or 405: there is no POST route at the
    /// path of the layer. Usual causes are a layer on a router that does not have the route, and
    /// `NormalizePath` as a `Router::layer`, which rewrites the path after routing.
    RouteMissing,
    /// A POST with `X-Hub-Signature-256` passed through unverified on a path that differs from that
    /// of the layer by its first segments or a trailing slash. Usual causes are the stage of an
    /// API gateway (`/prod/webhook`), and a layer on the other side of `Router::nest`. Anybody can
    /// send such a request, so a single warning on a public server may mean nothing.
    PathMissed,
    /// An outer [`WebhookLayer`](crate::WebhookLayer) verified a delivery that this layer refused:
    /// two layers claim one path with different secrets. Give both secrets to one layer.
    LayersOverlap,
    /// A `DedupLayer` is outside of this layer, where it sees no events: duplicates are not
    /// suppressed. Put it inside. With axum, call `.layer(dedup)` before `.layer(webhook)`.
    /// `Counters::bypassed` counts the deliveries.
    DedupBypassed,
    /// A delivery passed two `DedupLayer`s. The outer one deduplicates it, and the inner one passes it
    /// through untouched. Remove one of them. The usual cause is a layer on the route and another on
    /// the router.
    DedupRepeated,
}

impl fmt::Display for SetupWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RouteMissing => {
                "a verified delivery was answered with 404 or 405: is there a POST route at the path of the layer?"
            }
            Self::PathMissed => {
                "a signed POST passed by unverified: does its path have a prefix or a slash that the path of the layer has not?"
            }
            Self::LayersOverlap => {
                "a delivery that an outer WebhookLayer verified has the wrong signature for this one: give both secrets to one layer"
            }
            Self::DedupBypassed => {
                "a DedupLayer is outside of the WebhookLayer and suppresses no duplicates: put it inside; with axum, call `.layer(dedup)` before `.layer(webhook)`"
            }
            Self::DedupRepeated => {
                "a delivery passed two DedupLayers, and only the outer one deduplicates it: remove one of them"
            }
        })
    }
}

type OnSetupWarning = dyn Fn(SetupWarning) + Send + Sync;

/// Reports each kind of warning once.
pub(crate) struct SetupWarnings {
    hook: Option<Arc<OnSetupWarning>>,
    reported: AtomicU8,
}

impl SetupWarnings {
    pub(super) fn new(hook: Option<Arc<OnSetupWarning>>) -> Self {
        Self {
            hook,
            reported: AtomicU8::new(0),
        }
    }

    /// The status with which the inner service answered a verified delivery.
    pub(super) fn answered(&self, status: StatusCode) {
        if status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED {
            self.report(SetupWarning::RouteMissing);
        }
    }

    /// A POST that passes through, because its path is not one of ours.
    #[cold]
    #[inline(never)]
    pub(super) fn passed_through(&self, headers: &HeaderMap, path: &str, routes: &Routes) {
        if path.len() <= MAX_COMPARED
            && headers.contains_key(SIGNATURE_HEADER)
            && !self.is_reported(SetupWarning::PathMissed)
            && is_near(path, routes)
        {
            self.report(SetupWarning::PathMissed);
        }
    }

    /// A request whose signature an outer layer found right and this one wrong.
    pub(super) fn overlapped(&self) {
        self.report(SetupWarning::LayersOverlap);
    }

    /// A verified delivery that a layer outside should have seen and did not.
    #[cfg(feature = "tokio")]
    pub(crate) fn dedup_bypassed(&self) {
        self.report(SetupWarning::DedupBypassed);
    }

    /// A delivery that one `DedupLayer` let through arrived at another.
    #[cfg(feature = "tokio")]
    pub(crate) fn dedup_repeated(&self) {
        self.report(SetupWarning::DedupRepeated);
    }

    #[cold]
    fn report(&self, warning: SetupWarning) {
        let reported = self.reported.fetch_or(bit(warning), Ordering::Relaxed);
        if reported & bit(warning) != 0 {
            return;
        }
        match &self.hook {
            Some(hook) => hook(warning),
            None => eprintln!("tower-whatsapp: {warning}"),
        }
    }

    fn is_reported(&self, warning: SetupWarning) -> bool {
        self.reported.load(Ordering::Relaxed) & bit(warning) != 0
    }
}

fn bit(warning: SetupWarning) -> u8 {
    match warning {
        SetupWarning::RouteMissing => 1,
        SetupWarning::PathMissed => 2,
        SetupWarning::LayersOverlap => 4,
        SetupWarning::DedupBypassed => 8,
        SetupWarning::DedupRepeated => 16,
    }
}

/// Whether a path is one of ours but for its first segments or a trailing slash. The number of
/// candidates is bounded, because anybody can send any path.
fn is_near(path: &str, routes: &Routes) -> bool {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let starts = trimmed.match_indices('/').map(|(start, _)| start);
    let mut candidates = (starts.take(1 + MAX_PREFIX_SEGMENTS))
        .filter_map(|start| trimmed.get(start..))
        .filter(|candidate| candidate.len() > 1);
    candidates.any(|candidate| {
        routes.find(candidate).is_some()
            || routes.find(&format!("{candidate}/")).is_some()
            || routes.has_suffix(candidate)
    })
}
