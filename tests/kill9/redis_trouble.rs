//! Faults of Redis while deliveries arrive: they are late, but none is lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use test_support::redis::Server;
use tokio::{task::block_in_place, time::sleep};

use crate::{client::Connection, delivery::Delivery, journal, process::Process};

const PROCESSES: usize = 2;
const DELIVERIES: usize = 3_000;
const CONNECTIONS: usize = 16;

/// Senders are slowed down, so that the fault occurs in the middle.
const PACE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Restart,
    FlushAll,
    ScriptFlush,
    NoMemory,
    Stop,
}

impl Trouble {
    const ALL: [Self; 6] = [
        Self::None,
        Self::Restart,
        Self::FlushAll,
        Self::ScriptFlush,
        Self::NoMemory,
        Self::Stop,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart, empty",
            Self::FlushAll => "FLUSHALL",
            Self::ScriptFlush => "SCRIPT FLUSH",
            Self::NoMemory => "maxmemory for 2 s",
            Self::Stop => "SIGSTOP for 2 s",
        }
    }

    /// Whether Redis forgets what was handled.
    fn forgets(self) -> bool {
        matches!(self, Self::Restart | Self::FlushAll)
    }

    async fn make(self, redis: &mut Server) {
        let command = |redis: &Server, words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            block_in_place(|| command.query::<()>(&mut redis.connection())).unwrap();
        };
        let pause = Duration::from_secs(2);
        match self {
            Self::None => {}
            Self::Restart => {
                redis.kill();
                sleep(pause / 4).await;
                block_in_place(|| redis.spawn());
            }
            Self::FlushAll => command(redis, &["FLUSHALL"]),
            Self::ScriptFlush => command(redis, &["SCRIPT", "FLUSH"]),
            Self::NoMemory => {
                command(redis, &["CONFIG", "SET", "maxmemory", "1"]);
                sleep(pause).await;
                command(redis, &["CONFIG", "SET", "maxmemory", "0"]);
            }
            Self::Stop => {
                redis.signal("-STOP");
                sleep(pause).await;
                redis.signal("-CONT");
            }
        }
    }
}

/// Injects each fault while deliveries arrive, prints the statuses, and returns
/// whether all events were handled.
pub(crate) async fn run() -> bool {
    let mut redis = Server::start();
    let mut good = true;
    for (number, trouble) in Trouble::ALL.into_iter().enumerate() {
        good &= with(trouble, number, &mut redis).await;
    }
    good
}

async fn with(trouble: Trouble, number: usize, redis: &mut Server) -> bool {
    let path = redis.dir().join(format!("trouble-{number}"));
    let mut servers = Vec::new();
    for _ in 0..PROCESSES {
        let settings = [
            format!("redis={}", redis.url()),
            format!("prefix=trouble-{number}:"),
            format!("journal={}", path.display()),
        ];
        servers.push(Process::serve(&settings).await);
    }
    let ports: Arc<[u16]> = servers.iter().map(|server| server.port).collect();
    let deliveries = (0..DELIVERIES).map(|index| {
        let ids = (0..1 + index % 5).map(|event| format!("wamid.{number}-{index}-{event}"));
        Delivery::new(ids, "hi")
    });
    let deliveries: Vec<_> = deliveries.collect();
    let errands: Arc<[Delivery]> = errands(&deliveries).into();
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let senders = (0..CONNECTIONS).map(|sender| {
        let (errands, next) = (Arc::clone(&errands), Arc::clone(&next));
        tokio::spawn(send(sender, Arc::clone(&ports), errands, next))
    });
    let senders: Vec<_> = senders.collect();
    // Inject the fault in the middle.
    while next.load(Ordering::SeqCst) < errands.len() / 2 {
        sleep(PACE).await;
    }
    trouble.make(redis).await;
    let mut answers = BTreeMap::<u16, usize>::new();
    let mut slowest = Duration::ZERO;
    for sender in senders {
        let (counts, time) = sender.await.unwrap();
        for (status, count) in counts {
            *answers.entry(status).or_default() += count;
        }
        slowest = slowest.max(time);
    }
    let time = start.elapsed();
    let handled = journal::handled(&path);
    let events: usize = deliveries.iter().map(|delivery| delivery.keys.len()).sum();
    let lost = events - handled.len();
    let extra: usize = handled.values().map(|count| count - 1).sum();
    println!(
        "{}: answers {answers:?}, slowest {} ms, {:.1} s; {lost} lost, {extra} extra of {events}",
        trouble.name(),
        slowest.as_millis(),
        time.as_secs_f64()
    );
    for server in servers {
        println!("  {}", server.stop().await);
    }
    // If Redis loses data, some events must be handled twice. Otherwise this check could not detect
    // duplicates elsewhere.
    lost == 0 && (extra > 0) == trouble.forgets()
}

/// Every delivery twice: in a row, or at the end.
fn errands(deliveries: &[Delivery]) -> Vec<Delivery> {
    let (mut near, mut late) = (Vec::new(), Vec::new());
    for (index, delivery) in deliveries.iter().enumerate() {
        near.push(delivery.clone());
        if index % 2 == 0 {
            near.push(delivery.clone());
        } else {
            late.push(delivery.clone());
        }
    }
    near.append(&mut late);
    near
}

/// Sends the next delivery until none is left. Each is retried until it is answered with 200.
async fn send(
    sender: usize,
    ports: Arc<[u16]>,
    errands: Arc<[Delivery]>,
    next: Arc<AtomicUsize>,
) -> (BTreeMap<u16, usize>, Duration) {
    let mut connections = Vec::new();
    for port in ports.iter() {
        connections.push(Connection::open(*port).await.unwrap());
    }
    let mut answers = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    let mut process = sender;
    while let Some(delivery) = errands.get(next.fetch_add(1, Ordering::SeqCst)) {
        sleep(PACE).await;
        loop {
            process = (process + 1) % ports.len();
            let start = Instant::now();
            let status = connections[process].send(delivery).await.unwrap();
            slowest = slowest.max(start.elapsed());
            *answers.entry(status).or_default() += 1;
            if status == 200 {
                break;
            }
            sleep(5 * PACE).await;
        }
    }
    (answers, slowest)
}
