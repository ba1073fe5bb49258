//! The bot: receives, gathers what a person writes in a burst, and answers all of it at once.

use std::time::Duration;

use axum::Router;
use sqlx::SqlitePool;
use tokio::{net::TcpListener, time::sleep};
use tower_whatsapp::WebhookLayer;
use tower_whatsapp_inbox::{Inbox, InboxBatch};

use crate::{BoxError, settings};

/// What an LLM takes.
const THINKING: Duration = Duration::from_secs(2);

pub(crate) async fn run(file: &str, address: &str) -> Result<(), BoxError> {
    // The bot's own table is in the same file, so that answers and marks commit together.
    let pool = SqlitePool::connect(&format!("sqlite://{file}?mode=rwc")).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS answers (message TEXT, call TEXT, attempt INTEGER)")
        .execute(&pool)
        .await?;
    pool.close().await;

    let inbox = Inbox::builder()
        .only(["message"])
        .gather(Duration::from_secs(1), Duration::from_secs(5))
        .sqlite(file)
        .await?;
    let whatsapp = WebhookLayer::new(
        "/webhook",
        settings::required("WHATSAPP_APP_SECRET")?,
        settings::required("WHATSAPP_VERIFY_TOKEN")?,
    )?;
    let app = Router::new()
        .route_service("/webhook", inbox.receiver())
        .layer(whatsapp);
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    inbox
        .batch_worker(on_batch)
        // Shorter than the default, so that the demonstration need not wait.
        .lease(Duration::from_secs(3))
        .backoff(Duration::from_millis(500), Duration::from_secs(60))
        .run(settings::stop_signal())
        .await;
    println!("the inbox at the end: {:?}", inbox.status().await?);
    Ok(())
}

async fn on_batch(batch: InboxBatch) -> Result<(), BoxError> {
    // A name for this call. Ids of people do not belong on a screen.
    let (call, attempt) = (batch.key().to_string(), batch.attempt());
    let call = &call[..8];
    println!(
        "  call {call}: {} messages, attempt {attempt}",
        batch.events().len()
    );
    sleep(THINKING).await;
    let texts = batch
        .events()
        .iter()
        .flat_map(|event| event.notification().messages());
    if attempt == 1
        && texts
            .filter_map(|message| message.text())
            .any(|text| text == "flaky")
    {
        println!("  call {call}: failed, is retried");
        return Err("the LLM is overloaded".into());
    }
    // Here an answer would be sent, with `batch.key()` as its idempotency key.
    let mut transaction = batch.begin_sqlite().await?;
    for event in &batch {
        sqlx::query("INSERT INTO answers (message, call, attempt) VALUES (?1, ?2, ?3)")
            .bind(event.event().id())
            .bind(call)
            .bind(attempt)
            .execute(&mut **transaction)
            .await?;
    }
    transaction.done().await?;
    println!("  call {call}: done");
    Ok(())
}
