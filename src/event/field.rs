//! The fields that an app can subscribe to, and how the value of each is cut into elements.

use super::payload::Kind;

/// A field.
pub(super) struct Field {
    /// Its name, and other spellings that were seen.
    pub(super) names: &'static [&'static str],
    pub(super) layout: Layout,
}

/// How a value is cut.
#[derive(Clone, Copy)]
pub(super) enum Layout {
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

impl Layout {
    /// Whether the key has a meaning in the value.
    pub(super) fn knows_key(self, key: &[u8]) -> bool {
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
pub(super) const DEFAULT_LAYOUT: Layout = MESSAGES;

const MESSAGES: Layout = Layout::Lists(&[
    (b"messages", Kind::Message),
    (b"statuses", Kind::Status),
    (b"errors", Kind::Error),
    (b"user_actions", Kind::UserAction),
]);

const ECHOES: Layout = Layout::Lists(&[(b"message_echoes", Kind::Echo), (b"errors", Kind::Error)]);

/// All of them, in the order of Meta's list of May 2026, then those that came later or were met elsewhere.
pub(super) const FIELDS: &[Field] = &[
    field(&["messages"], MESSAGES),
    field(&["account_alerts"], Layout::Whole(Kind::AccountAlert)),
    field(
        &["account_review_update"],
        Layout::Whole(Kind::AccountReview),
    ),
    field(
        &["account_settings_update"],
        Layout::Whole(Kind::AccountSettings),
    ),
    field(&["account_update"], Layout::Whole(Kind::AccountUpdate)),
    field(
        &["automatic_events"],
        Layout::Lists(&[(b"automatic_events", Kind::AutomaticEvent)]),
    ),
    field(
        &["business_capability_update"],
        Layout::Whole(Kind::BusinessCapability),
    ),
    field(
        &["business_status_update"],
        Layout::Whole(Kind::BusinessStatus),
    ),
    field(
        &[
            "business_username_updates",
            "business_username_update",
            "phone_number_username_update",
        ],
        Layout::Whole(Kind::BusinessUsername),
    ),
    field(
        &["calls"],
        Layout::Lists(&[
            (b"calls", Kind::Call),
            (b"statuses", Kind::CallStatus),
            (b"errors", Kind::Error),
        ]),
    ),
    field(&["flows"], Layout::Whole(Kind::Flow)),
    field(&["group_lifecycle_update"], Layout::Groups),
    field(
        &["group_participants_update", "group_participant_update"],
        Layout::Groups,
    ),
    field(&["group_settings_update"], Layout::Groups),
    field(&["group_status_update"], Layout::Groups),
    field(&["history"], Layout::History),
    field(&["message_echoes"], ECHOES),
    field(
        &["message_template_components_update"],
        Layout::Whole(Kind::TemplateComponents),
    ),
    field(
        &["message_template_quality_update"],
        Layout::Whole(Kind::TemplateQuality),
    ),
    field(
        &["message_template_status_update"],
        Layout::Whole(Kind::TemplateStatus),
    ),
    field(&["messaging_handovers"], Layout::Whole(Kind::Handover)),
    field(&["partner_solutions"], Layout::Whole(Kind::PartnerSolution)),
    field(
        &["payment_configuration_update"],
        Layout::Whole(Kind::PaymentConfiguration),
    ),
    field(
        &["phone_number_name_update"],
        Layout::Whole(Kind::PhoneNumberName),
    ),
    field(
        &["phone_number_quality_update"],
        Layout::Whole(Kind::PhoneNumberQuality),
    ),
    field(&["security"], Layout::Whole(Kind::Security)),
    field(
        &["smb_app_state_sync"],
        Layout::Lists(&[(b"state_sync", Kind::AppState)]),
    ),
    field(&["smb_message_echoes"], ECHOES),
    field(&["standby"], Layout::Standby),
    field(
        &["template_category_update"],
        Layout::Whole(Kind::TemplateCategory),
    ),
    field(
        &["template_correct_category_detection"],
        Layout::Whole(Kind::TemplateCategoryDetection),
    ),
    field(
        &["tracking_events"],
        Layout::Lists(&[(b"events", Kind::TrackingEvent)]),
    ),
    field(
        &["user_id_update"],
        Layout::Lists(&[(b"user_id_update", Kind::UserIdUpdate)]),
    ),
    field(
        &["user_preferences"],
        Layout::Lists(&[(b"user_preferences", Kind::UserPreference)]),
    ),
    field(
        &["campaign_status_update"],
        Layout::Whole(Kind::CampaignStatus),
    ),
];

const fn field(names: &'static [&'static str], layout: Layout) -> Field {
    Field { names, layout }
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
pub(super) fn layout(name: &[u8]) -> Option<Layout> {
    FIELDS
        .iter()
        .find(|field| field.names.iter().any(|other| other.as_bytes() == name))
        .map(|field| field.layout)
}
