use std::{error::Error, fmt};

/// Why a client certificate was not accepted. Contains no text of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// The request has no [`PeerCertificate`](super::PeerCertificate): the TLS server did not
    /// request a certificate, or the caller presented none.
    NotPresented,
    /// The peer of the connection is not one of the `trusted_proxies`, so its certificate header is
    /// not read.
    UntrustedPeer,
    /// The certificate header is missing or empty: the proxy does not write it, or the caller
    /// presented no certificate.
    HeaderMissing,
    /// `X-Forwarded-Client-Cert` has fewer elements than configured: one of the proxies received no
    /// certificate.
    ElementMissing,
    /// The certificate header is repeated.
    HeaderRepeated,
    /// The certificate header is longer than 16 KiB.
    HeaderTooLong,
    /// The certificate header is not in the expected format, or has not exactly one common name.
    HeaderMalformed,
    /// The proxy did not report that it verified the certificate.
    NotVerified,
    /// The common name is another, or there is not exactly one.
    CommonName,
}

impl CertificateProblem {
    /// Whether there is no certificate to judge.
    pub(crate) fn is_missing(self) -> bool {
        matches!(
            self,
            Self::NotPresented | Self::UntrustedPeer | Self::HeaderMissing | Self::ElementMissing
        )
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPresented => "the connection has no client certificate",
            Self::UntrustedPeer => "the peer is not one of the trusted proxies",
            Self::HeaderMissing => "the certificate header is missing or empty",
            Self::ElementMissing => "the certificate header has too few elements",
            Self::HeaderRepeated => "the certificate header is repeated",
            Self::HeaderTooLong => "the certificate header is longer than 16 KiB",
            Self::HeaderMalformed => "the certificate header is malformed",
            Self::NotVerified => "the proxy did not report a verified certificate",
            Self::CommonName => "the certificate has another common name",
        })
    }
}

impl Error for CertificateProblem {}
