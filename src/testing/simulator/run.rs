use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::{
    task::{Id, JoinSet},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tower::{Service, ServiceExt};

use super::{
    report::{Delivery, DeliveryOutcome, EventHistory, Report},
    settings::Settings,
    traffic::{self, GeneratedEvent},
};
use crate::testing::{request::delivery, rng::Rng};

/// Longest wait, so that no setting can overflow the clock.
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A run of the simulator: the queue of scheduled deliveries, and the deliveries in flight.
pub(super) struct Run<'a, S, F> {
    settings: &'a Settings,
    service: S,
    body: F,
    rng: Rng,
    start: Instant,
    events: Vec<GeneratedEvent>,
    progress: Vec<Progress>,
    /// By due time. The sequence number separates batches that are due at the same time.
    scheduled: BTreeMap<(Instant, u64), Batch>,
    sequence: u64,
    /// Batches that are due and already regrouped.
    ready: VecDeque<Batch>,
    tasks: JoinSet<(DeliveryOutcome, Instant)>,
    in_flight: HashMap<Id, InFlight>,
    report: Report,
    /// Event indices of each delivery of the report, until it is finished.
    delivered: Vec<Vec<usize>>,
}

/// Events to be sent in one delivery.
struct Batch {
    due: Instant,
    cause: Cause,
    /// Time between scheduling and due time.
    delay: Duration,
    /// Indices of the events.
    events: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Cause {
    First,
    Retry,
    Redelivery,
    Duplicate,
}

/// A delivery without a response yet.
struct InFlight {
    /// Index in the report.
    delivery: usize,
    due: Instant,
}

/// Progress of one event.
#[derive(Clone, Default)]
struct Progress {
    first_sent: Option<Instant>,
    failures: usize,
}

impl<'a, S, F> Run<'a, S, F> {
    pub(super) fn new<B, R>(settings: &'a Settings, service: S, body: F) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        let mut rng = Rng::new(settings.seed);
        let events =
            traffic::generate(settings.events, &settings.mix, settings.timestamp, &mut rng);
        let histories = events
            .iter()
            .map(|event| EventHistory::new(event.key))
            .collect();
        let start = Instant::now();
        let mut run = Self {
            settings,
            service,
            body,
            rng,
            start,
            progress: vec![Progress::default(); events.len()],
            events,
            scheduled: BTreeMap::new(),
            sequence: 0,
            ready: VecDeque::new(),
            tasks: JoinSet::new(),
            in_flight: HashMap::new(),
            report: Report::new(histories),
            delivered: Vec::new(),
        };
        let mut all: Vec<_> = (0..run.events.len()).collect();
        run.rng.shuffle(&mut all);
        let mut before = 0;
        for events in run.split_into_batches(all) {
            let after = Duration::try_from_secs_f64(before as f64 / settings.rate);
            let due = start + after.unwrap_or(YEAR).min(YEAR);
            before += events.len();
            run.schedule(Batch {
                due,
                cause: Cause::First,
                delay: Duration::ZERO,
                events,
            });
        }
        run
    }

    pub(super) async fn deliver<B, R>(mut self) -> Report
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        loop {
            self.send_due();
            let is_full = self.tasks.len() >= self.settings.concurrency;
            let next = self.scheduled.first_key_value().map(|((due, _), _)| *due);
            let finished = match (next, self.tasks.is_empty()) {
                (None, true) => break,
                (Some(due), true) => {
                    sleep_until(due).await;
                    continue;
                }
                (Some(due), false) if !is_full => {
                    match timeout_at(due, self.tasks.join_next_with_id()).await {
                        Ok(finished) => finished,
                        Err(_) => continue,
                    }
                }
                _ => self.tasks.join_next_with_id().await,
            };
            match finished {
                Some(Ok((id, (outcome, at)))) => self.finish(id, outcome, at),
                // The service panicked. To a sender this is a connection that the server closed.
                Some(Err(error)) => {
                    self.finish(error.id(), DeliveryOutcome::Failed, Instant::now());
                }
                None => {}
            }
        }
        self.report.finish(self.start.elapsed());
        self.report
    }

