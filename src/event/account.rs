//! Events about accounts, portfolios and phone numbers.
//!
//! Sources: the pages of each field under `webhooks/reference`, `calling/call-settings` and
//! `business-scoped-user-ids`.

use super::schema::{
    Id, List, Name, PersonalId, RawJson, Timestamp, UserText, object, string_enum,
};

object! {
    /// An alert about limits, the business profile or the Official Business Account: field
    /// `account_alerts`.
    pub struct AccountAlert<'a> {
        /// Type of the object that the alert is about (`entity_type`): `BUSINESS`, `PHONE_NUMBER`,
        /// `WABA`, ….
        pub entity_type: Option<&'a str> = Id["entity_type"],
        /// Id of that object (`entity_id`).
        pub entity_id: Option<&'a str> = Id["entity_id"],
        info: Option<AlertInfo<'a>> = AlertInfo<'a>["alert_info"],
        severity: Option<&'a str> = Id["alert_severity"],
        status: Option<&'a str> = Id["alert_status"],
        kind: Option<&'a str> = Id["alert_type"],
        description: Option<&'a str> = UserText["alert_description"],
    }
}

impl<'a> AccountAlert<'a> {
    /// Returns the content of the alert, from `alert_info`. Keys beside `alert_info` are used if it
    /// does not have them.
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
    /// The content of an [`AccountAlert`]: `alert_info`.
    pub struct AlertInfo<'a> {
        /// Severity (`alert_severity`): `CRITICAL`, `WARNING` or `INFORMATIONAL`.
        #[doc(alias = "alert_severity")]
        pub severity: Option<&'a str> = Id["alert_severity"],
        /// Status (`alert_status`): `ACTIVE`, `NONE` or `RESOLVED`.
        #[doc(alias = "alert_status")]
        pub status: Option<&'a str> = Id["alert_status"],
        /// Type (`alert_type`), for example `OBA_APPROVED`.
        #[doc(alias = "alert_type")]
        pub kind: Option<&'a str> = Id["alert_type"],
        /// Description for people (`alert_description`). May contain unfilled placeholders.
        #[doc(alias = "alert_description")]
        pub description: Option<&'a str> = UserText["alert_description"],
    }
}

object! {
    /// The result of an account review: field `account_review_update`.
    pub struct AccountReview<'a> {
        /// Result (`decision`).
        pub decision: Option<Decision<'a>> = Decision<'a>["decision"],
    }
}

string_enum! {
    /// The result of a review of an account or a display name: `decision`.
    pub enum Decision<'a> {
        /// Approved.
        Approved = "APPROVED",
        /// Rejected.
        Rejected = "REJECTED",
        /// Not decided yet.
        Pending = "PENDING",
        /// Deferred.
        Deferred = "DEFERRED",
    }
}

object! {
    /// A change of a phone number's settings: field `account_settings_update`.
    pub struct AccountSettings<'a> {
        /// Unix time of the change, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Type (`type`): `phone_number_settings` in lower or upper case.
        pub kind: Option<&'a str> = Id["type"],
        /// Settings (`phone_number_settings`).
        pub phone_number_settings: Option<PhoneNumberSettings<'a>> = PhoneNumberSettings<'a>["phone_number_settings"],
    }
}

object! {
    /// The settings of a phone number: `phone_number_settings`.
    pub struct PhoneNumberSettings<'a> {
        /// Id of the phone number (`phone_number_id`).
        pub phone_number_id: Option<&'a str> = Id["phone_number_id"],
        /// Calling settings as JSON (`calling`), because Meta keeps adding to them.
        pub calling: Option<&'a str> = RawJson["calling"],
    }
}

