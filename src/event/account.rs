use super::schema::{Id, Json, List, Name, Person, Text, Timestamp, names, object};

object! {
    /// An alert about limits, the business profile or the Official Business Account: field `account_alerts`.
    pub struct AccountAlert<'a> {
        /// What it is about: `BUSINESS`, `PHONE_NUMBER`, `WABA`, ….
        pub entity_type: Option<&'a str> = Id["entity_type"],
        /// The id of that.
        pub entity_id: Option<&'a str> = Id["entity_id"],
        info: Option<AlertInfo<'a>> = AlertInfo<'a>["alert_info"],
        severity: Option<&'a str> = Id["alert_severity"],
        status: Option<&'a str> = Id["alert_status"],
        kind: Option<&'a str> = Id["alert_type"],
        description: Option<&'a str> = Text["alert_description"],
    }
}

impl<'a> AccountAlert<'a> {
    /// What the alert says. Meta nests it in `alert_info`; where it stands beside that, it is found too.
    #[must_use]
    pub fn info(&self) -> AlertInfo<'a> {
        let info = self.info.unwrap_or_default();
        AlertInfo {
            severity: info.severity.or(self.severity),
            status: info.status.or(self.status),
            kind: info.kind.or(self.kind),
            description: info.description.or(self.description),
        }
    }
}

object! {
    /// What an [`AccountAlert`] says.
    pub struct AlertInfo<'a> {
        /// `CRITICAL`, `WARNING`, `INFORMATIONAL`.
        pub severity: Option<&'a str> = Id["alert_severity"],
        /// `ACTIVE`, `NONE`, `RESOLVED`.
        pub status: Option<&'a str> = Id["alert_status"],
        /// For example `OBA_APPROVED`.
        pub kind: Option<&'a str> = Id["alert_type"],
        /// A sentence, in which placeholders may not be filled.
        pub description: Option<&'a str> = Text["alert_description"],
    }
}

object! {
    /// The result of an account review: field `account_review_update`.
    pub struct AccountReview<'a> {
        /// The result.
        pub decision: Option<Decision<'a>> = Decision<'a>["decision"],
    }
}

names! {
    /// The result of a review, of an account or a name.
    pub enum Decision<'a> {
        /// Approved.
        Approved = "APPROVED",
        /// Rejected.
        Rejected = "REJECTED",
        /// Not decided yet.
        Pending = "PENDING",
        /// Put off.
        Deferred = "DEFERRED",
    }
}

object! {
    /// A change of a phone number's settings: field `account_settings_update`.
    pub struct AccountSettings<'a> {
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// `phone_number_settings`, in either case.
        pub kind: Option<&'a str> = Id["type"],
        /// The settings.
        pub phone_number_settings: Option<PhoneNumberSettings<'a>> = PhoneNumberSettings<'a>["phone_number_settings"],
    }
}

object! {
    /// The settings of a phone number.
    pub struct PhoneNumberSettings<'a> {
        /// The phone number.
        pub phone_number_id: Option<&'a str> = Id["phone_number_id"],
        /// Its calling settings, as JSON: they grow.
        pub calling: Option<&'a str> = Json["calling"],
    }
}

object! {
    /// A change of an account: field `account_update`. What it says beside the event is under the key that belongs to the event.
    pub struct AccountUpdate<'a> {
        /// What happened.
        pub event: Option<AccountEvent<'a>> = AccountEvent<'a>["event"],
        /// The phone number concerned.
        pub phone_number: Option<&'a str> = Person["phone_number"],
        /// ISO 3166-1, with [`AccountEvent::BusinessPrimaryLocationCountryUpdate`].
        pub country: Option<&'a str> = Id["country"],
        /// The account, with events of partners, ads and marketing messages.
        pub waba_info: Option<WabaInfo<'a>> = WabaInfo<'a>["waba_info"],
        /// What was violated.
        pub violation_info: Option<ViolationInfo<'a>> = ViolationInfo<'a>["violation_info"],
        /// Restrictions of the account (`restriction_info`). Empty where it is left out, which may mean that a restriction
        /// was lifted.
        pub restriction_info: List<'a, RestrictionInfo<'a>> = List<'a, RestrictionInfo<'a>>["restriction_info"],
        /// The ban, with [`AccountEvent::DisabledUpdate`].
        pub ban_info: Option<BanInfo<'a>> = BanInfo<'a>["ban_info"],
        /// From when the international rate holds.
        pub auth_international_rate_eligibility: Option<RateEligibility<'a>> = RateEligibility<'a>["auth_international_rate_eligibility"],
        /// The new tier.
        pub volume_tier_info: Option<VolumeTierInfo<'a>> = VolumeTierInfo<'a>["volume_tier_info"],
        /// Why a partner was removed (coexistence).
        pub disconnection_info: Option<DisconnectionInfo<'a>> = DisconnectionInfo<'a>["disconnection_info"],
        /// How the certification of a client stands.
        pub partner_client_certification_info: Option<CertificationInfo<'a>> = CertificationInfo<'a>["partner_client_certification_info"],
        /// The client that needs a certification.
        pub partner_client_certification_needed_info: Option<CertificationInfo<'a>> = CertificationInfo<'a>["partner_client_certification_needed_info"],
    }
}

