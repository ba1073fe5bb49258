//! Statuses of the field `messages`.

use super::super::template::{Template, listed};

const STATUSES: &str = r#"{$pn,$contacts,"statuses":[$each]}"#;
/// Meta leaves out `contacts` for failures and for messages to groups.
const ALONE: &str = r#"{$pn,"statuses":[$each]}"#;

const fn status(name: &'static str, element: &'static str) -> Template {
    listed(name, "messages", STATUSES, element)
}

const fn alone(name: &'static str, element: &'static str) -> Template {
    listed(name, "messages", ALONE, element)
}

/// A status with this pricing category.
macro_rules! priced {
    ($name:literal, $category:literal) => {
        status(
            $name,
            concat!(
                r#"{"id":"$id","status":"$state[delivered]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id","pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":""#,
                $category,
                r#""}}"#
            ),
        )
    };
}

pub(super) const TEMPLATES: &[Template] = &[
    status(
        "status_sent",
        r#"{"id":"$id","status":"$state[sent]","timestamp":"$time",$recipient"recipient_user_id":"$user_id","biz_opaque_callback_data":"$callback_data[sample-callback]","pricing":{"billable":false,"pricing_model":"PMP","type":"free_customer_service","category":"service"}}"#,
    ),
    status(
        "status_delivered",
        r#"{"id":"$id","status":"$state[delivered]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id","pricing":{"billable":false,"pricing_model":"PMP","type":"free_customer_service","category":"service"}}"#,
    ),
    status(
        "status_read",
        r#"{"id":"$id","status":"$state[read]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id"}"#,
    ),
    status(
        "status_played",
        r#"{"id":"$id","status":"$state[played]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id"}"#,
    ),
    alone(
        "status_failed",
        r#"{"id":"$id","status":"$state[failed]","timestamp":"$time",$callback$addressee,"errors":[{"code":$error_code[131047],"title":"Re-engagement message","message":"Re-engagement message","error_data":{"details":"The user wrote more than a day ago."},"href":"/documentation/business-messaging/whatsapp/support/error-codes"}]}"#,
    ),
    alone(
        "status_deleted",
        r#"{"id":"$id","status":"$state[deleted]","timestamp":"$time",$callback$addressee}"#,
    ),
    alone(
        "status_warning",
        r#"{"id":"$id","status":"$state[warning]","timestamp":"$time",$callback$addressee}"#,
    ),
    alone(
        "status_pending",
        r#"{"id":"$id","status":"$state[pending]","timestamp":"$time",$callback$addressee,"type":"payment","payment":{"reference_id":"$reference_id[sample-order-1]","amount":{"value":45000,"offset":100},"currency":"INR","transaction":{"id":"sample-transaction-1","type":"razorpay","status":"failed","created_timestamp":$time,"updated_timestamp":$time,"error":{"code":"sample_declined","reason":"The sample was declined"}}}}"#,
    ),
    alone(
        "status_captured",
        r#"{"id":"$id","status":"$state[captured]","timestamp":"$time",$callback$addressee,"type":"payment","payment":{"reference_id":"$reference_id[sample-order-1]","amount":{"value":45000,"offset":100},"currency":"INR","receipt":"sample-receipt-1","notes":{"table":"7"},"udf1":"u1","udf2":"u2","udf3":"u3","udf4":"u4","additional_info1":"a1","additional_info2":"a2","additional_info3":"a3","additional_info4":"a4","additional_info5":"a5","additional_info6":"a6","additional_info7":"a7","extra1":"e1","extra2":"e2","transaction":{"id":"sample-transaction-2","pg_transaction_id":"sample-gateway-2","type":"razorpay","status":"success","created_timestamp":"$time","updated_timestamp":"$time","method":{"type":"upi"},"refunds":[{"id":"sample-refund-1","amount":{"value":5000,"offset":100},"speed_processed":"normal","status":"success","created_timestamp":$time,"updated_timestamp":$time}]}}}"#,
    ),
    // For states that this version does not know.
    status(
        "unknown_state",
        r#"{"id":"$id","status":"$state[sparkling]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id"}"#,
    ),
    status(
        "status_bsuid_only",
        r#"{"id":"$id","status":"$state[delivered]","timestamp":"$time",$callback"recipient_user_id":"$user_id","recipient_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","recipient_identity_key_hash":"SampleHash01="}"#,
    ),
    status(
        "status_parent_old",
        r#"{"id":"$id","status":"$state[read]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id","parent_recipient_user_id":"$parent_user_id[DE.ENT.SampleParent01]"}"#,
    ),
    alone(
        "status_group",
        r#"{"id":"$id","status":"$state[read]","timestamp":"$time",$callback"recipient_id":"$group_id[SampleGroup01]","recipient_type":"group",$participant"recipient_participant_user_id":"$user_id","recipient_participant_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","group_id":"$group_id[SampleGroup01]","pricing":{"billable":true,"pricing_model":"PMP","category":"group_marketing"}}"#,
    ),
    // As on Meta's pages about groups: the participant has another key, and the price is in the
    // conversation.
    alone(
        "status_group_old",
        r#"{"id":"$id","status":"$state[delivered]","timestamp":"$time",$callback"recipient_id":"$group_id[SampleGroup01]","recipient_type":"group","participant_recipient_id":"$user","conversation":{"id":"SampleConversation01","origin":{"type":"group_utility"},"pricing":{"billable":true,"pricing_model":"PMP","category":"group_utility"}}}"#,
    ),
    status(
        "status_conversation",
        r#"{"id":"$id","status":"$state[sent]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id","type":"message","template_id":"$template_id[660000000000001]","conversation":{"id":"SampleConversation01","expiration_timestamp":"$time","origin":{"type":"referral_conversion"}},"pricing":{"billable":false,"pricing_model":"CBP","pricing_type":"free_entry_point","category":"referral_conversion"}}"#,
    ),
    status(
        "status_conversation_old",
        r#"{"id":"$id","status":"$state[sent]","timestamp":"$time",$callback$addressee,"conversation":{"id":"SampleConversation02","expiration_timestamp":$time,"origin":{"type":"business_initiated"}},"pricing":{"billable":true,"pricing_model":"CBP","category":"business_initiated"}}"#,
    ),
    status(
        "priced_exempt",
        r#"{"id":"$id","status":"$state[delivered]","timestamp":"$time",$callback$recipient"recipient_user_id":"$user_id","pricing":{"billable":false,"pricing_model":"PMP","type":"free_group_customer_service","category":"service","subtype":"paid_exempt"}}"#,
    ),
    priced!("priced_authentication", "authentication"),
    // Meta writes a hyphen here, but an underscore in the origin of a conversation.
    priced!(
        "priced_authentication_international",
        "authentication-international"
    ),
    status(
        "conversation_authentication_international",
        r#"{"id":"$id","status":"$state[sent]","timestamp":"$time",$callback$addressee,"conversation":{"id":"SampleConversation03","origin":{"type":"authentication_international"}}}"#,
    ),
    priced!("priced_marketing", "marketing"),
    priced!("priced_marketing_lite", "marketing_lite"),
    priced!("priced_utility", "utility"),
    priced!("priced_group_service", "group_service"),
    priced!("priced_general_purpose_ai", "general_purpose_ai"),
    priced!("priced_user_initiated", "user_initiated"),
];
