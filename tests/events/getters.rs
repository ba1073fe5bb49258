//! Each key has a unique value here. This detects getters that read a neighbouring key, and
//! spellings that were dropped.

use tower_whatsapp::{
    Event, Notification, Payload,
    event::{Content, Message, Quality, Status},
};

fn event(field: &str, value: &str) -> Event {
    let body = format!(r#"{{"entry":[{{"changes":[{{"field":"{field}","value":{value}}}]}}]}}"#);
    let notification = Notification::parse(body).unwrap();
    let [event] = notification.events() else {
        panic!("{value}");
    };
    assert!(event.is_known(), "{value}");
    event.clone()
}

fn message_event(members: &str) -> Event {
    event("messages", &format!(r#"{{"messages":[{{{members}}}]}}"#))
}

fn message(event: &Event) -> Message<'_> {
    match event.payload() {
        Payload::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn status_event(members: &str) -> Event {
    event("messages", &format!(r#"{{"statuses":[{{{members}}}]}}"#))
}

fn status(event: &Event) -> Status<'_> {
    match event.payload() {
        Payload::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// `$payload` is the variant of the event's kind.
macro_rules! payload {
    ($event:expr, $kind:ident) => {
        match $event.payload() {
            Payload::$kind(payload) => payload,
            other => panic!("{other:?}"),
        }
    };
}

/// Each field has its own name as its value.
macro_rules! assert_named {
    ($object:expr, $($field:ident),+) => {
        $(assert_eq!($object.$field, Some(stringify!($field)));)+
    };
}

#[test]
fn in_a_message() {
    let event = event(
        "messages",
        r#"{"contacts":[{"wa_id":"from"}],"messages":[{"id":"id","from":"from","from_user_id":"from_user_id","from_parent_user_id":"from_parent_user_id",
           "from_logical_id":"from_logical_id","group_id":"group_id","type":"location",
           "location":{"latitude":1.5,"longitude":2.5,"name":"name","address":"address","url":"url"},
           "context":{"from":"from","id":"id","referred_product":{"catalog_id":"catalog_id","product_retailer_id":"product_retailer_id"}},
           "referral":{"source_url":"source_url","source_id":"source_id","source_type":"source_type","headline":"headline","body":"body",
             "media_type":"media_type","image_url":"image_url","video_url":"video_url","thumbnail_url":"thumbnail_url",
             "ctwa_clid":"ctwa_clid","ref":"reference"},
           "errors":[{"code":1,"title":"title","message":"message","href":"href","error_data":{"details":"details"}}]}]}"#,
    );
    let message = message(&event);
    assert_named!(message, id, group_id);
    assert_eq!(message.sender.phone, Some("from"));
    assert_eq!(message.sender.logical_id, Some("from_logical_id"));
    assert_eq!(message.sender.user_id(), Some("from_user_id"));
    assert_eq!(message.sender.parent_user_id(), Some("from_parent_user_id"));
    let Content::Location(location) = message.content else {
        panic!("{message:?}");
    };
    assert_eq!(
        (location.latitude, location.longitude),
        (Some(1.5), Some(2.5))
    );
    assert_named!(location, name, address, url);
    let context = message.context.unwrap();
    assert_named!(context, from, id);
    assert_named!(
        context.referred_product.unwrap(),
        catalog_id,
        product_retailer_id
    );
    let referral = message.referral.unwrap();
    assert_named!(
        referral,
        source_url,
        source_id,
        source_type,
        headline,
        body,
        media_type
    );
    assert_named!(
        referral,
        image_url,
        video_url,
        thumbnail_url,
        ctwa_clid,
        reference
    );
    let error = message.errors.first().unwrap();
    assert_named!(error, title, message, href);
    assert_eq!(error.details(), Some("details"));
}

#[test]
fn in_contents() {
    let media = r#"{"id":"id","mime_type":"mime_type","sha256":"sha256","caption":"caption","filename":"filename","url":"url"}"#;
    for tag in ["image", "audio", "voice", "video", "document", "sticker"] {
        let event = message_event(&format!(r#""type":"{tag}","{tag}":{media}"#));
        let media = message(&event).content.media().unwrap();
        assert_named!(media, id, mime_type, sha256, caption, filename, url);
    }
    let event = message_event(
        r#""type":"contacts","contacts":[{"name":{"formatted_name":"formatted_name","first_name":"first_name","last_name":"last_name",
             "middle_name":"middle_name","prefix":"prefix","suffix":"suffix"},"birthday":"birthday","vcard":"vcard","origin":"origin",
             "org":{"company":"company","department":"department","title":"title"},
             "addresses":[{"street":"street","city":"city","state":"state","zip":"zip","country":"country","country_code":"country_code","type":"kind"}],
             "emails":[{"email":"email","type":"kind"}],"urls":[{"url":"url","type":"kind"}],
             "phones":[{"phone":"phone","wa_id":"wa_id","user_id":"user_id","type":"kind"}]}]"#,
    );
    let Content::Contacts(cards) = message(&event).content else {
        panic!("{event:?}");
    };
    let card = cards.first().unwrap();
    assert_named!(card, birthday, vcard, origin);
    let name = card.name.unwrap();
    assert_named!(
        name,
        formatted_name,
        first_name,
        last_name,
        middle_name,
        prefix,
        suffix
    );
    assert_named!(card.org.unwrap(), company, department, title);
    let address = card.addresses.first().unwrap();
    assert_named!(
        address,
        street,
        city,
        state,
        zip,
        country,
        country_code,
        kind
    );
    assert_named!(card.emails.first().unwrap(), email, kind);
    assert_named!(card.urls.first().unwrap(), url, kind);
    assert_named!(card.phones.first().unwrap(), phone, wa_id, user_id, kind);

    let event = message_event(
        r#""type":"order","order":{"catalog_id":"catalog_id","text":"text","product_items":[
           {"product_retailer_id":"product_retailer_id","quantity":2,"item_price":3.5,"currency":"currency"}]}"#,
    );
    let Content::Order(order) = message(&event).content else {
        panic!("{event:?}");
    };
    assert_named!(order, catalog_id, text);
    let item = order.product_items.first().unwrap();
    assert_named!(item, product_retailer_id, currency);
    assert_eq!((item.quantity, item.item_price), (Some(2.0), Some(3.5)));

    for key in ["wa_id", "new_wa_id"] {
        let event = message_event(&format!(
            r#""type":"system","system":{{"body":"body","{key}":"wa_id","user_id":"user_id","parent_user_id":"parent_user_id",
               "identity":"identity","customer":"customer"}}"#
        ));
        let Content::System(system) = message(&event).content else {
            panic!("{event:?}");
        };
        assert_named!(
            system,
            body,
            wa_id,
            user_id,
            parent_user_id,
            identity,
            customer
        );
    }
}

