use super::schema::{Id, PersonalId, UserText, object};

object! {
    /// What a delivery says about a person, apart from messages and statuses: an element of
    /// `contacts`.
    pub struct Contact<'a> {
        /// Name and username (`profile`).
        pub profile: Option<Profile<'a>> = Profile<'a>["profile"],
        /// WhatsApp id, digits (`wa_id`). May differ from the phone number. Absent if the phone
        /// number is hidden.
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Business-scoped user id, BSUID (`user_id`): `US.13…`, opaque and case-sensitive, one per
        /// person and business portfolio.
        #[doc(alias = "bsuid")]
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// Business-scoped user id for the parent portfolio (`parent_user_id`): `US.ENT.…`. Absent
        /// without a parent portfolio.
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// Hash of the person's identity key (`identity_key_hash`). Sent if the identity check is
        /// on; changes with the key.
        pub identity_key_hash: Option<&'a str> = Id["identity_key_hash"],
    }
}

object! {
    /// The metadata of a value: the business phone number that it is about.
    pub(super) struct Metadata<'a> {
        pub(super) display_phone_number: Option<&'a str> = PersonalId["display_phone_number"],
    }
    elsewhere ["phone_number_id"]
}

object! {
    /// The names of a [`Contact`] (`profile`).
    pub struct Profile<'a> {
        /// Display name that the person chose (`name`). May be empty.
        pub name: Option<&'a str> = UserText["name"],
        /// Username, with or without a leading `@` (`username`).
        pub username: Option<&'a str> = PersonalId["username"],
        /// Country code (`country_code`). From the draft of November 2025.
        pub country_code: Option<&'a str> = Id["country_code"],
    }
}
