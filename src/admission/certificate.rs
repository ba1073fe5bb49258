use std::net::IpAddr;

use http::{Extensions, HeaderMap};

use super::{
    certificate_header::CertificateHeader, error::Refused, peer_certificate::PeerCertificate,
    proxies::TrustedProxies,
};

/// The name in the certificate that Meta's sender of webhooks presents (Meta, "Webhooks: getting
/// started", mTLS).
const META: &str = "client.webhooks.fbclientcerts.com";

/// The certificate that a caller must present: its chain was verified, and its subject has exactly
/// one common name, this one.
///
/// The name is compared byte by byte, as a whole: a longer or shorter name, one in other letters, a
/// second common name or none are refused. The alternative names (SANs) are not read, because Meta
/// says nothing of them. Nor is the authority: whatever terminates TLS must trust Meta's alone
/// (`meta-outbound-api-ca-2025-12.pem`), since other authorities give any name to anyone.
///
/// The certificate is taken from one place only:
///
/// - from the connection, by default: the host's TLS acceptor puts a [`PeerCertificate`] into the
///   extensions of every request;
/// - or from a header of a proxy that terminates TLS: see [`forwarded`](Self::forwarded).
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
    /// The certificate that Meta presents: `client.webhooks.fbclientcerts.com`.
    #[must_use]
    pub fn meta() -> Self {
        Self::with_common_name(META)
    }

    /// A certificate with another common name: for tests, and for a relay of your own. An empty
    /// name admits nobody.
    #[must_use]
    pub fn with_common_name(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            header: None,
        }
    }

    /// Takes the certificate from a header instead of the connection.
    ///
    /// The header is trusted only if the other end of the connection is one of the
    /// [`trusted_proxies`](crate::WebhookLayerBuilder::trusted_proxies), which must be known by
    /// their addresses ([`TrustedProxies::from_prefixes`] or [`TrustedProxies::from_list`]).
    /// From anybody else it counts as absent. On a Unix socket, where the transport itself proves
    /// that the proxy is calling, put a [`PeerAddr`](super::PeerAddr) of `127.0.0.1` into the
    /// extensions and trust that address. A function whose event has the certificate needs no
    /// header: see [functions](crate::admission::behind_a_proxy#functions).
    ///
    /// The proxy must remove the header where a caller has sent it: a caller that can write it
    /// passes for Meta.
    #[must_use]
    pub fn forwarded(mut self, header: CertificateHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Whether the certificate is taken from a header.
    pub(super) fn is_forwarded(&self) -> bool {
        self.header.is_some()
    }

    pub(super) fn check(
        &self,
        peer: Option<IpAddr>,
        proxies: Option<&TrustedProxies>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Refused> {
        let is_admitted = match &self.header {
            None => {
                let shown: &PeerCertificate =
                    extensions.get().ok_or(Refused::CertificateMissing)?;
                shown.common_name() == Some(&*self.common_name)
            }
            Some(header) => {
                if !peer.zip(proxies).is_some_and(|(peer, it)| it.has(peer)) {
                    return Err(Refused::CertificateMissing);
                }
                header.reported_name(headers)? == self.common_name.as_bytes()
            }
        };
        if is_admitted {
            Ok(())
        } else {
            Err(Refused::Certificate)
        }
    }
}
