//! Sends deliveries at a fixed rate, independent of the responses.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use test_support::SECRET;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower_whatsapp::testing::{self, sample};

use crate::{
    latency::Latencies,
    sender::{self, Pool},
};

/// Delay before a retry, shorter than Meta's.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(20);

/// Number of deliveries that are created and signed in advance.
const AHEAD: usize = 256;

/// Length of the mix's cycle, in deliveries.
const CYCLE: usize = 8000;

/// 90 % have one event and 1 KiB, 8 % have 10 and 16 KiB, 2 % have 160 and 256 KiB, and one of
/// 8,000 has 1,920 and 3 MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Single,
    Ten,
    Large,
    Burst,
}

impl Kind {
    pub(crate) fn of(delivery: usize) -> Self {
        match (delivery % CYCLE, delivery % 50) {
            (4000, _) => Self::Burst,
            (_, 25) => Self::Large,
            (_, 5 | 15 | 35 | 45) => Self::Ten,
            _ => Self::Single,
        }
    }

    fn events(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Ten => 10,
            Self::Large => 160,
            Self::Burst => 1920,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Single => 1024,
            Self::Ten => 16 * 1024,
            Self::Large => 256 * 1024,
            Self::Burst => 3 * 1024 * 1024,
        }
    }
}

/// A body of at most `bytes` bytes with `events` messages, numbered from `first`.
pub(crate) fn body(first: usize, events: usize, bytes: usize, timestamp: u64) -> Bytes {
    let sample = |text: String| {
        sample::text(text)
            .id(format!("{PREFIX}{first:09}"))
            .timestamp(timestamp)
            .repeat(events)
            .body()
    };
    let rest = bytes - sample(String::new()).len();
    sample("x".repeat(rest / events))
}

const PREFIX: &str = "wamid.LOAD";

/// The number of a message by its id. In a batch, `.2` after the id of the first marks the second.
pub(crate) fn number(id: &str) -> Option<usize> {
    let number = id.strip_prefix(PREFIX)?;
    let (first, nth) = number.split_once('.').unwrap_or((number, "1"));
    Some(first.parse::<usize>().ok()? + nth.parse::<usize>().ok()? - 1)
}

pub(crate) fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the time at which Meta sends")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// The schedule of deliveries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Numbers of the first delivery and of its first event.
    pub(crate) first: (usize, usize),
    pub(crate) deliveries: usize,
    /// Interval between deliveries.
    pub(crate) gap: Duration,
    /// Every n-th delivery is sent twice: at once, or a second later.
    pub(crate) repeated: usize,
}

impl Plan {
    pub(crate) fn new(seconds: u32, events_per_second: u32, repeated: usize) -> Self {
        let events: usize = (0..CYCLE).map(|delivery| Kind::of(delivery).events()).sum();
        let gap = events as f64 / CYCLE as f64 / f64::from(events_per_second);
        Self {
            first: (0, 0),
            deliveries: (f64::from(seconds) / gap) as usize,
            gap: Duration::from_secs_f64(gap),
            repeated,
        }
    }

    /// Continues after another schedule.
    pub(crate) fn after(mut self, other: &Self) -> Self {
        let (delivery, event) = other.first;
        self.first = (delivery + other.deliveries, event + other.events());
        self
    }

    fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let first = self.first.0;
        (first..first + self.deliveries).map(Kind::of)
    }

    pub(crate) fn events(&self) -> usize {
        self.kinds().map(Kind::events).sum()
    }

    pub(crate) fn per_second(&self) -> f64 {
        1.0 / self.gap.as_secs_f64()
    }

    /// Creates them in a separate thread, which the sender preempts when a delivery is due.
    fn deliveries(&self) -> mpsc::Receiver<Delivery> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let kinds = self.kinds();
        let mut first = self.first.1;
        thread::spawn(move || {
            for kind in kinds {
                let body = body(first, kind.events(), kind.bytes(), now());
                first += kind.events();
                if sender.blocking_send(Delivery::new(body)).is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// Sends all deliveries, and waits until all have been answered with 200.
    pub(crate) async fn send(&self, pool: &Arc<Pool>) -> Sent {
        let mut deliveries = self.deliveries();
        let mut sent = Sent::default();
        let mut running = JoinSet::new();
        let start = Instant::now() + Duration::from_secs(1);
        for number in 0..self.deliveries {
            let delivery = deliveries.recv().await.unwrap();
            let due = start + self.gap.mul_f64(number as f64);
            sleep_until(due).await;
            sent.late.add(due.elapsed());
            // Shifted, because the mix is periodic as well.
            if (number + number / 50) % self.repeated == 0 {
                sent.repeats += 1;
                let pause = Duration::from_secs(number as u64 % 2);
                let (pool, delivery) = (Arc::clone(pool), delivery.clone());
                running.spawn(async move {
                    sleep_until(due + pause).await;
                    (None, delivery.deliver(&pool).await)
                });
            }
            let pool = Arc::clone(pool);
            running.spawn(async move {
                let again = delivery.deliver(&pool).await;
                (Some(due.elapsed()), again)
            });
            while let Some(ended) = running.try_join_next() {
                sent.add(ended.unwrap());
            }
        }
        while let Some(ended) = running.join_next().await {
            sent.add(ended.unwrap());
        }
        sent.latencies.sort();
        sent.late.sort();
        sent
    }
}

#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) body: Bytes,
    pub(crate) signature: HeaderValue,
}

impl Delivery {
    pub(crate) fn new(body: Bytes) -> Self {
        let signature = testing::sign(&body, SECRET);
        Self { body, signature }
    }

    /// Retries a delivery until it is answered with 200. Returns the number of retries.
    async fn deliver(&self, pool: &Pool) -> u32 {
        for again in 0..TRIES {
            let body = Full::new(self.body.clone());
            let request = sender::post(body, self.body.len(), &self.signature);
            let answer = timeout(PATIENCE, pool.send(request)).await;
            if let Ok(Ok(StatusCode::OK)) = answer {
                return again;
            }
            sleep(PAUSE).await;
        }
        TRIES
    }
}

/// Results of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) latencies: Latencies,
    /// Delay of the sender, which is part of the latencies.
    pub(crate) late: Latencies,
    pub(crate) repeats: usize,
    /// Number of retries.
    pub(crate) again: u32,
}

impl Sent {
    fn add(&mut self, (latency, again): (Option<Duration>, u32)) {
        if let Some(latency) = latency {
            self.latencies.add(latency);
        }
        self.again += again;
    }
}
