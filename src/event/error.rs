use super::schema::{Id, Text, Words, object};

object! {
    /// An error as Meta reports it: of a message that could not be shown, of a status that failed, or of a whole phone number.
    ///
    /// The list of codes is long and grows; it is at
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>.
    pub struct Error<'a> {
        /// The code, 131049 for example. Decide by this and not by the texts.
        pub code: Option<i64> = i64["code"],
        /// Short text of Meta's own (`title`). Shown by `Debug`.
        pub title: Option<&'a str> = Words["title"],
        /// Longer text of Meta's own (`message`), in newer payloads. Shown by `Debug`.
        pub message: Option<&'a str> = Words["message"],
        /// What newer payloads have in `error_data`.
        pub error_data: Option<ErrorData<'a>> = ErrorData<'a>["error_data"],
        /// What older payloads have beside the code. See [`details`](Self::details).
        pub old_details: Option<&'a str> = Text["details"],
        /// Where the code is explained; may be relative to Meta's site.
        pub href: Option<&'a str> = Id["href"],
    }
}

object! {
    /// More about an [`Error`].
    pub struct ErrorData<'a> {
        /// What happened, in a sentence.
        pub details: Option<&'a str> = Text["details"],
    }
}

impl<'a> Error<'a> {
    /// What happened, in a sentence, wherever it stands.
    #[must_use]
    pub fn details(&self) -> Option<&'a str> {
        self.error_data
            .and_then(|data| data.details)
            .or(self.old_details)
    }
}
