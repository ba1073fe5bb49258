//! Deduplicates events, so that each is handled once.
//!
//! Meta delivers at least once. It repeats a delivery that was not answered with 200 for up to
//! seven days, and at once if the handler is slow. It repeats the delivery to all subscribed apps,
//! even to those that have answered, and groups the events differently each time. A [`DedupLayer`]
//! inside the [`WebhookLayer`](crate::WebhookLayer) passes on only the events that were not handled
//! yet.
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
//! #     let digest = mac.finalize().into_bytes();
//! #     let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
//! #     axum::http::Request::post("/webhook")
//! #         .header("x-hub-signature-256", format!("sha256={hex}"))
//! #         .body(body.into())
//! #         .unwrap()
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
//! let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[
//!     {"field":"messages","value":{"metadata":{"phone_number_id":"100000000000001"},"messages":[
//!     {"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text",
//!     "text":{"body":"hi"}}]}}]}]}"#;
//! for _ in 0..3 {
//!     assert_eq!(app.clone().oneshot(sign(body)).await?.status(), 200);
//! }
//! assert_eq!((handle.counters().delivered, handle.counters().suppressed), (1, 2));
//! # Ok(()) }
//! ```
//!
//! # What happens to a delivery
//!
//! 1. Each event gets its idempotency key ([`Event::key`](crate::Event::key)). Duplicates within
//!    the delivery are suppressed.
//! 2. All keys are claimed in the [`Store`], 256 per call, under a random token of this delivery
//!    and for the duration of a [lease]. While the handler runs, the lease is renewed whenever a
//!    third of it has passed.
//! 3. The handler is called with the events that could be claimed. The others are in
//!    [`Notification::suppressed`](crate::Notification::suppressed). The request body is that of
//!    the whole delivery.
//! 4. If the handler responds with 2xx, the events are committed: they are suppressed for the
//!    [window]. If it responds with another status, fails or panics, they are released: they are
//!    handled again at the next delivery. A [`PartialFailure`] releases single events.
//!
//! The outcome is the same if something panics when it is dropped: the handler, its response, the
//! request, or a call of the store.
//!
//! | Situation | Response | Events |
//! |---|---|---|
//! | all events were handled before, and none is [foreign](crate::Notification::foreign) | 200, the handler is not called | |
//! | the handler responds with 2xx | its response, after the commit | done |
//! | the handler responds with 2xx and a gRPC failure | 500, after the release | released |
//! | the handler responds with another status | its own 5xx, else 500, after the release | released |
//! | the handler returns an error, or panics | 500 | released |
//! | the handler reports failed events | its own 5xx, else 500 | failed ones released, others done |
//! | one of them is not in the delivery | its own 5xx, else 500 | released |
//! | the [key] function panics | 500, the handler is not called | |
//! | some events are in flight elsewhere | 503, after the claimed ones are handled; the handler is not called if none could be claimed | those claimed are done |
//! | all events are in flight elsewhere | after a [wait], 200 if they are done then, else 503 | |
//! | the [response deadline] passes | 503 | the handler goes on |
//! | the [handler deadline] passes, counted from the claim | 503 | handler dropped, events released |
//! | the sender disconnects | | the handler goes on |
//! | the store fails at the claim | 503, or [`OnStoreError::Deliver`] calls the handler | |
//! | the store fails at the commit | the same response | the commit is retried until the lease expires |
//! | the store fails at a renewal | | the handler goes on, the renewal is retried |
//! | a renewal finds the lease lost | | the handler goes on, the commit of the lost events has no effect |
//! | the process is shutting down | 503 | |
//!
//! Every response to a delivery other than 2xx has a [`DedupRejection`] in its extensions, with the
//! reason. The 200 for events that were all handled before has none.
//!
//! [key]: DedupLayerBuilder::key
//! [lease]: DedupLayerBuilder::lease
//! [window]: DedupLayerBuilder::window
//! [wait]: DedupLayerBuilder::in_flight_wait
//! [response deadline]: DedupLayerBuilder::response_deadline
//! [handler deadline]: DedupLayerBuilder::handler_deadline
//!
//! # Guarantees
//!
//! **No event is lost.** A 200 means that the handler has responded with 2xx for every event of the
//! delivery, now or before. This holds for any failure of the process, the store or the network,
//! under these conditions:
//!
//! - The handler is done when it returns its response. Work that happens while the response body is
//!   streamed comes after the commit, so a failure there releases nothing.
//! - Keys are distinct. Apps that share a store need different [labels](crate::App::new), or one of
//!   them misses the events that both receive.
//! - Stale events are not refused ([`OnStale::Refuse`]).
//!
//! **An event is handled twice only** in these cases:
//!
//! - It has neither an id nor a timestamp, such as an error of a phone number. A redelivery cannot
//!   be told from a later event with the same content
//!   ([`Event::is_distinguishable`](crate::Event::is_distinguishable)).
//! - It has no id, so its key is made from its JSON, and a redelivery spells that in another way:
//!   other escapes, spaces or order of keys. Meta is not known to do so.
//! - The process dies after the handler has finished and before the commit has reached the store.
//!   Only a transaction over both could prevent that.
//! - The store is unavailable from the commit until the lease expires, or loses the commit
//!   ([`Counters::unrecorded`]).
//! - The commit fails and is not retried until the lease expires, because more than 65,536 events
//!   have a pending write already or a [drain](DedupHandle::drain) ends (counted there too).
//! - Its lease expires before the commit, and another holder claims it. That happens if the handler
//!   blocks its thread or the process is suspended, or if the store is unavailable for longer than
//!   a lease and the other holder is first when it is back. [`Counters::leases_lost`] and
//!   [`Counters::fenced`] count the events for which the store reports this. If the other holder
//!   has finished already, the store cannot tell: [`Counters::lease_overruns`] counts all events
//!   whose lease was over.
//! - The handler is dropped at its deadline or by a drain, and had done a part of its work by then
//!   ([`Counters::timed_out`], [`Counters::aborted`]).
//! - The store was unavailable, and you have chosen [`OnStoreError::Deliver`].
//! - The store forgets it before its window. [`MemoryStore`] forgets all events at a restart. When
//!   it is full, it evicts those that would expire first: by default after a week at 1.6 events per
//!   second, after 40 hours at 7 ([`effective_window`](MemoryStore::effective_window)). Redis
//!   forgets at a restart without persistence, at a failover, and when it evicts keys because
//!   `maxmemory-policy` is not `noeviction`.
//! - It is delivered again after its window. [`Event::is_stale`](crate::Event::is_stale) marks such
//!   events, except those that [never count as stale](DedupLayerBuilder::on_stale).
//!
//! If something must not happen twice even in these cases, write it in the same transaction of your
//! own database as the key of the event.
//!
//! # Choosing a store
//!
//! [`MemoryStore`] is for a single process, and its entries are lost when the process ends.
#![cfg_attr(
    feature = "redis",
    doc = "[`RedisStore`] is for several processes, and survives restarts."
)]
#![cfg_attr(
    not(feature = "redis"),
    doc = "`RedisStore` (feature `redis`) is for several processes, and survives restarts."
)]
//! For another database implement [`Store`], which has four operations. The feature `testing` has a
//! conformance suite for it.

mod builder;
mod chunked;
mod circuit_breaker;
mod claim_set;
mod config;
mod deferrals;
mod future;
mod handle;
mod layer;
mod memory;
mod partial_failure;
mod placement;
#[cfg(feature = "redis")]
mod redis;
mod rejection;
mod retry;
mod run_handler;
mod service;
mod shared;
mod store;
mod task;
mod tracker;

// The locks of `memory`, imported here because `tests/shuttle.rs` replaces them.
use std::sync::{Mutex, MutexGuard};

pub(crate) use self::placement::{Passage, remove_stale_marks};
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use self::{
    builder::DedupLayerBuilder,
    config::{ConfigError, OnStale, OnStoreError},
    future::ResponseFuture,
    handle::{Counters, DedupHandle, Drained},
    layer::DedupLayer,
    memory::MemoryStore,
    partial_failure::PartialFailure,
    rejection::{DedupRejection, DedupRejectionKind},
    service::Dedup,
    store::{Claim, Commit, Renewal, Store, StoreError, StoreErrorKind, Token},
};
