//! However a body is split into frames, the verdict and the bytes are the same.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{Notification, webhook::RequestBody};

use test_support::{
    SECRET, Script, Step,
    json::{messages, text},
    layer, sign,
};

/// Returns the status and the body that the host received.
fn deliver(body: &str, signature: &str, steps: Vec<Step>) -> (StatusCode, Bytes) {
    let host = service_fn(async |request: Request<RequestBody<Script>>| {
        let notification = request.extensions().get::<Notification>().cloned().unwrap();
        let body = request.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none());
        let body = body.to_bytes();
        assert_eq!(notification.body(), &body);
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let layer = layer();
    let free = layer.available_memory();
    let request = Request::post("/wh")
        .header("x-hub-signature-256", signature)
        .header("content-length", body.len())
        .body(Script::new(steps))
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        let response = layer.layer(host).oneshot(request).await.unwrap();
        let status = response.status();
        (status, response.collect().await.unwrap().to_bytes())
    });
    assert_eq!(layer.available_memory(), free);
    answer
}

/// The same bytes in frames of other lengths, with pauses and empty frames in between.
fn split() -> impl Strategy<Value = (String, Vec<Step>)> {
    let body = ".{0,60}".prop_map(|said| {
        let said = serde_json::to_string(&said).unwrap();
        messages(&text("wamid.A", &said[1..said.len() - 1]))
    });
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), 0..5u8), 0..12);
    (body, cuts, any::<bool>()).prop_map(|(body, cuts, trailers)| {
        let bytes = Bytes::from(body.clone());
        let mut places: Vec<_> = cuts
            .into_iter()
            .map(|(cut, between)| (cut.index(bytes.len() + 1), between))
            .collect();
        places.sort_unstable();
        let mut steps = Vec::new();
        let mut start = 0;
        for (place, between) in places {
            steps.push(Step::Data(bytes.slice(start..place)));
            match between {
                0 => steps.push(Step::Pending),
                1 => steps.push(Step::Empty(3)),
                2 => steps.extend([Step::Empty(1), Step::Pending]),
                _ => {}
            }
            start = place;
        }
        steps.push(Step::Data(bytes.slice(start..)));
        if trailers {
            let mut fields = HeaderMap::new();
            fields.insert("x-hub-signature-256", HeaderValue::from_static("sha256=0"));
            steps.push(Step::Trailers(Box::new(fields)));
        }
        (body, steps)
    })
}

proptest! {
    #[test]
    fn a_good_body_stays_good((body, steps) in split()) {
        let signature = sign(SECRET, &body);
        let whole = deliver(&body, &signature, vec![Step::data(body.clone())]);
        prop_assert_eq!(&whole, &(StatusCode::OK, Bytes::from(body.clone())));
        prop_assert_eq!(deliver(&body, &signature, steps), whole);
    }

    #[test]
    fn a_forged_one_stays_forged((body, steps) in split(), place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut tag = test_support::tag(SECRET, &body);
        tag[place.index(32)] ^= 1 << bit;
        let signature = format!("sha256={}", test_support::hex(&tag));
        let (status, answer) = deliver(&body, &signature, steps);
        prop_assert_eq!((status, answer), (StatusCode::FORBIDDEN, Bytes::new()));
    }

    #[test]
    fn a_changed_one_is_refused((body, steps) in split(), other in ".{0,60}") {
        let signed = messages(&text("wamid.A", "what was signed"));
        prop_assume!(signed != body);
        let signature = sign(SECRET, signed + &other);
        prop_assert_eq!(deliver(&body, &signature, steps).0, StatusCode::FORBIDDEN);
    }
}
