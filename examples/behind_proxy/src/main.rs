//! A WhatsApp webhook on axum behind a proxy that terminates TLS: nginx, Caddy or HAProxy. Their
//! configurations are next to its Cargo.toml.
//!
//! ```text
//! PROXY=nginx WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… \
//!     cargo run -p example-behind-proxy
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `PROXY` | | `nginx`, `caddy` or `haproxy`: how the proxy reports the client certificate |
//! | `PROXY_ADDRESSES` | `127.0.0.1,::1` | addresses of the proxy, separated by commas: only its headers are trusted |
//! | `ALLOW_LIST` | none | file with Meta's addresses, reloaded every minute: deliveries must come from one of them |
//! | `ADDR` | `127.0.0.1:3000` | address to listen on: only the proxy must be able to reach it |
//!
//! It prints `listening on http://…`, then one line for each event. Rejected requests are logged to
//! standard error, with the rule that rejected them:
//!
//! ```text
//! rejected with 403: CertificateMissing: the client certificate is missing
//! ```

#[path = "../../common/mod.rs"]
mod common;

use std::{error::Error, io, net::SocketAddr, process::ExitCode, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{self, HeaderName, StatusCode},
    routing::post,
};
use tower_whatsapp::{
    Notification, Rejection, WebhookLayer,
    admission::{
        CertificateHeader, ClientCertificate, ForwardedHeader, IpAllowList, ListWatch, Reload,
        TrustedProxies,
    },
};

use self::common::{Printer, listen, optional, required, run_until_signal};

const VERIFY: HeaderName = HeaderName::from_static("x-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-subject");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-client-certificate");

const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

async fn on_event(State(printer): State<Printer>, notification: Notification) -> StatusCode {
    match printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        // Anything but a 2xx status makes Meta send the delivery again.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn app(allowed: Option<IpAllowList>) -> Result<Router, Box<dyn Error>> {
    let certificate = match optional("PROXY")?.as_deref() {
        // nginx forwards requests without a certificate, and its verdict on a certificate.
        Some("nginx") => CertificateHeader::nginx_subject(VERIFY, SUBJECT),
        // Caddy forwards requests without a certificate. An unverified one fails the handshake.
        Some("caddy") => CertificateHeader::certificate(CERTIFICATE),
        // HAProxy does the same, unless `crt-ignore-err` is set. Then the verdict matters.
        Some("haproxy") => CertificateHeader::haproxy(VERIFY, CERTIFICATE),
        _ => return Err("PROXY must be nginx, caddy or haproxy".into()),
    };
    let addresses = optional("PROXY_ADDRESSES")?.unwrap_or("127.0.0.1,::1".to_owned());
    let proxies = TrustedProxies::from_prefixes(
        addresses.split(',').map(without_brackets),
        ForwardedHeader::x_forwarded_for(),
    )?;
    let mut whatsapp = WebhookLayer::builder()
        .path("/webhook")
        .app_secret(required("WHATSAPP_APP_SECRET")?)
        .verify_token(required("WHATSAPP_VERIFY_TOKEN")?)
        .trusted_proxies(proxies)
        .client_certificate(ClientCertificate::meta().forwarded(certificate))
        .on_rejection(log_rejection);
    if let Some(allowed) = allowed {
        whatsapp = whatsapp.ip_allow_list(allowed);
    }
    Ok(Router::new()
        .route("/webhook", post(on_event))
        .with_state(Printer::new(io::stdout()))
        .layer(whatsapp.build()?))
}

/// Accepts an address or prefix in the form of a URL too: `[::1]`.
fn without_brackets(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text)
}

/// Logs one line with the rule that rejected the request. It contains nothing from the request, so
/// a caller cannot write into the log. Anybody can cause these lines: in a real service count them,
/// and limit how many are logged.
fn log_rejection(rejection: &Rejection) -> http::Response<Bytes> {
    let response = rejection.to_response();
    let status = response.status().as_u16();
    eprintln!(
        "rejected with {status}: {:?}: {rejection}",
        rejection.kind()
    );
    response
}

/// Loads the allow list, and starts the task that reloads its file.
fn allow_list() -> Result<Option<(IpAllowList, ListWatch)>, Box<dyn Error>> {
    let Some(path) = optional("ALLOW_LIST")? else {
        return Ok(None);
    };
    let list = IpAllowList::load(&path)?;
    let watch = list.watch(path, RELOAD_INTERVAL, |outcome| match outcome {
        Ok(Reload::Unchanged) => {}
        Ok(outcome) => eprintln!("allow list: {outcome:?}"),
        Err(error) => eprintln!("allow list not reloaded, the old one stays in use: {error}"),
    });
    Ok(Some((list, watch)))
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let allowed = allow_list()?;
    let app = app(allowed.as_ref().map(|(list, _)| list.clone()))?;
    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // The layer needs the peer address to check that the caller is the proxy.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
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
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("behind_proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
