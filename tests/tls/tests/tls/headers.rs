//! Certificate headers of proxies.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue};
use tls_tests::pki::{Authority, CertificateRequest, Identity};
use tower_whatsapp::{
    ConfigError, RejectionKind,
    admission::{
        AdmissionPolicy, CertificateHeader, ClientCertificate, ForwardedHeader, IpAllowList,
        PeerAddr, PeerCertificate, TrustedProxies,
    },
};

use crate::{
    META,
    names::{answer, builder, subjects},
};

pub(crate) const PROXY: &str = "10.1.2.3:40000";
const STRANGER: &str = "192.0.2.7:40000";

const VERIFY: HeaderName = HeaderName::from_static("x-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-subject");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-client-certificate");
const ALB: &str = "x-amzn-mtls-clientcert-subject";
const XFCC: &str = "x-forwarded-client-cert";

fn nginx() -> CertificateHeader {
    CertificateHeader::nginx_subject(VERIFY, SUBJECT)
}

fn nginx_pem() -> CertificateHeader {
    CertificateHeader::nginx_certificate(VERIFY, CERTIFICATE)
}

/// Percent-encodes as nginx and Envoy do. `safe` are further bytes that AWS does not encode.
pub(crate) fn escaped(pem: &str, safe: &[u8]) -> String {
    pem.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

pub(crate) type Expected = Result<(), RejectionKind>;

pub(crate) const GOOD: Expected = Ok(());
pub(crate) const REFUSED: Expected = Err(RejectionKind::CertificateRefused);
pub(crate) const MISSING: Expected = Err(RejectionKind::CertificateMissing);

async fn found(
    header: CertificateHeader,
    peer: Option<&str>,
    headers: &[(&str, &str)],
) -> Expected {
    let proxies =
        TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for()).unwrap();
    let layer = builder(ClientCertificate::meta().forwarded(header))
        .trusted_proxies(proxies)
        .build()
        .unwrap();
    answer(&layer, |request| {
        if let Some(peer) = peer {
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(PeerAddr(peer));
        }
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append(name, value);
        }
    })
    .await
}

