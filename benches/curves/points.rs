//! The curves, and the work of one round at each point.

use std::{
    convert::Infallible,
    error::Error,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::{runtime, task::JoinSet};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};
use tower_whatsapp::{
    App, Credentials, Notification, WebhookLayer,
    admission::{ForwardedHeader, IpAllowList, PeerAddr, TrustedProxies},
    dedup::{MemoryStore, Store, Token},
    event::EventKey,
    secret::AppSecret,
    signature::{Signature, Verifier},
    webhook::RequestBody,
};

use crate::bodies;

pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: &'static [u64],
    /// Prepares the work for this number of units.
    pub(crate) prepare: fn(u64) -> Result<Work, Box<dyn Error>>,
    /// Units in one round.
    pub(crate) units: fn(u64) -> u64,
    /// Units of work to run in total: rounds times units.
    effort: u64,
}

/// Runs one round. The argument is its number.
type Work = Box<dyn FnMut(u32) -> Result<(), Box<dyn Error>>>;

impl Curve {
    pub(crate) fn rounds(&self, count: u64) -> u32 {
        u32::try_from(self.effort / (self.units)(count)).map_or(u32::MAX, |rounds| rounds.max(1))
    }
}

const UP_TO_THOUSAND: &[u64] = &[1, 3, 10, 30, 100, 300, 1000];
const UP_TO_TEN_THOUSAND: &[u64] = &[1, 10, 100, 1000, 10_000];

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "byte of a message",
        points: &[
            1 << 10,
            1 << 12,
            1 << 14,
            1 << 16,
            1 << 18,
            1 << 20,
            1 << 22,
        ],
        prepare: |bytes| received(text_of(bytes)),
        units: |bytes| bytes,
        effort: 1 << 20,
    },
    Curve {
        name: "event of a batch",
        points: UP_TO_THOUSAND,
        prepare: |events| received(bodies::statuses(usize::try_from(events)?)),
        units: |events| events,
        effort: 200,
    },
    Curve {
        name: "secret",
        points: &[1, 2, 4, 8, 16],
        prepare: secrets,
        units: |secrets| secrets,
        effort: 200,
    },
    Curve {
        name: "request, apps by path",
        points: UP_TO_TEN_THOUSAND,
        prepare: apps,
        units: |_| 1,
        effort: 100,
    },
    Curve {
        name: "address, prefixes",
        points: &[1, 10, 100, 1000, 10_000],
        prepare: prefixes,
        units: |_| 1,
        effort: 10_000,
    },
    Curve {
        name: "element of a header",
        points: UP_TO_TEN_THOUSAND,
        prepare: hops,
        units: |elements| elements,
        effort: 10_000,
    },
    Curve {
        name: "claim and commit, live keys",
        points: &[1000, 10_000, 100_000, 1_000_000],
        prepare: |live| claims(live, 10_000_000),
        units: |_| 1,
        effort: 10_000,
    },
    Curve {
        name: "claim and commit, full store",
        points: &[1000, 10_000, 100_000, 1_000_000],
        prepare: |room| claims(room + room / 2, usize::try_from(room)?),
        units: |_| 1,
        // Entries are evicted in batches of a thousand, so the cost is averaged over many rounds.
        effort: 100_000,
    },
    Curve {
        name: "request, senders at a time",
        points: UP_TO_THOUSAND,
        prepare: senders,
        units: |senders| senders,
        effort: 100,
    },
];

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PATH: &str = "/webhook";

/// Receives deliveries one after the other, from the layer's call to its response,
/// and reads all events.
fn received(body: String) -> Result<Work, Box<dyn Error>> {
    let mut service = WebhookLayer::new(PATH, SECRET, "token")?.layer(service_fn(host));
    let body = Bytes::from(body);
    let signature = bodies::sign(SECRET, &body)?;
    Ok(Box::new(move |_| {
        let request = delivery(PATH, &signature, Frames::one(body.clone()))?;
        accepted(poll_to_end(service.call(request)))
    }))
}

async fn host(request: Request<RequestBody<Frames>>) -> Result<Response<String>, Infallible> {
    let notification = request.extensions().get::<Notification>();
    for event in notification.map_or(&[][..], Notification::events) {
        black_box(event.payload());
    }
    Ok(Response::new(String::new()))
}

fn secrets(count: u64) -> Result<Work, Box<dyn Error>> {
    let mut secrets = Vec::new();
    for number in 1..count {
        secrets.push(AppSecret::new(format!("another {number}"))?);
    }
    secrets.push(AppSecret::new(SECRET)?);
    let body = text_of(700);
    let signature = Signature::parse(bodies::sign(SECRET, body.as_bytes())?.as_bytes())?;
    Ok(Box::new(move |_| {
        let mut verifier = Verifier::new(&secrets);
        verifier.update(black_box(body.as_bytes()));
        black_box(verifier.verify(&signature)?);
        Ok(())
    }))
}

/// Sends deliveries to the apps in a scattered order.
fn apps(count: u64) -> Result<Work, Box<dyn Error>> {
    let path = |number| format!("/hooks/{number}");
    let mut builder = WebhookLayer::builder();
    for number in 0..count {
        let credentials = Credentials::new([("0", SECRET)], [("0", "token")])?;
        builder = builder.route(
            path(number),
            App::new(format!("app-{number}"), credentials)?,
        );
    }
    let mut service = builder.build()?.layer(service_fn(host));
    let body = Bytes::from(text_of(700));
    let signature = bodies::sign(SECRET, &body)?;
    Ok(Box::new(move |round| {
        let path = path(u64::from(round) * 7919 % count);
        let request = delivery(&path, &signature, Frames::one(body.clone()))?;
        accepted(poll_to_end(service.call(request)))
    }))
}

