//! Two load patterns: closed loop (a few connections that always have a request in flight) and open
//! loop (a fixed rate, independent of the responses).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use crate::client::Connection;

/// Connections of the closed loop: enough to keep the server busy.
pub const CONNECTIONS: usize = 4;

/// Maximum number of concurrent requests of the open loop. Further requests wait, and the wait
/// counts as latency.
const OPEN_LOOP_CONNECTIONS: usize = 64;

/// Timeout for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Counts of response statuses. Status 0 stands for a timeout or a broken connection.
#[derive(Default)]
pub struct Tally(BTreeMap<u16, u64>);

impl Tally {
    fn add(&mut self, status: u16) {
        *self.0.entry(status).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        for (status, times) in &other.0 {
            *self.0.entry(*status).or_default() += times;
        }
    }

    pub fn sent(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn accepted(&self) -> u64 {
        self.0.get(&200).copied().unwrap_or_default()
    }

    /// The most frequent status other than 200.
    pub fn refusal(&self) -> Option<u16> {
        let refused = self.0.iter().filter(|(status, _)| **status != 200);
        let (status, _) = refused.max_by_key(|(_, times)| **times)?;
        Some(*status)
    }
}

pub struct Closed {
    pub tally: Tally,
    /// Accepted requests per second.
    pub rate: f64,
}

pub async fn closed(port: u16, request: &Arc<[u8]>, duration: Duration) -> Closed {
    let begin = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = request.clone();
        senders.spawn(async move {
            let mut connection = Connection::new(port);
            let mut tally = Tally::default();
            while begin.elapsed() < duration {
                tally.add(status(&mut connection, &request).await);
            }
            tally
        });
    }
    let mut tally = Tally::default();
    for part in senders.join_all().await {
        tally.merge(&part);
    }
    let rate = tally.accepted() as f64 / begin.elapsed().as_secs_f64();
    Closed { tally, rate }
}

async fn status(connection: &mut Connection, request: &[u8]) -> u16 {
    match timeout(RESPONSE_TIMEOUT, connection.send(request)).await {
        Ok(Ok(status)) => status,
        // The outcome is unknown, and the next request uses a new connection.
        Ok(Err(_)) | Err(_) => 0,
    }
}

pub struct Open {
    pub tally: Tally,
    /// Times from the due time of a request to its accepted response, sorted. A late sender thus
    /// counts as a slow server.
    pub times: Vec<Duration>,
}

pub async fn open(port: u16, request: &Arc<[u8]>, rate: f64, duration: Duration) -> Open {
    let (sender, mut due) = mpsc::unbounded_channel();
    // A thread, because tokio's timers have a resolution of one millisecond.
    let clock = thread::spawn(move || {
        let begin = Instant::now();
        let requests = (rate * duration.as_secs_f64()).ceil() as u32;
        for number in 0..requests {
            let due = begin + Duration::from_secs_f64(f64::from(number) / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                break;
            }
        }
    });
    let free = Arc::new(Mutex::new(Vec::new()));
    let permits = Arc::new(Semaphore::new(OPEN_LOOP_CONNECTIONS));
    let mut requests = JoinSet::new();
    while let Some(due) = due.recv().await {
        let (request, free, permits) = (request.clone(), free.clone(), permits.clone());
        requests.spawn(async move {
            let _permit = permits.acquire().await;
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = taken.unwrap_or_else(|| Connection::new(port));
            let status = status(&mut connection, &request).await;
            let time = due.elapsed();
            free.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            (status, time)
        });
    }
    let responses = requests.join_all().await;
    clock.join().expect("the clock thread does not panic");
    let mut tally = Tally::default();
    let mut times = Vec::new();
    for (status, time) in responses {
        tally.add(status);
        if status == 200 {
            times.push(time);
        }
    }
    times.sort_unstable();
    Open { tally, times }
}

impl Open {
    /// 99th percentile in milliseconds. The maximum, if there are at most a hundred.
    pub fn p99(&self) -> f64 {
        let rank = (self.times.len() * 99).div_ceil(100).saturating_sub(1);
        let time = self.times.get(rank).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    }
}
