use std::{collections::HashSet, fmt, sync::Arc};

use super::builder::{ConfigError, MAX_BODY_LIMIT};
use crate::{
    credentials::{Credentials, is_label},
    event::Notification,
    receive::Limits,
};

/// One of Meta's apps: what belongs to one secret.
///
/// An app has one callback URL, so who needs several endpoints has several apps; a partner's app receives for many accounts. A layer serves many
/// of them, each on its own [route](super::WebhookLayerBuilder::route) or by [name](super::WebhookLayerBuilder#method.apps). A delivery is
/// tried under the secrets of its route's app and of no other.
///
/// A clone is a handle to the same app.
///
/// ```
/// use tower_whatsapp::{App, Credentials, WebhookLayer};
///
/// let shop = App::new("shop", Credentials::new([("2026", "secret of the shop")], [("1", "its token")])?)?;
/// let bank = App::builder("bank", Credentials::new([("2026", "secret of the bank")], [("1", "its token")])?)
///     // Nothing but what is about these WhatsApp Business Accounts.
///     .accounts(["102290129340398"])
///     .build()?;
/// let layer = WebhookLayer::builder()
///     .route("/hooks/shop", shop)
///     .route("/hooks/bank", bank)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    label: Arc<str>,
    credentials: Credentials,
    own: OwnLimits,
    accounts: Option<HashSet<String>>,
}

/// Where they are not set, those of the layer hold.
#[derive(Debug, Clone, Copy, Default)]
struct OwnLimits {
    body: Option<usize>,
    #[cfg(feature = "tokio")]
    deadline: Option<std::time::Duration>,
    #[cfg(feature = "tokio")]
    idle: Option<std::time::Duration>,
}

impl App {
    /// An app with the limits of the layer and for all accounts.
    ///
    /// The label is 1 to 64 letters, digits and `.`, `_`, `~`, `-`. It comes back as [`Verified::app`](crate::Verified::app), and keeps the events of
    /// this app apart from those of others in a store of handled events: it must stay the same.
    ///
    /// # Errors
    ///
    /// [`ConfigError::AppLabel`].
    pub fn new(label: impl AsRef<str>, credentials: Credentials) -> Result<Self, ConfigError> {
        Self::builder(label, credentials).build()
    }

    /// Starts to configure an app.
    pub fn builder(label: impl AsRef<str>, credentials: Credentials) -> AppBuilder {
        AppBuilder {
            label: label.as_ref().into(),
            credentials,
            own: OwnLimits::default(),
            accounts: None,
        }
    }

    /// The one app of a layer, which need not be told from others.
    pub(super) fn unnamed(credentials: Credentials) -> Self {
        Self {
            inner: Arc::new(Inner {
                label: "".into(),
                credentials,
                own: OwnLimits::default(),
                accounts: None,
            }),
        }
    }

    /// Its label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// Its secrets and tokens.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inner.credentials
    }

    pub(super) fn shared_label(&self) -> Arc<str> {
        Arc::clone(&self.inner.label)
    }

    /// Its own limits, and those of the layer where it has none. `longest`: a body for which the layer's budget has room.
    pub(super) fn limits(&self, layer: &Limits, longest: usize) -> Limits {
        let own = &self.inner.own;
        Limits {
            // An app that is found by name could not be checked against the budget when the layer was built.
            body: own.body.map_or(layer.body, |body| body.min(longest)),
            #[cfg(feature = "tokio")]
            deadline: own.deadline.unwrap_or(layer.deadline),
            #[cfg(feature = "tokio")]
            idle: own.idle.unwrap_or(layer.idle),
        }
    }

    pub(super) fn own_body_limit(&self) -> Option<usize> {
        self.inner.own.body
    }

    /// Whether all that is in the delivery is about accounts of this app.
    pub(super) fn receives(&self, notification: &Notification) -> bool {
        let Some(accounts) = &self.inner.accounts else {
            return true;
        };
        notification.events().iter().all(|event| {
            event
                .entry_id()
                .is_some_and(|account| accounts.contains(account))
        })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("label", &self.inner.label)
            .field("credentials", &self.inner.credentials)
            .finish_non_exhaustive()
    }
}

/// Configures an [`App`]. Every setting is checked in [`build`](Self::build).
#[must_use = "a builder does nothing until `build` is called"]
pub struct AppBuilder {
    label: Arc<str>,
    credentials: Credentials,
    own: OwnLimits,
    accounts: Option<HashSet<String>>,
}

impl AppBuilder {
    /// The WhatsApp Business Accounts of which this app may tell, by id. Default: all.
    ///
    /// A delivery that is signed and has an event of another account, or of none, is refused whole, with 403: nothing of it is dropped silently, and
    /// Meta repeats it for up to 7 days, for the case that the list was incomplete. The samples of the dashboard's *Test* button have the account `0`.
    pub fn accounts<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.accounts = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// As [`WebhookLayerBuilder::body_limit`](super::WebhookLayerBuilder::body_limit), for this app. Default: that of the layer.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.own.body = Some(bytes);
        self
    }

    /// As [`WebhookLayerBuilder::body_deadline`](super::WebhookLayerBuilder::body_deadline), for this app. Default: that of the layer.
    #[cfg(feature = "tokio")]
    pub fn body_deadline(mut self, deadline: std::time::Duration) -> Self {
        self.own.deadline = Some(deadline);
        self
    }

    /// As [`WebhookLayerBuilder::body_idle_timeout`](super::WebhookLayerBuilder::body_idle_timeout), for this app. Default: that of the
    /// layer.
    #[cfg(feature = "tokio")]
    pub fn body_idle_timeout(mut self, idle: std::time::Duration) -> Self {
        self.own.idle = Some(idle);
        self
    }

    /// Checks the settings and makes the app.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the first setting that is wrong.
    pub fn build(self) -> Result<App, ConfigError> {
        if !is_label(&self.label) {
            return Err(ConfigError::AppLabel);
        }
        if self.accounts.as_ref().is_some_and(HashSet::is_empty) {
            return Err(ConfigError::Accounts);
        }
        if (self.own.body).is_some_and(|body| !(1..=MAX_BODY_LIMIT).contains(&body)) {
            return Err(ConfigError::BodyLimit);
        }
        #[cfg(feature = "tokio")]
        {
            if self.own.deadline.is_some_and(|deadline| deadline.is_zero()) {
                return Err(ConfigError::BodyDeadline);
            }
            if self.own.idle.is_some_and(|idle| idle.is_zero()) {
                return Err(ConfigError::BodyIdleTimeout);
            }
        }
        Ok(App {
            inner: Arc::new(Inner {
                label: self.label,
                credentials: self.credentials,
                own: self.own,
                accounts: self.accounts,
            }),
        })
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBuilder")
            .field("label", &self.label)
            .field("credentials", &self.credentials)
            .field("limits", &self.own)
            .finish_non_exhaustive()
    }
}
