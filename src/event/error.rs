//! Errors that Meta reports in events.
//!
//! Source: Meta's page `webhooks/reference/messages/errors`.

use super::{
    object::object,
    scalar::{Id, Text, Words},
};

object! {
    /// An error as Meta reports it: an element of `errors[]` in a message, in a status, or in the
    /// value for a whole phone number.
    ///
    /// [`codes`](super::codes) names the frequent codes. Meta's list grows over time:
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>.
    pub struct Error<'a> {
        /// Code, for example 131049 (`code`). Base decisions on it, not on the texts.
        pub code: Option<i64> = i64["code"],
        /// Short description by Meta (`title`). Shown by `Debug`.
        pub title: Option<&'a str> = Words["title"],
        /// Longer description by Meta, in newer payloads (`message`). Shown by `Debug`.
        pub message: Option<&'a str> = Words["message"],
        /// Details in newer payloads (`error_data`). See [`details`](Self::details).
        pub error_data: Option<ErrorData<'a>> = ErrorData<'a>["error_data"],
        /// Details in older payloads (`details`). See [`details`](Self::details).
        pub old_details: Option<&'a str> = Text["details"],
        /// URL of an explanation (`href`). May be relative to Meta's site.
        pub href: Option<&'a str> = Id["href"],
    }
}

object! {
    /// Details of an [`Error`]: `error_data`.
    pub struct ErrorData<'a> {
        /// Description for people (`details`).
        pub details: Option<&'a str> = Text["details"],
    }
}

impl<'a> Error<'a> {
    /// Returns the description of what happened, from `error_data.details` or `details`.
    #[must_use]
    pub fn details(&self) -> Option<&'a str> {
        self.error_data
            .and_then(|data| data.details)
            .or(self.old_details)
    }
}
