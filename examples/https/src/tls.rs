//! TLS configuration from files, which are loaded again when they change.

use std::{error::Error, future, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{fs, sync::watch, time::interval};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::common::{optional, required};

const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

type Config = Arc<ServerConfig>;

pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl TlsFiles {
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            certificate: required("TLS_CERT")?.into(),
            key: required("TLS_KEY")?.into(),
            client_ca: optional("TLS_CLIENT_CA")?.map(PathBuf::from),
        })
    }

    pub(crate) fn has_client_ca(&self) -> bool {
        self.client_ca.is_some()
    }

    /// Loads the files, then watches them and loads them again when they change.
    pub(crate) async fn load_and_watch(self) -> Result<watch::Receiver<Config>, Box<dyn Error>> {
        let mut loaded = self.read().await?;
        let (sender, receiver) = watch::channel(loaded.config()?);
        tokio::spawn(async move {
            let mut sighup = Sighup::new();
            let mut timer = interval(RELOAD_INTERVAL);
            while !sender.is_closed() {
                tokio::select! {
                    _ = timer.tick() => {}
                    () = sighup.recv() => {}
                }
                let contents = match self.read().await {
                    Ok(contents) if contents == loaded => continue,
                    Ok(contents) => contents,
                    Err(error) => {
                        println!("certificate not reloaded, the old one stays in use: {error}");
                        continue;
                    }
                };
                // A key that does not match the certificate is an error too. If only one file was
                // replaced so far, the next check finds both.
                match contents.config() {
                    Ok(config) => {
                        sender.send_replace(config);
                        println!("certificate reloaded");
                    }
                    Err(error) => {
                        println!("certificate not reloaded, the old one stays in use: {error}");
                    }
                }
                loaded = contents;
            }
        });
        Ok(receiver)
    }

    async fn read(&self) -> Result<Contents, String> {
        let read = async |path: &PathBuf| {
            let explain = |error: io::Error| format!("{}: {error}", path.display());
            fs::read(path).await.map_err(explain)
        };
        Ok(Contents {
            certificate: read(&self.certificate).await?,
            key: read(&self.key).await?,
            client_ca: match &self.client_ca {
                Some(path) => Some(read(path).await?),
                None => None,
            },
        })
    }
}

#[derive(PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn config(&self) -> Result<Config, Box<dyn Error>> {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match &self.client_ca {
            None => config.with_no_client_auth(),
            Some(pem) => {
                let verifier = client_verifier(pem, provider);
                let verifier = verifier.map_err(|error| format!("TLS_CLIENT_CA: {error}"))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|error| format!("TLS_CERT: {error}"))?;
        if chain.is_empty() {
            return Err("TLS_CERT: the file has no certificate".into());
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|error| format!("TLS_KEY: {error}"))?;
        let config = config.with_single_cert(chain, key);
        let mut config = config.map_err(|error| format!("TLS_CERT and TLS_KEY: {error}"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// An invalid certificate fails the handshake. A missing one does not, because other routes need
/// none; the layer rejects deliveries without it.
fn client_verifier(
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(pem) {
        roots.add(authority?)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.allow_unauthenticated().build()?)
}

/// SIGHUP on Unix. Never received on other systems.
struct Sighup {
    #[cfg(unix)]
    signal: io::Result<tokio::signal::unix::Signal>,
}

impl Sighup {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()),
        }
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Ok(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        future::pending::<()>().await;
    }
}
