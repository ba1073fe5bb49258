//! Preferences and ids of users.
//!
//! Sources: Meta's pages `webhooks/reference/user_preferences` and `business-scoped-user-ids`.

use super::{
    contact::Contact,
    schema::{Id, Lazy, PersonalId, Timestamp, UserText, object, string_enum},
};

object! {
    /// A user's choice about marketing messages: an element of `user_preferences[]` in the field of
    /// that name.
    pub struct UserPreference<'a> {
        /// WhatsApp id (`wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Business-scoped user id (`user_id`).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// Description for people (`detail`).
        pub detail: Option<&'a str> = UserText["detail"],
        /// Category of messages (`category`): `marketing_messages`.
        pub category: Option<&'a str> = Id["category"],
        /// Choice of the user (`value`).
        pub value: Option<PreferenceValue<'a>> = PreferenceValue<'a>["value"],
        /// Unix time of the choice, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Id of a sign-up in an app (`signup_id`, June 2026).
        pub signup_id: Option<&'a str> = Id["signup_id"],
        /// Contact of the user (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

string_enum! {
    /// The choice of a user: `value`.
    pub enum PreferenceValue<'a> {
        /// Opt-out.
        Stop = "stop",
        /// Opt-in after an opt-out.
        Resume = "resume",
        /// Sign-up in an app.
        Signup = "signup",
    }
}

object! {
    /// A change of the user id because the phone number changed: an element of `user_id_update[]`
    /// in the field of that name.
    pub struct UserIdUpdate<'a> {
        /// WhatsApp id (`wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Description for people (`detail`).
        pub detail: Option<&'a str> = UserText["detail"],
        /// Business-scoped user id before and after (`user_id`).
        pub user_id: Option<IdChange<'a>> = IdChange<'a>["user_id"],
        /// User id for a parent portfolio before and after (`parent_user_id`).
        pub parent_user_id: Option<IdChange<'a>> = IdChange<'a>["parent_user_id"],
        /// Unix time of the change, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Contact of the user (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

object! {
    /// The change of an id.
    pub struct IdChange<'a> {
        /// Id before the change (`previous`).
        pub previous: Option<&'a str> = PersonalId["previous"],
        /// Id after the change (`current`).
        pub current: Option<&'a str> = PersonalId["current"],
    }
}
