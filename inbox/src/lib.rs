//! A durable inbox for WhatsApp webhooks on Postgres or SQLite.
//!
//! Every event of a delivery is stored in one transaction, then Meta gets its 200. Workers hand the
//! events to your handler: in order per conversation and one at a time, retried with back-off,
//! and kept as dead letters when they cannot be handled.
//!
//! ```
//! use axum::Router;
//! use tower_whatsapp::WebhookLayer;
//! use tower_whatsapp_inbox::{Inbox, InboxEvent};
//!
//! async fn on_event(event: InboxEvent) -> Result<(), std::io::Error> {
//!     println!("{}", event.kind());
//!     Ok(())
//! }
//!
//! # async fn example(file: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let inbox = Inbox::sqlite(file).await?; // or Inbox::postgres(pool)
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token")?;
//! let app: Router = Router::new()
//!     .route_service("/webhook", inbox.receiver())
//!     .layer(whatsapp);
//!
//! let shutdown = async { /* for example tokio::signal::ctrl_c() */ };
//! inbox.worker(on_event).concurrency(16).run(shutdown).await;
//! # Ok(()) }
//! # let dir = tempfile::tempdir().unwrap();
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(example(&dir.path().join("inbox.db"))).unwrap();
//! ```
//!
//! # Guarantees
//!
//! - **200 means stored.** If the database is away, full, read-only or too slow, Meta gets 503 and
//!   redelivers. A delivery whose rows would take too much memory gets 503 too
//!   ([`InboxErrorKind::TooLarge`]); Meta sends nothing like it. Two groups get 200 and are not
//!   stored: kinds that [`InboxBuilder::ignore`] or [`InboxBuilder::only`] leave out, and events in
//!   `Notification::foreign`. If the second is a loss, set `OnForeignEvent::Refuse` in the app.
//! - **Stored once.** A redelivery in any grouping is not stored again, until 7 days after the
//!   event was handled. A `DedupLayer` is not needed. Events without an id and without a time
//!   cannot be told from each other; each is stored.
//! - **Handled at least once, one worker at a time.** A worker holds a lease on a conversation and
//!   renews it. If its process dies, another takes over when the lease has expired. An event runs
//!   again after a failure, after [`Verdict::Again`], at [`Worker::handler_timeout`], if the
//!   shutdown drops it ([`Worker::drain_timeout`]), or if its process was killed, paused or cut off
//!   from the database for longer than its lease.
//! - **Exactly-once effects in this database.** A handler that writes in an [`InboxTransaction`]
//!   leaves exactly one trace per event, also after a kill.
//! - **In order per conversation**, by Meta's timestamp, then by arrival. An event that is older
//!   than one that was handled already comes late. An event that fails holds up its conversation
//!   until it is done or a dead letter; other conversations go on. Statuses, histories and tracking
//!   events have lanes and slots of their own.
//!
//! # Conversations
//!
//! A conversation is the app and the business phone number, with the group, else the user id, else
//! the WhatsApp id. When Meta announces that an id has changed, later events stay in the same
//! conversation for 90 days. If the announcement arrives late, what waits under the new id joins
//! the conversation; what is being handled or retried at that moment does not. Events about an
//! account are in order per account.
//!
//! # Logs and metrics
//!
//! With the feature `tracing`: a span `whatsapp.inbox.run` for each run, with the handler inside of
//! it, and WARN for what an operator must act on, at most once a minute for each kind. The target
//! is `tower_whatsapp_inbox`. `docs/inbox.md` in the repository has the lines.
//!
//! With the feature `metrics`, for any recorder of the crate `metrics`:
//!
//! | Metric | Labels |
//! |---|---|
//! | counter `whatsapp_inbox_total` | `what`: the fields of [`Counters`] |
//! | gauge `whatsapp_inbox_waiting` | `state`: the counts of [`Status`] |
//! | gauge `whatsapp_inbox_oldest_seconds` | |
//! | histogram `whatsapp_inbox_wait_seconds`: from arrival to the start of a run | `kind` |
//! | histogram `whatsapp_inbox_handler_duration_seconds` | |
//!
//! Install the recorder before the inbox is opened: it describes the metrics then, and registers
//! all values of the counter at zero. The gauges are set whenever [`Inbox::status`] is called, and
//! by workers at their start and every minute. No label has a value from a request.
//!
//! # Personal data
//!
//! Errors and `Debug` of this crate have no texts, ids of users or phone numbers. The database has
//! them. `body` has the whole event, and `last_error` what your handler says, until the event is
//! done. `conversation` and `lane` have user ids and phone numbers until [`InboxBuilder::keep`] has
//! passed since then. Dead letters keep everything until they are replayed or discarded.
//! `whatsapp_inbox_alias` keeps changed ids for 90 days. The schema is documented in `migrations/`
//! of this crate.

mod backend;
mod builder;
mod conversation;
mod counters;
mod dead_letter;
mod error;
mod event;
mod inbox;
mod receiver;
mod row;
mod run;
mod status;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(not(feature = "testing"))]
#[allow(unreachable_pub, reason = "public with the feature `testing`")]
mod testing;
mod transaction;
mod verdict;
mod wake;
mod worker;

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
compile_error!("tower-whatsapp-inbox needs the feature `postgres` or `sqlite`");

pub use self::{
    builder::InboxBuilder,
    counters::Counters,
    dead_letter::DeadLetter,
    error::{DatabaseError, InboxError, InboxErrorKind},
    event::{InboxBatch, InboxEvent, StoredEvent},
    inbox::Inbox,
    receiver::{Receiver, ResponseBody, ResponseFuture},
    status::Status,
    transaction::InboxTransaction,
    verdict::Verdict,
    worker::{RunReport, Worker},
};

/// Runs the example of the README as a doctest.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Runs the examples of the guide as doctests.
#[cfg(all(doctest, feature = "postgres", feature = "sqlite"))]
#[doc = include_str!("../docs/inbox.md")]
struct Guide;
