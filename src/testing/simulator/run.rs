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
    Simulator,
    report::{Answer, Delivery, History, Report},
    traffic::{self, Made},
};
use crate::testing::{delivery, random::Random};

/// Nobody waits for longer, and clocks have an end.
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A delivery that is to be sent.
struct Group {
    due: Instant,
    cause: Cause,
    /// How long it has waited for this.
    waited: Duration,
    /// Which events, by their number.
    events: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Cause {
    First,
    Retry,
    Repeat,
    Duplicate,
}

/// A delivery that waits for its answer.
struct Sent {
    delivery: usize,
    due: Instant,
}

#[derive(Clone, Default)]
struct Progress {
    first: Option<Instant>,
    failures: usize,
}

pub(super) struct Run<'a, S, F> {
    settings: &'a Simulator,
    service: S,
    body: F,
    random: Random,
    start: Instant,
    made: Vec<Made>,
    progress: Vec<Progress>,
    /// By time; the number is there for those of the same time.
    waiting: BTreeMap<(Instant, u64), Group>,
    entered: u64,
    /// Due, and cut already.
    ready: VecDeque<Group>,
    tasks: JoinSet<(Answer, Instant)>,
    sent: HashMap<Id, Sent>,
    report: Report,
    /// The numbers of the events of each delivery of the report.
    numbers: Vec<Vec<usize>>,
}

