//! HTTP/1 client that verifies certificates as Meta does, and follows no redirect.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, Uri, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, pki_types::ServerName},
};

use crate::{
    failure::{Failure, chain},
    tls,
};

pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Time for a connection, a TLS handshake, or the response to a handshake.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Parses the URL of a webhook.
pub(crate) fn parse_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.host()) {
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err("the URL must begin with https:// or http://".to_owned()),
    }
}

pub(crate) fn uses_tls(url: &Uri) -> bool {
    url.scheme() == Some(&Scheme::HTTPS)
}

/// Host without the brackets that URLs put around IPv6 addresses, and the port.
pub(crate) fn host_and_port(url: &Uri) -> (&str, u16) {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = if uses_tls(url) { 443 } else { 80 };
    (host, url.port_u16().unwrap_or(port))
}

pub(crate) fn new(config: ClientConfig) -> Client {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .build();
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}

/// Adds the parameters of a handshake to the URL.
pub(crate) fn handshake_url(url: &Uri, token: &str, challenge: &str) -> Result<Uri, Failure> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.verify_token", token)
        .append_pair("hub.challenge", challenge)
        .finish();
    let separator = if url.query().is_some() { '&' } else { '?' };
    format!("{url}{separator}{query}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| Failure::caused("the URL is too long", &error))
}

/// A response whose body was read up to a limit.
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    /// `None` if it was longer than the limit, or broke off.
    pub(crate) body: Option<Bytes>,
}

impl Answer {
    /// Reads the body, at most 64 KiB.
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, 64 * 1024).collect().await.ok();
        Self {
            response: Response::from_parts(parts, ()),
            body: body.map(http_body_util::Collected::to_bytes),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }
}

/// Completes a TLS handshake with the server, without sending a request.
pub(crate) async fn check_certificate(config: ClientConfig, url: &Uri) -> Result<(), Failure> {
    let (host, port) = host_and_port(url);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::usage("the host of the URL is no name and no address"))?;
    let connector = TlsConnector::from(Arc::new(config));
    let connect = timeout(PATIENCE, TcpStream::connect((host, port))).await;
    let stream = connect
        .map_err(|_| Failure::new("the server did not accept the connection within 5 s"))?
        .map_err(|error| Failure::caused("cannot connect to the server", &error))?;
    let handshake = timeout(PATIENCE, connector.connect(name, stream)).await;
    let handshake = handshake
        .map_err(|_| Failure::new("the server did not finish the TLS handshake within 5 s"))?;
    match handshake {
        Ok(_) => Ok(()),
        Err(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(wrong)) => Err(Failure::new(format!(
                "the server's certificate {}: Meta would not register the URL or deliver to it; \
                 `whatsapp-webhook doctor` says more",
                tls::explain(wrong)
            ))),
            _ => Err(Failure::new(format!(
                "the TLS handshake failed: {}",
                chain(&error)
            ))),
        },
    }
}
