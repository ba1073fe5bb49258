//! One test per row of the table in `docs/behind-a-proxy.md`: the settings of the row, with the
//! headers as the platform writes them.
//!
//! The rows of nginx, Caddy and HAProxy also run with the real programs in `tests/behind_proxy`.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use tls_tests::pki::{Authority, CertificateRequest};
use tower_whatsapp::{
    RejectionKind::{AddressRefused, AddressUnknown},
    WebhookLayerBuilder,
    admission::{
        CertificateHeader, ClientCertificate, ForwardedHeader, IpAllowList, PeerAddr,
        PeerCertificate, TrustedProxies,
    },
};

use crate::{
    META,
    headers::{Expected, GOOD, MISSING, REFUSED, base64, escaped},
    names::{answer, builder},
};

const TABLE: &str = include_str!("../../../../docs/behind-a-proxy.md");

/// An address of Meta, and one of another caller.
const CALLER: &str = "157.240.22.35";
const STRANGER: &str = "198.51.100.7";
/// A header that an attacker forges to impersonate Meta.
const FORGED: &str = "157.240.22.35, 198.51.100.7";

const OTHER: Expected = Err(AddressRefused);
const UNKNOWN: Expected = Err(AddressUnknown);

/// Addresses of a load balancer, and of a process next to the host.
const BALANCER: Option<&str> = Some("10.0.3.7");
const LOCAL: Option<&str> = Some("127.0.0.1");

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn check(
    layer: WebhookLayerBuilder,
    peer: Option<&str>,
    rows: &[(&str, Headers<'_>, Expected)],
) {
    let layer = layer.build().unwrap();
    for (what, headers, expected) in rows {
        let found = answer(&layer, |request| {
            if let Some(peer) = peer {
                let peer = PeerAddr(format!("{peer}:4711").parse().unwrap());
                request.extensions_mut().insert(peer);
            }
            for (name, value) in *headers {
                let name: HeaderName = name.parse().unwrap();
                let value = HeaderValue::from_str(value).unwrap();
                request.headers_mut().append(name, value);
            }
        });
        assert_eq!(found.await, *expected, "{what}");
    }
}

fn by_address(proxies: TrustedProxies) -> WebhookLayerBuilder {
    let list = IpAllowList::from_prefixes(["157.240.0.0/16", "2a03:2880::/32"]).unwrap();
    crate::names::unguarded()
        .ip_allow_list(list)
        .trusted_proxies(proxies)
}

fn by_certificate(header: CertificateHeader) -> WebhookLayerBuilder {
    let proxies = ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16"];
    let proxies = TrustedProxies::from_prefixes(proxies, ForwardedHeader::x_forwarded_for());
    builder(ClientCertificate::meta().forwarded(header)).trusted_proxies(proxies.unwrap())
}

fn prefixes(header: ForwardedHeader) -> TrustedProxies {
    TrustedProxies::from_prefixes(["10.0.0.0/8", "127.0.0.0/8"], header).unwrap()
}

fn hop_count(count: usize, header: ForwardedHeader) -> TrustedProxies {
    TrustedProxies::with_hop_count(count, header).unwrap()
}

/// Both columns of a row in one layer: an allow list and a forwarded certificate.
struct Combined<'a> {
    proxies: TrustedProxies,
    header: CertificateHeader,
    peer: &'a str,
    /// Headers that report the client address.
    address: &'a dyn Fn(&str) -> Vec<(&'static str, String)>,
    /// Headers that report the certificate's name.
    certificate: &'a dyn Fn(&str) -> Vec<(&'static str, String)>,
}

impl Combined<'_> {
    async fn check(self) {
        let ours = self.peer;
        for (what, peer, address, name, expected) in [
            ("Meta", ours, CALLER, META, GOOD),
            ("a stranger", ours, STRANGER, META, OTHER),
            ("another name", ours, CALLER, "example.com", REFUSED),
            ("around the proxies", STRANGER, CALLER, META, OTHER),
            (
                "around them, with Meta's address",
                CALLER,
                CALLER,
                META,
                MISSING,
            ),
        ] {
            let headers = [(self.address)(address), (self.certificate)(name)].concat();
            let headers: Vec<_> = (headers.iter())
                .map(|(name, value)| (*name, &**value))
                .collect();
            let certificate = ClientCertificate::meta().forwarded(self.header.clone());
            let layer = by_address(self.proxies.clone()).client_certificate(certificate);
            check(layer, Some(peer), &[(what, &headers, expected)]).await;
        }
    }
}