#[tokio::test]
async fn subjects_as_text() {
    let cn = format!("CN={META}");
    let beside = format!("{cn},O=Meta Platforms\\, Inc.,L=Menlo Park,ST=California,C=US");
    let before = format!("C=US,O=Meta,{cn}");
    let twice = format!("{cn},{cn}");
    let multi = format!("OU=x+{cn},O=Meta");
    let rows = [
        ("alone", &*cn, GOOD),
        ("beside others", &beside, GOOD),
        ("last", &before, GOOD),
        ("with spaces", &format!("O=Meta, {cn} , C=US"), GOOD),
        ("in quotes", &format!("CN=\"{META}\",O=Meta"), GOOD),
        (
            "with escapes that change nothing",
            &cn.replace('.', "\\2e"),
            GOOD,
        ),
        (
            "by the number of its type",
            &format!("2.5.4.3={META}"),
            GOOD,
        ),
        ("among several of one step", &multi, GOOD),
        (
            "after an escaped comma",
            &format!("CN=x\\,CN={META}"),
            REFUSED,
        ),
        (
            "after an escaped comma of another",
            &format!("O=x\\,CN={META}"),
            REFUSED,
        ),
        (
            "after a comma in hexadecimal",
            &format!("O=x\\2CCN={META}"),
            REFUSED,
        ),
        ("within quotes", &format!("O=\"x,CN={META}\""), REFUSED),
        (
            "within quotes that are escaped",
            &format!("O=\"x\\\",CN={META}\""),
            REFUSED,
        ),
        ("after an equals sign", &format!("O=CN={META}"), REFUSED),
        ("with a prefix", &format!("CN=x.{META}"), REFUSED),
        ("with a suffix", &format!("{cn}.example.com"), REFUSED),
        ("with a space at the end", &format!("{cn}\\ "), REFUSED),
        ("in capitals", &cn.to_uppercase(), REFUSED),
        ("twice", &twice, REFUSED),
        (
            "and another of one step",
            &format!("{cn}+CN=example.com"),
            REFUSED,
        ),
        (
            "and another by number",
            &format!("{cn},2.5.4.3=#0c0178"),
            REFUSED,
        ),
        ("in BER", "CN=#0c0161", REFUSED),
        ("of another kind", &format!("OU={META}"), REFUSED),
        ("no name", "O=Meta", REFUSED),
        ("nothing", "", MISSING),
        (
            "a placeholder that the proxy did not fill in",
            "{http.request.tls.client.subject}",
            MISSING,
        ),
        ("with slashes", &format!("/C=US/{cn}"), REFUSED),
        ("breaking off in an escape", &format!("{cn},O=x\\"), REFUSED),
        ("breaking off in quotes", &format!("{cn},O=\"x"), REFUSED),
        ("ending with a comma", &format!("{cn},"), REFUSED),
        ("bare", META, REFUSED),
        ("long", &format!("{cn},O={}", "x".repeat(15 * 1024)), GOOD),
        (
            "too long",
            &format!("{cn},O={}", "x".repeat(16 * 1024)),
            REFUSED,
        ),
    ];
    for (what, subject, expected) in rows {
        let verified = ("x-client-verify", "SUCCESS");
        let by_nginx = [verified, ("x-client-subject", subject)];
        assert_eq!(
            found(nginx(), Some(PROXY), &by_nginx).await,
            expected,
            "nginx: {what}"
        );

        let by_caddy = [("x-client-subject", subject)];
        let header = CertificateHeader::subject(SUBJECT);
        assert_eq!(
            found(header, Some(PROXY), &by_caddy).await,
            expected,
            "Caddy: {what}"
        );

        let by_alb = [(ALB, subject)];
        let header = CertificateHeader::aws_alb();
        assert_eq!(
            found(header, Some(PROXY), &by_alb).await,
            expected,
            "ALB: {what}"
        );

        // Envoy escapes quotes, and writes an element only for a certificate.
        if !subject.contains('"') && expected != MISSING {
            let element = format!("By=spiffe://a/b;Hash=0af1;Subject=\"{subject}\";URI=");
            let header = CertificateHeader::envoy();
            let by_envoy = [(XFCC, &*element)];
            assert_eq!(
                found(header, Some(PROXY), &by_envoy).await,
                expected,
                "Envoy: {what}"
            );
        }
    }
}

#[tokio::test]
async fn certificates_as_text() {
    let authority = Authority::new("an authority");
    for (what, wanted, good) in subjects() {
        let pem = authority.sign(wanted).pem();
        let expected = if good { GOOD } else { REFUSED };
        let value = escaped(&pem, b"");
        let by_nginx = [
            ("x-client-verify", "SUCCESS"),
            ("x-client-certificate", &*value),
        ];
        assert_eq!(
            found(nginx_pem(), Some(PROXY), &by_nginx).await,
            expected,
            "nginx: {what}"
        );
        for verdicts in [&[][..], &["NONE"], &["FAILED:x"], &["SUCCESS", "SUCCESS"]] {
            let verdicts = verdicts.iter().map(|verdict| ("x-client-verify", *verdict));
            let by_nginx: Vec<_> = verdicts
                .chain([("x-client-certificate", &*value)])
                .collect();
            assert_eq!(
                found(nginx_pem(), Some(PROXY), &by_nginx).await,
                REFUSED,
                "nginx: {what}"
            );
        }

        let by_envoy = [(XFCC, &*format!("Hash=0af1;Cert=\"{value}\""))];
        let header = CertificateHeader::envoy();
        assert_eq!(
            found(header, Some(PROXY), &by_envoy).await,
            expected,
            "Envoy: {what}"
        );

        let value = escaped(&pem, b"+=/");
        let by_alb = [("x-client-certificate", &*value)];
        let header = CertificateHeader::certificate(CERTIFICATE);
        assert_eq!(
            found(header, Some(PROXY), &by_alb).await,
            expected,
            "ALB: {what}"
        );
    }
}

