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
async fn hot_statements_read_no_more_with_many_events() {
    let few = plans(1_000).await;
    let many = plans(waiting()).await;
    for (name, _) in HOT {
        let (few, many) = (of(&few, name), of(&many, name));
        println!("{name}: {few:?} with 1000, {many:?} with {}", waiting());
        // What is read is bounded by the slots of the worker, and by rows that were just changed.
        assert!(many.rows <= few.rows + 20, "{name}: {many:?}, not {few:?}");
        // An index has up to two levels more for a thousand times as many rows, in each of the
        // accesses of a statement.
        let pages = few.pages * 2 + 20;
        assert!(many.pages <= pages, "{name}: {many:?}, not {few:?}");
    }
}

/// What a statement reads of the tables, by its plan. It does not depend on the machine.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Rows that scans return or skip by a filter.
    rows: u64,
    /// Pages that the whole statement touches, in memory or on the disk.
    pages: u64,
}

impl Cost {
    fn of(plan: &str) -> Self {
        let mut cost = Self { rows: 0, pages: 0 };
        let mut is_scan = false;
        let mut has_pages = false;
        for line in plan.lines() {
            if line.contains("loops=") {
                is_scan = line.contains("Scan") && !line.contains("CTE Scan");
                let actual = line.split_once("(actual").map_or("", |(_, actual)| actual);
                if is_scan {
                    cost.rows += number(actual, "rows=") * number(actual, "loops=");
                }
            } else if line.contains("Rows Removed by") && is_scan {
                cost.rows += number(line, ": ");
            } else if line.contains("Buffers:") && !has_pages {
                // The first line has the sum of all.
                has_pages = true;
                cost.pages = number(line, "hit=") + number(line, "read=");
            }
        }
        assert!(has_pages, "{plan}");
        cost
    }
}

fn number(text: &str, name: &str) -> u64 {
    let Some((_, after)) = text.split_once(name) else {
        return 0;
    };
    let end = after.find(|c: char| !c.is_ascii_digit());
    after[..end.unwrap_or(after.len())].parse().unwrap_or(0)
}

type Plans = Vec<(&'static str, String)>;

/// The medians of a statement.
fn of(plans: &Plans, name: &str) -> Cost {
    let mine = plans.iter().filter(|plan| plan.0 == name);
    let costs: Vec<_> = mine.map(|(_, plan)| Cost::of(plan)).collect();
    assert!(!costs.is_empty(), "{name} has no plan");
    let median = |of: fn(&Cost) -> u64| {
        let mut all: Vec<_> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Cost {
        rows: median(|cost| cost.rows),
        pages: median(|cost| cost.pages),
    }
}

async fn plans(waiting: u64) -> Plans {
    let server = tokio::task::spawn_blocking(|| {
        Server::with(&[
            "fsync=off",
            "session_preload_libraries=auto_explain",
            "auto_explain.log_min_duration=0",
            "auto_explain.log_analyze=on",
            "auto_explain.log_timing=off",
            "auto_explain.log_buffers=on",
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

fn plan(text: &str) -> Option<(&'static str, String)> {
    let (_, plan) = text.split_once(" ms  plan:")?;
    let (name, _) = HOT.iter().find(|(_, part)| plan.contains(part))?;
    Some((name, plan.split("LOG:").next()?.to_owned()))
}
