//! An axum service that handles each event once, and loses none when it shuts down.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run --example shutdown
//! ```
//!
//! It prints each event once, even if Meta sends it several times. Each delivery takes `WORK`
//! milliseconds (2000), so that there is something in flight when you press Ctrl-C (or send
//! SIGTERM). The service then accepts no new connections, waits up to 15 seconds for open ones and
//! 10 more for handlers, and prints what is left. Events of an aborted handler are free for another
//! process. `ADDR` is the address to listen on (`127.0.0.1:3000`).

mod common;

use std::{error::Error, io, process::ExitCode, time::Duration};

use axum::{Extension, Router, extract::State, http::StatusCode, routing::post};
use tokio::time::sleep;
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
};

use self::common::{Printer, listen, optional, required, run_until_signal};

/// Time for running handlers. With the 15 seconds for connections it stays below the 30 that
/// Kubernetes allows.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

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
    let secret = required("WHATSAPP_APP_SECRET")?;
    let token = required("WHATSAPP_VERIFY_TOKEN")?;
    let work = match optional("WORK")? {
        None => 2000,
        Some(work) => work
            .parse()
            .map_err(|_| "WORK is not a number: give it in milliseconds")?,
    };

    // The webhook layer is the outer one: it verifies the signature before events are deduplicated.
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
    run_until_signal(async |signal| {
        axum::serve(listener, app)
            .with_graceful_shutdown(signal)
            .await
    })
    .await?;
    // Handlers may still run after their client disconnected or its connection was cut off.
    let drained = handle.drain(DRAIN_TIMEOUT).await;
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