#[test]
fn in_a_contact() {
    let event = event(
        "messages",
        r#"{"messages":[{"id":"A","from":"wa_id","type":"request_welcome"}],"contacts":[{"wa_id":"wa_id","user_id":"user_id",
            "parent_user_id":"parent_user_id","identity_key_hash":"identity_key_hash",
            "profile":{"name":"name","username":"username","country_code":"country_code"}}]}"#,
    );
    let contact = message(&event).sender.contact.get().unwrap();
    assert_named!(contact, wa_id, user_id, parent_user_id, identity_key_hash);
    assert_named!(contact.profile.unwrap(), name, username, country_code);
}

#[test]
fn in_a_status() {
    for [parent, participant, price] in [
        [
            "recipient_parent_user_id",
            "recipient_participant_id",
            "type",
        ],
        [
            "parent_recipient_user_id",
            "participant_recipient_id",
            "pricing_type",
        ],
    ] {
        let event = status_event(&format!(
            r#""id":"id","status":"read","recipient_id":"recipient_id","recipient_type":"kind","recipient_user_id":"user_id",
               "{parent}":"parent_user_id","{participant}":"participant_id","recipient_participant_user_id":"participant_user_id",
               "recipient_participant_parent_user_id":"participant_parent_user_id","recipient_identity_key_hash":"identity_key_hash",
               "group_id":"group_id","biz_opaque_callback_data":"callback_data","type":"kind","template_id":"template_id",
               "pricing":{{"billable":true,"pricing_model":"pricing_model","{price}":"kind","category":"utility"}},
               "payment":{{"reference_id":"reference_id","currency":"currency","receipt":"receipt","amount":{{"value":1,"offset":2}},
                 "transaction":{{"id":"id","pg_transaction_id":"pg_transaction_id","type":"kind","status":"status",
                   "created_timestamp":1760000001,"updated_timestamp":1760000002,"method":{{"type":"kind"}},
                   "error":{{"code":"code","reason":"reason"}},
                   "refunds":[{{"id":"id","speed_processed":"speed_processed","status":"status","amount":{{"value":3,"offset":4}},
                     "created_timestamp":1760000003,"updated_timestamp":1760000004}}]}}}}"#
        ));
        let status = status(&event);
        assert_named!(status, id, group_id, callback_data, kind, template_id);
        let recipient = status.recipient;
        assert_eq!(recipient.id, Some("recipient_id"));
        assert_named!(recipient, kind, user_id, parent_user_id, participant_id);
        assert_named!(
            recipient,
            participant_user_id,
            participant_parent_user_id,
            identity_key_hash
        );
        assert_named!(status.pricing.unwrap(), pricing_model, kind);
        let payment = status.payment.get().unwrap();
        assert_named!(payment, reference_id, currency, receipt);
        let amount = payment.amount.unwrap();
        assert_eq!((amount.value, amount.offset), (Some(1), Some(2)));
        let transaction = payment.transaction.unwrap();
        assert_named!(transaction, id, pg_transaction_id, kind, status);
        assert_named!(transaction.error.unwrap(), code, reason);
        let refund = transaction.refunds.first().unwrap();
        assert_named!(refund, id, speed_processed, status);
        let amount = refund.amount.unwrap();
        assert_eq!((amount.value, amount.offset), (Some(3), Some(4)));
        let times = [
            transaction.created_timestamp,
            transaction.updated_timestamp,
            refund.created_timestamp,
            refund.updated_timestamp,
        ];
        let times = times.map(|time| time.unwrap().seconds() - 1_760_000_000);
        assert_eq!(times, [1, 2, 3, 4]);
    }
}

