//! Warnings about mistakes in the host's setup, detected while requests are served.

use std::fmt;

/// A probable mistake in the host's setup, detected while requests are served.
///
/// In most of these cases the handshake succeeds, so the App Dashboard shows a healthy webhook
/// while no delivery reaches the handler, its duplicates do, or a layer has no effect. Each kind is
/// reported once for a layer and its clones, and [`PathMissed`](Self::PathMissed) again after a
/// minute, to [`on_setup_warning`](crate::WebhookLayerBuilder::on_setup_warning). A warning
/// contains no data of the request.
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
    ///
    /// A clone counts as read, because a handler may hand it on and answer before anything reads
    /// it. A middleware that clones all extensions of the request therefore hides this mistake.
    EventsIgnored,
    /// A handshake, or a POST with `X-Hub-Signature-256`, passed through unverified. Its path
    /// differs from that of the layer by its first segments or a trailing slash. Usual causes are
    /// the stage of an API gateway (`/prod/webhook`), and a layer on the other side of
    /// `Router::nest`. Up to three first segments are compared; a request to `/` counts too. Anyone
    /// can send such a request, so on a public server the warning may be a false alarm. It repeats
    /// at most once a minute, so that a stranger's request cannot use up the only report.
    PathMissed,
    /// An outer [`WebhookLayer`](crate::WebhookLayer) verified a delivery that this layer refused:
    /// two layers claim one path with different secrets. Give both secrets to one layer.
    LayersOverlap,
    /// An outer [`WebhookLayer`](crate::WebhookLayer) verified the delivery that this layer
    /// verified too. The handler gets the events that the outer layers left, so duplicates stay
    /// suppressed, but every body is hashed and parsed twice. Remove one of the two. The usual
    /// cause is a layer on the route and another on the router.
    WebhookRepeated,
    /// Two different [`App`](crate::App)s have the same label, so they share deduplication keys:
    /// an event that both receive is handled for one of them, and suppressed and answered with 200
    /// for the other. Give each app its own label. Usual causes are two layers without labels over
    /// one `DedupLayer`, and an `AppResolver` that returns the label of another app. A `DedupLayer`
    /// reports it for apps of two layers, at a delivery of the second one. This layer reports it
    /// for the apps of its resolver. Apps are different if they have no secret in common.
    LabelShared,
    /// Every event of a delivery was about accounts or phone numbers that the
    /// [`App`](crate::App) does not list, and no delivery before named a listed one: the events
    /// are in [`Notification::foreign`](crate::Notification::foreign) and not handled. Correct
    /// [`accounts`](crate::webhook::AppBuilder::accounts) and
    /// [`phone_numbers`](crate::webhook::AppBuilder::phone_numbers). The usual cause is a phone
    /// number in place of its id. It is a false alarm if the app receives the deliveries of other
    /// services too, and the first one was not for this service.
    AllEventsForeign,
    /// A `DedupLayer` is outside of this layer, where it sees no events: duplicates are not
    /// suppressed. Put it inside. With axum's `Router::layer`, call `.layer(dedup)` before
    /// `.layer(webhook)`; with `ServiceBuilder` and tonic's `Server`, the other way round.
    /// `Counters::bypassed` counts the deliveries.
    DedupBypassed,
    /// A delivery passed two `DedupLayer`s. The outer one deduplicates it, and the inner one passes
    /// it through untouched. Remove one of them. The usual cause is a layer on the route and
    /// another on the router.
    DedupRepeated,
    /// Two different events of a delivery have one key by the host's own
    /// [`key`](crate::dedup::DedupLayerBuilder::key) function, so only the first reaches the
    /// handler. Different are events whose default keys differ. It is a false alarm if the function
    /// means to merge them.
    KeysCollide,
}

impl SetupWarning {
    /// Number of kinds.
    pub(crate) const COUNT: usize = Self::KeysCollide as usize + 1;

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
            Self::KeysCollide => "keys_collide",
            Self::WebhookRepeated => "webhook_repeated",
            Self::LabelShared => "label_shared",
            Self::AllEventsForeign => "all_events_foreign",
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
                "a callback URL check or a POST with a signature header was not verified and went to the inner service, because its path is none of the layer's: if Meta sent it, make them equal (often a prefix or a trailing slash) in the callback URL, in the rewrite of a proxy, or in the layer"
            }
            Self::LayersOverlap => {
                "an outer WebhookLayer verified a delivery that this one refused: give both secrets to one layer"
            }
            Self::WebhookRepeated => {
                "a delivery passed two WebhookLayers, and each verified it: remove one of them"
            }
            Self::LabelShared => {
                "two apps have the same label, so an event that both receive is handled for one of them only: give each `App` its own label"
            }
            Self::AllEventsForeign => {
                "every event of a delivery was about accounts or phone numbers that the app does not list, so none was handled: are `accounts` and `phone_numbers` the ids that Meta sends?"
            }
            Self::DedupBypassed => {
                "a DedupLayer is outside the WebhookLayer and has no effect, so what Meta repeats is handled again: put it inside; with axum's Router::layer call `.layer(dedup)` before `.layer(webhook)`; with ServiceBuilder and tonic's Server the other way round"
            }
            Self::DedupRepeated => {
                "a delivery passed two DedupLayers, and only the outer one deduplicates it: remove one of them"
            }
            Self::KeysCollide => {
                "two different events of a delivery have one key, so only the first was handled: does the `key` function leave out what tells them apart?"
            }
        })
    }
}
