//! Attackers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body_util::{Full, channel::Channel};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    sender::{self, Pool},
    traffic::Kind,
};

/// Delay between bytes of a slow sender.
const DRIP: Duration = Duration::from_millis(100);

/// Declared length of a slow sender.
const SAID: usize = 3 * 1024 * 1024;

/// Delay between senders that disconnect.
const HANG_UP: Duration = Duration::from_millis(100);

/// A well-formed but wrong signature.
pub(crate) fn forged() -> HeaderValue {
    HeaderValue::try_from(format!("sha256={}", "0".repeat(64))).unwrap()
}

/// Forged deliveries at the rate of the genuine ones, slow senders, and senders that disconnect
/// half way, until they are stopped.
pub(crate) struct Strangers {
    tasks: JoinSet<()>,
    tally: Arc<Tally>,
}

impl Strangers {
    pub(crate) fn start(port: u16, gap: Duration, slow: usize) -> Self {
        let tally = Arc::<Tally>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(forge(port, gap, Arc::clone(&tally)));
        tasks.spawn(hang_up(port, Arc::clone(&tally)));
        for number in 0..slow {
            let tally = Arc::clone(&tally);
            tasks.spawn(async move {
                // Spread over time, not all in the same millisecond.
                sleep(Duration::from_millis(number as u64 * 7)).await;
                loop {
                    drip(port, &tally).await;
                }
            });
        }
        Self { tasks, tally }
    }

    pub(crate) async fn stop(mut self) -> Arc<Tally> {
        self.tasks.shutdown().await;
        self.tally
    }
}

async fn forge(port: u16, gap: Duration, tally: Arc<Tally>) {
    let pool = Arc::new(Pool::new(port));
    let signature = forged();
    let body = Bytes::from(vec![b' '; SAID]);
    let mut running = JoinSet::new();
    let mut due = interval(gap);
    // Late attackers need not catch up.
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0.. {
        due.tick().await;
        let body = body.slice(..Kind::of(number).bytes());
        let request = sender::post(Full::new(body.clone()), body.len(), &signature);
        let (pool, tally) = (Arc::clone(&pool), Arc::clone(&tally));
        running.spawn(async move {
            match pool.send(request).await {
                Ok(StatusCode::FORBIDDEN) => count(&tally.forged),
                _ => count(&tally.odd),
            }
        });
        while running.try_join_next().is_some() {}
    }
}

async fn drip(port: u16, tally: &Tally) {
    let Ok(mut connection) = sender::open(port).await else {
        return count(&tally.odd);
    };
    let (mut bytes, body) = Channel::new(1);
    let answer = connection.send_request(sender::post(body, SAID, &forged()));
    let drips = async {
        while bytes.send_data(Bytes::from_static(b" ")).await.is_ok() {
            sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => match answer.map(|answer| answer.status()) {
            Ok(StatusCode::REQUEST_TIMEOUT) => count(&tally.slow),
            _ => count(&tally.odd),
        },
        () = drips => {}
    }
}

async fn hang_up(port: u16, tally: Arc<Tally>) {
    let mut due = interval(HANG_UP);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let Ok(mut connection) = sender::open(port).await else {
            count(&tally.odd);
            continue;
        };
        let (mut bytes, body) = Channel::new(1);
        let answer = connection.send_request(sender::post(body, SAID, &forged()));
        let half = async {
            let _ = bytes.send_data(Bytes::from(vec![b' '; 20_000])).await;
            sleep(DRIP / 2).await;
        };
        tokio::select! { _ = answer => count(&tally.odd), () = half => count(&tally.hung_up) }
    }
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Responses to the attackers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Responses with 403.
    forged: AtomicUsize,
    /// Responses with 408.
    slow: AtomicUsize,
    hung_up: AtomicUsize,
    /// Unexpected responses.
    odd: AtomicUsize,
}

impl Tally {
    pub(crate) fn complaint(&self) -> Option<String> {
        let odd = self.odd.load(Ordering::Relaxed);
        (odd > 0).then(|| format!("{odd} strangers were not answered as they should"))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [forged, slow, hung_up] = [&self.forged, &self.slow, &self.hung_up]
            .map(|counter| counter.load(Ordering::Relaxed));
        write!(
            f,
            "{forged} forged deliveries refused, {slow} slow senders cut, {hung_up} hung up"
        )
    }
}
