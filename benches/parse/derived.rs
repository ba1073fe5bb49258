//! The same keys as structs derived by serde: the first version that one writes by hand. It does
//! less than this crate: one unexpected value fails the whole body, unknown keys are lost, and
//! contacts are not matched with messages.

use serde::Deserialize;

macro_rules! object {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            #[derive(Deserialize)]
            #[serde(default)]
            #[derive(Default)]
            #[allow(dead_code, reason = "only the cost of creating them is measured")]
            $(#[$meta])*
            pub(crate) struct $name {
                $($(#[$field_meta])* $field: $type,)*
            }
        )*
    };
}

type Text = Option<String>;

object! {
    Delivery { object: Text, entry: Vec<Entry>, }
    Entry { id: Text, time: Option<u64>, changes: Vec<Change>, }
    Change { field: Text, value: Value, }
    Value {
        messaging_product: Text, metadata: Option<Metadata>, contacts: Vec<Contact>, messages: Vec<Message>, statuses: Vec<Status>,
        errors: Vec<Error>,
        event: Text, message_template_id: Option<u64>, message_template_name: Text, message_template_language: Text,
        message_template_category: Text, reason: Text, disable_info: Option<DisableInfo>, other_info: Option<OtherInfo>,
        rejection_info: Option<RejectionInfo>,
    }
    Metadata { display_phone_number: Text, phone_number_id: Text, }
    Contact { profile: Option<Profile>, wa_id: Text, user_id: Text, parent_user_id: Text, identity_key_hash: Text, }
    Profile { name: Text, username: Text, country_code: Text, }
    Message {
        id: Text, from: Text, from_user_id: Text, from_parent_user_id: Text, from_logical_id: Text, group_id: Text, timestamp: Text,
        #[serde(rename = "type")] kind: Text,
        context: Option<Context>, referral: Option<Referral>, errors: Vec<Error>, identity: Option<Identity>,
        text: Option<TextBody>, image: Option<Media>, audio: Option<Media>, video: Option<Media>, document: Option<Media>,
        sticker: Option<Media>, order: Option<Order>,
    }
    TextBody { body: Text, }
    Media {
        id: Text, mime_type: Text, sha256: Text, caption: Text, filename: Text, url: Text, voice: Option<bool>, animated: Option<bool>,
    }
    Order { catalog_id: Text, text: Text, product_items: Vec<OrderItem>, }
    OrderItem { product_retailer_id: Text, quantity: Option<i64>, item_price: Option<f64>, currency: Text, }
    Context { from: Text, id: Text, forwarded: Option<bool>, frequently_forwarded: Option<bool>, }
    Referral {
        source_url: Text, source_id: Text, source_type: Text, headline: Text, body: Text, media_type: Text, image_url: Text,
        video_url: Text, thumbnail_url: Text, ctwa_clid: Text,
    }
    Identity { acknowledged: Option<bool>, created_timestamp: Option<u64>, hash: Text, }
    Error { code: Option<i64>, title: Text, message: Text, error_data: Option<ErrorData>, href: Text, }
    ErrorData { details: Text, }
    Status {
        id: Text, status: Text, timestamp: Text, recipient_id: Text, recipient_type: Text, recipient_user_id: Text,
        recipient_parent_user_id: Text, recipient_participant_id: Text, recipient_participant_user_id: Text,
        recipient_participant_parent_user_id: Text, recipient_identity_key_hash: Text, group_id: Text,
        biz_opaque_callback_data: Text, #[serde(rename = "type")] kind: Text, template_id: Text,
        conversation: Option<Conversation>, pricing: Option<Pricing>, errors: Vec<Error>,
    }
    Conversation { id: Text, expiration_timestamp: Text, origin: Option<Origin>, }
    Origin { #[serde(rename = "type")] kind: Text, }
    Pricing { billable: Option<bool>, pricing_model: Text, #[serde(rename = "type")] kind: Text, category: Text, }
    DisableInfo { disable_date: Text, }
    OtherInfo { title: Text, description: Text, }
    RejectionInfo { reason: Text, recommendation: Text, }
}