object! {
    /// A change of an account: field `account_update`. The event determines which of the other keys
    /// are present.
    pub struct AccountUpdate<'a> {
        /// Type of the change (`event`).
        pub event: Option<AccountEvent<'a>> = AccountEvent<'a>["event"],
        /// Phone number concerned (`phone_number`).
        pub phone_number: Option<&'a str> = PersonalId["phone_number"],
        /// Country code, ISO 3166-1 (`country`), with
        /// [`AccountEvent::BusinessPrimaryLocationCountryUpdate`].
        pub country: Option<&'a str> = Id["country"],
        /// Account concerned (`waba_info`), with events about partners, ads and marketing messages.
        pub waba_info: Option<WabaInfo<'a>> = WabaInfo<'a>["waba_info"],
        /// Policy violation (`violation_info`).
        pub violation_info: Option<ViolationInfo<'a>> = ViolationInfo<'a>["violation_info"],
        /// Restrictions of the account (`restriction_info[]`). Empty if the key is absent, which
        /// may mean that a restriction was lifted.
        pub restriction_info: List<'a, RestrictionInfo<'a>> = List<'a, RestrictionInfo<'a>>["restriction_info"],
        /// Ban (`ban_info`), with [`AccountEvent::DisabledUpdate`].
        pub ban_info: Option<BanInfo<'a>> = BanInfo<'a>["ban_info"],
        /// Start of the international rate (`auth_international_rate_eligibility`).
        pub auth_international_rate_eligibility: Option<RateEligibility<'a>> = RateEligibility<'a>["auth_international_rate_eligibility"],
        /// New pricing tier (`volume_tier_info`).
        pub volume_tier_info: Option<VolumeTierInfo<'a>> = VolumeTierInfo<'a>["volume_tier_info"],
        /// Reason for the removal of a partner (`disconnection_info`, coexistence).
        pub disconnection_info: Option<DisconnectionInfo<'a>> = DisconnectionInfo<'a>["disconnection_info"],
        /// State of the certification of a client (`partner_client_certification_info`).
        pub partner_client_certification_info: Option<CertificationInfo<'a>> = CertificationInfo<'a>["partner_client_certification_info"],
        /// Client that needs a certification (`partner_client_certification_needed_info`).
        pub partner_client_certification_needed_info: Option<CertificationInfo<'a>> = CertificationInfo<'a>["partner_client_certification_needed_info"],
    }
}

string_enum! {
    /// The type of an [`AccountUpdate`]: `event`.
    pub enum AccountEvent<'a> {
        /// Account deleted.
        AccountDeleted = "ACCOUNT_DELETED",
        /// Policy violation.
        AccountViolation = "ACCOUNT_VIOLATION",
        /// Account restricted, or a restriction lifted.
        AccountRestriction = "ACCOUNT_RESTRICTION",
        /// Coexistence account that left the platform.
        AccountOffboarded = "ACCOUNT_OFFBOARDED",
        /// Coexistence account that returned to the platform.
        AccountReconnected = "ACCOUNT_RECONNECTED",
        /// Account disabled, scheduled to be disabled, or reinstated.
        DisabledUpdate = "DISABLED_UPDATE",
        /// Ad account linked.
        AdAccountLinked = "AD_ACCOUNT_LINKED",
        /// Change of the eligibility for the international authentication rate.
        AuthIntlPriceEligibilityUpdate = "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
        /// Change of the country of the business.
        BusinessPrimaryLocationCountryUpdate = "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        /// Terms of the Marketing Messages API accepted.
        MmLiteTermsSigned = "MM_LITE_TERMS_SIGNED",
        /// Account shared with a partner.
        PartnerAdded = "PARTNER_ADDED",
        /// Account no longer shared with a partner.
        PartnerRemoved = "PARTNER_REMOVED",
        /// Partner's app installed.
        PartnerAppInstalled = "PARTNER_APP_INSTALLED",
        /// Partner's app removed.
        PartnerAppUninstalled = "PARTNER_APP_UNINSTALLED",
        /// Change of the certification of a client.
        PartnerClientCertificationStatusUpdate = "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
        /// Client that needs a certification.
        PartnerClientCertificationNeeded = "PARTNER_CLIENT_CERTIFICATION_NEEDED",
        /// Change of the pricing tier.
        VolumeBasedPricingTierUpdate = "VOLUME_BASED_PRICING_TIER_UPDATE",
        /// Sandbox account upgraded.
        VerifiedAccount = "VERIFIED_ACCOUNT",
        /// Phone number added. No longer documented.
        PhoneNumberAdded = "PHONE_NUMBER_ADDED",
        /// Phone number removed. No longer documented.
        PhoneNumberRemoved = "PHONE_NUMBER_REMOVED",
        /// Account disabled. No longer documented.
        Disabled = "DISABLED",
        /// Account disconnected. No longer documented.
        Disconnected = "DISCONNECTED",
        /// Account suspended. No longer documented.
        Suspended = "SUSPENDED",
        /// Account reinstated. No longer documented.
        Reinstated = "REINSTATED",
    }
}

