//! Checks that happen before the body is read: the handshake's query, the signature header, the
//! lengths and the method.

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, Rejection, Verified,
    secret::AppSecret,
    signature::{Signature, Verifier},
    webhook::{
        HandshakeParameter, MalformedHandshake, RejectionDetail, RejectionKind, RequestBody,
    },
};

use test_support::{
    BODY_LIMIT, CHALLENGE, PATH, SECRET, TOKEN, handshake, json::one_text, layer, sign,
};

/// The host responds with 302.
async fn respond(method: Method, uri: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let host = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::FOUND;
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::new(Full::from(one_text()));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(uri).unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let response = layer().layer(host).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, body)
}

/// Status, headers and body of the response.
async fn answer(
    method: Method,
    uri: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let (parts, body) = respond(method, uri, headers).await.into_parts();
    (parts.status, parts.headers, body)
}

async fn asked(query: &str) -> StatusCode {
    answer(Method::GET, &format!("{PATH}?{query}"), &[]).await.0
}

async fn posted(headers: &[(&str, &str)]) -> StatusCode {
    answer(Method::POST, PATH, headers).await.0
}

#[tokio::test]
async fn a_handshake_names_its_mode_its_token_and_its_challenge_once_each() {
    let token = format!("hub.verify_token={TOKEN}");
    let challenge = format!("hub.challenge={CHALLENGE}");
    let mode = "hub.mode=subscribe";
    let good = [mode, &token, &challenge];
    assert_eq!(asked(&good.join("&")).await, StatusCode::OK);
    // PHP's spelling of the names is not Meta's.
    for underscored in [
        format!("hub_mode=subscribe&{token}&{challenge}"),
        format!("{mode}&hub_verify_token={TOKEN}&{challenge}"),
    ] {
        assert_eq!(
            asked(&underscored).await,
            StatusCode::FORBIDDEN,
            "{underscored}"
        );
    }
    for other in [
        "unsubscribe",
        "",
        "Subscribe",
        "subscribe%20",
        "subscribe&hub.mode=subscribe",
    ] {
        let query = format!("hub.mode={other}&{token}&{challenge}");
        assert_eq!(asked(&query).await, StatusCode::FORBIDDEN, "{query}");
    }
    for index in 0..good.len() {
        let twice = format!("{}&{}", good.join("&"), good[index]);
        assert_eq!(asked(&twice).await, StatusCode::FORBIDDEN, "{twice}");
        let mut without = good.to_vec();
        without.remove(index);
        // Without a challenge, but with the right token, the caller may learn the reason.
        let status = if index == 2 {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(asked(&without.join("&")).await, status, "{without:?}");
    }
    // Callers without the token get the same response for every challenge.
    let stranger = format!("{mode}&hub.verify_token=wrong");
    assert_eq!(asked(&stranger).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_echo_is_nothing_that_a_browser_runs_or_keeps() {
    let (status, headers, body) = answer(Method::GET, &handshake(TOKEN, CHALLENGE), &[]).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, CHALLENGE.as_bytes()));
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
}

/// The log of the host says what to correct: which parameter, and what is wrong with it.
#[tokio::test]
async fn a_refused_handshake_names_the_parameter() {
    use HandshakeParameter::{Challenge, Mode, VerifyToken};
    let texts = [
        "hub.mode=subscribe".to_owned(),
        format!("hub.verify_token={TOKEN}"),
        format!("hub.challenge={CHALLENGE}"),
    ];
    let why = async |parts: &[&str]| {
        let uri = format!("{PATH}?{}", parts.join("&"));
        let response = respond(Method::GET, &uri, &[]).await;
        let rejection = response.extensions().get::<Rejection>()?;
        Some((rejection.kind(), rejection.detail()))
    };
    let [mode, token, challenge] = texts.each_ref().map(String::as_str);
    let lacks = |parameter| {
        let detail = RejectionDetail::Parameter(parameter);
        Some((RejectionKind::HandshakeIncomplete, Some(detail)))
    };
    let malformed = |problem| {
        let detail = RejectionDetail::Handshake(problem);
        Some((RejectionKind::HandshakeMalformed, Some(detail)))
    };
    let none = Some((RejectionKind::NotHandshake, None));
    assert_eq!(why(&[]).await, none);
    assert_eq!(why(&["hub.other=1"]).await, none);
    assert_eq!(why(&[mode]).await, lacks(VerifyToken));
    assert_eq!(why(&[token]).await, lacks(Mode));
    assert_eq!(why(&[challenge]).await, lacks(Mode));
    assert_eq!(why(&[mode, challenge]).await, lacks(VerifyToken));
    assert_eq!(why(&[token, challenge]).await, lacks(Mode));
    let problem = MalformedHandshake::ChallengeMissing;
    assert_eq!(why(&[mode, token]).await, malformed(problem));
    for (parameter, text) in [(Mode, mode), (VerifyToken, token), (Challenge, challenge)] {
        let detail = RejectionDetail::Parameter(parameter);
        let repeated = Some((RejectionKind::HandshakeRepeated, Some(detail)));
        assert_eq!(why(&[mode, token, challenge, text]).await, repeated);
        assert_eq!(why(&[text, text]).await, repeated);
    }
    let (long, wide) = ("a".repeat(257), "a".repeat(2049));
    for (challenge, problem) in [
        ("", MalformedHandshake::ChallengeMissing),
        ("a+b", MalformedHandshake::ChallengeUnsafe),
        (&long, MalformedHandshake::ChallengeTooLong),
        (&wide, MalformedHandshake::QueryTooLong),
        (&"&a".repeat(14), MalformedHandshake::TooManyParameters),
    ] {
        let challenge = format!("hub.challenge={challenge}");
        assert_eq!(why(&[mode, token, &challenge]).await, malformed(problem));
    }
    assert_eq!(why(&[mode, token, challenge]).await, None);
}

/// Every unreserved character, and no other byte.
#[tokio::test]
async fn each_byte_of_a_challenge_is_echoed_or_refused() {
    for byte in 0..=u8::MAX {
        let is_safe = byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let encoded = format!("7%{byte:02X}");
        let (status, _, body) = answer(Method::GET, &handshake(TOKEN, &encoded), &[]).await;
        if is_safe {
            assert_eq!((status, &body[..]), (StatusCode::OK, &[b'7', byte][..]));
        } else {
            assert_eq!(status, StatusCode::BAD_REQUEST, "{encoded}");
        }
    }
}

/// A limit that does not count some of them bounds nothing.
#[tokio::test]
async fn every_parameter_of_a_handshake_counts() {
    let good = format!("hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}");
    for other in ["&a=1", "&a", "&=1", "&=", "&", "&hub.other=1"] {
        for (others, expected) in [(13, StatusCode::OK), (14, StatusCode::BAD_REQUEST)] {
            let others = other.repeat(others);
            for query in [format!("{good}{others}"), format!("{others}&{good}")] {
                let query = query.strip_prefix('&').unwrap_or(&query);
                assert_eq!(asked(query).await, expected, "{query}");
            }
        }
    }
}

#[tokio::test]
async fn a_delivery_has_one_signature() {
    let good = sign(SECRET, one_text());
    let bad = sign("another", one_text());
    let name = "x-hub-signature-256";
    // The host's redirect is passed on: only success statuses become 200.
    assert_eq!(posted(&[(name, &good)]).await, StatusCode::FOUND);
    for two in [[&good, &good], [&good, &bad], [&bad, &good]] {
        let headers = two.map(|value| (name, value.as_str()));
        assert!(posted(&headers).await.is_client_error(), "{two:?}");
    }
}

/// A log of the whole chain of an error then tells it. No part of the request is in there.
#[tokio::test]
async fn the_source_of_a_rejection_is_what_exactly_was_wrong() {
    let signature = "x-hub-signature-256";
    let good = sign(SECRET, one_text());
    let token = format!("hub.verify_token={TOKEN}");
    let malformed = format!("hub.mode=subscribe&{token}&hub.challenge=%3Cb%3E");
    for (method, query, headers, expected) in [
        (
            Method::GET,
            "hub.mode=subscribe",
            &[][..],
            Some("hub.verify_token"),
        ),
        (Method::GET, "hub.mode=a&hub.mode=b", &[], Some("hub.mode")),
        (Method::GET, &malformed, &[], Some("challenge")),
        (
            Method::POST,
            "",
            &[(signature, "sha256=ab")],
            Some("64 characters"),
        ),
        (
            Method::POST,
            "",
            &[(signature, &*good), (signature, &*good)],
            Some("repeated"),
        ),
        (Method::POST, "", &[], None),
        (Method::GET, "", &[], None),
    ] {
        let response = respond(method, &format!("{PATH}?{query}"), headers).await;
        let rejection = response.extensions().get::<Rejection>().unwrap();
        let source = rejection.source();
        let found = source.map(|source| source.downcast_ref::<RejectionDetail>().copied());
        assert_eq!(found, rejection.detail().map(Some), "{query} {headers:?}");
        let text = source.map(ToString::to_string);
        let is_told = match (&text, expected) {
            (Some(text), Some(expected)) => text.contains(expected),
            (None, None) => true,
            _ => false,
        };
        assert!(is_told, "{query} {headers:?}: {text:?}");
    }
}

/// Meta also sends an older header with an HMAC-SHA-1. It is neither needed nor enough.
#[tokio::test]
async fn the_sha1_signature_is_ignored() {
    const SHA1: &str = "x-hub-signature";
    let good = sign(SECRET, one_text());
    let sha1 = format!("sha1={}", "0".repeat(40));
    let both = [("x-hub-signature-256", good.as_str()), (SHA1, &sha1)];
    assert_eq!(posted(&both).await, StatusCode::FOUND);
    for value in [&good, &sha1] {
        assert_eq!(posted(&[(SHA1, value)]).await, StatusCode::FORBIDDEN);
        let current = [("x-hub-signature-256", sha1.as_str()), (SHA1, value)];
        assert_eq!(posted(&current).await, StatusCode::FORBIDDEN, "{value}");
    }
}

/// What is not exactly the path goes to the host as it is, whoever signed it.
#[tokio::test]
async fn only_the_exact_path_is_that_of_the_layer() {
    let unsigned = async |uri: &str| answer(Method::POST, uri, &[]).await.0;
    for exact in [PATH.to_owned(), format!("{PATH}?a=b"), format!("{PATH}?/")] {
        assert_eq!(unsigned(&exact).await, StatusCode::FORBIDDEN, "{exact}");
    }
    for other in [
        format!("{PATH}/"),
        format!("{PATH}x"),
        format!("{PATH}%20"),
        format!("/{PATH}"),
        format!("/x{PATH}"),
        format!("/x/..{PATH}"),
        PATH.to_uppercase(),
        PATH.replace('w', "%77"),
        "/".to_owned(),
    ] {
        assert_eq!(unsigned(&other).await, StatusCode::FOUND, "{other}");
    }
}

/// Only the layer makes a `Notification` for a handler: one that somebody else put into the request
/// is gone on every path.
#[tokio::test]
async fn a_foreign_notification_never_reaches_the_host() {
    let host = service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        let extensions = request.extensions();
        let events = extensions.get::<Notification>().map(|it| it.events().len());
        let seen = (events, extensions.get::<Verified>().is_some());
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(seen);
        Ok::<_, Infallible>(response)
    });
    for (path, body, expected) in [
        (PATH, r#"{"object":"x","entry":[]}"#, (Some(0), true)),
        ("/other", "", (None, false)),
    ] {
        let mut request = Request::post(path)
            .header("x-hub-signature-256", sign(SECRET, body))
            .body(Full::from(body))
            .unwrap();
        let foreign = Notification::parse(one_text()).unwrap();
        assert_eq!(foreign.events().len(), 1);
        request.extensions_mut().insert(foreign);
        let response = layer().layer(host).oneshot(request).await.unwrap();
        let seen = response.extensions().get::<(Option<usize>, bool)>();
        assert_eq!(seen, Some(&expected), "{path}");
    }
}

