//! Messages that the business received.
//!
//! Source: Meta's page `webhooks/reference/messages`.

mod card;
mod content;
mod context;
mod interactive;
mod media;
mod order;
mod referral;
mod system;
mod unsupported;

use std::fmt;

pub use self::{
    card::*, content::*, context::*, interactive::*, media::*, order::*, referral::*, system::*,
    unsupported::*,
};
use crate::event::{
    contact::Contact,
    error::Error,
    handover::ConversationContext,
    json::Cursor,
    schema::{
        Decode, IdBytes, Lazy, List, Object, PersonalId, Tag, Timestamp, UnreadPaths, object,
    },
};

/// A message that the business received: an element of `messages[]`.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// Id (`id`): `wamid.…`, or `wacid.…` for voicemail. Test deliveries of the App Dashboard have
    /// neither prefix.
    #[doc(alias = "wamid")]
    pub id: Option<&'a str>,
    /// Unix time at which the message was sent, seconds (`timestamp`).
    pub timestamp: Option<Timestamp>,
    /// Sender (`from`, `from_user_id`, …, and the matching element of `contacts[]`).
    pub sender: Sender<'a>,
    /// Id of the group that the message was sent to (`group_id`).
    pub group_id: Option<&'a str>,
    /// Type as it was sent (`type`): `text`, `image`, …. Absent from Meta's own sample of a reply
    /// to a call permission request.
    pub kind: Option<&'a str>,
    /// Content, by the type (the object under the key that the type names).
    pub content: Content<'a>,
    /// Whether the body of the type was present and was read. With `"type": "text"` the body is the
    /// object under `text`.
    ///
    /// False for types without a body, for types that this version does not know, and if Meta left
    /// out the body; [`errors`](Self::errors) then has the reason. In all these cases the content
    /// has no values.
    pub has_body: bool,
    /// Message that this message replies to, or the mark that it was forwarded (`context`).
    pub context: Option<Context<'a>>,
    /// Ad or post that led to the message (`referral`). Present with any type of message.
    pub referral: Option<Referral<'a>>,
    /// Reasons why the content is missing (`errors[]`): with `unsupported`, and with failed media
    /// and edits.
    pub errors: List<'a, Error<'a>>,
    /// Encryption key of the sender (`identity`), in payloads from before
    /// [`Contact::identity_key_hash`].
    pub identity: Option<Identity<'a>>,
    /// Summary of the chat before it was passed to this app (`conversation_context` of the value,
    /// conversation routing).
    pub conversation: Option<ConversationContext<'a>>,
}

impl<'a> Decode<'a> for Message<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    #[inline]
    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut wire = WireMessage::default();
        wire.read(cursor)?;
        Some(Self {
            id: wire.id,
            timestamp: wire.timestamp,
            sender: Sender {
                phone: wire.from,
                from_user_id: wire.from_user_id,
                from_parent_user_id: wire.from_parent_user_id,
                logical_id: wire.from_logical_id,
                contact: Lazy::default(),
            },
            group_id: wire.group_id,
            kind: wire.kind,
            content: wire.content,
            has_body: wire.has_body,
            context: wire.context,
            referral: wire.referral,
            errors: wire.errors,
            identity: wire.identity,
            conversation: None,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        WireMessage::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        WireMessage::unread(cursor, paths);
    }
}

/// Uses Meta's keys, and `contact` and `conversation_context` for the parts beside the message.
#[cfg(feature = "serde")]
impl serde::Serialize for Message<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = WireMessage {
            id: self.id,
            from: self.sender.phone,
            from_user_id: self.sender.from_user_id,
            from_parent_user_id: self.sender.from_parent_user_id,
            from_logical_id: self.sender.logical_id,
            group_id: self.group_id,
            timestamp: self.timestamp,
            context: self.context,
            referral: self.referral,
            errors: self.errors,
            identity: self.identity,
            contact: self.sender.contact,
            conversation_context: self.conversation,
            kind: self.kind,
            content: self.content,
            has_body: self.has_body,
        };
        wire.serialize(serializer)
    }
}

