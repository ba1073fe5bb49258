//! A WhatsApp webhook on axum that prints every event on one line.
//!
//! ```text
//! cargo run -p quickstart              # prints the commands to try it with
//! cargo run -p quickstart -- --demo    # tries itself
//! ```
//!
//! `WHATSAPP_APP_SECRET` and `WHATSAPP_VERIFY_TOKEN` are what the App Dashboard knows too; without them, random ones are made. `ADDR`
//! is where to listen (`127.0.0.1:3000`).

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
    common::{Printer, listen, until_interrupted},
    credentials::Credentials,
};

/// The service. The layer answers the handshake and refuses what Meta did not sign; the handler gets the events of the rest.
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

/// Answers 200 only for what is safely done: Meta sends everything else again. Here it is done when it is printed; a real service
/// stores or queues the events, and does what takes long afterwards.
async fn on_event(
    State(printer): State<Printer>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    match printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `axum::serve` waits for the headers of a request for as long as they take. Behind a proxy that is the proxy's business; facing
/// the internet, set a limit as `examples/hyper.rs` does.
async fn serve() -> Result<(), Box<dyn Error>> {
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
    until_interrupted(async |signal| {
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
        _ => Err("usage: quickstart [--demo]".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("quickstart: {error}");
        ExitCode::FAILURE
    })
}
