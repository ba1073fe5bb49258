//! The rows of the table, and the work of one round of each.

use std::{
    convert::Infallible,
    error::Error,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use http_body_util::Full;
use sha2::Sha256;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, WebhookLayer,
    admission::IpAllowList,
    dedup::{MemoryStore, Store, Token},
    event::EventKey,
    secret::AppSecret,
    signature::{Signature, Verifier},
    webhook::RequestBody,
};

use crate::bodies;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: fn(u32) -> Outcome,
    /// A small and a large number of rounds. The difference of their instructions is reported.
    pub(crate) rounds: [u32; 2],
}

type Outcome = Result<(), Box<dyn Error>>;

const fn row(name: &'static str, work: fn(u32) -> Outcome) -> Row {
    Row {
        name,
        work,
        rounds: [100, 1100],
    }
}

const fn large(name: &'static str, work: fn(u32) -> Outcome) -> Row {
    Row {
        name,
        work,
        rounds: [1, 4],
    }
}

/// Each round of `bare`, `pass-through`, `handshake` and `text message` includes creating and
/// dropping a request. The host handler does nothing.
pub(crate) const ALL: &[Row] = &[
    row("bare", |rounds| requests("/elsewhere", bare(), rounds)),
    row("bare, readied late", |rounds| {
        requests("/elsewhere", late(), rounds)
    }),
    row("pass-through", |rounds| {
        requests("/elsewhere", layered()?, rounds)
    }),
    row("pass-through, host body", |rounds| {
        requests("/elsewhere", with_host_body()?, rounds)
    }),
    row("handshake", |rounds| {
        requests(HANDSHAKE, layered()?, rounds)
    }),
    row("text message", |rounds| text_message(layered()?, rounds)),
    row("text message, host body", |rounds| {
        text_message(with_host_body()?, rounds)
    }),
    row("hmac 700 B", |rounds| hmac(700, rounds)),
    row("verify 700 B", |rounds| verify(700, rounds)),
    large("hmac 3 MB", |rounds| hmac(3_000_000, rounds)),
    large("verify 3 MB", |rounds| verify(3_000_000, rounds)),
    row("parse text", |rounds| parse("text", rounds)),
    row("parse status", |rounds| parse("status", rounds)),
    row("parse order", |rounds| parse("order", rounds)),
    large("parse 1000 statuses", |rounds| {
        parse("1000 statuses", rounds)
    }),
    row("keys of a text", |rounds| keys("text", rounds)),
    large("keys of 1000 statuses", |rounds| {
        keys("1000 statuses", rounds)
    }),
    Row {
        rounds: [100, 20_100],
        ..row("claim and commit", claim_and_commit)
    },
    Row {
        rounds: [1000, 101_000],
        ..row("allow-list of 100", allow_list)
    },
];

const HANDSHAKE: &str =
    "/webhook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=the%20verify%20token";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A service whose response is ready at the first poll.
trait ReadyService {
    fn call_once(&mut self, request: Request<Full<Bytes>>) -> Outcome;
}

impl<S, B> ReadyService for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    fn call_once(&mut self, request: Request<Full<Bytes>>) -> Outcome {
        let mut cx = Context::from_waker(Waker::noop());
        if !self.poll_ready(&mut cx).is_ready() {
            return Err("not ready at once".into());
        }
        let mut call = pin!(self.call(request));
        match call.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(response)) if response.status() == 200 => {
                black_box(response);
                Ok(())
            }
            _ => Err("not answered with 200 at once".into()),
        }
    }
}

async fn host<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(black_box(request));
    Ok(Response::new(Full::default()))
}

fn bare() -> impl ReadyService {
    service_fn(host::<Full<Bytes>>)
}

/// Calls a clone that is made ready when the future is polled, as the layer does for every request.
fn late() -> impl ReadyService {
    service_fn(|request| service_fn(host::<Full<Bytes>>).oneshot(request))
}

fn layered() -> Result<impl ReadyService, Box<dyn Error>> {
    let layer = WebhookLayer::new("/webhook", SECRET, "the verify token")?;
    Ok(layer.layer(service_fn(host::<RequestBody<Full<Bytes>>>)))
}