fn subject_of(name: &str) -> Vec<(&'static str, String)> {
    vec![("x-client-subject", cn(name))]
}

/// `X-Forwarded-For` of one proxy that appends to it.
async fn check_appended(proxies: TrustedProxies, peer: Option<&str>) {
    let name = "x-forwarded-for";
    let rows = [
        ("Meta", &[(name, CALLER)][..], GOOD),
        ("Meta by IPv6", &[(name, "2a03:2880:f0::1")], GOOD),
        ("a stranger", &[(name, STRANGER)], OTHER),
        ("a stranger that forges", &[(name, FORGED)], OTHER),
        (
            "forged in a line of its own",
            &[(name, CALLER), (name, STRANGER)],
            OTHER,
        ),
        ("no header", &[], UNKNOWN),
    ];
    check(by_address(proxies), peer, &rows).await;
}

/// A header with only the client address, beside a forged `X-Forwarded-For`.
async fn check_single(proxies: TrustedProxies, peer: Option<&str>, name: &str) {
    let forged = ("x-forwarded-for", CALLER);
    let rows = [
        ("Meta", &[(name, CALLER)][..], GOOD),
        ("Meta by IPv6", &[(name, "2a03:2880:f0::1")], GOOD),
        ("a stranger", &[(name, STRANGER)], OTHER),
        ("a stranger that forges", &[forged, (name, STRANGER)], OTHER),
        ("not through the platform", &[forged], UNKNOWN),
        ("twice", &[(name, CALLER), (name, STRANGER)], UNKNOWN),
    ];
    check(by_address(proxies), peer, &rows).await;
}

struct Certificates {
    meta: String,
    other: String,
    /// A certificate with Meta's name and another one.
    both: String,
    intermediate: String,
}

impl Certificates {
    fn new() -> Self {
        let authority = Authority::new("Meta's authority");
        let pem = |wanted| authority.sign(wanted).pem();
        Self {
            meta: pem(CertificateRequest::named(META)),
            other: pem(CertificateRequest::named("example.com")),
            both: pem(CertificateRequest::named("example.com").and_named(META)),
            intermediate: authority.pem(),
        }
    }
}

fn cn(name: &str) -> String {
    format!("CN={name},O=Meta Platforms\\, Inc.,L=Menlo Park,ST=California,C=US")
}

/// A header that has only verified subjects.
async fn check_subjects(header: CertificateHeader, peer: Option<&str>, name: &str) {
    let (meta, other) = (cn(META), cn("example.com"));
    let both = format!("{meta},CN=example.com");
    let rows = [
        ("Meta", &[(name, &*meta)][..], GOOD),
        ("another", &[(name, &*other)], REFUSED),
        ("two names", &[(name, &*both)], REFUSED),
        ("no certificate", &[], MISSING),
    ];
    check(by_certificate(header), peer, &rows).await;
}

/// A header with the certificate, and one with the verdict.
async fn check_certificates(
    header: CertificateHeader,
    encode: impl Fn(&str) -> String,
    name: &str,
    verdict: Option<(&str, &str, &str)>,
) {
    let pems = Certificates::new();
    let [meta, other, both] = [&pems.meta, &pems.other, &pems.both].map(|pem| encode(pem));
    let (ok, bad) = match verdict {
        Some((name, ok, bad)) => (vec![(name, ok)], vec![(name, bad)]),
        None => (vec![], vec![]),
    };
    let with = |certificate| [&[(name, certificate)], &ok[..]].concat();
    let rows = [
        ("Meta", &*with(&meta), GOOD),
        ("another", &with(&other), REFUSED),
        ("two names", &with(&both), REFUSED),
        ("an empty value", &with(""), MISSING),
        ("no certificate", &ok, MISSING),
    ];
    check(by_certificate(header.clone()), LOCAL, &rows).await;
    if verdict.is_some() {
        let unverified = [&[(name, &*meta)], &bad[..]].concat();
        let rows = [
            ("not verified", &*unverified, REFUSED),
            ("no verdict", &[(name, &*meta)], REFUSED),
        ];
        check(by_certificate(header), LOCAL, &rows).await;
    }
}

