//! Typed events: a delivery, split and decoded. Pure data: no HTTP, no async.
//!
//! A delivery is a batch. Meta nests it (`entry`, `changes`, `value`, and lists inside), chooses
//! the grouping, and may change the grouping in a redelivery. The unit that a host handles is one
//! element: one message, one status. That is an [`Event`], and [`Notification::events`] has all of
//! them in the order of the body.
//!
//! ```
//! use tower_whatsapp::{Notification, Payload, event::{Content, State}};
//!
//! let notification = Notification::parse(r#"{"object":"whatsapp_business_account","entry":[{
//!   "id":"1","changes":[{"field":"messages","value":{
//!     "messaging_product":"whatsapp",
//!     "metadata":{"display_phone_number":"15550000001","phone_number_id":"100000000000001"},
//!     "contacts":[{"profile":{"name":"Ada"},"wa_id":"16505550001","user_id":"US.1"}],
//!     "messages":[{"from":"16505550001","from_user_id":"US.1","id":"wamid.A",
//!                  "timestamp":"1760000000","type":"text","text":{"body":"hi"}}],
//!     "statuses":[{"id":"wamid.B","status":"read","timestamp":"1760000000",
//!                  "recipient_id":"16505550001"}]
//!   }}]}]}"#)?;
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
//!         // Meta adds kinds at any time: log and count them, keep `event.raw()`, and answer 200.
//!         other => unreachable!("not in this delivery: {}", other.name()),
//!     }
//! }
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```
//!
//! # Unknown data is kept
//!
//! Every signed delivery that is JSON reaches the host, unless it is nested deeper than 127 levels
//! or you refuse foreign or stale events. What this version does not know arrives as
//! [`Payload::Unknown`], or inside a known type as an absent key, an `Other` name or
//! [`Content::Unknown`].
//!
//! - [`Event::is_known`] returns whether the event has such parts.
//! - [`Event::unread`] lists the keys that the typed view does not read.
//! - [`Event::raw`] has the JSON of the element exactly as it was received.
//!
//! An unknown list or object beside the lists of the envelope is an event of its own. A text or
//! number of at most 256 bytes beside events is read with [`Event::envelope_value`]. An object with
//! more than 8 unknown keys is one event. Every key of every type is optional, because Meta leaves
//! out each of them somewhere. A key with a value of the wrong type counts as absent and does not
//! affect other keys.
//!
//! # Cost
//!
//! The body is validated and split into events once. A payload borrows from the body. It is decoded
//! on each call of [`Event::payload`], on the stack and without an allocation, so call it once per
//! event and keep the result. An [`Event`] keeps the whole body alive.
//!
//! # Queues
//!
//! To pass events to a queue (NATS JetStream, Kafka, SQS, a table of jobs), write
//! [`Event::to_queue`] and read [`Notification::from_queue`]. The queued JSON is one event as a
//! delivery that Meta might have sent, plus one key:
//!
//! ```
//! # use tower_whatsapp::Notification;
//! # let notification = Notification::parse(concat!(
//! #     r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"#,
//! #     r#""messaging_product":"whatsapp","metadata":{"phone_number_id":"100000000000001"},"#,
//! #     r#""contacts":[{"profile":{"name":"Ada"},"wa_id":"16505550001"}],"#,
//! #     r#""messages":[{"from":"16505550001","id":"wamid.A"},{"id":"wamid.B"}]},"#,
//! #     r#""field":"messages"}]}]}"#))?;
//! # let [event, _] = notification.events() else { unreachable!() };
//! assert_eq!(event.to_queue(), concat!(
//!     r#"{"tower_whatsapp":1,"object":"whatsapp_business_account","entry":[{"id":"1","#,
//!     r#""changes":[{"field":"messages","value":{"#,
//!     r#""metadata":{"phone_number_id":"100000000000001"},"#,
//!     r#""contacts":[{"profile":{"name":"Ada"},"wa_id":"16505550001"}],"#,
//!     r#""messages":[{"from":"16505550001","id":"wamid.A"}]}}]}]}"#,
//! ));
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```
//!
//! - Meta's JSON of the event is copied byte for byte. Only the envelope is rewritten. The value
//!   has what belongs to the event: the metadata, the conversation context, the contact of its
//!   person, short texts and numbers beside the lists, and the keys of its group or thread that
//!   apply to all elements. Consumers in other languages read it as a webhook with one event.
//! - An event that is a whole value, change or entry takes its place. A body without an envelope is
//!   stored under the key `body` instead of `entry`.
//! - `tower_whatsapp_only` is present beside the version if a reader would find more than one
//!   event: a group contains its participants, for example. Its value tells which of them is meant.
//!   Consumers in other languages can ignore it.
//! - `tower_whatsapp` is the version of the format, currently 1. A consumer reads its own version
//!   and all earlier ones, and reports a later one as [`QueueError::LaterVersion`]. When a new
//!   version of this crate changes the format, update the consumers first. Added keys do not
//!   change the version.
//! - An event has the same [`key`](Event::key) on both sides. Use it as the deduplication id of the
//!   queue, except for events that are not [distinguishable](Event::is_distinguishable): the queue
//!   would drop a later event with the same content. If several apps share a queue, use
//!   [`key_in`](Event::key_in) and send the label of the app in a header of the message.
//! - The signature of the delivery does not cover the queued JSON. Restrict write access to the
//!   queue: a writer can forge events.
//!
//! # Sources
//!
//! Facts about the protocol are from Meta's documentation at
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp>. The source files
//! name its pages relative to this address.

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
mod identity;
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
mod unread_keys;
mod user;

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
#[cfg(feature = "tokio")]
pub(crate) use self::{identity::EventIdentity, key::KeyHash};
pub(crate) use self::{json::IncrementalValidator, notification::ReadState};
