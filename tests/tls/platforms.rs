//! One test for each row of the table in `docs/behind-a-proxy.md`: the settings that it names, with
//! the headers as the platform writes them.
//!
//! The rows of nginx, Caddy and HAProxy also run with the real programs: `tests/behind_proxy`.

use http::{HeaderName, HeaderValue};
use tower_whatsapp::{
    RejectionKind::{AddressRefused, AddressUnknown},
    WebhookLayerBuilder,
    admission::{
        CertificateHeader, ClientCertificate, ForwardedHeader, IpAllowList, PeerAddr,
        TrustedProxies,
    },
};

use crate::{
    META,
    headers::{Expected, GOOD, MISSING, REFUSED, base64, escaped},
    names::{answer, builder},
    pki::{Authority, Wanted},
};

const TABLE: &str = include_str!("../../docs/behind-a-proxy.md");

/// An address of Meta's, and one of somebody else.
const CALLER: &str = "157.240.22.35";
const STRANGER: &str = "198.51.100.7";
/// What a stranger writes to pass for Meta.
const FORGED: &str = "157.240.22.35, 198.51.100.7";

const OTHER: Expected = Err(AddressRefused);
const UNKNOWN: Expected = Err(AddressUnknown);

/// A balancer, and a process beside the host.
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

/// `X-Forwarded-For` of one proxy that appends.
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

/// A header with the client's address alone, beside an `X-Forwarded-For` of the caller's.
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
    /// With Meta's name and another one.
    both: String,
    intermediate: String,
}

impl Certificates {
    fn new() -> Self {
        let authority = Authority::new("Meta's authority");
        let pem = |wanted| authority.sign(wanted).pem();
        Self {
            meta: pem(Wanted::named(META)),
            other: pem(Wanted::named("example.com")),
            both: pem(Wanted::named("example.com").and_named(META)),
            intermediate: authority.pem(),
        }
    }
}

fn cn(name: &str) -> String {
    format!("CN={name},O=Meta Platforms\\, Inc.,L=Menlo Park,ST=California,C=US")
}

/// A header that has only what was verified.
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

/// The certificate, and the verdict that goes with it.
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
async fn api_gateway() {
    // A function has no connection.
    check_appended(hop_count(1, ForwardedHeader::x_forwarded_for()), None).await;
    check_subjects(
        CertificateHeader::subject(SUBJECT),
        LOCAL,
        "x-client-subject",
    )
    .await;
}

#[tokio::test]
async fn cloudflare() {
    let list = IpAllowList::parse("173.245.48.0/20\n103.21.244.0/22\n2400:cb00::/32").unwrap();
    let proxies = || TrustedProxies::from_list(list.clone(), ForwardedHeader::cloudflare());
    check_single(proxies(), Some("173.245.48.9"), "cf-connecting-ip").await;
    let around = [("around it", &[("cf-connecting-ip", CALLER)][..], OTHER)];
    check(by_address(proxies()), Some(STRANGER), &around).await;

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
        // Written all the same.
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
    // Before a balancer of one's own, which appends the address of CloudFront.
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
    // What the table warns of: the last element is not the caller.
    let proxies = hop_count(1, ForwardedHeader::x_forwarded_for());
    let wrong = [("plain", &[(name, &*meta)][..], OTHER)];
    check(by_address(proxies), Some("35.191.0.1"), &wrong).await;

    let rfc_9440 = |pem: &str| format!(":{}:", base64(pem));
    let verdict = Some(("x-client-cert-chain-verified", "true", "false"));
    let header = CertificateHeader::google_load_balancer();
    check_certificates(header, rfc_9440, "x-client-cert-leaf", verdict).await;
}

#[tokio::test]
async fn cloud_run() {
    // Without a load balancer of one's own there is one element.
    let proxies = hop_count(1, ForwardedHeader::x_forwarded_for());
    check_appended(proxies, Some("169.254.169.126")).await;
}

#[tokio::test]
async fn azure_front_door() {
    let list = IpAllowList::parse("147.243.0.0/16").unwrap();
    let proxies = TrustedProxies::from_list(list, ForwardedHeader::azure_front_door());
    check_single(proxies, Some("147.243.1.2"), "x-azure-socketip").await;
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
}

#[tokio::test]
async fn ingress_nginx() {
    check_appended(prefixes(ForwardedHeader::x_forwarded_for()), BALANCER).await;
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
    let gateway = |name| format!("Hash=f4cf;Subject=\"{}\";URI=", cn(name));
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

/// The table and these tests have the same platforms.
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
    assert_eq!(count, 18);
}
