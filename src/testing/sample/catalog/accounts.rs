//! Fields of accounts, business phone numbers, partners and payments.

use super::super::template::{Template, whole};

const fn update(name: &'static str, element: &'static str) -> Template {
    whole(name, "account_update", element)
}

/// An account event without further members.
macro_rules! event {
    ($name:literal, $event:literal) => {
        update($name, concat!(r#"{"event":""#, $event, r#""}"#))
    };
}

/// An event with `waba_info`. The entry is then that of the partner, not of the account.
macro_rules! of_partner {
    ($name:literal, $event:literal, $more:literal) => {
        update(
            $name,
            concat!(
                r#"{"event":""#,
                $event,
                r#"","waba_info":{"waba_id":"800000000000002","owner_business_id":"810000000000001""#,
                $more,
                "}}"
            ),
        )
    };
}

/// A quality event of a phone number in the format before portfolio-wide messaging limits.
macro_rules! quality {
    ($name:literal, $event:literal) => {
        whole(
            $name,
            "phone_number_quality_update",
            concat!(
                r#"{"display_phone_number":"$number","event":""#,
                $event,
                r#"","old_limit":"TIER_1K","current_limit":"TIER_10K"}"#
            ),
        )
    };
}

/// The review result of a display name.
macro_rules! name_review {
    ($name:literal, $decision:literal, $reason:literal) => {
        whole(
            $name,
            "phone_number_name_update",
            concat!(
                r#"{"display_phone_number":"$number","decision":""#,
                $decision,
                r#"","requested_verified_name":"Samples Ltd","rejection_reason":"#,
                $reason,
                "}"
            ),
        )
    };
}

pub(super) const TEMPLATES: &[Template] = &[
    whole(
        "account_alert",
        "account_alerts",
        r#"{"entity_type":"BUSINESS","entity_id":"810000000000001","alert_info":{"alert_severity":"WARNING","alert_status":"ACTIVE","alert_type":"INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED","alert_description":"A sample of an alert."}}"#,
    ),
    // The flat format that some SDKs use.
    whole(
        "account_alert_flat",
        "account_alerts",
        r#"{"entity_type":"WABA","entity_id":"800000000000001","alert_severity":"INFORMATIONAL","alert_status":"NONE","alert_type":"OBA_APPROVED","alert_description":"A sample of an alert."}"#,
    ),
    whole(
        "account_review",
        "account_review_update",
        r#"{"decision":"APPROVED"}"#,
    ),
    whole(
        "account_settings",
        "account_settings_update",
        r#"{"messaging_product":"whatsapp","timestamp":"$time","type":"phone_number_settings","phone_number_settings":{"phone_number_id":"$number_id","calling":{"status":"ENABLED","call_icon_visibility":"DEFAULT","callback_permission_status":"ENABLED","call_hours":{"status":"DISABLED"},"sip":{"status":"DISABLED"}}}}"#,
    ),
    event!("account_deleted", "ACCOUNT_DELETED"),
    event!("account_offboarded", "ACCOUNT_OFFBOARDED"),
    event!("account_reconnected", "ACCOUNT_RECONNECTED"),
    event!("account_verified", "VERIFIED_ACCOUNT"),
    event!("account_disabled_old", "DISABLED"),
    event!("account_disconnected_old", "DISCONNECTED"),
    event!("account_suspended_old", "SUSPENDED"),
    event!("account_reinstated_old", "REINSTATED"),
    update(
        "account_number_added_old",
        r#"{"phone_number":"$number","event":"PHONE_NUMBER_ADDED"}"#,
    ),
    update(
        "account_number_removed_old",
        r#"{"phone_number":"$number","event":"PHONE_NUMBER_REMOVED"}"#,
    ),
    update(
        "account_violation",
        r#"{"event":"ACCOUNT_VIOLATION","violation_info":{"violation_type":"SCAM","remediation":"Do not sell samples."}}"#,
    ),
    update(
        "account_restriction",
        r#"{"event":"ACCOUNT_RESTRICTION","phone_number":"$number","restriction_info":[{"restriction_type":"RESTRICTED_BIZ_INITIATED_MESSAGING","expiration":$time,"remediation":"Wait."}]}"#,
    ),
    event!("account_restriction_lifted", "ACCOUNT_RESTRICTION"),
    update(
        "account_banned",
        r#"{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"SCHEDULE_FOR_DISABLE","waba_ban_date":"January 31, 2026"}}"#,
    ),
    update(
        "account_international_rate",
        r#"{"event":"AUTH_INTL_PRICE_ELIGIBILITY_UPDATE","auth_international_rate_eligibility":{"start_time":$time,"exception_countries":[{"country_code":"IN","start_time":$time}]}}"#,
    ),
    update(
        "account_country",
        r#"{"event":"BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE","country":"DE"}"#,
    ),
    update(
        "account_volume_tier",
        r#"{"event":"VOLUME_BASED_PRICING_TIER_UPDATE","volume_tier_info":{"tier_update_time":$time,"pricing_category":"UTILITY","tier":"25000001:50000000","effective_month":"2026-01","region":"Germany"}}"#,
    ),
    update(
        "client_certification",
        r#"{"event":"PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE","partner_client_certification_info":{"client_business_id":"810000000000002","status":"FAILED","rejection_reasons":["LEGAL NAME NOT FOUND IN DOCUMENTS"]}}"#,
    ),
    update(
        "client_certification_needed",
        r#"{"event":"PARTNER_CLIENT_CERTIFICATION_NEEDED","partner_client_certification_needed_info":{"client_business_id":"810000000000002"}}"#,
    ),
    of_partner!(
        "ad_account_linked",
        "AD_ACCOUNT_LINKED",
        r#","ad_account_linked":"820000000000001""#
    ),
    of_partner!(
        "ad_account_linked_new",
        "AD_ACCOUNT_LINKED",
        r#","ad_account_id":"820000000000001""#
    ),
    of_partner!("marketing_terms_signed", "MM_LITE_TERMS_SIGNED", ""),
    of_partner!(
        "partner_added",
        "PARTNER_ADDED",
        r#","solution_id":"830000000000001","solution_partner_business_ids":["810000000000003","810000000000004"]"#
    ),
    of_partner!(
        "partner_app_installed",
        "PARTNER_APP_INSTALLED",
        r#","partner_app_id":"840000000000001""#
    ),
    of_partner!(
        "partner_app_uninstalled",
        "PARTNER_APP_UNINSTALLED",
        r#","partner_app_id":"840000000000001""#
    ),
    update(
        "partner_removed",
        r#"{"event":"PARTNER_REMOVED","waba_info":{"waba_id":"800000000000002","owner_business_id":"810000000000001"},"disconnection_info":{"reason":"PRIMARY_INACTIVITY","initiated_by":"SYSTEM"}}"#,
    ),
    whole(
        "business_capability",
        "business_capability_update",
        r#"{"max_daily_conversations_per_business":2000,"max_phone_numbers_per_business":25,"max_phone_numbers_per_waba":25}"#,
    ),
    whole(
        "business_capability_old",
        "business_capability_update",
        r#"{"max_daily_conversation_per_phone":-1,"max_phone_numbers_per_business":2}"#,
    ),
    whole(
        "business_status",
        "business_status_update",
        r#"{"business_id":810000000000001,"event":"COMPROMISED_NOTIFICATION"}"#,
    ),
    whole(
        "business_username",
        "business_username_updates",
        r#"{"display_phone_number":"$number","username":"samples.ltd","status":"approved"}"#,
    ),
    whole(
        "business_username_singular",
        "business_username_update",
        r#"{"display_phone_number":"$number","status":"deleted","context":"revoked"}"#,
    ),
    whole(
        "business_username_draft",
        "phone_number_username_update",
        r#"{"display_phone_number":"$number","username":"samples.ltd","status":"reserved"}"#,
    ),
    whole(
        "partner_solution",
        "partner_solutions",
        r#"{"event":"SOLUTION_CREATED","solution_id":"830000000000001","solution_status":"INITIATED","waba_info":{"waba_id":"810000000000001","owner_business_id":"820000000000001"}}"#,
    ),
    whole(
        "payment_configuration",
        "payment_configuration_update",
        r#"{"configuration_name":"sample-payments","provider_name":"razorpay","provider_mid":"sample-merchant","status":"Needs Testing","created_timestamp":$time,"updated_timestamp":$time}"#,
    ),
    name_review!("phone_number_name_approved", "APPROVED", "null"),
    name_review!(
        "phone_number_name_rejected",
        "REJECTED",
        r#""NAME_NOT_CONSISTENT""#
    ),
    name_review!("phone_number_name_pending", "PENDING", "null"),
    name_review!("phone_number_name_deferred", "DEFERRED", "null"),
    whole(
        "phone_number_onboarding",
        "phone_number_quality_update",
        r#"{"display_phone_number":"$number","event":"ONBOARDING","max_daily_conversations_per_business":"TIER_NOT_SET"}"#,
    ),
    whole(
        "phone_number_throughput",
        "phone_number_quality_update",
        r#"{"display_phone_number":"$number","event":"THROUGHPUT_UPGRADE","max_daily_conversations_per_business":"TIER_UNLIMITED"}"#,
    ),
    quality!("phone_number_flagged_old", "FLAGGED"),
    quality!("phone_number_unflagged_old", "UNFLAGGED"),
    quality!("phone_number_upgrade_old", "UPGRADE"),
    quality!("phone_number_downgrade_old", "DOWNGRADE"),
    whole(
        "pin_changed",
        "security",
        r#"{"display_phone_number":"$number","event":"PIN_CHANGED"}"#,
    ),
    whole(
        "pin_reset_request",
        "security",
        r#"{"display_phone_number":"$number","event":"PIN_RESET_REQUEST","requester":"850000000000001"}"#,
    ),
    whole(
        "pin_request_success",
        "security",
        r#"{"display_phone_number":"$number","event":"PIN_REQUEST_SUCCESS"}"#,
    ),
    whole(
        "pin_reset_success",
        "security",
        r#"{"display_phone_number":"$number","event":"PIN_RESET_SUCCESS"}"#,
    ),
    whole(
        "campaign_status",
        "campaign_status_update",
        r#"{"campaign_id":860000000000001,"campaign_name":"A sample of a campaign","old_status":"ACTIVE","new_status":"PAUSED","paused_reasons":["USER_PAUSED"],"complete_reason":null}"#,
    ),
    whole(
        "campaign_status_complete",
        "campaign_status_update",
        r#"{"campaign_id":860000000000001,"campaign_name":"A sample of a campaign","old_status":"ACTIVE","new_status":"COMPLETE","paused_reasons":[],"complete_reason":"SAMPLE_ENDED"}"#,
    ),
];
