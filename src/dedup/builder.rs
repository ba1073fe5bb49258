use std::{error::Error, fmt, sync::Arc, time::Duration};

use super::{
    claim_set::{MARGIN, Policy},
    layer::DedupLayer,
    store::Store,
    task::Shared,
};
use crate::event::{Event, EventKey};

/// For how long Meta repeats a delivery.
const REDELIVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// An hour more than Meta repeats, for clocks that differ.
const DEFAULT_WINDOW: Duration = Duration::from_secs((7 * 24 + 1) * 60 * 60);
const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// Longer than nearly all work that precedes an answer. A handler that hangs is still tried some 600
/// times in the seven days for which Meta repeats.
const DEFAULT_HANDLER_DEADLINE: Duration = Duration::from_secs(15 * 60);
const DEFAULT_RESPONSE_DEADLINE: Duration = Duration::from_secs(5);
/// Maximum lease. Handlers that take longer have theirs renewed.
const MAX_LEASE: Duration = Duration::from_secs(60 * 60);
const DEFAULT_IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);
const DEFAULT_IN_FLIGHT_WAITERS: usize = 128;
const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_millis(250);

/// Configures a [`DedupLayer`]. Every setting is checked in [`build`](Self::build), each by itself and against the others.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp::{Payload, dedup::{DedupLayer, MemoryStore, OnStoreError}, event::State};
///
/// let layer = DedupLayer::builder(MemoryStore::new())
///     // Three of four events are statuses: remember them for less time than messages, if it does not matter that
///     // those of the days after it are handled again …
///     .status_window(Duration::from_secs(60 * 60))
///     // … and let those be handled twice for which it never matters.
///     .key(|event, app| match event.payload() {
///         Payload::Status(status) if status.state == Some(State::Sent) => None,
///         _ => Some(event.key_in(app)),
///     })
///     .on_store_error(OnStoreError::Deliver)
///     .build()?;
/// # Ok::<(), tower_whatsapp::dedup::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct DedupLayerBuilder<S> {
    store: S,
    /// `None`: [`Event::key_in`] of events that are distinguishable.
    key: Option<Arc<KeyOf>>,
    window: Duration,
    status_window: Option<Option<Duration>>,
    on_stale: OnStale,
    on_store_error: OnStoreError,
    times: Times,
    waiters: usize,
}

pub(super) type KeyOf = dyn Fn(&Event, &str) -> Option<EventKey> + Send + Sync;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) lease: Duration,
    pub(super) handler: Option<Duration>,
    pub(super) response: Duration,
    pub(super) wait: Duration,
    pub(super) store: Duration,
}

/// What becomes of a delivery while the store cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnStoreError {
    /// It is answered with 503, and Meta sends it again. Events are late, none is handled twice.
    #[default]
    Refuse,
    /// The handler is called, with [`Notification::is_unprotected`](crate::Notification::is_unprotected) saying so. Events are in time, and
    /// some may be handled twice.
    Deliver,
}

/// What becomes of an event that is older than its window, so that the store may have forgotten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnStale {
    /// It is delivered, and [`Event::is_stale`] says so.
    #[default]
    Deliver,
    /// It is kept from the handler: for hosts to whom a replay of what somebody captured long ago is
    /// worse than the loss of events that Meta could not bring for as long as it tries. It is among
    /// [`Notification::suppressed`](crate::Notification::suppressed), and the events beside it are
    /// handled. A delivery of nothing else is answered with 403.
    ///
    /// Needs windows of at least seven days and ten minutes, so that it refuses nothing that Meta
    /// still repeats.
    Refuse,
}

