//! Field `messages`, except the statuses.

use super::super::template::{Template, listed};

const MESSAGES: &str = r#"{$pn,$contacts,"messages":[$each]}"#;

const fn message(name: &'static str, element: &'static str) -> Template {
    listed(name, "messages", MESSAGES, element)
}

/// A message whose type Meta does not support in webhooks.
macro_rules! unsupported {
    ($name:literal, $type:literal) => {
        message(
            $name,
            concat!(
                r#"{$sent,"type":"unsupported","unsupported":{"type":""#,
                $type,
                r#""},"errors":[{"code":$error_code[131051],"title":"Message type unknown","message":"Message type unknown","error_data":{"details":"A sample that is not passed on."}}]}"#
            ),
        )
    };
}

pub(super) const TEMPLATES: &[Template] = &[
    message("text", r#"{$head,"type":"text","text":{"body":"$text"}}"#),
    listed(
        "bsuid_only",
        "messages",
        r#"{$pn,$hidden,"messages":[$each]}"#,
        r#"{"from_user_id":"$user_id","id":"$id","timestamp":"$time","type":"text","text":{"body":"$text"}}"#,
    ),
    listed(
        "parent_user_id",
        "messages",
        r#"{$pn,"contacts":[{"profile":{"name":"$profile_name[Zoë Sample]","username":"$username[@zoe.sample]","country_code":"DE"},$wa_id"user_id":"$user_id","parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","identity_key_hash":"SampleHash01="}],"messages":[$each]}"#,
        r#"{$from"from_user_id":"$user_id","from_parent_user_id":"$parent_user_id[DE.ENT.SampleParent01]","id":"$id","timestamp":"$time","type":"text","text":{"body":"$text"}}"#,
    ),
    message(
        "group_text",
        r#"{$head,"group_id":"$group_id[SampleGroup01]","type":"text","text":{"body":"$text"}}"#,
    ),
    message(
        "quoted_text",
        r#"{"context":{"from":"$number","id":"$context_id[wamid.SAMPLEQUOTED]","referred_product":{"catalog_id":"610000000000001","product_retailer_id":"sample-product-1"}},$sent,"type":"text","text":{"body":"$text"}}"#,
    ),
    message(
        "forwarded_text",
        r#"{"context":{"forwarded":true},$sent,"type":"text","text":{"body":"$text"}}"#,
    ),
    message(
        "often_forwarded_text",
        r#"{"context":{"frequently_forwarded":true},$sent,"type":"text","text":{"body":"$text"}}"#,
    ),
    message(
        "ad_text",
        r#"{$head,"type":"text","text":{"body":"$text"},"referral":{"source_url":"https://ads.example/1","source_id":"620000000000001","source_type":"ad","headline":"A sample of an ad","body":"Write to us","media_type":"video","image_url":"https://ads.example/1.jpg","video_url":"https://ads.example/1.mp4","thumbnail_url":"https://ads.example/1.small.jpg","ctwa_clid":"SampleClick01","welcome_message":{"text":"Welcome!"},"ref":"sample-campaign"}}"#,
    ),
    message(
        "identity_text",
        r#"{$head,"identity":{"acknowledged":true,"created_timestamp":"$time","hash":"SampleHash01="},"type":"text","text":{"body":"$text"}}"#,
    ),
    listed(
        "routed_text",
        "messages",
        r#"{$pn,$contacts,"messages":[$each],"conversation_context":{"type":"summary","summary":{"text":"Asked for the price of a sample."}}}"#,
        r#"{$head,"type":"text","text":{"body":"$text"}}"#,
    ),
    message(
        "image",
        r#"{$head,"type":"image","image":{"caption":"$caption[A sample of a picture]","mime_type":"$mime_type[image/jpeg]","sha256":"U2FtcGxlIG9mIGEgcGljdHVyZQ==","id":"$media_id[630000000000001]","url":"https://media.example/?mid=$media_id[630000000000001]"}}"#,
    ),
    message(
        "audio",
        r#"{$head,"type":"audio","audio":{"mime_type":"$mime_type[audio/ogg; codecs=opus]","sha256":"U2FtcGxlIG9mIGEgc291bmQ=","id":"$media_id[630000000000002]","url":"https://media.example/?mid=$media_id[630000000000002]","voice":true}}"#,
    ),
    message(
        "voice",
        r#"{$head,"type":"voice","voice":{"mime_type":"$mime_type[audio/ogg; codecs=opus]","sha256":"U2FtcGxlIG9mIGEgc291bmQ=","id":"$media_id[630000000000003]"}}"#,
    ),
    message(
        "voicemail",
        r#"{$from"from_user_id":"$user_id","id":"$call_id","timestamp":"$time","type":"audio","audio":{"mime_type":"$mime_type[audio/ogg; codecs=opus]","sha256":"U2FtcGxlIG9mIGEgc291bmQ=","id":"$media_id[630000000000004]"}}"#,
    ),
    message(
        "video",
        r#"{$head,"type":"video","video":{"caption":"$caption[A sample of a video]","mime_type":"$mime_type[video/mp4]","sha256":"U2FtcGxlIG9mIGEgdmlkZW8=","id":"$media_id[630000000000005]"}}"#,
    ),
    message(
        "document",
        r#"{$head,"type":"document","document":{"caption":"$caption[A sample of a file]","filename":"$filename[sample.pdf]","mime_type":"$mime_type[application/pdf]","sha256":"U2FtcGxlIG9mIGEgZmlsZQ==","id":"$media_id[630000000000006]"}}"#,
    ),
    message(
        "sticker",
        r#"{$head,"type":"sticker","sticker":{"mime_type":"$mime_type[image/webp]","sha256":"U2FtcGxlIG9mIGEgc3RpY2tlcg==","id":"$media_id[630000000000007]","animated":false}}"#,
    ),
    message(
        "location",
        r#"{$head,"type":"location","location":{"latitude":52.5,"longitude":-13.25,"name":"Sample Café","address":"1 Sample Street","url":"https://cafe.example/"}}"#,
    ),
    message(
        "contacts",
        r#"{$head,"type":"contacts","contacts":[{"name":{"formatted_name":"Dr. Ida B. Sample Jr.","first_name":"Ida","middle_name":"B.","last_name":"Sample","prefix":"Dr.","suffix":"Jr."},"addresses":[{"street":"1 Sample Street","city":"Sampleton","state":"SA","zip":"01234","country":"Germany","country_code":"de","type":"HOME"}],"birthday":"1990-01-31","emails":[{"email":"ida@mail.example","type":"WORK"}],"org":{"company":"Samples Ltd","department":"Tests","title":"Tester"},"phones":[{"phone":"+1 202-555-0102","wa_id":"12025550102","user_id":"US.SampleUser0002","type":"CELL"}],"urls":[{"url":"https://ida.example/","type":"WORK"}],"vcard":"BEGIN:VCARD\nEND:VCARD","origin":"other"}]}"#,
    ),
    message(
        "button",
        r#"{"context":{"from":"$number","id":"$context_id[wamid.SAMPLEQUOTED]"},$sent,"type":"button","button":{"text":"$title[No more of it]","payload":"$button_id[sample-stop]"}}"#,
    ),
    message(
        "button_reply",
        r#"{"context":{"from":"$number","id":"$context_id[wamid.SAMPLEQUOTED]"},$sent,"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"$button_id[sample-yes]","title":"$title[Yes]"}}}"#,
    ),
    message(
        "list_reply",
        r#"{"context":{"from":"$number","id":"$context_id[wamid.SAMPLEQUOTED]"},$sent,"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"$list_id[sample-row]","title":"$title[A row]","description":"The row of a sample"}}}"#,
    ),
    message(
        "flow_reply",
        r#"{"context":{"from":"$number","id":"$context_id[wamid.SAMPLEQUOTED]"},$sent,"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent","response_json":"$response_json[{\"flow_token\":\"sample-token\",\"answer\":1}]"}}}"#,
    ),
    message(
        "call_permission_accept",
        r#"{"context":{$from"id":"$context_id[wamid.SAMPLEQUOTED]"},$sent,"type":"interactive","interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"accept","is_permanent":false,"expiration_timestamp":"$time","response_source":"user_action"}}}"#,
    ),
    // A question about a catalog product.
    message(
        "product",
        r#"{$head,"type":"interactive","interactive":{"type":"product","product":{"catalog_id":"610000000000001","product_retailer_id":"sample-product-1"},"body":{"text":"$text[Is it there in blue?]"}}}"#,
    ),
    // As on Meta's page about call permissions: the message has no `type`.
    message(
        "call_permission_reject",
        r#"{"context":{$from"id":"$context_id[wamid.SAMPLEQUOTED]"},$sent,"interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"reject","response_source":"user_action"}}}"#,
    ),
    message(
        "payment_method",
        r#"{$from"from_user_id":"$user_id","from_logical_id":"640000000000001","id":"$id","timestamp":"$time","type":"interactive","interactive":{"type":"payment_method","payment_method":{"payment_method":"offsite_card_pay","payment_timestamp":$time,"reference_id":"$reference_id[sample-order-1]","last_four_digits":"0000","credential_id":"650000000000001"}}}"#,
    ),
    message(
        "order",
        r#"{$head,"type":"order","order":{"catalog_id":"610000000000001","text":"$text[Two of these]","product_items":[{"product_retailer_id":"sample-product-1","quantity":2,"item_price":4.5,"currency":"EUR"}]}}"#,
    ),
    message(
        "reaction",
        r#"{$sent,"type":"reaction","reaction":{"message_id":"$context_id[wamid.SAMPLEQUOTED]","emoji":"$emoji[👍]"}}"#,
    ),
    message(
        "reaction_removed",
        r#"{$sent,"type":"reaction","reaction":{"message_id":"$context_id[wamid.SAMPLEQUOTED]"}}"#,
    ),
    listed(
        "changed_number",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{$sent,"type":"system","system":{"body":"User Zoë Sample changed from $user to 12025550103","wa_id":"12025550103","type":"user_changed_number"}}"#,
    ),
    listed(
        "changed_user_id",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{$sent,"type":"system","system":{"body":"User Zoë Sample changed user id","user_id":"US.SampleUser0003","parent_user_id":"US.ENT.SampleParent03","type":"user_changed_user_id"}}"#,
    ),
    // Since August 2026 the previous ids are present too. Without a phone number they are the only
    // link between the old and the new user id.
    listed(
        "changed_number_ids",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{"from":"$user","from_user_id":"US.SampleUser0003","id":"$id","timestamp":"$time","type":"system","system":{"body":"User Zoë Sample changed from $user to 12025550103","wa_id":"12025550103","type":"user_changed_number","previous_user_id":"$user_id","user_id":"US.SampleUser0003"}}"#,
    ),
    // The same for a user who hides the phone number: it is an empty string.
    listed(
        "changed_number_hidden",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{"from":"","id":"$id","timestamp":"$time","type":"system","system":{"wa_id":"","type":"user_changed_number","previous_user_id":"$user_id","user_id":"US.SampleUser0003"}}"#,
    ),
    listed(
        "changed_user_id_hidden",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{"from_user_id":"$user_id","from_parent_user_id":"$parent_user_id[US.ENT.SampleParent01]","id":"$id","timestamp":"$time","type":"system","system":{"body":"User Zoë Sample changed user id","type":"user_changed_user_id","previous_user_id":"$user_id","user_id":"US.SampleUser0003","previous_parent_user_id":"$parent_user_id[US.ENT.SampleParent01]","parent_user_id":"US.ENT.SampleParent03"}}"#,
    ),
    listed(
        "changed_identity",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{$sent,"type":"system","system":{"body":"The security code of Zoë Sample changed","type":"user_identity_changed","user_id":"$user_id"}}"#,
    ),
    listed(
        "changed_number_old",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{"from":"$user","id":"$id","timestamp":"$time","type":"system","system":{"body":"$user changed to 12025550103","new_wa_id":12025550103,"type":"customer_changed_number"}}"#,
    ),
    listed(
        "changed_identity_old",
        "messages",
        r#"{$pn,"messages":[$each]}"#,
        r#"{"from":"$user","id":"$id","timestamp":"$time","type":"system","system":{"body":"$user changed keys","identity":"SampleHash02=","customer":"$user","type":"customer_identity_changed"}}"#,
    ),
    message("request_welcome", r#"{$sent,"type":"request_welcome"}"#),
    message(
        "unsupported",
        r#"{$sent,"type":"unsupported","unsupported":{"type":"poll"},"errors":[{"code":$error_code[131051],"title":"Message type unknown","message":"Message type unknown","error_data":{"details":"A sample of a poll."}}]}"#,
    ),
    unsupported!("unsupported_button", "button"),
    unsupported!("unsupported_edit", "edit"),
    unsupported!("unsupported_errors", "errors"),
    unsupported!("unsupported_gif", "gif"),
    unsupported!("unsupported_group_invite", "group_invite"),
    unsupported!("unsupported_hsm", "hsm"),
    unsupported!("unsupported_image", "image"),
    unsupported!("unsupported_interactive", "interactive"),
    unsupported!("unsupported_keep_in_chat", "keep_in_chat"),
    unsupported!("unsupported_link_preview", "link_preview"),
    unsupported!("unsupported_list", "list"),
    unsupported!("unsupported_location", "location"),
    unsupported!("unsupported_media_placeholder", "media_placeholder"),
    unsupported!("unsupported_order", "order"),
    unsupported!("unsupported_pin", "pin"),
    unsupported!("unsupported_poll_creation", "poll_creation"),
    unsupported!("unsupported_poll_update", "poll_update"),
    unsupported!("unsupported_product", "product"),
    unsupported!("unsupported_reaction", "reaction"),
    message(
        "unsupported_old",
        r#"{"from":"$user","id":"$id","timestamp":"$time","type":"unknown","errors":[{"code":$error_code[131051],"details":"A sample of an old one","title":"Message type unknown"}]}"#,
    ),
    message(
        "edit",
        r#"{$sent,"type":"edit","edit":{"original_message_id":"$context_id[wamid.SAMPLEQUOTED]","message":{"context":{"id":"wamid.SAMPLEEARLIER"},"type":"text","text":{"body":"$text"}}}}"#,
    ),
    message(
        "revoke",
        r#"{$sent,"type":"revoke","revoke":{"original_message_id":"$context_id[wamid.SAMPLEQUOTED]"}}"#,
    ),
    message("ephemeral", r#"{$sent,"type":"ephemeral"}"#),
    listed("error", "messages", r#"{$pn,"errors":[$each]}"#, "$error"),
    listed(
        "link_click",
        "messages",
        r#"{$pn,$contacts,"user_actions":[$each]}"#,
        r#"{"action_type":"marketing_messages_link_click","timestamp":"$time","marketing_messages_link_click_data":{"click_component":"cta","product_id":"sample-product-1","click_id":"SampleClick01","tracking_token":"SampleToken01","client_user_agent":"Mozilla/5.0 (Sample)"}}"#,
    ),
    listed(
        "landing_page_view",
        "messages",
        r#"{$pn,$contacts,"user_actions":[$each]}"#,
        r#"{"action_type":"landing_page_view","timestamp":"$time","marketing_messages_link_click_data":{"click_id":"SampleClick02","tracking_token":"SampleToken02","client_user_agent":"Mozilla/5.0 (Sample)"}}"#,
    ),
    message(
        "unknown_type",
        r#"{$head,"type":"hologram","hologram":{"depth":3}}"#,
    ),
    message(
        "unknown_interactive",
        r#"{$head,"type":"interactive","interactive":{"type":"hologram_reply","hologram_reply":{"depth":3}}}"#,
    ),
    message("unknown_shape", r#""not an object""#),
    listed(
        "unknown_list",
        "messages",
        r#"{$pn,$contacts,"holograms":[$each]}"#,
        r#"{"id":"$id","timestamp":"$time","depth":3}"#,
    ),
    listed(
        "unknown_field",
        "holograms",
        "$each",
        r#"{$pn,"id":"$id","depth":3}"#,
    ),
];
