//! A [Tower](https://docs.rs/tower) layer that receives webhooks of Meta's WhatsApp Business
//! Platform and turns them into verified, typed events inside your own HTTP service.
//!
//! Meta calls a URL of yours: once with a GET, to check that you know the verify token, and then
//! with POSTs of JSON that are signed with the secret of your app. [`WebhookLayer`] answers the
//! GET. It verifies the signature of every POST over a body that is bounded in length, time and
//! memory, and calls your handler with a [`Notification`] in the extensions of the request.
//! Requests to other paths pass through untouched.
//!
//! ```sh
//! cargo add tower-whatsapp axum
//! cargo add tokio --features macros,net,rt-multi-thread
//! ```
//!
//! ```
//! use axum::{Extension, Router, http::StatusCode, routing::{get, post}};
//! use tower_whatsapp::{Notification, Payload, WebhookLayer};
//!
//! async fn on_event(Extension(notification): Extension<Notification>) -> StatusCode {
//!     for event in notification.events() {
//!         match event.payload() {
//!             Payload::Message(message) => {
//!                 println!("{:?}: {:?}", message.sender.name(), message.text());
//!             }
//!             Payload::Status(status) => println!("{:?} is {:?}", status.id, status.state),
//!             _ => {} // Other and unknown kinds: keep `event.raw()` if needed, and answer 200.
//!         }
//!     }
//!     StatusCode::OK
//! }
//!
//! # use tower::ServiceExt;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let whatsapp = WebhookLayer::builder()
//!     .path("/webhook")
//!     .app_secret("the app secret, from the App Dashboard")
//!     .verify_token("the verify token, which you choose")
//!     .build()?;
//!
//! let app = Router::new()
//!     .route("/webhook", post(on_event))
//!     .route("/", get(|| async { "the rest of the service" }))
//!     .layer(whatsapp);
//! # let ask = |uri: &str| {
//! #     axum::http::Request::get(uri).body(axum::body::Body::empty())
//! # };
//! # let token = "the%20verify%20token,%20which%20you%20choose";
//! # let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
//! # let good = ask(&format!("/webhook?{query}"))?;
//! # assert_eq!(app.clone().oneshot(good).await?.status(), 200);
//! # assert_eq!(app.clone().oneshot(ask("/webhook")?).await?.status(), 403);
//! # assert_eq!(app.oneshot(ask("/")?).await?.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Modules
//!
//! - [`webhook`]: the layer, how it handles a request, where to place it in a stack, and why it
//!   polls the inner service late. [`WebhookLayerBuilder`] has the settings with their defaults and
//!   reasons, [`RejectionKind`] the responses to rejected requests.
//! - [`App`] and [`Credentials`]: several apps behind one layer, and secret rotation without a
//!   restart.
//! - [`event`]: messages, statuses, all other fields, and unknown data.
#![cfg_attr(
    feature = "tokio",
    doc = "- [`dedup`]: deduplication of redelivered events, in one process or many, across crashes."
)]
#![cfg_attr(
    feature = "admission",
    doc = "- [`admission`]: access control by client address and client certificate."
)]
#![cfg_attr(
    feature = "axum",
    doc = "- [`extract`]: axum extractors for the notification."
)]
//! - [`signature`] and [`Notification::parse`]: the same without HTTP, for consumers of a queue and
//!   for tests.
#![cfg_attr(
    feature = "testing",
    doc = "- [`testing`]: sample deliveries, signatures, redeliveries and failing stores for tests."
)]
//! - [`guide`]: chapters on events, deployment, deduplication, several apps, secret rotation,
//!   memory and tests; complete code for message routing, a delivery report and account alerts;
//!   mistakes found in other implementations. `docs/hosts.md` in the package has a snippet for each
//!   HTTP server: axum, hyper, tonic, Lambda, poem, salvo, warp and others.
//!
//! # Responsibilities of the host
//!
//! - Answer 2xx once the events are safe, and any other status if they are not. Meta then
//!   redelivers for up to 7 days.
//! - Answer quickly. Meta asks for a median of 250 ms, and for less than 1 % above 1 s. Move slow
//!   work into a task or a queue.
//! - Expect events in any order, and duplicates if there is no `DedupLayer`. Meta redelivers to all
//!   subscribed apps, including those that answered 200.
//! - Take the [`Notification`] from the extensions. Do not conclude from the path that a request
//!   was verified.
//! - Terminate TLS, and limit headers, connections and streams, as for any other endpoint.
//!
//! # Features
//!
//! | Feature | What it adds |
//! |---|---|
//! | `tokio` (default) | Timeouts for slow bodies, and `dedup`. Without it the host must limit the time of a request. |
//! | `axum` | [`Notification`] and [`Verified`] as extractors, no 2 MB limit on verified bodies, and the client address from `ConnectInfo`. |
//! | `admission` | Access control by client address. |
//! | `client-certificate` | Access control by client certificate (mTLS), with `admission`. |
//! | `apps` | App lookup by the name in the path. |
//! | `redis` | A deduplication store for many processes; with `redis-tls` over TLS. |
//! | `aws-lc-rs` | HMAC-SHA256 by AWS-LC instead of RustCrypto: fewer instructions on processors without SHA instructions, and FIPS. |
//! | `tracing` | Spans and log events for operators: why a delivery was refused, and what to do. |
//! | `metrics` | Counters, gauges and histograms for operators. |
//! | `serde` | `Serialize` for [`Payload`] and everything in it, with Meta's own keys. |
//! | `testing` | For tests of hosts: sample deliveries of every kind, their signatures, redeliveries, and failing stores. |
//!
//! # Minimum supported Rust version
//!
//! 1.88, required by the current RustCrypto crates. Raising it is not a breaking change and is
//! noted in the change log.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(
    deny(warnings, rust_2018_idioms),
    allow(dead_code, unused_imports, unused_variables)
)))]

#[cfg(feature = "admission")]
pub mod admission;
mod body;
mod contain;
mod coop;
mod credentials;
#[cfg(feature = "tokio")]
pub mod dedup;
pub mod event;
#[cfg(feature = "axum")]
pub mod extract;
pub mod guide;
mod handshake;
mod hex;
mod hmac;
mod host_body;
mod receive;
mod response;
pub mod secret;
pub mod signature;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tokio")]
mod time;
mod unreserved;
mod verified;
pub mod webhook;

pub use self::{
    credentials::{Credentials, CredentialsError},
    event::{Event, Notification, Payload},
    verified::Verified,
    webhook::{App, ConfigError, Rejection, RejectionKind, WebhookLayer, WebhookLayerBuilder},
};

/// Runs the examples of `docs/scale.md` as doctests.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/scale.md")]
struct Scale;
