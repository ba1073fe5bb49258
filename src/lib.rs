//! A [Tower](https://docs.rs/tower) layer that turns the webhooks of Meta's WhatsApp Business Platform into verified, typed events
//! inside your own HTTP service.
//!
//! Meta calls a URL of yours: once with a GET, to see whether you know the verify token, and then with POSTs of JSON, signed with the
//! secret of your app. [`WebhookLayer`] answers the GET, checks the signature of every POST over a body that it bounds in length, time
//! and memory, and calls your own handler with a [`Notification`] in the extensions of the request. Requests to other paths pass
//! through untouched.
//!
//! ```sh
//! cargo add tower-whatsapp axum
//! cargo add tokio --features macros,net,rt-multi-thread
//! ```
//!
//! ```
//! use axum::{Extension, Router, http::StatusCode, routing::{get, post}};
//! use tower_whatsapp::{Notification, Payload, WebhookLayer, event::Content};
//!
//! async fn on_event(Extension(notification): Extension<Notification>) -> StatusCode {
//!     for event in notification.events() {
//!         match event.payload() {
//!             Payload::Message(message) => match message.content {
//!                 Content::Text(text) => println!("{:?}: {:?}", message.sender.name(), text.body),
//!                 other => println!("{other:?}"),
//!             },
//!             Payload::Status(status) => println!("{:?} is {:?}", status.id, status.state),
//!             // Kinds that are not known yet: keep `event.raw()` if you want, and answer 200.
//!             _ => {}
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
//! # let good = ask("/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=the%20verify%20token,%20which%20you%20choose")?;
//! # assert_eq!(app.clone().oneshot(good).await?.status(), 200);
//! # assert_eq!(app.clone().oneshot(ask("/webhook")?).await?.status(), 403);
//! # assert_eq!(app.oneshot(ask("/")?).await?.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Where to go on
//!
//! - [`webhook`]: the layer, what happens to a request, where to put it in a stack, and why it is ready so late.
//! - `docs/hosts.md` in the package: axum, hyper, tonic, Lambda, poem, salvo, warp and others, each with a snippet and its traps.
//! - [`WebhookLayerBuilder`]: the settings, their defaults and the reasons for them.
//! - [`RejectionKind`]: the answers to requests that are not let through.
//! - [`event`]: messages, statuses, all other fields, and what is not known yet.
#![cfg_attr(
    feature = "tokio",
    doc = "- [`dedup`]: each event handled once, in one process or in many, and through crashes."
)]
//! - [`App`] and [`Credentials`]: several apps behind one layer, and secrets that change while the service runs.
#![cfg_attr(
    feature = "admission",
    doc = "- [`admission`]: who may call at all, by address and by client certificate."
)]
//! - [`guide`]: three tasks, whole: routing messages, a delivery report, account alerts; and what others got wrong.
#![cfg_attr(
    feature = "axum",
    doc = "- [`extract`]: the notification as an axum handler argument."
)]
//! - [`signature`] and [`Notification::parse`]: the same without HTTP, for consumers of a queue and for tests.
//!
//! # What the host must do
//!
//! - Answer 2xx when the events are safe, and anything else when they are not: Meta then sends the delivery again, for up to 7 days.
//! - Answer quickly: Meta asks for a median of 250 ms, and for less than 1 % above 1 s. Slow work belongs into a task or a queue.
//! - Expect any order, and duplicates if there is no `DedupLayer`: Meta repeats deliveries to all apps that have subscribed, also to those
//!   that had answered 200.
//! - Take the [`Notification`] from the extensions, and never conclude from the path that a request was verified.
//! - Terminate TLS, and bound the headers, connections and streams, as for any other endpoint.
//!
//! # Features
//!
//! | Feature | Default | What it adds |
//! |---|---|---|
//! | `tokio` | yes | The deadlines for slow bodies, and `dedup`. Without it the host has to bound the time of a request. |
//! | `axum` | no | [`Notification`] and [`Verified`] as handler arguments, no 2 MB limit on bodies that were verified, and the address of the caller from `ConnectInfo`. |
//! | `admission` | no | Who may call at all, by address. |
//! | `client-certificate` | no | The same by client certificate; with `admission`. |
//! | `apps` | no | Apps that are found by the name in the path. |
//! | `redis` | no | A store of handled events for many processes; with `redis-tls` by TLS. |
//! | `aws-lc-rs` | no | HMAC-SHA256 by AWS-LC instead of RustCrypto: fewer instructions where the processor has none for SHA, and FIPS. |
//! | `serde` | no | `Serialize` for [`Payload`] and everything in it, with Meta's own keys. |
//! | `testing` | no | For the tests of hosts: deliveries of every kind as Meta sends them, their signatures, a Meta that repeats, and stores that fail. |
//!
//! # Minimum supported Rust version
//!
//! 1.88, the version that the current line of the RustCrypto crates needs. A later one is not a breaking change and is noted in the
//! change log.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings, rust_2018_idioms), allow(dead_code, unused_variables))))]

#[cfg(feature = "admission")]
pub mod admission;
mod body;
mod body_error;
mod coop;
mod credentials;
#[cfg(feature = "tokio")]
pub mod dedup;
pub mod event;
#[cfg(feature = "axum")]
pub mod extract;
pub mod guide;
mod handshake;
mod hmac;
mod host_body;
mod receive;
mod response;
pub mod secret;
pub mod signature;
#[cfg(feature = "testing")]
pub mod testing;
mod verified;
pub mod webhook;

pub use self::{
    credentials::{Credentials, CredentialsError},
    event::{Event, Notification, Payload},
    verified::Verified,
    webhook::{App, ConfigError, Rejection, RejectionKind, WebhookLayer, WebhookLayerBuilder},
};

/// The store of several servers.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/scale.md")]
struct Scale;
