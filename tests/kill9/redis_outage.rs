//! Redis is down for a while and deliveries continue: they are late or handled without protection,
//! but none is lost.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use test_support::redis::Server;
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

use crate::{
    client::Connection,
    delivery::Delivery,
    journal::{self, Entry},
    process::Process,
};

const PROCESSES: usize = 2;
const CONNECTIONS: usize = 16;
const EVENTS: usize = 3;

/// Delay between deliveries of a sender, and between retries.
const PACE: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_millis(100);

/// Duration without faults before the outage.
const CALM: Duration = Duration::from_secs(3);

/// Maximum time from the end of the outage until deliveries are accepted again, and none is
/// refused. The circuit may stay open for a second after the server is back.
const RECOVERED: Duration = Duration::from_secs(10);
/// Duration of the watch for refusals after the outage. Longer than [`RECOVERED`].
const WATCH: Duration = Duration::from_secs(12);

/// Allowed growth of a process: file descriptors, and memory in KiB. Pending writes
/// account for at most 3 MiB.
const MORE_FILES: usize = 8;
const MORE_MEMORY: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It hangs (SIGSTOP) and resumes with all its data.
    Stops,
    /// It is killed and restarts empty.
    Dies,
}

/// Runs both kinds of outage with both policies. Prints the results, and returns whether they are
/// as guaranteed.
pub(crate) async fn run(seconds: u64) -> bool {
    let mut good = true;
    for way in [Way::Stops, Way::Dies] {
        for policy in ["refuse", "deliver"] {
            good &= outage(Duration::from_secs(seconds), way, policy).await;
        }
    }
    good
}

/// Results of the senders.
#[derive(Default)]
struct Sent {
    refused: AtomicUsize,
    last_refused: Mutex<Option<Instant>>,
    first_good: Mutex<Option<Instant>>,
    slowest: Mutex<Duration>,
    /// The outage is over.
    over: AtomicBool,
    stop: AtomicBool,
}

impl Sent {
    fn took(&self, time: Duration) {
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = time.max(*slowest);
    }
}

async fn outage(time: Duration, way: Way, policy: &str) -> bool {
    let mut redis = block_in_place(Server::start);
    let path = redis.dir().join("journal");
    let mut servers = Vec::new();
    for _ in 0..PROCESSES {
        let settings = [
            format!("redis={}", redis.url()),
            format!("journal={}", path.display()),
            format!("policy={policy}"),
        ];
        servers.push(Process::serve(&settings).await);
    }
    let ports: Arc<[u16]> = servers.iter().map(|server| server.port).collect();
    let sent = Arc::<Sent>::default();
    let senders = (0..CONNECTIONS).map(|sender| {
        let (ports, sent) = (Arc::clone(&ports), Arc::clone(&sent));
        tokio::spawn(send(sender, ports, sent))
    });
    let senders: Vec<_> = senders.collect();
    let resources = |servers: &[Process]| servers.iter().map(Resources::of).collect::<Vec<_>>();

    sleep(CALM).await;
    let before = resources(&servers);
    match way {
        Way::Stops => redis.signal("-STOP"),
        Way::Dies => redis.kill(),
    }
    sleep(time).await;
    let meanwhile = resources(&servers);
    match way {
        Way::Stops => redis.signal("-CONT"),
        Way::Dies => block_in_place(|| redis.spawn()),
    }
    let back = Instant::now();
    sent.over.store(true, Ordering::SeqCst);
    sleep(WATCH).await;
    sent.stop.store(true, Ordering::SeqCst);
    let mut deliveries = 0;
    for sender in senders {
        let Ok(sent) = timeout(WATCH, sender).await else {
            println!("{way:?}, {policy}: deliveries are still refused");
            return false;
        };
        deliveries += sent.unwrap();
    }
    let after = resources(&servers);

    let runs = Runs::read(&path);
    let lost = deliveries * EVENTS - runs.events;
    let since = |at: &Mutex<Option<Instant>>| {
        let at = *at.lock().unwrap();
        at.map(|at| at.saturating_duration_since(back))
    };
    let [first_good, last_refused] = [&sent.first_good, &sent.last_refused].map(since);
    println!(
        "away for {} s ({way:?}, {policy}): {} lost, {} extra of {} events, {} of them after they were recorded; {} refused, slowest answer {} ms; \
         back after {} ms, nothing refused after {} ms",
        time.as_secs(),
        lost,
        runs.extra,
        runs.events,
        runs.after_commit,
        sent.refused.load(Ordering::SeqCst),
        sent.slowest.lock().unwrap().as_millis(),
        first_good.unwrap_or_default().as_millis(),
        last_refused.unwrap_or_default().as_millis(),
    );
    let recovers = first_good.is_some_and(|time| time <= RECOVERED)
        && last_refused.is_none_or(|time| time <= RECOVERED);
    if !recovers {
        println!("  not back within {} s", RECOVERED.as_secs());
    }
    let mut good = lost == 0 && recovers;
    for (server, at) in servers.into_iter().zip(0..) {
        let [before, meanwhile, after] = [&before[at], &meanwhile[at], &after[at]];
        println!("  before {before}, meanwhile {meanwhile}, after {after}");
        good &= [meanwhile, after].iter().all(|then| {
            then.files <= before.files + MORE_FILES && then.memory <= before.memory + MORE_MEMORY
        });
        println!("  {}", server.stop().await);
    }
    good && runs.are_permitted(way, policy)
}