impl<S: Store> DedupLayerBuilder<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store,
            key: None,
            window: DEFAULT_WINDOW,
            status_window: None,
            on_stale: OnStale::default(),
            on_store_error: OnStoreError::default(),
            times: Times {
                lease: DEFAULT_LEASE,
                handler: Some(DEFAULT_HANDLER_DEADLINE),
                response: DEFAULT_RESPONSE_DEADLINE,
                wait: DEFAULT_IN_FLIGHT_WAIT,
                store: DEFAULT_STORE_TIMEOUT,
            },
            waiters: DEFAULT_IN_FLIGHT_WAITERS,
        }
    }

    /// What makes two events the same, in place of [`Event::key_in`] the app for events that are
    /// [distinguishable](Event::is_distinguishable). `None` is the same as nothing: such an event is always handled, and
    /// handled again whenever it comes again.
    ///
    /// The second argument is the label of the app that has received the event ([`Verified::app`](crate::Verified::app)), empty if it has none.
    /// Meta sends an event to all apps that have subscribed, and each is to handle it: a key that knows nothing of the app has one of them lose it.
    /// Whoever makes a key of less than the default's may lose events too: one message to a group has a status for each participant under the
    /// same id, and a status repeats with another timestamp for good reason.
    pub fn key<F>(mut self, key: F) -> Self
    where
        F: Fn(&Event, &str) -> Option<EventKey> + Send + Sync + 'static,
    {
        self.key = Some(Arc::new(key));
        self
    }

    /// For how long an event that was handled is remembered. Default: 7 days, for which Meta repeats, and 1 hour.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The same for statuses of messages, or `None` to let all of them through. Default: as [`window`](Self::window).
    ///
    /// Three of four events are statuses, and most hosts write them down in a way that does not mind a repeat.
    pub fn status_window(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.status_window = Some(window.into());
        self
    }

    /// What becomes of events that are older than their window. Default: they are delivered and marked.
    ///
    /// The age is that of [`Event::timestamp`]. Events without one are not stale, nor are those of `history` and `smb_app_state_sync`,
    /// which are old by nature.
    pub fn on_stale(mut self, on_stale: OnStale) -> Self {
        self.on_stale = on_stale;
        self
    }

    /// What becomes of deliveries while the store cannot be asked. Default: they are refused, and Meta brings them again.
    pub fn on_store_error(mut self, on_store_error: OnStoreError) -> Self {
        self.on_store_error = on_store_error;
        self
    }

    /// For how long events belong to the process that handles them. If it dies, they are free again after this time. Default: 30 seconds.
    ///
    /// The lease is renewed every third of it while the handler runs, however long that takes. It must
    /// be at least four [`store_timeout`](Self::store_timeout)s, so that a failed renewal can be
    /// repeated in time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.times.lease = lease;
        self
    }

    /// Maximum time for a handler, from the claim; `None` for no limit. Then the handler is dropped and
    /// its events are released, so that Meta's next delivery starts it again. Default: 15 minutes.
    ///
    /// A deadline is for handlers that hang. Without one, a handler that waits for something that never
    /// comes holds its events, and its body in the memory budget, until the process ends; after seven
    /// days Meta no longer repeats them, and they are lost. Work that takes longer than the deadline
    /// never finishes: raise the deadline, or hand the events to a queue.
    /// [`Counters::timed_out`](super::Counters::timed_out) counts the handlers that were dropped.
    ///
    /// A handler that blocks its thread cannot be dropped, and its leases are not renewed: it goes on,
    /// and so may its successor when the lease has expired.
    pub fn handler_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.times.handler = deadline.into();
        self
    }

    /// The time for an answer, from the end of the body. Then Meta is told to come again, while the handler goes on; when Meta does, it
    /// is done. Default: 5 seconds, before senders and proxies lose their patience.
    pub fn response_deadline(mut self, deadline: Duration) -> Self {
        self.times.response = deadline;
        self
    }

    /// How long a delivery waits whose events are all being handled elsewhere, before Meta is told to come again. Default: 1 second. Zero:
    /// not at all.
    ///
    /// Meta's first repetition comes at once, while the first delivery is still being handled; most of them can be answered with 200 by
    /// waiting a moment. A delivery that waits holds its body in the memory budget, and takes over if the other fails.
    pub fn in_flight_wait(mut self, wait: Duration) -> Self {
        self.times.wait = wait;
        self
    }

    /// The most deliveries that wait at the same time; further ones are told to come again at once. Default: 128.
    pub fn in_flight_waiters(mut self, waiters: usize) -> Self {
        self.waiters = waiters;
        self
    }

    /// The time for one call of the store, for at most 256 events. Default: 250 milliseconds, which
    /// is what Meta asks for as the median of a whole answer.
    ///
    /// After five failures in a row the store is left alone for a second at a time, so that deliveries do not wait for it.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.times.store = timeout;
        self
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the first setting that is wrong or contradicts another.
    pub fn build(self) -> Result<DedupLayer<S>, ConfigError> {
        let times = self.times;
        if times.store.is_zero() {
            return Err(ConfigError::StoreTimeout);
        }
        if times.handler.is_some_and(|deadline| deadline.is_zero()) {
            return Err(ConfigError::HandlerDeadline);
        }
        if times.lease < times.store.saturating_mul(4) || times.lease > MAX_LEASE {
            return Err(ConfigError::Lease);
        }
        if times.response <= times.store {
            return Err(ConfigError::ResponseDeadline);
        }
        if times.wait.saturating_add(times.store) > times.response {
            return Err(ConfigError::InFlightWait);
        }
        if self.window < times.lease {
            return Err(ConfigError::Window);
        }
        let status_window = self.status_window.unwrap_or(Some(self.window));
        if status_window.is_some_and(|window| window < times.lease) {
            return Err(ConfigError::StatusWindow);
        }
        let refuses_stale = self.on_stale == OnStale::Refuse;
        let shortest = status_window.map_or(self.window, |window| window.min(self.window));
        if refuses_stale && shortest < REDELIVERY + MARGIN {
            return Err(ConfigError::OnStale);
        }
        let policy = Policy {
            key: self.key,
            window: self.window,
            status_window,
            refuses_stale,
        };
        Ok(DedupLayer {
            shared: Arc::new(Shared::new(
                self.store,
                policy,
                times,
                self.waiters,
                self.on_store_error,
            )),
        })
    }
}

