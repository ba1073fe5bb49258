//! Coexistence with the WhatsApp Business app: chat history, contacts and echoes.
//!
//! Sources: Meta's pages `webhooks/reference/history`, `webhooks/reference/smb_app_state_sync` and
//! `webhooks/reference/smb_message_echoes`.

use super::{
    contact::Contact,
    error::Error,
    message::{Content, Context, Referral},
    schema::{Id, Lazy, List, PersonalId, Timestamp, UserText, object},
};

object! {
    /// A message from before the business joined the platform: field `history` (coexistence).
    ///
    /// The history covers up to 180 days. It arrives in chunks, in any order, and has messages of
    /// both sides.
    pub struct HistoryMessage<'a> {
        /// Id of the message (`id`).
        pub id: Option<&'a str> = PersonalId["id"],
        /// Unix time at which the message was sent, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Phone number of the sender (`from`): the user or the business.
        pub from: Option<&'a str> = PersonalId["from"],
        /// Business-scoped user id of the sender (`from_user_id`).
        pub from_user_id: Option<&'a str> = PersonalId["from_user_id"],
        /// User id of the sender for a parent portfolio (`from_parent_user_id`).
        pub from_parent_user_id: Option<&'a str> = PersonalId["from_parent_user_id"],
        /// Phone number of the recipient, in messages of the business (`to`).
        pub to: Option<&'a str> = PersonalId["to"],
        /// Business-scoped user id of the recipient (`to_user_id`).
        pub to_user_id: Option<&'a str> = PersonalId["to_user_id"],
        /// User id of the recipient for a parent portfolio (`to_parent_user_id`).
        pub to_parent_user_id: Option<&'a str> = PersonalId["to_parent_user_id"],
        /// Delivery status (`history_context`).
        pub history_context: Option<HistoryContext<'a>> = HistoryContext<'a>["history_context"],
        /// Message that this message replies to (`context`).
        pub context: Option<Context<'a>> = Context<'a>["context"],
        /// Ad that led to the message (`referral`).
        pub referral: Option<Referral<'a>> = Referral<'a>["referral"],
        /// Reasons why the content is missing (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// Phone number of the user, the id of the chat (`id` of the thread). Absent if the content
        /// of a placeholder is sent later.
        pub thread_id: Option<&'a str>,
        /// User of the chat (`context` of the thread).
        pub thread: Option<ThreadContext<'a>>,
        /// Chunk that contains the message (`metadata` of the chunk).
        pub chunk: Option<HistoryChunk>,
        /// Contact of the user (the matching element of `contacts[]`), in payloads of 2026.
        pub contact: Lazy<'a, Contact<'a>>,
    }
    tagged {
        /// Type as it was sent (`type`).
        pub kind,
        /// Content, by the type.
        pub content: Content<'a>,
        /// Whether the body of the type was read: see
        /// [`Message::has_body`](super::Message::has_body).
        pub has_body,
    }
}

object! {
    /// The delivery status of a message in a history: `history_context`.
    pub struct HistoryContext<'a> {
        /// Status (`status`): `DELIVERED`, `ERROR`, `PENDING`, `PLAYED`, `READ` or `SENT`.
        pub status: Option<&'a str> = Id["status"],
    }
}

object! {
    /// The user of a chat: `context` of a thread.
    pub struct ThreadContext<'a> {
        /// WhatsApp id (`wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Business-scoped user id (`user_id`).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// User name (`username`).
        pub username: Option<&'a str> = PersonalId["username"],
    }
}

object! {
    /// The position of a chunk in the history: `metadata` of an element of `history[]`.
    pub struct HistoryChunk {
        /// Phase (`phase`). 0: the last day; 1: up to 90 days; 2: up to 180 days.
        pub phase: Option<i64> = i64["phase"],
        /// Position of the chunk in its phase (`chunk_order`).
        pub chunk_order: Option<i64> = i64["chunk_order"],
        /// Progress of the history, percent (`progress`).
        pub progress: Option<i64> = i64["progress"],
    }
}

object! {
    /// The progress of the history, for a chunk without messages: it is empty or has only errors.
    /// Other chunks have it in [`HistoryMessage::chunk`].
    pub struct HistoryProgress {
        /// Position and progress of the chunk (`metadata`).
        pub chunk: Option<HistoryChunk> = HistoryChunk["metadata"],
    }
    elsewhere ["threads" | "errors"]
}

object! {
    /// A change of the contacts in the business's app: an element of `state_sync[]`, field
    /// `smb_app_state_sync` (coexistence).
    pub struct AppState<'a> {
        /// Type of the object (`type`): `contact`.
        pub kind: Option<&'a str> = Id["type"],
        /// Action (`action`): `add`, also for edits, or `remove`.
        pub action: Option<&'a str> = Id["action"],
        /// Contact (`contact`).
        pub contact: Option<AppContact<'a>> = AppContact<'a>["contact"],
        /// Time and version (`metadata`).
        pub metadata: Option<AppStateMetadata> = AppStateMetadata["metadata"],
    }
}

object! {
    /// A contact in the business's app: `contact`.
    pub struct AppContact<'a> {
        /// Full name (`full_name`). Absent if the contact was removed.
        pub full_name: Option<&'a str> = UserText["full_name"],
        /// First name (`first_name`). Absent if the contact was removed.
        pub first_name: Option<&'a str> = UserText["first_name"],
        /// Phone number (`phone_number`).
        pub phone_number: Option<&'a str> = PersonalId["phone_number"],
        /// Business-scoped user id (`user_id`).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// User name (`username`).
        pub username: Option<&'a str> = PersonalId["username"],
    }
}

object! {
    /// Time and version of an [`AppState`]: `metadata`.
    pub struct AppStateMetadata {
        /// Unix time of the change, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Version number, in test samples (`version`).
        pub version: Option<i64> = i64["version"],
    }
}

object! {
    /// A message that the business sent elsewhere: in its app (field `smb_message_echoes`) or
    /// through another app (`message_echoes`).
    ///
    /// Do not reply to an echo: it is the business's own message.
    pub struct Echo<'a> {
        /// Id of the message (`id`).
        pub id: Option<&'a str> = PersonalId["id"],
        /// Unix time at which the message was sent, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Phone number of the business (`from`).
        pub from: Option<&'a str> = PersonalId["from"],
        /// Phone number of the user (`to`).
        pub to: Option<&'a str> = PersonalId["to"],
        /// Business-scoped user id of the user (`to_user_id`).
        pub to_user_id: Option<&'a str> = PersonalId["to_user_id"],
        /// User id of the user for a parent portfolio (`to_parent_user_id`).
        pub to_parent_user_id: Option<&'a str> = PersonalId["to_parent_user_id"],
        /// Message that this message replies to (`context`).
        pub context: Option<Context<'a>> = Context<'a>["context"],
        /// Reasons why the content is missing (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// Creator of the message, in test samples (`message_creation_type`).
        pub message_creation_type: Option<&'a str> = Id["message_creation_type"],
        /// Contact of the user (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
    tagged {
        /// Type as it was sent (`type`).
        pub kind,
        /// Content, by the type.
        pub content: Content<'a>,
        /// Whether the body of the type was read: see
        /// [`Message::has_body`](super::Message::has_body).
        pub has_body,
    }
}
