//! A WhatsApp webhook and a gRPC server (tonic) on one port, under one layer.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p example-tonic
//! ```
//!
//! It prints `listening on http://…`, then one line for each event. gRPC calls, including streams,
//! have other paths and pass through untouched. The gRPC service is the health protocol, whose
//! `Watch` is a stream. `ADDR` is the address to listen on (`127.0.0.1:3000`).

#[path = "../../common/mod.rs"]
mod common;

use std::{
    error::Error,
    io,
    pin::Pin,
    process::ExitCode,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Extension, extract::State, http::StatusCode, routing::post};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};
// Use `futures_core::Stream` in your own project.
use tonic::codegen::tokio_stream::Stream;
use tonic::{service::Routes, transport::Server};
use tower_whatsapp::{Notification, WebhookLayer};

use self::common::{Printer, listen, required, run_until_signal};

async fn on_event(
    State(printer): State<Printer>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    match printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        // Anything but a 2xx status makes Meta send the delivery again.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Accepted connections. tonic's own `TcpIncoming` stops the server when an accept fails.
struct Incoming {
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Stream for Incoming {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => return Poll::Ready(Some(Ok(stream))),
                Err(error) => {
                    // For example, out of file descriptors. Wait instead of spinning.
                    eprintln!("tonic: cannot accept: {error}");
                    self.pause = Some(Box::pin(sleep(Duration::from_secs(1))));
                }
            }
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = required("WHATSAPP_APP_SECRET")?;
    let token = required("WHATSAPP_VERIFY_TOKEN")?;
    let whatsapp = WebhookLayer::new("/webhook", secret, token)?;

    let (_, health) = tonic_health::server::health_reporter();
    let webhook = post(on_event).with_state(Printer::new(io::stdout()));
    let routes = Routes::new(health)
        .into_axum_router()
        .route("/webhook", webhook);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let incoming = Incoming {
        listener,
        pause: None,
    };
    let server = Server::builder()
        // Do not add tonic's `timeout`, `load_shed` or limits here. They wrap the layer and fail
        // with HTTP status 200 (gRPC puts its status in a trailer), which Meta takes as received.
        // gRPC needs only HTTP/2, but Meta and most proxies send webhooks over HTTP/1.
        .accept_http1(true)
        .layer(whatsapp)
        .add_routes(Routes::from(routes));
    run_until_signal(async |signal| server.serve_with_incoming_shutdown(incoming, signal).await)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tonic: {error}");
            ExitCode::FAILURE
        }
    }
}
