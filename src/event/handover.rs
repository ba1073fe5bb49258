use super::{
    contact::Contact,
    schema::{Id, Json, Lazy, Person, Text, Timestamp, names, object},
};

object! {
    /// A chat was passed from one app to another: field `messaging_handovers` (conversation routing).
    pub struct Handover<'a> {
        /// The user.
        pub sender: Option<HandoverSender<'a>> = HandoverSender<'a>["sender"],
        /// The business's phone number.
        pub recipient: Option<HandoverRecipient<'a>> = HandoverRecipient<'a>["recipient"],
        /// What happened. Absent from older payloads.
        pub kind: Option<HandoverKind<'a>> = HandoverKind<'a>["type"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        passed: Option<Control<'a>> = Control<'a>["control_passed"],
        taken: Option<Control<'a>> = Control<'a>["control_taken"],
        shared: Option<Control<'a>> = Control<'a>["control_shared"],
    }
}

impl<'a> Handover<'a> {
    /// Owners of the chat before and after (`control_passed`, `control_taken` or `control_shared`): the one that the
    /// type names, else the first that is there.
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

names! {
    /// How a chat changed hands.
    pub enum HandoverKind<'a> {
        /// The owner passed it on.
        ControlPassed = "control_passed",
        /// Another took it.
        ControlTaken = "control_taken",
        /// The owner shares it.
        ControlShared = "control_shared",
    }
}

object! {
    /// The user of a chat.
    pub struct HandoverSender<'a> {
        /// The phone number.
        pub phone_number: Option<&'a str> = Person["phone_number"],
        /// The business-scoped user id.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// User id for a parent portfolio (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
    }
}

object! {
    /// The business's phone number of a chat.
    pub struct HandoverRecipient<'a> {
        /// Its id.
        pub phone_number_id: Option<&'a str> = Id["phone_number_id"],
        /// The number, for people.
        pub display_phone_number: Option<&'a str> = Person["display_phone_number"],
    }
}

object! {
    /// Who has a chat now, and who had it.
    pub struct Control<'a> {
        /// `ai_agent`, `customer_service`, `escalation`, ….
        pub previous_owner_role: Option<&'a str> = Id["previous_owner_role"],
        /// The same.
        pub new_owner_role: Option<&'a str> = Id["new_owner_role"],
        /// The role by its older name.
        pub previous_owner_app_role: Option<&'a str> = Id["previous_owner_app_role"],
        /// The role by its older name.
        pub new_owner_app_role: Option<&'a str> = Id["new_owner_app_role"],
        /// The app, in older payloads.
        pub previous_owner_app_id: Option<&'a str> = Id["previous_owner_app_id"],
        /// The app, in older payloads.
        pub new_owner_app_id: Option<&'a str> = Id["new_owner_app_id"],
        /// What the former owner gave along, up to 2000 characters.
        pub metadata: Option<&'a str> = Text["metadata"],
        /// What has been said so far.
        pub conversation_context: Option<ConversationContext<'a>> = ConversationContext<'a>["conversation_context"],
    }
}

object! {
    /// What has been said in a chat so far.
    pub struct ConversationContext<'a> {
        /// `summary`.
        pub kind: Option<&'a str> = Id["type"],
        /// A summary.
        pub summary: Option<Summary<'a>> = Summary<'a>["summary"],
    }
}

object! {
    /// A summary of a chat.
    pub struct Summary<'a> {
        /// Its text.
        pub text: Option<&'a str> = Text["text"],
    }
}

object! {
    /// A message of the business in a chat that another app owns: an element of `message_echoes` in the field `standby`.
    pub struct StandbyEcho<'a> {
        /// Its id.
        pub id: Option<&'a str> = Id["id"],
        /// When it was sent.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// The body of the request that sent it, as JSON.
        pub message: Option<&'a str> = Json["message"],
        /// The template, as JSON.
        pub template: Option<&'a str> = Json["template"],
        /// The flow, as JSON.
        pub flow: Option<&'a str> = Json["flow"],
        /// What is said of the recipient beside the message.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

object! {
    /// Whom a message of the business is for: a body of the Send API.
    pub(super) struct SentMessage<'a> {
        pub(super) to: Option<&'a str> = Person["to"],
        pub(super) recipient: Option<&'a str> = Person["recipient"],
    }
}
