//! A sender that does what Meta does.

mod report;
mod run;
mod traffic;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use tower::Service;

pub use self::{
    report::{Answer, Delivery, History, Report},
    traffic::Traffic,
};
use crate::testing::random::checked_probability;

/// A fake Meta: makes events, and delivers them as Meta does, in a way that is the same for the same seed.
///
/// - Events are delivered in groups of 1 to 1000, most of them small, signed, many at the same time, in any order.
/// - Every answer but 200 is a failure: 201, 202 and 204 too, an error, no answer in time. What failed is sent again: at once, then
///   after 10 s, 1 min, 5 min, 30 min, 2 h, 6 h and from then on every 12 h, until 7 days after it was first sent.
/// - What is sent again may be grouped anew, with events of other deliveries that failed.
/// - Some deliveries come twice at the same time, and some events that were answered with 200 come again: Meta repeats to all apps that
///   have subscribed what failed at one of them.
///
/// What Meta does not document (the gaps between the tries, how often events are repeated) is a guess, and a setting.
///
/// The service is any that takes requests: your whole application, or a client of hyper with a [`path`](Self::path) that is a URL. The
/// [`Report`] tells what was sent when and how it was answered.
///
/// # Time
///
/// Everything waits by the clock of tokio. In a test with `start_paused = true` the seven days take milliseconds, and on a runtime of one
/// thread, which such a test has, everything happens in the same order for the same seed, if the service itself does nothing at random. In real
/// time, shorten the waiting with [`time_scale`](Self::time_scale).
///
/// ```sh
/// cargo add --dev tokio --features macros,rt,test-util   # `test-util` for paused time
/// ```
///
/// ```
/// use axum::{Router, body::Body, http::StatusCode, routing::post};
/// use tower_whatsapp::{Notification, WebhookLayer, testing::Simulator};
///
/// // Half of the deliveries fail: nothing is lost by that.
/// async fn on_event(notification: Notification) -> StatusCode {
///     if notification.body().len() % 2 == 0 { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
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
#[derive(Clone)]
#[must_use = "a simulator does nothing until it runs"]
pub struct Simulator {
    secret: String,
    path: String,
    seed: u64,
    events: usize,
    mix: Vec<(Traffic, u32)>,
    time: u64,
    rate: f64,
    concurrency: usize,
    max_batch: usize,
    answer_timeout: Duration,
    retry_after: Vec<Duration>,
    give_up_after: Duration,
    time_scale: f64,
    regroup: f64,
    repeat: f64,
    duplicate: f64,
    watch: Option<Watch>,
}

type Watch = Arc<dyn Fn(&Delivery) + Send + Sync>;

