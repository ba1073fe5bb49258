//! Throughput of the Redis store relative to the memory store, with the same server and deliveries.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use test_support::redis::Server;

use crate::{client::Connection, delivery::Delivery, process::Process};

const DELIVERIES: usize = 20_000;
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 3;

/// Prints all rates, their medians and the ratio of the medians. Returns whether everything was
/// answered with 200.
pub(crate) async fn run() -> bool {
    let redis = Server::start();
    let deliveries = (0..DELIVERIES).map(|event| Delivery::new([format!("wamid.{event}")], "hi"));
    let deliveries: Arc<[Delivery]> = deliveries.collect();
    let mut rates = [Vec::new(), Vec::new()];
    let mut good = true;
    for round in 0..ROUNDS {
        let on_redis = [format!("redis={}", redis.url()), format!("prefix={round}:")];
        for (rates, settings) in rates.iter_mut().zip([&on_redis[..], &[]]) {
            let server = Process::serve(settings).await;
            let (rate, refused) = load(server.port, &deliveries).await;
            server.stop().await;
            good &= refused == 0;
            rates.push(rate);
        }
    }
    let [on_redis, in_memory] = rates.map(|mut rates| {
        println!("{rates:.0?} deliveries/s");
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    });
    println!(
        "{on_redis:.0} deliveries/s on Redis, {in_memory:.0} in memory: {:.3}",
        on_redis / in_memory
    );
    good
}

/// Sends everything once over all connections.
async fn load(port: u16, deliveries: &Arc<[Delivery]>) -> (f64, usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers = (0..CONNECTIONS).map(|_| {
        let (deliveries, next) = (Arc::clone(deliveries), Arc::clone(&next));
        tokio::spawn(async move {
            let mut connection = Connection::open(port).await.unwrap();
            let mut refused = 0;
            while let Some(delivery) = deliveries.get(next.fetch_add(1, Ordering::SeqCst)) {
                let status = connection.send(delivery).await.unwrap();
                refused += usize::from(status != 200);
            }
            refused
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut refused = 0;
    for worker in workers {
        refused += worker.await.unwrap();
    }
    let rate = deliveries.len() as f64 / start.elapsed().as_secs_f64();
    (rate, refused)
}
