use super::schema::{Id, Person, Text, object};

object! {
    /// What Meta says of a person beside the messages and statuses: an element of `contacts`.
    pub struct Contact<'a> {
        /// The name and user name.
        pub profile: Option<Profile<'a>> = Profile<'a>["profile"],
        /// The WhatsApp id, in digits. Absent when the phone number is hidden. Need not be the phone number.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// The business-scoped user id (`US.13…`): opaque, case-sensitive, one per person and business portfolio.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// The same for a parent portfolio (`US.ENT.…`), where there is one.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// Changes when the person's keys change, if the identity check is on.
        pub identity_key_hash: Option<&'a str> = Id["identity_key_hash"],
    }
}

object! {
    /// The business phone number that a value is about.
    pub(super) struct Metadata<'a> {
        pub(super) display_phone_number: Option<&'a str> = Person["display_phone_number"],
    }
    elsewhere ["phone_number_id"]
}

object! {
    /// The names of a [`Contact`].
    pub struct Profile<'a> {
        /// The name that the person chose. May be empty.
        pub name: Option<&'a str> = Text["name"],
        /// The user name, with or without a leading `@`.
        pub username: Option<&'a str> = Person["username"],
        /// The country, in the draft of November 2025.
        pub country_code: Option<&'a str> = Id["country_code"],
    }
}
