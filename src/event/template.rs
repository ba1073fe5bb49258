//! Message templates.
//!
//! Sources: Meta's pages `webhooks/reference/message_template_status_update`, the pages of the
//! other template fields beside it, and `direct-send/integrity-and-content-guidelines`.

use super::schema::{Id, List, PersonalId, Timestamp, UserText, object, string_enum};

object! {
    /// A change of the text or buttons of a template: field `message_template_components_update`.
    pub struct TemplateComponents<'a> {
        /// Id of the template (`message_template_id`). May exceed 2^53, where JavaScript loses
        /// digits.
        #[doc(alias = "message_template_id")]
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Name of the template (`message_template_name`).
        #[doc(alias = "message_template_name")]
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Language of the template (`message_template_language`). Both `en_US` and `en-US` occur.
        #[doc(alias = "message_template_language")]
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Body text (`message_template_element`).
        #[doc(alias = "message_template_element")]
        pub element: Option<&'a str> = UserText["message_template_element"],
        /// Header (`message_template_title`).
        #[doc(alias = "message_template_title")]
        pub title: Option<&'a str> = UserText["message_template_title"],
        /// Footer (`message_template_footer`).
        #[doc(alias = "message_template_footer")]
        pub footer: Option<&'a str> = UserText["message_template_footer"],
        /// Buttons (`message_template_buttons[]`).
        #[doc(alias = "message_template_buttons")]
        pub buttons: List<'a, TemplateButton<'a>> = List<'a, TemplateButton<'a>>["message_template_buttons"],
    }
}

object! {
    /// A button of a template: an element of `message_template_buttons[]`.
    pub struct TemplateButton<'a> {
        /// Type of the button (`message_template_button_type`): `URL`, `QUICK_REPLY`,
        /// `PHONE_NUMBER`, ….
        #[doc(alias = "message_template_button_type")]
        pub kind: Option<&'a str> = Id["message_template_button_type"],
        /// Label of the button (`message_template_button_text`).
        #[doc(alias = "message_template_button_text")]
        pub text: Option<&'a str> = UserText["message_template_button_text"],
        /// URL that the button opens (`message_template_button_url`).
        #[doc(alias = "message_template_button_url")]
        pub url: Option<&'a str> = UserText["message_template_button_url"],
        /// Phone number that the button calls (`message_template_button_phone_number`).
        #[doc(alias = "message_template_button_phone_number")]
        pub phone_number: Option<&'a str> = PersonalId["message_template_button_phone_number"],
    }
}

object! {
    /// A change of the quality of a template: field `message_template_quality_update`.
    pub struct TemplateQuality<'a> {
        /// Id of the template (`message_template_id`).
        #[doc(alias = "message_template_id")]
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Name of the template (`message_template_name`).
        #[doc(alias = "message_template_name")]
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Language of the template (`message_template_language`). Both `en_US` and `en-US` occur.
        #[doc(alias = "message_template_language")]
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Quality before the change (`previous_quality_score`).
        pub previous_quality_score: Option<Quality<'a>> = Quality<'a>["previous_quality_score"],
        /// Quality after the change (`new_quality_score`).
        pub new_quality_score: Option<Quality<'a>> = Quality<'a>["new_quality_score"],
    }
}

string_enum! {
    /// The quality of a template.
    pub enum Quality<'a> {
        /// High.
        Green = "GREEN",
        /// Medium.
        Yellow = "YELLOW",
        /// Low.
        Red = "RED",
        /// Not rated yet.
        Unknown = "UNKNOWN",
    }
}

object! {
    /// A change of the status of a template: field `message_template_status_update`.
    pub struct TemplateStatus<'a> {
        /// Id of the template (`message_template_id`).
        #[doc(alias = "message_template_id")]
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Name of the template (`message_template_name`).
        #[doc(alias = "message_template_name")]
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Language of the template (`message_template_language`). Both `en_US` and `en-US` occur.
        #[doc(alias = "message_template_language")]
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Category of the template (`message_template_category`).
        #[doc(alias = "message_template_category")]
        pub category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["message_template_category"],
        /// Type of the event (`event`).
        pub event: Option<TemplateEvent<'a>> = TemplateEvent<'a>["event"],
        /// Reason (`reason`): `NONE`, `INVALID_FORMAT`, …. Absent if deletion is scheduled.
        pub reason: Option<&'a str> = Id["reason"],
        /// Time at which the template was disabled (`disable_info`).
        pub disable_info: Option<DisableInfo<'a>> = DisableInfo<'a>["disable_info"],
        /// Details of a pause or lock (`other_info`).
        pub other_info: Option<OtherInfo<'a>> = OtherInfo<'a>["other_info"],
        /// Details of a rejection (`rejection_info`).
        pub rejection_info: Option<RejectionInfo<'a>> = RejectionInfo<'a>["rejection_info"],
    }
}

