//! Error codes that are worth a name. The list of Meta is longer, and grows:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>.
//!
//! The codes 131061 to 131065, 138038 and 147005 have been seen in SDKs since June 2026, without a published meaning: they arrive
//! as any other code, with Meta's own title.
//!
//! ```
//! use tower_whatsapp::{Notification, event::codes};
//!
//! let notification = Notification::parse(r#"{"entry":[{"changes":[{"field":"messages","value":{"statuses":[
//!     {"id":"wamid.A","status":"failed","errors":[{"code":131047,"title":"Re-engagement message"}]}]}}]}]}"#)?;
//! for status in notification.statuses() {
//!     if status.errors.iter().any(|error| error.code == Some(codes::RE_ENGAGEMENT)) {
//!         // More than 24 hours since the user last wrote: send a template.
//!     }
//! }
//! # Ok::<(), tower_whatsapp::event::ParseError>(())
//! ```

/// The throughput limit of the phone number was reached.
pub const RATE_LIMIT: i64 = 130_429;
/// The user is part of an experiment of Meta's and does not get marketing messages.
pub const EXPERIMENT: i64 = 130_472;
/// A message of a type that groups do not support.
pub const UNSUPPORTED_IN_GROUP: i64 = 130_501;
/// Something went wrong at Meta.
pub const SOMETHING_WENT_WRONG: i64 = 131_000;
/// The message could not be delivered: the number may not be on WhatsApp.
pub const UNDELIVERABLE: i64 = 131_026;
/// There is something wrong with the payment method of the account.
pub const PAYMENT_METHOD: i64 = 131_042;
/// More than 24 hours have passed since the user last wrote.
pub const RE_ENGAGEMENT: i64 = 131_047;
/// Too many messages of the phone number were blocked or flagged as spam.
pub const SPAM_RATE_LIMIT: i64 = 131_048;
/// Meta holds the message back to keep the platform healthy.
pub const ECOSYSTEM: i64 = 131_049;
/// The user does not want marketing messages.
pub const OPTED_OUT: i64 = 131_050;
/// A message of a type that Meta does not pass on.
pub const UNSUPPORTED_TYPE: i64 = 131_051;
/// Media of the user could not be downloaded.
pub const MEDIA_DOWNLOAD: i64 = 131_052;
/// Media of the business could not be uploaded.
pub const MEDIA_UPLOAD: i64 = 131_053;
/// Too many messages to the same user in a short time.
pub const PAIR_RATE_LIMIT: i64 = 131_056;
/// The message is not available (coexistence).
pub const UNAVAILABLE: i64 = 131_060;
/// The business does not share its history (coexistence).
pub const HISTORY_DECLINED: i64 = 2_593_109;