object! {
    /// An account: `waba_info`.
    pub struct WabaInfo<'a> {
        /// Id of the account (`waba_id`). The entry id is then that of the partner.
        pub waba_id: Option<&'a str> = Id["waba_id"],
        /// Id of the business that owns the account (`owner_business_id`).
        pub owner_business_id: Option<&'a str> = Id["owner_business_id"],
        /// Id of the partner's app (`partner_app_id`).
        pub partner_app_id: Option<&'a str> = Id["partner_app_id"],
        /// Id of the solution (`solution_id`).
        pub solution_id: Option<&'a str> = Id["solution_id"],
        /// Business ids of the partners in the solution (`solution_partner_business_ids[]`).
        pub solution_partner_business_ids: List<'a, Name<'a>> = List<'a, Name<'a>>["solution_partner_business_ids"],
        /// Id of the ad account (`ad_account_id`).
        pub ad_account_id: Option<&'a str> = Id["ad_account_id"],
        /// Id of the ad account under its older key (`ad_account_linked`).
        pub ad_account_linked: Option<&'a str> = Id["ad_account_linked"],
    }
}

object! {
    /// A policy violation: `violation_info`.
    pub struct ViolationInfo<'a> {
        /// Type of the violation (`violation_type`), for example `SCAM`.
        pub violation_type: Option<&'a str> = Id["violation_type"],
        /// Steps to take, for people (`remediation`).
        pub remediation: Option<&'a str> = UserText["remediation"],
    }
}

object! {
    /// A restriction: an element of `restriction_info[]`.
    pub struct RestrictionInfo<'a> {
        /// Type of the restriction (`restriction_type`), for example
        /// `RESTRICTED_BIZ_INITIATED_MESSAGING`.
        pub restriction_type: Option<&'a str> = Id["restriction_type"],
        /// Unix time at which the restriction ends, seconds (`expiration`).
        pub expiration: Option<Timestamp> = Timestamp["expiration"],
        /// Steps to take, for people (`remediation`).
        pub remediation: Option<&'a str> = UserText["remediation"],
    }
}

object! {
    /// A ban: `ban_info`.
    pub struct BanInfo<'a> {
        /// State (`waba_ban_state`): `DISABLE`, `REINSTATE` or `SCHEDULE_FOR_DISABLE`.
        pub waba_ban_state: Option<&'a str> = Id["waba_ban_state"],
        /// Date for people, for example `April 17, 2025` (`waba_ban_date`).
        pub waba_ban_date: Option<&'a str> = Id["waba_ban_date"],
    }
}

object! {
    /// Start of the international authentication rate: `auth_international_rate_eligibility`.
    pub struct RateEligibility<'a> {
        /// Unix time at which the rate starts, seconds (`start_time`).
        pub start_time: Option<Timestamp> = Timestamp["start_time"],
        /// Countries with a different start (`exception_countries[]`).
        pub exception_countries: List<'a, ExceptionCountry<'a>> = List<'a, ExceptionCountry<'a>>["exception_countries"],
    }
}

object! {
    /// A country with a different start: an element of `exception_countries[]`.
    pub struct ExceptionCountry<'a> {
        /// Country code, ISO 3166-1 (`country_code`).
        pub country_code: Option<&'a str> = Id["country_code"],
        /// Unix time at which the rate starts, seconds (`start_time`).
        pub start_time: Option<Timestamp> = Timestamp["start_time"],
    }
}

object! {
    /// A pricing tier: `volume_tier_info`. Several notifications are sent per change of tier: the
    /// one with the smallest `tier_update_time` counts.
    pub struct VolumeTierInfo<'a> {
        /// Unix time at which the tier starts, seconds (`tier_update_time`).
        pub tier_update_time: Option<Timestamp> = Timestamp["tier_update_time"],
        /// Category of messages (`pricing_category`).
        pub pricing_category: Option<&'a str> = Id["pricing_category"],
        /// Minimum and maximum number of messages, as `min:max` (`tier`).
        pub tier: Option<&'a str> = Id["tier"],
        /// Month, as `YYYY-MM` (`effective_month`).
        pub effective_month: Option<&'a str> = Id["effective_month"],
        /// Region (`region`).
        pub region: Option<&'a str> = Id["region"],
    }
}