#[tokio::test]
async fn what_is_no_certificate() {
    let authority = Authority::new("an authority");
    let Identity { pems, key, .. } = authority.sign_with_chain(CertificateRequest::named(META));
    let pem = pems[0].clone();
    let good = escaped(&pem, b"");
    let value = |pem: &str| escaped(pem, b"");
    for (what, value, expected) in [
        ("it is one", good.clone(), GOOD),
        ("with an end of line less", value(pem.trim_end()), GOOD),
        ("blanks for line ends", pem.replace('\n', " "), GOOD),
        (
            "blanks for line ends, without the last",
            pem.trim_end().replace('\n', " "),
            GOOD,
        ),
        ("tabs for line ends", pem.replace('\n', "\t"), GOOD),
        ("no line ends", pem.replace('\n', ""), GOOD),
        ("encoded by halves", good.replacen("%0A", "%0", 1), REFUSED),
        ("ending in a percent sign", format!("{good}%"), REFUSED),
        ("no digits", good.replacen("%0A", "%zz", 1), REFUSED),
        (
            "a sign for a digit",
            good.replacen("%0A", "%+A", 1),
            REFUSED,
        ),
        ("encoded twice", value(&good), REFUSED),
        ("not UTF-8", format!("{good}%FF"), REFUSED),
        ("the whole chain", value(&(pem.clone() + &pems[1])), REFUSED),
        (
            "something before it",
            value(&format!("Meta\n{pem}")),
            REFUSED,
        ),
        (
            "something behind it",
            value(&format!("{pem}Meta\n")),
            REFUSED,
        ),
        ("a key", value(&key.serialize_pem()), REFUSED),
        (
            "another label",
            value(&pem.replace("CERTIFICATE", "X509 CRL")),
            REFUSED,
        ),
        (
            "no end",
            value(&pem.replace("-----END CERTIFICATE-----", "")),
            REFUSED,
        ),
        ("no base64", value(&pem.replacen("MII", "M*I", 1)), REFUSED),
        ("no DER", value(&pem.replacen("MII", "AII", 1)), REFUSED),
        ("nothing", String::new(), MISSING),
        ("too long", format!("{good}{}", "%0A".repeat(6000)), REFUSED),
    ] {
        let headers = [
            ("x-client-verify", "SUCCESS"),
            ("x-client-certificate", &*value),
        ];
        assert_eq!(
            found(nginx_pem(), Some(PROXY), &headers).await,
            expected,
            "{what}"
        );
    }
}

/// The certificate in base64, without PEM header and line breaks.
pub(crate) fn base64(pem: &str) -> String {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    lines.collect()
}

/// Every encoding of a certificate, whichever proxy uses it.
#[tokio::test]
async fn encodings_of_certificates() {
    let authority = Authority::new("an authority");
    let pem = authority.sign(CertificateRequest::named(META)).pem();
    let other = authority
        .sign(CertificateRequest::named("example.com"))
        .pem();
    let (der, others) = (base64(&pem), base64(&other));
    let cut = &der[..der.len() - 4];
    for (what, value, expected) in [
        ("DER in base64", der.clone(), GOOD),
        ("DER in base64, percent-encoded", escaped(&der, b""), GOOD),
        ("RFC 9440", format!(":{der}:"), GOOD),
        ("another name", others.clone(), REFUSED),
        ("another name, RFC 9440", format!(":{others}:"), REFUSED),
        ("a chain, RFC 9440", format!(":{der}:, :{others}:"), REFUSED),
        ("RFC 9440 with a parameter", format!(":{der}:;a=1"), REFUSED),
        ("one colon", format!(":{der}"), REFUSED),
        ("one colon behind", format!("{der}:"), REFUSED),
        ("colons and nothing", "::".to_owned(), REFUSED),
        ("one colon and nothing", ":".to_owned(), REFUSED),
        ("two in a row", format!("{der}{others}"), REFUSED),
        ("a list", format!("{der},{others}"), REFUSED),
        ("cut off", cut.to_owned(), REFUSED),
        ("blanks in it", der.replacen('M', "M ", 1), REFUSED),
        ("base64 for URLs", der.replace(['+', '/'], "-"), REFUSED),
        (
            "without padding",
            der.trim_end_matches('=').to_owned() + "%",
            REFUSED,
        ),
        ("RFC 9440, percent-encoded", format!("%3A{der}%3A"), REFUSED),
    ] {
        let headers = [("x-client-certificate", &*value)];
        let header = CertificateHeader::certificate(CERTIFICATE);
        assert_eq!(
            found(header, Some(PROXY), &headers).await,
            expected,
            "{what}"
        );
        let headers = [("client-cert", &*value)];
        let header = CertificateHeader::client_cert();
        assert_eq!(
            found(header, Some(PROXY), &headers).await,
            expected,
            "{what}"
        );
    }
}