const VERIFY: HeaderName = HeaderName::from_static("x-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-subject");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-client-certificate");

#[tokio::test]
async fn aws_alb() {
    check_appended(prefixes(ForwardedHeader::aws_alb()), BALANCER).await;
    // With `routing.http.xff_client_port.enabled`.
    let with_port = [
        (
            "IPv4",
            &[("x-forwarded-for", "157.240.22.35:44300")][..],
            GOOD,
        ),
        (
            "IPv6",
            &[("x-forwarded-for", "[2a03:2880:f0::1]:44300")],
            GOOD,
        ),
    ];
    let proxies = prefixes(ForwardedHeader::aws_alb());
    check(by_address(proxies), BALANCER, &with_port).await;
    let subject = "x-amzn-mtls-clientcert-subject";
    check_subjects(CertificateHeader::aws_alb(), BALANCER, subject).await;
    let passthrough = [(
        "passthrough",
        &[("x-amzn-mtls-clientcert", "x")][..],
        MISSING,
    )];
    let layer = by_certificate(CertificateHeader::aws_alb());
    check(layer, BALANCER, &passthrough).await;
}

#[tokio::test]
async fn api_gateway_http_api() {
    let element = |address: &str| {
        format!(
            "by=3.73.10.20;for={address};host=abc.execute-api.eu-central-1.amazonaws.com;proto=https"
        )
    };
    let name = "forwarded";
    let [meta, stranger] = [CALLER, STRANGER].map(element);
    let forged = format!("for={CALLER}, {stranger}");
    let own = ("x-forwarded-for", CALLER);
    let rows = [
        ("Meta", &[(name, &*meta)][..], GOOD),
        ("a stranger", &[(name, &*stranger)], OTHER),
        ("a stranger that forges", &[(name, &*forged)], OTHER),
        (
            "a header of the caller's",
            &[own, (name, &*stranger)],
            OTHER,
        ),
        ("no header", &[own], UNKNOWN),
    ];
    // A number of proxies needs no peer address.
    let proxies = hop_count(1, ForwardedHeader::forwarded());
    check(by_address(proxies), None, &rows).await;

    let header = || CertificateHeader::subject(SUBJECT);
    check_subjects(header(), BALANCER, "x-client-subject").await;
    // Through a VPC link.
    let combined = Combined {
        proxies: prefixes(ForwardedHeader::forwarded()),
        header: header(),
        peer: "10.0.3.7",
        address: &|address| vec![(name, element(address))],
        certificate: &subject_of,
    };
    combined.check().await;
}

#[tokio::test]
async fn api_gateway_rest_api() {
    let header = ForwardedHeader::x_forwarded_for;
    check_appended(hop_count(1, header()), None).await;
    // Edge-optimized: behind CloudFront.
    let edge = [
        (
            "Meta",
            &[("x-forwarded-for", "157.240.22.35, 130.176.1.2")][..],
            GOOD,
        ),
        (
            "a stranger that forges",
            &[(
                "x-forwarded-for",
                "157.240.22.35, 198.51.100.7, 130.176.1.2",
            )],
            OTHER,
        ),
    ];
    check(by_address(hop_count(2, header())), None, &edge).await;
    let combined = Combined {
        proxies: prefixes(header()),
        header: CertificateHeader::subject(SUBJECT),
        peer: "10.0.3.7",
        address: &|address| vec![("x-forwarded-for", format!("192.0.2.1, {address}"))],
        certificate: &subject_of,
    };
    combined.check().await;
}

