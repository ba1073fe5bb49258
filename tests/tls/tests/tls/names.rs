//! Certificates of a connection: which are accepted, and why others are not.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use rcgen::{DnType, DnValue, string::BmpString};
use tls_tests::pki::{Authority, CertificateRequest};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Rejection, RejectionKind, WebhookLayer, WebhookLayerBuilder,
    admission::{CertificateError, ClientCertificate, PeerCertificate},
    testing::{delivery, sample},
};

use crate::{META, SECRET};

pub(crate) fn builder(certificate: ClientCertificate) -> WebhookLayerBuilder {
    unguarded().client_certificate(certificate)
}

/// A builder that requires no certificate.
pub(crate) fn unguarded() -> WebhookLayerBuilder {
    WebhookLayer::builder()
        .path("/webhook")
        .app_secret(SECRET)
        .verify_token("a token")
}

/// Sends a signed delivery and returns the outcome.
pub(crate) async fn answer(
    layer: &WebhookLayer,
    dress: impl FnOnce(&mut Request<Full<Bytes>>),
) -> Result<(), RejectionKind> {
    let host = service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let mut request = delivery("/webhook", sample::text("hi").body(), SECRET).map(Full::new);
    dress(&mut request);
    let response = layer.layer(host).oneshot(request).await.unwrap();
    match response.extensions().get::<Rejection>() {
        None => {
            assert_eq!(response.status(), StatusCode::OK);
            Ok(())
        }
        Some(rejection) => {
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            Err(rejection.kind())
        }
    }
}

const REFUSED: Result<(), RejectionKind> = Err(RejectionKind::CertificateRefused);

/// Subjects for both tests: over a connection and in a header.
pub(crate) fn subjects() -> Vec<(&'static str, CertificateRequest, bool)> {
    let bmp = BmpString::try_from(META).unwrap();
    vec![
        ("the name", CertificateRequest::named(META), true),
        (
            "as a PrintableString",
            CertificateRequest::named(DnValue::PrintableString(META.try_into().unwrap())),
            true,
        ),
        (
            "beside others",
            CertificateRequest::named(META)
                .and(DnType::OrganizationName, "Meta Platforms, Inc.")
                .and(DnType::CountryName, "US"),
            true,
        ),
        (
            "with a prefix",
            CertificateRequest::named(format!("x.{META}")),
            false,
        ),
        (
            "with a suffix",
            CertificateRequest::named(format!("{META}.example.com")),
            false,
        ),
        (
            "with a dot",
            CertificateRequest::named(format!("{META}.")),
            false,
        ),
        (
            "with a space",
            CertificateRequest::named(format!("{META} ")),
            false,
        ),
        (
            "with a zero byte",
            CertificateRequest::named(format!("{META}\0.example.com")),
            false,
        ),
        (
            "in capitals",
            CertificateRequest::named(META.to_uppercase()),
            false,
        ),
        (
            "a part of it",
            CertificateRequest::named("fbclientcerts.com"),
            false,
        ),
        (
            "a wildcard",
            CertificateRequest::named("*.webhooks.fbclientcerts.com"),
            false,
        ),
        ("an empty one", CertificateRequest::named(""), false),
        ("nobody", CertificateRequest::without_name(), false),
        (
            "only an alternative name",
            CertificateRequest::named("example.com").alternatives(&[META]),
            false,
        ),
        (
            "an alternative name and no other",
            CertificateRequest::without_name().alternatives(&[META]),
            false,
        ),
        (
            "twice",
            CertificateRequest::named(META).and_named(META),
            false,
        ),
        (
            "before another",
            CertificateRequest::named(META).and_named("example.com"),
            false,
        ),
        (
            "after another",
            CertificateRequest::named("example.com").and_named(META),
            false,
        ),
        (
            "in the organization",
            CertificateRequest::named("example.com").and(DnType::OrganizationName, META),
            false,
        ),
        (
            "in the organization, as if it were not",
            CertificateRequest::without_name()
                .and(DnType::OrganizationName, format!("x,CN={META}")),
            false,
        ),
        (
            "after a comma in another name",
            CertificateRequest::named(format!("x,CN={META}")),
            false,
        ),
        (
            "in two bytes each",
            CertificateRequest::named(DnValue::BmpString(bmp)),
            false,
        ),
    ]
}

