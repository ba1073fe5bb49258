//! Latency at a fixed rate.

use std::sync::Arc;

use crate::{
    figures::{Server, mebibytes, verdict},
    sender::Pool,
    traffic::Plan,
};

/// Every n-th delivery is repeated.
pub(crate) const REPEATED: usize = 20;

pub(crate) async fn run(seconds: u32, rate: u32) -> bool {
    let plan = Plan::new(seconds, rate, REPEATED);
    let events = plan.events();
    let server = Server::start(&[format!("events={events}")]);
    let begin = server.figures().await;
    let pool = Arc::new(Pool::new(server.port));
    let sent = plan.send(&pool).await;
    drop(pool);
    let end = server.settled(&begin, events).await;
    println!(
        "load: {rate} events/s for {seconds} s, {}, {}, RSS at most {:.0} MiB",
        sent.latencies,
        end.lost(events),
        mebibytes(end.peak)
    );
    println!(
        "load: {:.0} deliveries/s, {} repeated, {} sent again; the sender was late by {}; {}",
        plan.per_second(),
        sent.repeats,
        sent.again,
        sent.late,
        end.cores(&begin)
    );
    verdict(&end.complaints(&begin, events))
}
