//! A simulator of Meta's webhook sender.

mod report;
mod run;
mod settings;
mod traffic;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use tower::Service;

use self::settings::Settings;
pub use self::{
    report::{Delivery, DeliveryOutcome, EventHistory, Report},
    traffic::Traffic,
};
use crate::testing::rng::checked_probability;

/// Simulates Meta's sender: makes events and delivers them to a service as Meta does.
///
/// - Events are delivered in batches of 1 to 1000, most of them small, signed, concurrently and out
///   of order.
/// - Every outcome but status 200 is a failure: also 201, 202 and 204, an error, and a timeout.
///   Failed events are retried at once, then after 10 s, 1 min, 5 min, 30 min, 2 h, 6 h, and every
///   12 h until 7 days after the first delivery.
/// - A retry may be regrouped with events of other failed deliveries.
/// - Some deliveries are duplicated within 2 s. Some events are redelivered after a 200: when one
///   of the subscribed apps fails, Meta redelivers to all of them.
///
/// What Meta does not document (the delays between retries, the rate of redeliveries) is an
/// estimate, and a setting.
///
/// The service takes requests: your whole application, or a hyper client with a
/// [`path`](Self::path) that is a URL. The [`Report`] has the time and outcome of every delivery.
///
/// The same seed gives the same run.
///
/// # Time
///
/// All waits use [`tokio::time`]. In a test with `start_paused = true`, the seven days take
/// milliseconds. On a current-thread runtime, which such a test has, everything then happens in the
/// same order for the same seed, unless the service itself is random. In real time, shorten the
/// waits with [`time_scale`](Self::time_scale).
///
/// ```sh
/// cargo add --dev tokio --features macros,rt,test-util   # `test-util` for paused time
/// ```
///
/// ```
/// use axum::{Router, body::Body, http::StatusCode, routing::post};
/// use tower_whatsapp::{Notification, WebhookLayer, testing::Simulator};
///
/// // About half of the deliveries fail and are retried.
/// async fn on_event(notification: Notification) -> StatusCode {
///     match notification.body().len() % 2 {
///         0 => StatusCode::OK,
///         _ => StatusCode::INTERNAL_SERVER_ERROR,
///     }
/// }
///
/// # let mut builder = tokio::runtime::Builder::new_current_thread();
/// # builder.enable_all().start_paused(true).build()?.block_on(async {
/// let whatsapp = WebhookLayer::new("/webhook", "the app secret", "the verify token")?;
/// let app = Router::new().route("/webhook", post(on_event)).layer(whatsapp);
///
/// let report = Simulator::new("the app secret").events(100).run(app, Body::from).await;
/// println!("{report}");
/// assert!(report.retries() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "load test")]
#[derive(Clone)]
#[must_use = "a simulator does nothing until it runs"]
pub struct Simulator {
    settings: Settings,
}

