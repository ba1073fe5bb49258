//! Groups.
//!
//! Source: Meta's page `groups/webhooks`.

use super::{
    contact::Contact,
    error::Error,
    schema::{Id, Lazy, List, PersonalId, Timestamp, UserText, object, string_enum},
};

object! {
    /// An event of a group: an element of `groups[]` in the fields `group_lifecycle_update`,
    /// `group_participants_update`, `group_settings_update` and `group_status_update`.
    ///
    /// Participants that were added or removed, and failed attempts to do so, are separate events:
    /// see [`GroupParticipant`]. A group is not an event itself if these events contain all of its
    /// members.
    pub struct Group<'a> {
        /// Id of the group (`group_id`). Absent if it could not be created.
        pub group_id: Option<&'a str> = PersonalId["group_id"],
        /// Type of the event (`type`).
        pub event: Option<GroupEvent<'a>> = GroupEvent<'a>["type"],
        /// Unix time of the event, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Id of the API request that the event results from (`request_id`).
        pub request_id: Option<&'a str> = Id["request_id"],
        /// Subject (`subject`).
        pub subject: Option<&'a str> = UserText["subject"],
        /// Description (`description`).
        pub description: Option<&'a str> = UserText["description"],
        /// Invitation link (`invite_link`).
        pub invite_link: Option<&'a str> = UserText["invite_link"],
        /// Whether users with the invitation link need approval to join (`join_approval_mode`).
        pub join_approval_mode: Option<&'a str> = Id["join_approval_mode"],
        /// Reason for the addition of a participant (`reason`): `invite_link`.
        pub reason: Option<&'a str> = Id["reason"],
        /// Initiator of the removal of a participant (`initiated_by`): `business` or `participant`.
        pub initiated_by: Option<&'a str> = Id["initiated_by"],
        /// Id of the request to join (`join_request_id`).
        pub join_request_id: Option<&'a str> = PersonalId["join_request_id"],
        /// WhatsApp id of the user that requests to join (`wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Business-scoped user id of the user that requests to join (`user_id`).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio of the user that requests to join (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// User name of the user that requests to join (`username`).
        pub username: Option<&'a str> = PersonalId["username"],
        /// Result of a change of the picture (`profile_picture`).
        pub profile_picture: Option<GroupSetting<'a>> = GroupSetting<'a>["profile_picture"],
        /// Result of a change of the subject (`group_subject`).
        pub group_subject: Option<GroupSetting<'a>> = GroupSetting<'a>["group_subject"],
        /// Result of a change of the description (`group_description`).
        pub group_description: Option<GroupSetting<'a>> = GroupSetting<'a>["group_description"],
        /// Reasons of a failure (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
    }
    elsewhere ["added_participants" | "removed_participants" | "failed_participants"]
}

string_enum! {
    /// The type of a [`Group`] event: `type`. Meta spells two of them in two ways.
    pub enum GroupEvent<'a> {
        /// Group created.
        Create = "group_create",
        /// Group deleted.
        Delete = "group_delete",
        /// Participants added.
        ParticipantsAdd = "group_participants_add" | "group_add_participants",
        /// Participants removed.
        ParticipantsRemove = "group_participants_remove" | "group_remove_participants",
        /// Request to join.
        JoinRequestCreated = "group_join_request_created",
        /// Request to join withdrawn.
        JoinRequestRevoked = "group_join_request_revoked",
        /// Change of the picture, subject or description.
        SettingsUpdate = "group_settings_update",
        /// Group suspended.
        Suspend = "group_suspend",
        /// Suspension of the group lifted.
        SuspendCleared = "group_suspend_cleared",
    }
}

object! {
    /// The result of a change of a setting.
    pub struct GroupSetting<'a> {
        /// New text (`text`).
        pub text: Option<&'a str> = UserText["text"],
        /// MIME type of the picture (`mime_type`).
        pub mime_type: Option<&'a str> = Id["mime_type"],
        /// SHA-256 of the picture (`sha256`).
        pub sha256: Option<&'a str> = Id["sha256"],
        /// Whether the change succeeded (`update_successful`).
        pub update_successful: Option<bool> = bool["update_successful"],
        /// Reasons of a failure (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
    }
}

object! {
    /// A participant that was added to a group or removed from it, or a failed attempt to do so: an
    /// element of `added_participants[]`, `removed_participants[]` or `failed_participants[]`.
    pub struct GroupParticipant<'a> {
        /// Identifier that the business used in its request (`input`).
        pub input: Option<&'a str> = PersonalId["input"],
        /// WhatsApp id (`wa_id`).
        pub wa_id: Option<&'a str> = PersonalId["wa_id"],
        /// Business-scoped user id (`user_id`).
        pub user_id: Option<&'a str> = PersonalId["user_id"],
        /// User id for a parent portfolio (`parent_user_id`).
        pub parent_user_id: Option<&'a str> = PersonalId["parent_user_id"],
        /// User name (`username`).
        pub username: Option<&'a str> = PersonalId["username"],
        /// Reasons of a failure (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// Outcome, by the list that contains the participant.
        pub outcome: Option<ParticipantOutcome>,
        /// Id of the group (`group_id` of the group).
        pub group_id: Option<&'a str>,
        /// Type of the event of the group (`type` of the group).
        pub event: Option<GroupEvent<'a>> as "type",
        /// Unix time of the event, seconds (`timestamp` of the group).
        pub timestamp: Option<Timestamp>,
        /// Id of the API request that the event results from (`request_id` of the group).
        pub request_id: Option<&'a str>,
        /// Reason for the addition (`reason` of the group): `invite_link`.
        pub reason: Option<&'a str>,
        /// Initiator of the removal (`initiated_by` of the group): `business` or `participant`.
        pub initiated_by: Option<&'a str>,
        /// Contact of the participant (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

/// The outcome of adding or removing a [`GroupParticipant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParticipantOutcome {
    /// Added.
    Added,
    /// Removed.
    Removed,
    /// Neither added nor removed. [`GroupParticipant::errors`] has the reason.
    Failed,
}

impl ParticipantOutcome {
    /// Returns the outcome in snake case: `added`, `removed` or `failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Failed => "failed",
        }
    }

    /// Returns the outcome of the participants in a list with this key.
    pub(super) fn of_list(list: Option<&str>) -> Option<Self> {
        match list? {
            "added_participants" => Some(Self::Added),
            "removed_participants" => Some(Self::Removed),
            "failed_participants" => Some(Self::Failed),
            _ => None,
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ParticipantOutcome {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
