//! A verified delivery: parsed, filtered, and turned into the request for the inner service.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header, request::Parts};
use tower::Service;

use super::{
    app::App,
    config::Config,
    content_length::{DeclaredLength, declared_length},
    context::RequestContext,
    rejection::{Reason, RejectionKind},
    setup_warning::SetupWarning,
};
use crate::{
    body::RequestBody,
    credentials::KeyRing,
    event::{IncrementalValidator, Notification, ReadState},
    receive::{Received, Reservation},
    signature::Signature,
    telemetry::{DeliveryTelemetry, VerifiedDelivery},
    verified::Verified,
};

/// Maximum number of bytes of JSON parsed before yielding: some tenths of a millisecond.
const PARSED_PER_POLL: usize = 64 * 1024;

/// What the signature of a delivery is checked against.
pub(super) struct Expected {
    pub(super) app: App,
    pub(super) ring: Arc<KeyRing>,
    pub(super) signature: Signature,
}

/// The app and the secret that match a signature.
struct Signer {
    app: App,
    ring: Arc<KeyRing>,
    /// Index of the secret in `ring`.
    index: usize,
}

impl Signer {
    /// Returns the label of the secret. Fails if the secret has been removed in the meantime.
    fn secret_label(&self) -> Result<Arc<str>, RejectionKind> {
        let label = (self.app.credentials()).current_label(&self.ring, self.index);
        label.ok_or(RejectionKind::SignatureMismatch)
    }
}

/// A delivery with a valid signature, while its body is parsed.
pub(super) struct Delivery<S> {
    validator: IncrementalValidator,
    signer: Signer,
    reservation: Reservation,
    /// Memory of the body, in bytes.
    body_bytes: usize,
    parts: Parts,
    inner: S,
}

impl<S> Delivery<S> {
    /// Verifies the signature, and only then starts to parse the body.
    pub(super) fn new(
        received: Received,
        expected: &Expected,
        (parts, inner): (Parts, S),
        config: &Config,
    ) -> Result<Self, Reason> {
        let verified = received.verifier.verify(&expected.signature);
        if verified.is_err() && parts.extensions.get::<Verified>().is_some() {
            config.warnings.report(SetupWarning::LayersOverlap);
        }
        let signer = Signer {
            index: verified?,
            app: expected.app.clone(),
            ring: Arc::clone(&expected.ring),
        };
        // The secret may have been removed while the body was received.
        signer.secret_label()?;
        let body_bytes = received.reservation.bytes().max(received.body.len());
        Ok(Self {
            validator: Notification::begin(received.body)?,
            signer,
            reservation: received.reservation,
            body_bytes,
            parts,
            inner,
        })
    }

    /// Parses the next part of the body and charges its memory. Returns true once
    /// [`accept`](Self::accept) may be called; a large body yields once more before that.
    pub(super) fn parse(&mut self) -> Result<bool, Reason> {
        if self.validator.is_complete() {
            return Ok(true);
        }
        let is_complete = self.validator.advance(PARSED_PER_POLL)?;
        let is_small = self.body_bytes <= PARSED_PER_POLL;
        if is_complete && is_small {
            return Ok(true);
        }
        (self.reservation).grow_to(self.body_bytes + self.validator.memory())?;
        Ok(false)
    }

