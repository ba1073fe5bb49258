//! An axum service that handles each event once, and ends without losing one.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run --example shutdown
//! ```
//!
//! Every event is printed on one line, once, however often it comes. To have something to end, each delivery is worked on for `WORK`
//! milliseconds (2000). Ctrl-C or SIGTERM ends the service: no new connections, and what has begun is finished. Connections have 15
//! seconds for that and handlers 10 more; events whose handler takes longer are free for another process. `ADDR` is where to listen (`127.0.0.1:3000`).

mod common;

use std::{error::Error, io, process::ExitCode, time::Duration};

use axum::{Extension, Router, extract::State, http::StatusCode, routing::post};
use tokio::time::sleep;
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
};

use self::common::{Printer, listen, until_interrupted, variable};

/// Beside the 15 seconds for the connections: together less than the 30 that Kubernetes gives.
const DRAIN: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct App {
    printer: Printer,
    work: Duration,
}

async fn on_event(
    State(app): State<App>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    sleep(app.work).await;
    match app.printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = variable("WHATSAPP_APP_SECRET")?.ok_or("WHATSAPP_APP_SECRET is not set")?;
    let token = variable("WHATSAPP_VERIFY_TOKEN")?.ok_or("WHATSAPP_VERIFY_TOKEN is not set")?;
    let work = variable("WORK")?.map_or(Ok(2000), |work| work.parse())?;

    // Duplicates are told apart inside, signatures outside.
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let app = App {
        printer: Printer::new(io::stdout()),
        work: Duration::from_millis(work),
    };
    let app = Router::new()
        .route("/webhook", post(on_event))
        .with_state(app)
        .layer(dedup)
        .layer(WebhookLayer::new("/webhook", secret, token)?);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    until_interrupted(async |signal| {
        axum::serve(listener, app)
            .with_graceful_shutdown(signal)
            .await
    })
    .await?;
    // Handlers may be left whose senders have gone, or whose connections took too long.
    let drained = handle.drain(DRAIN).await;
    println!("{drained:?} {:?}", handle.counters());
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shutdown: {error}");
            ExitCode::FAILURE
        }
    }
}
