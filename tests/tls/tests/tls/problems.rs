//! What a log says about a certificate that was not accepted.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{Empty, Full};
use tls_tests::pki::{Authority, CertificateRequest};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Rejection, RejectionKind, WebhookLayer,
    admission::{
        AdmissionPolicy, CertificateHeader, CertificateProblem, ClientCertificate, ForwardedHeader,
        IpAllowList, PeerAddr, PeerCertificate, TrustedProxies,
    },
    testing::{delivery, sample},
    webhook::RejectionDetail,
};

use crate::{META, SECRET, headers::PROXY, names::builder};

const STRANGER: &str = "192.0.2.7:40000";
const VERIFY: &str = "x-client-verify";
const SUBJECT: &str = "x-client-subject";
const XFCC: &str = "x-forwarded-client-cert";

async fn rejected(
    layer: &WebhookLayer,
    dress: impl FnOnce(&mut Request<Full<Bytes>>),
) -> (RejectionKind, CertificateProblem) {
    let host = service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let mut request = delivery("/webhook", sample::text("hi").body(), SECRET).map(Full::new);
    dress(&mut request);
    let response = layer.layer(host).oneshot(request).await.unwrap();
    let rejection = response.extensions().get::<Rejection>().unwrap();
    match rejection.detail() {
        Some(RejectionDetail::Certificate(problem)) => (rejection.kind(), problem),
        other => panic!("{other:?}"),
    }
}

fn behind_a_proxy(header: CertificateHeader) -> WebhookLayer {
    let proxies =
        TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for()).unwrap();
    builder(ClientCertificate::meta().forwarded(header))
        .trusted_proxies(proxies)
        .build()
        .unwrap()
}

#[tokio::test]
async fn each_problem_of_a_header_has_a_detail() {
    use CertificateProblem as P;
    let nginx = behind_a_proxy(CertificateHeader::nginx_subject(
        HeaderName::from_static(VERIFY),
        HeaderName::from_static(SUBJECT),
    ));
    let istio = behind_a_proxy(CertificateHeader::istio());
    let good = format!("CN={META}");
    let long = format!("{good},O={}", "a".repeat(16 * 1024));
    let subject = (SUBJECT, &*good);
    let verified = (VERIFY, "SUCCESS");
    let element = format!("Subject=\"{good}\"");
    let broken = format!("{element},Subject");
    let three = [&*element; 3].join(",");
    for (layer, peer, headers, expected) in [
        (&nginx, STRANGER, &[subject, verified][..], P::UntrustedPeer),
        (&nginx, PROXY, &[verified], P::HeaderMissing),
        (&nginx, PROXY, &[(SUBJECT, ""), verified], P::HeaderMissing),
        (
            &nginx,
            PROXY,
            &[subject, subject, verified],
            P::HeaderRepeated,
        ),
        (
            &nginx,
            PROXY,
            &[(SUBJECT, &long), verified],
            P::HeaderTooLong,
        ),
        (
            &nginx,
            PROXY,
            &[(SUBJECT, META), verified],
            P::HeaderMalformed,
        ),
        (&nginx, PROXY, &[subject], P::NotVerified),
        (&nginx, PROXY, &[subject, (VERIFY, "NONE")], P::NotVerified),
        (
            &nginx,
            PROXY,
            &[subject, verified, verified],
            P::NotVerified,
        ),
        (
            &nginx,
            PROXY,
            &[(SUBJECT, "CN=other"), verified],
            P::CommonName,
        ),
        (&istio, PROXY, &[(XFCC, &element)], P::ElementMissing),
        (&istio, PROXY, &[(XFCC, &broken)], P::HeaderMalformed),
        (&istio, PROXY, &[(XFCC, &three)], P::HeaderMalformed),
    ] {
        let found = rejected(layer, |request| {
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(PeerAddr(peer));
            for (name, value) in headers {
                let name = HeaderName::from_static(name);
                let value = HeaderValue::try_from(*value).unwrap();
                request.headers_mut().append(name, value);
            }
        });
        let kind = match expected {
            P::UntrustedPeer | P::HeaderMissing | P::ElementMissing => {
                RejectionKind::CertificateMissing
            }
            _ => RejectionKind::CertificateRefused,
        };
        assert_eq!(found.await, (kind, expected));
    }
}

/// Also where the address is refused too: with `AdmissionPolicy::Any` the detail is that of the
/// certificate.
#[tokio::test]
async fn each_problem_of_a_connection_has_a_detail() {
    let authority = Authority::new("a test authority");
    let other = authority.sign(CertificateRequest::named("other"));
    let other = PeerCertificate::from_verified_chain(&other.ders()).unwrap();
    let any = || {
        builder(ClientCertificate::meta())
            .ip_allow_list(IpAllowList::from_prefixes(["203.0.113.0/24"]).unwrap())
            .admission_policy(AdmissionPolicy::Any)
    };
    for layer in [builder(ClientCertificate::meta()), any()] {
        let layer = layer.build().unwrap();
        let peer = PeerAddr(STRANGER.parse().unwrap());
        let found = rejected(&layer, |request| {
            request.extensions_mut().insert(peer);
        });
        let expected = CertificateProblem::NotPresented;
        assert_eq!(found.await, (RejectionKind::CertificateMissing, expected));
        let found = rejected(&layer, |request| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(other.clone());
        });
        let expected = CertificateProblem::CommonName;
        assert_eq!(found.await, (RejectionKind::CertificateRefused, expected));
    }
}
