//! A body in arbitrary frames, with arbitrary timing and declared length. The verdict and the
//! received bytes must equal those of a simple sum over the frames.

#![no_main]

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::SizeHint;
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use test_support::{
    PATH, SECRET, Script, Step, builder, hex,
    json::{messages, text},
    tag,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{Notification, WebhookLayer, webhook::RequestBody};

const LIMIT: usize = 1024;

/// The longest body fits into the memory budget, so no request may be rejected for lack of memory.
static LAYER: LazyLock<WebhookLayer> = LazyLock::new(|| {
    let builder = builder().body_limit(LIMIT).memory_budget(LIMIT);
    builder.build().unwrap()
});

#[derive(Arbitrary, Debug)]
struct Input {
    body: Body,
    signature: Signature,
    cuts: Vec<(u16, Between)>,
    /// Splits the pieces into single bytes.
    bytewise: bool,
    length: Length,
    hint: (u64, Option<u64>),
}

#[derive(Arbitrary, Debug)]
enum Body {
    /// A text message, padded by this number of bytes.
    Text(String, u8),
    Long(u16),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Signature {
    Right,
    OneBitOff(u8),
    OfAnotherSecret,
    OfAnotherBody(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Between {
    Nothing,
    Empty(u8),
    Pending,
    Trailers,
    Wait(Pause),
    Stall,
    Fail,
}

/// No sum of these pauses equals one of the deadlines.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Pause {
    Short,
    Middle,
    Long,
    TooLong,
}

#[derive(Arbitrary, Debug)]
enum Length {
    Unsaid,
    Right,
    Number(u64),
    Text(String),
}

fuzz_target!(|input: Input| {
    let body = body(&input.body);
    let signature = signature(&input.signature, &body);
    let steps = steps(&input, &body);
    let length = match &input.length {
        Length::Unsaid => None,
        Length::Right => Some(body.len().to_string()),
        Length::Number(number) => Some(number.to_string()),
        Length::Text(text) => Some(text.clone()),
    };
    let mut request =
        Request::post(PATH).header("x-hub-signature-256", format!("sha256={}", hex(&signature)));
    let mut declared = None;
    if let Some(Ok(value)) = length.as_deref().map(HeaderValue::from_str) {
        request = request.header("content-length", value);
        declared = length;
    }
    let expected = expected(&steps, declared.as_deref(), &signature);

    let mut hint = SizeHint::new();
    let (lower, upper) = input.hint;
    hint.set_lower(lower);
    if let Some(upper) = upper {
        hint.set_upper(upper.max(lower));
    }
    let script = Script::new(steps).with_hint(hint);
    let counter = script.counter();
    let received = Arc::new(Mutex::new(Vec::new()));
    let host = {
        let received = Arc::clone(&received);
        service_fn(move |request: Request<RequestBody<Script>>| {
            let received = Arc::clone(&received);
            async move {
                let notification = request.extensions().get::<Notification>().cloned().unwrap();
                let length = request.headers()["content-length"].clone();
                let body = request.into_body().collect().await.unwrap();
                assert!(body.trailers().is_none());
                let body = body.to_bytes();
                assert_eq!(notification.body(), &body);
                assert_eq!(length, HeaderValue::from(body.len()));
                assert!(LAYER.available_memory() <= LIMIT - body.len());
                received.lock().unwrap().push(body);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let request = request.body(script).unwrap();
    let response = runtime
        .block_on(LAYER.layer(host).oneshot(request))
        .unwrap();

    assert_eq!(response.status(), expected.status);
    let received = received.lock().unwrap();
    match &expected.received {
        Some(body) => assert_eq!(*received, [body.clone()]),
        None => assert!(received.is_empty()),
    }
    assert_eq!(counter.frames(), expected.frames);
    assert!(counter.bytes_before_last() <= LIMIT);
    drop(response);
    assert_eq!(LAYER.available_memory(), LIMIT);
});

struct Expected {
    status: StatusCode,
    received: Option<Bytes>,
    frames: usize,
}

/// The expected outcome, by the documented limits.
fn expected(steps: &[Step], declared: Option<&str>, signature: &[u8; 32]) -> Expected {
    const IDLE: Duration = Duration::from_secs(5);
    const DEADLINE: Duration = Duration::from_secs(10);
    let mut frames = 0;
    let refused = |status, frames| Expected {
        status,
        received: None,
        frames,
    };
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |length: &str| {
        length
            .parse()
            .is_ok_and(|length: u128| length <= LIMIT as u128)
    };
    if declared.filter(digits).is_some_and(|length| !fits(length)) {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, 0);
    }
    let mut body = Vec::new();
    let mut now = Duration::ZERO;
    let mut patience = IDLE;
    for step in steps {
        match step {
            Step::Data(data) => {
                frames += 1;
                if body.len() + data.len() > LIMIT {
                    return refused(StatusCode::PAYLOAD_TOO_LARGE, frames);
                }
                body.extend_from_slice(data);
                patience = now + IDLE;
            }
            Step::Bytewise(data) => {
                let room = LIMIT - body.len();
                if data.len() > room {
                    return refused(StatusCode::PAYLOAD_TOO_LARGE, frames + room + 1);
                }
                frames += data.len();
                body.extend_from_slice(data);
                patience = now + IDLE;
            }
            Step::Empty(count) => frames += count,
            Step::Trailers(_) => frames += 1,
            Step::Pending => {}
            Step::Wait(pause) => {
                now += *pause;
                if now > patience.min(DEADLINE) {
                    return refused(StatusCode::REQUEST_TIMEOUT, frames);
                }
            }
            Step::Stall => return refused(StatusCode::REQUEST_TIMEOUT, frames),
            Step::Fail => return refused(StatusCode::BAD_REQUEST, frames),
        }
    }
    if tag(SECRET, &body) != *signature {
        refused(StatusCode::FORBIDDEN, frames)
    } else if Notification::parse(body.clone()).is_err() {
        refused(StatusCode::UNPROCESSABLE_ENTITY, frames)
    } else {
        Expected {
            status: StatusCode::OK,
            received: Some(body.into()),
            frames,
        }
    }
}

fn body(body: &Body) -> Bytes {
    match body {
        Body::Text(said, padding) => {
            let said = serde_json::to_string(said).unwrap();
            let said = messages(&text("wamid.A", &said[1..said.len() - 1]));
            Bytes::from(said + &" ".repeat(usize::from(*padding) * 4))
        }
        Body::Long(length) => Bytes::from(vec![b' '; usize::from(length % 4096)]),
        Body::Raw(bytes) => Bytes::copy_from_slice(bytes),
    }
}

fn signature(signature: &Signature, body: &Bytes) -> [u8; 32] {
    match signature {
        Signature::Right => tag(SECRET, body),
        Signature::OneBitOff(bit) => {
            let mut tag = tag(SECRET, body);
            tag[usize::from(bit / 8)] ^= 1 << (bit % 8);
            tag
        }
        Signature::OfAnotherSecret => tag("another secret", body),
        Signature::OfAnotherBody(other) => tag(SECRET, other),
    }
}

fn steps(input: &Input, body: &Bytes) -> Vec<Step> {
    let mut cuts: Vec<_> = input
        .cuts
        .iter()
        .map(|(cut, between)| (usize::from(*cut) % (body.len() + 1), between))
        .collect();
    cuts.sort_by_key(|(cut, _)| *cut);
    let piece = |piece: Bytes| match piece.len() {
        0 => Step::Empty(1),
        _ if input.bytewise => Step::Bytewise(piece),
        _ => Step::Data(piece),
    };
    let mut steps = Vec::new();
    let mut start = 0;
    for (cut, between) in cuts {
        steps.push(piece(body.slice(start..cut)));
        start = cut;
        steps.push(match between {
            Between::Nothing => continue,
            Between::Empty(count) => Step::Empty(usize::from(*count) + 1),
            Between::Pending => Step::Pending,
            Between::Trailers => {
                let mut fields = HeaderMap::new();
                fields.insert("x-hub-signature-256", HeaderValue::from_static("sha256=0"));
                Step::Trailers(Box::new(fields))
            }
            Between::Wait(pause) => Step::Wait(Duration::from_millis(match pause {
                Pause::Short => 701,
                Pause::Middle => 2303,
                Pause::Long => 4107,
                Pause::TooLong => 6101,
            })),
            Between::Stall => Step::Stall,
            Between::Fail => Step::Fail,
        });
    }
    steps.push(piece(body.slice(start..)));
    steps
}
