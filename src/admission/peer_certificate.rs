use std::{error::Error, fmt, sync::Arc};

use x509_parser::parse_x509_certificate;

/// The certificate that the other end of the connection has shown. The host's TLS acceptor makes it once for a connection, and puts a
/// clone of it, which is cheap, into the extensions of every request.
///
/// Nothing of the certificate is kept but its common name, if there is exactly one. `Debug` does not show that either.
///
/// With rustls, whose `WebPkiClientVerifier` ends every handshake with a chain that does not lead to your authority:
///
/// ```sh
/// cargo add tokio --features net
/// cargo add tokio-rustls
/// ```
///
/// ```ignore
/// use tokio::net::TcpStream;
/// use tokio_rustls::server::TlsStream;
/// use tower_whatsapp::admission::{CertificateError, PeerCertificate};
///
/// fn shown(stream: &TlsStream<TcpStream>) -> Result<Option<PeerCertificate>, CertificateError> {
///     let (_, connection) = stream.get_ref();
///     connection
///         .peer_certificates()
///         .map(PeerCertificate::from_verified_chain)
///         .transpose()
/// }
/// ```
///
/// `examples/https` has all of it.
#[derive(Clone)]
pub struct PeerCertificate {
    /// `None` is admitted by no rule.
    common_name: Option<Arc<str>>,
}

impl PeerCertificate {
    /// What was shown by a caller whose chain **has been verified**: that its signatures lead to an authority you trust, that it has not run out, and
    /// that the caller has the key. Nothing of that is done here. The first of the chain is the caller's own certificate, in DER.
    ///
    /// If your TLS library goes on where the chain is wrong (`SSL_VERIFY_NONE`, a verifier that takes everything), look at its verdict first, and
    /// use [`unverified`](Self::unverified) where it is not a good one.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] if the chain is empty, or its first certificate cannot be read: end the connection, or use
    /// [`unverified`](Self::unverified).
    pub fn from_verified_chain(chain: &[impl AsRef<[u8]>]) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError)?;
        Ok(Self {
            common_name: common_name(leaf.as_ref())?.map(Arc::from),
        })
    }

    /// Says that a certificate was shown and did not prove anything. It is refused, as a certificate and not as none.
    ///
    /// ```
    /// use tower_whatsapp::admission::PeerCertificate;
    ///
    /// let mut request = http::Request::new(());
    /// request.extensions_mut().insert(PeerCertificate::unverified());
    /// ```
    #[must_use]
    pub fn unverified() -> Self {
        Self { common_name: None }
    }

    pub(super) fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate").finish_non_exhaustive()
    }
}

/// There is no certificate, or it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateError;

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate cannot be read")
    }
}

impl Error for CertificateError {}

/// The common name of a certificate in DER. `None` if there is not exactly one, or it is no text that has only one spelling: then no name that we
/// ask for can be it.
pub(super) fn common_name(der: &[u8]) -> Result<Option<String>, CertificateError> {
    let (rest, certificate) = parse_x509_certificate(der).map_err(|_| CertificateError)?;
    if !rest.is_empty() {
        return Err(CertificateError);
    }
    let mut names = certificate.subject().iter_common_name();
    Ok(match (names.next(), names.next()) {
        (Some(name), None) => name
            .as_str()
            .ok()
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        _ => None,
    })
}
