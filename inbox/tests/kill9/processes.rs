//! Four processes on one PostgreSQL: two are killed, one is paused.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::{Duration, Instant},
};

use crate::{
    child::{Orders, entry},
    common::Db,
    points::DEAD,
    process::Process,
};

const PROCESSES: usize = 4;
const CONCURRENCY: usize = 8;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn check(events: u64) {
    let persons = (events / 40).max(10);
    let db = Db::postgres().await;
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal").display().to_string();
    let (database, place) = db.address();
    drop(crate::child::open(&database, &place).await);
    db.execute("CREATE TABLE effects (n INTEGER, id TEXT)")
        .await;
    let orders = Orders {
        database,
        place,
        journal: journal.clone(),
        kill_at: None,
        concurrency: CONCURRENCY,
    };
    let ids: Vec<String> = (0..events)
        .map(|n| format!("{}:{}", n % persons, 100_000 + n / persons))
        .collect();
    let count = ids.len();
    let start = Instant::now();
    let acknowledged = tokio::task::spawn_blocking(move || drive(&orders, &ids))
        .await
        .unwrap();
    let lost_answers = acknowledged.len() != count;
    let text = fs::read_to_string(&journal).unwrap();
    let result = judge(&text, &acknowledged);
    let distinct = db.count("SELECT count(DISTINCT id) FROM effects").await;
    let all = db.count("SELECT count(*) FROM effects").await;
    let odd = acknowledged.iter().filter(|id| is_odd(id)).count();
    println!(
        "processes: {count} events of {persons} conversations in {:?}: lost {}, extra runs {}, \
         disordered {}, effects {all} of {odd} ({distinct} distinct)",
        start.elapsed(),
        result.lost,
        result.extra,
        result.out_of_order
    );
    assert!(!lost_answers, "some deliveries were never accepted");
    assert_eq!((result.lost, result.out_of_order), (0, 0));
    assert_eq!(db.count(DEAD).await, 0, "dead letters");
    // A kill and a pause have ended at least one run each, at most as many as there are slots.
    assert!(
        (2..=2 * CONCURRENCY).contains(&result.extra),
        "{} extra runs",
        result.extra
    );
    assert_eq!(
        (
            usize::try_from(all).unwrap(),
            usize::try_from(distinct).unwrap()
        ),
        (odd, odd)
    );
}

fn is_odd(id: &str) -> bool {
    let person: u64 = id.split_once(':').unwrap().0.parse().unwrap();
    person % 2 == 1
}

/// Sends deliveries until all are answered with 200.
struct Sender {
    /// By process: deliveries without an answer.
    open: Vec<Vec<String>>,
    acknowledged: HashSet<String>,
}

impl Sender {
    fn send(&mut self, processes: &mut [Process], number: usize, delivery: &str) {
        processes[number].tell(&format!("post {delivery}"));
        self.open[number].push(delivery.to_owned());
    }

    fn read(&mut self, processes: &mut [Process]) {
        for (number, process) in processes.iter_mut().enumerate() {
            while let Some(line) = process.try_next() {
                if let Some(refused) = self.note(number, &line) {
                    process.tell(&format!("post {refused}"));
                }
            }
        }
    }