#[tokio::test]
async fn no_other_method_is_answered_as_a_handshake() {
    for method in [Method::HEAD, Method::PUT, Method::OPTIONS, Method::DELETE] {
        let (status, ..) = answer(method.clone(), &handshake(TOKEN, CHALLENGE), &[]).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[tokio::test]
async fn a_declared_length_is_refused_beyond_the_limit_alone() {
    let signature = sign(SECRET, one_text());
    let declared = async |length: &str| {
        posted(&[
            ("x-hub-signature-256", &signature),
            ("content-length", length),
        ])
        .await
    };
    assert_eq!(declared(&BODY_LIMIT.to_string()).await, StatusCode::FOUND);
    for beyond in [(BODY_LIMIT + 1).to_string(), "9".repeat(19), "9".repeat(40)] {
        assert_eq!(
            declared(&beyond).await,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{beyond}"
        );
    }
}

#[tokio::test]
async fn every_encoding_is_looked_at() {
    let signature = sign(SECRET, one_text());
    let encoded = async |encodings: &[&str]| {
        let mut headers = vec![("x-hub-signature-256", signature.as_str())];
        headers.extend(
            encodings
                .iter()
                .map(|encoding| ("content-encoding", *encoding)),
        );
        posted(&headers).await
    };
    for fine in [&[][..], &["identity"], &["Identity", "IDENTITY"]] {
        assert_eq!(encoded(fine).await, StatusCode::FOUND, "{fine:?}");
    }
    for other in [
        &["gzip"][..],
        &["identity", "gzip"],
        &["gzip", "identity"],
        &["identity, gzip"],
    ] {
        assert_eq!(
            encoded(other).await,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{other:?}"
        );
    }
}

/// A duplicate secret counts at its first position, which determines its label.
#[test]
fn of_equal_secrets_the_first_is_told() {
    let secrets = ["other", SECRET, SECRET, "last"].map(|text| AppSecret::new(text).unwrap());
    let mut verifier = Verifier::new(&secrets);
    verifier.update(one_text().as_bytes());
    let signature = Signature::parse(sign(SECRET, one_text()).as_bytes()).unwrap();
    assert_eq!(verifier.verify(&signature), Ok(1));
}
