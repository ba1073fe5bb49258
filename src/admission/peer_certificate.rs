use std::{error::Error, fmt, sync::Arc};

use x509_parser::parse_x509_certificate;

/// The certificate that the peer of the connection presented.
///
/// The host's TLS acceptor makes it once per connection, and inserts a clone into the extensions of
/// every request. Clones are cheap.
///
/// It keeps only the common name, if there is exactly one. `Debug` does not print it.
///
/// With rustls, whose `WebPkiClientVerifier` fails every handshake with a chain that does not lead
/// to your authority:
///
/// ```
/// use tower_whatsapp::admission::{CertificateError, PeerCertificate};
///
/// /// `chain` is what `peer_certificates()` of a rustls connection returns.
/// fn peer_certificate(
///     chain: Option<&[impl AsRef<[u8]>]>,
/// ) -> Result<Option<PeerCertificate>, CertificateError> {
///     chain.map(PeerCertificate::from_verified_chain).transpose()
/// }
/// # assert!(peer_certificate(None::<&[Vec<u8>]>)?.is_none());
/// # Ok::<(), CertificateError>(())
/// ```
///
/// `examples/https` is a complete server.
#[derive(Clone)]
pub struct PeerCertificate {
    /// `None` never matches a required name.
    common_name: Option<Arc<str>>,
}

impl PeerCertificate {
    /// Makes it from a chain that **was verified**: its signatures lead to a trusted authority, it
    /// has not expired, and the peer has the private key. This function verifies none of that. The
    /// first certificate of the chain is the peer's own, in DER.
    ///
    /// If your TLS library continues with an invalid chain (`SSL_VERIFY_NONE`, a verifier that
    /// accepts everything), check its verification result first, and use
    /// [`unverified`](Self::unverified) for an invalid chain.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] if the chain is empty, or its first certificate cannot be parsed: close
    /// the connection, or use [`unverified`](Self::unverified).
    pub fn from_verified_chain(chain: &[impl AsRef<[u8]>]) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError)?;
        Ok(Self {
            common_name: common_name(leaf.as_ref())?.map(Arc::from),
        })
    }

    /// Stands for a certificate that was presented but not verified. The request is refused as one
    /// with a wrong certificate, not as one without.
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

/// The certificate is missing or cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateError;

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate cannot be read")
    }
}

impl Error for CertificateError {}

/// Returns the common name of a certificate in DER. `None` if there is not exactly one, if it is
/// empty, or if its string type has no unique spelling: it then cannot equal a required name.
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
