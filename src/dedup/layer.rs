use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    builder::DedupLayerBuilder, handle::DedupHandle, memory::MemoryStore, service::Dedup,
    shared::Shared, store::Store,
};

/// Deduplicates events: suppresses those that were handled before or are being handled. See the
/// [module docs](crate::dedup) for the guarantees and their limits.
///
/// It goes inside a [`WebhookLayer`](crate::WebhookLayer). Requests without a
/// [`Notification`](crate::Notification) pass through untouched. A clone is cheap and shares the
/// store and all state.
///
/// # The task of the handler
///
/// The handler runs in a task of its own ([`tokio::spawn`]), so that it finishes even if the sender
/// disconnects. Task-locals of outer layers are therefore not present in the handler, and their
/// spans only with the feature `tracing`. Carry them in the extensions of the request.
/// `docs/hosts.md` in the repository shows how to do that with a tracing span.
///
/// A handler that returns an error is answered with 500
/// ([`HandlerFailed`](super::DedupRejectionKind::HandlerFailed)), and the error is dropped. Log it
/// inside of this layer, for example in `tower::util::MapErrLayer`.
/// [`OnHandlerError`](crate::webhook::OnHandlerError) of the `WebhookLayer` has no effect on it.
///
/// A panic of the handler, of the store or of what they leave to be dropped is contained: events
/// are released or committed, and counted. With `panic = "abort"`, or if a `Drop` panics while
/// another panic unwinds, the process ends.
///
/// # Example
///
/// ```
/// use axum::{Extension, Router, http::StatusCode, routing::post};
/// use tower_whatsapp::{Notification, WebhookLayer, dedup::{DedupLayer, MemoryStore}};
///
/// async fn on_event(Extension(notification): Extension<Notification>) -> StatusCode {
///     for event in notification.events() {
///         println!("new: {}", event.kind());
///     }
///     StatusCode::OK
/// }
///
/// # fn main() -> Result<(), tower_whatsapp::ConfigError> {
/// let app: Router = Router::new()
///     .route("/webhook", post(on_event))
///     // The layer added last is the outermost: it checks signatures before deduplication.
///     .layer(DedupLayer::new(MemoryStore::new()))
///     .layer(WebhookLayer::new("/webhook", "the app secret", "the verify token")?);
/// # Ok(()) }
/// ```
#[doc(alias = "idempotency")]
#[doc(alias = "retry")]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct DedupLayer<S = MemoryStore> {
    pub(super) shared: Arc<Shared<S>>,
}

impl<S: Store> DedupLayer<S> {
    /// Creates a layer with the default settings of [`DedupLayerBuilder`].
    #[expect(
        clippy::expect_used,
        reason = "the defaults do not contradict each other"
    )]
    pub fn new(store: S) -> Self {
        Self::builder(store)
            .build()
            .expect("the defaults do not contradict each other")
    }

    /// Returns a builder for a layer with other settings.
    ///
    /// Layers that share a store share the work: an event of an app is handled by one of them, and
    /// suppressed by the others, which answer 200. Services that must each handle it need a store
    /// each (with Redis, a prefix each), and so do apps with one label. Nothing
    /// warns about that.
    pub fn builder(store: S) -> DedupLayerBuilder<S> {
        DedupLayerBuilder::new(store)
    }

    /// Returns a handle to monitor the layer and to shut it down gracefully.
    #[must_use]
    pub fn handle(&self) -> DedupHandle {
        DedupHandle {
            tracker: Arc::clone(&self.shared.tracker),
        }
    }
}

impl<S: Store, H> Layer<H> for DedupLayer<S> {
    type Service = Dedup<H, S>;

    fn layer(&self, inner: H) -> Dedup<H, S> {
        Dedup::new(inner, Arc::clone(&self.shared))
    }
}

// Not derived, because the store need not be `Clone`.
impl<S> Clone for DedupLayer<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for DedupLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupLayer").finish_non_exhaustive()
    }
}