impl<'a> Message<'a> {
    /// Returns the text of the message for any type: see [`Content::text`].
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.content.text()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("timestamp", &self.timestamp)
            .field("content", &self.content)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// The sender of a message, from the message itself and from the matching contact.
///
/// The contact is found by user id, else by phone number (with or without a leading `+`). If
/// neither matches, it is the only contact of the value, provided that the whole value is about
/// one person and no id contradicts. This case occurs because WhatsApp ids need not be phone
/// numbers, for example in Mexico and Brazil.
///
/// Since 2026 a sender may have no phone number. Identify people by [`user_id`](Self::user_id)
/// first and by phone number second, and store both if both are present.
#[doc(alias = "bsuid")]
#[derive(Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Sender<'a> {
    /// Phone number (`from`): digits, in some payloads with a leading `+`. It has been seen to
    /// contain a user id. [`wa_id`](Self::wa_id) never has a `+`.
    #[doc(alias = "from")]
    pub phone: Option<&'a str>,
    pub(in crate::event) from_user_id: Option<&'a str>,
    from_parent_user_id: Option<&'a str>,
    /// Logical id (`from_logical_id`), from Meta's page about payments in Brazil.
    pub logical_id: Option<&'a str>,
    /// Contact of the sender (the matching element of `contacts[]`).
    pub contact: Lazy<'a, Contact<'a>>,
}

impl<'a> Sender<'a> {
    /// Returns the business-scoped user id, for example `US.13…`, from the message
    /// (`from_user_id`) or the contact (`user_id`).
    #[must_use]
    pub fn user_id(&self) -> Option<&'a str> {
        self.from_user_id.or_else(|| self.contact.get()?.user_id)
    }

    /// Returns the user id for a parent portfolio, from the message (`from_parent_user_id`) or the
    /// contact (`parent_user_id`).
    #[must_use]
    pub fn parent_user_id(&self) -> Option<&'a str> {
        self.from_parent_user_id
            .or_else(|| self.contact.get()?.parent_user_id)
    }

    /// Returns the WhatsApp id from the contact (`wa_id`). It need not be the phone number.
    #[must_use]
    pub fn wa_id(&self) -> Option<&'a str> {
        self.contact.get()?.wa_id
    }

    /// Returns the display name from the contact (`profile.name`). May be empty.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.contact.get()?.profile?.name
    }

    /// Returns the user name from the contact (`profile.username`), with or without a leading `@`.
    #[must_use]
    pub fn username(&self) -> Option<&'a str> {
        self.contact.get()?.profile?.username
    }
}

/// Shows no personal data.
impl fmt::Debug for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

object! {
    /// The members of a [`Message`] or an [`Echo`](super::Echo) that its key and its age are
    /// computed from.
    pub(crate) struct MessageIds<'a> {
        pub(crate) id: Option<&'a [u8]> = IdBytes["id"],
        pub(crate) timestamp: Option<Timestamp> = Timestamp["timestamp"],
        pub(crate) kind: Option<Option<&'a str>> = Tag["type"],
    }
}

object! {
    /// The JSON object of a [`Message`].
    struct WireMessage<'a> {
        id: Option<&'a str> = PersonalId["id"],
        from: Option<&'a str> = PersonalId["from"],
        from_user_id: Option<&'a str> = PersonalId["from_user_id"],
        from_parent_user_id: Option<&'a str> = PersonalId["from_parent_user_id"],
        from_logical_id: Option<&'a str> = PersonalId["from_logical_id"],
        group_id: Option<&'a str> = PersonalId["group_id"],
        timestamp: Option<Timestamp> = Timestamp["timestamp"],
        context: Option<Context<'a>> = Context<'a>["context"],
        referral: Option<Referral<'a>> = Referral<'a>["referral"],
        errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        identity: Option<Identity<'a>> = Identity<'a>["identity"],
        contact: Lazy<'a, Contact<'a>>,
        conversation_context: Option<ConversationContext<'a>>,
    }
    tagged {
        kind,
        content: Content<'a>,
        has_body,
    }
}