string_enum! {
    /// The type of a [`TemplateStatus`] event: `event`.
    pub enum TemplateEvent<'a> {
        /// Approved for use.
        Approved = "APPROVED",
        /// Archived.
        Archived = "ARCHIVED",
        /// Restored from the archive.
        Unarchived = "UNARCHIVED",
        /// Deleted.
        Deleted = "DELETED",
        /// Disabled: must not be used.
        Disabled = "DISABLED",
        /// Low quality: about to be disabled.
        Flagged = "FLAGGED",
        /// Appeal against the rejection under review.
        InAppeal = "IN_APPEAL",
        /// Too many templates.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// Locked: cannot be edited.
        Locked = "LOCKED",
        /// Unlocked: can be edited again.
        Unlocked = "UNLOCKED",
        /// Paused: must not be used for some time.
        Paused = "PAUSED",
        /// Under review.
        Pending = "PENDING",
        /// Deletion in progress.
        PendingDeletion = "PENDING_DELETION",
        /// Reinstated: may be used again.
        Reinstated = "REINSTATED",
        /// Rejected.
        Rejected = "REJECTED",
    }
}

string_enum! {
    /// The category of a template.
    pub enum TemplateCategoryName<'a> {
        /// Authentication.
        Authentication = "AUTHENTICATION",
        /// Marketing.
        Marketing = "MARKETING",
        /// Utility.
        Utility = "UTILITY",
        /// Old name of authentication.
        Otp = "OTP",
        /// Old name of utility.
        Transactional = "TRANSACTIONAL",
    }
}

object! {
    /// The time at which a template was disabled: `disable_info`.
    pub struct DisableInfo<'a> {
        /// Unix time in seconds, or a text (`disable_date`).
        pub disable_date: Option<&'a str> = Id["disable_date"],
    }
}

object! {
    /// Details of a pause or lock: `other_info`.
    pub struct OtherInfo<'a> {
        /// Title (`title`): `FIRST_PAUSE`, `SECOND_PAUSE`, `RATE_LIMITING_PAUSE`, `UNPAUSE` or
        /// `DISABLED`.
        pub title: Option<&'a str> = Id["title"],
        /// Description for people (`description`).
        pub description: Option<&'a str> = UserText["description"],
    }
}

object! {
    /// Details of a rejection: `rejection_info`.
    pub struct RejectionInfo<'a> {
        /// Reason, for people (`reason`).
        pub reason: Option<&'a str> = UserText["reason"],
        /// Steps to take, for people (`recommendation`).
        pub recommendation: Option<&'a str> = UserText["recommendation"],
    }
}

object! {
    /// A change of the category of a template, now or in the future: field
    /// `template_category_update`.
    ///
    /// The category has changed if `previous_category` is present, and will change if
    /// `correct_category` is present.
    pub struct TemplateCategory<'a> {
        /// Id of the template (`message_template_id`).
        #[doc(alias = "message_template_id")]
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Name of the template (`message_template_name`).
        #[doc(alias = "message_template_name")]
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Language of the template (`message_template_language`). Both `en_US` and `en-US` occur.
        #[doc(alias = "message_template_language")]
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Category before the change, if it has happened (`previous_category`).
        pub previous_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["previous_category"],
        /// Category now (`new_category`): the new one if the change has happened, else the current
        /// one.
        pub new_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["new_category"],
        /// Category after a future change (`correct_category`).
        pub correct_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["correct_category"],
        /// Unix time of a future change, seconds (`category_update_timestamp`).
        pub category_update_timestamp: Option<Timestamp> = Timestamp["category_update_timestamp"],
    }
}

object! {
    /// A template whose category does not match its text: field
    /// `template_correct_category_detection` (Direct Send).
    pub struct TemplateCategoryDetection<'a> {
        /// Id of the template (`message_template_id`).
        #[doc(alias = "message_template_id")]
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Name of the template (`message_template_name`).
        #[doc(alias = "message_template_name")]
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Language of the template (`message_template_language`). Both `en_US` and `en-US` occur.
        #[doc(alias = "message_template_language")]
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Current category (`category`).
        pub category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["category"],
        /// Category that matches the text (`correct_category`).
        pub correct_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["correct_category"],
    }
}
