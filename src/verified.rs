use std::{
    fmt,
    sync::{Arc, Weak},
};

#[cfg(feature = "tokio")]
use crate::webhook::WarningReporter;
use crate::{receive::Reservation, webhook::App};

/// Proof that a request was verified, and by which app and secret. It is in the extensions of every
/// verified request.
///
/// Only a layer can create one. A layer removes a `Verified` that belongs to another request, and a
/// [`Notification`](crate::Notification) without a valid `Verified`. A `Verified` that an outer
/// layer inserted for this request stays.
#[derive(Clone)]
pub struct Verified {
    app: App,
    secret: Arc<str>,
    /// The request that was verified. Its reservation lives until the request has been handled.
    request: Weak<Reservation>,
    /// The warnings of the layer that verified the request.
    #[cfg(feature = "tokio")]
    warnings: Arc<WarningReporter>,
}

impl Verified {
    pub(crate) fn new(
        app: App,
        secret: Arc<str>,
        request: &Arc<Reservation>,
        #[cfg(feature = "tokio")] warnings: &Arc<WarningReporter>,
    ) -> Self {
        Self {
            app,
            secret,
            request: Arc::downgrade(request),
            #[cfg(feature = "tokio")]
            warnings: Arc::clone(warnings),
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn warnings(&self) -> &Arc<WarningReporter> {
        &self.warnings
    }

    /// The app whose secret signed the delivery.
    #[cfg(feature = "tokio")]
    pub(crate) fn signer(&self) -> &App {
        &self.app
    }

    /// Whether the verified request is still being handled.
    pub(crate) fn is_current(&self) -> bool {
        self.request.strong_count() > 0
    }

    /// Label of the [`App`](crate::App) whose secret signed the delivery. Empty if the layer has
    /// one app without a label.
    ///
    /// The signature covers the body and not the URL, so the secret identifies the app.
    #[must_use]
    pub fn app(&self) -> &str {
        self.app.label()
    }

    /// Label of the secret that signed the delivery. Secrets set with
    /// [`app_secret`](crate::WebhookLayerBuilder::app_secret) are numbered: "0" is the first.
    /// During a rotation, this shows when the old secret is no longer in use.
    #[must_use]
    pub fn secret_label(&self) -> &str {
        &self.secret
    }
}

impl PartialEq for Verified {
    fn eq(&self, other: &Self) -> bool {
        (self.app(), &self.secret) == (other.app(), &other.secret)
    }
}

impl Eq for Verified {}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("app", &self.app())
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
