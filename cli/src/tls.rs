//! TLS as a client: which CAs are trusted, and what is wrong with a server's certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::failure::{Failure, chain};

/// PEM files given as options.
#[derive(Args, Debug, Default)]
pub(crate) struct TlsArgs {
    /// PEM file with the CAs that may sign the server's certificate [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file with a client certificate and its intermediates
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// PEM file with the key of the client certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
}

impl TlsArgs {
    /// The CAs that may sign the server's certificate.
    pub(crate) fn roots(&self) -> Result<RootCertStore, Failure> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.ca else {
            let loaded = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(loaded.certs);
            if roots.is_empty() {
                return Err(Failure::usage(
                    "the system has no usable CAs: install ca-certificates, or use --ca",
                ));
            }
            return Ok(roots);
        };
        for authority in certificates(path)? {
            let added = roots.add(authority);
            added.map_err(|error| in_file(path, &error))?;
        }
        Ok(roots)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ca.is_none() && self.client_cert.is_none() && self.client_key.is_none()
    }

    /// Returns a configuration. Without TLS the CAs of the system are not loaded.
    pub(crate) fn config(&self, with_tls: bool) -> Result<ClientConfig, Failure> {
        let roots = match with_tls {
            true => self.roots()?,
            false => RootCertStore::empty(),
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::caused("TLS is unusable", &error))?
            .with_root_certificates(roots);
        let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(config.with_no_client_auth());
        };
        let private = PrivateKeyDer::from_pem_slice(&read(key)?);
        let private = private.map_err(|error| in_file(key, &error))?;
        config
            .with_client_auth_cert(certificates(chain)?, private)
            .map_err(|error| in_file(chain, &error))
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let all = all.map_err(|error| in_file(path, &error))?;
    if all.is_empty() {
        return Err(Failure::usage(format!(
            "{}: no certificate found; give a PEM file",
            path.display()
        )));
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| in_file(path, &error))
}

fn in_file(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::usage(format!("{}: {}", path.display(), chain(error)))
}

/// What is wrong with a certificate, as the end of "the server's certificate …".
pub(crate) fn explain(wrong: &CertificateError) -> String {
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
