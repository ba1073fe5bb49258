//! What it costs to handle each event once: `cargo bench --bench dedup`.
//!
//! A round is one claim and one commit of a batch whose keys are new, with so many other keys in the store in memory. Instructions are counted by
//! valgrind's callgrind, so they do not depend on what else the machine does; hashes, locks, the clock and the vectors of the answers are
//! in them. The rows of a full store have evictions in them. Bytes are those of the heap, by entry.

mod support;

use std::{
    env,
    error::Error,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use peak_alloc::PeakAlloc;
use tower_whatsapp::{
    dedup::{MemoryStore, Store, Token},
    event::EventKey,
};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const LEASE: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", live, room, batch, rounds] = arguments.get(1..).unwrap_or_default() {
        return work(
            live.parse()?,
            room.parse()?,
            batch.parse()?,
            rounds.parse()?,
        );
    }
    println!(
        "{:>9} {:>9} {:>6} {:>12}",
        "live keys", "room", "batch", "instr./event"
    );
    for (live, room) in [
        (0, 10_000_000),
        (10_000, 10_000_000),
        (1_000_000, 10_000_000),
        (10_000, 10_000),
        (1_000_000, 1_000_000),
    ] {
        for (batch, rounds) in [(1, [100, 20_100]), (1000, [10, 60])] {
            let texts = [live, room, batch].map(|number: u64| number.to_string());
            let count = support::per_round(&texts.each_ref().map(String::as_str), rounds)? / batch;
            println!("{live:>9} {room:>9} {batch:>6} {count:>12}");
        }
    }
    println!(
        "\n{:>9} {:>9} {:>12} {:>12}",
        "entries", "room", "bytes", "bytes/entry"
    );
    for (entries, room) in [
        (10_000, 1_000_000),
        (100_000, 1_000_000),
        (1_000_000, 1_000_000),
    ] {
        let before = HEAP.current_usage();
        let store = filled(entries, room)?;
        let bytes = HEAP.current_usage() - before;
        println!(
            "{entries:>9} {room:>9} {bytes:>12} {:>12}",
            bytes / store.len()
        );
    }
    Ok(())
}

fn work(live: u64, room: usize, batch: u64, rounds: u64) -> Result<(), Box<dyn Error>> {
    // Where there are evictions, not all shards are to have their first at the same time.
    let is_full = usize::try_from(live)? >= room;
    let live = if is_full { live + live / 2 } else { live };
    let store = filled(live, room)?;
    let token = Token::random();
    let mut keys = Vec::new();
    let mut windows = Vec::new();
    for round in 0..rounds {
        let first = live + round * batch;
        keys.clear();
        keys.extend((first..first + batch).map(key));
        windows.clear();
        windows.extend(keys.iter().map(|key| (*key, WINDOW)));
        black_box(now(store.claim(&keys, token, LEASE))?);
        black_box(now(store.commit(&windows, token))?);
    }
    Ok(())
}

/// A store with room for so many entries, of which so many are done.
fn filled(live: u64, room: usize) -> Result<MemoryStore, Box<dyn Error>> {
    let store = MemoryStore::with_capacity(room);
    let keys: Vec<_> = (0..live).map(|number| (key(number), WINDOW)).collect();
    for keys in keys.chunks(1000) {
        now(store.commit(keys, Token::random()))?;
    }
    Ok(store)
}

fn key(number: u64) -> EventKey {
    EventKey::from_bytes(u128::from(number).to_be_bytes())
}

/// The store in memory never waits, so no runtime is in the figures.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the store in memory waits"),
    }
}
