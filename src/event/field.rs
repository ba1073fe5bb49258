//! The fields that an app can subscribe to, and how the value of each is cut into elements.

use super::payload::Kind;

/// A field.
pub(super) struct Field {
    /// Its name, and other spellings that were seen.
    pub(super) names: &'static [&'static str],
    pub(super) cut: Cut,
}

/// How a value is cut.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// Not: it is one element.
    Whole(Kind),
    /// The elements of these lists.
    Lists(&'static [(&'static [u8], Kind)]),
    /// `groups`, and the participants in each.
    Groups,
    /// `history`, the threads in each, the messages in each; and the lists of messages beside it.
    History,
    /// The lists in `standby`.
    Standby,
}

impl Cut {
    /// Whether the key has a meaning in the value.
    pub(super) fn has(self, key: &[u8]) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Lists(lists) => lists.iter().any(|(name, _)| *name == key),
            Self::Groups => matches!(key, b"groups" | b"errors"),
            Self::History => matches!(
                key,
                b"history" | b"messages" | b"message_echoes" | b"errors"
            ),
            Self::Standby => key == b"standby",
        }
    }
}

/// How a value is cut whose field is missing: only `messages` has been seen without its name.
pub(super) const UNNAMED: Cut = MESSAGES;

const MESSAGES: Cut = Cut::Lists(&[
    (b"messages", Kind::Message),
    (b"statuses", Kind::Status),
    (b"errors", Kind::Error),
    (b"user_actions", Kind::UserAction),
]);

const ECHOES: Cut = Cut::Lists(&[(b"message_echoes", Kind::Echo), (b"errors", Kind::Error)]);

/// All of them, in the order of Meta's list of May 2026, then those that came later or were met elsewhere.
pub(super) const FIELDS: &[Field] = &[
    field(&["messages"], MESSAGES),
    field(&["account_alerts"], Cut::Whole(Kind::AccountAlert)),
    field(&["account_review_update"], Cut::Whole(Kind::AccountReview)),
    field(
        &["account_settings_update"],
        Cut::Whole(Kind::AccountSettings),
    ),
    field(&["account_update"], Cut::Whole(Kind::AccountUpdate)),
    field(
        &["automatic_events"],
        Cut::Lists(&[(b"automatic_events", Kind::AutomaticEvent)]),
    ),
    field(
        &["business_capability_update"],
        Cut::Whole(Kind::BusinessCapability),
    ),
    field(
        &["business_status_update"],
        Cut::Whole(Kind::BusinessStatus),
    ),
    field(
        &[
            "business_username_updates",
            "business_username_update",
            "phone_number_username_update",
        ],
        Cut::Whole(Kind::BusinessUsername),
    ),
    field(
        &["calls"],
        Cut::Lists(&[
            (b"calls", Kind::Call),
            (b"statuses", Kind::CallStatus),
            (b"errors", Kind::Error),
        ]),
    ),
    field(&["flows"], Cut::Whole(Kind::Flow)),
    field(&["group_lifecycle_update"], Cut::Groups),
    field(
        &["group_participants_update", "group_participant_update"],
        Cut::Groups,
    ),
    field(&["group_settings_update"], Cut::Groups),
    field(&["group_status_update"], Cut::Groups),
    field(&["history"], Cut::History),
    field(&["message_echoes"], ECHOES),
    field(
        &["message_template_components_update"],
        Cut::Whole(Kind::TemplateComponents),
    ),
    field(
        &["message_template_quality_update"],
        Cut::Whole(Kind::TemplateQuality),
    ),
    field(
        &["message_template_status_update"],
        Cut::Whole(Kind::TemplateStatus),
    ),
    field(&["messaging_handovers"], Cut::Whole(Kind::Handover)),
    field(&["partner_solutions"], Cut::Whole(Kind::PartnerSolution)),
    field(
        &["payment_configuration_update"],
        Cut::Whole(Kind::PaymentConfiguration),
    ),
    field(
        &["phone_number_name_update"],
        Cut::Whole(Kind::PhoneNumberName),
    ),
    field(
        &["phone_number_quality_update"],
        Cut::Whole(Kind::PhoneNumberQuality),
    ),
    field(&["security"], Cut::Whole(Kind::Security)),
    field(
        &["smb_app_state_sync"],
        Cut::Lists(&[(b"state_sync", Kind::AppState)]),
    ),
    field(&["smb_message_echoes"], ECHOES),
    field(&["standby"], Cut::Standby),
    field(
        &["template_category_update"],
        Cut::Whole(Kind::TemplateCategory),
    ),
    field(
        &["template_correct_category_detection"],
        Cut::Whole(Kind::TemplateCategoryDetection),
    ),
    field(
        &["tracking_events"],
        Cut::Lists(&[(b"events", Kind::TrackingEvent)]),
    ),
    field(
        &["user_id_update"],
        Cut::Lists(&[(b"user_id_update", Kind::UserIdUpdate)]),
    ),
    field(
        &["user_preferences"],
        Cut::Lists(&[(b"user_preferences", Kind::UserPreference)]),
    ),
    field(
        &["campaign_status_update"],
        Cut::Whole(Kind::CampaignStatus),
    ),
];

const fn field(names: &'static [&'static str], cut: Cut) -> Field {
    Field { names, cut }
}

/// The name that a field has in event keys: one for all fields that tell the same events.
pub(super) fn key_name(name: &str) -> &str {
    let field = FIELDS
        .iter()
        .find(|field| field.names.contains(&name))
        .and_then(|field| field.names.first());
    match field.copied() {
        // An echo is told under both fields where an app has subscribed to both.
        Some("message_echoes") => "smb_message_echoes",
        Some(first) => first,
        None => name,
    }
}

/// The cut of a field, if it is known.
pub(super) fn cut(name: &[u8]) -> Option<Cut> {
    FIELDS
        .iter()
        .find(|field| field.names.iter().any(|other| other.as_bytes() == name))
        .map(|field| field.cut)
}
