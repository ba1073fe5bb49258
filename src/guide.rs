//! Chapters on operation, and complete code for three tasks.
//!
//! Chapters:
//!
//! - [`deploying`]: certificates, client certificates, addresses, shutdown
//! - [`choosing`]: inline, deduplicated, inbox or engine?
//! - [`deduplication`]: stores, settings, slow handlers, queues
//! - [`several_apps`] and [`secret_rotation`]
//! - [`testing`] your handler, and [`memory`]
//! - [`what_others_got_wrong`]: security advisories and bugs of other receivers
//!
//! Tasks:
//!
//! - [Route a message by its type](#route-a-message-by-its-type)
//! - [Report the delivery status of orders](#report-the-delivery-status-of-orders-by-callback-data)
//! - [Raise alerts about the account](#raise-alerts-about-the-account)
//!
//! # Route a message by its type
//!
//! Identify people by [`Sender::user_id`](crate::event::Sender::user_id) first, because since 2026
//! they may have no phone number. A user id can change. Without a phone number, a
//! [system message](crate::event::System) is the only link from the old id to the new one.
//!
//! ```
//! use tower_whatsapp::{Notification, event::{Content, Interactive, Message}};
//!
//! /// What the host does next.
//! #[derive(Debug, PartialEq)]
//! enum Step<'a> {
//!     Answer(&'a str),
//!     Chosen(&'a str),
//!     /// The answers of a completed flow: JSON in a string.
//!     Completed(&'a str),
//!     Ordered { items: usize, text: &'a str },
//!     Download { id: &'a str, caption: &'a str },
//!     /// New text of a message that may have been answered already.
//!     Correct { message: &'a str, text: &'a str },
//!     /// The same person under another id: merge both records, or the next message seems to come
//!     /// from a stranger.
//!     Rename { previous: &'a str, current: &'a str },
//!     Ignore,
//!     HandToPerson,
//! }
//!
//! fn route<'a>(message: &Message<'a>) -> Step<'a> {
//!     match message.content {
//!         Content::Button(button) => Step::Chosen(button.payload.unwrap_or_default()),
//!         Content::Interactive(interactive) => match interactive {
//!             Interactive::ButtonReply(reply) => Step::Chosen(reply.id.unwrap_or_default()),
//!             Interactive::ListReply(reply) => Step::Chosen(reply.id.unwrap_or_default()),
//!             Interactive::Product(product) => {
//!                 Step::Chosen(product.product_retailer_id.unwrap_or_default())
//!             }
//!             Interactive::FlowReply(reply) => {
//!                 Step::Completed(reply.response_json.unwrap_or_default())
//!             }
//!             _ => Step::HandToPerson,
//!         },
//!         Content::Order(order) => Step::Ordered {
//!             items: order.product_items.iter().count(),
//!             text: order.text.unwrap_or_default(),
//!         },
//!         Content::System(system) => {
//!             let sender = message.sender;
//!             let previous = system.previous_user_id.or(sender.user_id()).or(sender.phone);
//!             match (previous, system.user_id.or(system.wa_id)) {
//!                 (Some(previous), Some(current)) if previous != current => {
//!                     Step::Rename { previous, current }
//!                 }
//!                 _ => Step::Ignore,
//!             }
//!         }
//!         // Without this arm an edit would be answered like a new message, because `text` returns
//!         // its new text.
//!         Content::Edit(edit) => Step::Correct {
//!             message: edit.original_message_id.unwrap_or_default(),
//!             text: message.text().unwrap_or_default(),
//!         },
//!         Content::Reaction(_) | Content::Revoke(_) => Step::Ignore,
//!         content => match (content.media().and_then(|media| media.id), content.text()) {
//!             (Some(id), caption) => Step::Download { id, caption: caption.unwrap_or_default() },
//!             (None, Some(text)) => Step::Answer(text),
//!             // A location, a contact card or an unknown type.
//!             (None, None) => Step::HandToPerson,
//!         },
//!     }
//! }
//!
//! let notification = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages","value":{
//!   "messages":[
//!     {"id":"1","type":"text","text":{"body":"hi"}},
//!     {"id":"2","type":"image","image":{"id":"77","mime_type":"image/jpeg","caption":"my cat"}},
//!     {"id":"3","type":"interactive","interactive":{"type":"list_reply",
//!         "list_reply":{"id":"row-4","title":"Blue"}}},
//!     {"id":"4","type":"edit","edit":{"original_message_id":"1",
//!         "message":{"type":"text","text":{"body":"hello"}}}},
//!     {"id":"5","type":"system","system":{"type":"user_changed_user_id",
//!         "previous_user_id":"DE.7","user_id":"DE.8"}},
//!     {"id":"6","type":"system","from":"16505550001","system":{"type":"user_changed_number",
//!         "wa_id":"16505550002"}},
//!     {"id":"7","type":"hologram","hologram":{}}]}}]}]}"#)?;
//! let steps: Vec<_> = notification.messages().map(|message| route(&message)).collect();
//! assert_eq!(steps, [
//!     Step::Answer("hi"),
//!     Step::Download { id: "77", caption: "my cat" },
//!     Step::Chosen("row-4"),
//!     Step::Correct { message: "1", text: "hello" },
//!     Step::Rename { previous: "DE.7", current: "DE.8" },
//!     Step::Rename { previous: "16505550001", current: "16505550002" },
//!     Step::HandToPerson,
//! ]);
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```
//!
//! # Report the delivery status of orders by callback data
//!
//! The text that you send with a message, `biz_opaque_callback_data`, is repeated in each of its
//! statuses. Statuses arrive in any order and more than once:
//! [`State::rank`](crate::event::State::rank) tells which one counts. This example keeps one state
//! per order, for messages to one person. In a group every participant has a state.
//!
//! ```
//! use std::collections::BTreeMap;
//! use tower_whatsapp::{Notification, event::codes};
//!
//! /// Rank and name of the last state of each order.
//! type Report = BTreeMap<String, (u8, String)>;
//!
//! fn take(report: &mut Report, notification: &Notification) {
//!     for status in notification.statuses() {
//!         // The status of a payment has the id of the order's message, but a state of its own.
//!         if status.kind == Some("payment") {
//!             continue;
//!         }
//!         let (Some(order), Some(state)) = (status.callback_data, status.state) else { continue };
//!         let name = match status.errors.first().and_then(|error| error.code) {
//!             Some(codes::RE_ENGAGEMENT) => "failed: send a template".to_owned(),
//!             Some(code) => format!("failed: {code}"),
//!             None => state.as_str().to_owned(),
//!         };
//!         let last = report.entry(order.to_owned()).or_default();
//!         if state.rank() >= last.0 {
//!             *last = (state.rank(), name);
//!         }
//!     }
//! }
//!
//! let mut report = Report::new();
//! for statuses in [
//!     r#"{"id":"a","status":"read","biz_opaque_callback_data":"order-1"}"#,
//!     r#"{"id":"a","status":"delivered","biz_opaque_callback_data":"order-1"},
//!        {"id":"b","status":"failed","biz_opaque_callback_data":"order-2",
//!         "errors":[{"code":131047}]}"#,
//! ] {
//!     let value = format!(r#"{{"statuses":[{statuses}]}}"#);
//!     let change = format!(r#"{{"field":"messages","value":{value}}}"#);
//!     let body = format!(r#"{{"entry":[{{"changes":[{change}]}}]}}"#);
//!     take(&mut report, &Notification::parse(body)?);
//! }
//! let names: Vec<_> = report.values().map(|(_, name)| name.as_str()).collect();
//! assert_eq!(names, ["read", "failed: send a template"]);
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```
//!
//! # Raise alerts about the account
//!
//! ```
//! use tower_whatsapp::{Event, Notification, Payload, event::{QualityEvent, TemplateEvent}};
//!
//! fn alert(event: &Event) -> Option<String> {
//!     let what = match event.payload() {
//!         Payload::AccountAlert(alert) => alert.info().kind?.to_owned(),
//!         Payload::AccountUpdate(update) => update.event?.as_str().to_owned(),
//!         Payload::PhoneNumberQuality(quality) => match quality.event? {
//!             QualityEvent::Flagged => "low quality".to_owned(),
//!             _ => return None,
//!         },
//!         Payload::TemplateStatus(template) => match template.event? {
//!             TemplateEvent::Rejected | TemplateEvent::Paused | TemplateEvent::Disabled => {
//!                 let reason = template.reason.unwrap_or("no reason");
//!                 format!("template {}: {reason}", template.name?)
//!             }
//!             _ => return None,
//!         },
//!         _ => return None,
//!     };
//!     // For partners the entry id is the partner's portfolio, and the event names the account.
//!     let account = match event.payload() {
//!         Payload::AccountUpdate(update) => update.waba_info.and_then(|info| info.waba_id),
//!         _ => None,
//!     };
//!     Some(format!("account {}: {what}", account.or(event.entry_id())?))
//! }
//!
//! let notification = Notification::parse(r#"{"object":"whatsapp_business_account","entry":[
//!   {"id":"9","time":1760000000,"changes":[
//!     {"field":"account_alerts","value":{"entity_type":"BUSINESS",
//!         "alert_info":{"alert_type":"OBA_REJECTED"}}},
//!     {"field":"account_update","value":{"event":"ACCOUNT_RESTRICTION"}},
//!     {"field":"message_template_status_update","value":{"event":"APPROVED",
//!         "message_template_name":"order"}},
//!     {"field":"message_template_status_update","value":{"event":"PAUSED",
//!         "message_template_name":"offer","reason":"NONE"}}]}]}"#)?;
//! let alerts: Vec<_> = notification.events().iter().filter_map(alert).collect();
//! assert_eq!(alerts, [
//!     "account 9: OBA_REJECTED",
//!     "account 9: ACCOUNT_RESTRICTION",
//!     "account 9: template offer: NONE",
//! ]);
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```

#[doc = include_str!("../docs/deploying.md")]
pub mod deploying {}

#[doc = include_str!("../docs/choosing.md")]
pub mod choosing {}

#[doc = include_str!("../docs/deduplication.md")]
pub mod deduplication {}

#[doc = include_str!("../docs/several-apps.md")]
pub mod several_apps {}

#[doc = include_str!("../docs/secret-rotation.md")]
pub mod secret_rotation {}

#[doc = include_str!("../docs/memory.md")]
pub mod memory {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/what-others-got-wrong.md")]
pub mod what_others_got_wrong {}
