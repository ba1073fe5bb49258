//! What claims and changes of names cost with many waiting events and names, by what PostgreSQL
//! itself logs.
//!
//! `INBOX_WAITING=1000000` makes them a million.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use test_support::postgres::Server;
use tower_whatsapp_inbox::{Inbox, InboxEvent};

use crate::{
    common::{message, messages, pg_pool, post},
    order::{changed, from},
};

/// Statements of the hot path, by a part of their texts.
const HOT: [(&str, &str); 7] = [
    ("claim", "due AS ("),
    ("fetch", "CROSS JOIN LATERAL"),
    ("complete", "released AS ("),
    ("next", "wake_at < 'infinity'"),
    (
        "names to join",
        "unnest($1::text[]) WITH ORDINALITY AS n (name",
    ),
    ("names that lead to a name", "repointed AS ("),
    ("purge of names", "DELETE FROM whatsapp_inbox_alias"),
];

fn waiting() -> u64 {
    let number = std::env::var("INBOX_WAITING").ok();
    number.map_or(50_000, |number| number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_statements_read_by_index_only() {
    let few = plans(1_000).await;
    let many = plans(waiting()).await;
    for (name, _) in HOT {
        let (few, many) = (of(&few, name), of(&many, name));
        println!(
            "{name}: {:.3} ms with 1000, {:.3} ms with {}",
            few.0,
            many.0,
            waiting()
        );
        println!("{}", many.1);
        assert!(!many.1.contains("Seq Scan on whatsapp"), "{}", many.1);
        // Several times as long on a busy machine, not with the number of events.
        assert!(many.0 < few.0 * 20.0 + 20.0, "{name} takes {} ms", many.0);
    }
}

type Plans = Vec<(&'static str, f64, String)>;

/// The median of a statement, and a plan of it.
fn of(plans: &Plans, name: &str) -> (f64, String) {
    let mut mine: Vec<_> = plans.iter().filter(|plan| plan.0 == name).collect();
    assert!(!mine.is_empty(), "{name} has no plan");
    mine.sort_by(|one, two| one.1.total_cmp(&two.1));
    let median = mine[mine.len() / 2];
    (median.1, median.2.clone())
}

async fn plans(waiting: u64) -> Plans {
    let server = tokio::task::spawn_blocking(|| {
        Server::with(&[
            "fsync=off",
            "session_preload_libraries=auto_explain",
            "auto_explain.log_min_duration=0",
            "auto_explain.log_analyze=on",
            "auto_explain.log_timing=off",
        ])
    });
    let server = server.await.unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .socket(server.socket())
        .username("postgres");
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let inbox = Inbox::postgres(pool.clone()).await.unwrap();
    // Bodies that a worker can read.
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let fill = format!(
        "INSERT INTO whatsapp_inbox_event (event_key, seq, app, kind, number, conversation, lane,
            class, event_time, received_at, body)
        SELECT decode(md5(n::text), 'hex'), nextval('whatsapp_inbox_seq'), '', 'message', '7',
            'c' || n / 10, 'c' || n / 10, 0, now(), now(),
            (SELECT body FROM whatsapp_inbox_event LIMIT 1)
        FROM generate_series(1, {waiting}) AS n;
        INSERT INTO whatsapp_inbox_lane (lane, class, pending, first_at, last_at, wake_at)
        SELECT lane, 0, count(*), now(), now(), now() FROM whatsapp_inbox_event
        WHERE lane LIKE 'c%' GROUP BY lane;
        INSERT INTO whatsapp_inbox_alias (alias, conversation)
        SELECT 'n' || n, 'c' || n FROM generate_series(1, {waiting} / 10) AS n;
        ANALYZE"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill))
        .execute(&pool)
        .await
        .unwrap();
    // Under the name that is announced.
    post(&inbox, messages(&[from("US.2", "w2", 1)])).await;
    let before = server.log().len();
    post(&inbox, messages(&[changed("US.1", "US.2", "w3", 2)])).await;
    inbox.purge().await.unwrap();
    let worker = inbox.worker(|_: InboxEvent| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok::<_, String>(())
    });
    let enough = async {
        while inbox.counters().handled < 300 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    worker.concurrency(4).run(enough).await;
    let log = server.log();
    log[before..]
        .split("duration: ")
        .skip(1)
        .filter_map(plan)
        .collect()
}

/// A change of a name of which nothing waits takes no statement of its own: a delivery with many
/// would not be stored in time, also when it is redelivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_announcements_are_stored_by_few_statements() {
    let server = tokio::task::spawn_blocking(|| Server::with(&["fsync=off", "log_statement=all"]));
    let server = server.await.unwrap();
    let pool = pg_pool(&server, "postgres", 3).await;
    let inbox = Inbox::postgres(pool).await.unwrap();
    let names = 200;
    let all: Vec<_> = (0..names)
        .map(|n| {
            changed(
                &format!("US.{n}a"),
                &format!("US.{n}b"),
                &format!("w{n}"),
                n,
            )
        })
        .collect();
    for delivery in ["first", "redelivery"] {
        let before = server.log().len();
        let stored = post(&inbox, messages(&all)).await;
        assert_eq!(stored, http::StatusCode::OK, "{delivery}");
        let log = server.log();
        // The worker of notifications may be behind.
        let transactions = log[before..].matches("BEGIN").count();
        assert!(
            (2..10).contains(&transactions),
            "{delivery}: {transactions}"
        );
    }
    assert_eq!(inbox.status().await.unwrap().messages, names);
}

fn plan(text: &str) -> Option<(&'static str, f64, String)> {
    let (time, plan) = text.split_once(" ms  plan:")?;
    let (name, _) = HOT.iter().find(|(_, part)| plan.contains(part))?;
    let plan = plan.split("LOG:").next()?.to_owned();
    Some((name, time.trim().parse().ok()?, plan))
}
