//! Sends SIGKILL at each point, and checks the state afterwards.

use std::{
    collections::HashMap,
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use redis::RedisResult;
use test_support::redis::Server;
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use crate::{
    client::Connection,
    delivery::{Delivery, FAILS_ONCE},
    journal::{self, Entry},
    point::Point,
    process::{PATIENCE, Process},
    server::LEASE,
};

/// Concurrent runs. Most of their time they wait for leases.
const PARALLEL: usize = 16;

const DELIVERIES: usize = 6;

/// Delay before a retry.
const PAUSE: Duration = Duration::from_millis(100);

/// Kills servers `runs` times at each point, prints the results, and returns whether
/// they are as guaranteed.
pub(crate) async fn run(runs: u32) -> bool {
    let redis = Arc::new(Server::start());
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let start = Instant::now();
    let mut tasks: Vec<(Point, Vec<JoinHandle<Outcome>>)> = Vec::new();
    for point in Point::ALL {
        let tries = (0..runs).map(|run| {
            let redis = Arc::clone(&redis);
            let permits = Arc::clone(&permits);
            tokio::spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                Run::new(point, run, &redis).go().await
            })
        });
        tasks.push((point, tries.collect()));
    }
    println!("{:<16} {:>6} {:>6} {:>6}", "point", "runs", "lost", "extra");
    let mut sum = Outcome::default();
    for (point, tries) in tasks {
        let mut row = Outcome::default();
        for outcome in tries {
            row.add(outcome.await.unwrap());
        }
        println!(
            "{:<16} {runs:>6} {:>6} {:>6}",
            point.name(),
            row.lost,
            row.extra
        );
        for complaint in &row.complaints {
            eprintln!("{}: {complaint}", point.name());
        }
        sum.add(row);
    }
    eprintln!(
        "{} kills, {} answers of 200, {} of 503, {} of 500, {} without an answer, {} claims left by the dead, {:.0} s",
        sum.kills,
        sum.answers(200),
        sum.answers(503),
        sum.answers(500),
        sum.answers(0),
        sum.left,
        start.elapsed().as_secs_f64()
    );
    println!(
        "{} runs, {} lost, {} extra",
        runs as usize * Point::ALL.len(),
        sum.lost,
        sum.extra
    );
    sum.lost == 0 && sum.complaints.is_empty() && runs > 0
}

/// Results of one or several runs.
#[derive(Debug, Default)]
struct Outcome {
    /// Events of deliveries that were answered with 200 before anybody had handled them.
    lost: usize,
    /// Handler runs beyond the first, counted per delivery by its most handled event.
    extra: usize,
    kills: usize,
    /// Claims that a dead process left, none of them longer than a lease.
    left: usize,
    /// Count of each status. 0: the connection broke.
    answers: HashMap<u16, usize>,
    complaints: Vec<String>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.extra += other.extra;
        self.kills += other.kills;
        self.left += other.left;
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.complaints.extend(other.complaints);
    }

    fn answers(&self, status: u16) -> usize {
        self.answers.get(&status).copied().unwrap_or_default()
    }
}

