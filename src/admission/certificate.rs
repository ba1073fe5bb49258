use std::net::IpAddr;

use http::{Extensions, HeaderMap};

use super::{
    certificate_header::CertificateHeader, certificate_problem::CertificateProblem,
    peer_certificate::PeerCertificate, proxies::TrustedProxies,
};

/// Common name of the client certificate that Meta presents (Meta, "Webhooks: getting started",
/// mTLS).
const META_COMMON_NAME: &str = "client.webhooks.fbclientcerts.com";

/// The client certificate that a caller must present (mutual TLS).
///
/// Its chain must have been verified, and its subject must have exactly one common name: this one.
///
/// The whole name is compared byte by byte: a longer or shorter name, other upper or lower case, a
/// second common name, or none are refused. Subject alternative names (SANs) are not read, because
/// Meta does not document them. The certificate authority is not checked here: the TLS terminator
/// must trust Meta's authority only (`meta-outbound-api-ca-2025-12.pem`), because other authorities
/// may issue the same name to anyone.
///
/// The certificate has one source:
///
/// - by default the connection: the host's TLS acceptor puts a [`PeerCertificate`] into the
///   extensions of every request;
/// - or a header of a proxy that terminates TLS: see [`forwarded`](Self::forwarded).
///
/// ```
/// use tower_whatsapp::{WebhookLayer, admission::ClientCertificate};
///
/// let layer = WebhookLayer::builder()
///     .path("/webhook")
///     .app_secret("the app secret")
///     .verify_token("the verify token")
///     .client_certificate(ClientCertificate::meta())
///     .build()?;
/// # Ok::<(), tower_whatsapp::ConfigError>(())
/// ```
#[doc(alias = "mtls")]
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    common_name: String,
    header: Option<CertificateHeader>,
}

impl ClientCertificate {
    /// Requires the certificate that Meta presents: `client.webhooks.fbclientcerts.com`.
    #[must_use]
    pub fn meta() -> Self {
        Self::with_common_name(META_COMMON_NAME)
    }

    /// Requires a certificate with another common name, for tests and for your own relay. An empty
    /// name refuses every caller.
    #[must_use]
    pub fn with_common_name(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            header: None,
        }
    }

    /// Takes the certificate from a header instead of the connection.
    ///
    /// The header is trusted only if the peer of the connection is one of the
    /// [`trusted_proxies`](crate::WebhookLayerBuilder::trusted_proxies), which must be known by
    /// their addresses ([`TrustedProxies::from_prefixes`] or [`TrustedProxies::from_list`]).
    /// From any other peer it counts as absent. On a Unix socket, where the transport proves that
    /// the proxy is the peer, put a [`PeerAddr`](super::PeerAddr) of `127.0.0.1` into the
    /// extensions and trust that address. A serverless function whose event contains the
    /// certificate needs no header: see [functions](crate::admission::behind_a_proxy#functions).
    ///
    /// The proxy must remove this header from incoming requests: a caller that can write it can
    /// impersonate Meta.
    #[must_use]
    pub fn forwarded(mut self, header: CertificateHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Returns whether the certificate is taken from a header.
    pub(super) fn is_forwarded(&self) -> bool {
        self.header.is_some()
    }

    pub(super) fn check(
        &self,
        peer: Option<IpAddr>,
        proxies: Option<&TrustedProxies>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), CertificateProblem> {
        let is_admitted = match &self.header {
            None => {
                let presented = extensions.get::<PeerCertificate>();
                let presented = presented.ok_or(CertificateProblem::NotPresented)?;
                presented.common_name() == Some(&*self.common_name)
            }
            Some(header) => {
                if !peer.zip(proxies).is_some_and(|(peer, it)| it.has(peer)) {
                    return Err(CertificateProblem::UntrustedPeer);
                }
                header.reported_name(headers)? == self.common_name.as_bytes()
            }
        };
        if is_admitted {
            Ok(())
        } else {
            Err(CertificateProblem::CommonName)
        }
    }
}
