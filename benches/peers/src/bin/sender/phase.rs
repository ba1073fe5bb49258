//! Two ways of sending: as fast as a few connections can, and at a rate that does not depend on the answers.

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

/// So many requests go on at the same time when they are sent as fast as they can be: enough that the server always has one.
pub const CONNECTIONS: usize = 4;

/// So many go on at the same time when they are sent at a rate. What is due beyond them waits, and its time runs.
const AT_A_RATE: usize = 64;

/// Longer than any answer takes that is still of use.
const PATIENCE: Duration = Duration::from_secs(10);

/// How requests were answered. Where the connection broke, or nothing came, the status is 0.
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

    /// How most of those were answered that were not accepted.
    pub fn refusal(&self) -> Option<u16> {
        let refused = self.0.iter().filter(|(status, _)| **status != 200);
        let (status, _) = refused.max_by_key(|(_, times)| **times)?;
        Some(*status)
    }
}

pub struct Closed {
    pub tally: Tally,
    /// Accepted per second.
    pub rate: f64,
}

pub async fn closed(port: u16, request: &Arc<[u8]>, lasts: Duration) -> Closed {
    let begin = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = request.clone();
        senders.spawn(async move {
            let mut connection = Connection::new(port);
            let mut tally = Tally::default();
            while begin.elapsed() < lasts {
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
    match timeout(PATIENCE, connection.send(request)).await {
        Ok(Ok(status)) => status,
        // What came of it is not known, and the next one needs another connection.
        Ok(Err(_)) | Err(_) => 0,
    }
}

pub struct Open {
    pub tally: Tally,
    /// From when a request was due until it was accepted: a late sender counts as a slow server. Sorted.
    pub times: Vec<Duration>,
}

pub async fn open(port: u16, request: &Arc<[u8]>, rate: f64, lasts: Duration) -> Open {
    let (sender, mut due) = mpsc::unbounded_channel();
    // A thread, because tokio's timers have milliseconds.
    let clock = thread::spawn(move || {
        let begin = Instant::now();
        let requests = (rate * lasts.as_secs_f64()).ceil() as u32;
        for number in 0..requests {
            let due = begin + Duration::from_secs_f64(f64::from(number) / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                break;
            }
        }
    });
    let free = Arc::new(Mutex::new(Vec::new()));
    let permits = Arc::new(Semaphore::new(AT_A_RATE));
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
    let answers = requests.join_all().await;
    clock.join().expect("it does not panic");
    let mut tally = Tally::default();
    let mut times = Vec::new();
    for (status, time) in answers {
        tally.add(status);
        if status == 200 {
            times.push(time);
        }
    }
    times.sort_unstable();
    Open { tally, times }
}

impl Open {
    /// In milliseconds: of a hundred or fewer the longest.
    pub fn p99(&self) -> f64 {
        let rank = (self.times.len() * 99).div_ceil(100).saturating_sub(1);
        let time = self.times.get(rank).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    }
}