struct Run<'a> {
    name: String,
    point: Point,
    number: u32,
    redis: &'a Server,
    journal: PathBuf,
    prefix: String,
    deliveries: Vec<Delivery>,
    /// Processes that died, in order.
    dead: Vec<u32>,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(point: Point, number: u32, redis: &'a Server) -> Self {
        let name = format!("{}-{number}", point.name());
        let deliveries = (0..DELIVERIES).map(|index| {
            let ids = (0..2 + index % 4).map(|event| format!("wamid.{name}-{index}-{event}"));
            let text = if index % 3 == 1 { FAILS_ONCE } else { "hi" };
            Delivery::new(ids, text)
        });
        Self {
            point,
            number,
            redis,
            journal: redis.dir().join(&name),
            prefix: format!("{name}:"),
            deliveries: deliveries.collect(),
            name,
            dead: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    async fn go(mut self) -> Outcome {
        let start = Instant::now();
        // Every second delivery is sent over two connections at once. Each is retried until it is
        // answered with 200.
        let mut left: Vec<(usize, usize)> = (0..DELIVERIES)
            .map(|index| (index, 1 + (index + 1) % 2))
            .collect();
        let mut server = self.start().await;
        while !left.is_empty() {
            if start.elapsed() > PATIENCE {
                self.complain("not everything was answered with 200");
                break;
            }
            let mut died = false;
            for (index, senders) in &mut left {
                let (first, second) = {
                    let delivery = &self.deliveries[*index];
                    let second = async {
                        match *senders {
                            2 => Some(send(server.port, delivery).await),
                            _ => None,
                        }
                    };
                    tokio::join!(send(server.port, delivery), second)
                };
                for status in [Some(first), second].into_iter().flatten() {
                    *self.outcome.answers.entry(status).or_default() += 1;
                    match status {
                        200 => {
                            *senders -= 1;
                            self.check_answered(*index);
                        }
                        0 => died = true,
                        _ => {}
                    }
                }
                if died {
                    break;
                }
            }
            left.retain(|(_, senders)| *senders > 0);
            if died {
                self.bury(server).await;
                server = self.start().await;
            } else if !left.is_empty() {
                sleep(PAUSE).await;
            }
        }
        // A server that dies after the last response is not noticed by any client.
        if self.dead.is_empty() {
            self.bury(server).await;
        }
        self.check_journal();
        self.check_store().await;
        self.outcome.kills = self.dead.len();
        self.outcome
    }

    /// The first server kills itself at the point. In every second run the next one
    /// does so too, at once.
    async fn start(&self) -> Process {
        let mut settings = vec![
            "short=".to_owned(),
            "fails=".to_owned(),
            format!("work={}", self.work().as_millis()),
            format!("redis={}", self.redis.url()),
            format!("prefix={}", self.prefix),
            format!("journal={}", self.journal.display()),
        ];
        let nth = match (self.dead.len(), self.number % 2) {
            (0, _) => Some(1 + self.number / 2 % self.passes()),
            (1, 1) => Some(1),
            _ => None,
        };
        if let Some(nth) = nth {
            settings.push(format!("trap={}:{nth}", self.point.name()));
        }
        Process::serve(&settings).await
    }

    /// Long enough for two connections to meet, or for some renewals.
    fn work(&self) -> Duration {
        if self.point.needs_long_work() {
            LEASE * 3 / 4
        } else {
            Duration::from_millis(20)
        }
    }

    /// Minimum number of times that the point is passed if no process dies.
    fn passes(&self) -> u32 {
        match self.point {
            Point::BeforeRelease | Point::AfterRelease => 2,
            _ => 6,
        }
    }

    async fn bury(&mut self, server: Process) {
        let id = server.id();
        if let Err(complaint) = server.killed(PATIENCE / 6).await {
            self.complain(&complaint);
        }
        self.dead.push(id);
        self.check_left().await;
    }

    /// A delivery with a 200 is not retried.
    fn check_answered(&mut self, index: usize) {
        let handled = journal::handled(&self.journal);
        let delivery = &self.deliveries[index];
        let lost = delivery.names().filter(|name| !handled.contains_key(name));
        let lost = lost.count();
        if lost > 0 {
            self.outcome.lost += lost;
            self.complain(&format!(
                "delivery {index}: 200, and {lost} were not handled"
            ));
        }
    }

    fn check_journal(&mut self) {
        let journal = journal::read(&self.journal);
        let mut complaints = Vec::new();
        for (index, delivery) in self.deliveries.iter().enumerate() {
            let mut most = 0;
            for name in delivery.names() {
                let entries = journal.get(&name).map_or(&[][..], Vec::as_slice);
                complaints.extend(self.check_event(entries));
                let calls = entries
                    .iter()
                    .filter(|entry| matches!(entry, Entry::Handled { .. }))
                    .count();
                if calls == 0 {
                    complaints.push(format!("an event of delivery {index} was never handled"));
                }
                most = most.max(calls);
            }
            // Counted per event: the claims of one delivery may expire a millisecond apart, so that
            // the rest is handled in two calls.
            self.outcome.extra += most.saturating_sub(1);
        }
        if self.outcome.extra > self.dead.len() {
            complaints.push("more than one extra run for a kill".to_owned());
        }
        if self.outcome.extra > 0 && !self.point.may_repeat() {
            complaints.push("an extra run where there may be none".to_owned());
        }
        for complaint in complaints {
            self.complain(&complaint);
        }
    }

    /// An event may be handled again only if its first process was killed before the commit.
    fn check_event(&self, entries: &[Entry]) -> Option<String> {
        let mut before = None;
        for entry in entries {
            match entry {
                Entry::Handled { process } => {
                    let excused = match before {
                        None => true,
                        Some(Entry::Handled { process: dead }) => {
                            dead != *process && self.dead.contains(&dead)
                        }
                        Some(Entry::Committed { .. }) => false,
                    };
                    if !excused {
                        return Some(format!("handled again without need: {entries:?}"));
                    }
                }
                Entry::Committed { .. } => {}
            }
            before = Some(*entry);
        }
        None
    }

    /// A dead process leaves claims for at most a lease, after which another takes over.
    async fn check_left(&mut self) {
        let values = self.values().await;
        // A value without a length has expired since it was listed.
        for (_, left) in values.into_iter().filter(|(length, _)| *length > 1) {
            self.outcome.left += 1;
            if !within_lease(left) {
                self.complain("a claim is longer than its lease");
            }
        }
    }

    /// Every event is done, and nothing else is left.
    async fn check_store(&mut self) {
        let values = self.values().await;
        let events = self.deliveries.iter().map(|delivery| delivery.keys.len());
        let (done, pending): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|(length, _)| *length == 1);
        if done.len() != events.sum::<usize>() {
            self.complain(&format!("{} events are done", done.len()));
        }
        if !pending.is_empty() {
            self.complain(&format!("{} events are pending", pending.len()));
        }
    }

    /// Length and remaining lifetime in milliseconds of every value of this run.
    async fn values(&self) -> Vec<(usize, i64)> {
        let (mut connection, prefix) = (self.redis.connection(), self.prefix.clone());
        let values: RedisResult<Vec<(usize, i64)>> = spawn_blocking(move || {
            let pattern = format!("{prefix}*");
            let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(pattern).query(&mut connection)?;
            let look = |key| {
                redis::pipe()
                    .cmd("STRLEN")
                    .arg(&key)
                    .cmd("PTTL")
                    .arg(&key)
                    .query(&mut connection)
            };
            keys.into_iter().map(look).collect()
        })
        .await
        .unwrap();
        values.unwrap()
    }

    fn complain(&mut self, complaint: &str) {
        let mut text = format!("{}: {complaint}", self.name);
        if self.outcome.complaints.is_empty() {
            let _ = write!(text, "\n{}", text_of(&self.journal));
        }
        self.outcome.complaints.push(text);
    }
}

/// The status of the response, or 0 if there was none.
async fn send(port: u16, delivery: &Delivery) -> u16 {
    let Ok(mut connection) = Connection::open(port).await else {
        return 0;
    };
    connection.send_in_halves(delivery).await.unwrap_or(0)
}

fn within_lease(millis: i64) -> bool {
    u64::try_from(millis).is_ok_and(|millis| Duration::from_millis(millis) <= LEASE)
}

fn text_of(journal: &Path) -> String {
    std::fs::read_to_string(journal).unwrap_or_default()
}