impl<'a, S, F> Run<'a, S, F> {
    pub(super) fn new<B, R>(settings: &'a Simulator, service: S, body: F) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        let mut random = Random::new(settings.seed);
        let made = traffic::make(settings.events, &settings.mix, settings.time, &mut random);
        let histories = made.iter().map(|event| History::new(event.key)).collect();
        let start = Instant::now();
        let mut run = Self {
            settings,
            service,
            body,
            random,
            start,
            progress: vec![Progress::default(); made.len()],
            made,
            waiting: BTreeMap::new(),
            entered: 0,
            ready: VecDeque::new(),
            tasks: JoinSet::new(),
            sent: HashMap::new(),
            report: Report::new(histories),
            numbers: Vec::new(),
        };
        let mut all: Vec<_> = (0..run.made.len()).collect();
        run.random.shuffle(&mut all);
        let mut before = 0;
        for events in run.cut(all) {
            let after = Duration::try_from_secs_f64(before as f64 / settings.rate);
            let due = start + after.unwrap_or(YEAR).min(YEAR);
            before += events.len();
            run.enter(Group {
                due,
                cause: Cause::First,
                waited: Duration::ZERO,
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
            self.send_what_is_due();
            let busy = self.tasks.len() >= self.settings.concurrency;
            let next = self.waiting.first_key_value().map(|((due, _), _)| *due);
            let ended = match (next, self.tasks.is_empty()) {
                (None, true) => break,
                (Some(due), true) => {
                    sleep_until(due).await;
                    continue;
                }
                (Some(due), false) if !busy => {
                    match timeout_at(due, self.tasks.join_next_with_id()).await {
                        Ok(ended) => ended,
                        Err(_) => continue,
                    }
                }
                _ => self.tasks.join_next_with_id().await,
            };
            match ended {
                Some(Ok((id, (answer, at)))) => self.ended(id, answer, at),
                // The service has panicked, as when a server closes the connection.
                Some(Err(error)) => self.ended(error.id(), Answer::Failed, Instant::now()),
                None => {}
            }
        }
        self.report.finish(self.start.elapsed());
        self.report
    }

    fn send_what_is_due<B, R>(&mut self)
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        while self.tasks.len() < self.settings.concurrency {
            if let Some(group) = self.ready.pop_front() {
                self.send(group);
                continue;
            }
            let now = Instant::now();
            let Some(first) = self.waiting.first_entry() else {
                return;
            };
            if first.key().0 > now {
                return;
            }
            let group = first.remove();
            self.prepare(group, now);
        }
    }

    /// Makes what is due ready, grouped anew if chance wants it.
    fn prepare(&mut self, mut group: Group, now: Instant) {
        let again = matches!(group.cause, Cause::Retry | Cause::Repeat);
        if !again || !self.random.chance(self.settings.regroup) {
            self.ready.push_back(group);
            return;
        }
        // What is due soon, in proportion to how long this one has waited, may come with it.
        let reach = (now + group.waited / 4, u64::MAX);
        let near: Vec<_> = self
            .waiting
            .range(..=reach)
            .filter(|(_, other)| matches!(other.cause, Cause::Retry | Cause::Repeat))
            .map(|(&at, _)| at)
            .take(8)
            .collect();
        for at in near {
            if self.random.chance(0.5)
                && let Some(other) = self.waiting.remove(&at)
            {
                group.events.extend(other.events);
            }
        }
        self.random.shuffle(&mut group.events);
        for events in self.cut(group.events) {
            self.ready.push_back(Group {
                due: group.due,
                cause: group.cause,
                waited: group.waited,
                events,
            });
        }
    }

    fn send<B, R>(&mut self, group: Group)
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: Send + 'static,
        R: Send + 'static,
        F: Fn(Bytes) -> B,
    {
        let Group {
            due, cause, events, ..
        } = group;
        let now = Instant::now();
        if cause != Cause::Duplicate && self.random.chance(self.settings.duplicate) {
            let waited = Duration::from_secs(2).mul_f64(self.random.unit());
            self.enter(Group {
                due: now + waited,
                cause: Cause::Duplicate,
                waited,
                events: events.clone(),
            });
        }
        let index = self.report.deliveries.len();
        for &event in &events {
            if let Some(progress) = self.progress.get_mut(event) {
                progress.first.get_or_insert(now);
            }
            if let Some(history) = self.report.events.get_mut(event)
                && history.deliveries.last() != Some(&index)
            {
                history.deliveries.push(index);
                self.report.repeats += usize::from(history.acknowledged.is_some());
            }
        }
        self.report.retries += usize::from(cause == Cause::Retry);
        let made = events.iter().filter_map(|&event| self.made.get(event));
        self.report.deliveries.push(Delivery {
            events: made.clone().map(|event| event.key).collect(),
            due: due - self.start,
            sent: now - self.start,
            ended: Duration::MAX,
            answer: Answer::Disconnected,
        });
        let body = Bytes::from(traffic::body(made));
        let request = delivery(&self.settings.path, body, &self.settings.secret).map(&self.body);
        let answer = self.service.clone().oneshot(request);
        let limit = self.settings.answer_timeout;
        let task = self.tasks.spawn(async move {
            let answer = match timeout(limit, answer).await {
                Ok(Ok(response)) => Answer::Status(response.status()),
                Ok(Err(_)) => Answer::Failed,
                Err(_) => Answer::Disconnected,
            };
            (answer, Instant::now())
        });
        self.sent.insert(
            task.id(),
            Sent {
                delivery: index,
                due,
            },
        );
        self.numbers.push(events);
    }

    fn ended(&mut self, id: Id, answer: Answer, at: Instant) {
        let Some(Sent {
            delivery: index,
            due,
        }) = self.sent.remove(&id)
        else {
            return;
        };
        let Some(delivery) = self.report.deliveries.get_mut(index) else {
            return;
        };
        delivery.answer = answer;
        delivery.ended = at - self.start;
        if let Some(watch) = &self.settings.watch {
            watch(delivery);
        }
        self.report.count(answer, at - due);
        let events = self
            .numbers
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default();
        if answer == Answer::Status(StatusCode::OK) {
            self.acknowledged(events, at);
        } else {
            self.failed(events, at);
        }
    }

    fn acknowledged(&mut self, events: Vec<usize>, at: Instant) {
        let mut again = Vec::new();
        for event in events {
            if let Some(history) = self.report.events.get_mut(event) {
                history.acknowledged.get_or_insert(at - self.start);
                history.acknowledgements += 1;
                // Once: what comes a second time does not come for ever.
                if history.acknowledgements == 1 && self.random.chance(self.settings.repeat) {
                    again.push(event);
                }
            }
        }
        for events in self.cut(again) {
            let span = if self.random.chance(0.5) {
                Duration::from_secs(60)
            } else {
                self.settings.give_up_after
            };
            let span = span.mul_f64(self.settings.time_scale * self.random.unit());
            self.again(events, Cause::Repeat, at, span);
        }
    }

    fn failed(&mut self, events: Vec<usize>, at: Instant) {
        let mut failures = usize::MAX;
        for &event in &events {
            if let Some(progress) = self.progress.get_mut(event) {
                failures = failures.min(progress.failures);
                progress.failures += 1;
            }
        }
        let waits = &self.settings.retry_after;
        let Some(&wait) = waits.get(failures).or(waits.last()) else {
            return;
        };
        let jitter = 1.0 + self.random.unit() / 10.0;
        let wait = wait.mul_f64(self.settings.time_scale * jitter);
        // Only the first further try comes at once. Where no time passes by itself, it would never end otherwise.
        let least = Duration::from_millis(u64::from(failures > 0));
        let wait = wait.max(least);
        self.again(events, Cause::Retry, at, wait);
    }

    /// Those that are not too old for it.
    fn again(&mut self, mut events: Vec<usize>, cause: Cause, at: Instant, waited: Duration) {
        let due = at + waited;
        let horizon = self
            .settings
            .give_up_after
            .mul_f64(self.settings.time_scale);
        events.retain(|&event| {
            let progress = self.progress.get(event);
            let first = progress.and_then(|progress| progress.first);
            first.is_some_and(|first| due <= first + horizon)
        });
        if !events.is_empty() {
            self.enter(Group {
                due,
                cause,
                waited,
                events,
            });
        }
    }

    fn enter(&mut self, group: Group) {
        self.entered += 1;
        self.waiting.insert((group.due, self.entered), group);
    }

    /// Cuts events into groups, most of them small.
    fn cut(&mut self, mut events: Vec<usize>) -> Vec<Vec<usize>> {
        let mut groups = Vec::new();
        while !events.is_empty() {
            let size = match self.random.below(100) {
                0..60 => 1,
                60..85 => 2 + self.random.below(4),
                85..97 => 6 + self.random.below(45),
                _ => 51 + self.random.below(950),
            };
            let size = size.min(self.settings.max_batch).min(events.len());
            groups.push(events.split_off(events.len() - size));
        }
        groups
    }
}