impl<S> fmt::Debug for DedupLayerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupLayerBuilder")
            .field("window", &self.window)
            .field("status_window", &self.status_window)
            .field("on_stale", &self.on_stale)
            .field("on_store_error", &self.on_store_error)
            .field("times", &self.times)
            .field("in_flight_waiters", &self.waiters)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the settings of a [`DedupLayer`]. Found when it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The [`store_timeout`](DedupLayerBuilder::store_timeout) is zero.
    StoreTimeout,
    /// The [`handler_deadline`](DedupLayerBuilder::handler_deadline) is zero.
    HandlerDeadline,
    /// The [`lease`](DedupLayerBuilder::lease) is shorter than four
    /// [`store_timeout`](DedupLayerBuilder::store_timeout)s, so that it could expire before a failed renewal is
    /// repeated; or longer than an hour, for which a crash would keep its events from everybody.
    Lease,
    /// The [`response_deadline`](DedupLayerBuilder::response_deadline) is not longer than the
    /// [`store_timeout`](DedupLayerBuilder::store_timeout): nothing could be answered in time.
    ResponseDeadline,
    /// The [`in_flight_wait`](DedupLayerBuilder::in_flight_wait) and a [`store_timeout`](DedupLayerBuilder::store_timeout) are longer than
    /// the [`response_deadline`](DedupLayerBuilder::response_deadline): it would pass first.
    InFlightWait,
    /// The [`window`](DedupLayerBuilder::window) is shorter than the [`lease`](DedupLayerBuilder::lease).
    Window,
    /// The [`status_window`](DedupLayerBuilder::status_window) is shorter than the [`lease`](DedupLayerBuilder::lease). To let all statuses
    /// through it is `None`.
    StatusWindow,
    /// With [`OnStale::Refuse`] the [`window`](DedupLayerBuilder::window) and the
    /// [`status_window`](DedupLayerBuilder::status_window) must be at least seven days and ten
    /// minutes: it would refuse events that Meta still repeats.
    OnStale,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StoreTimeout => "`store_timeout`: must not be zero",
            Self::HandlerDeadline => "`handler_deadline`: must not be zero",
            Self::Lease => "`lease`: must be at least four `store_timeout`s, and at most an hour",
            Self::ResponseDeadline => "`response_deadline`: must be longer than `store_timeout`",
            Self::InFlightWait => {
                "`in_flight_wait`: must end a `store_timeout` before `response_deadline`"
            }
            Self::Window => "`window`: must not be shorter than `lease`",
            Self::StatusWindow => "`status_window`: must not be shorter than `lease`",
            Self::OnStale => "`on_stale`: `Refuse` needs windows of at least 7 days and 10 minutes",
        })
    }
}

impl Error for ConfigError {}