#[test]
fn in_a_call() {
    let call = event(
        "calls",
        r#"{"calls":[{"id":"id","from":"from","from_user_id":"from_user_id","from_parent_user_id":"from_parent_user_id","to":"to",
            "to_user_id":"to_user_id","to_parent_user_id":"to_parent_user_id","start_time":1760000001,"end_time":1760000002,"duration":3,
            "biz_opaque_callback_data":"callback_data","deeplink_payload":"deeplink_payload","cta_payload":"cta_payload",
            "session":{"sdp_type":"sdp_type","sdp":"sdp"}}]}"#,
    );
    let call = payload!(call, Call);
    assert_named!(
        call,
        id,
        from,
        from_user_id,
        from_parent_user_id,
        to,
        to_user_id,
        to_parent_user_id
    );
    assert_named!(call, callback_data, deeplink_payload, cta_payload);
    assert_named!(call.session.unwrap(), sdp_type, sdp);
    let times =
        [call.start_time, call.end_time].map(|time| time.unwrap().seconds() - 1_760_000_000);
    assert_eq!((times, call.duration), ([1, 2], Some(3)));

    for parent in ["recipient_parent_user_id", "parent_recipient_user_id"] {
        let ringing = event(
            "calls",
            &format!(
                r#"{{"statuses":[{{"id":"id","type":"kind","recipient_id":"recipient_id","recipient_user_id":"recipient_user_id",
                    "{parent}":"recipient_parent_user_id","biz_opaque_callback_data":"callback_data"}}]}}"#
            ),
        );
        let status = payload!(ringing, CallStatus);
        assert_named!(status, id, kind, recipient_id, recipient_user_id);
        assert_named!(status, recipient_parent_user_id, callback_data);
    }
}

/// The metadata of the control that counts, of a handover with all three.
fn of_several(kind: &str, key: &str) -> Option<String> {
    let controls = ["control_shared", "control_taken", "control_passed"];
    let controls = controls.map(|name| format!(r#""{name}":{{"metadata":"{name}"}}"#));
    let body = format!(
        r#"{{"entry":[{{"changes":[{{"field":"messaging_handovers","value":{{"{key}":"{kind}",{}}}}}]}}]}}"#,
        controls.join(",")
    );
    let notification = Notification::parse(body).unwrap();
    let control = payload!(&notification.events()[0], Handover).control()?;
    control.metadata.map(str::to_owned)
}

#[test]
fn in_chats_of_others_and_of_the_app() {
    for key in ["control_passed", "control_taken", "control_shared"] {
        let handover = event(
            "messaging_handovers",
            &format!(
                r#"{{"{key}":{{"previous_owner_role":"previous_owner_role","new_owner_role":"new_owner_role",
                    "previous_owner_app_role":"previous_owner_app_role","new_owner_app_role":"new_owner_app_role",
                    "previous_owner_app_id":"previous_owner_app_id","new_owner_app_id":"new_owner_app_id","metadata":"metadata"}},
                    "sender":{{"phone_number":"phone_number","user_id":"user_id"}},
                    "recipient":{{"phone_number_id":"phone_number_id","display_phone_number":"display_phone_number"}}}}"#
            ),
        );
        let handover = payload!(handover, Handover);
        let control = handover.control().unwrap();
        assert_eq!(of_several(key, "type").as_deref(), Some(key));
        // A type that is not known, or none: the first one.
        for name in ["kind", "type\":\"control_lost\",\"kind"] {
            let found = of_several(key, name);
            assert_eq!(found.as_deref(), Some("control_passed"), "{name}");
        }
        assert_named!(
            control,
            previous_owner_role,
            new_owner_role,
            previous_owner_app_role
        );
        assert_named!(
            control,
            new_owner_app_role,
            previous_owner_app_id,
            new_owner_app_id,
            metadata
        );
        assert_named!(handover.sender.unwrap(), phone_number, user_id);
        assert_named!(
            handover.recipient.unwrap(),
            phone_number_id,
            display_phone_number
        );
    }
    let echo = event(
        "smb_message_echoes",
        r#"{"message_echoes":[{"id":"id","from":"from","to":"to","to_user_id":"to_user_id","to_parent_user_id":"to_parent_user_id",
            "type":"request_welcome"}]}"#,
    );
    let echo = payload!(echo, Echo);
    assert_named!(echo, id, from, to, to_user_id, to_parent_user_id);
    let added = event(
        "smb_app_state_sync",
        r#"{"state_sync":[{"type":"kind","action":"action","contact":{"full_name":"full_name","first_name":"first_name",
            "phone_number":"phone_number","user_id":"user_id","parent_user_id":"parent_user_id","username":"username"}}]}"#,
    );
    let added = payload!(added, AppState);
    assert_named!(added, kind, action);
    let contact = added.contact.unwrap();
    assert_named!(
        contact,
        full_name,
        first_name,
        phone_number,
        user_id,
        parent_user_id,
        username
    );
}