/// A bare name, which is trusted only with a verdict.
#[tokio::test]
async fn bare_names_and_verdicts() {
    let bare = || CertificateHeader::common_name(SUBJECT);
    let ok = || bare().with_verdict(VERIFY, "0");
    let two = || ok().with_verdict(HeaderName::from_static("x-revoked"), "false");
    let named = ("x-client-subject", META);
    let verified = ("x-client-verify", "0");
    let revoked = |value| ("x-revoked", value);
    for (what, header, headers, expected) in [
        ("the name", bare(), &[named][..], GOOD),
        (
            "another",
            bare(),
            &[("x-client-subject", "example.com")],
            REFUSED,
        ),
        (
            "a distinguished name",
            bare(),
            &[("x-client-subject", "CN=a")],
            REFUSED,
        ),
        ("nothing", bare(), &[("x-client-subject", "")], MISSING),
        ("verified", ok(), &[named, verified], GOOD),
        ("no verdict", ok(), &[named], REFUSED),
        (
            "an error",
            ok(),
            &[named, ("x-client-verify", "18")],
            REFUSED,
        ),
        (
            "part of it",
            ok(),
            &[named, ("x-client-verify", "00")],
            REFUSED,
        ),
        ("two verdicts", ok(), &[named, verified, verified], REFUSED),
        // HAProxy also reports 0 without a certificate.
        ("none", ok(), &[("x-client-subject", ""), verified], MISSING),
        ("both", two(), &[named, verified, revoked("false")], GOOD),
        (
            "one of both",
            two(),
            &[named, verified, revoked("true")],
            REFUSED,
        ),
        ("the other", two(), &[named, revoked("false")], REFUSED),
    ] {
        assert_eq!(
            found(header, Some(PROXY), headers).await,
            expected,
            "{what}"
        );
    }
}

