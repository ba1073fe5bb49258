use std::sync::Arc;

use tower_layer::Layer;

use super::{builder::WebhookLayerBuilder, config::Config, error::ConfigError, service::Webhook};

/// Verifies webhook deliveries and passes each one to the inner service with a
/// [`Notification`](crate::Notification). See the [module docs](crate::webhook) for how a request
/// is processed.
///
/// It serves one path, or several by [`route`](WebhookLayerBuilder::route); requests to other paths
/// pass through untouched. A clone is cheap and shares everything, including the memory budget.
///
/// ```
/// use axum::{Extension, Router, http::StatusCode, routing::post};
/// use tower_whatsapp::{Notification, Payload, WebhookLayer};
///
/// async fn on_event(Extension(notification): Extension<Notification>) -> StatusCode {
///     for event in notification.events() {
///         if let Payload::Message(message) = event.payload() {
///             println!("message {}", message.id.unwrap_or_default());
///         }
///     }
///     StatusCode::OK
/// }
///
/// # fn main() -> Result<(), tower_whatsapp::ConfigError> {
/// let whatsapp = WebhookLayer::new("/webhook", "the app secret", "the verify token")?;
/// let app: Router = Router::new()
///     .route("/webhook", post(on_event))
///     .layer(whatsapp);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct WebhookLayer {
    pub(super) config: Arc<Config>,
}

impl WebhookLayer {
    /// Creates a layer for one path with one secret, one token and the default limits.
    ///
    /// # Errors
    ///
    /// The same as [`WebhookLayerBuilder::build`].
    pub fn new(
        path: impl Into<String>,
        app_secret: impl AsRef<[u8]>,
        verify_token: impl AsRef<[u8]>,
    ) -> Result<Self, ConfigError> {
        Self::builder()
            .path(path)
            .app_secret(app_secret)
            .verify_token(verify_token)
            .build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> WebhookLayerBuilder {
        WebhookLayerBuilder::new()
    }

    /// Free bytes of the [memory budget](WebhookLayerBuilder::memory_budget), for monitoring.
    #[must_use]
    pub fn available_memory(&self) -> usize {
        self.config.budget.available()
    }
}

impl<S> Layer<S> for WebhookLayer {
    type Service = Webhook<S>;

    fn layer(&self, inner: S) -> Webhook<S> {
        Webhook::new(inner, Arc::clone(&self.config))
    }
}
