//! Conversation routing: chats that several apps share.
//!
//! Source: Meta's page `conversation-routing/thread-control`.

use super::{
    contact::Contact,
    schema::{Id, Lazy, PersonalId, RawJson, Timestamp, UserText, object, string_enum},
};

object! {
    /// The handover of a chat from one app to another: field `messaging_handovers` (conversation
    /// routing).
    pub struct Handover<'a> {
        /// User (`sender`).
        pub sender: Option<HandoverSender<'a>> = HandoverSender<'a>["sender"],
        /// Business phone number (`recipient`).
        pub recipient: Option<HandoverRecipient<'a>> = HandoverRecipient<'a>["recipient"],
        /// Type of the handover (`type`). Absent from older payloads.
        pub kind: Option<HandoverKind<'a>> = HandoverKind<'a>["type"],
        /// Unix time of the handover, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        passed: Option<Control<'a>> = Control<'a>["control_passed"],
        taken: Option<Control<'a>> = Control<'a>["control_taken"],
        shared: Option<Control<'a>> = Control<'a>["control_shared"],
    }
}

impl<'a> Handover<'a> {
    /// Returns the owners of the chat before and after (`control_passed`, `control_taken` or
    /// `control_shared`): the object that the type names, else the first one present.
    #[must_use]
    pub fn control(&self) -> Option<Control<'a>> {
        let named = match self.kind {
            Some(HandoverKind::ControlTaken) => self.taken,
            Some(HandoverKind::ControlShared) => self.shared,
            _ => self.passed,
        };
        named.or(self.passed).or(self.taken).or(self.shared)
    }
}

string_enum! {
    /// The type of a [`Handover`]: `type`.
    pub enum HandoverKind<'a> {
        /// Passed on by the owner.
        ControlPassed = "control_passed",
        /// Taken by another app.
        ControlTaken = "control_taken",
        /// Shared by the owner.
        ControlShared = "control_shared",
    }
}

object! {
    /// The user of a chat: `sender`.
    pub struct HandoverSender<'a> {
        /// Phone number (`phone_number`).
        pub phone_number: Option<&'a str> = PersonalId["phone_number"],
        /// Business-scoped user id (`user_id`).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
    }
}

object! {
    /// The business phone number of a chat: `recipient`.
    pub struct HandoverRecipient<'a> {
        /// Id of the phone number (`phone_number_id`).
        pub phone_number_id: Option<&'a str> = Id["phone_number_id"],
        /// Phone number, formatted for people (`display_phone_number`).
        pub display_phone_number: Option<&'a str> = PersonalId["display_phone_number"],
    }
}

object! {
    /// The owners of a chat before and after a [`Handover`].
    pub struct Control<'a> {
        /// Role of the previous owner (`previous_owner_role`): `ai_agent`, `customer_service`,
        /// `escalation`, ….
        pub previous_owner_role: Option<&'a str> = Id["previous_owner_role"],
        /// Role of the new owner (`new_owner_role`), with the same values.
        pub new_owner_role: Option<&'a str> = Id["new_owner_role"],
        /// Role of the previous owner under its older key (`previous_owner_app_role`).
        pub previous_owner_app_role: Option<&'a str> = Id["previous_owner_app_role"],
        /// Role of the new owner under its older key (`new_owner_app_role`).
        pub new_owner_app_role: Option<&'a str> = Id["new_owner_app_role"],
        /// App id of the previous owner, in older payloads (`previous_owner_app_id`).
        pub previous_owner_app_id: Option<&'a str> = Id["previous_owner_app_id"],
        /// App id of the new owner, in older payloads (`new_owner_app_id`).
        pub new_owner_app_id: Option<&'a str> = Id["new_owner_app_id"],
        /// Text from the previous owner, up to 2000 characters (`metadata`).
        pub metadata: Option<&'a str> = UserText["metadata"],
        /// Content of the chat before the handover (`conversation_context`).
        pub conversation_context: Option<ConversationContext<'a>> = ConversationContext<'a>["conversation_context"],
    }
}

object! {
    /// The content of a chat before a handover: `conversation_context`.
    pub struct ConversationContext<'a> {
        /// Type of the content (`type`): `summary`.
        pub kind: Option<&'a str> = Id["type"],
        /// Summary (`summary`).
        pub summary: Option<Summary<'a>> = Summary<'a>["summary"],
    }
}

object! {
    /// A summary of a chat: `summary`.
    pub struct Summary<'a> {
        /// Text of the summary (`text`).
        pub text: Option<&'a str> = UserText["text"],
    }
}

object! {
    /// A message of the business in a chat that another app owns: an element of `message_echoes[]`
    /// in the field `standby`.
    pub struct StandbyEcho<'a> {
        /// Id of the message (`id`).
        pub id: Option<&'a str> = PersonalId["id"],
        /// Unix time at which the message was sent, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Body of the API request that sent the message, as JSON (`message`).
        pub message: Option<&'a str> = RawJson["message"],
        /// Template, as JSON (`template`).
        pub template: Option<&'a str> = RawJson["template"],
        /// Flow, as JSON (`flow`).
        pub flow: Option<&'a str> = RawJson["flow"],
        /// Contact of the recipient (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

object! {
    /// The recipient of a message of the business: a body of the Send API.
    pub(super) struct SentMessage<'a> {
        pub(super) to: Option<&'a str> = PersonalId["to"],
        pub(super) recipient: Option<&'a str> = PersonalId["recipient"],
    }
}