/// The element at a fixed position.
#[tokio::test]
async fn chains_of_envoys() {
    let gateway = format!("Hash=a;Subject=\"O=Meta\\, Inc.,CN={META}\"");
    let sidecar = "By=spiffe://c/ns/d/sa/e;Hash=b;Subject=\"\";URI=spiffe://c/ns/i/sa/gateway";
    let other = "Hash=a;Subject=\"CN=example.com\"";
    let element = |element, of| CertificateHeader::envoy_element(element, of).unwrap();
    for (what, header, value, expected) in [
        ("both", element(1, 2), format!("{gateway},{sidecar}"), GOOD),
        (
            "istio",
            CertificateHeader::istio(),
            format!("{gateway},{sidecar}"),
            GOOD,
        ),
        (
            "another name",
            element(1, 2),
            format!("{other},{sidecar}"),
            REFUSED,
        ),
        (
            "the second",
            element(2, 2),
            format!("{sidecar},{gateway}"),
            GOOD,
        ),
        (
            "the wrong one",
            element(2, 2),
            format!("{gateway},{sidecar}"),
            REFUSED,
        ),
        (
            "the middle one",
            element(2, 3),
            format!("{other},{gateway},{sidecar}"),
            GOOD,
        ),
        (
            "only the sidecar's",
            element(1, 2),
            sidecar.to_owned(),
            MISSING,
        ),
        (
            "only the gateway's",
            element(1, 2),
            gateway.clone(),
            MISSING,
        ),
        (
            "one more in front",
            element(1, 2),
            format!("{gateway},{other},{sidecar}"),
            REFUSED,
        ),
        (
            "one more behind",
            element(1, 2),
            format!("{gateway},{sidecar},{other}"),
            REFUSED,
        ),
        (
            "an empty one",
            element(1, 2),
            format!("{gateway},"),
            REFUSED,
        ),
        (
            "a broken one",
            element(1, 2),
            format!("{gateway},x"),
            REFUSED,
        ),
        (
            "an open quote",
            element(1, 2),
            format!("{gateway},Subject=\"{sidecar}"),
            REFUSED,
        ),
        (
            "both, where one is asked for",
            CertificateHeader::envoy(),
            format!("{gateway},{sidecar}"),
            REFUSED,
        ),
    ] {
        let headers = [(XFCC, &*value)];
        assert_eq!(
            found(header, Some(PROXY), &headers).await,
            expected,
            "{what}"
        );
    }
    for (element, of) in [(0, 0), (0, 1), (2, 1), (1, 0)] {
        assert!(CertificateHeader::envoy_element(element, of).is_err());
    }
}

/// Traefik's two headers.
#[tokio::test]
async fn headers_of_traefik() {
    let authority = Authority::new("an authority");
    let base64_of = |name: &str| base64(&authority.sign(CertificateRequest::named(name)).pem());
    let (good, other) = (base64_of(META), base64_of("example.com"));
    for (what, value, expected) in [
        ("version 3", good.clone(), GOOD),
        ("version 2", escaped(&good, b""), GOOD),
        ("with an intermediate", format!("{good},{other}"), GOOD),
        (
            "version 2, with an intermediate",
            format!("{},{}", escaped(&good, b""), other),
            GOOD,
        ),
        (
            "an intermediate of that name",
            format!("{other},{good}"),
            REFUSED,
        ),
        ("nothing first", format!(",{good}"), REFUSED),
        ("nothing", String::new(), MISSING),
    ] {
        let headers = [("x-forwarded-tls-client-cert", &*value)];
        let found = found(CertificateHeader::traefik(), Some(PROXY), &headers);
        assert_eq!(found.await, expected, "{what}");
    }
    let cn = format!("Subject=\"CN={META}\"");
    for (what, value, expected) in [
        ("the name", cn.clone(), GOOD),
        (
            "with an intermediate",
            format!("{cn},Subject=\"CN=an authority\""),
            GOOD,
        ),
        ("another", "Subject=\"CN=example.com\"".to_owned(), REFUSED),
        (
            "longer",
            format!("Subject=\"CN={META}.example.com\""),
            REFUSED,
        ),
        (
            "a comma in it",
            format!("Subject=\"CN=x,CN={META}\""),
            REFUSED,
        ),
        // The organization can be any text, including this one.
        (
            "another field",
            format!("Subject=\"O=x,CN={META}\""),
            REFUSED,
        ),
        (
            "of an intermediate",
            format!("Subject=\"CN=x\",{cn}"),
            REFUSED,
        ),
        (
            "other information",
            format!("{cn};Issuer=\"CN=x\""),
            REFUSED,
        ),
        ("of the issuer", format!("Issuer=\"CN={META}\""), REFUSED),
        ("no end", format!("Subject=\"CN={META}"), REFUSED),
    ] {
        // Form encoding, as in a query.
        let value = escaped(&value, b"").replace("%20", "+");
        let headers = [("x-forwarded-tls-client-cert-info", &*value)];
        let found = found(CertificateHeader::traefik_info(), Some(PROXY), &headers);
        assert_eq!(found.await, expected, "{what}");
    }
}

