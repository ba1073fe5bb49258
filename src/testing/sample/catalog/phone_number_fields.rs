//! Other fields of phone numbers: calls, groups, coexistence, routing, user preferences, marketing.

use super::super::template::{Template, WHOLE, listed};

const CALLS: &str = r#"{$pn,$contacts,"calls":[$each]}"#;
const CALL_STATUSES: &str = r#"{$pn,$contacts,"statuses":[$each]}"#;
const GROUPS: &str = r#"{$pn,"groups":[$each]}"#;
const ECHOES: &str = r#"{$pn,$contacts,"message_echoes":[$each]}"#;
const HISTORY: &str = r#"{$pn,$contacts,"history":[{"metadata":{"phase":1,"chunk_order":2,"progress":55},"threads":[{"id":"$user","context":{$wa_id"user_id":"$user_id","parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","username":"$username[zoe.sample]"},"messages":[$each]}]}]}"#;
const STATE_SYNC: &str = r#"{$pn,"state_sync":[$each]}"#;
const PREFERENCES: &str = r#"{$pn,$contacts,"user_preferences":[$each]}"#;

const fn call(name: &'static str, element: &'static str) -> Template {
    listed(name, "calls", CALLS, element)
}

const fn call_status(name: &'static str, element: &'static str) -> Template {
    listed(name, "calls", CALL_STATUSES, element)
}

/// A field whose `value` is a single element, in an entry without a time.
const fn untimed(name: &'static str, field: &'static str, element: &'static str) -> Template {
    listed(name, field, WHOLE, element)
}

