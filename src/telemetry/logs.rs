//! Spans and log events (feature `tracing`).
//!
//! Levels: WARN for what an operator must act on, INFO for the start and handshakes, DEBUG for each
//! request. Anyone can send requests that are refused, so there is at most one WARN per minute and
//! kind, and for wrong signatures and tokens per minute and app; those in between are DEBUG.

use std::time::Duration;

use http::StatusCode;
use tracing::{Level, Span, debug, enabled, field, info, info_span, warn};

use super::{
    app::AppTelemetry,
    clock::Moment,
    observation::{Outcome, VerifiedDelivery},
    rate_limit::RateLimit,
};
use crate::{
    credentials::KeyRing,
    event::Event,
    webhook::{Rejection, RejectionKind, SetupWarning, TEST_ENTRY_ID},
};

/// Longest first event, in bytes, whose key is shown in the span of a delivery. The hash of a
/// longer one would delay the other tasks of the thread.
const MAX_HASHED: usize = 64 * 1024;

/// The target of all spans and events, for filters.
pub(super) const TARGET: &str = "tower_whatsapp";

/// Rate limits of the rejections of one layer, by kind.
#[derive(Debug, Default)]
pub(super) struct RejectionLimits([RateLimit; RejectionKind::COUNT]);

impl RejectionLimits {
    /// Returns the number of events left out if the kind deserves a WARN now.
    fn admit(&self, kind: RejectionKind, app: Option<&AppTelemetry>) -> Option<u64> {
        let is_harmless = matches!(
            kind,
            RejectionKind::MethodNotAllowed | RejectionKind::NotHandshake
        );
        if is_harmless {
            return None;
        }
        let limit = match (kind, app) {
            // The credentials of this app may be wrong.
            (RejectionKind::SignatureMismatch, Some(app)) => &app.signature_mismatch,
            (RejectionKind::HandshakeToken, Some(app)) => &app.handshake_token,
            _ => self.0.get(kind as usize)?,
        };
        limit.admit()
    }
}

/// Emits one event with the same fields as WARN, with the number left out before, or as DEBUG.
macro_rules! warn_or_debug {
    ($left_out:expr, { $($fields:tt)* }, $text:expr) => {
        match $left_out {
            Some(left_out) => {
                let left_out = (left_out > 0).then_some(left_out);
                warn!(target: TARGET, $($fields)*, left_out, "{}", $text);
            }
            None => debug!(target: TARGET, $($fields)*, "{}", $text),
        }
    };
}
#[cfg(feature = "tokio")]
pub(super) use warn_or_debug;

pub(super) fn built(paths: &str, body_limit: usize, memory_budget: usize) {
    info!(
        target: TARGET,
        paths,
        body_limit_bytes = body_limit,
        memory_budget_bytes = memory_budget,
        "built a webhook layer: it answers these paths only"
    );
}

/// The number of deliveries of the app with a valid signature so far is shown beside a mismatch: 0
/// means that the setup is wrong, many that a stranger sent this one.
pub(super) fn rejected(
    limits: &RejectionLimits,
    rejection: &Rejection,
    ring: Option<&KeyRing>,
    app: Option<&AppTelemetry>,
) {
    let kind = rejection.kind();
    // The labels tell which secrets the signature was compared with.
    let is_mismatch = kind == RejectionKind::SignatureMismatch;
    let secrets = ring.filter(|_| is_mismatch).map(KeyRing::secret_labels);
    let left_out = limits.admit(kind, app);
    let app = app.filter(|_| is_mismatch);
    let detail = rejection.detail();
    warn_or_debug!(
        left_out,
        {
            reason = kind.name(),
            status = rejection.status().as_u16(),
            detail = detail.map(field::display),
            app = rejection.app().and_then(non_empty),
            path = rejection.path(),
            declared_length = rejection.declared_length(),
            received_length = rejection.received_length(),
            secret_labels = secrets.map(field::display),
            verified_since_start = app.map(AppTelemetry::verified),
            seconds_since_verified = app.and_then(AppTelemetry::seconds_since_verified)
        },
        advice(kind)
    );
}

pub(super) fn handshake(app: &str, path: Option<&str>) {
    let app = non_empty(app);
    info!(
        target: TARGET,
        app,
        path,
        "answered a callback URL check (handshake): the verify token matched. Deliveries are \
         separate requests"
    );
}

/// Whether a subscriber takes warnings. A filter may leave them out.
pub(super) fn is_heard() -> bool {
    enabled!(target: TARGET, Level::WARN)
}

/// The paths of the request and of the layer tell what differs.
pub(super) fn path_missed(path: &str, layer_paths: &str) {
    warn!(
        target: TARGET,
        warning = SetupWarning::PathMissed.name(),
        path = ?shorten(path),
        layer_paths,
        "{}",
        SetupWarning::PathMissed
    );
}