fn with_host_body() -> Result<impl ReadyService, Box<dyn Error>> {
    let layer = WebhookLayer::new("/webhook", SECRET, "the verify token")?.host_body();
    Ok(layer.layer(service_fn(host::<Full<Bytes>>)))
}

fn requests(uri: &str, mut service: impl ReadyService, rounds: u32) -> Outcome {
    for _ in 0..rounds {
        service.call_once(Request::get(uri).body(Full::default())?)?;
    }
    Ok(())
}

fn text_message(mut service: impl ReadyService, rounds: u32) -> Outcome {
    let body = body("text")?;
    let signature = bodies::sign(SECRET, &body)?;
    for _ in 0..rounds {
        let request = Request::post("/webhook")
            .header("x-hub-signature-256", &signature)
            .header("content-length", body.len())
            .header("content-type", "application/json")
            .body(Full::new(body.clone()))?;
        service.call_once(request)?;
    }
    Ok(())
}

/// RustCrypto's HMAC, keyed once: the minimum cost with the default backend.
fn hmac(bytes: usize, rounds: u32) -> Outcome {
    let keyed = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    let body = vec![b'x'; bytes];
    for _ in 0..rounds {
        let mut mac = keyed.clone();
        mac.update(black_box(&body));
        black_box(mac.finalize());
    }
    Ok(())
}

fn verify(bytes: usize, rounds: u32) -> Outcome {
    let secrets = [AppSecret::new(SECRET)?];
    let body = vec![b'x'; bytes];
    let signature = bodies::sign(SECRET, &body)?;
    for _ in 0..rounds {
        let signature = Signature::parse(black_box(signature.as_bytes()))?;
        let mut verifier = Verifier::new(&secrets);
        verifier.update(black_box(&body));
        verifier.verify(&signature)?;
    }
    Ok(())
}

fn parse(name: &str, rounds: u32) -> Outcome {
    let body = body(name)?;
    for _ in 0..rounds {
        let notification = Notification::parse(body.clone())?;
        for event in notification.events() {
            black_box(event.payload());
        }
    }
    Ok(())
}

fn keys(name: &str, rounds: u32) -> Outcome {
    let notification = Notification::parse(body(name)?)?;
    for _ in 0..rounds {
        for event in notification.events() {
            black_box(event.key());
        }
    }
    Ok(())
}

/// Claims and commits one new event, with 10,000 others in the store.
fn claim_and_commit(rounds: u32) -> Outcome {
    const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    const LEASE: Duration = Duration::from_secs(30);
    const OTHERS: u32 = 10_000;
    let key = |number: u32| EventKey::from_bytes(u128::from(number).to_be_bytes());
    let store = MemoryStore::new();
    for number in 0..OTHERS {
        now(store.commit(&[(key(number), WINDOW)], Token::random()))?;
    }
    let token = Token::random();
    for round in 0..rounds {
        let key = key(OTHERS + round);
        black_box(now(store.claim(&[key], token, LEASE))?);
        black_box(now(store.commit(&[(key, WINDOW)], token))?);
    }
    Ok(())
}

/// Half of the looked-up addresses match a prefix.
fn allow_list(rounds: u32) -> Outcome {
    const PREFIXES: u32 = 100;
    let address = |number: u32| Ipv4Addr::from_bits(0x2000_0001 + (number << 8));
    let prefixes = (0..PREFIXES).map(|number| format!("{}/32", address(2 * number)));
    let list = IpAllowList::from_prefixes(prefixes)?;
    for round in 0..rounds {
        let number = round.wrapping_mul(2_654_435_761) % (2 * PREFIXES);
        black_box(list.contains(IpAddr::from(black_box(address(number)))));
    }
    Ok(())
}

fn body(name: &str) -> Result<Bytes, Box<dyn Error>> {
    let mut bodies = bodies::all().into_iter();
    let (_, body) = bodies
        .find(|(candidate, _)| *candidate == name)
        .ok_or("no such body")?;
    Ok(body.into())
}

/// Polls once: the memory store never waits, so no runtime affects the counts.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the memory store never waits"),
    }
}
