//! A WhatsApp webhook on axum behind a proxy that terminates TLS: nginx, Caddy or HAProxy, with the
//! configurations beside its manifest.
//!
//! ```text
//! PROXY=nginx WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… \
//!     cargo run -p example-behind-proxy
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `PROXY` | | `nginx`, `caddy` or `haproxy`: how the proxy reports the client certificate |
//! | `PROXY_ADDRESSES` | `127.0.0.1,::1` | where it calls from, separated by commas: only there its headers are believed |
//! | `ALLOW_LIST` | none | a file with Meta's addresses, which is looked at every minute; then a delivery must come from one of them too |
//! | `ADDR` | `127.0.0.1:3000` | where to listen: nobody but the proxy must reach it |
//!
//! Every event is printed on one line. Every refusal is logged on one line of standard error, with
//! the rule that refused:
//!
//! ```text
//! refused with 403: CertificateMissing: the client certificate is missing
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

use self::common::{Printer, listen, until_interrupted, variable};

const VERIFY: HeaderName = HeaderName::from_static("x-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-subject");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-client-certificate");

const LOOK: Duration = Duration::from_secs(60);

async fn on_event(State(printer): State<Printer>, notification: Notification) -> StatusCode {
    match printer.print(&notification) {
        Ok(()) => StatusCode::OK,
        // Not done, so not acknowledged: Meta sends it again.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn app(allowed: Option<IpAllowList>) -> Result<Router, Box<dyn Error>> {
    let certificate = match variable("PROXY")?.as_deref() {
        // nginx goes on without a certificate, and says what it thinks of the one that it got.
        Some("nginx") => CertificateHeader::nginx_subject(VERIFY, SUBJECT),
        // Caddy goes on without a certificate, and ends the handshake with one that it could not
        // verify.
        Some("caddy") => CertificateHeader::certificate(CERTIFICATE),
        // HAProxy does the same. The verdict is for those who add `crt-ignore-err`.
        Some("haproxy") => CertificateHeader::haproxy(VERIFY, CERTIFICATE),
        _ => return Err("PROXY must be nginx, caddy or haproxy".into()),
    };
    let addresses = variable("PROXY_ADDRESSES")?.unwrap_or("127.0.0.1,::1".to_owned());
    let proxies = TrustedProxies::from_prefixes(
        addresses.split(',').map(without_brackets),
        ForwardedHeader::x_forwarded_for(),
    )?;
    let mut whatsapp = WebhookLayer::builder()
        .path("/webhook")
        .app_secret(variable("WHATSAPP_APP_SECRET")?.ok_or("WHATSAPP_APP_SECRET is not set")?)
        .verify_token(variable("WHATSAPP_VERIFY_TOKEN")?.ok_or("WHATSAPP_VERIFY_TOKEN is not set")?)
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

/// An address or prefix, also as it stands in a URL: ` [::1]`.
fn without_brackets(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text)
}

/// One line for the operator, with the rule that refused. It has nothing from the request, so a
/// stranger cannot write into the log. Count these, and limit how many are logged, in a service
/// that strangers call often.
fn log_rejection(rejection: &Rejection) -> http::Response<Bytes> {
    let response = rejection.to_response();
    let status = response.status().as_u16();
    eprintln!("refused with {status}: {:?}: {rejection}", rejection.kind());
    response
}

/// The list of addresses, and the task that reads its file again.
fn allow_list() -> Result<Option<(IpAllowList, ListWatch)>, Box<dyn Error>> {
    let Some(path) = variable("ALLOW_LIST")? else {
        return Ok(None);
    };
    let list = IpAllowList::load(&path)?;
    let watch = list.watch(path, LOOK, |outcome| match outcome {
        Ok(Reload::Unchanged) => {}
        Ok(outcome) => eprintln!("the list of addresses: {outcome:?}"),
        Err(error) => eprintln!("the list of addresses has not changed: {error}"),
    });
    Ok(Some((list, watch)))
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let allowed = allow_list()?;
    let app = app(allowed.as_ref().map(|(list, _)| list.clone()))?;
    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // The layer must know that it is the proxy that calls.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
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
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("behind_proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