/// The event contains the address and the certificate, so no header is read.
#[tokio::test]
async fn api_gateway_function() {
    let list = IpAllowList::from_prefixes(["157.240.0.0/16", "2a03:2880::/32"]).unwrap();
    let layer = builder(ClientCertificate::meta()).ip_allow_list(list);
    let layer = layer.build().unwrap();
    let authority = Authority::new("Meta's authority");
    for (what, source_ip, name, expected) in [
        ("Meta", CALLER, Some(META), GOOD),
        ("Meta by IPv6", "2a03:2880:f0::1", Some(META), GOOD),
        ("a stranger", STRANGER, Some(META), OTHER),
        ("another name", CALLER, Some("example.com"), REFUSED),
        ("no certificate", CALLER, None, MISSING),
    ] {
        let shown = name.map(|name| {
            let identity = authority.sign(CertificateRequest::named(name));
            PeerCertificate::from_verified_chain(&[identity.leaf()]).unwrap()
        });
        let found = answer(&layer, |request| {
            let address: IpAddr = source_ip.parse().unwrap();
            request
                .extensions_mut()
                .insert(PeerAddr((address, 0).into()));
            if let Some(shown) = shown {
                request.extensions_mut().insert(shown);
            }
            let forged = HeaderValue::from_static(CALLER);
            request.headers_mut().append("x-forwarded-for", forged);
        });
        assert_eq!(found.await, expected, "{what}");
    }
}

#[tokio::test]
async fn cloudflare() {
    let list = IpAllowList::parse("173.245.48.0/20\n103.21.244.0/22\n2400:cb00::/32").unwrap();
    let proxies = || TrustedProxies::from_list(list.clone(), ForwardedHeader::cloudflare());
    check_single(proxies(), Some("173.245.48.9"), "cf-connecting-ip").await;
    let around = [("around it", &[("cf-connecting-ip", CALLER)][..], OTHER)];
    check(by_address(proxies()), Some(STRANGER), &around).await;
    // In front of a load balancer of yours, which forwards the header.
    let balancer = prefixes(ForwardedHeader::cloudflare());
    check_single(balancer, BALANCER, "cf-connecting-ip").await;
    // Pseudo IPv4 replaces an IPv6 address, and keeps it in another header.
    let replaced = [
        ("cf-connecting-ip", "246.1.2.3"),
        ("cf-connecting-ipv6", "2a03:2880:f0::1"),
    ];
    let rows = [("Pseudo IPv4", &replaced[..], OTHER)];
    check(by_address(proxies()), Some("173.245.48.9"), &rows).await;

    let (meta, other) = (cn(META), cn("example.com"));
    fn said<'a>(subject: &'a str, verified: &'a str, revoked: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("cf-cert-subject-dn-rfc2253", subject),
            ("cf-cert-verified", verified),
            ("cf-cert-revoked", revoked),
        ]
    }
    let rows = [
        ("Meta", &said(&meta, "true", "false")[..], GOOD),
        ("another", &said(&other, "true", "false"), REFUSED),
        // The header is present even so.
        ("not verified", &said(&meta, "false", "false"), REFUSED),
        ("revoked", &said(&meta, "true", "true"), REFUSED),
        ("no certificate", &said("", "false", "false"), MISSING),
    ];
    check(
        by_certificate(CertificateHeader::cloudflare()),
        LOCAL,
        &rows,
    )
    .await;
}

#[tokio::test]
async fn cloudfront() {
    let list = IpAllowList::parse("130.176.0.0/17\n64.252.64.0/18").unwrap();
    let header = ForwardedHeader::x_forwarded_for();
    let proxies = TrustedProxies::from_list(list, header.clone());
    check_appended(proxies, Some("130.176.1.2")).await;
    // CloudFront in front of a load balancer, which appends CloudFront's address.
    let rows = [
        (
            "Meta",
            &[("x-forwarded-for", "157.240.22.35, 130.176.1.2")][..],
            GOOD,
        ),
        (
            "a stranger",
            &[(
                "x-forwarded-for",
                "157.240.22.35, 198.51.100.7, 130.176.1.2",
            )],
            OTHER,
        ),
    ];
    check(by_address(hop_count(2, header)), BALANCER, &rows).await;
    let pem = |pem: &str| escaped(pem, b"+=/");
    let name = "cloudfront-viewer-cert-pem";
    check_certificates(CertificateHeader::cloudfront(), pem, name, None).await;

    // The same with the addresses of both. The load balancer forwards the certificate header.
    let both = IpAllowList::parse("130.176.0.0/17\n64.252.64.0/18\n10.0.0.0/16").unwrap();
    let authority = Authority::new("Meta's authority");
    let certificate = |of: &str| {
        vec![(
            name,
            pem(&authority.sign(CertificateRequest::named(of)).pem()),
        )]
    };
    let through_balancer = Combined {
        proxies: TrustedProxies::from_list(both, ForwardedHeader::aws_alb()),
        header: CertificateHeader::cloudfront(),
        peer: "10.0.3.7",
        address: &|address| vec![("x-forwarded-for", format!("{address}, 130.176.1.2"))],
        certificate: &certificate,
    };
    through_balancer.check().await;
    // A VPC origin: CloudFront calls from addresses of the subnet.
    let vpc_origin = Combined {
        proxies: prefixes(ForwardedHeader::x_forwarded_for()),
        header: CertificateHeader::cloudfront(),
        peer: "10.0.3.7",
        address: &|address| vec![("x-forwarded-for", address.to_owned())],
        certificate: &certificate,
    };
    vpc_origin.check().await;
}

