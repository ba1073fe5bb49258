//! Leaks over a long time.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    figures::{Server, mebibytes, verdict},
    sender::Pool,
    strangers::Strangers,
    traffic::Plan,
};

/// Every n-th delivery is repeated.
const REPEATED: usize = 5;

const SLOW: usize = 20;

/// Capacity of the store. It is full within a minute, so later growth has other causes.
const ENTRIES: usize = 30_000;

/// Fraction of the time that is not evaluated.
const WARM_UP: f64 = 1.0 / 6.0;

/// Allowed growth of the heap after all clients have disconnected, bytes: the store has filled,
/// with 34 bytes per entry. Resident memory is printed and never fails, because a short overload of
/// the machine raises it permanently.
const GROWTH: usize = 2 * 1024 * 1024;

pub(crate) async fn run(seconds: u32, rate: u32) -> bool {
    let plan = Plan::new(seconds, rate, REPEATED);
    let events = plan.events();
    let server = Server::start(&[format!("events={events}"), format!("entries={ENTRIES}")]);
    let begin = server.figures().await;
    let pool = Arc::new(Pool::new(server.port));
    let strangers = Strangers::start(server.port, plan.gap, SLOW);
    let start = Instant::now();
    let mut memory = Vec::new();
    let watch = async {
        let mut due = interval(Duration::from_secs(1));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let resident = mebibytes(server.figures().await.resident);
            memory.push((start.elapsed().as_secs_f64(), resident));
        }
    };
    let sent = tokio::select! {
        sent = plan.send(&pool) => sent,
        () = watch => unreachable!("the watcher never ends"),
    };
    let tally = strangers.stop().await;
    drop(pool);
    let end = server.settled(&begin, events).await;
    let warm = f64::from(seconds) * WARM_UP;
    memory.retain(|(second, _)| *second > warm);
    let resident = |at: Option<&(f64, f64)>| at.map_or(0.0, |(_, resident)| *resident);
    println!(
        "soak: {rate} events/s and as many forged deliveries for {seconds} s, {}: RSS slope {:.2} MiB/h after {warm:.0} s, from {:.1} to {:.1} MiB",
        end.lost(events),
        slope(&memory) * 3600.0,
        resident(memory.first()),
        resident(memory.last()),
    );
    println!(
        "soak: {} KiB allocated before, {} afterwards, {ENTRIES} entries of the store among them",
        begin.heap / 1024,
        end.heap / 1024
    );
    println!(
        "soak: {} tasks and {} descriptors before, {} and {} afterwards; {tally}; {} repeated, {} sent again; {}; {}",
        begin.tasks,
        begin.descriptors,
        end.tasks,
        end.descriptors,
        sent.repeats,
        sent.again,
        sent.latencies,
        end.cores(&begin)
    );
    let mut complaints = end.complaints(&begin, events);
    complaints.extend(tally.complaint());
    let growth = end.heap.saturating_sub(begin.heap);
    if growth > GROWTH {
        complaints.push(format!("{growth} bytes were not given back"));
    }
    verdict(&complaints)
}

/// Slope per second, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean =
        |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (middle, level) = (mean(|point| point.0), mean(|point| point.1));
    let both = points.iter().map(|(x, y)| (x - middle) * (y - level));
    let own = points.iter().map(|(x, _)| (x - middle).powi(2));
    both.sum::<f64>() / own.sum::<f64>().max(f64::MIN_POSITIVE)
}
