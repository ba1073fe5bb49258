//! A WhatsApp webhook on plain hyper, without a framework: HTTP/1 and HTTP/2 on one port, beside an
//! ordinary route.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run --example hyper
//! ```
//!
//! It prints `listening on http://…`, then one line for each event. Ctrl-C ends it after the
//! requests in flight. `ADDR` is the address to listen on (`127.0.0.1:3000`).

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

use self::common::{Printer, listen, required, run_until_signal};

/// Timeout for the headers of a request. The layer's own deadlines start after them.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a body that hyper buffers before the layer asks for them. The defaults are 408 KiB
/// (HTTP/1) and 1 MiB (HTTP/2), and they are not part of the layer's memory budget. Smaller buffers
/// slow down a 3 MB delivery over a connection with high latency.
const READ_AHEAD: u32 = 256 * 1024;

/// Handles verified deliveries and requests to other paths. The layer adds the `Notification`
/// extension to verified deliveries only, so match on it and not on the path.
async fn host(
    request: Request<RequestBody<Incoming>>,
    printer: Printer,
) -> Result<Response<String>, Infallible> {
    if let Some(notification) = request.extensions().get::<Notification>() {
        return Ok(match printer.print(notification) {
            Ok(()) => response(StatusCode::OK, ""),
            // Anything but a 2xx status makes Meta send the delivery again.
            Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, ""),
        });
    }
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => response(StatusCode::OK, "An ordinary route.\n"),
        _ => response(StatusCode::NOT_FOUND, ""),
    })
}

fn response(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = required("WHATSAPP_APP_SECRET")?;
    let token = required("WHATSAPP_VERIFY_TOKEN")?;
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
    // HTTP/2 has no header timeout. The keep-alive ping closes connections whose peer is gone.
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
        .initial_stream_window_size(READ_AHEAD)
        .initial_connection_window_size(READ_AHEAD);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);

    run_until_signal(async |mut signal| {
        let (stop, stopping) = watch::channel(());
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // For example, out of file descriptors. Wait instead of spinning.
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
                // hyper-util reads the first bytes to tell HTTP/1 from HTTP/2, without a timeout.
                // This closes connections that send nothing.
                let mut first = [0];
                tokio::select! {
                    begun = timeout(HEADER_TIMEOUT, stream.peek(&mut first)) => if begun.is_err() { return },
                    _ = stopping.changed() => return,
                }
                let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
                // An error concerns this connection only: the client disconnected, or
                // does not speak HTTP.
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            });
        }
        drop((listener, stopping));
        stop.send_replace(());
        // Every connection holds a receiver. All are closed when the last one is dropped.
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