    /// Splits the delivery into events. Fails if it has foreign events and the app refuses those.
    pub(super) fn accept<B>(mut self, config: &Config) -> Result<AcceptedRequest<S, B>, Reason> {
        let mut parts = self.parts;
        let extensions = &mut parts.extensions;
        let parsed = Notification::finish(self.validator);
        let mut notification = match extensions.get::<Notification>() {
            // An outer layer has verified this delivery, and a `DedupLayer` in between may have
            // suppressed some of its events: they must stay suppressed.
            Some(outer) if outer.peek_body() == parsed.peek_body() => {
                config.warnings.report(SetupWarning::WebhookRepeated);
                outer.clone_unread()
            }
            // It belongs to another body. Nobody will read it.
            Some(outer) => {
                outer.mark_read();
                parsed
            }
            None => parsed,
        };
        let filtered = self.signer.app.filter(&mut notification);
        if filtered.is_list_suspect {
            config.warnings.report(SetupWarning::AllEventsForeign);
        }
        if filtered.is_refused {
            return Err(RejectionKind::AccountRefused.into());
        }
        (self.reservation).grow_to(self.body_bytes + notification.memory())?;
        let reservation = Arc::new(self.reservation);
        let body = notification.peek_body().clone();
        let read_state = notification.read_state();
        extensions.insert(notification);
        // For a `DedupLayer`, whose task may outlive this future and still hold the body. Weak: a
        // request that the host keeps must not prove that it is still being handled.
        extensions.insert(Arc::downgrade(&reservation));
        Ok(AcceptedRequest {
            inner: self.inner,
            request: inner_request(parts, body),
            signer: self.signer,
            reservation,
            read_state,
        })
    }
}

/// A request for the inner service, which is not ready yet.
pub(super) struct AcceptedRequest<S, B> {
    pub(super) inner: S,
    request: Request<RequestBody<B>>,
    signer: Signer,
    reservation: Arc<Reservation>,
    read_state: ReadState,
}

/// What the layer keeps of a delivery while the inner service handles it.
pub(super) struct InHandler {
    pub(super) read_state: ReadState,
    pub(super) telemetry: DeliveryTelemetry,
    /// The body is charged until the request has been answered.
    _reservation: Arc<Reservation>,
}

impl<S, B> AcceptedRequest<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    /// Calls the inner service. Checks again that the secret is still configured, because parsing
    /// and readiness may have taken long.
    pub(super) fn call(
        mut self,
        config: &Config,
        context: &RequestContext,
    ) -> Result<(S::Future, InHandler), Reason> {
        let secret = self.signer.secret_label()?;
        let app = self.signer.app.shared_label();
        let notification = self.request.extensions().get::<Notification>();
        let telemetry = config.telemetry.verified(&VerifiedDelivery {
            app: &app,
            telemetry: self.signer.app.telemetry(),
            path: context.path.as_deref(),
            secret: &secret,
            events: notification.map_or(&[], Notification::peek_events),
            length: context.received_length.unwrap_or_default(),
            started: context.started,
        });
        let verified = Verified::new(
            self.signer.app,
            secret,
            &self.reservation,
            #[cfg(feature = "tokio")]
            &config.warnings,
        );
        let extensions = self.request.extensions_mut();
        #[cfg(feature = "tokio")]
        crate::dedup::Passage::verified(extensions, &config.warnings);
        extensions.insert(verified);
        let in_handler = InHandler {
            read_state: self.read_state,
            telemetry,
            _reservation: self.reservation,
        };
        let call = (in_handler.telemetry).in_scope(|| self.inner.call(self.request));
        Ok((call, in_handler))
    }
}

/// Builds the request for the inner service: the same head and bytes, with headers that describe
/// the buffered body.
fn inner_request<B>(mut parts: Parts, body: Bytes) -> Request<RequestBody<B>> {
    if !is_canonical_length(&parts.headers, body.len()) {
        let length = HeaderValue::from(body.len());
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    for stale in [header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT] {
        parts.headers.remove(stale);
    }
    let request = Request::from_parts(parts, RequestBody::from(body));
    #[cfg(feature = "axum")]
    let request = crate::extract::lift_body_limit(request);
    request
}

/// Whether `Content-Length` already holds this length in canonical form. Rewriting it allocates.
///
/// HTTP allows leading zeros, which implementations read differently.
fn is_canonical_length(headers: &HeaderMap, length: usize) -> bool {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return false;
    };
    let is_equal =
        matches!(declared_length(first), DeclaredLength::Known(known) if known == length);
    is_equal && !first.as_bytes().starts_with(b"0") && values.next().is_none()
}
