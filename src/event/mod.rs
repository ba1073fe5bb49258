//! Typed events: what a delivery says, taken apart. Pure data: no HTTP, no async.
//!
//! A delivery is a batch. Meta nests it (`entry`, `changes`, `value`, and lists in that), groups it as it likes, and groups it anew
//! when it sends it again. The unit that a host handles is one element: one message, one status. That is an [`Event`], and
//! [`Notification::events`] has them all, in the order of the body.
//!
//! ```
//! use tower_whatsapp::{Notification, Payload, event::{Content, State}};
//!
//! let notification = Notification::parse(r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{
//!     "field":"messages",
//!     "value":{
//!         "messaging_product":"whatsapp",
//!         "metadata":{"display_phone_number":"15550000001","phone_number_id":"100000000000001"},
//!         "contacts":[{"profile":{"name":"Ada"},"wa_id":"16505550001","user_id":"US.1"}],
//!         "messages":[{"from":"16505550001","from_user_id":"US.1","id":"wamid.A","timestamp":"1760000000",
//!                      "type":"text","text":{"body":"hi"}}],
//!         "statuses":[{"id":"wamid.B","status":"read","timestamp":"1760000000","recipient_id":"16505550001"}]
//!     }}]}]}"#)?;
//!
//! for event in notification.events() {
//!     assert_eq!(event.phone_number_id(), Some("100000000000001"));
//!     match event.payload() {
//!         Payload::Message(message) => {
//!             assert_eq!(message.sender.name(), Some("Ada"));
//!             let Content::Text(text) = message.content else { unreachable!() };
//!             assert_eq!(text.body, Some("hi"));
//!         }
//!         Payload::Status(status) => assert_eq!(status.state, Some(State::Read)),
//!         // New kinds arrive all the time: log, count, keep `event.raw()`, and answer 200.
//!         other => unreachable!("not in this delivery: {}", other.name()),
//!     }
//! }
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```
//!
//! # Nothing is lost
//!
//! A signed delivery that is JSON always reaches the host. What this version does not know arrives as [`Payload::Unknown`], or inside a
//! known type as an absent key, an `Other` name or [`Content::Unknown`]; [`Event::is_known`] tells, [`Event::unread`] names the keys that the
//! typed view does not read, and [`Event::raw`] has the JSON of the element exactly as it was received. A key that is not known beside
//! the lists of the envelope is an event of its own. One rule holds for all types: *a key in a shape that is not its own is absent, and costs its
//! neighbours nothing*. Every key is optional, for that reason and because Meta leaves out every one of them somewhere.
//!
//! # What it costs
//!
//! The body is checked and cut into events once. A payload borrows from it and is read when it is asked for, on the stack, without an
//! allocation: ask once per event and keep the result. An [`Event`] keeps the whole body alive.
//!
//! # Queues
//!
//! Who hands events to an engine (NATS JetStream, Kafka, SQS, a table of jobs) writes [`Event::to_queue`] and reads
//! [`Notification::from_queue`]. What lies in the queue is one event as a delivery that Meta might have sent, and one key more:
//!
//! ```
//! # use tower_whatsapp::Notification;
//! # let notification = Notification::parse(concat!(
//! #     r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"messaging_product":"whatsapp","#,
//! #     r#""metadata":{"phone_number_id":"100000000000001"},"contacts":[{"profile":{"name":"Ada"},"wa_id":"16505550001"}],"#,
//! #     r#""messages":[{"from":"16505550001","id":"wamid.A"},{"id":"wamid.B"}]},"field":"messages"}]}]}"#))?;
//! # let [event, _] = notification.events() else { unreachable!() };
//! assert_eq!(event.to_queue(), concat!(
//!     r#"{"tower_whatsapp":1,"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"#,
//!     r#""metadata":{"phone_number_id":"100000000000001"},"contacts":[{"profile":{"name":"Ada"},"wa_id":"16505550001"}],"#,
//!     r#""messages":[{"from":"16505550001","id":"wamid.A"}]}}]}]}"#,
//! ));
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```
//!
//! - Everything that Meta wrote about the event is in it byte for byte; only the envelope is written anew. The value has what goes
//!   with the event: the metadata, the conversation context, the contact of its person, small texts and numbers beside
//!   the lists, and what its group or thread says of all their elements. Consumers in other languages read it as any
//!   webhook with one event.
//! - An event that is a whole value, change or entry stands in the place of that. A body that has no envelope stands under the key `body`
//!   in the place of `entry`.
//! - `tower_whatsapp_only` stands beside the version where a reader would find more than the one event: a group contains its
//!   participants, for example. Its value says which of them is meant. Consumers in other languages can ignore it.
//! - `tower_whatsapp` is the version of the form, today 1. A consumer reads its own version and all before; of a later one it says so
//!   ([`QueueError::LaterVersion`]). So with a new version of this crate update the consumers first. Added keys leave the version as it is.
//!   Events have the same [`key`](Event::key) on both sides. Give it to an engine that drops duplicates itself, except for events that are
//!   not [distinguishable](Event::is_distinguishable): the engine would drop a later one. Where several apps share a queue it is
//!   [`key_in`](Event::key_in) the app, and the app's label goes along in a header of the message.
//! - The signature of the delivery does not hold for it. Whoever can write to the queue can write events.
//!
//! Facts about the protocol in the docs of this module are from Meta's pages under
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages>.

#![doc = include_str!("fields.md")]

mod account;
mod call;
pub mod codes;
mod contact;
mod element;
mod envelope;
mod error;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its one type"
)]
mod event;
mod field;
mod flow;
mod group;
mod handover;
mod history;
mod json;
mod key;
mod marketing;
mod message;
mod notification;
mod payload;
mod person;
mod queue;
mod related;
mod schema;
mod status;
mod template;
mod unread_walk;
mod user;

pub(crate) use self::json::IncrementalValidator;
#[cfg(feature = "tokio")]
pub(crate) use self::key::KeyHash;
pub use self::{
    account::*,
    call::*,
    contact::{Contact, Profile},
    error::{Error, ErrorData},
    event::{DeserializeError, Event},
    flow::*,
    group::*,
    handover::*,
    history::*,
    json::ParseError,
    key::{EventKey, ParseKeyError},
    marketing::*,
    message::*,
    notification::Notification,
    payload::{Payload, Reason, Unknown},
    queue::QueueError,
    schema::{Iter, Lazy, List, Name, Timestamp},
    status::*,
    template::*,
    user::*,
};