pub(super) const TEMPLATES: &[Template] = &[
    call(
        "call_connect",
        r#"{"id":"$call_id",$from"from_user_id":"$user_id","from_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","to":"$number","event":"connect","timestamp":"$time","direction":"USER_INITIATED","session":{"sdp_type":"offer","sdp":"v=0\r\ns=-\r\n"},"deeplink_payload":"sample-link","cta_payload":"sample-button"}"#,
    ),
    call(
        "call_connect_old",
        r#"{"id":"$call_id","from":"$user","to":"$number","event":"connect","timestamp":"$time","direction":"USER_INITIATED","connection":{"webrtc":{"sdp":"{\"sdp\":\"v=0\",\"sdp_type\":\"offer\"}"}}}"#,
    ),
    call(
        "call_terminate",
        r#"{"id":"$call_id","from":"$number",$to"to_user_id":"$user_id","to_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","event":"terminate","timestamp":"$time","direction":"BUSINESS_INITIATED","status":"COMPLETED","start_time":"$time","end_time":"$time","duration":90,"biz_opaque_callback_data":"$callback_data[sample-callback]"}"#,
    ),
    call(
        "call_failed",
        r#"{"id":"$call_id",$from"from_user_id":"$user_id","to":"$number","event":"terminate","timestamp":"$time","direction":"USER_INITIATED","status":"FAILED","errors":[{"code":$error_code[131000],"message":"Something went wrong","href":"https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/","error_data":{"details":"The call was not taken."}}]}"#,
    ),
    call(
        "call_created",
        r#"{"id":"$call_id",$from"from_user_id":"$user_id","to":"$number","event":"call_created","timestamp":"$time","direction":"USER_INITIATED"}"#,
    ),
    call(
        "call_recording",
        r#"{"id":"$call_id","event":"call_recording_available","timestamp":"$time","call_recording":{"type":"audio","audio":{"mime_type":"$mime_type[audio/ogg]","sha256":"U2FtcGxlIG9mIGEgY2FsbA==","id":"$media_id[630000000000008]","url":"https://media.example/?mid=$media_id[630000000000008]"}}}"#,
    ),
    call(
        "call_transcript",
        r#"{"id":"$call_id","event":"call_transcription_available","timestamp":"$time","call_transcript":{"document":{"mime_type":"$mime_type[application/json]","sha256":"U2FtcGxlIG9mIGEgY2FsbA==","id":"$media_id[630000000000009]","url":"https://media.example/?mid=$media_id[630000000000009]"}}}"#,
    ),
    call_status(
        "call_ringing",
        r#"{"id":"$call_id","type":"call","status":"RINGING","timestamp":"$time",$recipient"recipient_user_id":"$user_id","recipient_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","biz_opaque_callback_data":"$callback_data[sample-callback]"}"#,
    ),
    call_status(
        "call_accepted",
        r#"{"id":"$call_id","type":"call","status":"ACCEPTED","timestamp":"$time",$recipient"recipient_user_id":"$user_id","parent_recipient_user_id":"$parent_user_id[DE.ENT.SampleParent01]"}"#,
    ),
    call_status(
        "call_rejected",
        r#"{"id":"$call_id","type":"call","status":"REJECTED","timestamp":"$time",$recipient"recipient_user_id":"$user_id","errors":[$error]}"#,
    ),
    listed("call_error", "calls", r#"{$pn,"errors":[$each]}"#, "$error"),
    listed(
        "group_created",
        "group_lifecycle_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_create","request_id":"SampleRequest$n","subject":"Samples","description":"A group of samples","invite_link":"https://chat.example/SampleInvite01","join_approval_mode":"approval_required"}"#,
    ),
    // As in Meta's OpenAPI: the members of the group stand next to its participants.
    listed(
        "group_created_with_participants",
        "group_lifecycle_update",
        GROUPS,
        r#"{"timestamp":$time,"group_id":"$group_id[SampleGroup01]","type":"group_create","request_id":"SampleRequest$n","subject":"Samples","description":"A group of samples","invite_link":"https://chat.example/SampleInvite01","join_approval_mode":"auto_approve","added_participants":[{"input":"$user","wa_id":"$user"}],"failed_participants":[{"input":"12025550104","errors":[{"code":"$error_code[131000]","title":"Something went wrong","message":"Something went wrong","error_data":{"details":"Not to be added."}}]}]}"#,
    ),
    listed(
        "group_partly_joined",
        "group_participants_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_participants_add","request_id":"SampleRequest$n","added_participants":[{"wa_id":"$user","user_id":"$user_id"}],"failed_participants":[{"input":"12025550104"}],"errors":[{"code":"$error_code[131000]","title":"Something went wrong","message":"Something went wrong","error_data":{"details":"Not all could be added."}}]}"#,
    ),
    // As in Meta's group documentation: the error code is a string.
    listed(
        "group_not_created",
        "group_lifecycle_update",
        GROUPS,
        r#"{"timestamp":$time,"type":"group_create","request_id":"SampleRequest$n","subject":"Samples","errors":[{"code":"$error_code[131000]","title":"Something went wrong","message":"Something went wrong","error_data":{"details":"No group was made."}}]}"#,
    ),
    listed(
        "group_deleted",
        "group_lifecycle_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_delete","request_id":"SampleRequest$n"}"#,
    ),
    listed(
        "group_error",
        "group_lifecycle_update",
        r#"{$pn,"errors":[$each]}"#,
        "$error",
    ),
    listed(
        "group_joined",
        "group_participants_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_participants_add","reason":"invite_link","added_participants":[{$wa_id"user_id":"$user_id","parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","username":"$username[zoe.sample]"}]}"#,
    ),
    listed(
        "group_removed",
        "group_participants_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_participants_remove","request_id":"SampleRequest$n","initiated_by":"business","removed_participants":[{"input":"$user","wa_id":"$user"}],"failed_participants":[{"input":"12025550104","errors":[{"code":"$error_code[131000]","title":"Something went wrong","message":"Something went wrong","error_data":{"details":"Not a participant."}}]}]}"#,
    ),
    // The member names of Meta's OpenAPI.
    listed(
        "group_joined_openapi",
        "group_participant_update",
        GROUPS,
        r#"{"timestamp":$time,"group_id":"$group_id[SampleGroup01]","type":"group_add_participants","added_participants":[{"input":"$user","wa_id":"$user"}]}"#,
    ),
    listed(
        "group_left_openapi",
        "group_participant_update",
        GROUPS,
        r#"{"timestamp":$time,"group_id":"$group_id[SampleGroup01]","type":"group_remove_participants","initiated_by":"participant","removed_participants":[{"wa_id":"$user"}]}"#,
    ),
    listed(
        "group_removal_failed",
        "group_participants_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_participants_remove","request_id":"SampleRequest$n","reason":"invite_link","initiated_by":"business","errors":[$error]}"#,
    ),
    listed(
        "group_join_request",
        "group_participants_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_join_request_created","join_request_id":"SampleJoin01",$wa_id"user_id":"$user_id","parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","username":"$username[zoe.sample]"}"#,
    ),
    listed(
        "group_join_request_revoked",
        "group_participants_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_join_request_revoked","join_request_id":"SampleJoin01","wa_id":"$user"}"#,
    ),
    listed(
        "group_settings",
        "group_settings_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_settings_update","request_id":"SampleRequest$n","profile_picture":{"mime_type":"$mime_type[image/jpeg]","sha256":"U2FtcGxlIG9mIGEgcGljdHVyZQ==","update_successful":true},"group_subject":{"text":"More samples","update_successful":true},"group_description":{"text":"A group of more samples","update_successful":false,"errors":[{"code":"$error_code[131000]","title":"Something went wrong","message":"Something went wrong"}]}}"#,
    ),
    listed(
        "group_suspended",
        "group_status_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_suspend"}"#,
    ),
    listed(
        "group_suspension_cleared",
        "group_status_update",
        GROUPS,
        r#"{"timestamp":"$time","group_id":"$group_id[SampleGroup01]","type":"group_suspend_cleared"}"#,
    ),
    listed(
        "history_text",
        "history",
        HISTORY,
        r#"{"from":"$number",$to"to_user_id":"$user_id","id":"$id","timestamp":"$time","type":"text","text":{"body":"$text"},"history_context":{"status":"READ"}}"#,
    ),
    listed(
        "history_answer",
        "history",
        HISTORY,
        r#"{"context":{"from":"$number","id":"$context_id[wamid.SAMPLEQUOTED]"},$from"from_user_id":"$user_id","id":"$id","timestamp":"$time","type":"text","text":{"body":"$text"},"referral":{"source_url":"https://ads.example/1","source_id":"620000000000001","source_type":"ad"},"history_context":{"status":"PLAYED"}}"#,
    ),
    listed(
        "history_placeholder",
        "history",
        HISTORY,
        r#"{$from"from_user_id":"$user_id","id":"$id","timestamp":"$time","type":"media_placeholder","history_context":{"status":"DELIVERED"}}"#,
    ),
    listed(
        "history_unavailable",
        "history",
        HISTORY,
        r#"{$from"from_user_id":"$user_id","id":"$id","timestamp":"$time","type":"unsupported","errors":[{"code":$error_code[131060],"title":"This message is unavailable","message":"This message is unavailable"}],"history_context":{"status":"ERROR"}}"#,
    ),
    // The media message that replaces a placeholder.
    listed(
        "history_media",
        "history",
        r#"{$pn,$contacts,"messages":[$each]}"#,
        r#"{$from"from_user_id":"$user_id","id":"$id","timestamp":"$time","type":"image","image":{"mime_type":"$mime_type[image/jpeg]","sha256":"5361","id":"$media_id[630000000000010]"}}"#,
    ),
    listed(
        "history_media_echo",
        "history",
        r#"{$pn,$contacts,"message_echoes":[$each]}"#,
        r#"{"from":"$number","to":"$user","id":"$id","timestamp":"$time","type":"image","image":{"mime_type":"$mime_type[image/jpeg]","sha256":"5361","id":"$media_id[630000000000011]"}}"#,
    ),
    listed(
        "history_progress",
        "history",
        r#"{$pn,"history":[$each]}"#,
        r#"{"metadata":{"phase":2,"chunk_order":$n,"progress":100},"threads":[]}"#,
    ),
    listed(
        "history_declined",
        "history",
        r#"{$pn,"history":[{"errors":[$each]}]}"#,
        r#"{"code":$error_code[2593109],"title":"No history is shared","message":"No history is shared","error_data":{"details":"The business does not share it, number $n"}}"#,
    ),
    listed(
        "app_contact_added",
        "smb_app_state_sync",
        STATE_SYNC,
        r#"{"type":"contact","contact":{"full_name":"$profile_name[Zoë Sample]","first_name":"Zoë","phone_number":"$user","user_id":"$user_id","parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","username":"$username[zoe.sample]"},"action":"add","metadata":{"timestamp":"$time"}}"#,
    ),
    listed(
        "app_contact_removed",
        "smb_app_state_sync",
        STATE_SYNC,
        r#"{"type":"contact","contact":{"phone_number":"$user"},"action":"remove","metadata":{"timestamp":$time,"version":3}}"#,
    ),
    listed(
        "app_echo",
        "smb_message_echoes",
        ECHOES,
        r#"{"context":{$from"id":"$context_id[wamid.SAMPLEQUOTED]"},"from":"$number",$to"to_user_id":"$user_id","to_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","id":"$id","timestamp":"$time","type":"text","text":{"body":"$text"}}"#,
    ),
    listed(
        "app_echo_edit",
        "smb_message_echoes",
        ECHOES,
        r#"{"from":"$number","to":"$user","id":"$id","timestamp":"$time","type":"edit","edit":{"original_message_id":"$context_id[wamid.SAMPLEQUOTED]","message":{"type":"image","image":{"caption":"$caption[A sample of a picture]","mime_type":"$mime_type[image/jpeg]","sha256":"U2FtcGxlIG9mIGEgcGljdHVyZQ==","id":"$media_id[630000000000001]"}}}}"#,
    ),
    listed(
        "app_echo_revoke",
        "smb_message_echoes",
        ECHOES,
        r#"{"from":"$number","to":"$user","id":"$id","timestamp":"$time","type":"revoke","revoke":{"original_message_id":"$context_id[wamid.SAMPLEQUOTED]"}}"#,
    ),
    listed(
        "app_echo_unsupported",
        "smb_message_echoes",
        ECHOES,
        r#"{"from":"$number","to":"$user","id":"$id","timestamp":"$time","type":"unsupported","errors":[$error]}"#,
    ),
    listed(
        "app_echo_error",
        "smb_message_echoes",
        r#"{$pn,"errors":[$each]}"#,
        "$error",
    ),
    listed(
        "echo",
        "message_echoes",
        ECHOES,
        r#"{"from":"$number","to":"$user","id":"$id","timestamp":"$time","type":"text","text":{"body":"$text"},"message_creation_type":"created_by_1p_bot"}"#,
    ),
    listed(
        "echo_error",
        "message_echoes",
        r#"{$pn,"errors":[$each]}"#,
        "$error",
    ),
    untimed(
        "control_passed",
        "messaging_handovers",
        r#"{"messaging_product":"whatsapp","sender":{"phone_number":"$user","user_id":"$user_id","parent_user_id":"DE.ENT.SampleParent01"},"recipient":{"phone_number_id":"$number_id","display_phone_number":"$number"},"type":"control_passed","timestamp":"$time","control_passed":{"previous_owner_role":"ai_agent","new_owner_role":"escalation","metadata":"Wants a person.","conversation_context":{"type":"summary","summary":{"text":"Asked for the price of a sample."}}}}"#,
    ),
    untimed(
        "control_taken",
        "messaging_handovers",
        r#"{"messaging_product":"whatsapp","sender":{"phone_number":"$user"},"recipient":{"phone_number_id":"$number_id","display_phone_number":"$number"},"type":"control_taken","timestamp":"$time","control_taken":{"previous_owner_role":"marketing","new_owner_role":"customer_service"}}"#,
    ),
    untimed(
        "control_shared",
        "messaging_handovers",
        r#"{"messaging_product":"whatsapp","recipient":{"phone_number_id":"$number_id","display_phone_number":"$number"},"type":"control_shared","timestamp":"$time","control_shared":{"new_owner_role":"escalation","new_owner_app_role":"meta_business_agent"}}"#,
    ),
    untimed(
        "control_passed_old",
        "messaging_handovers",
        r#"{"messaging_product":"whatsapp","recipient":{"phone_number_id":"$number_id","display_phone_number":"$number"},"sender":{"phone_number":"$user"},"timestamp":"$time","control_passed":{"previous_owner_app_id":"840000000000001","new_owner_app_id":"840000000000002","previous_owner_app_role":"meta_business_agent","new_owner_app_role":"customer_service","metadata":"Wants a person."}}"#,
    ),
    listed(
        "standby_message",
        "standby",
        r#"{$pn,"standby":{$contacts,"messages":[$each]}}"#,
        r#"{$head,"type":"text","text":{"body":"$text"}}"#,
    ),
    listed(
        "standby_status",
        "standby",
        r#"{$pn,"standby":{"statuses":[$each]}}"#,
        r#"{"id":"$id","status":"$state[delivered]","timestamp":"$time",$recipient"recipient_user_id":"$user_id"}"#,
    ),
    listed(
        "standby_echo",
        "standby",
        r#"{$pn,"standby":{"message_echoes":[$each]}}"#,
        r#"{"id":"$id","timestamp":"$time","message":{"messaging_product":"whatsapp","to":"$user","type":"text","text":{"body":"$text"}},"template":{"name":"sample_order","language":{"code":"en_US"}},"flow":{"id":"670000000000001"}}"#,
    ),
    listed(
        "user_stop",
        "user_preferences",
        PREFERENCES,
        r#"{$wa_id"user_id":"$user_id","parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","detail":"The user wants no marketing messages","category":"marketing_messages","value":"stop","timestamp":$time}"#,
    ),
    listed(
        "user_resume",
        "user_preferences",
        PREFERENCES,
        r#"{$wa_id"user_id":"$user_id","detail":"The user wants marketing messages again","category":"marketing_messages","value":"resume","timestamp":$time}"#,
    ),
    listed(
        "user_signup",
        "user_preferences",
        PREFERENCES,
        r#"{$wa_id"user_id":"$user_id","detail":"The user signed up in an app","category":"marketing_messages","value":"signup","timestamp":$time,"signup_id":"870000000000001"}"#,
    ),
    listed(
        "user_id_update",
        "user_id_update",
        r#"{$pn,$contacts,"user_id_update":[$each]}"#,
        r#"{"wa_id":"$user","detail":"User id changed","user_id":{"previous":"US.SampleUser0000","current":"$user_id"},"parent_user_id":{"previous":"US.ENT.SampleParent00","current":"US.ENT.SampleParent01"},"timestamp":"$time"}"#,
    ),
    listed(
        "automatic_purchase",
        "automatic_events",
        r#"{$pn,"automatic_events":[$each]}"#,
        r#"{"id":"$id","event_name":"Purchase","timestamp":$time,"ctwa_clid":"SampleClick01","custom_data":{"currency":"EUR","value":25.5}}"#,
    ),
    listed(
        "automatic_lead",
        "automatic_events",
        r#"{$pn,"automatic_events":[$each]}"#,
        r#"{"id":"$id","event_name":"LeadSubmitted","timestamp":$time,"ctwa_clid":"SampleClick01"}"#,
    ),
    listed(
        "tracking_event",
        "tracking_events",
        r#"{$pn,"events":[$each]}"#,
        r#"{"event_name":"sent","timestamp":$time,"tracking_data":{"click_id":"SampleClick01","tracking_token":"SampleToken01"}}"#,
    ),
];
