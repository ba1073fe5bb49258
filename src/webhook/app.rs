use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
#[cfg(feature = "tokio")]
use std::{ptr, sync::Weak};

use super::{
    error::ConfigError,
    event_filter::{EventFilter, OnForeignEvent},
};
use crate::{
    credentials::{Credentials, is_label},
    event::Notification,
    receive::{Limits, MAX_BODY_LIMIT},
    telemetry::AppTelemetry,
};

/// A Meta app: the owner of one app secret, with its credentials, limits and filters.
///
/// An app has one callback URL, so several endpoints need several apps. The app of a partner
/// receives deliveries for many accounts. A layer serves any number of apps, each on its own
/// [route](super::WebhookLayerBuilder::route) or
/// [resolved by name](super::WebhookLayerBuilder#method.app_resolver). A delivery is checked only
/// under the secrets of the app of its path.
///
/// A clone is a handle to the same app.
///
/// ```
/// use tower_whatsapp::{App, Credentials, WebhookLayer};
///
/// let shop = Credentials::new([("2026", "secret of the shop")], [("1", "its token")])?;
/// let shop = App::new("shop", shop)?;
/// let bank = Credentials::new([("2026", "secret of the bank")], [("1", "its token")])?;
/// let bank = App::builder("bank", bank)
///     // Handles the events of this WhatsApp Business Account only.
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
    limits: LimitOverrides,
    filter: EventFilter,
    foreign_events: AtomicU64,
    /// Unset until the first use, or until it is taken over from an earlier app.
    history: OnceLock<Arc<AppHistory>>,
}

/// What the process has seen of an app since its start. A resolver may build the same app again
/// and again: the later ones continue the history of the first.
#[derive(Debug, Default)]
pub(super) struct AppHistory {
    /// Whether an event has named a listed account or phone number.
    has_listed: AtomicBool,
    telemetry: Arc<AppTelemetry>,
}

/// Limits that replace those of the layer, if set.
#[derive(Debug, Clone, Copy, Default)]
struct LimitOverrides {
    body: Option<usize>,
    #[cfg(feature = "tokio")]
    deadline: Option<std::time::Duration>,
    #[cfg(feature = "tokio")]
    idle: Option<std::time::Duration>,
}

impl App {
    /// Creates an app with the limits of the layer, for all accounts.
    ///
    /// The label is 1 to 64 letters, digits, `.`, `_`, `~` or `-`. Handlers read it from
    /// [`Verified::app`](crate::Verified::app). It is part of the deduplication key, which
    /// separates the events of this app from those of others, so it must not change. Of two
    /// services that share a deduplication store and this label, only one handles an event.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError::AppLabel`] if the label is invalid.
    pub fn new(label: impl AsRef<str>, credentials: Credentials) -> Result<Self, ConfigError> {
        Self::builder(label, credentials).build()
    }

    /// Returns a builder for an app.
    pub fn builder(label: impl AsRef<str>, credentials: Credentials) -> AppBuilder {
        AppBuilder {
            label: label.as_ref().into(),
            credentials,
            limits: LimitOverrides::default(),
            filter: EventFilter::default(),
        }
    }

    /// The only app of a layer, which needs no label.
    pub(super) fn unnamed(credentials: Credentials) -> Self {
        Self {
            inner: Arc::new(Inner {
                label: "".into(),
                credentials,
                limits: LimitOverrides::default(),
                filter: EventFilter::default(),
                foreign_events: AtomicU64::new(0),
                history: OnceLock::new(),
            }),
        }
    }

