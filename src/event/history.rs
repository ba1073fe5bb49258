use super::{
    contact::Contact,
    error::Error,
    message::{Content, Context, Referral},
    schema::{Id, Lazy, List, Person, Text, Timestamp, object},
};

object! {
    /// A message of a chat before the business came to the platform: field `history` (coexistence). From 180 days, in chunks, in any
    /// order; either side may have written it.
    pub struct HistoryMessage<'a> {
        /// Its id.
        pub id: Option<&'a str> = Id["id"],
        /// When it was sent.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Who wrote it: the user or the business.
        pub from: Option<&'a str> = Person["from"],
        /// Business-scoped user id of the sender (`from_user_id`).
        pub from_user_id: Option<&'a str> = Person["from_user_id"],
        /// User id of the sender for a parent portfolio (`from_parent_user_id`).
        pub from_parent_user_id: Option<&'a str> = Person["from_parent_user_id"],
        /// Whom the business wrote to.
        pub to: Option<&'a str> = Person["to"],
        /// Business-scoped user id of the recipient (`to_user_id`).
        pub to_user_id: Option<&'a str> = Person["to_user_id"],
        /// User id of the recipient for a parent portfolio (`to_parent_user_id`).
        pub to_parent_user_id: Option<&'a str> = Person["to_parent_user_id"],
        /// How far it got.
        pub history_context: Option<HistoryContext<'a>> = HistoryContext<'a>["history_context"],
        /// What it answers.
        pub context: Option<Context<'a>> = Context<'a>["context"],
        /// The ad that led to it.
        pub referral: Option<Referral<'a>> = Referral<'a>["referral"],
        /// Why it could not be shown.
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// The user's phone number, by which the chat is named. Absent when the content of a placeholder is sent later.
        pub thread_id: Option<&'a str>,
        /// Who the user is.
        pub thread: Option<ThreadContext<'a>>,
        /// Which chunk it is in.
        pub chunk: Option<HistoryChunk>,
        /// What is said of the user beside the message, in payloads of 2026.
        pub contact: Lazy<'a, Contact<'a>>,
    }
    tagged {
        /// The type as it was sent.
        pub kind,
        /// What it says.
        pub content: Content<'a>,
        /// Whether the body of the type was read: see [`Message::has_body`](super::Message::has_body).
        pub has_body,
    }
}

object! {
    /// How far a message got.
    pub struct HistoryContext<'a> {
        /// `DELIVERED`, `ERROR`, `PENDING`, `PLAYED`, `READ` or `SENT`.
        pub status: Option<&'a str> = Id["status"],
    }
}

object! {
    /// Who the user of a chat is.
    pub struct ThreadContext<'a> {
        /// The WhatsApp id.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// The business-scoped user id.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// The same for a parent portfolio.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// The user name.
        pub username: Option<&'a str> = Person["username"],
    }
}

object! {
    /// A chunk of the history.
    pub struct HistoryChunk {
        /// 0: the last day; 1: to 90 days; 2: to 180 days.
        pub phase: Option<i64> = i64["phase"],
        /// Its place in the phase.
        pub chunk_order: Option<i64> = i64["chunk_order"],
        /// Percent.
        pub progress: Option<i64> = i64["progress"],
    }
}

object! {
    /// How far the history has come: a chunk whose messages do not carry it, because there are none or only errors.
    pub struct HistoryProgress {
        /// How far it has come.
        pub chunk: Option<HistoryChunk> = HistoryChunk["metadata"],
    }
    elsewhere ["threads" | "errors"]
}

object! {
    /// A change of the contacts in the business's app: an element of `state_sync`, field `smb_app_state_sync` (coexistence).
    pub struct AppState<'a> {
        /// `contact`.
        pub kind: Option<&'a str> = Id["type"],
        /// `add`, which may be an edit, or `remove`.
        pub action: Option<&'a str> = Id["action"],
        /// The contact.
        pub contact: Option<AppContact<'a>> = AppContact<'a>["contact"],
        /// When.
        pub metadata: Option<AppStateMetadata> = AppStateMetadata["metadata"],
    }
}

object! {
    /// A contact in the business's app.
    pub struct AppContact<'a> {
        /// The full name; absent on removal.
        pub full_name: Option<&'a str> = Text["full_name"],
        /// The first name; absent on removal.
        pub first_name: Option<&'a str> = Text["first_name"],
        /// The phone number.
        pub phone_number: Option<&'a str> = Person["phone_number"],
        /// The business-scoped user id.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// The same for a parent portfolio.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// The user name.
        pub username: Option<&'a str> = Person["username"],
    }
}

object! {
    /// When a contact changed.
    pub struct AppStateMetadata {
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// A number, in test samples.
        pub version: Option<i64> = i64["version"],
    }
}

object! {
    /// A message that the business wrote elsewhere: in its app (field `smb_message_echoes`) or through another app
    /// (`message_echoes`). To answer an echo is to answer oneself.
    pub struct Echo<'a> {
        /// Its id.
        pub id: Option<&'a str> = Id["id"],
        /// When it was sent.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// The business.
        pub from: Option<&'a str> = Person["from"],
        /// The user: a phone number.
        pub to: Option<&'a str> = Person["to"],
        /// The user: a business-scoped user id.
        pub to_user_id: Option<&'a str> = Person["to_user_id"],
        /// The same for a parent portfolio.
        pub to_parent_user_id: Option<&'a str> = Person["to_parent_user_id"],
        /// What it answers.
        pub context: Option<Context<'a>> = Context<'a>["context"],
        /// Why it could not be shown.
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// Who made it, in test samples.
        pub message_creation_type: Option<&'a str> = Id["message_creation_type"],
        /// What else is said of the user.
        pub contact: Lazy<'a, Contact<'a>>,
    }
    tagged {
        /// The type as it was sent.
        pub kind,
        /// What it says.
        pub content: Content<'a>,
        /// Whether the body of the type was read: see [`Message::has_body`](super::Message::has_body).
        pub has_body,
    }
}
