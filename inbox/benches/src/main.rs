//! The inbox beside general job queues, storing and running the same jobs on one PostgreSQL.
//!
//! `cargo run --release --manifest-path inbox/benches/Cargo.toml -- [EVENTS]` prints a line of
//! figures for each. All share the processor with the database. `fsync` is on.

mod apalis_queue;
mod bare;
mod cpu;
mod graphile;
mod inbox;
mod jobs;

use std::{env, error::Error, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use test_support::postgres::Server;

use self::cpu::Cpu;

type BoxError = Box<dyn Error + Send + Sync>;

/// Deliveries that are stored at the same time.
const SENDERS: usize = 16;

/// What one queue did.
#[derive(Debug, Default)]
struct Figures {
    /// Events a second, one in each delivery.
    stored_alone: f64,
    /// Events a second, in deliveries of 1 to 50.
    stored_mixed: f64,
    /// CPU of process and database for an event of a mixed delivery, microseconds.
    cpu_stored: f64,
    /// Events a second that a handler gets which does nothing.
    handled: f64,
    cpu_handled: f64,
    /// From the acknowledgement to the start of the handler.
    median: Duration,
    p99: Duration,
    /// Tables and indexes, bytes for a waiting event.
    bytes: f64,
    /// The same when it is done.
    bytes_done: f64,
}

fn main() -> Result<(), BoxError> {
    let events = env::args()
        .nth(1)
        .map_or(Ok(20_000), |events| events.parse())?;
    tokio::runtime::Runtime::new()?.block_on(run(events))
}

async fn run(events: usize) -> Result<(), BoxError> {
    println!("{events} events, {SENDERS} deliveries at the same time");
    let server = Server::with(&[]);
    print(
        "inbox, Postgres",
        &inbox::on_postgres(&server, events).await?,
    );
    bare::compare(&server).await?;
    let dir = tempfile::tempdir()?;
    print(
        "inbox, SQLite",
        &inbox::on_sqlite(&dir.path().join("inbox.db"), events).await?,
    );
    print(
        "graphile, ordered",
        &graphile::measure(&server, events, true).await?,
    );
    print(
        "graphile_worker",
        &graphile::measure(&server, events, false).await?,
    );
    print(
        "apalis-postgres",
        &apalis_queue::measure(&server, events).await?,
    );
    Ok(())
}

fn print(name: &str, figures: &Figures) {
    println!(
        "{name:17} stored alone {:6.0}/s, mixed {:6.0}/s ({:.0} us CPU) | handled {:6.0}/s ({:.0} us CPU) | \
         to the handler {:.2?}, p99 {:.2?} | waiting {:.0} bytes, done {:.0} bytes",
        figures.stored_alone,
        figures.stored_mixed,
        figures.cpu_stored,
        figures.handled,
        figures.cpu_handled,
        figures.median,
        figures.p99,
        figures.bytes,
        figures.bytes_done,
    );
}

/// A new database.
async fn database(server: &Server, name: &str) -> Result<PgPool, BoxError> {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(server.socket())
        .username("postgres");
    let first = PgPool::connect_with(options.clone().database("postgres")).await?;
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&first).await?;
    first.close().await;
    let pool = PgPoolOptions::new().max_connections(24);
    Ok(pool.connect_with(options.database(name)).await?)
}

/// Bytes of all tables and indexes.
async fn size(pool: &PgPool) -> Result<f64, BoxError> {
    let size: i64 = sqlx::query_scalar(
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_one(pool)
    .await?;
    Ok(size as f64)
}

/// Median and 99th percentile.
fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times
            .get(index.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    (at(0.5), at(0.99))
}
