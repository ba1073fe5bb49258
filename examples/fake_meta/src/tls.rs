//! TLS client that always verifies the server's certificate, as Meta does.

use std::{error::Error, fs, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// PEM files given as options.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) ca: Option<String>,
    pub(crate) client_cert: Option<String>,
    pub(crate) client_key: Option<String>,
}

impl Files {
    pub(crate) fn is_empty(&self) -> bool {
        self.ca.is_none() && self.client_cert.is_none() && self.client_key.is_none()
    }

    /// Returns an HTTP connector for the URL. For `https` it first checks the server's certificate.
    pub(crate) async fn connector(
        &self,
        url: &Uri,
    ) -> Result<HttpsConnector<HttpConnector>, Box<dyn Error>> {
        let with_tls = url.scheme() == Some(&Scheme::HTTPS);
        let config = self.config(with_tls)?;
        if with_tls {
            check_certificate(config.clone(), url).await?;
        }
        Ok(HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build())
    }

    fn config(&self, with_tls: bool) -> Result<ClientConfig, Box<dyn Error>> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let config = match &self.ca {
            None if with_tls => config.with_native_roots()?,
            None => config.with_root_certificates(RootCertStore::empty()),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority)?;
                }
                config.with_root_certificates(roots)
            }
        };
        Ok(match (&self.client_cert, &self.client_key) {
            (None, None) => config.with_no_client_auth(),
            (Some(chain), Some(key)) => {
                let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|error| format!("{key}: {error}"))?;
                config.with_client_auth_cert(certificates(chain)?, key)?
            }
            _ => return Err("--client-cert and --client-key belong together".into()),
        })
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Box<dyn Error>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let all = all.map_err(|error| format!("{path}: {error}"))?;
    if all.is_empty() {
        return Err(format!("{path}: no certificate found").into());
    }
    Ok(all)
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{path}: {error}"))
}

/// Completes a TLS handshake with the server, without sending a request.
async fn check_certificate(config: ClientConfig, url: &Uri) -> Result<(), Box<dyn Error>> {
    let host = url.host().ok_or("the URL has no host")?;
    // URLs put IPv6 addresses in brackets, which are not part of the address.
    let host = host.trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::new(config));
    let handshake = async {
        let stream = TcpStream::connect((host, url.port_u16().unwrap_or(443))).await?;
        connector.connect(name, stream).await
    };
    match timeout(Duration::from_secs(5), handshake).await? {
        Ok(_) => {
            println!("certificate           ok");
            Ok(())
        }
        Err(error) => Err(
            match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(wrong)) => format!(
                    "the server's certificate {}: Meta would not register the URL or deliver to it",
                    explain(wrong)
                ),
                _ => format!("the TLS handshake failed: {error}"),
            }
            .into(),
        ),
    }
}

fn explain(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".into()
        }
        CertificateError::UnknownIssuer => {
            "is self-signed, signed by an untrusted CA, or sent without its intermediate".into()
        }
        other => format!("was rejected ({other})"),
    }
}
