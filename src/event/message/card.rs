//! Contact cards.
//!
//! Source: Meta's page `webhooks/reference/messages/contacts`.

use crate::event::schema::{Id, List, PersonalId, UserText, object};

object! {
    /// A contact card that a user shared: an element of `contacts[]` in a message.
    ///
    /// Not to be confused with a [`Contact`](crate::event::Contact), which describes the person
    /// behind an event.
    #[doc(alias = "vcard")]
    pub struct Card<'a> {
        /// Name on the card (`name`). May be absent.
        pub name: Option<CardName<'a>> = CardName<'a>["name"],
        /// Postal addresses (`addresses[]`).
        pub addresses: List<'a, CardAddress<'a>> = List<'a, CardAddress<'a>>["addresses"],
        /// Birthday as it was typed (`birthday`).
        pub birthday: Option<&'a str> = UserText["birthday"],
        /// E-mail addresses (`emails[]`).
        pub emails: List<'a, CardEmail<'a>> = List<'a, CardEmail<'a>>["emails"],
        /// Employer (`org`).
        pub org: Option<CardOrg<'a>> = CardOrg<'a>["org"],
        /// Phone numbers (`phones[]`).
        pub phones: List<'a, CardPhone<'a>> = List<'a, CardPhone<'a>>["phones"],
        /// Web sites (`urls[]`).
        pub urls: List<'a, CardUrl<'a>> = List<'a, CardUrl<'a>>["urls"],
        /// Whole card as a vCard (`vcard`).
        pub vcard: Option<&'a str> = UserText["vcard"],
        /// Reason for sharing (`origin`, since 2026): `contact_request` or `other`.
        pub origin: Option<&'a str> = Id["origin"],
    }
}

object! {
    /// The name on a [`Card`].
    pub struct CardName<'a> {
        /// Full name (`formatted_name`).
        pub formatted_name: Option<&'a str> = UserText["formatted_name"],
        /// First name (`first_name`).
        pub first_name: Option<&'a str> = UserText["first_name"],
        /// Last name (`last_name`).
        pub last_name: Option<&'a str> = UserText["last_name"],
        /// Middle name (`middle_name`).
        pub middle_name: Option<&'a str> = UserText["middle_name"],
        /// Prefix of the name (`prefix`).
        pub prefix: Option<&'a str> = UserText["prefix"],
        /// Suffix of the name (`suffix`).
        pub suffix: Option<&'a str> = UserText["suffix"],
    }
}

object! {
    /// A postal address on a [`Card`].
    pub struct CardAddress<'a> {
        /// Street and house number (`street`).
        pub street: Option<&'a str> = UserText["street"],
        /// City (`city`).
        pub city: Option<&'a str> = UserText["city"],
        /// State or province (`state`).
        pub state: Option<&'a str> = UserText["state"],
        /// Postal code (`zip`).
        pub zip: Option<&'a str> = UserText["zip"],
        /// Country (`country`).
        pub country: Option<&'a str> = UserText["country"],
        /// Country code, ISO 3166 (`country_code`).
        pub country_code: Option<&'a str> = UserText["country_code"],
        /// Type of the address (`type`): `HOME` or `WORK`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// An e-mail address on a [`Card`].
    pub struct CardEmail<'a> {
        /// E-mail address (`email`).
        pub email: Option<&'a str> = UserText["email"],
        /// Type of the address (`type`): `HOME` or `WORK`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// The employer on a [`Card`].
    pub struct CardOrg<'a> {
        /// Company (`company`).
        pub company: Option<&'a str> = UserText["company"],
        /// Department (`department`).
        pub department: Option<&'a str> = UserText["department"],
        /// Job title (`title`).
        pub title: Option<&'a str> = UserText["title"],
    }
}

object! {
    /// A phone number on a [`Card`].
    pub struct CardPhone<'a> {
        /// Phone number as it was typed (`phone`).
        pub phone: Option<&'a str> = UserText["phone"],
        /// WhatsApp id, if the number has one (`wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Business-scoped user id (`user_id`, since 2026).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// Type of the number (`type`): `CELL`, `HOME`, `WORK`, ….
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// A web site on a [`Card`].
    pub struct CardUrl<'a> {
        /// URL (`url`).
        pub url: Option<&'a str> = UserText["url"],
        /// Type of the site (`type`): `HOME` or `WORK`.
        pub kind: Option<&'a str> = Id["type"],
    }
}
