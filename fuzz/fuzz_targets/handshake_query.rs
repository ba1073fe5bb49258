//! The query of a handshake, through the layer: checks the status and the body of the response.

#![no_main]

use std::{
    convert::Infallible,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use test_support::{PATH, TOKEN, builder};
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{WebhookLayer, webhook::RequestBody};

/// A token that must be percent-encoded.
const ODD_TOKEN: &str = "a b+c%d&e=ü";

static LAYER: LazyLock<WebhookLayer> =
    LazyLock::new(|| builder().verify_token(ODD_TOKEN).build().unwrap());

fuzz_target!(|query: &str| {
    let request = Request::get(format!("{PATH}?{query}")).body(Full::<Bytes>::default());
    // Not every input is a valid query.
    let Ok(request) = request else { return };
    let expected = reference(request.uri().query().unwrap_or_default());

    let host = service_fn(
        async |_: Request<RequestBody<Full<Bytes>>>| -> Result<Response<Full<Bytes>>, Infallible> {
            unreachable!("the host has no part in a handshake")
        },
    );
    let response = now(LAYER.layer(host).call(request)).unwrap();
    let (parts, body) = response.into_parts();
    let body = now(body.collect()).unwrap().to_bytes();
    match expected {
        Ok(challenge) => {
            assert_eq!(
                (parts.status, &body[..]),
                (StatusCode::OK, challenge.as_bytes())
            );
            assert!((1..=256).contains(&body.len()));
            let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~-".contains(byte);
            assert!(body.iter().all(harmless));
            for (name, value) in [
                ("content-type", "text/plain; charset=utf-8"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
                ("content-security-policy", "default-src 'none'; sandbox"),
            ] {
                assert_eq!(parts.headers[name], value);
            }
        }
        Err(status) => {
            assert_eq!((parts.status, &body[..]), (status, &b""[..]));
            assert!(parts.headers.is_empty());
        }
    }
});

/// The outcome by the documentation of the layer.
fn reference(query: &str) -> Result<String, StatusCode> {
    // A parameter may be empty.
    if query.len() > 2048 || query.split('&').count() > 16 {
        return Err(StatusCode::BAD_REQUEST);
    }
    // Invalid UTF-8 decodes to U+FFFD, which is in no token, name or challenge.
    let all = |wanted: &str| -> Vec<String> {
        form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
            .collect()
    };
    let (modes, tokens, challenges) = (
        all("hub.mode"),
        all("hub.verify_token"),
        all("hub.challenge"),
    );
    let ([mode], [token]) = (&*modes, &*tokens) else {
        return Err(StatusCode::FORBIDDEN);
    };
    if mode != "subscribe" || ![TOKEN, ODD_TOKEN].contains(&&**token) || challenges.len() > 1 {
        return Err(StatusCode::FORBIDDEN);
    }
    let challenge = challenges.into_iter().next().unwrap_or_default();
    let allowed = |char: char| char.is_ascii_alphanumeric() || "._~-".contains(char);
    if challenge.is_empty() || challenge.len() > 256 || !challenge.chars().all(allowed) {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(challenge)
}

/// Polls once a future that never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a handshake never waits"),
    }
}