    /// The label of the app.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// The secrets and tokens of the app.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inner.credentials
    }

    /// Number of [foreign](Notification::foreign) events received so far, for monitoring.
    /// Redelivered events, and those of refused deliveries, are counted every time.
    ///
    /// A rising number means that a list is incomplete, or that the app is subscribed to more
    /// accounts than this service handles.
    #[must_use]
    pub fn foreign_events(&self) -> u64 {
        self.inner.foreign_events.load(Ordering::Relaxed)
    }

    /// Whether both are handles to the same app.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(super) fn shared_label(&self) -> Arc<str> {
        Arc::clone(&self.inner.label)
    }

    pub(super) fn history(&self) -> &Arc<AppHistory> {
        self.inner.history.get_or_init(Arc::default)
    }

    /// Continues the history of an earlier app, unless this one has been used already.
    #[cfg(feature = "apps")]
    pub(super) fn continue_history(&self, history: &Arc<AppHistory>) {
        let _ = self.inner.history.set(Arc::clone(history));
    }

    pub(super) fn telemetry(&self) -> &Arc<AppTelemetry> {
        &self.history().telemetry
    }

    #[cfg(feature = "tokio")]
    pub(super) fn downgrade(&self) -> WeakApp {
        WeakApp(Arc::downgrade(&self.inner))
    }

    /// Returns the limits of the app, with those of the layer as defaults. `longest_body` is the
    /// longest body that fits the layer's budget.
    pub(super) fn limits(&self, layer: &Limits, longest_body: usize) -> Limits {
        let own = &self.inner.limits;
        Limits {
            // An app that is resolved by name was not checked against the budget at build time.
            body: own.body.map_or(layer.body, |body| body.min(longest_body)),
            #[cfg(feature = "tokio")]
            deadline: own.deadline.unwrap_or(layer.deadline),
            #[cfg(feature = "tokio")]
            idle: own.idle.unwrap_or(layer.idle),
        }
    }

    pub(super) fn own_body_limit(&self) -> Option<usize> {
        self.inner.limits.body
    }

    /// Sets foreign events aside and counts them.
    pub(super) fn filter(&self, notification: &mut Notification) -> Filtered {
        let filter = &self.inner.filter;
        if filter.is_empty() {
            return Filtered::default();
        }
        let mut judge = filter.judge();
        let foreign = notification.separate_foreign(|event| judge.is_foreign(event));
        self.inner.foreign_events.fetch_add(
            u64::try_from(foreign).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        let has_listed = &self.history().has_listed;
        if judge.has_listed {
            has_listed.store(true, Ordering::Relaxed);
        }
        let has_own = !notification.peek_events().is_empty();
        Filtered {
            is_refused: foreign > 0 && filter.on_foreign_event == OnForeignEvent::Refuse,
            is_list_suspect: foreign > 0 && !has_own && !has_listed.load(Ordering::Relaxed),
        }
    }
}

/// What [`App::filter`] found.
#[derive(Debug, Default)]
pub(super) struct Filtered {
    /// The delivery must be refused because of its foreign events.
    pub(super) is_refused: bool,
    /// All events of the delivery are foreign, and no event so far has named a listed account or
    /// phone number: the lists are probably wrong.
    pub(super) is_list_suspect: bool,
}

/// A handle that does not keep the app and its secrets alive.
#[cfg(feature = "tokio")]
pub(super) struct WeakApp(Weak<Inner>);

#[cfg(feature = "tokio")]
impl WeakApp {
    /// Whether this is a handle to `app`.
    pub(super) fn is(&self, app: &App) -> bool {
        ptr::eq(self.0.as_ptr(), Arc::as_ptr(&app.inner))
    }

