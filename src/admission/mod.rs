//! Admission: refuses requests by address (feature `admission`) or client certificate (feature
//! `client-certificate`).
//!
//! | | What it is |
//! |---|---|
//! | [`IpAllowList`] | addresses that may send requests, replaceable while requests are served |
//! | [`TrustedProxies`] | reverse proxies that are trusted to report the client address |
//! | [`ForwardedHeader`] | the header they report it in |
//! | [`PeerAddr`] | the peer address of the connection, for servers other than axum's |
#![cfg_attr(
    feature = "client-certificate",
    doc = "| [`ClientCertificate`] | the certificate that a caller must present |
| [`PeerCertificate`] | the certificate that the peer of the connection presented |
| [`CertificateHeader`] | the header in which a proxy that terminates TLS reports it |"
)]
//!
//! They are settings of the [`WebhookLayerBuilder`](crate::WebhookLayerBuilder). They are checked
//! before anything else of a POST request, and do not replace the signature: they identify Meta, or
//! a host in Meta's network, but not an app. If both rules are set, a caller must pass both, or one
//! of them: see [`AdmissionPolicy`]. Use one layer per path for different rules.
//!
//! [Behind a proxy](behind_a_proxy) has a table of 20 platforms: the constructors and headers to
//! use, the settings to enable there, and common mistakes.

mod candidate;
#[cfg(feature = "client-certificate")]
mod certificate;
#[cfg(feature = "client-certificate")]
mod certificate_header;
#[cfg(feature = "client-certificate")]
mod certificate_problem;
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
mod update_guard;
#[cfg(feature = "tokio")]
mod watch;

#[cfg(any(not(doctest), feature = "client-certificate"))]
#[doc = include_str!("../../docs/behind-a-proxy.md")]
pub mod behind_a_proxy {}

#[cfg(feature = "tokio")]
pub use self::watch::ListWatch;
#[cfg(feature = "client-certificate")]
pub use self::{
    certificate::ClientCertificate,
    certificate_header::{CertificateHeader, ElementError},
    certificate_problem::CertificateProblem,
    peer_certificate::{CertificateError, PeerCertificate},
};
pub(crate) use self::{
    error::{AdmissionMisuse, Refused},
    policy::Admission,
};
pub use self::{
    error::{BadPrefixes, ListError, ListErrorKind},
    forwarded_for::ForwardedHeader,
    ip_allow_list::{IpAllowList, ListStatus},
    peer::PeerAddr,
    policy::AdmissionPolicy,
    prefix::{BadPrefix, PrefixProblem},
    proxies::{ProxiesError, TrustedProxies},
    update_guard::{Reload, Shrink},
};
