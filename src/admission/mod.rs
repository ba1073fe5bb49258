//! Who may call at all: by address (feature `admission`), and by client certificate (feature `client-certificate`).
//!
//! | | What it is |
//! |---|---|
//! | [`IpAllowList`] | the addresses that may call, replaced while requests are served |
//! | [`TrustedProxies`] | the proxies that are trusted to report the address of the caller |
//! | [`ForwardedHeader`] | the header in which they do |
//! | [`PeerAddr`] | the other end of the connection, where the server is not axum's |
#![cfg_attr(
    feature = "client-certificate",
    doc = "| [`ClientCertificate`] | the certificate that a caller must present |
| [`PeerCertificate`] | the one that the other end of the connection has presented |
| [`CertificateHeader`] | the header in which a proxy reports it |"
)]
//!
//! They are settings of the [`WebhookLayerBuilder`](crate::WebhookLayerBuilder), looked at before anything else of a POST, and none of them replaces the
//! signature: they say that it is Meta who calls, or somebody in Meta's network, and not for which app. If both are set, a caller must pass both, or
//! one of them: see [`AdmissionPolicy`]. Different rules for different paths are different layers, one around the other.
//!
//! [Behind a proxy](behind_a_proxy) has a table of 18 platforms: which constructors, which headers,
//! what to switch on there, and what goes wrong.

#[cfg(feature = "client-certificate")]
mod certificate;
#[cfg(feature = "client-certificate")]
mod certificate_header;
#[cfg(feature = "client-certificate")]
mod distinguished_name;
mod error;
mod forwarded_for;
mod ip_allow_list;
mod ip_set;
mod list_format;
mod peer;
#[cfg(feature = "client-certificate")]
mod peer_certificate;
mod policy;
mod prefix;
mod proxies;
#[cfg(feature = "tokio")]
mod watch;

#[doc = include_str!("../../docs/behind-a-proxy.md")]
pub mod behind_a_proxy {}

#[cfg(feature = "tokio")]
pub use self::watch::ListWatch;
#[cfg(feature = "client-certificate")]
pub use self::{
    certificate::ClientCertificate,
    certificate_header::{CertificateHeader, ElementError},
    peer_certificate::{CertificateError, PeerCertificate},
};
pub(crate) use self::{
    error::{AdmissionMisuse, Refused},
    policy::Admission,
};
pub use self::{
    error::{BadPrefixes, ListError, ListErrorKind},
    forwarded_for::ForwardedHeader,
    ip_allow_list::{IpAllowList, ListStatus, Reload, Shrink},
    peer::PeerAddr,
    policy::AdmissionPolicy,
    prefix::{BadPrefix, PrefixProblem},
    proxies::{ProxiesError, TrustedProxies},
};
