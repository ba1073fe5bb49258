//! What the texts of the samples have in common.
//!
//! A name after `$` stands for something that is filled in: by the caller of a sample, or with what many samples share. Brackets
//! behind the name hold what stands there when the caller says nothing: `$caption[A picture]`.

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

/// A name in a template, and the JSON that follows it.
#[derive(Debug)]
pub(super) struct Piece {
    /// `None` at the beginning of the template.
    pub(super) name: Option<&'static str>,
    /// What stands in the brackets.
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
        let (default, json) = bracketed.unwrap_or((usual(name), rest));
        Piece {
            name: Some(name),
            default,
            json,
        }
    })
}

/// What many samples say when the caller says nothing.
fn usual(name: &str) -> &'static str {
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

/// The JSON that a name stands for, if many samples share it.
pub(super) fn shared(name: &str) -> Option<&'static str> {
    Some(match name {
        "pn" => {
            r#""messaging_product":"whatsapp","metadata":{"display_phone_number":"$number","phone_number_id":"$number_id"}"#
        }
        "contacts" => {
            r#""contacts":[{"profile":{"name":"$profile_name","username":"$username"},$wa_id"user_id":"$user_id"}]"#
        }
        // A user with a user name, of whom the business does not get to know the phone number.
        "hidden" => {
            r#""contacts":[{"profile":{"name":"$profile_name","username":"$username"},"user_id":"$user_id"}]"#
        }
        "head" => "$quoted$sent",
        "sent" => r#"$from"from_user_id":"$user_id","id":"$id","timestamp":"$time""#,
        "error" => {
            r#"{"code":$error_code[131000],"title":"Something went wrong","message":"Something went wrong","error_data":{"details":"A sample of an error, number $n"},"href":"https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"}"#
        }
        _ => return member(name),
    })
}

/// A member that not every sample has, with the comma behind it: see `Part::shared`.
fn member(name: &str) -> Option<&'static str> {
    Some(match name {
        "from" => r#""from":"$user","#,
        "to" => r#""to":"$user","#,
        "wa_id" => r#""wa_id":"$user","#,
        "recipient" => r#""recipient_id":"$user","#,
        "participant" => r#""recipient_participant_id":"$user","#,
        // Meta leaves the user id out where it knows the phone number. No comma: it is there in any case.
        "addressee" => r#""recipient_id":"$user""#,
        "addressee_hidden" => r#""recipient_user_id":"$user_id""#,
        "quoted" => r#""context":{"from":"$number","id":"$context_id"},"#,
        "callback" => r#""biz_opaque_callback_data":"$callback_data","#,
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
