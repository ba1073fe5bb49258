//! An HTTP client over TLS.

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use tls_tests::pki::{Authority, Identity};

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Caller {
    config: Arc<ClientConfig>,
}

impl Caller {
    pub(crate) fn new(
        authority: &Authority,
        identity: Option<&Identity>,
        protocols: &[&str],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => config
                .with_client_auth_cert(identity.ders(), identity.key())
                .unwrap(),
        };
        let protocols = protocols.iter().map(|it| it.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        Self {
            config: Arc::new(config),
        }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let name = ServerName::IpAddress(address.ip().into());
        connector.connect(name, stream).await
    }

    /// Sends one request over a new connection, with the HTTP version that ALPN negotiated.
    pub(crate) async fn send(
        &self,
        address: SocketAddr,
        request: Request<Bytes>,
    ) -> Result<(Version, StatusCode, Bytes), BoxError> {
        Connection::over(self.connect(address).await?)
            .await?
            .send(request)
            .await
    }
}

pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Result<Self, BoxError> {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        Ok(if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            Self::Http1(sender)
        })
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<(Version, StatusCode, Bytes), BoxError> {
        let mut request = request.map(Full::new);
        let response = match self {
            Self::Http1(sender) => {
                request
                    .headers_mut()
                    .insert("host", "127.0.0.1".parse().unwrap());
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                let path = request.uri().path_and_query().unwrap();
                let uri = format!("https://127.0.0.1{path}").parse().unwrap();
                *request.uri_mut() = uri;
                sender.send_request(request).await?
            }
        };
        let (version, status) = (response.version(), response.status());
        let body = response.into_body().collect().await?.to_bytes();
        Ok((version, status, body))
    }
}