    fn send_due<B, R>(&mut self)
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        while self.tasks.len() < self.settings.concurrency {
            if let Some(batch) = self.ready.pop_front() {
                self.send(batch);
                continue;
            }
            let now = Instant::now();
            let Some(first) = self.scheduled.first_entry() else {
                return;
            };
            if first.key().0 > now {
                return;
            }
            let batch = first.remove();
            self.make_ready(batch, now);
        }
    }

    /// Moves a due batch to `ready`. Retries and redeliveries may be regrouped.
    fn make_ready(&mut self, mut batch: Batch, now: Instant) {
        let may_regroup = matches!(batch.cause, Cause::Retry | Cause::Redelivery);
        if !may_regroup || !self.rng.chance(self.settings.regroup_probability) {
            self.ready.push_back(batch);
            return;
        }
        // Joined by batches that are due soon: within a quarter of this batch's own delay.
        let reach = (now + batch.delay / 4, u64::MAX);
        let near: Vec<_> = self
            .scheduled
            .range(..=reach)
            .filter(|(_, other)| matches!(other.cause, Cause::Retry | Cause::Redelivery))
            .map(|(&at, _)| at)
            .take(8)
            .collect();
        for at in near {
            if self.rng.chance(0.5)
                && let Some(other) = self.scheduled.remove(&at)
            {
                batch.events.extend(other.events);
            }
        }
        self.rng.shuffle(&mut batch.events);
        for events in self.split_into_batches(batch.events) {
            self.ready.push_back(Batch {
                due: batch.due,
                cause: batch.cause,
                delay: batch.delay,
                events,
            });
        }
    }

    fn send<B, R>(&mut self, batch: Batch)
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        let Batch {
            due, cause, events, ..
        } = batch;
        let now = Instant::now();
        if cause != Cause::Duplicate && self.rng.chance(self.settings.duplicate_probability) {
            let delay = Duration::from_secs(2).mul_f64(self.rng.unit_f64());
            self.schedule(Batch {
                due: now + delay,
                cause: Cause::Duplicate,
                delay,
                events: events.clone(),
            });
        }
        let index = self.report.deliveries.len();
        self.record_sent(&events, index, now);
        self.report.retries += usize::from(cause == Cause::Retry);
        let generated = events.iter().filter_map(|&event| self.events.get(event));
        self.report.deliveries.push(Delivery {
            events: generated.clone().map(|event| event.key).collect(),
            due_at: due - self.start,
            sent_at: now - self.start,
            finished_at: Duration::MAX,
            outcome: DeliveryOutcome::TimedOut,
        });
        let body = Bytes::from(traffic::body(generated));
        let request = delivery(&self.settings.path, body, &self.settings.secret).map(&self.body);
        let response = self.service.clone().oneshot(request);
        let limit = self.settings.response_timeout;
        let task = self.tasks.spawn(async move {
            let outcome = match timeout(limit, response).await {
                Ok(Ok(response)) => DeliveryOutcome::Status(response.status()),
                Ok(Err(_)) => DeliveryOutcome::Failed,
                Err(_) => DeliveryOutcome::TimedOut,
            };
            (outcome, Instant::now())
        });
        self.in_flight.insert(
            task.id(),
            InFlight {
                delivery: index,
                due,
            },
        );
        self.delivered.push(events);
    }

    /// Adds the delivery at `index` to the history of its events.
    fn record_sent(&mut self, events: &[usize], index: usize, now: Instant) {
        for &event in events {
            if let Some(progress) = self.progress.get_mut(event) {
                progress.first_sent.get_or_insert(now);
            }
            if let Some(history) = self.report.events.get_mut(event)
                && history.deliveries.last() != Some(&index)
            {
                history.deliveries.push(index);
                self.report.redeliveries += usize::from(history.acknowledged_at.is_some());
            }
        }
    }

    fn finish(&mut self, id: Id, outcome: DeliveryOutcome, at: Instant) {
        let Some(InFlight {
            delivery: index,
            due,
        }) = self.in_flight.remove(&id)
        else {
            return;
        };
        let Some(delivery) = self.report.deliveries.get_mut(index) else {
            return;
        };
        delivery.outcome = outcome;
        delivery.finished_at = at - self.start;
        if let Some(callback) = &self.settings.on_delivery {
            callback(delivery);
        }
        self.report.record(outcome, at - due);
        let events = self
            .delivered
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default();
        if outcome == DeliveryOutcome::Status(StatusCode::OK) {
            self.redeliver_some(events, at);
        } else {
            self.retry(events, at);
        }
    }

    fn redeliver_some(&mut self, events: Vec<usize>, at: Instant) {
        let mut redelivered = Vec::new();
        for event in events {
            if let Some(history) = self.report.events.get_mut(event) {
                history.acknowledged_at.get_or_insert(at - self.start);
                history.acknowledgements += 1;
                // Once per event, or the run would not end.
                if history.acknowledgements == 1
                    && self.rng.chance(self.settings.redelivery_probability)
                {
                    redelivered.push(event);
                }
            }
        }
        for events in self.split_into_batches(redelivered) {
            let span = if self.rng.chance(0.5) {
                Duration::from_secs(60)
            } else {
                self.settings.max_event_age
            };
            let delay = scaled(span, self.settings.time_scale * self.rng.unit_f64());
            self.schedule_again(events, Cause::Redelivery, at, delay);
        }
    }

    fn retry(&mut self, events: Vec<usize>, at: Instant) {
        let mut failures = usize::MAX;
        for &event in &events {
            if let Some(progress) = self.progress.get_mut(event) {
                failures = failures.min(progress.failures);
                progress.failures += 1;
            }
        }
        let delays = &self.settings.retry_delays;
        let Some(&delay) = delays.get(failures).or(delays.last()) else {
            return;
        };
        let jitter = 1.0 + self.rng.unit_f64() / 10.0;
        let delay = scaled(delay, self.settings.time_scale * jitter);
        // Only the first retry may be immediate: with paused time, a run without delays never ends.
        let min_delay = Duration::from_millis(u64::from(failures > 0));
        self.schedule_again(events, Cause::Retry, at, delay.max(min_delay));
    }

    /// Schedules the events that are not too old by then.
    fn schedule_again(
        &mut self,
        mut events: Vec<usize>,
        cause: Cause,
        at: Instant,
        delay: Duration,
    ) {
        let due = at + delay;
        let settings = self.settings;
        let max_age = scaled(settings.max_event_age, settings.time_scale);
        events.retain(|&event| {
            let progress = self.progress.get(event);
            let first_sent = progress.and_then(|progress| progress.first_sent);
            first_sent.is_some_and(|first_sent| due <= first_sent + max_age)
        });
        if !events.is_empty() {
            self.schedule(Batch {
                due,
                cause,
                delay,
                events,
            });
        }
    }

    fn schedule(&mut self, batch: Batch) {
        self.sequence += 1;
        self.scheduled.insert((batch.due, self.sequence), batch);
    }

    /// Splits events into batches of random sizes, most of them small.
    fn split_into_batches(&mut self, mut events: Vec<usize>) -> Vec<Vec<usize>> {
        let mut batches = Vec::new();
        while !events.is_empty() {
            let size = match self.rng.below(100) {
                0..60 => 1,
                60..85 => 2 + self.rng.below(4),
                85..97 => 6 + self.rng.below(45),
                _ => 51 + self.rng.below(950),
            };
            let size = size.min(self.settings.max_batch_size).min(events.len());
            batches.push(events.split_off(events.len() - size));
        }
        batches
    }
}

/// Scales a wait. More than a year is a year.
fn scaled(wait: Duration, factor: f64) -> Duration {
    let scaled = Duration::try_from_secs_f64(wait.as_secs_f64() * factor);
    scaled.unwrap_or(YEAR).min(YEAR)
}
