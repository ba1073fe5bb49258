use super::{
    contact::Contact,
    schema::{Id, Lazy, Person, Text, Timestamp, names, object},
};

object! {
    /// Whether a user wants marketing messages: an element of the field `user_preferences`.
    pub struct UserPreference<'a> {
        /// The WhatsApp id.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// The business-scoped user id.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// The same for a parent portfolio.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// A sentence.
        pub detail: Option<&'a str> = Text["detail"],
        /// `marketing_messages`.
        pub category: Option<&'a str> = Id["category"],
        /// What the user wants.
        pub value: Option<PreferenceValue<'a>> = PreferenceValue<'a>["value"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// The sign-up in an app (June 2026).
        pub signup_id: Option<&'a str> = Id["signup_id"],
        /// What else is said of the user.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

names! {
    /// What a user wants.
    pub enum PreferenceValue<'a> {
        /// No more messages.
        Stop = "stop",
        /// Messages again.
        Resume = "resume",
        /// Signed up in an app.
        Signup = "signup",
    }
}

object! {
    /// A user has another user id, because the phone number changed: an element of the field `user_id_update`.
    pub struct UserIdUpdate<'a> {
        /// The WhatsApp id.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// A sentence.
        pub detail: Option<&'a str> = Text["detail"],
        /// The business-scoped user id.
        pub user_id: Option<IdChange<'a>> = IdChange<'a>["user_id"],
        /// The same for a parent portfolio.
        pub parent_user_id: Option<IdChange<'a>> = IdChange<'a>["parent_user_id"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// What else is said of the user.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

object! {
    /// From one id to another.
    pub struct IdChange<'a> {
        /// Before.
        pub previous: Option<&'a str> = Person["previous"],
        /// Now.
        pub current: Option<&'a str> = Person["current"],
    }
}
