//! A WhatsApp webhook on axum that terminates TLS itself, for a server that faces the internet. It
//! can also require Meta's client certificate.
//!
//! ```text
//! TLS_CERT=fullchain.pem TLS_KEY=privkey.pem WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… \
//!     cargo run -p example-https
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `TLS_CERT`, `TLS_KEY` | | PEM files: certificate with intermediates, and its key |
//! | `TLS_CLIENT_CA` | none | PEM file with Meta's CA: deliveries then need Meta's client certificate |
//! | `ADDR` | `127.0.0.1:3443` | address to listen on |
//! | `CONNECTIONS` | 1024 | maximum number of open connections |
//!
//! It prints `listening on https://…`, then one line for each event; `examples/shutdown.rs` shows
//! how to handle each event once. Changed certificate files are loaded within a minute, or at once
//! on SIGHUP, so tools such as certbot need not restart it. Ctrl-C or SIGTERM ends it after the
//! requests in flight.

#[path = "../../common/mod.rs"]
mod common;
mod tls;

use std::{
    error::Error, io, net::SocketAddr, pin::pin, process::ExitCode, sync::Arc, time::Duration,
};

use axum::{
    Router,
    extract::{Extension, State},
    http::StatusCode,
    routing::{get, post},
};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tower_whatsapp::{
    Notification, WebhookLayer,
    admission::{ClientCertificate, PeerAddr, PeerCertificate},
};

use self::{
    common::{Printer, listen, optional, required, run_until_signal},
    tls::TlsFiles,
};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for the headers of a request. The layer's own deadlines start after them.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of request headers per connection. hyper's default is 400 KB; Meta's
/// headers are far smaller.
const HEADER_BUFFER: usize = 32 * 1024;

/// Bytes of bodies that hyper buffers over HTTP/2 before the layer asks for them. The default is 1
/// MiB. They are not part of the layer's memory budget.
const HTTP2_WINDOW: u32 = 256 * 1024;

/// A connection without a request for this long is closed. hyper does this for HTTP/1 only. Over
/// HTTP/2, a client that answers pings could hold a connection slot without a limit.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for the last response of a connection that is closing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

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

fn app(require_certificate: bool) -> Result<Router, Box<dyn Error>> {
    let secret = required("WHATSAPP_APP_SECRET")?;
    let token = required("WHATSAPP_VERIFY_TOKEN")?;
    let mut whatsapp = WebhookLayer::builder()
        .path("/webhook")
        .app_secret(secret)
        .verify_token(token);
    if require_certificate {
        // TLS verifies the certificate chain; this checks the subject name. The signature check
        // still runs: Meta uses the same client certificate for every app.
        whatsapp = whatsapp.client_certificate(ClientCertificate::meta());
    }
    Ok(Router::new()
        .route("/", get(async || "An ordinary route.\n"))
        .route("/webhook", post(on_event))
        .with_state(Printer::new(io::stdout()))
        .layer(whatsapp.build()?))
}

#[derive(Clone)]
struct Server {
    app: Router,
    http: auto::Builder<TokioExecutor>,
}

impl Server {
    fn new(app: Router) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        // Without a timer hyper has no timeouts.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BUFFER);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HEADER_TIMEOUT)
            .max_concurrent_streams(64)
            .initial_stream_window_size(HTTP2_WINDOW)
            .initial_connection_window_size(HTTP2_WINDOW);
        Self { app, http }
    }

    async fn connection(
        self,
        stream: TcpStream,
        address: SocketAddr,
        tls: TlsAcceptor,
        mut stopping: watch::Receiver<()>,
    ) {
        let stream = match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            // Shows why Meta's certificate is not accepted. Any client can cause these lines: limit
            // the size of the log.
            Ok(Err(error)) => {
                return eprintln!("https: TLS handshake with {address} failed: {error}");
            }
            Err(_) => return,
        };
        let (_, session) = stream.get_ref();
        let certificate = session
            .peer_certificates()
            .map(PeerCertificate::from_verified_chain);
        let Ok(certificate) = certificate.transpose() else {
            return;
        };
        // Use the protocol that ALPN negotiated. `auto` would wait for the first
        // bytes, without a timeout.
        let http = if session.alpn_protocol() == Some(b"h2") {
            self.http.http2_only()
        } else {
            self.http.http1_only()
        };

        let (running, _) = watch::channel(0);
        let service = service_fn(|mut request: Request<Incoming>| {
            let guard = RunningGuard::start(&running);
            let extensions = request.extensions_mut();
            extensions.insert(PeerAddr(address));
            if let Some(certificate) = &certificate {
                extensions.insert(certificate.clone());
            }
            let response = self.app.clone().oneshot(request);
            async move {
                let _guard = guard;
                response.await
            }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // An error concerns this connection only: the client disconnected, or
            // does not speak HTTP.
            _ = connection.as_mut() => return,
            () = idle(&running, IDLE_TIMEOUT) => {}
            _ = stopping.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            // For example, the client does not read its response.
            () = idle(&running, CLOSE_TIMEOUT) => {}
        }
    }
}

/// Guard that counts a request as running until it is dropped.
struct RunningGuard(watch::Sender<usize>);

impl RunningGuard {
    fn start(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running.clone())
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Completes when no request has been handled for this long.
async fn idle(running: &watch::Sender<usize>, limit: Duration) {
    let mut running = running.subscribe();
    loop {
        // Cannot fail: the connection holds the sender.

        let _ = running.wait_for(|running| *running == 0).await;
        if timeout(limit, running.changed()).await.is_err() {
            return;
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let files = TlsFiles::from_env()?;
    let server = Server::new(app(files.has_client_ca())?);
    let tls = files.load_and_watch().await?;
    let connections = match optional("CONNECTIONS")? {
        None => 1024,
        Some(number) => number.parse().map_err(|_| "CONNECTIONS is not a number")?,
    };
    let listener = listen("127.0.0.1:3443").await?;
    println!("listening on https://{}", listener.local_addr()?);

    run_until_signal(async |mut signal| {
        let slots = Arc::new(Semaphore::new(connections));
        let (stop, stopping) = watch::channel(());
        loop {
            let accepted = async {
                // Acquire a slot first. Without a free one, connections wait in the queue of the
                // operating system and take no memory here.
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, stream, address) = tokio::select! {
                (slot, accepted) = accepted => match accepted {
                    Ok((stream, address)) => (slot, stream, address),
                    Err(error) => {
                        // For example, out of file descriptors. Wait instead of spinning.
                        eprintln!("https: cannot accept: {error}");
                        sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                },
                () = &mut signal => break,
            };
            // The current certificate: a new one applies to new connections.
            let tls = TlsAcceptor::from(Arc::clone(&tls.borrow()));
            let stopping = stopping.clone();
            let connection = server.clone().connection(stream, address, tls, stopping);
            tokio::spawn(async move {
                connection.await;
                drop(slot);
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
            eprintln!("https: {error}");
            ExitCode::FAILURE
        }
    }
}
