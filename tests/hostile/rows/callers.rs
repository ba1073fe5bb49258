//! A: client addresses. C: client certificates. What a proxy must report, and what
//! others must not be able to.

use std::net::SocketAddr;

use http::Extensions;
use test_support::{CHALLENGE, TOKEN, builder, handshake, json::one_text};
use tower_whatsapp::{
    RejectionKind::{AddressRefused, AddressUnknown, SignatureMissing},
    WebhookLayerBuilder,
    admission::{ForwardedHeader, IpAllowList, PeerAddr, TrustedProxies},
};

use super::json::ONE_TEXT;
use crate::row::{Row, Sent};

pub(crate) fn rows() -> Vec<Row> {
    [
        addresses(),
        #[cfg(feature = "client-certificate")]
        certificates::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An allowed address, and one that is not allowed.
const META: &str = "157.240.22.35";
const STRANGER: &str = "198.51.100.7";

fn addresses() -> Vec<Row> {
    let of = |id, header: &str| {
        let sent = Sent::post(one_text()).header("x-forwarded-for", header);
        Row::one(id, sent).with(listed).dress(proxy)
    };
    let good = |id, header: &str| of(id, header).handled(&[ONE_TEXT]);
    let refused = |id, header: &str| of(id, header).unread(AddressRefused);
    let unknown = |id, header: &str| of(id, header).unread(AddressUnknown);
    let plain = |id| Row::one(id, Sent::post(one_text())).with(listed);
    let proxies = |count: usize| vec!["10.0.0.2"; count].join(",");
    vec![
        plain("A1").dress(meta).handled(&[ONE_TEXT]),
        plain("A2").dress(stranger).unread(AddressRefused),
        plain("A3").unread(AddressUnknown),
        // A caller that bypasses the proxies: its headers have no effect.
        of("A4", META).dress(stranger).unread(AddressRefused),
        of("A5", META).dress(|_| {}).unread(AddressUnknown),
        good("A6", META),
        refused("A7", STRANGER),
        // The client itself wrote what stands left of its own address.
        refused("A8", &format!("{META}, {STRANGER}")),
        refused("A8 and a proxy", &format!("{META}, {STRANGER}, 10.0.0.2")),
        good("A9", &format!("{STRANGER}, {META}")),
        unknown("A10", &format!("{META},")),
        unknown("A10 nothing", ""),
        unknown("A10 words", "unknown"),
        unknown("A10 quotes", &format!("\"{META}\"")),
        unknown("A10 port", &format!("{META}:99999")),
        plain("A10 none").dress(proxy).unread(AddressUnknown),
        refused("A11", &format!("{}, {STRANGER}", "x,".repeat(4000))),
        good("A12", &format!("{META}, {}", proxies(31))),
        unknown("A12 one more", &format!("{META}, {}", proxies(32))),
        Row::one(
            "A13",
            Sent::post(one_text())
                .header("x-forwarded-for", META)
                .header("x-forwarded-for", STRANGER),
        )
        .with(listed)
        .dress(proxy)
        .unread(AddressRefused),
        Row::one(
            "A14",
            Sent::post(one_text())
                .header("forwarded", format!("for={META}"))
                .header("x-real-ip", META),
        )
        .with(listed)
        .dress(proxy)
        .unread(AddressUnknown),
        Row::one(
            "A15",
            Sent::post(one_text()).header("x-forwarded-for", [0xff; 20]),
        )
        .with(listed)
        .dress(proxy)
        .unread(AddressUnknown),
        // An allowed address does not replace the signature, and a rejected one gets
        // no further details.
        Row::one("A16", Sent::unsigned(one_text()))
            .with(listed)
            .dress(meta)
            .unread(SignatureMissing),
        Row::one("A17", Sent::unsigned(one_text()))
            .with(listed)
            .dress(stranger)
            .unread(AddressRefused),
        Row::one("A18", Sent::get(handshake(TOKEN, CHALLENGE)))
            .with(listed)
            .dress(stranger),
    ]
}

fn listed() -> WebhookLayerBuilder {
    builder()
        .ip_allow_list(IpAllowList::from_prefixes(["157.240.0.0/16"]).unwrap())
        .trusted_proxies(
            TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for())
                .unwrap(),
        )
}

fn from(extensions: &mut Extensions, address: &str) {
    let address = SocketAddr::new(address.parse().unwrap(), 4711);
    extensions.insert(PeerAddr(address));
}

fn meta(extensions: &mut Extensions) {
    from(extensions, META);
}

fn stranger(extensions: &mut Extensions) {
    from(extensions, STRANGER);
}

fn proxy(extensions: &mut Extensions) {
    from(extensions, "10.0.0.1");
}

#[cfg(feature = "client-certificate")]
mod certificates {
    use http::HeaderName;
    use tower_whatsapp::{
        RejectionKind::{CertificateMissing, CertificateRefused},
        admission::{CertificateHeader, ClientCertificate, PeerCertificate},
    };

    use super::{
        AddressRefused, ForwardedHeader, ONE_TEXT, Row, Sent, SignatureMissing, TrustedProxies,
        WebhookLayerBuilder, builder, listed, meta, one_text, proxy, stranger,
    };

    const NAME: &str = "client.webhooks.fbclientcerts.com";
    const VERIFY: &str = "x-client-verify";
    const SUBJECT: &str = "x-client-subject";

    pub(super) fn rows() -> Vec<Row> {
        let said = |verify: &str, subject: &str| {
            Sent::post(one_text())
                .header(VERIFY, verify)
                .header(SUBJECT, subject)
        };
        let of = |id, verify: &str, subject: &str| {
            Row::one(id, said(verify, subject))
                .with(forwarded)
                .dress(proxy)
        };
        let subject = |id, subject: &str| of(id, "SUCCESS", subject).unread(CertificateRefused);
        let right = format!("CN={NAME}");
        let plain = |id| Row::one(id, Sent::post(one_text())).with(of_connection);
        vec![
            plain("C1").unread(CertificateMissing),
            plain("C2").dress(unverified).unread(CertificateRefused),
            // Without a trusted proxy no header is read.
            Row::one("C3", said("SUCCESS", &right))
                .with(of_connection)
                .unread(CertificateMissing),
            of("C4", "SUCCESS", &right).handled(&[ONE_TEXT]),
            of("C4 beside", "SUCCESS", &format!("O=x,{right},C=US")).handled(&[ONE_TEXT]),
            of("C5", "SUCCESS", &right)
                .dress(stranger)
                .unread(CertificateMissing),
            of("C5 unknown", "SUCCESS", &right)
                .dress(|_| {})
                .unread(CertificateMissing),
            Row::one("C6", Sent::post(one_text()))
                .with(forwarded)
                .dress(proxy)
                .unread(CertificateMissing),
            of("C7", "NONE", &right).unread(CertificateRefused),
            of("C7 failed", "FAILED:expired", &right).unread(CertificateRefused),
            of("C7 case", "success", &right).unread(CertificateRefused),
            of("C7 more", "SUCCESSFUL", &right).unread(CertificateRefused),
            Row::one(
                "C7 none",
                Sent::post(one_text()).header(SUBJECT, &right[..]),
            )
            .with(forwarded)
            .dress(proxy)
            .unread(CertificateRefused),
            // Names that a substring search would accept.
            subject("C8", &format!("{right}.example.org")),
            subject("C8 before", &format!("CN=x.{NAME}")),
            subject("C8 within", &format!("O=\"x,{right}\"")),
            subject("C8 escaped", &format!("O=x\\,{right}")),
            subject("C8 other", &format!("O={NAME}")),
            subject("C8 case", &right.to_uppercase()),
            subject("C8 twice", &format!("{right},{right}")),
            subject("C8 legacy", &format!("/O=x/{right}")),
            of("C8 none", "SUCCESS", "").unread(CertificateMissing),
            Row::one("C9", said("SUCCESS", &right).header(SUBJECT, &right[..]))
                .with(forwarded)
                .dress(proxy)
                .unread(CertificateRefused),
            Row::one(
                "C9 verdict",
                said("SUCCESS", &right).header(VERIFY, "SUCCESS"),
            )
            .with(forwarded)
            .dress(proxy)
            .unread(CertificateRefused),
            // Up to 16 KiB, including the other headers, as hyper allows over HTTP/2.
            of(
                "C10",
                "SUCCESS",
                &format!("O={},{right}", "x".repeat(14_000)),
            )
            .handled(&[ONE_TEXT]),
            Row::one(
                "C11",
                Sent::unsigned(one_text())
                    .header(VERIFY, "SUCCESS")
                    .header(SUBJECT, &right[..]),
            )
            .with(forwarded)
            .dress(proxy)
            .unread(SignatureMissing),
            // Both are required, and the address is checked first.
            Row::one("C12", Sent::post(one_text()))
                .with(both)
                .dress(stranger)
                .unread(AddressRefused),
            Row::one("C12 certificate", Sent::post(one_text()))
                .with(both)
                .dress(meta)
                .unread(CertificateMissing),
        ]
    }

    fn of_connection() -> WebhookLayerBuilder {
        builder().client_certificate(ClientCertificate::meta())
    }

    fn forwarded() -> WebhookLayerBuilder {
        let header = CertificateHeader::nginx_subject(
            HeaderName::from_static(VERIFY),
            HeaderName::from_static(SUBJECT),
        );
        let certificate = ClientCertificate::meta().forwarded(header);
        let proxies =
            TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for());
        builder()
            .client_certificate(certificate)
            .trusted_proxies(proxies.unwrap())
    }

    fn both() -> WebhookLayerBuilder {
        listed().client_certificate(ClientCertificate::meta())
    }

    fn unverified(extensions: &mut http::Extensions) {
        extensions.insert(PeerCertificate::unverified());
    }
}
