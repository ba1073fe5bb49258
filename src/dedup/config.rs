use std::{error::Error, fmt, time::Duration};

use crate::event::{Event, EventKey};

/// Time after which Meta stops repeating a delivery.
const REDELIVERY_PERIOD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Maximum difference between the clocks of Meta, the store and this machine. The default window is
/// longer than [`REDELIVERY_PERIOD`] by more than this.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(10 * 60);

/// Maximum lease. After a crash nobody can claim the events for this time; longer handlers renew.
const MAX_LEASE: Duration = Duration::from_secs(60 * 60);

/// Minimum lease. A task that waits a moment for its thread, on a busy machine, must not lose it.
const MIN_LEASE: Duration = Duration::from_secs(1);

/// The host's own function for the key of an event. The second argument is the label of the app.
pub(super) type KeyFn = dyn Fn(&Event, &str) -> Option<EventKey> + Send + Sync;

/// What happens to a delivery while the store is unavailable or full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnStoreError {
    /// The delivery is answered with 503, and Meta sends it again. Events are late, and none is
    /// handled twice.
    #[default]
    Refuse,
    /// The handler is called, and
    /// [`Notification::is_unprotected`](crate::Notification::is_unprotected) returns `true`. Events
    /// are in time, and some may be handled twice. Events that another delivery is handling are the
    /// exception: the answer is 503, because that handler may still succeed.
    Deliver,
}

/// What happens to an event that is older than its window, so that the store may have forgotten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnStale {
    /// The event is delivered, and [`Event::is_stale`] returns `true`.
    #[default]
    Deliver,
    /// The event is suppressed: it is in
    /// [`Notification::suppressed`](crate::Notification::suppressed), and the other events of the
    /// delivery are handled. A delivery with stale events only is answered with 403.
    ///
    /// This protects against the replay of a delivery that was captured long ago. The price is the
    /// loss of events that Meta could not deliver within the time for which it retries. Windows
    /// must be at least seven days and ten minutes, so that no event is refused that Meta still
    /// repeats.
    Refuse,
}

/// The time limits of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) lease: Duration,
    pub(super) handler_deadline: Option<Duration>,
    pub(super) response_deadline: Duration,
    pub(super) in_flight_wait: Duration,
    pub(super) store_timeout: Duration,
}

impl Timeouts {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.store_timeout.is_zero() {
            return Err(ConfigError::StoreTimeout);
        }
        let handler_deadline = self.handler_deadline;
        if handler_deadline.is_some_and(|limit| limit <= self.store_timeout) {
            return Err(ConfigError::HandlerDeadline);
        }
        let shortest_lease = self.store_timeout.saturating_mul(4).max(MIN_LEASE);
        if self.lease < shortest_lease || self.lease > MAX_LEASE {
            return Err(ConfigError::Lease);
        }
        if self.response_deadline <= self.store_timeout {
            return Err(ConfigError::ResponseDeadline);
        }
        if self.in_flight_wait.saturating_add(self.store_timeout) > self.response_deadline {
            return Err(ConfigError::InFlightWait);
        }
        Ok(())
    }
}

/// Returns whether an event that Meta still repeats would be stale with this window.
pub(super) fn is_within_redelivery(window: Duration) -> bool {
    window < REDELIVERY_PERIOD + CLOCK_SKEW
}

/// Error of [`DedupLayerBuilder::build`](super::DedupLayerBuilder::build): a setting is invalid or
/// contradicts another.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The [`store_timeout`](super::DedupLayerBuilder::store_timeout) is zero.
    StoreTimeout,
    /// The [`handler_deadline`](super::DedupLayerBuilder::handler_deadline) is not longer than the
    /// [`store_timeout`](super::DedupLayerBuilder::store_timeout). It is counted from the claim,
    /// which may take that long: the handler could be stopped before it starts.
    HandlerDeadline,
    /// The [`lease`](super::DedupLayerBuilder::lease) is shorter than a second or four
    /// [`store_timeout`](super::DedupLayerBuilder::store_timeout)s, or longer than an hour.
    ///
    /// A shorter lease could expire before a failed renewal is repeated, or while the task waits
    /// for its thread. With a longer one, nobody could claim the events for more than an hour after
    /// a crash.
    Lease,
    /// The [`response_deadline`](super::DedupLayerBuilder::response_deadline) is not longer than
    /// the [`store_timeout`](super::DedupLayerBuilder::store_timeout): no delivery could be
    /// answered in time.
    ResponseDeadline,
    /// The [`in_flight_wait`](super::DedupLayerBuilder::in_flight_wait) and one
    /// [`store_timeout`](super::DedupLayerBuilder::store_timeout) together exceed the
    /// [`response_deadline`](super::DedupLayerBuilder::response_deadline), which would end first.
    InFlightWait,
    /// The [`window`](super::DedupLayerBuilder::window) is shorter than the
    /// [`lease`](super::DedupLayerBuilder::lease).
    Window,
    /// The [`status_window`](super::DedupLayerBuilder::status_window) is shorter than the
    /// [`lease`](super::DedupLayerBuilder::lease). `None` turns deduplication of statuses off.
    StatusWindow,
    /// With [`OnStale::Refuse`], the [`window`](super::DedupLayerBuilder::window) or the
    /// [`status_window`](super::DedupLayerBuilder::status_window) is shorter than seven days and
    /// ten minutes: the layer would refuse events that Meta still repeats.
    OnStale,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StoreTimeout => "`store_timeout`: must not be zero",
            Self::HandlerDeadline => "`handler_deadline`: must be longer than `store_timeout`",
            Self::Lease => {
                "`lease`: must be at least a second and four `store_timeout`s, and at most an hour"
            }
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

/// The text, because a `main` that returns an error prints this.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({self})")
    }
}

impl Error for ConfigError {}
