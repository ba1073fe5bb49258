//! Several processes on one Redis. Every event is delivered to two of them at about the same time,
//! in different batches.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use test_support::redis::Server;
use tokio::time::sleep;

use crate::{
    client::Connection,
    delivery::{Delivery, Random},
    journal,
    process::Process,
};

const EVENTS: usize = 20_000;

/// Maximum distance between the two deliveries of an event, in events.
const NEAR: usize = 500;

const LARGEST_BATCH: usize = 50;
const CONNECTIONS: usize = 64;

/// Sends everything to two processes, then to four. Returns whether each event was handled once.
pub(crate) async fn run() -> bool {
    let redis = Server::start();
    let mut good = true;
    for processes in [2, 4] {
        good &= with(processes, &redis).await;
    }
    good
}

/// A delivery and the process that gets it first.
type Errand = (Delivery, usize);

async fn with(processes: usize, redis: &Server) -> bool {
    let path = redis.dir().join(format!("processes-{processes}"));
    let mut servers = Vec::new();
    for _ in 0..processes {
        let settings = [
            format!("redis={}", redis.url()),
            format!("prefix={processes}:"),
            format!("journal={}", path.display()),
        ];
        servers.push(Process::serve(&settings).await);
    }
    let errands = errands(processes);
    let deliveries = errands.len();
    let ports = servers.iter().map(|server| server.port).collect();
    let sent = send_all(errands, ports).await;
    println!(
        "{processes} processes: {EVENTS} events twice in {deliveries} deliveries, {:.1} s; {} answers of 503 to {} deliveries, {} of others",
        sent.time.as_secs_f64(),
        sent.refusals,
        sent.refused,
        sent.others
    );
    for server in servers {
        println!("  {}", server.stop().await);
    }
    report(&path, sent.others)
}

fn report(path: &Path, others: usize) -> bool {
    let handled = journal::handled(path);
    let lost = EVENTS - handled.len();
    let extra: usize = handled.values().map(|count| count - 1).sum();
    println!("  {lost} lost, {extra} extra");
    lost == 0 && extra == 0 && others == 0
}

/// Each event, in two batches for two processes.
fn errands(processes: usize) -> Vec<Errand> {
    let mut random = Random(processes as u64);
    let mut errands = Vec::new();
    let mut seen = HashSet::new();
    for start in (0..EVENTS).step_by(NEAR) {
        let mut groups = vec![Vec::new(); 2 * processes];
        for event in start..(start + NEAR).min(EVENTS) {
            let first = random.below(processes);
            let second = (first + 1 + random.below(processes - 1)) % processes;
            groups[first].push(event);
            groups[processes + second].push(event);
        }
        let mut near = Vec::new();
        for (index, mut group) in groups.into_iter().enumerate() {
            random.shuffle(&mut group);
            let mut rest = group.as_slice();
            while !rest.is_empty() {
                let size = (1 + random.below(LARGEST_BATCH)).min(rest.len());
                let (batch, others) = rest.split_at(size);
                let ids = batch.iter().map(|event| format!("wamid.{event}"));
                near.push((Delivery::new(ids, "hi"), index % processes));
                rest = others;
            }
        }
        for (delivery, _) in &near {
            seen.extend(delivery.keys.iter().copied());
        }
        random.shuffle(&mut near);
        errands.extend(near);
    }
    assert_eq!(seen.len(), EVENTS);
    errands
}

struct Sent {
    time: Duration,
    refusals: usize,
    refused: usize,
    others: usize,
}

async fn send_all(errands: Vec<Errand>, ports: Vec<u16>) -> Sent {
    let errands = Arc::new(errands);
    let ports = Arc::new(ports);
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers = (0..CONNECTIONS).map(|number| {
        let (errands, ports, next) = (errands.clone(), ports.clone(), next.clone());
        tokio::spawn(async move {
            let mut random = Random(number as u64);
            let mut connections = Vec::new();
            for port in ports.iter() {
                connections.push(Connection::open(*port).await.unwrap());
            }
            let (mut refusals, mut refused, mut others) = (0, 0, 0);
            while let Some((delivery, first)) = errands.get(next.fetch_add(1, Ordering::SeqCst)) {
                let mut process = *first;
                let mut tries = 0;
                loop {
                    match connections[process].send(delivery).await.unwrap() {
                        200 => break,
                        503 => refusals += 1,
                        _ => others += 1,
                    }
                    tries += 1;
                    // A load balancer sends retries to any process.
                    process = random.below(ports.len());
                    sleep(Duration::from_millis(20)).await;
                }
                refused += usize::from(tries > 0);
            }
            (refusals, refused, others)
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut sent = Sent {
        time: Duration::ZERO,
        refusals: 0,
        refused: 0,
        others: 0,
    };
    for worker in workers {
        let (refusals, refused, others) = worker.await.unwrap();
        sent.refusals += refusals;
        sent.refused += refused;
        sent.others += others;
    }
    sent.time = start.elapsed();
    sent
}
