//! A WhatsApp webhook on plain hyper, without a framework: HTTP/1 and HTTP/2 on one port, beside an ordinary route.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run --example hyper
//! ```
//!
//! `ADDR` is where to listen (`127.0.0.1:3000`). Every event is printed on one line.

mod common;

use std::{convert::Infallible, error::Error, io, pin::pin, process::ExitCode, time::Duration};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{sync::watch, time::timeout};
use tower::{Layer, service_fn};
use tower_whatsapp::{Notification, WebhookLayer, webhook::RequestBody};

use self::common::{Printer, listen, until_interrupted, variable};

/// A sender that does not finish the headers of a request in this time is dropped. The layer's own deadlines begin after them.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// So many bytes of a body hyper takes in before the layer asks for them: 256 KiB in place of 408 over HTTP/1 and of 1 MiB over HTTP/2. They are not
/// in the layer's memory budget. With less, 3 MB from far away take longer.
const READ_AHEAD: u32 = 256 * 1024;

/// Everything that the layer lets through: deliveries that it has verified, and other paths. Which of the two it is, the extension
/// tells and not the path.
async fn host(
    request: Request<RequestBody<Incoming>>,
    printer: Printer,
) -> Result<Response<String>, Infallible> {
    if let Some(notification) = request.extensions().get::<Notification>() {
        return Ok(match printer.print(notification) {
            Ok(()) => answer(StatusCode::OK, ""),
            // Not done, so not acknowledged: Meta sends it again.
            Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, ""),
        });
    }
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => answer(StatusCode::OK, "An ordinary route.\n"),
        _ => answer(StatusCode::NOT_FOUND, ""),
    })
}

fn answer(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = variable("WHATSAPP_APP_SECRET")?.ok_or("WHATSAPP_APP_SECRET is not set")?;
    let token = variable("WHATSAPP_VERIFY_TOKEN")?.ok_or("WHATSAPP_VERIFY_TOKEN is not set")?;
    let whatsapp = WebhookLayer::new("/webhook", secret, token)?;

    let printer = Printer::new(io::stdout());
    let service = whatsapp.layer(service_fn(move |request| host(request, printer.clone())));
    let service = TowerToHyperService::new(service);

    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(READ_AHEAD as usize);
    // HTTP/2 has no such limit; what it has is a ping that somebody who is still there answers.
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
        .initial_stream_window_size(READ_AHEAD)
        .initial_connection_window_size(READ_AHEAD);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);

    until_interrupted(async |mut signal| {
        let (stop, stopping) = watch::channel(());
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors, say. That passes; a busy loop would not help it.
                        eprintln!("hyper: cannot accept: {error}");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                },
                () = &mut signal => break,
            };
            let (server, service) = (server.clone(), service.clone());
            let mut stopping = stopping.clone();
            tokio::spawn(async move {
                // hyper-util tells HTTP/1 from HTTP/2 by the first bytes, and waits for those as long
                // as they take. This drops connections that send none at all.
                let mut first = [0];
                tokio::select! {
                    begun = timeout(HEADER_TIMEOUT, stream.peek(&mut first)) => if begun.is_err() { return },
                    _ = stopping.changed() => return,
                }
                let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
                // An error is that of one connection: the sender has gone, or does not speak HTTP.
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            });
        }
        drop((listener, stopping));
        stop.send_replace(());
        // Every connection holds a receiver: when the last one is dropped, all requests are answered.
        stop.closed().await;
        Ok(())
    })
    .await
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper: {error}");
            ExitCode::FAILURE
        }
    }
}