impl Simulator {
    /// Makes a simulator that signs deliveries with this app secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            settings: Settings::new(secret.into()),
        }
    }

    /// Sets the seed of all random choices. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Sets the path to deliver to, or a whole URL if the service is a client. Default: `/webhook`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.settings.path = path.into();
        self
    }

    /// Sets the number of different events. Default: 500.
    pub fn events(mut self, events: usize) -> Self {
        self.settings.events = events;
        self
    }

    /// Sets the kinds of traffic and their relative weights. Related events, such as the statuses
    /// of one message, count as one. If all weights are 0, there are only messages.
    ///
    /// Default: weight 4 for messages and for statuses, 1 for each other kind.
    pub fn mix(mut self, mix: impl IntoIterator<Item = (Traffic, u32)>) -> Self {
        self.settings.mix = mix.into_iter().collect();
        self
    }

    /// Sets the Unix time of the first event, in seconds. Other events are later, by at most one
    /// second per event. The time is part of the events, so keep it to reproduce a run.
    ///
    /// Default: 1,760,000,000 (October 2025), a constant so that runs are reproducible.
    pub fn timestamp(mut self, seconds: u64) -> Self {
        self.settings.timestamp = seconds;
        self
    }

    /// Sets the rate of first deliveries, in events per second. [`f64::INFINITY`] sends all events
    /// at once. Default: 100.
    ///
    /// The schedule is fixed in advance (an open load model): a slow service does not slow it down,
    /// and latencies count from when a delivery was due.
    ///
    /// # Panics
    ///
    /// If the rate is NaN or not above 0.
    #[track_caller]
    pub fn rate(mut self, events_per_second: f64) -> Self {
        assert!(events_per_second > 0.0, "the rate must be above 0");
        self.settings.rate = events_per_second;
        self
    }

    /// Sets the maximum number of deliveries in flight, at least 1. Deliveries beyond it are sent
    /// late. Default: 64.
    pub fn concurrency(mut self, deliveries: usize) -> Self {
        self.settings.concurrency = deliveries.max(1);
        self
    }

    /// Sets the maximum number of events per delivery, at least 1. Most deliveries have few.
    /// Default: 1000, Meta's maximum.
    pub fn max_batch_size(mut self, events: usize) -> Self {
        self.settings.max_batch_size = events.max(1);
        self
    }

    /// Sets the time after which the sender hangs up without a response. Default: 5 s. Meta does
    /// not document it; others report 5 to 20 s.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.settings.response_timeout = timeout;
        self
    }

    /// Sets the delay before each retry of an event. The last one is repeated. Each is extended by
    /// up to 10 % of random jitter. If there are none, nothing is retried. More than a year is a
    /// year.
    ///
    /// Default: 0 s, 10 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h.
    #[doc(alias = "back-off")]
    #[doc(alias = "backoff")]
    pub fn retry_delays(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.settings.retry_delays = delays.into_iter().collect();
        self
    }

    /// Sets the time after the first delivery of an event beyond which it is not sent again.
    /// Default: 7 days, as Meta documents. More than a year is a year.
    pub fn max_event_age(mut self, age: Duration) -> Self {
        self.settings.max_event_age = age;
        self
    }

    /// Sets the factor of all waits before retries and redeliveries, and of
    /// [`max_event_age`](Self::max_event_age). With 0.0001 the seven days take one minute.
    /// Default: 1.
    ///
    /// # Panics
    ///
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn time_scale(mut self, factor: f64) -> Self {
        assert!(
            factor.is_finite() && factor >= 0.0,
            "the time scale must be finite and not negative"
        );
        self.settings.time_scale = factor;
        self
    }

    /// Sets the probability that a retry or redelivery is regrouped with events of others.
    /// Default: 0.5.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub fn regroup_probability(mut self, probability: f64) -> Self {
        self.settings.regroup_probability = checked_probability(probability);
        self
    }

    /// Sets the probability that an event is redelivered after a 200: half of these events within a
    /// minute, the others at any time within [`max_event_age`](Self::max_event_age). Default: 0.1.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub fn redelivery_probability(mut self, probability: f64) -> Self {
        self.settings.redelivery_probability = checked_probability(probability);
        self
    }

    /// Sets the probability that a delivery is sent twice, the second time within 2 s of the first.
    /// Default: 0.05.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub fn duplicate_probability(mut self, probability: f64) -> Self {
        self.settings.duplicate_probability = checked_probability(probability);
        self
    }

    /// Sets a callback that is called with each delivery when it is finished, to show progress.
    pub fn on_delivery(mut self, callback: impl Fn(&Delivery) + Send + Sync + 'static) -> Self {
        self.settings.on_delivery = Some(Arc::new(callback));
        self
    }

    /// Delivers all events, and returns when nothing is left to send.
    ///
    /// `body` makes the body that the service takes: `axum::body::Body::from`, or
    /// `http_body_util::Full::new`. A panic of the service counts as a failed delivery.
    ///
    /// # Panics
    ///
    /// If the path is not a valid URI, or the secret is blank or has leading or trailing white
    /// space. Also outside of a Tokio runtime.
    pub async fn run<S, B, R>(&self, service: S, body: impl Fn(Bytes) -> B) -> Report
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
    {
        run::Run::new(&self.settings, service, body).deliver().await
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("path", &self.settings.path)
            .field("seed", &self.settings.seed)
            .field("events", &self.settings.events)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_outside_0_to_1_is_refused() {
        for invalid in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY] {
            for setter in [
                Simulator::regroup_probability,
                Simulator::redelivery_probability,
                Simulator::duplicate_probability,
            ] {
                let set = || drop(setter(Simulator::new("the app secret"), invalid));
                assert!(std::panic::catch_unwind(set).is_err(), "{invalid}");
            }
        }
        for valid in [0.0, -0.0, f64::MIN_POSITIVE, 1.0] {
            let _ = Simulator::new("the app secret").regroup_probability(valid);
        }
    }
}