#[tokio::test]
async fn certificates_of_a_connection() {
    let layer = builder(ClientCertificate::meta()).build().unwrap();
    let authority = Authority::new("an authority");
    for (what, wanted, good) in subjects() {
        let identity = authority.sign(wanted);
        let shown = PeerCertificate::from_verified_chain(&identity.ders()).unwrap();
        let expected = if good { Ok(()) } else { REFUSED };
        let found = answer(&layer, |request| {
            request.extensions_mut().insert(shown);
        });
        assert_eq!(found.await, expected, "{what}");
    }
}

#[tokio::test]
async fn another_name_can_be_asked_for() {
    let shown = |name| {
        let identity = Authority::new("an authority").sign(CertificateRequest::named(name));
        PeerCertificate::from_verified_chain(&identity.ders()).unwrap()
    };
    for (asked, name, expected) in [
        ("relay.example.com", "relay.example.com", Ok(())),
        ("relay.example.com", META, REFUSED),
        ("", "", REFUSED),
        ("", META, REFUSED),
    ] {
        let layer = builder(ClientCertificate::with_common_name(asked))
            .build()
            .unwrap();
        let shown = shown(name);
        let found = answer(&layer, |request| {
            request.extensions_mut().insert(shown);
        });
        assert_eq!(found.await, expected, "{asked} {name}");
    }
}

#[tokio::test]
async fn no_certificate_and_one_that_proves_nothing() {
    let layer = builder(ClientCertificate::meta()).build().unwrap();
    let missing = Err(RejectionKind::CertificateMissing);
    assert_eq!(answer(&layer, |_| {}).await, missing);
    let unverified = answer(&layer, |request| {
        request
            .extensions_mut()
            .insert(PeerCertificate::unverified());
    });
    assert_eq!(unverified.await, REFUSED);

    // The sender's certificate counts, not that of its issuer.
    let authority = Authority::new(META);
    let identity = authority.sign_with_chain(CertificateRequest::named("example.com"));
    let shown = PeerCertificate::from_verified_chain(&identity.ders()).unwrap();
    let signed_by_the_name = answer(&layer, |request| {
        request.extensions_mut().insert(shown);
    });
    assert_eq!(signed_by_the_name.await, REFUSED);

    // Without a valid signature nothing is accepted, whatever the certificate.
    let identity = authority.sign(CertificateRequest::named(META));
    let shown = PeerCertificate::from_verified_chain(&identity.ders()).unwrap();
    let unsigned = answer(&layer, |request| {
        request.headers_mut().remove("x-hub-signature-256");
        request.extensions_mut().insert(shown);
    });
    assert_eq!(unsigned.await, Err(RejectionKind::SignatureMissing));
}

#[test]
fn what_is_no_certificate_is_an_error() {
    let good = Authority::new("an authority")
        .sign(CertificateRequest::named(META))
        .leaf()
        .to_vec();
    let cut = &good[..good.len() - 1];
    let longer = [&good[..], b"\0"].concat();
    let none: [&[u8]; 0] = [];
    assert!(PeerCertificate::from_verified_chain(&[&good]).is_ok());
    for chain in [
        &none[..],
        &[b""],
        &[cut],
        &[&longer],
        &[b"\x30\x80"],
        &[cut, &good],
    ] {
        let error = PeerCertificate::from_verified_chain(chain).unwrap_err();
        assert_eq!(error.to_string(), "the certificate cannot be read");
        let _: CertificateError = error;
    }
}

#[test]
fn debug_shows_no_name() {
    let identity = Authority::new("an authority").sign(CertificateRequest::named(META));
    let shown = PeerCertificate::from_verified_chain(&identity.ders()).unwrap();
    assert_eq!(format!("{shown:?}"), "PeerCertificate { .. }");
}
