//! The fields that an app can subscribe to, and how the value of each is split into elements.

use super::payload::Kind;

/// A webhook field.
pub(super) struct Field {
    /// Name of the field, and other spellings that were seen.
    pub(super) names: &'static [&'static str],
    /// Layout of the value.
    pub(super) layout: Layout,
}

/// The layout of a value: where its elements are.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// The whole value is one element.
    Whole(Kind),
    /// The value has these lists of elements.
    Lists(&'static [(&'static [u8], Kind)]),
    /// The value has `groups`, which have lists of participants.
    Groups,
    /// The value has `history`: chunks, which have threads, which have messages. It may also have
    /// lists of messages.
    History,
    /// The value has `standby`, an object with lists of elements.
    Standby,
}

impl Layout {
    /// Whether the key is known in the value.
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

/// The layout of a value without a field: only `messages` has been seen without its name.
pub(super) const DEFAULT_LAYOUT: Layout = MESSAGES;

const MESSAGES: Layout = Layout::Lists(&[
    (b"messages", Kind::Message),
    (b"statuses", Kind::Status),
    (b"errors", Kind::Error),
    (b"user_actions", Kind::UserAction),
]);

const ECHOES: Layout = Layout::Lists(&[(b"message_echoes", Kind::Echo), (b"errors", Kind::Error)]);

/// All known fields, in the order of Meta's list of May 2026. Later and undocumented ones follow.
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

/// Returns the name of a field in event keys. Fields that report the same events share a name.
pub(super) fn key_name(name: &str) -> &str {
    let field = FIELDS
        .iter()
        .find(|field| field.names.contains(&name))
        .and_then(|field| field.names.first());
    match field.copied() {
        // An app that subscribes to both fields receives an echo under both.
        Some("message_echoes") => "smb_message_echoes",
        Some(first) => first,
        None => name,
    }
}

/// Returns the layout of a field, or `None` if the field is unknown.
pub(super) fn layout(name: &[u8]) -> Option<Layout> {
    FIELDS
        .iter()
        .find(|field| field.names.iter().any(|other| other.as_bytes() == name))
        .map(|field| field.layout)
}
