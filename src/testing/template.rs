//! What the texts of the samples have in common.
//!
//! A name after `$` stands for something that is filled in: by the caller of a sample, or with what many samples share.

/// One sample as it is written down.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) field: &'static str,
    /// Whether the entry has a time: Meta writes it for accounts and templates, and not for phone numbers.
    pub(super) timed: bool,
    /// The `value`, with `$each` in the place of the elements.
    pub(super) value: &'static str,
    pub(super) element: &'static str,
}

/// The `value` of a field without lists: it is the element.
pub(super) const WHOLE: &str = "$each";

/// What a name after `$` stands for, if it is the same in all samples.
pub(super) fn shared(name: &str) -> Option<&'static str> {
    Some(match name {
        "pn" => {
            r#""messaging_product":"whatsapp","metadata":{"display_phone_number":"12025550199","phone_number_id":"$number_id"}"#
        }
        "contacts" => {
            r#""contacts":[{"profile":{"name":"Zoë Sample","username":"zoe.sample"},"wa_id":"$user","user_id":"$user_id"}]"#
        }
        // A user with a user name, of whom the business does not get to know the phone number.
        "hidden" => {
            r#""contacts":[{"profile":{"name":"Zoë Sample","username":"zoe.sample"},"user_id":"$user_id"}]"#
        }
        "head" => r#""from":"$user","from_user_id":"$user_id","id":"$id","timestamp":"$time""#,
        "error" => {
            r#"{"code":131000,"title":"Something went wrong","message":"Something went wrong","error_data":{"details":"A sample of an error, number $n"},"href":"https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"}"#
        }
        _ => return None,
    })
}

/// An element of `list` of the field `messages`, or another field of a phone number with a list of its own.
pub(super) const fn listed(
    name: &'static str,
    field: &'static str,
    value: &'static str,
    element: &'static str,
) -> Template {
    Template {
        name,
        field,
        timed: false,
        value,
        element,
    }
}

/// The value of a field of accounts or templates.
pub(super) const fn whole(
    name: &'static str,
    field: &'static str,
    element: &'static str,
) -> Template {
    Template {
        name,
        field,
        timed: true,
        value: WHOLE,
        element,
    }
}
