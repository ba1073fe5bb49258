//! A WhatsApp webhook on the port of a gRPC server, under one layer.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p example-tonic
//! ```
//!
//! gRPC calls, streaming ones among them, are on other paths and pass through untouched. The gRPC service is that of the health protocol:
//! its `Watch` is a stream. `ADDR` is where to listen (`127.0.0.1:3000`). Every event is printed on one line.

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
// In a project of yours: `futures_core::Stream`.
use tonic::codegen::tokio_stream::Stream;
use tonic::{service::Routes, transport::Server};
use tower_whatsapp::{Notification, WebhookLayer};

use self::common::{Printer, listen, until_interrupted, variable};

async fn on_event(
    State(printer): State<Printer>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    match printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        // Not done, so not acknowledged: Meta sends it again.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Connections as they come. tonic's own `TcpIncoming` ends the server when one cannot be accepted.
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
                    // Out of file descriptors, say. That passes; a busy loop would not help it.
                    eprintln!("tonic: cannot accept: {error}");
                    self.pause = Some(Box::pin(sleep(Duration::from_secs(1))));
                }
            }
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = variable("WHATSAPP_APP_SECRET")?.ok_or("WHATSAPP_APP_SECRET is not set")?;
    let token = variable("WHATSAPP_VERIFY_TOKEN")?.ok_or("WHATSAPP_VERIFY_TOKEN is not set")?;
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
        // No `timeout`, `load_shed` or limit here: they are outside of the layer and answer 200 when
        // they give up, which Meta takes for received.
        // gRPC is HTTP/2 only. Meta's webhooks are not, nor are those that a proxy passes on.
        .accept_http1(true)
        .layer(whatsapp)
        .add_routes(Routes::from(routes));
    until_interrupted(async |signal| server.serve_with_incoming_shutdown(incoming, signal).await)
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
