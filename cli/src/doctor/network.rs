//! DNS, connections, and the certificate.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use http::Uri;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
        SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::{certificate, finding::Findings};
use crate::{
    client::{self, PATIENCE},
    failure::{Failure, chain},
    tls,
};

/// Returns an address that accepts connections.
pub(super) async fn connect(url: &Uri, findings: &mut Findings) -> Option<SocketAddr> {
    let (host, port) = client::host_and_port(url);
    let addresses = match resolve(lookup_host((host, port))).await {
        Ok(addresses) => addresses,
        Err(problem) => {
            findings.error(
                "dns",
                format!("{host} {problem}"),
                "Meta cannot find the server",
                "add an A or AAAA record for the name, or correct the URL",
            );
            return None;
        }
    };
    let listed: Vec<_> = addresses
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    findings.ok("dns", format!("{host} is {}", listed.join(", ")));
    if addresses.iter().any(|address| !is_public(address.ip())) {
        findings.note(
            "private_address",
            "the address is not on the public Internet",
            "fine for a test; Meta needs a public address, for example that of a tunnel",
        );
    }
    let mut first = None;
    let mut refused = Vec::new();
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => first = first.or(Some(address)),
            Ok(Err(error)) => refused.push(format!("{address}: {error}")),
            Err(_) => refused.push(format!("{address}: no answer within 5 s")),
        }
    }
    match (&first, refused.is_empty()) {
        (None, _) => findings.error(
            "connection",
            format!("no address accepts connections: {}", refused.join("; ")),
            "Meta cannot reach the server",
            "start the server, and open the port in the firewall",
        ),
        (Some(_), false) => findings.warning(
            "connection",
            format!(
                "some addresses accept no connections: {}",
                refused.join("; ")
            ),
            "Meta uses any of them, so some deliveries fail and are retried",
            "remove the wrong DNS records, or let the server listen on these addresses",
        ),
        (Some(address), true) => {
            findings.ok("connection", format!("{address} accepts connections"));
        }
    }
    first
}

/// Waits for the addresses of a host. The error says what is wrong with it.
async fn resolve(
    lookup: impl Future<Output = io::Result<impl Iterator<Item = SocketAddr>>>,
) -> Result<BTreeSet<SocketAddr>, String> {
    let found = timeout(PATIENCE, lookup)
        .await
        .map_err(|_| "cannot be resolved: no answer within 5 s".to_owned())?;
    let addresses: BTreeSet<_> = found
        .map_err(|error| format!("has no address: {error}"))?
        .collect();
    match addresses.is_empty() {
        true => Err("has no address".to_owned()),
        false => Ok(addresses),
    }
}

/// Whether Meta could reach it. Not the special ranges of IANA's registries.
fn is_public(address: IpAddr) -> bool {
    // `::ffff:10.0.0.1` is 10.0.0.1.
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // This network, a carrier's own one, protocol assignments, benchmarks, reserved.
        [0, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] | [240..=255, ..] => {
            true
        }
        _ => false,
    };
    !(is_special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Documentation.
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // An IPv4 address behind a translator.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4((u32::from(high) << 16 | u32::from(low)).into())
        }
        // All global addresses that are given out.
        [first, ..] => matches!(first, 0x2000..=0x3fff),
    }
}

/// Returns whether secrets may be sent: if the certificate is good, or without TLS to an address
/// that is not public.
pub(super) async fn check_tls(
    url: &Uri,
    address: SocketAddr,
    roots: RootCertStore,
    findings: &mut Findings,
) -> Result<bool, Failure> {
    if !client::uses_tls(url) {
        let is_public = is_public(address.ip());
        if is_public {
            findings.error(
                "no_tls",
                "the URL begins with http://",
                "Meta calls https:// only, and others can read messages on the way",
                "get a certificate, and use the https:// URL",
            );
        } else {
            findings.note("no_tls", "no TLS, so the certificate is not checked", "");
        }
        return Ok(!is_public);
    }
    let (host, _) = client::host_and_port(url);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::usage("the host of the URL is no name and no address"))?;
    let unusable = |error: &dyn std::error::Error| Failure::caused("TLS is unusable", error);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .map_err(|error| unusable(&error))?;
    let probe = Arc::new(Probe {
        verifier,
        presented: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&probe) as _)
        .with_no_client_auth();
    let handshake = timeout(PATIENCE, async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    });
    let failed = match handshake.await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(chain(&error)),
        Err(_) => Some("no answer within 5 s".to_owned()),
    };
    if let Some(failed) = failed {
        findings.error(
            "tls",
            format!("the TLS handshake failed: {failed}"),
            "Meta cannot connect",
            "offer TLS 1.2 or 1.3 with a certificate for the host on this port",
        );
        return Ok(false);
    }
    let presented = probe
        .presented
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(presented
        .as_ref()
        .is_some_and(|presented| certificate::report(host, presented, findings)))
}