/// The custom headers of a Google load balancer.
async fn check_google_combined(trusted: &[&str], peer: &str) {
    let authority = Authority::new("Meta's authority");
    let certificate = |of: &str| {
        let pem = authority.sign(CertificateRequest::named(of)).pem();
        vec![
            ("x-client-cert-leaf", format!(":{}:", base64(&pem))),
            ("x-client-cert-chain-verified", "true".to_owned()),
        ]
    };
    let header = ForwardedHeader::google_load_balancer();
    let combined = Combined {
        proxies: TrustedProxies::from_prefixes(trusted, header).unwrap(),
        header: CertificateHeader::google_load_balancer(),
        peer,
        address: &|address| vec![("x-forwarded-for", format!("{address},203.0.113.9"))],
        certificate: &certificate,
    };
    combined.check().await;
}

#[tokio::test]
async fn google_load_balancer() {
    let proxies = hop_count(1, ForwardedHeader::google_load_balancer());
    let name = "x-forwarded-for";
    let own = "203.0.113.9";
    let [meta, stranger, forged] = [CALLER, STRANGER, FORGED].map(|it| format!("{it},{own}"));
    let rows = [
        ("Meta", &[(name, &*meta)][..], GOOD),
        ("a stranger", &[(name, &*stranger)], OTHER),
        ("a stranger that forges", &[(name, &*forged)], OTHER),
        ("no header", &[], UNKNOWN),
    ];
    check(by_address(proxies), Some("35.191.0.1"), &rows).await;
    // As the table warns, the last element is not the client.
    let proxies = hop_count(1, ForwardedHeader::x_forwarded_for());
    let wrong = [("plain", &[(name, &*meta)][..], OTHER)];
    check(by_address(proxies), Some("35.191.0.1"), &wrong).await;

    let rfc_9440 = |pem: &str| format!(":{}:", base64(pem));
    let verdict = Some(("x-client-cert-chain-verified", "true", "false"));
    let header = CertificateHeader::google_load_balancer();
    check_certificates(header, rfc_9440, "x-client-cert-leaf", verdict).await;
    check_google_combined(&["35.191.0.0/16", "130.211.0.0/22"], "35.191.0.1").await;
    // Regional: the proxy-only subnet.
    check_google_combined(&["10.129.0.0/23"], "10.129.0.7").await;
}

#[tokio::test]
async fn cloud_run() {
    // Without a load balancer there is one element.
    let proxies = hop_count(1, ForwardedHeader::x_forwarded_for());
    check_appended(proxies, Some("169.254.169.126")).await;
    // Behind a load balancer.
    check_google_combined(&["169.254.0.0/16"], "169.254.169.126").await;
}

#[tokio::test]
async fn azure_front_door() {
    let list = IpAllowList::parse("147.243.0.0/16").unwrap();
    let proxies = TrustedProxies::from_list(list, ForwardedHeader::azure_front_door());
    check_single(proxies, Some("147.243.1.2"), "x-azure-socketip").await;
    // Private Link: the customer's subnet.
    let private = prefixes(ForwardedHeader::azure_front_door());
    check_single(private, BALANCER, "x-azure-socketip").await;
    // App Service and Container Apps: a front end of the platform is in between.
    let front_end = hop_count(1, ForwardedHeader::azure_front_door());
    check_single(front_end, Some("100.100.0.7"), "x-azure-socketip").await;
}

