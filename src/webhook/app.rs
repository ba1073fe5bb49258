use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::builder::{ConfigError, MAX_BODY_LIMIT};
use crate::{
    credentials::{Credentials, is_label},
    event::{Event, Notification, Payload},
    receive::Limits,
};

/// The entry id of the dashboard's test samples. No account has it.
const TEST_ACCOUNT: &str = "0";

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
    own: OwnLimits,
    filter: Filter,
    foreign_events: AtomicU64,
}

/// Which events are about this app's accounts and phone numbers.
#[derive(Debug, Default)]
struct Filter {
    accounts: Option<HashSet<String>>,
    phone_numbers: Option<HashSet<String>>,
    on_foreign_event: OnForeignEvent,
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
            filter: Filter::default(),
        }
    }

    /// The one app of a layer, which need not be told from others.
    pub(super) fn unnamed(credentials: Credentials) -> Self {
        Self {
            inner: Arc::new(Inner {
                label: "".into(),
                credentials,
                own: OwnLimits::default(),
                filter: Filter::default(),
                foreign_events: AtomicU64::new(0),
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

    /// Number of [foreign](Notification::foreign) events received so far, for monitoring. Counts
    /// redelivered events and those of refused deliveries again.
    ///
    /// A rising number means that a list is incomplete, or that the app is subscribed to more
    /// accounts than this service handles.
    #[must_use]
    pub fn foreign_events(&self) -> u64 {
        self.inner.foreign_events.load(Ordering::Relaxed)
    }

    /// Whether both are handles to one app.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
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

    /// Sets the foreign events aside and counts them. Returns false if the delivery is to be
    /// refused because of them.
    pub(super) fn filter(&self, notification: &mut Notification) -> bool {
        let Inner {
            filter,
            foreign_events,
            ..
        } = &*self.inner;
        if filter.accounts.is_none() && filter.phone_numbers.is_none() {
            return true;
        }
        let mut last = None;
        notification.set_aside(|event| {
            // All events of a `value` share its account and phone number, so they are read once.
            let value = event.value().map(str::as_ptr);
            match last {
                Some((known, is_foreign)) if value == Some(known) => is_foreign,
                _ => {
                    let is_foreign = filter.is_foreign(event);
                    last = value.map(|value| (value, is_foreign));
                    is_foreign
                }
            }
        });
        let foreign = notification.foreign().len();
        foreign_events.fetch_add(
            u64::try_from(foreign).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        foreign == 0 || filter.on_foreign_event == OnForeignEvent::SetAside
    }
}

impl Filter {
    /// Whether the event names an account or a phone number and it is not listed.
    fn is_foreign(&self, event: &Event) -> bool {
        let is_other_account =
            (self.accounts.as_ref()).is_some_and(|listed| names_other_account(event, listed));
        let is_other_number = (self.phone_numbers.as_ref())
            .zip(event.phone_number_id())
            .is_some_and(|(listed, number)| !listed.contains(number));
        is_other_account || is_other_number
    }
}

/// Whether there is an id and all are digits, as Meta's are. Anything else would match nothing, and set every event aside.
fn are_ids(ids: &HashSet<String>) -> bool {
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    !ids.is_empty() && ids.iter().all(is_id)
}

fn names_other_account(event: &Event, listed: &HashSet<String>) -> bool {
    let entry = event.entry_id().filter(|id| *id != TEST_ACCOUNT);
    if entry.is_some_and(|id| listed.contains(id)) {
        return false;
    }
    // To a partner, the entry is the partner's own business portfolio.
    let account = match event.payload() {
        Payload::AccountUpdate(update) => update.waba_info,
        Payload::PartnerSolution(solution) => solution.waba_info,
        _ => None,
    };
    let account = account.and_then(|info| info.waba_id);
    account.map_or(entry.is_some(), |account| !listed.contains(account))
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("label", &self.inner.label)
            .field("credentials", &self.inner.credentials)
            .finish_non_exhaustive()
    }
}

/// What happens to a delivery with events of accounts or phone numbers that the [`App`] does not
/// list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnForeignEvent {
    /// Delivered, with those events in [`Notification::foreign`].
    #[default]
    SetAside,
    /// Refused whole with 403 ([`RejectionKind::AccountRefused`](super::RejectionKind)), so that
    /// Meta retries all of its events for up to 7 days.
    Refuse,
}

/// Configures an [`App`]. Every setting is checked in [`build`](Self::build).
#[must_use = "a builder does nothing until `build` is called"]
pub struct AppBuilder {
    label: Arc<str>,
    credentials: Credentials,
    own: OwnLimits,
    filter: Filter,
}

impl AppBuilder {
    /// WhatsApp Business Accounts whose events this app handles, by id. Default: all.
    ///
    /// Events that name another account are set aside: they are in [`Notification::foreign`] in
    /// place of [`events`](Notification::events), counted by [`App::foreign_events`], and refuse
    /// nothing. The rest of the delivery is handled. If every event is foreign, the handler is
    /// called all the same, with empty `events`. To refuse such deliveries, see
    /// [`on_foreign_event`](Self::on_foreign_event).
    ///
    /// An event names an account by the id of its entry or by `waba_info.waba_id` of an
    /// `account_update`; one listed id is enough. In an `account_update` to a partner, the entry
    /// is the partner's business portfolio. An event that names no account is handled, because
    /// nothing shows that it is somebody else's; so are the samples of the dashboard's *Test*
    /// button, whose account is `0`.
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
    pub fn accounts<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.filter.accounts = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Business phone numbers whose events this app handles, by `phone_number_id`. Default: all.
    ///
    /// The id is not the phone number: `WhatsApp, API Setup` in the App Dashboard shows both. With the wrong list every event is
    /// set aside and answered with 200, so watch [`App::foreign_events`].
    ///
    /// Events that name another phone number are set aside, as with [`accounts`](Self::accounts).
    /// Events about the account, such as `account_update` and template changes, name no phone
    /// number and are handled. With both lists, an event is foreign if either list says so.
    pub fn phone_numbers<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.filter.phone_numbers = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// What happens to a delivery with an event of an account or phone number that is not listed.
    /// Default: [`OnForeignEvent::SetAside`].
    pub fn on_foreign_event(mut self, on_foreign_event: OnForeignEvent) -> Self {
        self.filter.on_foreign_event = on_foreign_event;
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
        if !self.filter.accounts.as_ref().is_none_or(are_ids) {
            return Err(ConfigError::Accounts);
        }
        if !self.filter.phone_numbers.as_ref().is_none_or(are_ids) {
            return Err(ConfigError::PhoneNumbers);
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
                filter: self.filter,
                foreign_events: AtomicU64::new(0),
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
