//! A service: it receives deliveries, handles events, and writes down what it does.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, Write},
    process::Command,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::sleep;
use tower_whatsapp_inbox::{
    Inbox, InboxError, InboxEvent,
    testing::{Fault, Moment, Point, set_hook},
};

use crate::common::{message, messages, pg_pool_at, post};

/// Of a child that is killed: others do not wait long for it. Shorter ones expire on a busy
/// machine.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// What a child is told on its command line.
pub(crate) struct Orders {
    pub(crate) database: String,
    pub(crate) place: String,
    pub(crate) journal: String,
    /// Label and number of the occurrence at which the child waits for its death.
    pub(crate) kill_at: Option<(String, u64)>,
    pub(crate) concurrency: usize,
}

impl Orders {
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let (label, number) = self.kill_at.clone().unwrap_or(("-".into(), 0));
        vec![
            "child".to_owned(),
            self.database.clone(),
            self.place.clone(),
            self.journal.clone(),
            label,
            number.to_string(),
            self.concurrency.to_string(),
        ]
    }

    fn parse(arguments: &[&str]) -> Self {
        let [database, place, journal, label, number, concurrency] = arguments else {
            panic!("unexpected arguments: {arguments:?}")
        };
        Self {
            database: (*database).to_owned(),
            place: (*place).to_owned(),
            journal: (*journal).to_owned(),
            kill_at: (*label != "-").then(|| ((*label).to_owned(), number.parse().unwrap())),
            concurrency: concurrency.parse().unwrap(),
        }
    }
}

/// Kills at a label.
#[derive(Clone)]
struct Trap {
    label: Arc<str>,
    left: Arc<AtomicU64>,
}

impl Trap {
    /// Stops all threads of this process, tells the parent, and waits for the end.
    fn pass(&self, label: &str) {
        if *self.label == *label && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let stop = format!("kill -STOP {} && echo here", std::process::id());
            Command::new("sh").args(["-c", &stop]).status().unwrap();
            std::thread::sleep(Duration::from_secs(600));
        }
    }
}

fn say(line: &str) {
    // One write: threads do not mix their lines.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

pub(crate) async fn open(database: &str, place: &str) -> Inbox {
    match database.split_once(' ') {
        Some((_, name)) => Inbox::postgres(pg_pool_at(place, name, 12).await)
            .await
            .unwrap(),
        None => Inbox::sqlite(place).await.unwrap(),
    }
}

/// Obeys the lines of its standard input: `post`, `work`, `finish`.
pub(crate) async fn run(arguments: &[&str]) {
    let orders = Orders::parse(arguments);
    let (label, number) = orders.kill_at.clone().unwrap_or_default();
    let trap = Trap {
        label: label.into(),
        left: Arc::new(AtomicU64::new(number)),
    };
    let inbox = open(&orders.database, &orders.place).await;
    let hook = trap.clone();
    set_hook(move |point, moment| {
        hook.pass(&name(point, moment));
        Fault::None
    });
    let journal = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&orders.journal)
        .unwrap();
    let journal = Arc::new(journal);
    let (commands, mut received) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let _ = commands.send(line.unwrap());
        }
    });
    say("ready");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut worker = None;
    while let Some(line) = received.recv().await {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("post", ids) => post_ids(&inbox, ids).await,
            ("work", _) => {
                let mut stopped = stopped.clone();
                let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
                let handler = handler(trap.clone(), journal.clone(), orders.database == "sqlite");
                let running = inbox
                    .worker(handler)
                    .concurrency(orders.concurrency)
                    .bulk_concurrency(0)
                    .lease(LEASE)
                    .backoff(Duration::from_millis(20), Duration::from_millis(20))
                    .poll_interval(Duration::from_millis(100));
                worker = Some(tokio::spawn(running.run(shutdown)));
            }
            ("finish", _) => break,
            other => panic!("unknown: {other:?}"),
        }
    }
    if let Some(worker) = worker {
        loop {
            // A child with a trap may be asked something else by it.
            let status = inbox.status().await.unwrap();
            if status.messages == 0 {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        stop.send_replace(true);
        worker.await.unwrap();
    }
    say("end");
}

/// `person:number` of each event, separated by spaces.
async fn post_ids(inbox: &Inbox, ids: &str) {
    let item = |id: &str| {
        let (person, number) = id.split_once(':').unwrap();
        message(&format!("49{person}"), id, u64::from_str(number).unwrap())
    };
    let items: Vec<_> = ids.split(' ').map(item).collect();
    match post(inbox, messages(&items)).await {
        StatusCode::OK => say(&format!("200 {ids}")),
        status => say(&format!("{} {ids}", status.as_u16())),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Handling = std::pin::Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>>;

/// Every fifth event fails at first. Those of odd persons have their effect in a transaction.
fn handler(trap: Trap, journal: Arc<File>, is_sqlite: bool) -> impl Fn(InboxEvent) -> Handling {
    move |event| {
        let (trap, journal) = (trap.clone(), journal.clone());
        Box::pin(async move {
            let id = event.event().id().unwrap().to_owned();
            let (person, number) = id.split_once(':').unwrap();
            let (person, number): (u64, u64) = (person.parse()?, number.parse()?);
            let note = |what: &str| {
                let process = std::process::id();
                (&*journal).write_all(format!("{what} {id} {process}\n").as_bytes())
            };
            note("start")?;
            trap.pass("in-handler");
            // Long enough to be renewed where that is what the child waits for.
            let is_slow = trap.label.ends_with("renew");
            sleep(Duration::from_millis(if is_slow { 60 } else { 1 })).await;
            if number % 5 == 0 && event.attempt() == 1 {
                note("fail")?;
                return Err("fails at first".into());
            }
            if person % 2 == 1 {
                effect(&event, &id, is_sqlite, &trap).await?;
            }
            note("done")?;
            Ok(())
        })
    }
}

async fn effect(
    event: &InboxEvent,
    id: &str,
    is_sqlite: bool,
    trap: &Trap,
) -> Result<(), InboxError> {
    if is_sqlite {
        let mut transaction = event.begin_sqlite().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES (?1)").bind(id);
        insert.execute(&mut **transaction).await?;
        trap.pass("effect-written");
        transaction.done().await
    } else {
        let mut transaction = event.begin_postgres().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES ($1)").bind(id);
        insert.execute(&mut **transaction).await?;
        trap.pass("effect-written");
        transaction.done().await
    }
}

/// A line of the journal: what has happened, the event and the process.
pub(crate) fn entry(line: &str) -> [&str; 3] {
    let parts: Vec<&str> = line.split(' ').collect();
    parts.try_into().unwrap()
}

fn name(point: Point, moment: Moment) -> String {
    format!("{moment:?}-{point:?}").to_lowercase()
}