#[tokio::test]
async fn fly_io() {
    let proxies = hop_count(1, ForwardedHeader::fly_io());
    check_single(proxies, Some("172.16.1.2"), "fly-client-ip").await;
    // `X-Forwarded-For` has the address of the app behind that of the client.
    let rows = [
        (
            "Meta",
            &[("x-forwarded-for", "157.240.22.35, 66.241.124.1")][..],
            GOOD,
        ),
        (
            "a stranger",
            &[(
                "x-forwarded-for",
                "157.240.22.35, 198.51.100.7, 66.241.124.1",
            )],
            OTHER,
        ),
    ];
    let header = ForwardedHeader::x_forwarded_for().with_own_address();
    check(by_address(hop_count(1, header)), Some("172.16.1.2"), &rows).await;
}

#[tokio::test]
async fn render() {
    // Cloudflare and Render's own proxy.
    let proxies = hop_count(2, ForwardedHeader::x_forwarded_for());
    let name = "x-forwarded-for";
    let rows = [
        ("Meta", &[(name, "157.240.22.35, 104.22.17.40")][..], GOOD),
        ("a stranger", &[(name, "198.51.100.7, 104.22.17.40")], OTHER),
        (
            "a stranger that forges",
            &[(name, "157.240.22.35, 198.51.100.7, 104.22.17.40")],
            OTHER,
        ),
        ("one proxy", &[(name, CALLER)], UNKNOWN),
    ];
    check(by_address(proxies), Some("10.21.157.68"), &rows).await;
}

#[tokio::test]
async fn ngrok() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), LOCAL).await;
    // As a separate container.
    let container = ["172.18.0.0/16"];
    let container = TrustedProxies::from_prefixes(container, ForwardedHeader::x_forwarded_for());
    check_appended(container.unwrap(), Some("172.18.0.3")).await;
    let header = CertificateHeader::common_name(SUBJECT);
    let rows = [
        ("Meta", &[("x-client-subject", META)][..], GOOD),
        ("another", &[("x-client-subject", "example.com")], REFUSED),
        ("no certificate", &[("x-client-subject", "")], MISSING),
    ];
    check(by_certificate(header), LOCAL, &rows).await;
}

#[tokio::test]
async fn cloudflared() {
    let proxies = prefixes(ForwardedHeader::cloudflare());
    check_single(proxies, LOCAL, "cf-connecting-ip").await;
    // As a separate container.
    let container = ["172.18.0.0/16"];
    let container = TrustedProxies::from_prefixes(container, ForwardedHeader::cloudflare());
    check_single(container.unwrap(), Some("172.18.0.3"), "cf-connecting-ip").await;
}

#[tokio::test]
async fn ingress_nginx() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), BALANCER).await;
    // `compute-full-forwarded-for` behind another load balancer, 10.0.9.1.
    let name = "x-forwarded-for";
    let forged = "157.240.22.35, 198.51.100.7, 10.0.9.1";
    let rows = [
        ("Meta", &[(name, "157.240.22.35, 10.0.9.1")][..], GOOD),
        ("a stranger that forges", &[(name, forged)], OTHER),
    ];
    let proxies = prefixes(ForwardedHeader::x_forwarded_for());
    check(by_address(proxies), BALANCER, &rows).await;
    let pem = |pem: &str| escaped(pem, b"");
    let verdict = Some(("ssl-client-verify", "SUCCESS", "FAILED:unable to verify"));
    let header = CertificateHeader::ingress_nginx();
    check_certificates(header, pem, "ssl-client-cert", verdict).await;
}

#[tokio::test]
async fn traefik() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), BALANCER).await;
    let name = "x-forwarded-tls-client-cert";
    let intermediate = base64(&Certificates::new().intermediate);
    let version_3 = |pem: &str| match base64(pem) {
        own if own.is_empty() => own,
        own => format!("{own},{intermediate}"),
    };
    check_certificates(CertificateHeader::traefik(), version_3, name, None).await;
    let version_2 = |pem: &str| escaped(&base64(pem), b"");
    check_certificates(CertificateHeader::traefik(), version_2, name, None).await;
}

