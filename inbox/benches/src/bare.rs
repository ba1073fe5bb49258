//! CPU of this process for a delivery of ten events: stored by the inbox, and by a plain `INSERT`.

use std::time::Duration;

use sqlx::PgPool;
use test_support::postgres::Server;
use tower_whatsapp_inbox::Inbox;

use crate::{BoxError, Cpu, database, inbox, jobs::Message};

/// Events of a delivery.
const EACH: usize = 10;
/// Deliveries between two readings: seconds, because a tick of the clock is 10 ms.
const DELIVERIES: usize = 1_000;
const ROUNDS: usize = 5;

const TABLE: &str = "CREATE TABLE event (
    event_key bytea PRIMARY KEY, kind text NOT NULL, conversation text NOT NULL,
    event_time bigint NOT NULL, body bytea NOT NULL)";
const INSERT: &str = "INSERT INTO event
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::bytea[])
    ON CONFLICT DO NOTHING";
const INSERT_ONE: &str = "INSERT INTO event VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// Prints the medians of paired rounds.
pub(crate) async fn compare(server: &Server) -> Result<(), BoxError> {
    let pool = database(server, "bare").await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let inbox = Inbox::postgres(pool.clone()).await?;
    let (mut ours, mut bare, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let messages = Message::many(&format!("b{round}-"), EACH * DELIVERIES);
        let deliveries: Vec<_> = messages.chunks(EACH).collect();
        bare.push(insert(&pool, &deliveries).await?);
        many.push(insert_each(&pool, &deliveries).await?);
        ours.push(receive(&inbox, &deliveries).await?);
    }
    let [ours, bare, many] = [ours, bare, many].map(median);
    println!(
        "a delivery of {EACH} events, CPU of this process: {ours:.0?} by the inbox (signature, events and keys too), \
         {bare:.0?} by one INSERT ({:.2} times), {many:.0?} by {EACH} in a transaction ({:.2} times)",
        ours.as_secs_f64() / bare.as_secs_f64(),
        ours.as_secs_f64() / many.as_secs_f64(),
    );
    Ok(())
}

async fn receive(inbox: &Inbox, deliveries: &[&[Message]]) -> Result<Duration, BoxError> {
    let bodies: Vec<_> = deliveries
        .iter()
        .map(|messages| inbox::body(messages))
        .collect();
    let service = inbox::service(inbox)?;
    let cpu = Cpu::of(None);
    for body in bodies {
        inbox::post_to(service.clone(), body).await?;
    }
    Ok(each(&cpu))
}

async fn insert(pool: &PgPool, deliveries: &[&[Message]]) -> Result<Duration, BoxError> {
    let rows: Vec<_> = deliveries
        .iter()
        .map(|messages| rows(messages, "one"))
        .collect();
    let cpu = Cpu::of(None);
    for rows in &rows {
        sqlx::query(INSERT)
            .bind(&rows.keys)
            .bind(&rows.kinds)
            .bind(&rows.conversations)
            .bind(&rows.times)
            .bind(&rows.bodies)
            .execute(pool)
            .await?;
    }
    Ok(each(&cpu))
}

async fn insert_each(pool: &PgPool, deliveries: &[&[Message]]) -> Result<Duration, BoxError> {
    let rows: Vec<_> = deliveries
        .iter()
        .map(|messages| rows(messages, "each"))
        .collect();
    let cpu = Cpu::of(None);
    for rows in &rows {
        let mut transaction = pool.begin().await?;
        for index in 0..rows.keys.len() {
            sqlx::query(INSERT_ONE)
                .bind(&rows.keys[index])
                .bind(rows.kinds[index])
                .bind(&rows.conversations[index])
                .bind(rows.times[index])
                .bind(&rows.bodies[index])
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(each(&cpu))
}

#[derive(Default)]
struct Rows {
    keys: Vec<Vec<u8>>,
    kinds: Vec<&'static str>,
    conversations: Vec<String>,
    times: Vec<i64>,
    bodies: Vec<Vec<u8>>,
}

fn rows(messages: &[Message], prefix: &str) -> Rows {
    let mut rows = Rows::default();
    for message in messages {
        rows.keys
            .push(format!("{prefix}{}", message.id).into_bytes());
        rows.kinds.push("message");
        rows.conversations.push(message.conversation.clone());
        rows.times.push(1_790_000_000_000);
        rows.bodies.push(message.job().into_bytes());
    }
    rows
}

fn each(since: &Cpu) -> Duration {
    Cpu::of(None).since(since) / DELIVERIES as u32
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