object! {
    /// The reason for the removal of a partner: `disconnection_info`.
    pub struct DisconnectionInfo<'a> {
        /// Reason (`reason`), for example `PRIMARY_INACTIVITY`.
        pub reason: Option<&'a str> = Id["reason"],
        /// Initiator (`initiated_by`): `USER` or `SYSTEM`.
        pub initiated_by: Option<&'a str> = Id["initiated_by"],
    }
}

object! {
    /// The certification of a client.
    pub struct CertificationInfo<'a> {
        /// Business id of the client (`client_business_id`).
        pub client_business_id: Option<&'a str> = Id["client_business_id"],
        /// State (`status`): `APPROVED`, `DISCARDED`, `FAILED`, `PENDING` or `REVOKED`.
        pub status: Option<&'a str> = Id["status"],
        /// Reasons of a rejection, with spaces or underscores (`rejection_reasons[]`); `NONE` when
        /// approved.
        pub rejection_reasons: List<'a, Name<'a>> = List<'a, Name<'a>>["rejection_reasons"],
    }
}

object! {
    /// The limits of an account or portfolio: field `business_capability_update`.
    pub struct BusinessCapability<'a> {
        /// Maximum number of conversations per day and phone number
        /// (`max_daily_conversation_per_phone`). `-1` means no limit. Removed by Meta in February
        /// 2026.
        pub max_daily_conversation_per_phone: Option<i64> = i64["max_daily_conversation_per_phone"],
        /// Maximum number of conversations per day and portfolio
        /// (`max_daily_conversations_per_business`): a number or a tier such as `TIER_2K`.
        pub max_daily_conversations_per_business: Option<&'a str> = Id["max_daily_conversations_per_business"],
        /// Maximum number of phone numbers per portfolio (`max_phone_numbers_per_business`).
        pub max_phone_numbers_per_business: Option<i64> = i64["max_phone_numbers_per_business"],
        /// Maximum number of phone numbers per account (`max_phone_numbers_per_waba`).
        pub max_phone_numbers_per_waba: Option<i64> = i64["max_phone_numbers_per_waba"],
    }
}

object! {
    /// The status of a business: field `business_status_update`. Known from the App Dashboard's
    /// sample only.
    pub struct BusinessStatus<'a> {
        /// Id of the business (`business_id`).
        pub business_id: Option<&'a str> = Id["business_id"],
        /// Type of the event (`event`), for example `COMPROMISED_NOTIFICATION`.
        pub event: Option<&'a str> = Id["event"],
    }
}

object! {
    /// The business's own user name: field `business_username_updates`.
    pub struct BusinessUsername<'a> {
        /// Phone number of the business (`display_phone_number`).
        pub display_phone_number: Option<&'a str> = PersonalId["display_phone_number"],
        /// User name (`username`). Absent if it was deleted.
        pub username: Option<&'a str> = Id["username"],
        /// Status (`status`): `approved`, `deleted` or `reserved`.
        pub status: Option<&'a str> = Id["status"],
        /// Further information (`context`), for example `revoked`.
        pub context: Option<&'a str> = Id["context"],
    }
}

object! {
    /// A solution of several partners: field `partner_solutions`. The entry id is that of a
    /// portfolio.
    pub struct PartnerSolution<'a> {
        /// Type of the event (`event`): `SOLUTION_CREATED` or `SOLUTION_UPDATED`.
        pub event: Option<&'a str> = Id["event"],
        /// Id of the solution (`solution_id`).
        pub solution_id: Option<&'a str> = Id["solution_id"],
        /// Status (`solution_status`): `ACTIVE`, `DEACTIVATED`, `DRAFT`, `INITIATED`,
        /// `PENDING_DEACTIVATION` or `REJECTED`.
        pub solution_status: Option<&'a str> = Id["solution_status"],
        /// Account of the customer, if given (`waba_info`).
        pub waba_info: Option<WabaInfo<'a>> = WabaInfo<'a>["waba_info"],
    }
}

