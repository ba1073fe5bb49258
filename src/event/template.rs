use super::schema::{Id, List, Person, Text, Timestamp, names, object};

object! {
    /// The text or buttons of a template changed: field `message_template_components_update`.
    pub struct TemplateComponents<'a> {
        /// The template. Over 2^53, where JavaScript loses digits.
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Its name.
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Its language: `en_US` and `en-US` are both written.
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Its text.
        pub element: Option<&'a str> = Text["message_template_element"],
        /// Its header.
        pub title: Option<&'a str> = Text["message_template_title"],
        /// Its footer.
        pub footer: Option<&'a str> = Text["message_template_footer"],
        /// Its buttons.
        pub buttons: List<'a, TemplateButton<'a>> = List<'a, TemplateButton<'a>>["message_template_buttons"],
    }
}

object! {
    /// A button of a template.
    pub struct TemplateButton<'a> {
        /// `URL`, `QUICK_REPLY`, `PHONE_NUMBER`, ….
        pub kind: Option<&'a str> = Id["message_template_button_type"],
        /// What stands on it.
        pub text: Option<&'a str> = Text["message_template_button_text"],
        /// Where it leads.
        pub url: Option<&'a str> = Text["message_template_button_url"],
        /// Whom it calls.
        pub phone_number: Option<&'a str> = Person["message_template_button_phone_number"],
    }
}

object! {
    /// The quality of a template changed: field `message_template_quality_update`.
    pub struct TemplateQuality<'a> {
        /// The template.
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Its name.
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Its language.
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Before.
        pub previous_quality_score: Option<Quality<'a>> = Quality<'a>["previous_quality_score"],
        /// Now.
        pub new_quality_score: Option<Quality<'a>> = Quality<'a>["new_quality_score"],
    }
}

names! {
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
    /// The state of a template changed: field `message_template_status_update`.
    pub struct TemplateStatus<'a> {
        /// The template.
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Its name.
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Its language.
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Its category.
        pub category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["message_template_category"],
        /// What happened.
        pub event: Option<TemplateEvent<'a>> = TemplateEvent<'a>["event"],
        /// Why: `NONE`, `INVALID_FORMAT`, …. Absent when deletion is scheduled.
        pub reason: Option<&'a str> = Id["reason"],
        /// When it was disabled.
        pub disable_info: Option<DisableInfo<'a>> = DisableInfo<'a>["disable_info"],
        /// More about a pause or lock.
        pub other_info: Option<OtherInfo<'a>> = OtherInfo<'a>["other_info"],
        /// More about a rejection.
        pub rejection_info: Option<RejectionInfo<'a>> = RejectionInfo<'a>["rejection_info"],
    }
}

names! {
    /// What happened to a template.
    pub enum TemplateEvent<'a> {
        /// It may be used.
        Approved = "APPROVED",
        /// It was put away.
        Archived = "ARCHIVED",
        /// It was taken out again.
        Unarchived = "UNARCHIVED",
        /// It was deleted.
        Deleted = "DELETED",
        /// It must not be used.
        Disabled = "DISABLED",
        /// Its quality is low: it is to be disabled.
        Flagged = "FLAGGED",
        /// Its rejection is being looked at again.
        InAppeal = "IN_APPEAL",
        /// There are too many.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// It cannot be edited.
        Locked = "LOCKED",
        /// It can be edited again.
        Unlocked = "UNLOCKED",
        /// It must not be used for a while.
        Paused = "PAUSED",
        /// It is being reviewed.
        Pending = "PENDING",
        /// It is being deleted.
        PendingDeletion = "PENDING_DELETION",
        /// It may be used again.
        Reinstated = "REINSTATED",
        /// It was rejected.
        Rejected = "REJECTED",
    }
}

names! {
    /// The category of a template.
    pub enum TemplateCategoryName<'a> {
        /// Authentication.
        Authentication = "AUTHENTICATION",
        /// Marketing.
        Marketing = "MARKETING",
        /// Utility.
        Utility = "UTILITY",
        /// An old name of authentication.
        Otp = "OTP",
        /// An old name of utility.
        Transactional = "TRANSACTIONAL",
    }
}

object! {
    /// When a template was disabled.
    pub struct DisableInfo<'a> {
        /// Seconds since 1970, or a text.
        pub disable_date: Option<&'a str> = Id["disable_date"],
    }
}

object! {
    /// More about a pause or lock.
    pub struct OtherInfo<'a> {
        /// `FIRST_PAUSE`, `SECOND_PAUSE`, `RATE_LIMITING_PAUSE`, `UNPAUSE` or `DISABLED`.
        pub title: Option<&'a str> = Id["title"],
        /// A sentence.
        pub description: Option<&'a str> = Text["description"],
    }
}

object! {
    /// More about a rejection.
    pub struct RejectionInfo<'a> {
        /// Why.
        pub reason: Option<&'a str> = Text["reason"],
        /// What to do.
        pub recommendation: Option<&'a str> = Text["recommendation"],
    }
}

object! {
    /// The category of a template changed or is about to: field `template_category_update`.
    ///
    /// It changed if there is a previous category; it is about to if there is a correct one.
    pub struct TemplateCategory<'a> {
        /// The template.
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Its name.
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Its language.
        pub language: Option<&'a str> = Id["message_template_language"],
        /// Before, if it changed.
        pub previous_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["previous_category"],
        /// Now: the new one if it changed, the current one if it is about to.
        pub new_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["new_category"],
        /// What it is about to become.
        pub correct_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["correct_category"],
        /// When.
        pub category_update_timestamp: Option<Timestamp> = Timestamp["category_update_timestamp"],
    }
}

object! {
    /// The category of a template is not what its text is: field `template_correct_category_detection` (Direct Send).
    pub struct TemplateCategoryDetection<'a> {
        /// The template.
        pub id: Option<&'a str> = Id["message_template_id"],
        /// Its name.
        pub name: Option<&'a str> = Id["message_template_name"],
        /// Its language.
        pub language: Option<&'a str> = Id["message_template_language"],
        /// What it is.
        pub category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["category"],
        /// What it should be.
        pub correct_category: Option<TemplateCategoryName<'a>> = TemplateCategoryName<'a>["correct_category"],
    }
}
