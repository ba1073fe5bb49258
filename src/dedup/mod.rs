//! Each event handled once.
//!
//! Meta repeats: for up to seven days whatever was not answered with 200, at once if a handler is slow, to every app that has subscribed
//! even if it had answered, and grouped anew each time. A [`DedupLayer`] inside the [`WebhookLayer`](crate::WebhookLayer) lets through what
//! was not handled yet.
//!
//! ```
//! # use axum::{Router, body::Body, extract::Extension, routing::post};
//! # use tower::ServiceExt;
//! use tower_whatsapp::{Notification, WebhookLayer, dedup::{DedupLayer, MemoryStore}};
//!
//! async fn on_event(Extension(notification): Extension<Notification>) {
//!     println!("{} new, {} known", notification.events().len(), notification.suppressed().len());
//! }
//!
//! # fn sign(body: &'static str) -> axum::http::Request<Body> {
//! #     use hmac::{Hmac, KeyInit, Mac};
//! #     let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
//! #     mac.update(body.as_bytes());
//! #     let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
//! #     axum::http::Request::post("/webhook").header("x-hub-signature-256", format!("sha256={hex}")).body(body.into()).unwrap()
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dedup = DedupLayer::new(MemoryStore::new());
//! let handle = dedup.handle();
//! let app = Router::new()
//!     .route("/webhook", post(on_event))
//!     .layer(dedup)
//!     .layer(WebhookLayer::new("/webhook", "secret", "token")?);
//!
//! let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{
//!     "metadata":{"phone_number_id":"100000000000001"},"messages":[{"from":"16505550001","id":"wamid.A",
//!     "timestamp":"1760000000","type":"text","text":{"body":"hi"}}]}}]}]}"#;
//! for _ in 0..3 {
//!     assert_eq!(app.clone().oneshot(sign(body)).await?.status(), 200);
//! }
//! assert_eq!((handle.counters().handled, handle.counters().suppressed), (1, 2));
//! # Ok(()) }
//! ```
//!
//! # What happens to a delivery
//!
//! 1. Its events get their keys ([`Event::key`](crate::Event::key)). What is twice in one delivery counts once.
//! 2. All keys are claimed in the [`Store`], 256 in a call, under a token of this delivery, for the
//!    time of a [lease]. The lease is renewed while the handler runs, every third of it.
//! 3. The handler is called with the events that could be claimed; [`Notification::suppressed`](crate::Notification::suppressed) has the
//!    others. The body is that of the whole delivery.
//! 4. It answers 2xx: the events are committed, and not handled again for the [window]. It answers anything else, fails or panics: they are
//!    released, and handled again when they come again. Single events may fail: see [`PartialFailure`].
//!
//! | Situation | Answer | The events |
//! |---|---|---|
//! | all were handled before | 200, the handler is not called | |
//! | the handler says 2xx | its answer, after the commit | done |
//! | the handler says 2xx and gRPC that it failed | 500, after the release | free |
//! | the handler says anything else | its own 5xx, else 500, after the release | free |
//! | the handler fails without an answer, or panics | 500 | free |
//! | the handler says which events failed | its own 5xx, else 500 | these are free, the others done |
//! | some are being handled elsewhere | the others are handled; 503 | |
//! | all are being handled elsewhere | after a [wait], 200 if they are done then, else 503 | |
//! | the handler is not ready within the [response deadline] | 503 | the handler goes on |
//! | the handler is not ready within its [own deadline] | 503 | it is dropped, they are free |
//! | the sender hangs up | | the handler goes on |
//! | the store fails at the claim | 503; or, [if you say so], the handler is called unprotected | |
//! | the store fails at the commit | as if it had not | the commit is tried again until the lease has passed |
//! | the store fails at a renewal | | the handler goes on; the renewal is tried again |
//! | a renewal finds that the lease is lost | | the handler goes on; the commit of what was lost changes nothing |
//! | the process is shutting down | 503 | |
//!
//! An answer that is not the handler's own has a [`DedupRejection`] in its extensions
//! that says why.
//!
//! [lease]: DedupLayerBuilder::lease
//! [window]: DedupLayerBuilder::window
//! [wait]: DedupLayerBuilder::in_flight_wait
//! [response deadline]: DedupLayerBuilder::response_deadline
//! [own deadline]: DedupLayerBuilder::handler_deadline
//! [if you say so]: OnStoreError::Deliver
//!
//! # What "once" means, and where it ends
//!
//! No event is lost: a 200 says that the handler has answered 2xx for all events of the delivery, whatever fails on the way. The handler's answer
//! counts when its head is there: work that is done while a response body is streamed comes too late to be undone. And the
//! layer is as good as its keys: apps that share a store need [labels](crate::App::new) of their own, or one loses what
//! both receive.
//!
//! An event is handled twice only
//!
//! - if it has neither an id nor a time, such as an error of a phone number: a repeat cannot be told from a later event
//!   that says the same ([`Event::is_distinguishable`](crate::Event::is_distinguishable));
//! - if the process dies after the handler has ended and before the commit has reached the store (nobody can do better without a
//!   transaction that has both);
//! - if the store cannot be reached for the commit until the lease has passed, or forgets it
//!   ([`Counters::unrecorded`]);
//! - if the commit fails, and is not tried again until the lease has passed: more than 65,536 events
//!   have a pending write already, or a [drain](DedupHandle::drain) ends (counted there too);
//! - if its lease expires while the handler runs, and somebody else claims it: the handler blocks its
//!   thread, the process is suspended, or the store is away for longer than a lease and the other
//!   is first when it is back ([`Counters::leases_lost`], [`Counters::fenced`]);
//! - if the handler is dropped at its own deadline or by a drain, for what it had done by then
//!   ([`Counters::timed_out`], [`Counters::aborted`]);
//! - if the store could not be asked and you have chosen [`OnStoreError::Deliver`];
//! - if it comes again after its window: [`Event::is_stale`](crate::Event::is_stale) marks those.
//!
//! What must not happen twice even then is written together with the event's key in one transaction of your own database.
//!
//! # Which store
//!
//! [`MemoryStore`] for one process: what it remembers is gone when the process is.
#![cfg_attr(
    feature = "redis",
    doc = "[`RedisStore`] for several processes, and for restarts."
)]
#![cfg_attr(
    not(feature = "redis"),
    doc = "`RedisStore` (feature `redis`) for several processes, and for restarts."
)]
//! A [`Store`] of your own has five operations, and a conformance suite in the feature `testing`.

mod builder;
mod chunked;
mod claim_set;
mod future;
mod guard;
mod handle;
mod layer;
mod memory;
mod partial_failure;
mod placement;
#[cfg(feature = "redis")]
mod redis;
mod rejection;
mod service;
mod store;
mod task;

// What `memory` locks with: `tests/shuttle.rs` puts its own in their place.
use std::sync::{Mutex, MutexGuard};

pub(crate) use self::placement::Passage;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use self::{
    builder::{ConfigError, DedupLayerBuilder, OnStale, OnStoreError},
    future::ResponseFuture,
    handle::{Counters, DedupHandle, Drained},
    layer::DedupLayer,
    memory::MemoryStore,
    partial_failure::PartialFailure,
    rejection::{DedupRejection, DedupRejectionKind},
    service::Dedup,
    store::{Claim, Commit, Renewal, Store, StoreError, StoreErrorKind, Token},
};
