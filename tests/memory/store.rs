//! Memory of the memory store: a million entries take at most 64 MB, during growth, when full, and
//! whatever it contained before. A full store of done entries takes 34 bytes per entry.
//!
//! A single test per process, because it measures the heap of the process.

#![cfg(test)]

use std::time::Duration;

use peak_alloc::PeakAlloc;
use tokio::time::advance;
use tower_whatsapp::{
    dedup::{Claim, MemoryStore, Store, StoreErrorKind, Token},
    event::EventKey,
};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const ENTRIES: usize = 1_000_000;
const MOST: usize = 64 * ENTRIES;
/// A full store of done entries. `MemoryStore` promises about 34 bytes per entry.
const MOST_DONE: usize = 36 * ENTRIES;
const BATCH: u64 = 1_000;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_million_entries_take_64_megabytes() {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let report = |what: &str, store: &MemoryStore| {
        let (now, peak) = (HEAP.current_usage() - before, HEAP.peak_usage() - before);
        println!(
            "{what}: {} entries, {now} bytes, at most {peak}",
            store.len()
        );
        assert!(peak <= MOST, "{what}: {peak} bytes");
        HEAP.reset_peak_usage();
        now
    };
    let store = MemoryStore::new();
    let empty = report("empty", &store);
    let mut next = 0_u64;
    let mut fresh = || {
        next += BATCH;
        (next - BATCH..next).map(key).collect::<Vec<_>>()
    };

    // Filled repeatedly, with claims and releases in between.
    for round in 0..3_000 {
        let (keys, token) = (fresh(), Token::random());
        store.claim(&keys, token, HOUR).await.unwrap();
        if round % 3 == 0 {
            store.release(&keys, token).await.unwrap();
        } else {
            commit(&store, &keys, token).await;
        }
        if round == 1_000 || round == 1_600 {
            report("filling", &store);
        }
        advance(Duration::from_secs(60)).await;
    }
    report("churned", &store);
    assert!(store.len() > ENTRIES * 9 / 10 && store.effective_window().is_some());

    // A week later all entries have expired, and their memory is released as new keys arrive.
    advance(WEEK + HOUR).await;
    for _ in 0..10 {
        for key in fresh() {
            let token = Token::random();
            store.claim(&[key], token, HOUR).await.unwrap();
            store.release(&[key], token).await.unwrap();
        }
    }
    let idle = report("passed", &store);
    assert!(store.is_empty() && idle < empty + 1_000_000, "{idle}");

    // The maximum: all entries pending at once.
    let mut held = Vec::new();
    loop {
        let (keys, token) = (fresh(), Token::random());
        match store.claim(&keys, token, HOUR).await {
            Ok(claims) => assert!(claims.iter().all(|claim| *claim == Claim::Claimed)),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Full);
                break;
            }
        }
        held.push((keys.first().copied(), token));
    }
    report("pending", &store);
    assert!(store.pending() > ENTRIES * 9 / 10);
    // Then all of them done.
    for (first, token) in held {
        let first = u128::from_be_bytes(first.unwrap().to_bytes()) as u64;
        let keys: Vec<_> = (first..first + BATCH).map(key).collect();
        commit(&store, &keys, token).await;
    }
    let done = report("done", &store);
    assert!(done <= MOST_DONE, "{done} bytes");
    assert_eq!(store.pending(), 0);
    drop(store);
    assert!(HEAP.current_usage() - before < 100_000);
}

async fn commit(store: &MemoryStore, keys: &[EventKey], token: Token) {
    let windows: Vec<_> = keys.iter().map(|key| (*key, WEEK)).collect();
    store.commit(&windows, token).await.unwrap();
}

fn key(number: u64) -> EventKey {
    EventKey::from_bytes(u128::from(number).to_be_bytes())
}