    /// Returns a delivery that was refused. Meta sends it again.
    fn note<'a>(&mut self, number: usize, line: &'a str) -> Option<&'a str> {
        let (status, delivery) = line.split_once(' ')?;
        if status != "200" {
            println!("refused with {status}: {delivery}");
            return Some(delivery);
        }
        self.open[number].retain(|open| open != delivery);
        self.acknowledged
            .extend(delivery.split(' ').map(str::to_owned));
        None
    }

    /// Sends what a killed process has not answered to its successor.
    fn resend(&mut self, processes: &mut [Process], number: usize) {
        for delivery in std::mem::take(&mut self.open[number]) {
            self.send(processes, number, &delivery);
        }
    }

    /// Waits for all answers.
    fn settle(&mut self, processes: &mut [Process]) {
        let start = Instant::now();
        while self.open.iter().any(|open| !open.is_empty()) {
            assert!(
                start.elapsed() < Duration::from_secs(300),
                "answers are missing"
            );
            self.read(processes);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn drive(orders: &Orders, ids: &[String]) -> HashSet<String> {
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| Process::start(orders)).collect();
    let mut sender = Sender {
        open: vec![Vec::new(); PROCESSES],
        acknowledged: HashSet::new(),
    };
    // First everything is stored, so that the order is known. One process is killed meanwhile.
    for (n, delivery) in ids.chunks(13).enumerate() {
        sender.send(&mut processes, n % PROCESSES, &delivery.join(" "));
    }
    sender.read(&mut processes);
    replace(&mut processes, 0, orders, &mut sender);
    sender.settle(&mut processes);
    // Then all work while everything is delivered again in another grouping.
    for process in &mut processes {
        process.tell("work");
    }
    for (n, delivery) in ids.chunks(29).enumerate() {
        sender.send(&mut processes, (n + 1) % PROCESSES, &delivery.join(" "));
    }
    stop_in_a_run(&processes[1], &orders.journal);
    replace(&mut processes, 1, orders, &mut sender);
    processes[1].tell("work");
    let interrupted = stop_in_a_run(&processes[2], &orders.journal);
    // Others have them when the lease has ended. Then their holder goes on.
    until("interrupted events run elsewhere", || {
        let text = fs::read_to_string(&orders.journal).unwrap();
        let mut elsewhere = HashSet::new();
        for [what, id, process] in text.split_inclusive('\n').filter_map(whole) {
            if what == "start" && process != processes[2].id() {
                elsewhere.insert(id);
            }
        }
        interrupted.iter().all(|id| elsewhere.contains(id.as_str()))
    });
    processes[2].signal("-CONT");
    sender.settle(&mut processes);
    for process in &mut processes {
        process.tell("finish");
    }
    for process in &mut processes {
        while process.next().is_some() {}
    }
    sender.acknowledged
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Stops a process while it handles events. Returns those that nobody has finished: of even
/// persons, because others may be committed without a word in the journal.
fn stop_in_a_run(process: &Process, journal: &str) -> Vec<String> {
    let mut running = Vec::new();
    until("a process is in a run", || {
        process.stop();
        let text = fs::read_to_string(journal).unwrap();
        let mut open = HashSet::new();
        for [what, id, by] in text.split_inclusive('\n').filter_map(whole) {
            if by == process.id() && !is_odd(id) {
                match what {
                    "start" => drop(open.insert(id)),
                    _ => drop(open.remove(id)),
                }
            }
        }
        running = open.into_iter().map(str::to_owned).collect();
        if running.is_empty() {
            process.signal("-CONT");
        }
        !running.is_empty()
    });
    running
}

/// Not the last line, if it is being written.
fn whole(line: &str) -> Option<[&str; 3]> {
    line.strip_suffix('\n').map(entry)
}

fn replace(processes: &mut [Process], number: usize, orders: &Orders, sender: &mut Sender) {
    processes[number].kill();
    while let Some(line) = processes[number].try_next() {
        sender.note(number, &line);
    }
    processes[number] = Process::start(orders);
    sender.resend(processes, number);
}

struct Judged {
    lost: usize,
    extra: usize,
    out_of_order: usize,
}

fn judge(journal: &str, acknowledged: &HashSet<String>) -> Judged {
    let mut runs: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut starts: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut done = HashSet::new();
    for line in journal.lines() {
        let [what, id, _] = entry(line);
        let counts = runs.entry(id).or_default();
        match what {
            "start" => {
                counts.0 += 1;
                let (person, _) = id.split_once(':').unwrap();
                let starts = starts.entry(person).or_default();
                if !starts.contains(&id) {
                    starts.push(id);
                }
            }
            "fail" => counts.1 += 1,
            _ => drop(done.insert(id)),
        }
    }
    // Those of odd persons have an effect instead.
    let is_lost = |id: &&String| {
        let is_done = is_odd(id) || done.contains(id.as_str());
        !is_done || !runs.contains_key(id.as_str())
    };
    let lost = acknowledged.iter().filter(is_lost).count();
    let extra = runs
        .values()
        .map(|(starts, fails)| (starts - fails).saturating_sub(1))
        .sum();
    let disordered = |ids: &Vec<&str>| ids.windows(2).filter(|pair| pair[0] > pair[1]).count();
    Judged {
        lost,
        extra,
        out_of_order: starts.values().map(disordered).sum(),
    }
}
