//! Who may call at all: by address (feature `admission`), and by client certificate (feature `client-certificate`).
//!
//! | | What it is |
//! |---|---|
//! | [`IpAllowList`] | the addresses that may call, replaced while requests are served |
//! | [`TrustedProxies`] | whose word is taken for the address of the caller |
//! | [`PeerAddr`] | the other end of the connection, where the server is not axum's |
#![cfg_attr(
    feature = "client-certificate",
    doc = "| [`ClientCertificate`] | the certificate that a caller must have shown |
| [`PeerCertificate`] | the one that the other end of the connection has shown |"
)]
//!
//! They are settings of the [`WebhookLayerBuilder`](crate::WebhookLayerBuilder), looked at before anything else of a POST, and none of them replaces the
//! signature: they say that it is Meta who calls, or somebody in Meta's network, and not for which app. If both are set, a caller must pass both, or
//! one of them: see [`Admit`]. Different rules for different paths are different layers, one around the other.

#[cfg(feature = "client-certificate")]
mod certificate;
#[cfg(feature = "client-certificate")]
mod dn;
mod error;
#[cfg(feature = "client-certificate")]
mod forwarded;
mod hops;
mod list;
mod peer;
#[cfg(feature = "client-certificate")]
mod peer_certificate;
mod prefix;
mod prefixes;
mod proxies;
mod rule;
mod text;
#[cfg(feature = "tokio")]
mod watch;

pub(crate) use self::rule::{Admission, Refused};
#[cfg(feature = "tokio")]
pub use self::watch::ListWatch;
#[cfg(feature = "client-certificate")]
pub use self::{
    certificate::ClientCertificate,
    forwarded::CertificateHeader,
    peer_certificate::{CertificateError, PeerCertificate},
};
pub use self::{
    error::{BadPrefixes, ListError},
    list::{IpAllowList, ListStatus, Reload, Shrink},
    peer::PeerAddr,
    prefix::{BadPrefix, PrefixProblem},
    proxies::{CallerHeader, ProxiesError, TrustedProxies},
    rule::Admit,
};