/// Half of the looked-up addresses match a prefix.
fn prefixes(count: u64) -> Result<Work, Box<dyn Error>> {
    let count = u32::try_from(count)?;
    let address = |number: u32| Ipv4Addr::from_bits(0x2000_0001 + (number << 8));
    let nets = (0..count).map(|number| format!("{}/32", address(2 * number)));
    let list = IpAllowList::from_prefixes(nets)?;
    Ok(Box::new(move |round| {
        // Scattered numbers over twice as many addresses as there are prefixes.
        let number = round.wrapping_mul(2_654_435_761) % (2 * count);
        black_box(list.contains(IpAddr::from(black_box(address(number)))));
        Ok(())
    }))
}

/// A caller that forges a header with `count` elements, and is rejected.
fn hops(count: u64) -> Result<Work, Box<dyn Error>> {
    let mut service = WebhookLayer::builder()
        .any_path()
        .app_secret(SECRET)
        .verify_token("token")
        .ip_allow_list(IpAllowList::from_prefixes(["157.240.0.0/16"])?)
        .trusted_proxies(TrustedProxies::from_prefixes(
            ["10.0.0.0/8"],
            ForwardedHeader::x_forwarded_for(),
        )?)
        .build()?
        .layer(service_fn(host));
    let value = vec!["198.51.100.7"; usize::try_from(count)?].join(", ");
    Ok(Box::new(move |_| {
        let mut request = Request::post(PATH)
            .header("x-forwarded-for", &value)
            .body(Frames::one(Bytes::new()))?;
        let proxy = SocketAddr::from(([10, 0, 0, 1], 1));
        request.extensions_mut().insert(PeerAddr(proxy));
        match poll_to_end(service.call(request)) {
            Some(Ok(response)) if response.status() == 403 => Ok(()),
            _ => Err("not rejected".into()),
        }
    }))
}

/// Claims and commits one new event.
fn claims(live: u64, room: usize) -> Result<Work, Box<dyn Error>> {
    const LEASE: Duration = Duration::from_secs(30);
    const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    let key = |number: u64| EventKey::from_bytes(u128::from(number).to_be_bytes());
    let store = MemoryStore::with_capacity(room);
    let keys: Vec<_> = (0..live).map(|number| (key(number), WINDOW)).collect();
    for keys in keys.chunks(1000) {
        now(store.commit(keys, Token::random()))?;
    }
    let token = Token::random();
    Ok(Box::new(move |round| {
        let key = key(live + u64::from(round));
        black_box(now(store.claim(&[key], token, LEASE))?);
        black_box(now(store.commit(&[(key, WINDOW)], token))?);
        Ok(())
    }))
}

/// Receives `count` concurrent deliveries, each in four frames.
fn senders(count: u64) -> Result<Work, Box<dyn Error>> {
    let layer = WebhookLayer::new(PATH, SECRET, "token")?;
    let service = BoxCloneService::new(layer.layer(service_fn(host)));
    let body = Bytes::from(text_of(700));
    let signature = bodies::sign(SECRET, &body)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    Ok(Box::new(move |_| {
        runtime.block_on(async {
            let mut calls = JoinSet::new();
            for _ in 0..count {
                let request = delivery(PATH, &signature, Frames::four(&body))?;
                calls.spawn(service.clone().oneshot(request));
            }
            while let Some(answered) = calls.join_next().await {
                accepted(Some(answered?))?;
            }
            Ok(())
        })
    }))
}

/// A body whose frames are ready at every second poll if it is `slow`.
struct Frames {
    left: Vec<Bytes>,
    slow: bool,
    polled: bool,
}

impl Frames {
    /// The whole body in one frame.
    fn one(body: Bytes) -> Self {
        Self {
            left: vec![body],
            slow: false,
            polled: false,
        }
    }

    fn four(body: &Bytes) -> Self {
        let length = body.len().div_ceil(4);
        let frames = (0..4).rev().map(|number| {
            let end = body.len().min((number + 1) * length);
            body.slice(number * length..end)
        });
        Self {
            left: frames.collect(),
            slow: true,
            polled: false,
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.slow && !self.polled {
            self.polled = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.polled = false;
        Poll::Ready(self.left.pop().map(|frame| Ok(Frame::data(frame))))
    }
}

/// A delivery of one text message, of `bytes` bytes in total.
fn text_of(bytes: u64) -> String {
    let (before, after) = (
        r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"messages":[{"from":"15550000002","id":"wamid.A","timestamp":"1760000000","text":{"body":""#,
        r#""},"type":"text"}]},"field":"messages"}]}]}"#,
    );
    let length = usize::try_from(bytes).unwrap_or(0);
    let text = "x".repeat(length.saturating_sub(before.len() + after.len()));
    format!("{before}{text}{after}")
}

fn delivery(path: &str, signature: &str, body: Frames) -> Result<Request<Frames>, Box<dyn Error>> {
    let request = Request::post(path).header("x-hub-signature-256", signature);
    Ok(request.body(body)?)
}

/// Polls a call that never waits for input. A large body takes several polls. Returns `None` if it
/// does not complete.
fn poll_to_end<T>(call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    (0..10_000).find_map(
        |_| match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        },
    )
}

fn accepted<B, E>(output: Option<Result<Response<B>, E>>) -> Result<(), Box<dyn Error>> {
    match output {
        Some(Ok(response)) if response.status() == 200 => Ok(()),
        _ => Err("not answered with 200".into()),
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match poll_to_end(future) {
        Some(value) => value,
        None => unreachable!("the memory store never waits"),
    }
}