pub(super) fn setup_warning(warning: SetupWarning) {
    warn!(target: TARGET, warning = warning.name(), "{warning}");
}

/// Reports a sample of the *Test* button of the App Dashboard.
pub(super) fn verified(delivery: &VerifiedDelivery<'_>) {
    if enabled!(target: TARGET, Level::INFO)
        && (delivery.events.first()).and_then(Event::entry_id) == Some(TEST_ENTRY_ID)
        && delivery.telemetry.test_deliveries.admit().is_some()
    {
        info!(
            target: TARGET,
            path = delivery.path,
            "received a sample sent by the Test button in Meta's App Dashboard, with a valid signature. \
             If real messages are missing: is the app published, and subscribed to the WhatsApp \
             Business Account?"
        );
    }
}

#[cfg(feature = "axum")]
pub(super) fn layer_missing(path: &str) {
    static LIMIT: RateLimit = RateLimit::every(RateLimit::MINUTE);
    warn_or_debug!(
        LIMIT.admit(),
        { warning = "layer_missing", path = ?shorten(path) },
        "answered 500: this request reached a webhook handler without passing a WebhookLayer. If \
         Meta sent it, the layer does not wrap this route, or is set to another path"
    );
}

/// Opens the span that the events of the handler are inside.
pub(super) fn delivery(delivery: &VerifiedDelivery<'_>, now: Moment) -> Span {
    let span = info_span!(
        target: TARGET,
        "whatsapp.delivery",
        app = non_empty(delivery.app),
        path = delivery.path,
        secret_label = delivery.secret,
        length = delivery.length,
        events = delivery.events.len(),
        first_key = field::Empty,
        verdict_ms = millis(now.since(delivery.started)),
        handler_ms = field::Empty,
        status = field::Empty,
        outcome = field::Empty,
    );
    // A key is a hash of the event, and takes time to compute.
    if !span.is_disabled()
        && let Some(first) = delivery.events.first()
        && first.raw_len() <= MAX_HASHED
    {
        span.record("first_key", field::display(first.key_in(delivery.app)));
    }
    span
}

/// The end of a delivery, inside its span. Without an `app`, another line tells of it.
pub(super) fn answered(
    span: &Span,
    app: Option<&AppTelemetry>,
    outcome: Outcome,
    status: Option<StatusCode>,
    handler: Duration,
) {
    let status = status.map(|status| status.as_u16());
    span.record("handler_ms", millis(handler));
    span.record("outcome", outcome.name());
    if let Some(status) = status {
        span.record("status", status);
    }
    let _entered = span.enter();
    let warning = app.and_then(|app| match outcome {
        Outcome::Acknowledged | Outcome::Deferred => None,
        Outcome::Refused => Some((
            &app.refused,
            "the handler did not answer a verified delivery with 2xx, so Meta sends it again: see \
             what the handler itself logged",
        )),
        Outcome::Failed => Some((
            &app.failed,
            "the handler of a verified delivery panicked, or the inner service returned an error, \
             so Meta sends it again: see the panic message, or log the error with \
             `tower::util::MapErrLayer` inside of the layer",
        )),
        Outcome::Abandoned => Some((
            &app.abandoned,
            "the sender disconnected before the response to a verified delivery, so Meta sends it \
             again: the handler is too slow. Without a `DedupLayer` it was dropped. Make it faster, \
             or put slow work into a queue",
        )),
    });
    let Some((limit, text)) = warning else {
        debug!(target: TARGET, status, "the delivery is {}", outcome.name());
        return;
    };
    warn_or_debug!(limit.admit(), { status }, text);
}

pub(super) fn unread_key(kind: &str, path: &str) {
    info!(
        target: TARGET,
        kind,
        json_key = path,
        "Meta sent a JSON key that this version of tower-whatsapp does not know. Harmless: the \
         event is delivered, and the value is in `Event::raw`"
    );
}

