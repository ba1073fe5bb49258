use std::net::IpAddr;

use http::{Extensions, HeaderMap};

use super::{
    forwarded::CertificateHeader, peer_certificate::PeerCertificate, proxies::TrustedProxies,
    rule::Refused,
};

/// The name in the certificate that Meta's sender of webhooks presents (Meta, "Webhooks: getting started", mTLS).
const META: &str = "client.webhooks.fbclientcerts.com";

/// The certificate that a caller must have shown: one whose chain was verified, and whose subject has exactly one common name, this one.
///
/// The name is compared byte by byte, as a whole: a longer or shorter name, one in other letters, a second common name or none are refused. The
/// alternative names (SANs) are not looked at, because Meta says nothing of them. Nor is the authority: whoever ends TLS must trust Meta's alone
/// (`meta-outbound-api-ca-2025-12.pem`), since others give any name to anyone.
///
/// The certificate is taken from one place, and what the other says counts for nothing:
///
/// - from the connection, by default: the host's TLS acceptor puts a [`PeerCertificate`] into the extensions of every request;
/// - or from a header of a proxy that ends TLS: see [`forwarded`](Self::forwarded).
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
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    common_name: String,
    header: Option<CertificateHeader>,
}

impl ClientCertificate {
    /// The one that Meta presents: `client.webhooks.fbclientcerts.com`.
    #[must_use]
    pub fn meta() -> Self {
        Self::named(META)
    }

    /// One with another common name: for tests, and for a relay of your own. An empty name admits nobody.
    #[must_use]
    pub fn named(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            header: None,
        }
    }

    /// Believes a header, and no longer the connection. It is believed only of a caller that is one of the
    /// [`trusted_proxies`](crate::WebhookLayerBuilder::trusted_proxies), which must be there and known by their
    /// [addresses](TrustedProxies::within) for the layer to be built; from anybody else it is as if it were not there.
    ///
    /// The proxy must remove the header where a caller has sent it: who can write it is Meta. Name the proxies by their addresses
    /// ([`TrustedProxies::within`]): those that are known by their number are whoever reaches the port.
    #[must_use]
    pub fn forwarded(mut self, header: CertificateHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Whether the certificate is believed from a header of a proxy, and not from the connection.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.header.is_some()
    }

    pub(super) fn check(
        &self,
        peer: Option<IpAddr>,
        proxies: Option<&TrustedProxies>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Refused> {
        let admitted = match &self.header {
            None => {
                let shown: &PeerCertificate =
                    extensions.get().ok_or(Refused::CertificateMissing)?;
                shown.common_name() == Some(&*self.common_name)
            }
            Some(header) => {
                let believed = peer.zip(proxies).is_some_and(|(peer, it)| it.has(peer));
                if !believed || !header.is_in(headers) {
                    return Err(Refused::CertificateMissing);
                }
                header.common_name(headers).as_deref() == Some(self.common_name.as_bytes())
            }
        };
        if admitted {
            Ok(())
        } else {
            Err(Refused::Certificate)
        }
    }
}