/// Counts of handler runs.
#[derive(Default)]
struct Runs {
    events: usize,
    extra: usize,
    /// Handler runs after a confirmed commit.
    after_commit: usize,
}

impl Runs {
    fn read(path: &Path) -> Self {
        let mut runs = Self::default();
        for entries in journal::read(path).values() {
            let mut handled = 0_usize;
            let mut committed = false;
            for entry in entries {
                match entry {
                    Entry::Handled { .. } => {
                        handled += 1;
                        runs.after_commit += usize::from(committed);
                        committed = false;
                    }
                    Entry::Committed { .. } => committed = true,
                }
            }
            runs.events += usize::from(handled > 0);
            runs.extra += handled.saturating_sub(1);
        }
        runs
    }

    fn are_permitted(&self, way: Way, policy: &str) -> bool {
        // Events that were handled but not recorded when the outage began.
        let under_way = CONNECTIONS * EVENTS;
        match (way, policy) {
            (Way::Stops, "refuse") => self.after_commit == 0 && self.extra <= under_way,
            // Each of them without protection, except claims in flight when the server resumed.
            (Way::Stops, _) => self.after_commit <= under_way,
            // It has lost its data, and each sender repeats one known delivery.
            (Way::Dies, "refuse") => self.extra <= 2 * under_way,
            (Way::Dies, _) => self.after_commit <= 2 * under_way,
        }
    }
}

/// Sends deliveries until it is told to stop. Each is retried until it is answered with 200, and
/// then repeated once. Returns their number.
async fn send(sender: usize, ports: Arc<[u16]>, sent: Arc<Sent>) -> usize {
    let mut connections = Vec::new();
    for port in ports.iter() {
        connections.push(Connection::open(*port).await.unwrap());
    }
    let mut process = sender;
    let mut deliveries = 0;
    while !sent.stop.load(Ordering::SeqCst) {
        let ids = (0..EVENTS).map(|event| format!("wamid.{sender}-{deliveries}-{event}"));
        let delivery = Delivery::new(ids, "hi");
        deliveries += 1;
        for _ in 0..2 {
            sleep(PACE).await;
            loop {
                process = (process + 1) % ports.len();
                let start = Instant::now();
                let status = connections[process].send(&delivery).await.unwrap();
                sent.took(start.elapsed());
                if status == 200 {
                    break;
                }
                sent.refused.fetch_add(1, Ordering::SeqCst);
                *sent.last_refused.lock().unwrap() = Some(Instant::now());
                sleep(RETRY).await;
            }
            if sent.over.load(Ordering::SeqCst) {
                sent.first_good
                    .lock()
                    .unwrap()
                    .get_or_insert_with(Instant::now);
            }
        }
    }
    deliveries
}

struct Resources {
    files: usize,
    /// Resident memory in KiB.
    memory: usize,
}

impl Resources {
    fn of(process: &Process) -> Self {
        let place = format!("/proc/{}", process.id());
        let status = fs::read_to_string(format!("{place}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.unwrap().trim().trim_end_matches(" kB");
        Self {
            files: fs::read_dir(format!("{place}/fd")).unwrap().count(),
            memory: memory.parse().unwrap(),
        }
    }
}

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files and {} KiB", self.files, self.memory)
    }
}
