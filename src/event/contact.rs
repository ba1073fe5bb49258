//! Contacts: what Meta says about a person beside the events.
//!
//! Source: Meta's page `business-scoped-user-ids`.

use super::{
    object::object,
    scalar::{Id, Person, Text},
};

object! {
    /// The person that an event is about: an element of `contacts[]`, beside the messages and
    /// statuses.
    #[doc(alias = "bsuid")]
    pub struct Contact<'a> {
        /// Display name and user name (`profile`).
        pub profile: Option<Profile<'a>> = Profile<'a>["profile"],
        /// WhatsApp id, digits (`wa_id`). Need not be the phone number. Absent if the phone number
        /// is hidden.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// Business-scoped user id (`user_id`), for example `US.13…`: opaque, case-sensitive, one per
        /// person and business portfolio.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// User id for a parent portfolio, if there is one (`parent_user_id`), for example
        /// `US.ENT.…`.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// Hash of the person's encryption key (`identity_key_hash`). Present if the identity check
        /// is enabled.
        pub identity_key_hash: Option<&'a str> = Id["identity_key_hash"],
    }
}

object! {
    /// The business phone number that a value is about: `metadata`.
    pub(super) struct Metadata<'a> {
        pub(super) display_phone_number: Option<&'a str> = Person["display_phone_number"],
    }
    elsewhere ["phone_number_id"]
}

object! {
    /// The names of a [`Contact`]: `profile`.
    pub struct Profile<'a> {
        /// Display name that the person chose (`name`). May be empty.
        pub name: Option<&'a str> = Text["name"],
        /// User name, with or without a leading `@` (`username`).
        pub username: Option<&'a str> = Person["username"],
        /// Country (`country_code`), from Meta's draft of November 2025.
        pub country_code: Option<&'a str> = Id["country_code"],
    }
}