/// The policy `Any` needs two rules, and trusted proxies need something that they report.
#[test]
fn settings_without_effect() {
    let proxies = || {
        TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for()).unwrap()
    };
    let list = || IpAllowList::from_prefixes(["203.0.113.0/24"]).unwrap();
    let of_connection = || builder(ClientCertificate::meta());
    let twice = of_connection().client_certificate(ClientCertificate::meta());
    let twice = twice.build().unwrap_err();
    assert_eq!(twice, ConfigError::ClientCertificateConflict);
    assert!(twice.to_string().starts_with("`client_certificate`: "));
    let error = of_connection().trusted_proxies(proxies()).build();
    assert_eq!(error.unwrap_err(), ConfigError::TrustedProxiesUnused);
    let error = of_connection()
        .admission_policy(AdmissionPolicy::Any)
        .build();
    assert_eq!(error.unwrap_err(), ConfigError::AdmissionPolicyUnused);
    let both = of_connection().ip_allow_list(list());
    let any = both.admission_policy(AdmissionPolicy::Any);
    assert!(any.build().is_ok());
    let by_address = of_connection()
        .ip_allow_list(list())
        .trusted_proxies(proxies());
    assert!(by_address.build().is_ok());
    let forwarded = ClientCertificate::meta().forwarded(CertificateHeader::aws_alb());
    let forwarded = builder(forwarded).trusted_proxies(proxies());
    assert!(forwarded.build().is_ok());
}

#[tokio::test]
async fn elements_of_envoy() {
    let authority = Authority::new("an authority");
    let cert = |name: &str| escaped(&authority.sign(CertificateRequest::named(name)).pem(), b"");
    let (good, other) = (cert(META), cert("example.com"));
    let subject = format!("Subject=\"CN={META}\"");
    for (what, value, expected) in [
        ("a subject", subject.clone(), GOOD),
        ("without quotes", format!("Subject=CN={META};Hash=a"), GOOD),
        (
            "keys in other letters",
            format!("hash=a;SUBJECT=\"CN={META}\""),
            GOOD,
        ),
        (
            "what is not ours",
            format!("By=x;{subject};URI=a;URI=b;DNS=c;DNS=d"),
            GOOD,
        ),
        (
            "a comma and a semicolon in quotes",
            format!("Subject=\"O=a\\,b\\;c,CN={META}\""),
            GOOD,
        ),
        (
            "quotes in quotes",
            format!("Subject=\"O=\\\"a\\\",CN={META}\""),
            GOOD,
        ),
        (
            "a backslash at the end",
            format!("Subject=\"CN={META},O=a\\\\\";Hash=a"),
            GOOD,
        ),
        (
            "the certificate and no subject",
            format!("Subject=\"\";Cert=\"{good}\""),
            GOOD,
        ),
        (
            "the certificate counts",
            format!("Subject=\"CN=example.com\";Cert=\"{good}\""),
            GOOD,
        ),
        (
            "the certificate counts against it",
            format!("{subject};Cert=\"{other}\""),
            REFUSED,
        ),
        (
            "the chain does not count",
            format!("Chain=\"{good}\""),
            REFUSED,
        ),
        (
            "an alternative name",
            format!("DNS={META};URI={META}"),
            REFUSED,
        ),
        ("two elements", format!("{subject},By=x"), REFUSED),
        (
            "two elements, the second good",
            format!("Hash=a,{subject}"),
            REFUSED,
        ),
        (
            "two elements without quotes",
            format!("Subject=CN={META},O=x"),
            REFUSED,
        ),
        ("two subjects", format!("{subject};{subject}"), REFUSED),
        (
            "two certificates",
            format!("Cert={good};Cert={good}"),
            REFUSED,
        ),
        (
            "an escaped comma",
            format!("Subject=\"O=x\\,CN={META}\""),
            REFUSED,
        ),
        (
            "in the subject's quotes",
            format!("Subject=\"O=x\\\"\\;Subject=\\\"CN={META}\""),
            REFUSED,
        ),
        (
            "in another value",
            format!("By=\"{}\"", subject.replace('"', "\\\"")),
            REFUSED,
        ),
        ("no end of quotes", format!("Subject=\"CN={META}"), REFUSED),
        ("something behind quotes", format!("{subject}x"), REFUSED),
        (
            "quotes in the middle",
            format!("Subject=CN=\"{META}\""),
            REFUSED,
        ),
        ("no key", format!("=x;{subject}"), REFUSED),
        ("a strange key", format!("S ubject=x;{subject}"), REFUSED),
        ("no value", format!("Hash;{subject}"), REFUSED),
        ("an end that is none", format!("{subject};"), REFUSED),
        ("no subject", "Hash=a".to_owned(), REFUSED),
        ("nothing", String::new(), MISSING),
    ] {
        let headers = [(XFCC, &*value)];
        let found = found(CertificateHeader::envoy(), Some(PROXY), &headers);
        assert_eq!(found.await, expected, "{what}");
    }
}

