use std::sync::Arc;

/// Says that a request was verified, and how. In the extensions of every request that the layer lets through on its path.
///
/// Nobody else can make one, and values that another layer may have left are removed from every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    app: Arc<str>,
    secret: Arc<str>,
}

impl Verified {
    pub(crate) fn new(app: Arc<str>, secret: Arc<str>) -> Self {
        Self { app, secret }
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
