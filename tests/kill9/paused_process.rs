//! A process that is suspended for longer than its lease. When it resumes, its release must not end
//! the run of its successor.

use std::{collections::HashMap, time::Duration};

use test_support::redis::Server;
use tokio::{
    process::Command,
    task::block_in_place,
    time::{Instant, sleep},
};

use crate::{
    client::Connection,
    delivery::{Delivery, FAILS_ONCE},
    journal,
    process::{PATIENCE, Process},
};

const ROUNDS: usize = 5;
const LOOK: Duration = Duration::from_millis(20);

/// Returns whether each event was handled by the successor only.
pub(crate) async fn run() -> bool {
    let redis = Server::start();
    let mut good = true;
    for round in 0..ROUNDS {
        good &= once(round, &redis).await;
    }
    good
}

async fn once(round: usize, redis: &Server) -> bool {
    let path = redis.dir().join(format!("paused-{round}"));
    let prefix = format!("paused-{round}:");
    let mut settings = vec![
        "short=".to_owned(),
        "work=1000".to_owned(),
        format!("redis={}", redis.url()),
        format!("prefix={prefix}"),
        format!("journal={}", path.display()),
    ];
    let second = Process::serve(&settings).await;
    settings.push("fails=".to_owned());
    let first = Process::serve(&settings).await;
    let ids = (0..5).map(|event| format!("wamid.{round}-{event}"));
    let delivery = Delivery::new(ids, FAILS_ONCE);
    let (to_first, to_second) = (first.port, second.port);
    let send = |port, delivery: Delivery| {
        tokio::spawn(async move {
            let mut connection = Connection::open(port).await.unwrap();
            connection.send(&delivery).await.unwrap()
        })
    };

    // The first process claims and is suspended in its handler.
    let refused = send(to_first, delivery.clone());
    wait(redis, &prefix, true).await;
    signal(first.id(), "-STOP").await;
    // Its lease expires, and the second process takes over.
    wait(redis, &prefix, false).await;
    let handled = send(to_second, delivery.clone());
    wait(redis, &prefix, true).await;
    // The first process resumes, fails, and releases claims that it no longer holds.
    signal(first.id(), "-CONT").await;
    let mut answers = vec![refused.await.unwrap()];
    while answers.last() != Some(&200) {
        answers.push(send(to_first, delivery.clone()).await.unwrap());
    }
    let answer = handled.await.unwrap();

    let handled = journal::handled(&path);
    let once = delivery
        .names()
        .filter(|name| handled.get(name) == Some(&1))
        .count();
    println!(
        "paused: the first answers {:?}, the second {answer}; {once} of {} events handled once",
        counted(&answers),
        delivery.keys.len()
    );
    println!("  {}\n  {}", first.stop().await, second.stop().await);
    once == delivery.keys.len() && answers[0] == 500
}

/// Waits until there are keys, or until there are none.
async fn wait(redis: &Server, prefix: &str, some: bool) {
    let start = Instant::now();
    loop {
        let keys: Vec<Vec<u8>> = block_in_place(|| {
            let pattern = format!("{prefix}*");
            let keys = redis::cmd("KEYS")
                .arg(pattern)
                .query(&mut redis.connection());
            keys.unwrap()
        });
        if keys.is_empty() != some {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the claims are as they were");
        sleep(LOOK).await;
    }
}

async fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([name, &id.to_string()]).status();
    assert!(status.await.unwrap().success());
}

fn counted(answers: &[u16]) -> HashMap<u16, usize> {
    let mut counts = HashMap::new();
    for answer in answers {
        *counts.entry(*answer).or_default() += 1;
    }
    counts
}