/// Strangers choose the path of a request.
fn shorten(path: &str) -> &str {
    let end = path
        .char_indices()
        .nth(100)
        .map_or(path.len(), |(end, _)| end);
    path.get(..end).unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    // To the microsecond: more digits would be noise.
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

pub(super) fn non_empty(label: &str) -> Option<&str> {
    (!label.is_empty()).then_some(label)
}

/// What happened and what to do about it.
// Long because it is a table with one row per kind.
fn advice(kind: RejectionKind) -> &'static str {
    match kind {
        RejectionKind::MethodNotAllowed => "refused a request that is neither GET nor POST",
        RejectionKind::NotHandshake => {
            "refused a GET that is not a handshake: a browser, a health check or a scanner"
        }
        RejectionKind::HandshakeIncomplete => {
            "refused a callback URL check (handshake) without the parameter in `detail`. If \
             Meta sent it, a proxy or a redirect drops the query; otherwise a browser or a \
             scanner"
        }
        RejectionKind::HandshakeRepeated => {
            "refused a callback URL check (handshake) that repeats the parameter in `detail`. \
             If Meta sent it, the callback URL in the App Dashboard has a query of its own; \
             otherwise a scanner"
        }
        RejectionKind::HandshakeMode => {
            "refused a callback URL check (handshake) whose hub.mode is not `subscribe`, although \
             its verify token is right: if you did not send it, somebody knows the token, so \
             change it"
        }
        RejectionKind::HandshakeToken => {
            "refused a callback URL check (handshake) with a wrong hub.verify_token. If you \
             have just saved the URL in Meta's App Dashboard (WhatsApp > Configuration), \
             enter the token of this service there; otherwise ignore it: a stranger"
        }
        RejectionKind::HandshakeMalformed => {
            "refused a malformed handshake: it did not come from Meta, or a proxy changes the query"
        }
        RejectionKind::AddressUnknown => {
            "refused a delivery because its client address is unknown: serve axum with \
             `into_make_service_with_connect_info::<SocketAddr>()`, or set `trusted_proxies`. If both are \
             done, the proxy sends no forwarding header, or one that is malformed"
        }
        RejectionKind::AddressRefused => {
            "refused a delivery because its client address is not in the allow list: a stranger, a \
             list older than Meta's current addresses, or a proxy that `trusted_proxies` does not \
             name"
        }
        RejectionKind::CertificateMissing => {
            "refused a delivery without a client certificate: see `detail`. A stranger, a proxy that \
             `trusted_proxies` does not name, or a TLS server or proxy that does not request one \
             and pass it on"
        }
        RejectionKind::CertificateRefused => {
            "refused a delivery because of its client certificate: see `detail`. A stranger, or the \
             proxy does not verify against Meta's certificate authority, or writes another header \
             than the layer reads"
        }
        RejectionKind::AppUnknown => {
            "refused a request because the app resolver knows no app of the name in the path"
        }
        RejectionKind::AppResolverUnavailable => {
            "answered 503 because the app resolver failed, timed out or reached a limit: \
             `CachedResolver::counters` tells which, and `last_error` has the cause of the last \
             failure"
        }
        RejectionKind::SignatureMissing => {
            "refused a delivery without X-Hub-Signature-256: a stranger, or a proxy that removes \
             the header"
        }
        RejectionKind::SignatureMalformed => {
            "refused a delivery with a malformed X-Hub-Signature-256: a stranger, or a proxy that \
             changes the header"
        }
        RejectionKind::SignatureMismatch => {
            "refused a delivery: its signature matches none of the app's secrets. If another of this \
             app was verified recently (`seconds_since_verified`, absent if none ever was), ignore \
             it: a stranger sent it. Otherwise compare the secret with App settings > Basic in Meta's \
             App Dashboard (was it reset?), then look for a proxy that changes bodies, or another app \
             with this callback URL"
        }
        RejectionKind::BodyTooLarge => {
            "refused a delivery above the body limit: Meta sends up to 3 MB, so check `body_limit` \
             and the limits of outer layers"
        }
        RejectionKind::ContentEncoding => {
            "refused a compressed delivery: Meta does not compress, so a proxy does; the signature \
             covers the uncompressed bytes"
        }
        RejectionKind::BodyDeadline | RejectionKind::BodyIdle => {
            "refused a delivery whose body did not arrive in time: a slow connection, or a stranger \
             who holds it open"
        }
        RejectionKind::MemoryBudget => {
            "answered 503 because the memory budget is used up: large deliveries at the same time, \
             handlers that hold them for long, or an attack. See `memory_budget`"
        }
        RejectionKind::BodyBroken => {
            "a request ended before its body was complete: the sender or a proxy closed the \
             connection"
        }
        RejectionKind::NotJson => {
            "refused a body with a valid signature that could not be parsed: see `detail`. Meta \
             sends UTF-8 and JSON, so if it is neither, something else knows the app secret: rotate \
             it. If it is nested too deeply, it may be genuine"
        }
        RejectionKind::AccountRefused => {
            "refused a delivery about an account or phone number that the app does not list: add \
             it to `accounts` or `phone_numbers`"
        }
        RejectionKind::HandlerFailed => {
            "the inner service failed with an error, so Meta retries the delivery: log the error \
             with `tower::util::MapErrLayer` inside of the layer"
        }
    }
}