#[tokio::test]
async fn only_trusted_peers_may_send_the_header_once() {
    let subject = &*format!("CN={META}");
    let element = &*format!("Subject=\"{subject}\"");
    let verified = ("x-client-verify", "SUCCESS");
    let named = ("x-client-subject", subject);
    for (what, header, peer, headers, expected) in [
        (
            "all is well",
            nginx(),
            Some(PROXY),
            &[verified, named][..],
            GOOD,
        ),
        (
            "a stranger",
            nginx(),
            Some(STRANGER),
            &[verified, named],
            MISSING,
        ),
        (
            "an unknown peer",
            nginx(),
            None,
            &[verified, named],
            MISSING,
        ),
        ("no headers", nginx(), Some(PROXY), &[], MISSING),
        ("no subject", nginx(), Some(PROXY), &[verified], MISSING),
        (
            "no certificate",
            nginx(),
            Some(PROXY),
            &[("x-client-verify", "NONE")],
            MISSING,
        ),
        ("no verdict", nginx(), Some(PROXY), &[named], REFUSED),
        (
            "two subjects",
            nginx(),
            Some(PROXY),
            &[verified, named, named],
            REFUSED,
        ),
        (
            "two verdicts",
            nginx(),
            Some(PROXY),
            &[verified, verified, named],
            REFUSED,
        ),
        (
            "another verdict",
            nginx(),
            Some(PROXY),
            &[("x-client-verify", "FAILED:certificate has expired"), named],
            REFUSED,
        ),
        (
            "none at all",
            nginx(),
            Some(PROXY),
            &[("x-client-verify", "NONE"), named],
            REFUSED,
        ),
        (
            "in other letters",
            nginx(),
            Some(PROXY),
            &[("x-client-verify", "success"), named],
            REFUSED,
        ),
        (
            "and more",
            nginx(),
            Some(PROXY),
            &[("x-client-verify", "SUCCESS,SUCCESS"), named],
            REFUSED,
        ),
        (
            "empty",
            nginx(),
            Some(PROXY),
            &[("x-client-verify", ""), named],
            REFUSED,
        ),
        (
            "ALB",
            CertificateHeader::aws_alb(),
            Some(PROXY),
            &[(ALB, subject)],
            GOOD,
        ),
        (
            "ALB twice",
            CertificateHeader::aws_alb(),
            Some(PROXY),
            &[(ALB, subject), (ALB, subject)],
            REFUSED,
        ),
        (
            "ALB, a stranger",
            CertificateHeader::aws_alb(),
            Some(STRANGER),
            &[(ALB, subject)],
            MISSING,
        ),
        (
            "ALB that passes through",
            CertificateHeader::aws_alb(),
            Some(PROXY),
            &[("x-amzn-mtls-clientcert", "x")],
            MISSING,
        ),
        (
            "Envoy",
            CertificateHeader::envoy(),
            Some(PROXY),
            &[(XFCC, element)],
            GOOD,
        ),
        (
            "Envoy twice",
            CertificateHeader::envoy(),
            Some(PROXY),
            &[(XFCC, element), (XFCC, element)],
            REFUSED,
        ),
        (
            "Envoy, a stranger",
            CertificateHeader::envoy(),
            Some(STRANGER),
            &[(XFCC, element)],
            MISSING,
        ),
        (
            "the header of another",
            CertificateHeader::envoy(),
            Some(PROXY),
            &[verified, named],
            MISSING,
        ),
    ] {
        assert_eq!(found(header, peer, headers).await, expected, "{what}");
    }
}

