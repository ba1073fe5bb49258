//! A client on the internet, with or without a certificate.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tls_tests::pki::{Authority, Identity};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use crate::HOST;

const ADDRESS: [u8; 4] = [127, 0, 0, 2];
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Caller {
    config: Arc<ClientConfig>,
}

impl Caller {
    pub(crate) fn new(authority: &Authority, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => config
                .with_client_auth_cert(identity.ders(), identity.key())
                .unwrap(),
        };
        Self {
            config: Arc::new(config),
        }
    }

    /// Sends a request. Returns the response, or `None` if the connection ends without one.
    pub(crate) async fn send(
        &self,
        proxy: SocketAddr,
        mut request: Request<Bytes>,
    ) -> Option<(u16, Bytes)> {
        let stream = self.connect(proxy).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let host = format!("{HOST}:{}", proxy.port());
        let host = HeaderValue::from_str(&host).ok()?;
        request.headers_mut().insert("host", host);
        let response = sender.send_request(request.map(Full::new)).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?;
        Some((status, body.to_bytes()))
    }

    /// Sends raw bytes and returns the statuses of all responses.
    pub(crate) async fn send_bytes(&self, proxy: SocketAddr, bytes: &[u8]) -> Vec<u16> {
        let Some(mut stream) = self.connect(proxy).await else {
            return Vec::new();
        };
        let mut answers = Vec::new();
        let exchange = async {
            // Either side may close early.
            let _ = stream.write_all(bytes).await;
            let _ = stream.read_to_end(&mut answers).await;
        };
        // A proxy that waits for more data times out, unless the test does first.
        let _ = timeout(PATIENCE, exchange).await;
        let text = String::from_utf8_lossy(&answers);
        text.split("HTTP/1.")
            .filter_map(|answer| answer.get(2..5)?.parse().ok())
            .collect()
    }

    async fn connect(&self, proxy: SocketAddr) -> Option<TlsStream<TcpStream>> {
        // Connects from a different address than the proxy uses for the service.
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(SocketAddr::from((ADDRESS, 0))).ok()?;
        let stream = socket.connect(proxy).await.ok()?;
        let name = ServerName::try_from(HOST).ok()?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await.ok()
    }
}
