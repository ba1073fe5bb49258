use super::schema::{Id, MetaText, UserText, object};

object! {
    /// An error that Meta reports: for an inbound message that could not be shown, for a failed
    /// status, or for a whole phone number.
    ///
    /// Named codes are in [`codes`](super::codes). Meta's list of codes is longer and grows:
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>.
    pub struct Error<'a> {
        /// Error code, for example 131049 (`code`). Decide by the code, not by the texts.
        pub code: Option<i64> = i64["code"],
        /// Short text by Meta (`title`). Shown by `Debug`.
        pub title: Option<&'a str> = MetaText["title"],
        /// Longer text by Meta, in newer payloads (`message`). Shown by `Debug`.
        pub message: Option<&'a str> = MetaText["message"],
        /// Details in newer payloads (`error_data`).
        pub error_data: Option<ErrorData<'a>> = ErrorData<'a>["error_data"],
        /// Details in older payloads (`details`). [`details()`](Self::details) returns either.
        pub old_details: Option<&'a str> = UserText["details"],
        /// Link to an explanation of the code; may be relative to Meta's site (`href`).
        pub href: Option<&'a str> = Id["href"],
    }
}

object! {
    /// Details of an [`Error`] (`error_data`).
    pub struct ErrorData<'a> {
        /// Description of the error, a sentence (`details`).
        pub details: Option<&'a str> = UserText["details"],
    }
}

impl<'a> Error<'a> {
    /// Returns the description of the error, a sentence, from newer or older payloads.
    #[must_use]
    pub fn details(&self) -> Option<&'a str> {
        self.error_data
            .and_then(|data| data.details)
            .or(self.old_details)
    }
}
