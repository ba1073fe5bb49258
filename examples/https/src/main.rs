//! A WhatsApp webhook on axum that ends TLS itself and faces the internet, with Meta's client certificate if wanted.
//!
//! ```text
//! TLS_CERT=fullchain.pem TLS_KEY=privkey.pem WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… \
//!     cargo run -p example-https
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `TLS_CERT`, `TLS_KEY` | | PEM files: the certificate with its intermediates, and its key |
//! | `TLS_CLIENT_CA` | none asked for | PEM file with Meta's authority: then a delivery needs Meta's client certificate too |
//! | `ADDR` | `127.0.0.1:3443` | where to listen |
//! | `CONNECTIONS` | 1024 | so many at the same time |
//!
//! The files are read again when they have changed: within a minute, or at once on SIGHUP. Who renews them (certbot, Kubernetes …) need not know
//! this process. Ctrl-C or SIGTERM ends it: no new connections, and what has begun is finished. Every event is printed on one line;
//! `examples/shutdown.rs` shows how to handle each only once.

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
    common::{Printer, listen, until_interrupted, variable},
    tls::Files,
};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// For the headers of a request. The layer's own deadlines begin after them.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection may buffer of headers: hyper's own bound is 400 KB. Meta's are far below.
const HEADER_BUFFER: usize = 32 * 1024;

/// So many bytes of bodies hyper takes in over HTTP/2 before the layer asks for them, in place of 1 MiB. They are not in the layer's memory budget.
const WINDOW: u32 = 256 * 1024;

/// A connection without a request for this long is closed. hyper does so with HTTP/1 only: over
/// HTTP/2, a stranger who answers pings would hold a connection, and its slot, without a limit.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// For the last bytes of a connection that is being closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

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

fn app(ask_for_certificate: bool) -> Result<Router, Box<dyn Error>> {
    let secret = variable("WHATSAPP_APP_SECRET")?.ok_or("WHATSAPP_APP_SECRET is not set")?;
    let token = variable("WHATSAPP_VERIFY_TOKEN")?.ok_or("WHATSAPP_VERIFY_TOKEN is not set")?;
    let mut whatsapp = WebhookLayer::builder()
        .path("/webhook")
        .app_secret(secret)
        .verify_token(token);
    if ask_for_certificate {
        // TLS has seen to the chain, but not to the name. Beside the signature, not instead of it: every app has the same sender.
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
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
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
            // Says why if Meta's certificate is no longer accepted. Strangers make lines too: bound the log.
            Ok(Err(error)) => return eprintln!("https: no TLS with {address}: {error}"),
            Err(_) => return,
        };
        let (_, session) = stream.get_ref();
        let certificate = session
            .peer_certificates()
            .map(PeerCertificate::from_verified_chain);
        let Ok(certificate) = certificate.transpose() else {
            return;
        };
        // What ALPN has agreed on. `auto` would wait for the first bytes without a timeout to find out.
        let http = if session.alpn_protocol() == Some(b"h2") {
            self.http.http2_only()
        } else {
            self.http.http1_only()
        };

        let (running, _) = watch::channel(0);
        let service = service_fn(|mut request: Request<Incoming>| {
            let guard = Running::start(&running);
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
            // An error is that of one connection: the sender has gone, or does not speak HTTP.
            _ = connection.as_mut() => return,
            () = idle(&running, IDLE_TIMEOUT) => {}
            _ = stopping.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            // The sender does not read its response, say.
            () = idle(&running, CLOSE_TIMEOUT) => {}
        }
    }
}

/// Counts a request for as long as it is handled.
struct Running(watch::Sender<usize>);

impl Running {
    fn start(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Completes when no request has been handled for this long.
async fn idle(running: &watch::Sender<usize>, limit: Duration) {
    let mut running = running.subscribe();
    loop {
        // There is a sender as long as there is the connection.
        let _ = running.wait_for(|running| *running == 0).await;
        if timeout(limit, running.changed()).await.is_err() {
            return;
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let files = Files::from_env()?;
    let server = Server::new(app(files.has_client_ca())?);
    let tls = files.follow().await?;
    let connections = variable("CONNECTIONS")?.map_or(Ok(1024), |number| number.parse())?;
    let listener = listen("127.0.0.1:3443").await?;
    println!("listening on https://{}", listener.local_addr()?);

    until_interrupted(async |mut signal| {
        let slots = Arc::new(Semaphore::new(connections));
        let (stop, stopping) = watch::channel(());
        loop {
            let accepted = async {
                // First a slot: a connection that finds none waits in the queue of the operating
                // system, and takes no memory here.
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, stream, address) = tokio::select! {
                (slot, accepted) = accepted => match accepted {
                    Ok((stream, address)) => (slot, stream, address),
                    Err(error) => {
                        // Out of file descriptors, say. That passes; a busy loop would not help it.
                        eprintln!("https: cannot accept: {error}");
                        sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                },
                () = &mut signal => break,
            };
            // The certificate of this moment: a new one is for new connections.
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
            eprintln!("https: {error}");
            ExitCode::FAILURE
        }
    }
}
