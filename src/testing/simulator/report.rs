use std::{collections::BTreeMap, fmt, time::Duration};

use http::StatusCode;

use crate::event::EventKey;

/// What a [`Simulator`](super::Simulator) sent, and how it was answered.
///
/// All times are counted from the beginning of the run. `Display` writes a report for people, beside what Meta asks of a receiver.
#[derive(Debug, Clone)]
#[must_use]
pub struct Report {
    pub(super) events: Vec<History>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) retries: usize,
    pub(super) repeats: usize,
    statuses: BTreeMap<u16, usize>,
    disconnected: usize,
    failed: usize,
    /// Of all answers; in order when all are there.
    latencies: Vec<Duration>,
    took: Duration,
}

/// One event, and what became of it.
#[derive(Debug, Clone)]
pub struct History {
    key: EventKey,
    pub(super) deliveries: Vec<usize>,
    pub(super) acknowledged: Option<Duration>,
    pub(super) acknowledgements: usize,
}

/// One delivery, and how it was answered.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) events: Vec<EventKey>,
    pub(super) due: Duration,
    pub(super) sent: Duration,
    pub(super) ended: Duration,
    pub(super) answer: Answer,
}

/// How a delivery was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// With this status.
    Status(StatusCode),
    /// Not at all: the service returned an error, or panicked.
    Failed,
    /// Not in time: the sender hung up.
    Disconnected,
}

impl Report {
    pub(super) fn new(events: Vec<History>) -> Self {
        Self {
            events,
            deliveries: Vec::new(),
            retries: 0,
            repeats: 0,
            statuses: BTreeMap::new(),
            disconnected: 0,
            failed: 0,
            latencies: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub(super) fn count(&mut self, answer: Answer, latency: Duration) {
        match answer {
            Answer::Status(status) => {
                *self.statuses.entry(status.as_u16()).or_default() += 1;
                self.latencies.push(latency);
            }
            Answer::Failed => self.failed += 1,
            Answer::Disconnected => self.disconnected += 1,
        }
    }

    pub(super) fn finish(&mut self, took: Duration) {
        self.latencies.sort_unstable();
        self.took = took;
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> &[History] {
        &self.events
    }

    /// All deliveries, in the order in which they were sent.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// How many deliveries were answered with 200.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.statuses.get(&200).copied().unwrap_or_default()
    }

    /// How many deliveries were answered with each status.
    #[must_use]
    pub fn statuses(&self) -> &BTreeMap<u16, usize> {
        &self.statuses
    }

    /// How many deliveries were not answered in time.
    #[must_use]
    pub fn disconnected(&self) -> usize {
        self.disconnected
    }

    /// How many deliveries were not answered because the service returned an error or panicked.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// How many deliveries were sent because others had failed.
    #[must_use]
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// How often events were sent after they had been answered with 200.
    #[must_use]
    pub fn repeats(&self) -> usize {
        self.repeats
    }

    /// The events that were never answered with 200 until the sender gave up: Meta has lost them.
    pub fn lost_by_sender(&self) -> impl Iterator<Item = &History> {
        self.events
            .iter()
            .filter(|event| event.acknowledged.is_none())
    }

    /// The time that so many of all answers took at most: 0.5 is the median, 1 the slowest. Counted from when the delivery was due to be sent. `None`
    /// if there was no answer.
    #[must_use]
    pub fn latency(&self, part: f64) -> Option<Duration> {
        let rank = (part.clamp(0.0, 1.0) * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }

    /// Which part of the deliveries was answered later than this, or not at all, from 0 to 1.
    #[must_use]
    pub fn slower_than(&self, limit: Duration) -> f64 {
        let answered = self.latencies.len();
        let in_time = self.latencies.partition_point(|latency| *latency <= limit);
        let all = answered + self.failed + self.disconnected;
        (all - in_time) as f64 / all.max(1) as f64
    }

    /// How long all of it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl History {
    pub(super) fn new(key: EventKey) -> Self {
        Self {
            key,
            deliveries: Vec::new(),
            acknowledged: None,
            acknowledgements: 0,
        }
    }

    /// Which event.
    #[must_use]
    pub fn key(&self) -> EventKey {
        self.key
    }

    /// The deliveries that had it, as places in [`Report::deliveries`].
    #[must_use]
    pub fn deliveries(&self) -> &[usize] {
        &self.deliveries
    }

    /// When it was first answered with 200.
    #[must_use]
    pub fn acknowledged(&self) -> Option<Duration> {
        self.acknowledged
    }

    /// How often it was answered with 200.
    #[must_use]
    pub fn acknowledgements(&self) -> usize {
        self.acknowledgements
    }
}

impl Delivery {
    /// The events in it, in their order. The same event may be in it twice.
    #[must_use]
    pub fn events(&self) -> &[EventKey] {
        &self.events
    }

    /// When it was due to be sent.
    #[must_use]
    pub fn due(&self) -> Duration {
        self.due
    }

    /// When it was sent.
    #[must_use]
    pub fn sent(&self) -> Duration {
        self.sent
    }

    /// When it was answered, or given up.
    #[must_use]
    pub fn ended(&self) -> Duration {
        self.ended
    }

    /// How it was answered.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.lost_by_sender().count();
        writeln!(f, "events                {}", self.events.len())?;
        writeln!(f, "  never acknowledged  {lost}")?;
        writeln!(f, "  sent after a 200    {}", self.repeats)?;
        writeln!(f, "deliveries            {}", self.deliveries.len())?;
        writeln!(f, "  retries             {}", self.retries)?;
        for (status, count) in &self.statuses {
            writeln!(f, "  answered {status}        {count}")?;
        }
        writeln!(f, "  answered too late   {}", self.disconnected)?;
        writeln!(f, "  failed              {}", self.failed)?;
        let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|part| Millis(self.latency(part)));
        writeln!(
            f,
            "latency               p50 {p50}, p90 {p90}, p99 {p99}, max {max}"
        )?;
        let median = self.latency(0.5);
        let good = median.is_some_and(|median| median <= Duration::from_millis(250));
        writeln!(
            f,
            "Meta asks for         a median of 250 ms: {}",
            verdict(good)
        )?;
        let slow = self.slower_than(Duration::from_secs(1));
        let (percent, good) = (slow * 100.0, verdict(slow < 0.01));
        write!(
            f,
            "                      less than 1 % above 1 s: {good} ({percent:.2} %)"
        )
    }
}

fn verdict(good: bool) -> &'static str {
    if good { "yes" } else { "NO" }
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
