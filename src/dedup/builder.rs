use std::{fmt, sync::Arc, time::Duration};

use super::{
    claim_set::Policy,
    config::{ConfigError, KeyFn, OnStale, OnStoreError, Timeouts, is_within_redelivery},
    layer::DedupLayer,
    shared::Shared,
    store::Store,
};
use crate::event::{Event, EventKey};

/// The seven days for which Meta repeats, and an hour for clocks that differ.
const DEFAULT_WINDOW: Duration = Duration::from_secs((7 * 24 + 1) * 60 * 60);
const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// Longer than nearly all work before a response. A handler that hangs still gets some 600 attempts
/// within the seven days for which Meta repeats.
const DEFAULT_HANDLER_DEADLINE: Duration = Duration::from_secs(15 * 60);
const DEFAULT_RESPONSE_DEADLINE: Duration = Duration::from_secs(5);
const DEFAULT_IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);
const DEFAULT_IN_FLIGHT_WAITERS: usize = 128;
const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_millis(250);

/// Configures a [`DedupLayer`]. [`build`](Self::build) checks every setting, alone and against the
/// others.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp::{Payload, dedup::{DedupLayer, MemoryStore, OnStoreError}, event::State};
///
/// let layer = DedupLayer::builder(MemoryStore::new())
///     // Three of four events are statuses. Remember them for an hour only, if it does not matter
///     // that later redeliveries of them are handled again.
///     .status_window(Duration::from_secs(60 * 60))
///     // Do not deduplicate `sent` statuses at all.
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
    /// `None`: [`Event::key_in`] for distinguishable events.
    key: Option<Arc<KeyFn>>,
    window: Duration,
    /// `None`: the same as `window`. `Some(None)`: statuses are not deduplicated.
    status_window: Option<Option<Duration>>,
    on_stale: OnStale,
    on_store_error: OnStoreError,
    timeouts: Timeouts,
    in_flight_waiters: usize,
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
            timeouts: Timeouts {
                lease: DEFAULT_LEASE,
                handler_deadline: Some(DEFAULT_HANDLER_DEADLINE),
                response_deadline: DEFAULT_RESPONSE_DEADLINE,
                in_flight_wait: DEFAULT_IN_FLIGHT_WAIT,
                store_timeout: DEFAULT_STORE_TIMEOUT,
            },
            in_flight_waiters: DEFAULT_IN_FLIGHT_WAITERS,
        }
    }

    /// Sets the function that returns the idempotency key of an event. Events with equal keys are
    /// handled once. An event with the key `None` is not deduplicated: it is handled whenever it
    /// arrives, unless the other events of its delivery are all in flight elsewhere. Then the
    /// answer is 503.
    ///
    /// Default: [`Event::key_in`] the app for [distinguishable](Event::is_distinguishable) events,
    /// `None` for others.
    ///
    /// The second argument is the label of the app that received the event
    /// ([`Verified::app`](crate::Verified::app)), empty if it has none. Meta sends an event to all
    /// subscribed apps, and each should handle it: a key that ignores the app makes one of the
    /// subscribed apps miss the event.
    ///
    /// A key that leaves out parts of the default key can lose events too. A message to a group has
    /// a status for each participant under the same id, and a status with another timestamp is
    /// another event.
    #[doc(alias = "idempotency")]
    pub fn key<F>(mut self, key: F) -> Self
    where
        F: Fn(&Event, &str) -> Option<EventKey> + Send + Sync + 'static,
    {
        self.key = Some(Arc::new(key));
        self
    }

    /// Sets for how long a handled event is remembered. Default: 7 days and 1 hour. Meta repeats
    /// for 7 days, and the hour is for clocks that differ. At least the [`lease`](Self::lease).
    ///
    /// With less than 7 days, retries that arrive after the window are handled again. An event is
    /// [stale](Event::is_stale) when it is older than the window less 10 minutes, even if Meta
    /// could not deliver it before. The 10 minutes are for clocks that differ. In a window of less
    /// than 100 minutes they are a tenth of it.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the [`window`](Self::window) of message statuses. `None` turns deduplication of
    /// statuses off. Default: the same as `window`.
    ///
    /// Three of four events are statuses, and most hosts store them in a way that tolerates a
    /// repeat. With `None`, the `window` decides whether a status is [stale](Event::is_stale).
    pub fn status_window(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.status_window = Some(window.into());
        self
    }

    /// Sets what happens to events that are older than their window. Default:
    /// [`OnStale::Deliver`], which marks them.
    ///
    /// The age is counted from [`Event::timestamp`]. Events without a key have a window too, that
    /// of their kind or the [`window`](Self::window). Events without a time are never stale.
    /// Neither are those of the fields `history` and `smb_app_state_sync`, which deliver old data
    /// by design.
    pub fn on_stale(mut self, on_stale: OnStale) -> Self {
        self.on_stale = on_stale;
        self
    }

    /// Sets what happens to deliveries while the store is unavailable. Default:
    /// [`OnStoreError::Refuse`], so that Meta sends them again and no event is handled twice.
    pub fn on_store_error(mut self, on_store_error: OnStoreError) -> Self {
        self.on_store_error = on_store_error;
        self
    }

    /// Sets the duration of a lease: for how long claimed events are reserved for their handler. If
    /// the process dies, others can claim the events after this time. Default: 30 seconds.
    ///
    /// While the handler runs, the lease is renewed whenever a third of it has passed. It must be
    /// at least a second, and at least four [`store_timeout`](Self::store_timeout)s, so that a
    /// failed renewal can be repeated in time. It can be at most an hour.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.timeouts.lease = lease;
        self
    }

    /// Sets the maximum run time of a handler, counted from the claim of its events. `None` is no
    /// limit. Default: 15 minutes. It must be longer than the
    /// [`store_timeout`](Self::store_timeout).
    ///
    /// At the deadline the handler is dropped and its events are released, so that the next
    /// delivery starts it again. [`Counters::timed_out`](super::Counters::timed_out) counts these
    /// handlers.
    ///
    /// The deadline is for handlers that hang. Without one, a handler that hangs holds its events,
    /// and its body in the memory budget, until the process ends. After seven days Meta no longer
    /// repeats the events, and they are lost. Work that takes longer than the deadline never
    /// finishes: raise the deadline, or pass the events to a queue.
    ///
    /// A handler that blocks its thread cannot be dropped, and its leases are not renewed. It goes
    /// on, and another one may run beside it once the lease has expired.
    pub fn handler_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.timeouts.handler_deadline = deadline.into();
        self
    }

    /// Sets the maximum time to a response, counted from the end of the request body. Default: 5
    /// seconds, which is below the timeouts of senders and proxies.
    ///
    /// At the deadline the delivery is answered with 503 while the handler goes on. Meta sends the
    /// delivery again, and its events are usually done by then. It must be longer than the
    /// [`store_timeout`](Self::store_timeout), and not shorter than that and the
    /// [`in_flight_wait`](Self::in_flight_wait) together.
    pub fn response_deadline(mut self, deadline: Duration) -> Self {
        self.timeouts.response_deadline = deadline;
        self
    }

    /// Sets how long a delivery waits when all of its events are in flight elsewhere. Then it is
    /// answered with 503. Default: 1 second. Zero disables waiting.
    ///
    /// Meta's first retry arrives at once, while the first delivery is still being handled. After a
    /// short wait, most of these retries can be answered with 200. A waiting delivery holds its
    /// body in the memory budget, and takes over if the other handler fails.
    pub fn in_flight_wait(mut self, wait: Duration) -> Self {
        self.timeouts.in_flight_wait = wait;
        self
    }

    /// Sets the maximum number of deliveries that wait at the same time. Further ones are answered
    /// with 503 at once. Default: 128. Zero disables waiting, whatever
    /// [`in_flight_wait`](Self::in_flight_wait) is.
    pub fn in_flight_waiters(mut self, waiters: usize) -> Self {
        self.in_flight_waiters = waiters;
        self
    }

    /// Sets the timeout of one call of the store, which is for at most 256 events. Default: 250
    /// milliseconds, the median response time that Meta asks for.
    ///
    /// Five consecutive failures open a circuit breaker: the store is then called once per second
    /// only, so that deliveries do not wait for it.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.store_timeout = timeout;
        self
    }

    /// Checks the settings and builds the layer.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the first setting that is invalid or contradicts another.
    pub fn build(self) -> Result<DedupLayer<S>, ConfigError> {
        let timeouts = self.timeouts;
        timeouts.check()?;
        if self.window < timeouts.lease {
            return Err(ConfigError::Window);
        }
        let status_window = self.status_window.unwrap_or(Some(self.window));
        if status_window.is_some_and(|window| window < timeouts.lease) {
            return Err(ConfigError::StatusWindow);
        }
        let refuses_stale = self.on_stale == OnStale::Refuse;
        let shortest = status_window.map_or(self.window, |window| window.min(self.window));
        if refuses_stale && is_within_redelivery(shortest) {
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
                timeouts,
                self.in_flight_waiters,
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
            .field("timeouts", &self.timeouts)
            .field("in_flight_waiters", &self.in_flight_waiters)
            .finish_non_exhaustive()
    }
}