names! {
    /// What happened to an account.
    pub enum AccountEvent<'a> {
        /// It was deleted.
        AccountDeleted = "ACCOUNT_DELETED",
        /// A policy was violated.
        AccountViolation = "ACCOUNT_VIOLATION",
        /// It was restricted, or a restriction was lifted.
        AccountRestriction = "ACCOUNT_RESTRICTION",
        /// A coexistence account left the platform.
        AccountOffboarded = "ACCOUNT_OFFBOARDED",
        /// And came back.
        AccountReconnected = "ACCOUNT_RECONNECTED",
        /// It was disabled, is to be, or was reinstated.
        DisabledUpdate = "DISABLED_UPDATE",
        /// An ad account was linked.
        AdAccountLinked = "AD_ACCOUNT_LINKED",
        /// The eligibility for the international rate changed.
        AuthIntlPriceEligibilityUpdate = "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
        /// The country changed.
        BusinessPrimaryLocationCountryUpdate = "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        /// The terms of marketing messages were signed.
        MmLiteTermsSigned = "MM_LITE_TERMS_SIGNED",
        /// Shared with a partner.
        PartnerAdded = "PARTNER_ADDED",
        /// No longer shared with a partner.
        PartnerRemoved = "PARTNER_REMOVED",
        /// A partner's app was installed.
        PartnerAppInstalled = "PARTNER_APP_INSTALLED",
        /// A partner's app was removed.
        PartnerAppUninstalled = "PARTNER_APP_UNINSTALLED",
        /// The certification of a client changed.
        PartnerClientCertificationStatusUpdate = "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
        /// A client needs a certification.
        PartnerClientCertificationNeeded = "PARTNER_CLIENT_CERTIFICATION_NEEDED",
        /// The pricing tier changed.
        VolumeBasedPricingTierUpdate = "VOLUME_BASED_PRICING_TIER_UPDATE",
        /// The sandbox account was upgraded.
        VerifiedAccount = "VERIFIED_ACCOUNT",
        /// A phone number was added. Not documented any more.
        PhoneNumberAdded = "PHONE_NUMBER_ADDED",
        /// A phone number was removed. Not documented any more.
        PhoneNumberRemoved = "PHONE_NUMBER_REMOVED",
        /// Disabled. Not documented any more.
        Disabled = "DISABLED",
        /// Disconnected. Not documented any more.
        Disconnected = "DISCONNECTED",
        /// Suspended. Not documented any more.
        Suspended = "SUSPENDED",
        /// Reinstated. Not documented any more.
        Reinstated = "REINSTATED",
    }
}

object! {
    /// An account, in an [`AccountUpdate`].
    pub struct WabaInfo<'a> {
        /// The account. The entry id is then that of the partner.
        pub waba_id: Option<&'a str> = Id["waba_id"],
        /// Whose it is.
        pub owner_business_id: Option<&'a str> = Id["owner_business_id"],
        /// The partner's app.
        pub partner_app_id: Option<&'a str> = Id["partner_app_id"],
        /// The solution.
        pub solution_id: Option<&'a str> = Id["solution_id"],
        /// The partners of the solution.
        pub solution_partner_business_ids: List<'a, Name<'a>> = List<'a, Name<'a>>["solution_partner_business_ids"],
        /// The ad account.
        pub ad_account_id: Option<&'a str> = Id["ad_account_id"],
        /// Id of the ad account under its older key (`ad_account_linked`).
        pub ad_account_linked: Option<&'a str> = Id["ad_account_linked"],
    }
}

object! {
    /// What was violated.
    pub struct ViolationInfo<'a> {
        /// For example `SCAM`.
        pub violation_type: Option<&'a str> = Id["violation_type"],
        /// What to do.
        pub remediation: Option<&'a str> = Text["remediation"],
    }
}