#[test]
fn the_type_of_a_handover_names_its_control() {
    let controls = ["control_passed", "control_taken", "control_shared"];
    let objects = controls.map(|key| format!(r#""{key}":{{"metadata":"{key}"}}"#));
    let metadata = |kind: &str, objects: &[String]| {
        let value = format!(r#"{{"type":"{kind}",{}}}"#, objects.join(","));
        let event = event("messaging_handovers", &value);
        let control = payload!(event, Handover).control().unwrap();
        control.metadata.unwrap().to_owned()
    };
    for (at, kind) in controls.into_iter().enumerate() {
        assert_eq!(metadata(kind, &objects), kind);
        // The object of another type is better than none.
        let others = [&objects[..at], &objects[at + 1..]].concat();
        let first = controls.into_iter().find(|other| *other != kind);
        assert_eq!(Some(&*metadata(kind, &others)), first);
    }
}

#[test]
fn in_what_users_want_and_in_groups() {
    let preference = event(
        "user_preferences",
        r#"{"user_preferences":[{"wa_id":"wa_id","user_id":"user_id","parent_user_id":"parent_user_id","detail":"detail",
            "category":"category","signup_id":"signup_id"}]}"#,
    );
    let preference = payload!(preference, UserPreference);
    assert_named!(
        preference,
        wa_id,
        user_id,
        parent_user_id,
        detail,
        category,
        signup_id
    );
    for list in [
        "added_participants",
        "removed_participants",
        "failed_participants",
    ] {
        // Statements about the group may be an event as well.
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"group_participants_update","value":{{"groups":[{{"{list}":[{{"input":"input",
                "wa_id":"wa_id","user_id":"user_id","parent_user_id":"parent_user_id","username":"username"}}]}}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let payloads = notification.events().iter().map(Event::payload);
        let participants: Vec<_> = payloads
            .filter_map(|payload| match payload {
                Payload::GroupParticipant(participant) => Some(participant),
                _ => None,
            })
            .collect();
        assert_eq!(participants.len(), 1);
        assert_named!(
            participants[0],
            input,
            wa_id,
            user_id,
            parent_user_id,
            username
        );
    }
}

#[test]
fn in_templates_flows_and_accounts() {
    let quality = event(
        "message_template_quality_update",
        r#"{"previous_quality_score":"GREEN","new_quality_score":"RED","message_template_id":"id","message_template_name":"name",
            "message_template_language":"language"}"#,
    );
    let quality = payload!(quality, TemplateQuality);
    assert_eq!(quality.previous_quality_score, Some(Quality::Green));
    assert_eq!(quality.new_quality_score, Some(Quality::Red));
    assert_named!(quality, id, name, language);

    let flow = event(
        "flows",
        r#"{"p50_latency":1.5,"p90_latency":2.5,"flow_id":"flow_id"}"#,
    );
    let flow = payload!(flow, Flow);
    assert_eq!((flow.p50_latency, flow.p90_latency), (Some(1.5), Some(2.5)));
    assert_named!(flow, flow_id);

    let update = event(
        "account_update",
        r#"{"event":"AD_ACCOUNT_LINKED","phone_number":"phone_number","country":"country","waba_info":{"waba_id":"waba_id",
            "owner_business_id":"owner_business_id","partner_app_id":"partner_app_id","solution_id":"solution_id",
            "ad_account_id":"ad_account_id","ad_account_linked":"ad_account_linked"}}"#,
    );
    let update = payload!(update, AccountUpdate);
    assert_named!(update, phone_number, country);
    let info = update.waba_info.unwrap();
    assert_named!(
        info,
        waba_id,
        owner_business_id,
        partner_app_id,
        solution_id,
        ad_account_id,
        ad_account_linked
    );
}
