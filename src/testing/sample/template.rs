//! The template language of the samples.
//!
//! A name after `$` is replaced by the value of a setter, or by JSON that many samples share.
//! Brackets after the name hold its default: `$caption[A picture]`.

/// The source of a sample.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) field: &'static str,
    /// Whether the entry has a `time`. Meta writes it for accounts and templates, not for phone
    /// numbers.
    pub(super) has_entry_time: bool,
    /// The `value`, with `$each` where the elements go.
    pub(super) value: &'static str,
    pub(super) element: &'static str,
}

/// The `value` of a field without lists: the element itself.
pub(super) const WHOLE: &str = "$each";

/// A name in a template, and the JSON that follows it.
#[derive(Debug)]
pub(super) struct Piece {
    /// `None` at the start of the template.
    pub(super) name: Option<&'static str>,
    /// The text in the brackets.
    pub(super) default: &'static str,
    pub(super) json: &'static str,
}

/// Splits a template at its names.
pub(super) fn pieces(text: &'static str) -> impl Iterator<Item = Piece> {
    text.split('$').enumerate().map(|(index, piece)| {
        if index == 0 {
            return Piece {
                name: None,
                default: "",
                json: piece,
            };
        }
        let end = piece
            .find(|char: char| char != '_' && !char.is_ascii_lowercase())
            .unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        let bracketed = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (default, json) = bracketed.unwrap_or((common_default(name), rest));
        Piece {
            name: Some(name),
            default,
            json,
        }
    })
}

/// Returns the default of a name without brackets.
fn common_default(name: &str) -> &'static str {
    match name {
        "user" => "12025550101",
        "user_id" => "US.SampleUser0001",
        "profile_name" => "Zoë Sample",
        "username" => "zoe.sample",
        "number" => "12025550199",
        "number_id" => "700000000000001",
        "text" => "A sample of a text, with an ä and a /",
        _ => "",
    }
}

/// Returns the JSON that a name stands for, if samples share it.
pub(super) fn shared(name: &str) -> Option<&'static str> {
    Some(match name {
        "pn" => {
            r#""messaging_product":"whatsapp","metadata":{"display_phone_number":"$number","phone_number_id":"$number_id"}"#
        }
        "contacts" => {
            r#""contacts":[{"profile":{"name":"$profile_name","username":"$username"},$wa_id"user_id":"$user_id"}]"#
        }
        // A user whose phone number Meta does not share with the business.
        "hidden" => {
            r#""contacts":[{"profile":{"name":"$profile_name","username":"$username"},"user_id":"$user_id"}]"#
        }
        "head" => "$quoted$sent",
        "sent" => r#"$from"from_user_id":"$user_id","id":"$id","timestamp":"$time""#,
        "error" => {
            r#"{"code":$error_code[131000],"title":"Something went wrong","message":"Something went wrong","error_data":{"details":"A sample of an error, number $n"},"href":"https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"}"#
        }
        _ => return optional_member(name),
    })
}

/// Returns an optional member with a trailing comma. `Part::shared` decides whether it is written.
fn optional_member(name: &str) -> Option<&'static str> {
    Some(match name {
        "from" => r#""from":"$user","#,
        "to" => r#""to":"$user","#,
        "wa_id" => r#""wa_id":"$user","#,
        "recipient" => r#""recipient_id":"$user","#,
        "participant" => r#""recipient_participant_id":"$user","#,
        // Meta leaves out the user id where it shares the phone number. One of the two is always
        // present, so there is no comma.
        "addressee" => r#""recipient_id":"$user""#,
        "addressee_hidden" => r#""recipient_user_id":"$user_id""#,
        "quoted" => r#""context":{"from":"$number","id":"$context_id"},"#,
        "callback" => r#""biz_opaque_callback_data":"$callback_data","#,
        _ => return None,
    })
}

/// An element of a list in a field of a phone number, such as `messages`.
pub(super) const fn listed(
    name: &'static str,
    field: &'static str,
    value: &'static str,
    element: &'static str,
) -> Template {
    Template {
        name,
        field,
        has_entry_time: false,
        value,
        element,
    }
}

/// The whole value of a field of accounts or message templates.
pub(super) const fn whole(
    name: &'static str,
    field: &'static str,
    element: &'static str,
) -> Template {
    Template {
        name,
        field,
        has_entry_time: true,
        value: WHOLE,
        element,
    }
}