object! {
    /// What is restricted.
    pub struct RestrictionInfo<'a> {
        /// For example `RESTRICTED_BIZ_INITIATED_MESSAGING`.
        pub restriction_type: Option<&'a str> = Id["restriction_type"],
        /// Until when.
        pub expiration: Option<Timestamp> = Timestamp["expiration"],
        /// What to do.
        pub remediation: Option<&'a str> = Text["remediation"],
    }
}

object! {
    /// A ban.
    pub struct BanInfo<'a> {
        /// `DISABLE`, `REINSTATE` or `SCHEDULE_FOR_DISABLE`.
        pub waba_ban_state: Option<&'a str> = Id["waba_ban_state"],
        /// A date for people, such as `April 17, 2025`.
        pub waba_ban_date: Option<&'a str> = Id["waba_ban_date"],
    }
}

object! {
    /// From when the international authentication rate holds.
    pub struct RateEligibility<'a> {
        /// In general.
        pub start_time: Option<Timestamp> = Timestamp["start_time"],
        /// In countries of their own.
        pub exception_countries: List<'a, ExceptionCountry<'a>> = List<'a, ExceptionCountry<'a>>["exception_countries"],
    }
}

object! {
    /// A country with a time of its own.
    pub struct ExceptionCountry<'a> {
        /// ISO 3166-1.
        pub country_code: Option<&'a str> = Id["country_code"],
        /// From when.
        pub start_time: Option<Timestamp> = Timestamp["start_time"],
    }
}

object! {
    /// A pricing tier. Several notifications come per switch: the smallest time counts.
    pub struct VolumeTierInfo<'a> {
        /// From when.
        pub tier_update_time: Option<Timestamp> = Timestamp["tier_update_time"],
        /// The category of messages.
        pub pricing_category: Option<&'a str> = Id["pricing_category"],
        /// From and to how many, as `min:max`.
        pub tier: Option<&'a str> = Id["tier"],
        /// `YYYY-MM`.
        pub effective_month: Option<&'a str> = Id["effective_month"],
        /// Where.
        pub region: Option<&'a str> = Id["region"],
    }
}

object! {
    /// Why a partner was removed.
    pub struct DisconnectionInfo<'a> {
        /// For example `PRIMARY_INACTIVITY`.
        pub reason: Option<&'a str> = Id["reason"],
        /// `USER` or `SYSTEM`.
        pub initiated_by: Option<&'a str> = Id["initiated_by"],
    }
}

object! {
    /// The certification of a client.
    pub struct CertificationInfo<'a> {
        /// The client.
        pub client_business_id: Option<&'a str> = Id["client_business_id"],
        /// `APPROVED`, `DISCARDED`, `FAILED`, `PENDING` or `REVOKED`.
        pub status: Option<&'a str> = Id["status"],
        /// Why not, with spaces or underscores; `NONE` when approved.
        pub rejection_reasons: List<'a, Name<'a>> = List<'a, Name<'a>>["rejection_reasons"],
    }
}

object! {
    /// The limits of an account or portfolio: field `business_capability_update`.
    pub struct BusinessCapability<'a> {
        /// Per phone number; `-1` is without limit. Removed in February 2026.
        pub max_daily_conversation_per_phone: Option<i64> = i64["max_daily_conversation_per_phone"],
        /// Per portfolio: a number or a tier (`TIER_2K`).
        pub max_daily_conversations_per_business: Option<&'a str> = Id["max_daily_conversations_per_business"],
        /// Phone numbers per portfolio.
        pub max_phone_numbers_per_business: Option<i64> = i64["max_phone_numbers_per_business"],
        /// Phone numbers per account.
        pub max_phone_numbers_per_waba: Option<i64> = i64["max_phone_numbers_per_waba"],
    }
}

object! {
    /// Something about the business: field `business_status_update`. Known from the dashboard's sample only.
    pub struct BusinessStatus<'a> {
        /// The business.
        pub business_id: Option<&'a str> = Id["business_id"],
        /// For example `COMPROMISED_NOTIFICATION`.
        pub event: Option<&'a str> = Id["event"],
    }
}

object! {
    /// The business's own user name: field `business_username_updates`.
    pub struct BusinessUsername<'a> {
        /// The phone number.
        pub display_phone_number: Option<&'a str> = Person["display_phone_number"],
        /// The name; absent when it was deleted.
        pub username: Option<&'a str> = Id["username"],
        /// `approved`, `deleted` or `reserved`.
        pub status: Option<&'a str> = Id["status"],
        /// For example `revoked`.
        pub context: Option<&'a str> = Id["context"],
    }
}

