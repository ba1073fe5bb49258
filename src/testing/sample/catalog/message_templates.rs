//! Fields of message templates and flows.

use super::super::template::{Template, whole};

const fn status(name: &'static str, element: &'static str) -> Template {
    whole(name, "message_template_status_update", element)
}

/// A template event without further members.
macro_rules! event {
    ($name:literal, $event:literal) => {
        status(
            $name,
            concat!(
                r#"{"event":""#,
                $event,
                r#"","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en_US","reason":"NONE","message_template_category":"UTILITY"}"#
            ),
        )
    };
}

pub(super) const TEMPLATES: &[Template] = &[
    whole(
        "template_components",
        "message_template_components_update",
        r#"{"message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en_US","message_template_element":"Hello {{1}}","message_template_title":"Your order","message_template_footer":"Samples Ltd","message_template_buttons":[{"message_template_button_type":"URL","message_template_button_text":"See it","message_template_button_url":"https://shop.example/{{1}}"},{"message_template_button_type":"PHONE_NUMBER","message_template_button_text":"Call us","message_template_button_phone_number":"12025550199"}]}"#,
    ),
    whole(
        "template_quality_yellow",
        "message_template_quality_update",
        r#"{"previous_quality_score":"GREEN","new_quality_score":"YELLOW","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en-US"}"#,
    ),
    whole(
        "template_quality_red",
        "message_template_quality_update",
        r#"{"previous_quality_score":"UNKNOWN","new_quality_score":"RED","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en-US"}"#,
    ),
    status(
        "template_rejected",
        r#"{"event":"REJECTED","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en","reason":"INVALID_FORMAT","message_template_category":"MARKETING","rejection_info":{"reason":"The sample has no end.","recommendation":"Give it one."}}"#,
    ),
    status(
        "template_disabled",
        r#"{"event":"DISABLED","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en_US","reason":"ABUSIVE_CONTENT","disable_info":{"disable_date":$time}}"#,
    ),
    status(
        "template_paused",
        r#"{"event":"PAUSED","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en_US","reason":"NONE","other_info":{"title":"FIRST_PAUSE","description":"The sample is paused for 3 hours."}}"#,
    ),
    status(
        "template_pending_deletion",
        r#"{"event":"PENDING_DELETION","message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en_US","reason":null,"message_template_category":"AUTHENTICATION"}"#,
    ),
    event!("template_approved", "APPROVED"),
    event!("template_archived", "ARCHIVED"),
    event!("template_unarchived", "UNARCHIVED"),
    event!("template_deleted", "DELETED"),
    event!("template_flagged", "FLAGGED"),
    event!("template_in_appeal", "IN_APPEAL"),
    event!("template_limit_exceeded", "LIMIT_EXCEEDED"),
    event!("template_locked", "LOCKED"),
    event!("template_unlocked", "UNLOCKED"),
    event!("template_pending", "PENDING"),
    event!("template_reinstated", "REINSTATED"),
    whole(
        "template_category_impending",
        "template_category_update",
        r#"{"message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en-US","new_category":"UTILITY","correct_category":"MARKETING","category_update_timestamp":$time}"#,
    ),
    whole(
        "template_category_changed",
        "template_category_update",
        r#"{"message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en-US","previous_category":"UTILITY","new_category":"MARKETING"}"#,
    ),
    whole(
        "template_category_old",
        "template_category_update",
        r#"{"message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en-US","previous_category":"OTP","new_category":"TRANSACTIONAL"}"#,
    ),
    whole(
        "template_category_detection",
        "template_correct_category_detection",
        r#"{"message_template_id":$template_id[6600000000000000001],"message_template_name":"$template_name[sample_order]","message_template_language":"en_US","category":"UTILITY","correct_category":"MARKETING"}"#,
    ),
    whole(
        "flow_created",
        "flows",
        r#"{"event":"FLOW_STATUS_CHANGE","message":"The flow was made.","flow_id":"670000000000001","new_status":"DRAFT"}"#,
    ),
    whole(
        "flow_published",
        "flows",
        r#"{"event":"FLOW_STATUS_CHANGE","message":"The flow was published.","flow_id":"670000000000001","old_status":"DRAFT","new_status":"PUBLISHED"}"#,
    ),
    whole(
        "flow_blocked",
        "flows",
        r#"{"event":"FLOW_STATUS_CHANGE","message":"The flow was blocked.","flow_id":"670000000000001","old_status":"THROTTLED","new_status":"BLOCKED"}"#,
    ),
    whole(
        "flow_deprecated",
        "flows",
        r#"{"event":"FLOW_STATUS_CHANGE","message":"The flow is not to be used.","flow_id":"670000000000001","old_status":"PUBLISHED","new_status":"DEPRECATED"}"#,
    ),
    whole(
        "flow_client_errors",
        "flows",
        r#"{"event":"CLIENT_ERROR_RATE","message":"Errors on devices.","flow_id":"670000000000001","error_rate":14.25,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"INVALID_SCREEN_TRANSITION","error_rate":14.25,"error_count":3}]}"#,
    ),
    whole(
        "flow_endpoint_errors",
        "flows",
        r#"{"event":"ENDPOINT_ERROR_RATE","message":"Errors of the endpoint.","flow_id":"670000000000001","error_rate":14.25,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":14.25,"error_count":3}]}"#,
    ),
    whole(
        "flow_endpoint_latency",
        "flows",
        r#"{"event":"ENDPOINT_LATENCY","message":"The endpoint is slow.","flow_id":"670000000000001","p50_latency":4100,"p90_latency":8000.5,"requests_count":34,"threshold":7000,"alert_state":"ACTIVATED"}"#,
    ),
    whole(
        "flow_endpoint_availability",
        "flows",
        r#"{"event":"ENDPOINT_AVAILABILITY","message":"The endpoint is there again.","flow_id":"670000000000001","availability":95.5,"threshold":90,"alert_state":"DEACTIVATED"}"#,
    ),
    whole(
        "flow_version_expiry",
        "flows",
        r#"{"event":"FLOW_VERSION_EXPIRY_WARNING","flow_id":"670000000000001","warning":"The version of the flow is about to be frozen."}"#,
    ),
];