/// What a server presented, and what the verification said.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) leaf: CertificateDer<'static>,
    pub(super) others: Vec<CertificateDer<'static>>,
    pub(super) problem: Option<CertificateError>,
}

/// Accepts every certificate, and records what is wrong. No request is sent over the connection.
#[derive(Debug)]
struct Probe {
    verifier: Arc<WebPkiServerVerifier>,
    presented: Mutex<Option<Presented>>,
}

impl ServerCertVerifier for Probe {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .verifier
            .verify_server_cert(leaf, others, name, stapled, now);
        let problem = match verified {
            Ok(_) => None,
            Err(rustls::Error::InvalidCertificate(problem)) => Some(problem),
            Err(error) => return Err(error),
        };
        let mut presented = self
            .presented
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *presented = Some(Presented {
            leaf: leaf.clone().into_owned(),
            others: others
                .iter()
                .map(|other| other.clone().into_owned())
                .collect(),
            problem,
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test can listen on a public address. This needs no connection.
    #[tokio::test]
    async fn without_tls_no_secret_is_sent_to_a_public_address() {
        let url = Uri::from_static("http://example.com/webhook");
        for (address, may_send) in [
            ("1.1.1.1:80", false),
            ("[2606:4700::1111]:80", false),
            ("127.0.0.1:80", true),
            ("192.168.0.1:80", true),
        ] {
            let mut findings = Findings::new(true);
            let address = address.parse().unwrap();
            let checked = check_tls(&url, address, RootCertStore::empty(), &mut findings).await;
            assert_eq!(checked.unwrap(), may_send, "{address}");
            assert_eq!(findings.errors, usize::from(!may_send), "{address}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_without_an_answer_or_an_address_is_an_error() {
        type Found = io::Result<std::vec::IntoIter<SocketAddr>>;
        let late = resolve(std::future::pending::<Found>()).await;
        assert_eq!(
            late.unwrap_err(),
            "cannot be resolved: no answer within 5 s"
        );
        let none = resolve(async { Found::Ok(Vec::new().into_iter()) }).await;
        assert_eq!(none.unwrap_err(), "has no address");
        let failed = resolve(async { Found::Err(io::Error::other("x")) }).await;
        assert_eq!(failed.unwrap_err(), "has no address: x");
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let found = resolve(async { Found::Ok(vec![address].into_iter()) }).await;
        assert_eq!(found, Ok(BTreeSet::from([address])));
    }

    #[test]
    fn special_ranges_are_not_public() {
        for (address, expected) in [
            ("1.1.1.1", true),
            ("9.255.255.255", true),
            ("10.0.0.0", false),
            ("10.255.255.255", false),
            ("11.0.0.0", true),
            ("0.0.0.0", false),
            ("0.255.255.255", false),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("127.0.0.1", false),
            ("127.255.255.255", false),
            ("128.0.0.0", true),
            ("169.253.255.255", true),
            ("169.254.0.0", false),
            ("169.254.255.255", false),
            ("172.15.255.255", true),
            ("172.16.0.0", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.0.0.255", false),
            ("192.0.1.0", true),
            ("192.0.2.1", false),
            ("192.167.255.255", true),
            ("192.168.0.0", false),
            ("192.168.255.255", false),
            ("198.17.255.255", true),
            ("198.18.0.0", false),
            ("198.19.255.255", false),
            ("198.20.0.0", true),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("223.255.255.255", true),
            ("224.0.0.0", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("100::1", false),
            ("1fff:ffff::1", false),
            ("2000::1", true),
            ("2001:db7:ffff::1", true),
            ("2001:db8::1", false),
            ("2001:db8:ffff::1", false),
            ("2001:db9::1", true),
            ("2606:4700::1111", true),
            ("3ffe:ffff::1", true),
            ("3fff::1", false),
            ("3fff:fff:ffff::1", false),
            ("3fff:1000::1", true),
            ("4000::1", false),
            ("fc00::1", false),
            ("fd00::1", false),
            ("fdff:ffff::1", false),
            ("fe80::1", false),
            ("febf:ffff::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            // IPv4 in IPv6.
            ("::ffff:1.1.1.1", true),
            ("::ffff:10.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::1.1.1.1", true),
            ("64:ff9b::192.168.0.1", false),
            ("64:ff9b:1::1.1.1.1", false),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(is_public(parsed), expected, "{address}");
        }
    }
}
