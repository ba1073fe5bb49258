//! Effect of attackers on the latency of genuine deliveries.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    figures::{Server, mebibytes, verdict},
    load::REPEATED,
    sender::Pool,
    starvation,
    strangers::Strangers,
    traffic::Plan,
};

/// Every n-th delivery is repeated.
const OFTEN: usize = 5;

const SLOW: usize = 100;

/// First without attackers, then with them in the same process, then with attackers that use up the
/// memory budget.
pub(crate) async fn run(seconds: u32, rate: u32) -> bool {
    let calm = Plan::new(seconds, rate, REPEATED);
    let attacked = Plan::new(seconds, rate, OFTEN).after(&calm);
    let events = calm.events() + attacked.events();
    let server = Server::start(&[format!("events={events}")]);
    let begin = server.figures().await;
    let pool = Arc::new(Pool::new(server.port));
    let before = calm.send(&pool).await;
    let strangers = Strangers::start(server.port, attacked.gap, SLOW);
    // Lets the slow attackers start.
    sleep(Duration::from_secs(1)).await;
    let during = attacked.send(&pool).await;
    let tally = strangers.stop().await;
    drop(pool);
    let end = server.settled(&begin, events).await;
    println!(
        "attack: good traffic of {rate} events/s without strangers: {}",
        before.latencies
    );
    println!(
        "attack: with as many forged deliveries, {SLOW} slow senders and 20 % repeated: {}; p99 is {:.1} times what it was",
        during.latencies,
        during.latencies.permille(990) / before.latencies.permille(990)
    );
    println!(
        "attack: {tally}, {}, RSS at most {:.0} MiB; {} and {} sent again; {}",
        end.lost(events),
        mebibytes(end.peak),
        before.again,
        during.again,
        end.cores(&begin)
    );
    let mut complaints = end.complaints(&begin, events);
    complaints.extend(tally.complaint());
    drop(server);
    complaints.extend(starvation::short(seconds.min(30)).await);
    verdict(&complaints)
}
