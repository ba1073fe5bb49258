use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    builder::DedupLayerBuilder, handle::DedupHandle, memory::MemoryStore, service::Dedup,
    store::Store, task::Shared,
};

/// Has each event handled once. See the [module docs](crate::dedup) for what that means and where it ends.
///
/// Goes inside a [`WebhookLayer`](crate::WebhookLayer). Requests without a [`Notification`](crate::Notification) pass through untouched.
/// A clone is cheap and shares everything.
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
///     // The layer that is added last is the outermost: first the signature, then the duplicates.
///     .layer(DedupLayer::new(MemoryStore::new()))
///     .layer(WebhookLayer::new("/webhook", "the app secret", "the verify token")?);
/// # Ok(()) }
/// ```
#[must_use = "a layer does nothing until it is put around a service"]
pub struct DedupLayer<S = MemoryStore> {
    pub(super) shared: Arc<Shared<S>>,
}

impl<S: Store> DedupLayer<S> {
    /// A layer with the defaults.
    #[expect(
        clippy::expect_used,
        reason = "the defaults do not contradict each other"
    )]
    pub fn new(store: S) -> Self {
        Self::builder(store)
            .build()
            .expect("the defaults do not contradict each other")
    }

    /// Starts to configure a layer.
    pub fn builder(store: S) -> DedupLayerBuilder<S> {
        DedupLayerBuilder::new(store)
    }

    /// A handle to watch the layer and to shut it down.
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

// Not derived: the store need not be `Clone`.
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
