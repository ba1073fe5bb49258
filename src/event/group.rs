use super::{
    contact::Contact,
    error::Error,
    schema::{Id, Lazy, List, Person, Text, Timestamp, names, object},
};

object! {
    /// Something about a group: an element of `groups`, in the fields `group_lifecycle_update`, `group_participants_update`,
    /// `group_settings_update` and `group_status_update`.
    ///
    /// Participants that were added, removed or could not be are events of their own: see [`GroupParticipant`]. If
    /// nothing else is said of the group than what these events carry, the group itself is no event.
    pub struct Group<'a> {
        /// The group. Absent when it could not be made.
        pub group_id: Option<&'a str> = Id["group_id"],
        /// What happened.
        pub event: Option<GroupEvent<'a>> = GroupEvent<'a>["type"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// The request that this answers.
        pub request_id: Option<&'a str> = Id["request_id"],
        /// Its subject.
        pub subject: Option<&'a str> = Text["subject"],
        /// Its description.
        pub description: Option<&'a str> = Text["description"],
        /// The link that invites.
        pub invite_link: Option<&'a str> = Text["invite_link"],
        /// Whether who has the link needs approval.
        pub join_approval_mode: Option<&'a str> = Id["join_approval_mode"],
        /// Why somebody was added: `invite_link`.
        pub reason: Option<&'a str> = Id["reason"],
        /// Who removed somebody: `business` or `participant`.
        pub initiated_by: Option<&'a str> = Id["initiated_by"],
        /// The request to join.
        pub join_request_id: Option<&'a str> = Id["join_request_id"],
        /// Who asks to join.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// Who asks to join.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// Who asks to join.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// Who asks to join.
        pub username: Option<&'a str> = Person["username"],
        /// What became of a new picture.
        pub profile_picture: Option<GroupSetting<'a>> = GroupSetting<'a>["profile_picture"],
        /// What became of a new subject.
        pub group_subject: Option<GroupSetting<'a>> = GroupSetting<'a>["group_subject"],
        /// What became of a new description.
        pub group_description: Option<GroupSetting<'a>> = GroupSetting<'a>["group_description"],
        /// Why it failed.
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
    }
    elsewhere ["added_participants" | "removed_participants" | "failed_participants"]
}

names! {
    /// What happened to a group. Meta writes two of them in two ways.
    pub enum GroupEvent<'a> {
        /// It was made.
        Create = "group_create",
        /// It was deleted.
        Delete = "group_delete",
        /// Somebody was added.
        ParticipantsAdd = "group_participants_add" | "group_add_participants",
        /// Somebody was removed.
        ParticipantsRemove = "group_participants_remove" | "group_remove_participants",
        /// Somebody asks to join.
        JoinRequestCreated = "group_join_request_created",
        /// And does not any more.
        JoinRequestRevoked = "group_join_request_revoked",
        /// Its picture, subject or description was changed.
        SettingsUpdate = "group_settings_update",
        /// It was suspended.
        Suspend = "group_suspend",
        /// It no longer is.
        SuspendCleared = "group_suspend_cleared",
    }
}

object! {
    /// What became of a new setting.
    pub struct GroupSetting<'a> {
        /// The text.
        pub text: Option<&'a str> = Text["text"],
        /// The type of the picture.
        pub mime_type: Option<&'a str> = Id["mime_type"],
        /// The hash of the picture.
        pub sha256: Option<&'a str> = Id["sha256"],
        /// Whether it was set.
        pub update_successful: Option<bool> = bool["update_successful"],
        /// Why not.
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
    }
}

object! {
    /// Somebody who was added to a group, removed from it, or could not be.
    pub struct GroupParticipant<'a> {
        /// What the business had written in its request.
        pub input: Option<&'a str> = Person["input"],
        /// The WhatsApp id.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// The business-scoped user id.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// The same for a parent portfolio.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// The user name.
        pub username: Option<&'a str> = Person["username"],
        /// Why it failed.
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// What became of them.
        pub outcome: Option<ParticipantOutcome>,
        /// The group.
        pub group_id: Option<&'a str>,
        /// What happened to the group.
        pub event: Option<GroupEvent<'a>> as "type",
        /// When.
        pub timestamp: Option<Timestamp>,
        /// The request that this answers.
        pub request_id: Option<&'a str>,
        /// Why they were added: `invite_link`.
        pub reason: Option<&'a str>,
        /// Who removed them: `business` or `participant`.
        pub initiated_by: Option<&'a str>,
        /// What else is said of the person.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

/// What became of a [`GroupParticipant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParticipantOutcome {
    /// Added.
    Added,
    /// Removed.
    Removed,
    /// Neither: the errors tell why.
    Failed,
}

impl ParticipantOutcome {
    /// The outcome in snake case: `added`, `removed` or `failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Failed => "failed",
        }
    }

    /// The list that somebody stands in says it.
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
