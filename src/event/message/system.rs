//! Changes of the person behind a chat.
//!
//! Sources: Meta's pages `webhooks/reference/messages/system` and `business-scoped-user-ids`.

use crate::event::schema::{Id, PersonalId, Timestamp, UserText, object, string_enum};

object! {
    /// A change of the person behind a chat: a new phone number, user id or encryption key. The
    /// body of `system` messages.
    ///
    /// System messages have no contact. If the person has no phone number, the two `previous` ids
    /// are the only link from the old user id to the new one: a host that identifies people by
    /// user id must follow them.
    #[doc(alias = "bsuid")]
    pub struct System<'a> {
        /// Description for people (`body`). Contains phone numbers.
        pub body: Option<&'a str> = UserText["body"],
        /// Type of the change (`type`).
        pub kind: Option<SystemKind<'a>> = SystemKind<'a>["type"],
        /// WhatsApp id after the change (`wa_id`, in old payloads `new_wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id" | "new_wa_id"],
        /// Business-scoped user id after the change (`user_id`). Unchanged with
        /// [`SystemKind::UserIdentityChanged`].
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio after the change (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// User id before the change (`previous_user_id`, since August 2026).
        pub previous_user_id: Option<&'a str> = PersonalId["previous_user_id"],
        /// User id for a parent portfolio before the change (`previous_parent_user_id`, since
        /// August 2026).
        pub previous_parent_user_id: Option<&'a str> = PersonalId["previous_parent_user_id"],
        /// Hash of the new encryption key (`identity`), in old payloads.
        pub identity: Option<&'a str> = Id["identity"],
        /// WhatsApp id before the change (`customer`), in old payloads.
        pub customer: Option<&'a str> = PersonalId["customer"],
    }
}

string_enum! {
    /// The type of a [`System`] change.
    pub enum SystemKind<'a> {
        /// Change of the phone number.
        UserChangedNumber = "user_changed_number",
        /// Change of the business-scoped user id.
        UserChangedUserId = "user_changed_user_id",
        /// Change of the encryption key and so of the security code (seen in SDKs only, August
        /// 2026).
        UserIdentityChanged = "user_identity_changed",
        /// Change of the phone number, in old payloads.
        CustomerChangedNumber = "customer_changed_number",
        /// Change of the encryption key, in old payloads.
        CustomerIdentityChanged = "customer_identity_changed",
    }
}

object! {
    /// The encryption key of a sender: `identity`, in old payloads. Newer payloads have
    /// [`Contact::identity_key_hash`](crate::event::Contact::identity_key_hash) instead.
    pub struct Identity<'a> {
        /// Whether the business has acknowledged the change of the key (`acknowledged`).
        pub acknowledged: Option<bool> = bool["acknowledged"],
        /// Unix time at which the key was created, seconds (`created_timestamp`).
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// Hash of the key (`hash`).
        pub hash: Option<&'a str> = Id["hash"],
    }
}