/// A layer reads either the connection or the header. Anybody who reaches the port
/// could supply the other one.
#[tokio::test]
async fn one_source() {
    let good = || {
        let identity = Authority::new("an authority").sign(CertificateRequest::named(META));
        PeerCertificate::from_verified_chain(&identity.ders()).unwrap()
    };
    let subject = HeaderValue::try_from(format!("CN={META}")).unwrap();
    let proxies = || {
        TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for()).unwrap()
    };
    let peer = PeerAddr(PROXY.parse().unwrap());

    let by_connection = builder(ClientCertificate::meta())
        .ip_allow_list(IpAllowList::from_prefixes(["203.0.113.0/24"]).unwrap())
        .admission_policy(AdmissionPolicy::Any)
        .trusted_proxies(proxies())
        .build()
        .unwrap();
    let found = answer(&by_connection, |request| {
        request.headers_mut().insert(ALB, subject.clone());
        request.extensions_mut().insert(peer);
    });
    assert_eq!(found.await, MISSING);

    let certificate = ClientCertificate::meta().forwarded(CertificateHeader::aws_alb());
    let by_header = builder(certificate.clone())
        .trusted_proxies(proxies())
        .build()
        .unwrap();
    let found = answer(&by_header, |request| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(good());
    });
    assert_eq!(found.await, MISSING);

    let nobody_trusted = builder(certificate.clone()).build();
    assert_eq!(
        nobody_trusted.unwrap_err(),
        ConfigError::TrustedProxiesMissing
    );
    // A number of proxies is not enough either: the first of them could be anybody
    // who reaches the port.
    let proxies = TrustedProxies::with_hop_count(1, ForwardedHeader::x_forwarded_for()).unwrap();
    let anybody_trusted = builder(certificate).trusted_proxies(proxies).build();
    assert_eq!(
        anybody_trusted.unwrap_err(),
        ConfigError::TrustedProxiesMissing
    );
}

/// Behind one proxy that reports both.
#[tokio::test]
async fn the_address_and_the_certificate() {
    let (good, bad) = (format!("CN={META}"), "CN=example.com".to_owned());
    let (near, far) = ("203.0.113.9", "198.51.100.9");
    let address = Err(RejectionKind::AddressRefused);
    for (policy, caller, subject, expected) in [
        (AdmissionPolicy::All, near, &good, GOOD),
        (AdmissionPolicy::All, near, &bad, REFUSED),
        (AdmissionPolicy::All, far, &good, address),
        (AdmissionPolicy::All, far, &bad, address),
        (AdmissionPolicy::Any, near, &good, GOOD),
        (AdmissionPolicy::Any, near, &bad, GOOD),
        (AdmissionPolicy::Any, far, &good, GOOD),
        (AdmissionPolicy::Any, far, &bad, REFUSED),
    ] {
        let header = CertificateHeader::aws_alb();
        let layer = builder(ClientCertificate::meta().forwarded(header))
            .ip_allow_list(IpAllowList::from_prefixes(["203.0.113.0/24"]).unwrap())
            .trusted_proxies(
                TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for())
                    .unwrap(),
            )
            .admission_policy(policy)
            .build()
            .unwrap();
        let found = answer(&layer, |request| {
            let peer = PeerAddr(PROXY.parse().unwrap());
            request.extensions_mut().insert(peer);
            let headers = request.headers_mut();
            headers.insert("x-forwarded-for", HeaderValue::from_static(caller));
            headers.insert(ALB, HeaderValue::try_from(subject).unwrap());
        });
        assert_eq!(found.await, expected, "{policy:?} {caller} {subject}");
    }
}