#[tokio::test]
async fn envoy() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), BALANCER).await;
    let name = "x-forwarded-client-cert";
    let pems = Certificates::new();
    let element = |pem: &str| format!("Hash=0af1;Cert=\"{}\"", escaped(pem, b""));
    let [meta, other, both] = [&pems.meta, &pems.other, &pems.both].map(|pem| element(pem));
    let appended = format!("{meta},{other}");
    let rows = [
        ("Meta", &[(name, &*meta)][..], GOOD),
        ("another", &[(name, &*other)], REFUSED),
        ("two names", &[(name, &*both)], REFUSED),
        ("no certificate", &[], MISSING),
        ("a caller's own element", &[(name, &*appended)], REFUSED),
    ];
    check(by_certificate(CertificateHeader::envoy()), BALANCER, &rows).await;
}

#[tokio::test]
async fn istio() {
    let list = TrustedProxies::from_prefixes(["127.0.0.6"], ForwardedHeader::x_forwarded_for());
    check_appended(list.unwrap(), Some("127.0.0.6")).await;
    let name = "x-forwarded-client-cert";
    let gateway = |name: &str| format!("Hash=f4cf;Subject=\"{}\";URI=", cn(name));
    let sidecar = "By=spiffe://cluster.local/ns/default/sa/default;Hash=6d1f;Subject=\"\";\
        URI=spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    let [meta, other] = [META, "example.com"].map(|name| format!("{},{sidecar}", gateway(name)));
    let forged = format!("{},{meta}", gateway(META));
    let rows = [
        ("Meta", &[(name, &*meta)][..], GOOD),
        ("another", &[(name, &*other)], REFUSED),
        ("no certificate", &[(name, sidecar)], MISSING),
        (
            "a gateway that does not sanitize",
            &[(name, &*forged)],
            REFUSED,
        ),
    ];
    let layer = by_certificate(CertificateHeader::istio());
    check(layer, Some("127.0.0.6"), &rows).await;
    // Without a sidecar: only the gateway's element, from its address in the pod network.
    let ambient = Combined {
        proxies: prefixes(ForwardedHeader::x_forwarded_for()),
        header: CertificateHeader::envoy(),
        peer: "10.0.3.7",
        address: &|address| vec![("x-forwarded-for", address.to_owned())],
        certificate: &|of| vec![(name, gateway(of))],
    };
    ambient.check().await;
}

#[tokio::test]
async fn haproxy() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), LOCAL).await;
    let header = CertificateHeader::haproxy(VERIFY, CERTIFICATE);
    let verdict = Some(("x-client-verify", "0", "20"));
    check_certificates(header, base64, "x-client-certificate", verdict).await;
}

#[tokio::test]
async fn nginx() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), LOCAL).await;
    let pem = |pem: &str| escaped(pem, b"");
    let verdict = Some(("x-client-verify", "SUCCESS", "NONE"));
    let header = CertificateHeader::nginx_certificate(VERIFY, CERTIFICATE);
    check_certificates(header, pem, "x-client-certificate", verdict).await;
    let subject = CertificateHeader::nginx_subject(VERIFY, SUBJECT);
    let verified = [
        ("x-client-verify", "SUCCESS"),
        ("x-client-subject", &cn(META)),
    ];
    let rows = [
        ("Meta", &verified[..], GOOD),
        ("no verdict", &verified[1..], REFUSED),
    ];
    check(by_certificate(subject), LOCAL, &rows).await;
}

#[tokio::test]
async fn caddy() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), LOCAL).await;
    let name = "x-client-certificate";
    let header = || CertificateHeader::certificate(CERTIFICATE);
    check_certificates(header(), base64, name, None).await;
    let placeholder = "{http.request.tls.client.certificate_der_base64}";
    let rows = [("no certificate", &[(name, placeholder)][..], MISSING)];
    check(by_certificate(header()), LOCAL, &rows).await;
}

/// The table and these tests must cover the same platforms.
#[test]
fn each_row_of_the_table_has_its_test() {
    let source = include_str!("platforms.rs");
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| **"));
    let mut count = 0;
    for row in rows {
        let (name, rest) = row.split_once("** ").unwrap();
        let test = name.to_lowercase().replace([' ', '-', '.'], "_");
        let test = test.replace("google_cloud_", "google_");
        assert!(
            source.contains(&format!("\nasync fn {test}() {{")),
            "{test}"
        );
        assert!(rest.contains("](https://"), "{name} cites no page");
        count += 1;
    }
    // 18 platforms, of which API Gateway has three kinds.
    assert_eq!(count, 20);
}
