use std::{
    fmt,
    sync::{Arc, Weak},
};

use crate::receive::Reservation;
#[cfg(feature = "tokio")]
use crate::webhook::SetupWarnings;

/// Says that a request was verified, and how. In the extensions of every request that the layer lets through on its path.
///
/// Nobody else can make one. One that was kept from another request is removed by the next layer, and
/// a [`Notification`](crate::Notification) that comes without one too. One that an outer layer has
/// made for this request stays.
#[derive(Clone)]
pub struct Verified {
    app: Arc<str>,
    secret: Arc<str>,
    /// The request that it was made for, as long as that is being handled.
    request: Weak<Reservation>,
    /// Where the layer that verified it reports mistakes in the setup.
    #[cfg(feature = "tokio")]
    warnings: Arc<SetupWarnings>,
}

impl Verified {
    pub(crate) fn new(
        app: Arc<str>,
        secret: Arc<str>,
        request: &Arc<Reservation>,
        #[cfg(feature = "tokio")] warnings: &Arc<SetupWarnings>,
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
    pub(crate) fn warnings(&self) -> &SetupWarnings {
        &self.warnings
    }

    /// Whether the request that it was made for is still being handled.
    pub(crate) fn is_current(&self) -> bool {
        self.request.strong_count() > 0
    }

    /// The label of the [`App`](crate::App) whose secret made the signature. Empty if the layer has one app without a label.
    ///
    /// The signature covers the body and not the URL: it is the secret that says which app it is.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The label of the secret that made the signature. For secrets that were given to the builder one by one it is their number: "0" for the
    /// first. During a rotation this tells when the old one is no longer used.
    #[must_use]
    pub fn secret_label(&self) -> &str {
        &self.secret
    }
}

impl PartialEq for Verified {
    fn eq(&self, other: &Self) -> bool {
        (&self.app, &self.secret) == (&other.app, &other.secret)
    }
}

impl Eq for Verified {}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("app", &self.app)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