object! {
    /// A solution of several partners: field `partner_solutions`. The entry id is that of a portfolio.
    pub struct PartnerSolution<'a> {
        /// `SOLUTION_CREATED` or `SOLUTION_UPDATED`.
        pub event: Option<&'a str> = Id["event"],
        /// The solution.
        pub solution_id: Option<&'a str> = Id["solution_id"],
        /// `ACTIVE`, `DEACTIVATED`, `DRAFT`, `INITIATED`, `PENDING_DEACTIVATION` or `REJECTED`.
        pub solution_status: Option<&'a str> = Id["solution_status"],
        /// The account of the customer (`waba_info`), where it is given.
        pub waba_info: Option<WabaInfo<'a>> = WabaInfo<'a>["waba_info"],
    }
}

object! {
    /// The configuration of a payment provider: field `payment_configuration_update` (India, Brazil).
    pub struct PaymentConfiguration<'a> {
        /// Its name.
        pub configuration_name: Option<&'a str> = Id["configuration_name"],
        /// `billdesk`, `payu`, `razorpay` or `zaakpay`.
        pub provider_name: Option<&'a str> = Id["provider_name"],
        /// The merchant's id there.
        pub provider_mid: Option<&'a str> = Id["provider_mid"],
        /// `Active`, `Needs Connecting` or `Needs Testing`, with spaces.
        pub status: Option<&'a str> = Id["status"],
        /// When it was made.
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// When it last changed.
        pub updated_timestamp: Option<Timestamp> = Timestamp["updated_timestamp"],
    }
}

object! {
    /// The review of a display name: field `phone_number_name_update`.
    pub struct PhoneNumberName<'a> {
        /// The phone number.
        pub display_phone_number: Option<&'a str> = Person["display_phone_number"],
        /// The result.
        pub decision: Option<Decision<'a>> = Decision<'a>["decision"],
        /// The name that was asked for.
        pub requested_verified_name: Option<&'a str> = Id["requested_verified_name"],
        /// Why not.
        pub rejection_reason: Option<&'a str> = Id["rejection_reason"],
    }
}

object! {
    /// The quality or throughput of a phone number: field `phone_number_quality_update`.
    pub struct PhoneNumberQuality<'a> {
        /// The phone number.
        pub display_phone_number: Option<&'a str> = Person["display_phone_number"],
        /// What happened.
        pub event: Option<QualityEvent<'a>> = QualityEvent<'a>["event"],
        /// The limit before. Removed in February 2026.
        pub old_limit: Option<&'a str> = Id["old_limit"],
        /// The limit now. Removed in February 2026.
        pub current_limit: Option<&'a str> = Id["current_limit"],
        /// The limit of the portfolio: `TIER_2K`, ….
        pub max_daily_conversations_per_business: Option<&'a str> = Id["max_daily_conversations_per_business"],
    }
}

names! {
    /// What happened to a phone number's quality or throughput.
    pub enum QualityEvent<'a> {
        /// It was added.
        Onboarding = "ONBOARDING",
        /// It may send more.
        ThroughputUpgrade = "THROUGHPUT_UPGRADE",
        /// Its quality is low.
        Flagged = "FLAGGED",
        /// Its quality is good again.
        Unflagged = "UNFLAGGED",
        /// Its limit was raised.
        Upgrade = "UPGRADE",
        /// Its limit was lowered.
        Downgrade = "DOWNGRADE",
    }
}

object! {
    /// Something about the PIN of a phone number: field `security`.
    pub struct Security<'a> {
        /// The phone number.
        pub display_phone_number: Option<&'a str> = Person["display_phone_number"],
        /// What happened.
        pub event: Option<SecurityEvent<'a>> = SecurityEvent<'a>["event"],
        /// Who asked for the reset.
        pub requester: Option<&'a str> = Id["requester"],
    }
}

names! {
    /// What happened to a PIN.
    pub enum SecurityEvent<'a> {
        /// It was changed.
        PinChanged = "PIN_CHANGED",
        /// It is to be reset.
        PinResetRequest = "PIN_RESET_REQUEST",
        /// It was reset.
        PinRequestSuccess = "PIN_REQUEST_SUCCESS" | "PIN_RESET_SUCCESS",
    }
}
