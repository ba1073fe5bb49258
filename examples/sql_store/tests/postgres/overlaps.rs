//! Claims, renews, commits and releases overlapping batches concurrently, in different key orders.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tower_whatsapp::{
    dedup::{Store, Token},
    event::EventKey,
};

use super::{old_recipe::OldRecipe, server::Server};

const CALLERS: u64 = 12;
const KEYS: u64 = 120;
const LEASE: Duration = Duration::from_secs(30);

/// Calls all operations with random tokens for `time`. Some commits use a short window, so that
/// keys become free again. Returns the number of calls, or the first error.
async fn overlaps<S: Store>(stores: Vec<Arc<S>>, time: Duration) -> Result<u64, String> {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&stores[caller as usize % stores.len()]);
        callers.spawn(async move {
            let mut random = Random(caller + 1);
            let mut calls = 0;
            while start.elapsed() < time {
                let token = Token::random();
                let (first, step) = (random.below(KEYS), [1, 7, KEYS - 1][caller as usize % 3]);
                let batch: Vec<_> = (0..60)
                    .map(|place| key((first + place * step) % KEYS))
                    .collect();
                let windows: Vec<_> = batch
                    .iter()
                    .map(|key| (*key, Duration::from_millis(random.below(50))))
                    .collect();
                let claimed = store.claim(&batch, token, LEASE).await.map(drop);
                let renewed = store.renew(&batch[..30], token, LEASE).await.map(drop);
                let committed = store.commit(&windows[..20], token).await.map(drop);
                let released = store.release(&batch, token).await;
                for result in [claimed, renewed, committed, released] {
                    result.map_err(|error| format!("{error:?}"))?;
                    calls += 1;
                }
            }
            Ok::<u64, String>(calls)
        });
    }
    let mut calls = 0;
    // The first error ends the others, which are aborted when their set is dropped.
    while let Some(caller) = callers.join_next().await {
        calls += caller.unwrap()?;
    }
    Ok(calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_batches_do_not_deadlock() {
    let seconds = env::var("OVERLAP_SECONDS").map_or(10, |text| text.parse().unwrap());
    let server = Server::start().await;
    let purging = server.store().await;
    let purger = tokio::spawn(purging.purge_every(Duration::from_millis(20)));
    let stores = vec![
        Arc::new(server.store().await),
        Arc::new(server.store().await),
    ];
    let calls = overlaps(stores, Duration::from_secs(seconds)).await;
    purger.abort();
    let calls = calls.unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    let deadlocks = server.log().matches("deadlock detected").count();
    println!("{seconds} s: {calls} calls of up to 60 keys, {deadlocks} deadlocks");
    assert!(calls > 0);
    assert_eq!(deadlocks, 0);
}

/// Shows that the test above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_batches_deadlock_with_the_old_recipe() {
    let server = Server::start().await;
    let stores = vec![Arc::new(OldRecipe::new(server.pool().await))];
    let result = overlaps(stores, Duration::from_secs(120)).await;
    println!("{result:?}");
    assert!(result.unwrap_err().contains("deadlock detected"));
}

fn key(number: u64) -> EventKey {
    // Adjacent keys of a batch are not adjacent in the table.
    let scattered = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    EventKey::from_bytes(scattered.to_be_bytes())
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