object! {
    /// The configuration of a payment provider: field `payment_configuration_update` (India,
    /// Brazil).
    pub struct PaymentConfiguration<'a> {
        /// Name of the configuration (`configuration_name`).
        pub configuration_name: Option<&'a str> = Id["configuration_name"],
        /// Payment provider (`provider_name`): `billdesk`, `payu`, `razorpay` or `zaakpay`.
        pub provider_name: Option<&'a str> = Id["provider_name"],
        /// Id of the merchant at the provider (`provider_mid`).
        pub provider_mid: Option<&'a str> = Id["provider_mid"],
        /// Status, with spaces (`status`): `Active`, `Needs Connecting` or `Needs Testing`.
        pub status: Option<&'a str> = Id["status"],
        /// Unix time of the creation, seconds (`created_timestamp`).
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// Unix time of the last change, seconds (`updated_timestamp`).
        pub updated_timestamp: Option<Timestamp> = Timestamp["updated_timestamp"],
    }
}

object! {
    /// The review of a display name: field `phone_number_name_update`.
    pub struct PhoneNumberName<'a> {
        /// Phone number of the business (`display_phone_number`).
        pub display_phone_number: Option<&'a str> = PersonalId["display_phone_number"],
        /// Result (`decision`).
        pub decision: Option<Decision<'a>> = Decision<'a>["decision"],
        /// Requested display name (`requested_verified_name`).
        pub requested_verified_name: Option<&'a str> = Id["requested_verified_name"],
        /// Reason of a rejection (`rejection_reason`).
        pub rejection_reason: Option<&'a str> = Id["rejection_reason"],
    }
}

object! {
    /// The quality or throughput of a phone number: field `phone_number_quality_update`.
    pub struct PhoneNumberQuality<'a> {
        /// Phone number of the business (`display_phone_number`).
        pub display_phone_number: Option<&'a str> = PersonalId["display_phone_number"],
        /// Type of the event (`event`).
        pub event: Option<QualityEvent<'a>> = QualityEvent<'a>["event"],
        /// Messaging limit before the change (`old_limit`). Removed by Meta in February 2026.
        pub old_limit: Option<&'a str> = Id["old_limit"],
        /// Messaging limit after the change (`current_limit`). Removed by Meta in February 2026.
        pub current_limit: Option<&'a str> = Id["current_limit"],
        /// Limit of the portfolio (`max_daily_conversations_per_business`): `TIER_2K`, ….
        pub max_daily_conversations_per_business: Option<&'a str> = Id["max_daily_conversations_per_business"],
    }
}

string_enum! {
    /// The type of a [`PhoneNumberQuality`] event: `event`.
    pub enum QualityEvent<'a> {
        /// Phone number added.
        Onboarding = "ONBOARDING",
        /// Higher throughput.
        ThroughputUpgrade = "THROUGHPUT_UPGRADE",
        /// Low quality.
        Flagged = "FLAGGED",
        /// Quality restored.
        Unflagged = "UNFLAGGED",
        /// Messaging limit raised.
        Upgrade = "UPGRADE",
        /// Messaging limit lowered.
        Downgrade = "DOWNGRADE",
    }
}

object! {
    /// An event about the PIN of a phone number: field `security`.
    pub struct Security<'a> {
        /// Phone number of the business (`display_phone_number`).
        pub display_phone_number: Option<&'a str> = PersonalId["display_phone_number"],
        /// Type of the event (`event`).
        pub event: Option<SecurityEvent<'a>> = SecurityEvent<'a>["event"],
        /// Id of the user that requested the reset (`requester`).
        pub requester: Option<&'a str> = Id["requester"],
    }
}

string_enum! {
    /// The type of a [`Security`] event: `event`.
    pub enum SecurityEvent<'a> {
        /// PIN changed.
        PinChanged = "PIN_CHANGED",
        /// Reset of the PIN requested.
        PinResetRequest = "PIN_RESET_REQUEST",
        /// PIN reset.
        PinRequestSuccess = "PIN_REQUEST_SUCCESS" | "PIN_RESET_SUCCESS",
    }
}