impl Simulator {
    /// A sender that signs with this app secret.
    pub fn new(secret: impl Into<String>) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            secret: secret.into(),
            path: "/webhook".to_owned(),
            seed: 0,
            events: 500,
            mix: vec![
                (Traffic::Messages, 4),
                (Traffic::Statuses, 4),
                (Traffic::GroupStatuses, 1),
                (Traffic::Edits, 1),
                (Traffic::Accounts, 1),
                (Traffic::Unknown, 1),
            ],
            time: 1_760_000_000,
            rate: 100.0,
            concurrency: 64,
            max_batch: 1000,
            answer_timeout: Duration::from_secs(5),
            retry_after: [
                0,
                10,
                MINUTE,
                5 * MINUTE,
                30 * MINUTE,
                2 * HOUR,
                6 * HOUR,
                12 * HOUR,
            ]
            .map(Duration::from_secs)
            .to_vec(),
            give_up_after: Duration::from_secs(7 * 24 * HOUR),
            time_scale: 1.0,
            regroup: 0.5,
            repeat: 0.1,
            duplicate: 0.05,
            watch: None,
        }
    }

    /// What everything that is chosen by chance follows from. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Where to send: a path, or a whole URL if the service is a client. Default: `/webhook`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// How many different events there are. Default: 500.
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// Which kinds there are, and how often in proportion to each other; things that belong together count as one. If all weights
    /// are 0 there are messages only. Default: four messages and statuses of four messages to one of each other kind.
    pub fn mix(mut self, mix: impl IntoIterator<Item = (Traffic, u32)>) -> Self {
        self.mix = mix.into_iter().collect();
        self
    }

    /// The timestamp of the first event, in seconds since 1970; the others are up to so many seconds later as there are events. It is
    /// part of the events, so keep it to repeat a run. Default: 1,760,000,000, which is in October 2025.
    pub fn timestamp(mut self, seconds: u64) -> Self {
        self.time = seconds;
        self
    }

    /// How many events per second are sent for the first time. The times are fixed in advance: a service that is slow does not slow
    /// them down, and the latency of an answer counts from the time at which its delivery was due. [`f64::INFINITY`]: all at once.
    /// Default: 100.
    ///
    /// # Panics
    ///
    /// If it is not above 0.
    #[track_caller]
    pub fn rate(mut self, events_per_second: f64) -> Self {
        assert!(events_per_second > 0.0, "the rate must be above 0");
        self.rate = events_per_second;
        self
    }

    /// How many deliveries may wait for their answer at the same time, at least 1. What is due beyond that is sent later. Default: 64.
    pub fn concurrency(mut self, deliveries: usize) -> Self {
        self.concurrency = deliveries.max(1);
        self
    }

    /// How many events a delivery has at most, at least 1. Most have few. Default: 1000, as with Meta.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.max_batch = events.max(1);
        self
    }

    /// How long the sender waits for an answer before it hangs up. Meta does not tell; others say 5 to 20 s. Default: 5 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// How long it waits before each further try; the last one is repeated. Each is made up to a tenth longer, by chance. If there
    /// are none, nothing is tried again. Default: 0 s, 10 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h.
    pub fn retry_after(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.retry_after = waits.into_iter().collect();
        self
    }

    /// For how long an event is sent again after it was first sent. Default: 7 days.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// By what the waiting before further tries and repetitions, and the time until it gives up, are multiplied: with 0.0001 the seven
    /// days are one minute. Default: 1.
    ///
    /// # Panics
    ///
    /// If it is negative, or not a finite number.
    #[track_caller]
    pub fn time_scale(mut self, factor: f64) -> Self {
        assert!(
            factor.is_finite() && factor >= 0.0,
            "the scale of time must not be negative"
        );
        self.time_scale = factor;
        self
    }

    /// How likely a delivery that is sent again is grouped anew, with events of other such deliveries. Default: 0.5.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub fn regroup(mut self, probability: f64) -> Self {
        self.regroup = checked_probability(probability);
        self
    }

    /// How likely an event that was answered with 200 is sent again: half of them within a minute, the others at any time until
    /// it is given up. Default: 0.1.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub fn repeat(mut self, probability: f64) -> Self {
        self.repeat = checked_probability(probability);
        self
    }

    /// How likely a delivery is sent twice, the second time within 2 s of the first. Default: 0.05.
    ///
    /// # Panics
    ///
    /// If the probability is NaN, or not from 0 to 1.
    #[track_caller]
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = checked_probability(probability);
        self
    }

    /// Called with each delivery as soon as it was answered or given up: for showing how far it is.
    pub fn watch(mut self, watch: impl Fn(&Delivery) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Delivers everything, and returns when there is nothing left to send.
    ///
    /// `body` makes the body that the service takes: `axum::body::Body::from`, or `http_body_util::Full::new`. A service that panics counts as one
    /// that gave no answer.
    ///
    /// # Panics
    ///
    /// If the path is none, or the secret is blank; and outside of a runtime of tokio.
    pub async fn run<S, B, R>(&self, service: S, body: impl Fn(Bytes) -> B) -> Report
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
    {
        run::Run::new(self, service, body).deliver().await
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("path", &self.path)
            .field("seed", &self.seed)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_outside_0_to_1_is_refused() {
        for invalid in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY] {
            for setter in [Simulator::regroup, Simulator::repeat, Simulator::duplicate] {
                let set = || drop(setter(Simulator::new("the app secret"), invalid));
                assert!(std::panic::catch_unwind(set).is_err(), "{invalid}");
            }
        }
        for valid in [0.0, -0.0, f64::MIN_POSITIVE, 1.0] {
            let _ = Simulator::new("the app secret").regroup(valid);
        }
    }
}
