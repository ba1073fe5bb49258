use std::{collections::BTreeMap, fmt, time::Duration};

use http::StatusCode;

use crate::event::EventKey;

/// Deliveries of a [`Simulator`](super::Simulator) and their outcomes.
///
/// All times are counted from the start of the run. `Display` prints a summary, with the latencies
/// that Meta asks of a receiver.
#[derive(Debug, Clone)]
#[must_use]
pub struct Report {
    pub(super) events: Vec<EventHistory>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) retries: usize,
    pub(super) redeliveries: usize,
    status_codes: BTreeMap<u16, usize>,
    timed_out: usize,
    failed: usize,
    /// Latencies of all responses, sorted by `finish`.
    latencies: Vec<Duration>,
    elapsed: Duration,
}

/// The deliveries of one event.
#[derive(Debug, Clone)]
pub struct EventHistory {
    key: EventKey,
    pub(super) deliveries: Vec<usize>,
    pub(super) acknowledged_at: Option<Duration>,
    pub(super) acknowledgements: usize,
}

/// One delivery and its outcome.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) events: Vec<EventKey>,
    pub(super) due_at: Duration,
    pub(super) sent_at: Duration,
    pub(super) finished_at: Duration,
    pub(super) outcome: DeliveryOutcome,
}

/// Outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryOutcome {
    /// A response with this status code.
    Status(StatusCode),
    /// The service returned an error or panicked.
    Failed,
    /// No response within the timeout: the sender hung up.
    TimedOut,
}

impl Report {
    pub(super) fn new(events: Vec<EventHistory>) -> Self {
        Self {
            events,
            deliveries: Vec::new(),
            retries: 0,
            redeliveries: 0,
            status_codes: BTreeMap::new(),
            timed_out: 0,
            failed: 0,
            latencies: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    pub(super) fn record(&mut self, outcome: DeliveryOutcome, latency: Duration) {
        match outcome {
            DeliveryOutcome::Status(status) => {
                *self.status_codes.entry(status.as_u16()).or_default() += 1;
                self.latencies.push(latency);
            }
            DeliveryOutcome::Failed => self.failed += 1,
            DeliveryOutcome::TimedOut => self.timed_out += 1,
        }
    }

    pub(super) fn finish(&mut self, elapsed: Duration) {
        self.latencies.sort_unstable();
        self.elapsed = elapsed;
    }

    /// Returns all events.
    #[must_use]
    pub fn events(&self) -> &[EventHistory] {
        &self.events
    }

    /// Returns all deliveries, in the order they were sent.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// Returns the number of deliveries with status code 200.
    #[must_use]
    pub fn deliveries_acknowledged(&self) -> usize {
        self.status_codes.get(&200).copied().unwrap_or_default()
    }

    /// Returns the number of deliveries by status code.
    #[must_use]
    pub fn status_codes(&self) -> &BTreeMap<u16, usize> {
        &self.status_codes
    }

    /// Returns the number of deliveries without a response within the timeout.
    #[must_use]
    pub fn timed_out(&self) -> usize {
        self.timed_out
    }

    /// Returns the number of deliveries for which the service returned an error or panicked.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Returns the number of deliveries that retried failed events.
    #[must_use]
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// Returns the number of times an event was delivered after a 200 for it.
    #[must_use]
    pub fn redeliveries(&self) -> usize {
        self.redeliveries
    }

    /// Returns the events without a 200 until the sender gave up. With Meta, these events are lost.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &EventHistory> {
        self.events
            .iter()
            .filter(|event| event.acknowledged_at.is_none())
    }

    /// Returns a quantile of the response latencies, counted from when a delivery was due: 0.5 is
    /// the median, 1 the maximum. `None` if there was no response.
    ///
    /// The quantile is clamped to `0.0..=1.0`. NaN counts as 0.
    #[doc(alias = "percentile")]
    #[must_use]
    pub fn latency_quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (quantile.clamp(0.0, 1.0) * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }

    /// Returns the fraction of deliveries, from 0 to 1, whose latency was above this limit or that
    /// had no response.
    #[must_use]
    pub fn fraction_slower_than(&self, limit: Duration) -> f64 {
        let responses = self.latencies.len();
        let in_time = self.latencies.partition_point(|latency| *latency <= limit);
        let all = responses + self.failed + self.timed_out;
        (all - in_time) as f64 / all.max(1) as f64
    }

    /// Returns the duration of the run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl EventHistory {
    pub(super) fn new(key: EventKey) -> Self {
        Self {
            key,
            deliveries: Vec::new(),
            acknowledged_at: None,
            acknowledgements: 0,
        }
    }

    /// Returns the key of the event.
    #[must_use]
    pub fn key(&self) -> EventKey {
        self.key
    }

    /// Returns the deliveries of the event, as indices into [`Report::deliveries`].
    #[must_use]
    pub fn deliveries(&self) -> &[usize] {
        &self.deliveries
    }

    /// Returns the time of the first 200, since the start of the run.
    #[must_use]
    pub fn acknowledged_at(&self) -> Option<Duration> {
        self.acknowledged_at
    }

    /// Returns the number of deliveries of the event with a 200.
    #[must_use]
    pub fn acknowledgements(&self) -> usize {
        self.acknowledgements
    }
}

impl Delivery {
    /// Returns the events of the delivery, in order. An event may occur twice.
    #[must_use]
    pub fn events(&self) -> &[EventKey] {
        &self.events
    }

    /// Returns the time the delivery was due, since the start of the run.
    #[must_use]
    pub fn due_at(&self) -> Duration {
        self.due_at
    }

    /// Returns the time the delivery was sent, since the start of the run.
    #[must_use]
    pub fn sent_at(&self) -> Duration {
        self.sent_at
    }

    /// Returns the time of the response, error or timeout, since the start of the run.
    #[must_use]
    pub fn finished_at(&self) -> Duration {
        self.finished_at
    }

    /// Returns the outcome.
    #[must_use]
    pub fn outcome(&self) -> DeliveryOutcome {
        self.outcome
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unacknowledged = self.unacknowledged().count();
        writeln!(f, "events                {}", self.events.len())?;
        writeln!(f, "  unacknowledged      {unacknowledged}")?;
        writeln!(f, "  redelivered         {}", self.redeliveries)?;
        writeln!(f, "deliveries            {}", self.deliveries.len())?;
        writeln!(f, "  retries             {}", self.retries)?;
        for (status, count) in &self.status_codes {
            writeln!(f, "  status {status}          {count}")?;
        }
        writeln!(f, "  timed out           {}", self.timed_out)?;
        writeln!(f, "  failed              {}", self.failed)?;
        let [p50, p90, p99, max] =
            [0.5, 0.9, 0.99, 1.0].map(|quantile| Millis(self.latency_quantile(quantile)));
        writeln!(
            f,
            "latency               p50 {p50}, p90 {p90}, p99 {p99}, max {max}"
        )?;
        let median = self.latency_quantile(0.5);
        let is_met = median.is_some_and(|median| median <= Duration::from_millis(250));
        writeln!(
            f,
            "Meta's limits         median at most 250 ms: {}",
            verdict(is_met)
        )?;
        let slow = self.fraction_slower_than(Duration::from_secs(1));
        let (percent, verdict) = (slow * 100.0, verdict(slow < 0.01));
        write!(
            f,
            "                      less than 1 % above 1 s: {verdict} ({percent:.2} %)"
        )
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

struct Millis(Option<Duration>);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{:.1} ms", time.as_secs_f64() * 1000.0),
            None => f.write_str("-"),
        }
    }
}
