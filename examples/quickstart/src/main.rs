//! The smallest complete WhatsApp webhook, on axum: it prints every event on one line.
//!
//! ```text
//! cargo run -p quickstart              # prints `curl` commands to try it with
//! cargo run -p quickstart -- --demo    # sends itself requests, and prints a table
//! ```
//!
//! It prints `listening on http://…`, then a line such as `message wamid.A text from 16505550001
//! "hi"` for each event. Set `WHATSAPP_APP_SECRET` and `WHATSAPP_VERIFY_TOKEN` to the values of the
//! App Dashboard; missing ones are generated. `ADDR` is the address to listen on
//! (`127.0.0.1:3000`).

#[path = "../../common/mod.rs"]
mod common;
mod credentials;
mod demo;

use std::{env, error::Error, io, process::ExitCode};

use axum::{
    Extension, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use tower_whatsapp::{ConfigError, Notification, WebhookLayer};

use self::{
    common::{Printer, listen, run_until_signal},
    credentials::Credentials,
};

/// Builds the service. The layer answers the handshake and rejects requests without a valid
/// signature. The handler gets the events of the remaining deliveries.
fn app(app_secret: &str, verify_token: &str, printer: Printer) -> Result<Router, ConfigError> {
    let whatsapp = WebhookLayer::builder()
        .path("/webhook")
        .app_secret(app_secret)
        .verify_token(verify_token)
        .build()?;
    Ok(Router::new()
        .route("/", get(async || "An ordinary route.\n"))
        .route("/webhook", post(on_event))
        .with_state(printer)
        .layer(whatsapp))
}

/// Returns 200 only if all events are handled: Meta retries any other status. Here, handling is
/// printing. A real service stores or queues the events before it responds, and does slow work
/// afterwards.
async fn on_event(
    State(printer): State<Printer>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    match printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `axum::serve` has no timeout for request headers. A reverse proxy usually has one. A server that
/// faces the internet needs its own, as in `examples/hyper.rs`.
async fn serve() -> Result<(), Box<dyn Error>> {
    // Prints why a request is refused, and what to do about it.
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let credentials = Credentials::from_env()?;
    let app = app(
        &credentials.app_secret.value,
        &credentials.verify_token.value,
        Printer::new(io::stdout()),
    )?;
    let listener = listen("127.0.0.1:3000").await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    credentials.explain(address);
    run_until_signal(async |signal| {
        axum::serve(listener, app)
            .with_graceful_shutdown(signal)
            .await
    })
    .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => serve().await.map(|()| ExitCode::SUCCESS),
        ["--demo"] => demo::run().await,
        _ => Err("usage: cargo run -p quickstart -- [--demo]".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("quickstart: {error}");
        ExitCode::FAILURE
    })
}