    pub(super) fn upgrade(&self) -> Option<App> {
        self.0.upgrade().map(|inner| App { inner })
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

/// Builder of an [`App`]. [`build`](Self::build) validates every setting.
#[must_use = "a builder does nothing until `build` is called"]
pub struct AppBuilder {
    label: Arc<str>,
    credentials: Credentials,
    limits: LimitOverrides,
    filter: EventFilter,
}

impl AppBuilder {
    /// WhatsApp Business Accounts whose events this app handles, by id. Default: all.
    ///
    /// A second call adds to the list. Events that name another account are set aside: they are in
    /// [`Notification::foreign`] instead of [`events`](Notification::events), and counted by
    /// [`App::foreign_events`]. The rest of the delivery is handled. If every event is foreign, the
    /// handler is still called, with empty `events`. To refuse such deliveries, see
    /// [`on_foreign_event`](Self::on_foreign_event).
    ///
    /// An event names an account by the id of its entry, or by the `waba_info.waba_id` of an
    /// `account_update` or a `partner_solutions` event; one listed id is enough. If such an event
    /// is sent to a partner, its entry is the partner's business portfolio. An event that names no
    /// account is handled, because nothing shows that it belongs to another account. Samples of the
    /// dashboard's *Test* button have the account `0`, which counts as none.
    ///
    /// ```
    /// use tower_whatsapp::{App, Credentials};
    ///
    /// let app = App::builder("bank", Credentials::new([("1", "secret")], [("1", "token")])?)
    ///     .accounts(["102290129340398"])
    ///     .phone_numbers(["106540352242922", "106540352242923"])
    ///     .build()?;
    /// assert_eq!(app.foreign_events(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "waba")]
    #[doc(alias = "waba_id")]
    pub fn accounts<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        let ids = ids.into_iter().map(Into::into);
        self.filter.accounts.get_or_insert_default().extend(ids);
        self
    }

    /// Business phone numbers whose events this app handles, by `phone_number_id`. Default: all. A
    /// second call adds to the list.
    ///
    /// The id is not the phone number: `WhatsApp, API Setup` in the App Dashboard shows both. With
    /// a wrong list every event is set aside and answered with 200, which is reported as
    /// [`SetupWarning::AllEventsForeign`](super::SetupWarning::AllEventsForeign). Monitor
    /// [`App::foreign_events`] too.
    ///
    /// Events that name another phone number are set aside, as with [`accounts`](Self::accounts).
    /// Events about the account, such as `account_update` and template changes, name no phone
    /// number and are handled. With both lists, an event is foreign if either list says so. Samples
    /// of the dashboard's *Test* button have a phone number of Meta, and are set aside.
    #[doc(alias = "phone_number_id")]
    pub fn phone_numbers<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        let ids = ids.into_iter().map(Into::into);
        self.filter
            .phone_numbers
            .get_or_insert_default()
            .extend(ids);
        self
    }

    /// What to do with a delivery that has an event of an account or phone number that is not
    /// listed. Default: [`OnForeignEvent::SetAside`].
    ///
    /// Building fails for [`OnForeignEvent::Refuse`] without [`accounts`](Self::accounts) or
    /// [`phone_numbers`](Self::phone_numbers), because no event would be foreign.
    pub fn on_foreign_event(mut self, on_foreign_event: OnForeignEvent) -> Self {
        self.filter.on_foreign_event = on_foreign_event;
        self
    }

    /// Overrides [`WebhookLayerBuilder::body_limit`](super::WebhookLayerBuilder::body_limit) for
    /// this app.
    ///
    /// For an app with a path, [`build`](super::WebhookLayerBuilder::build) fails if the limit
    /// does not fit the [`memory_budget`](super::WebhookLayerBuilder::memory_budget). An app that
    /// is resolved by name is not known then: a limit beyond three quarters of the budget plus
    /// 16 KiB is lowered to that.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = Some(bytes);
        self
    }

    /// Overrides [`WebhookLayerBuilder::body_deadline`](super::WebhookLayerBuilder::body_deadline)
    /// for this app.
    #[cfg(feature = "tokio")]
    pub fn body_deadline(mut self, deadline: std::time::Duration) -> Self {
        self.limits.deadline = Some(deadline);
        self
    }

    /// Overrides
    /// [`WebhookLayerBuilder::body_idle_timeout`](super::WebhookLayerBuilder::body_idle_timeout)
    /// for this app.
    #[cfg(feature = "tokio")]
    pub fn body_idle_timeout(mut self, idle: std::time::Duration) -> Self {
        self.limits.idle = Some(idle);
        self
    }

    /// Validates the settings and builds the app.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the first invalid setting.
    pub fn build(self) -> Result<App, ConfigError> {
        if !is_label(&self.label) {
            return Err(ConfigError::AppLabel);
        }
        self.filter.check()?;
        if (self.limits.body).is_some_and(|body| !(1..=MAX_BODY_LIMIT).contains(&body)) {
            return Err(ConfigError::BodyLimit);
        }
        #[cfg(feature = "tokio")]
        {
            if self
                .limits
                .deadline
                .is_some_and(|deadline| deadline.is_zero())
            {
                return Err(ConfigError::BodyDeadline);
            }
            if self.limits.idle.is_some_and(|idle| idle.is_zero()) {
                return Err(ConfigError::BodyIdleTimeout);
            }
        }
        Ok(App {
            inner: Arc::new(Inner {
                label: self.label,
                credentials: self.credentials,
                limits: self.limits,
                filter: self.filter,
                foreign_events: AtomicU64::new(0),
                history: OnceLock::new(),
            }),
        })
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBuilder")
            .field("label", &self.label)
            .field("credentials", &self.credentials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
