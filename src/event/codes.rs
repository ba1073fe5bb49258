//! Named constants for frequent error codes.
//!
//! The meanings are those of Meta's error code reference, which has more codes and grows over time:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>.
//! [`UNSUPPORTED_IN_GROUP`] is from Meta's page `groups/groups-messaging` and [`HISTORY_DECLINED`]
//! from `webhooks/reference/history`.
//!
//! The codes 131061 to 131065, 138038 and 147005 have been seen in SDKs since June 2026, without a
//! published meaning. They arrive like any other code, with Meta's own title.
//!
//! ```
//! use tower_whatsapp::{Notification, event::codes};
//!
//! let notification = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages","value":{
//!     "statuses":[{"id":"wamid.A","status":"failed",
//!         "errors":[{"code":131047,"title":"Re-engagement message"}]}]}}]}]}"#)?;
//! for status in notification.statuses() {
//!     let mut errors = status.errors.iter();
//!     if errors.any(|error| error.code == Some(codes::RE_ENGAGEMENT)) {
//!         // More than 24 hours since the user last wrote: send a template.
//!     }
//! }
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```

/// Throughput limit of the phone number reached.
pub const RATE_LIMIT: i64 = 130_429;
/// Marketing message not delivered because the user is part of an experiment by Meta.
pub const EXPERIMENT: i64 = 130_472;
/// Message of a type that groups do not support.
pub const UNSUPPORTED_IN_GROUP: i64 = 130_501;
/// Internal error at Meta.
pub const SOMETHING_WENT_WRONG: i64 = 131_000;
/// Message undeliverable: the number may not be on WhatsApp.
pub const UNDELIVERABLE: i64 = 131_026;
/// Problem with the payment method of the account.
pub const PAYMENT_METHOD: i64 = 131_042;
/// More than 24 hours since the user last wrote.
pub const RE_ENGAGEMENT: i64 = 131_047;
/// Too many messages of the phone number blocked or flagged as spam.
pub const SPAM_RATE_LIMIT: i64 = 131_048;
/// Message held back by Meta to keep the platform healthy.
pub const ECOSYSTEM: i64 = 131_049;
/// User opted out of marketing messages.
pub const OPTED_OUT: i64 = 131_050;
/// Message of a type that Meta does not pass on.
pub const UNSUPPORTED_TYPE: i64 = 131_051;
/// Media file of the user could not be downloaded.
pub const MEDIA_DOWNLOAD: i64 = 131_052;
/// Media file of the business could not be uploaded.
pub const MEDIA_UPLOAD: i64 = 131_053;
/// Too many messages to the same user in a short time (pair rate limit).
pub const PAIR_RATE_LIMIT: i64 = 131_056;
/// Message not available (coexistence).
pub const UNAVAILABLE: i64 = 131_060;
/// Business declined to share its chat history (coexistence).
pub const HISTORY_DECLINED: i64 = 2_593_109;
