//! What one request costs, in instructions, from the layer's call to its answer: `cargo bench --bench service`.
//!
//! The request is made and dropped in each round, and the host does nothing, so what is counted beside the layer is small and the same in all
//! rows. Instructions are counted by valgrind's callgrind, so they do not depend on what else the machine does.

mod support;

use std::{
    convert::Infallible,
    env,
    error::Error,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use http_body_util::Full;
use sha2::Sha256;
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{WebhookLayer, webhook::RequestBody};

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"100000000000001","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550000001","phone_number_id":"200000000000001"},"contacts":[{"profile":{"name":"Ada"},"wa_id":"15550000002"}],"messages":[{"from":"15550000002","id":"wamid.HBgLMTU1NTAwMDAwMDIVAgASGBQzQTAwMDAwMDAwMDAwMDAwMDAwMDAA","timestamp":"1760000000","text":{"body":"Is the blue one still there?"},"type":"text"}]},"field":"messages"}]}]}"#;

const ROWS: [&str; 3] = ["pass-through", "handshake", "text message"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", row, rounds] = arguments.get(1..).unwrap_or_default() {
        return work(row, rounds.parse()?);
    }
    println!("{:<24} {:>13}", "request", "instructions");
    for row in ROWS {
        println!("{row:<24} {:>13}", support::per_round(&[row], [100, 1100])?);
    }
    Ok(())
}

fn work(row: &str, rounds: u32) -> Result<(), Box<dyn Error>> {
    let layer = WebhookLayer::new("/webhook", "the app secret", "the verify token")?;
    let host = service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
        drop(black_box(request));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let mut service = layer.layer(host);
    let mut mac = Hmac::<Sha256>::new_from_slice(b"the app secret")?;
    mac.update(BODY.as_bytes());
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("sha256={hex}");
    let body = Bytes::from_static(BODY.as_bytes());
    for _ in 0..rounds {
        let request = match row {
            "pass-through" => Request::get("/elsewhere").body(Full::default())?,
            "handshake" => Request::get(
                "/webhook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=the%20verify%20token",
            )
            .body(Full::default())?,
            _ => Request::post("/webhook")
                .header("x-hub-signature-256", &signature)
                .header("content-length", body.len())
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))?,
        };
        let mut call = pin!(service.call(request));
        let Poll::Ready(Ok(response)) = call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        else {
            return Err("not answered at once".into());
        };
        if response.status() != 200 {
            return Err("refused".into());
        }
        black_box(response);
    }
    Ok(())
}
