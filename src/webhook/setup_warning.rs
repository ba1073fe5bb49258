//! Warnings about mistakes in the host's setup, detected while requests are served.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use http::Response;

use super::rejection::Rejection;
use crate::{
    response::{self, Refusal},
    telemetry::WebhookTelemetry,
};

/// A probable mistake in the host's setup, detected while requests are served.
///
/// The handshake succeeds in all of these cases, so the App Dashboard shows a healthy webhook while
/// no delivery reaches the handler, its duplicates do, or a layer has no effect. Each kind is
/// reported once for a layer and its clones, to
/// [`on_setup_warning`](crate::WebhookLayerBuilder::on_setup_warning). A warning contains no data
/// of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetupWarning {
    /// The inner service answered a verified delivery with 404, 405 or `grpc-status: 12`: there is
    /// no POST route at the path of the layer. Usual causes are a layer on a router that does not
    /// have the route, and `NormalizePath` as a `Router::layer`, which rewrites the path after
    /// routing.
    RouteMissing,
    /// The inner service answered a verified delivery with 3xx, 401, 403, 407, 413, 415, or
    /// `grpc-status` 7 or 16. Usual causes are authentication, a login page, CSRF protection or a
    /// body limit that covers the route: Meta has no session. A handler that answers so on purpose
    /// is reported too.
    DeliveryRefused,
    /// The inner service answered a verified delivery with 2xx, and nothing read its events: not
    /// the [`Notification`](crate::Notification) in the extensions, nor a clone of it. Meta will
    /// not send them again, and a `DedupLayer` has recorded them as handled. Usual causes are a
    /// fallback, a catch-all route or a maintenance page. A handler that reads only the body of
    /// the request is reported too.
    EventsIgnored,
    /// A POST with `X-Hub-Signature-256` passed through unverified. Its path differs from that of
    /// the layer by its first segments or a trailing slash. Usual causes are the stage of an API
    /// gateway (`/prod/webhook`), and a layer on the other side of `Router::nest`. Anyone can send
    /// such a request, so on a public server the warning may be a false alarm.
    PathMissed,
    /// An outer [`WebhookLayer`](crate::WebhookLayer) verified a delivery that this layer refused:
    /// two layers claim one path with different secrets. Give both secrets to one layer.
    LayersOverlap,
    /// A `DedupLayer` is outside of this layer, where it sees no events: duplicates are not
    /// suppressed. Put it inside. With axum, call `.layer(dedup)` before `.layer(webhook)`.
    /// `Counters::bypassed` counts the deliveries.
    DedupBypassed,
    /// A delivery passed two `DedupLayer`s. The outer one deduplicates it, and the inner one passes
    /// it through untouched. Remove one of them. The usual cause is a layer on the route and
    /// another on the router.
    DedupRepeated,
}

impl SetupWarning {
    /// Returns the name of the warning in snake case (`route_missing`), for logs and metrics. The
    /// names are stable across versions of this crate.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RouteMissing => "route_missing",
            Self::DeliveryRefused => "delivery_refused",
            Self::EventsIgnored => "events_ignored",
            Self::PathMissed => "path_missed",
            Self::LayersOverlap => "layers_overlap",
            Self::DedupBypassed => "dedup_bypassed",
            Self::DedupRepeated => "dedup_repeated",
        }
    }
}

impl fmt::Display for SetupWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RouteMissing => {
                "a verified delivery was answered with 404 or 405: is there a POST route at the path of the layer?"
            }
            Self::DeliveryRefused => {
                "a verified delivery was refused inside of the layer: keep authentication, CSRF protection and body limits off this route"
            }
            Self::EventsIgnored => {
                "a verified delivery was answered with 2xx and nothing read its events: does a fallback or a catch-all route answer it?"
            }
            Self::PathMissed => {
                "a signed POST passed through unverified: does its path have a prefix or a trailing slash that the path of the layer does not have?"
            }
            Self::LayersOverlap => {
                "an outer WebhookLayer verified a delivery that this one refused: give both secrets to one layer"
            }
            Self::DedupBypassed => {
                "a DedupLayer is outside of the WebhookLayer and has no effect: put it inside; with axum, call `.layer(dedup)` before `.layer(webhook)`"
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
    telemetry: Arc<WebhookTelemetry>,
    reported: AtomicU8,
}

impl SetupWarnings {
    pub(super) fn new(hook: Option<Arc<OnSetupWarning>>, telemetry: Arc<WebhookTelemetry>) -> Self {
        Self {
            hook,
            telemetry,
            reported: AtomicU8::new(0),
        }
    }

    /// Checks the response of the inner service to a verified delivery, before a layer changes it.
    pub(crate) fn check_response<R>(&self, response: &Response<R>) {
        // One of our layers refused it, and said why.
        if response.extensions().get::<Rejection>().is_some() {
            return;
        }
        #[cfg(feature = "tokio")]
        if response
            .extensions()
            .get::<crate::dedup::DedupRejection>()
            .is_some()
        {
            return;
        }
        match response::refusal(response) {
            Some(Refusal::RouteMissing) => self.report(SetupWarning::RouteMissing),
            Some(Refusal::Denied) => self.report(SetupWarning::DeliveryRefused),
            None => {}
        }
    }

    /// Reports that an outer `DedupLayer` did not see a verified delivery.
    #[cfg(feature = "tokio")]
    pub(crate) fn dedup_bypassed(&self) {
        self.report(SetupWarning::DedupBypassed);
    }

    /// Reports that a delivery passed a second `DedupLayer`.
    #[cfg(feature = "tokio")]
    pub(crate) fn dedup_repeated(&self) {
        self.report(SetupWarning::DedupRepeated);
    }

    #[cold]
    pub(super) fn report(&self, warning: SetupWarning) {
        let reported = self.reported.fetch_or(bit(warning), Ordering::Relaxed);
        if reported & bit(warning) != 0 {
            return;
        }
        self.telemetry.setup_warning(warning);
        match &self.hook {
            Some(hook) => hook(warning),
            // With `tracing` it is in the log.
            None if cfg!(feature = "tracing") => {}
            None => eprintln!("tower-whatsapp: {warning}"),
        }
    }

    pub(super) fn is_reported(&self, warning: SetupWarning) -> bool {
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
        SetupWarning::DeliveryRefused => 32,
        SetupWarning::EventsIgnored => 64,
    }
}
