//! What a body says, and what is left of it when its shapes are odd.

#![cfg(test)]

use std::time::{Duration, SystemTime};

use tower_whatsapp::{
    Event, Notification, Payload,
    event::{
        CallPermission, Category, Content, Interactive, Message, Reason, State, Status, SystemKind,
    },
};

const CONTACTS: &str = r#"[
    {"profile":{"name":"Ada","username":"@ada"},"wa_id":"16505550001","user_id":"US.1"},
    {"profile":{"name":"Grace"},"wa_id":"16505550002","user_id":"US.2","parent_user_id":"US.ENT.2"},
    {"profile":{"name":"Hedy"},"user_id":"US.3","identity_key_hash":"h"}
]"#;

/// A delivery with one `value` of field `messages`.
fn value(members: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","time":1760000001,"changes":[{{"value":{{
            "messaging_product":"whatsapp",
            "metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},
            "contacts":{CONTACTS},{members}}},"field":"messages"}}]}}]}}"#
    )
}

fn parse(body: &str) -> Vec<Event> {
    Notification::parse(body.to_owned())
        .unwrap()
        .events()
        .to_vec()
}

fn only(body: &str) -> Event {
    let events = parse(body);
    assert_eq!(events.len(), 1, "{body}");
    events[0].clone()
}

fn message_event(element: &str) -> Event {
    only(&value(&format!(r#""messages":[{element}]"#)))
}

fn status_event(element: &str) -> Event {
    only(&value(&format!(r#""statuses":[{element}]"#)))
}

fn message(event: &Event) -> Message<'_> {
    match event.payload() {
        Payload::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn status(event: &Event) -> Status<'_> {
    match event.payload() {
        Payload::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn reason(event: &Event) -> Reason {
    assert!(!event.known());
    match event.payload() {
        Payload::Unknown(unknown) => unknown.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_goes_with_an_element_is_beside_it() {
    let event = message_event(
        r#"{"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text","text":{"body":"hi"}}"#,
    );
    assert_eq!(event.field(), Some("messages"));
    assert_eq!(event.entry_id(), Some("9"));
    assert_eq!(event.entry_time().unwrap().seconds(), 1_760_000_001);
    assert_eq!(event.phone_number_id(), Some("100000000000001"));
    assert_eq!(event.display_phone_number(), Some("15550000001"));
    assert_eq!(event.id(), Some("wamid.A"));
    assert_eq!(event.payload().name(), "message");
    assert!(event.raw().starts_with(r#"{"from""#) && event.raw().ends_with(r#""hi"}}"#));
    assert_eq!(event.raw_bytes(), event.raw().as_bytes());
    assert!(event.value().unwrap().contains("messaging_product"));
    let message = message(&event);
    assert_eq!(
        message.timestamp.unwrap().to_system_time(),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
    );
    assert!(event.known());
}

#[test]
fn a_sender_is_found_by_id_and_never_by_position() {
    let cases = [
        // The third contact, by user id alone: there is no phone number.
        (r#""from_user_id":"US.3""#, Some("Hedy"), None, Some("US.3")),
        (
            r#""from":"16505550002""#,
            Some("Grace"),
            Some("16505550002"),
            Some("US.2"),
        ),
        // A user id in the place of the phone number.
        (r#""from":"US.1""#, Some("Ada"), Some("US.1"), Some("US.1")),
        (
            r#""from":16505550001"#,
            Some("Ada"),
            Some("16505550001"),
            Some("US.1"),
        ),
        // Nobody's.
        (r#""from":"1""#, None, Some("1"), None),
        (r#""from":"","from_user_id":null"#, None, None, None),
    ];
    for (keys, name, phone, user_id) in cases {
        let event = message_event(&format!(
            r#"{{{keys},"id":"wamid.A","timestamp":"1","type":"text","text":{{"body":"hi"}}}}"#
        ));
        let sender = message(&event).sender;
        assert_eq!(sender.name(), name, "{keys}");
        assert_eq!(sender.phone, phone, "{keys}");
        assert_eq!(sender.user_id(), user_id, "{keys}");
        assert!(event.known(), "{keys}");
    }
    let event = message_event(r#"{"from":"16505550002","type":"text","text":{"body":""}}"#);
    let sender = message(&event).sender;
    assert_eq!(sender.parent_user_id(), Some("US.ENT.2"));
    assert_eq!(sender.wa_id(), Some("16505550002"));
    assert_eq!(sender.username(), None);
}

#[test]
fn every_type_of_message_is_typed() {
    type Check = fn(Content<'_>) -> bool;
    let cases: [(&str, Check); 26] = [
        (
            r#""type":"text","text":{"body":"hi"}"#,
            |c| matches!(c, Content::Text(t) if t.body == Some("hi")),
        ),
        (
            r#""type":"image","image":{"id":"1","mime_type":"image/jpeg","sha256":"x=","caption":"c","url":"https://x"}"#,
            |c| matches!(c, Content::Image(m) if m.id == Some("1") && m.caption == Some("c") && m.url == Some("https://x")),
        ),
        (
            r#""type":"audio","audio":{"id":"1","mime_type":"audio/ogg; codecs=opus","voice":true}"#,
            |c| matches!(c, Content::Audio(m) if m.voice == Some(true)),
        ),
        (
            r#""type":"voice","voice":{"id":"1"}"#,
            |c| matches!(c, Content::Audio(m) if m.id == Some("1")),
        ),
        (
            r#""type":"video","video":{"id":"1","mime_type":"video/mp4"}"#,
            |c| matches!(c, Content::Video(m) if m.mime_type == Some("video/mp4")),
        ),
        (
            r#""type":"document","document":{"id":"1","filename":"f.pdf"}"#,
            |c| matches!(c, Content::Document(m) if m.filename == Some("f.pdf")),
        ),
        (
            r#""type":"sticker","sticker":{"id":"1","animated":false}"#,
            |c| matches!(c, Content::Sticker(m) if m.animated == Some(false)),
        ),
        (
            r#""type":"location","location":{"latitude":-1.5,"longitude":"2.5","name":"n"}"#,
            |c| matches!(c, Content::Location(l) if l.latitude == Some(-1.5) && l.longitude == Some(2.5)),
        ),
        (
            r#""type":"contacts","contacts":[{"name":{"formatted_name":"B C"},"phones":[{"phone":"+1 650","wa_id":"1650","type":"CELL"}],"origin":"other"},{}]"#,
            |c| {
                let Content::Contacts(cards) = c else {
                    return false;
                };
                let first = cards.first().unwrap();
                cards.iter().count() == 2
                    && first.name.unwrap().formatted_name == Some("B C")
                    && first.phones.first().unwrap().wa_id == Some("1650")
            },
        ),
        (
            r#""type":"button","button":{"text":"Yes","payload":"p"}"#,
            |c| matches!(c, Content::Button(b) if b.payload == Some("p")),
        ),
        (
            r#""type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"b","title":"B"}}"#,
            |c| matches!(c, Content::Interactive(Interactive::ButtonReply(r)) if r.id == Some("b")),
        ),
        (
            r#""type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"l","title":"L","description":"D"}}"#,
            |c| matches!(c, Content::Interactive(Interactive::ListReply(r)) if r.description == Some("D")),
        ),
        (
            r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent","response_json":"{\"a\":1}"}}"#,
            |c| matches!(c, Content::Interactive(Interactive::FlowReply(r)) if r.response_json == Some(r#"{"a":1}"#)),
        ),
        // Meta's own sample has no `type`.
        (
            r#""interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"accept","is_permanent":false,"expiration_timestamp":"1760604800","response_source":"user_action"}}"#,
            |c| {
                matches!(c, Content::Interactive(Interactive::CallPermissionReply(r))
                    if r.response == Some(CallPermission::Accept) && r.expiration_timestamp.unwrap().seconds() == 1_760_604_800)
            },
        ),
        (
            r#""type":"interactive","interactive":{"type":"payment_method","payment_method":{"payment_method":"offsite_card_pay","payment_timestamp":1760000000,"last_four_digits":"5235"}}"#,
            |c| matches!(c, Content::Interactive(Interactive::PaymentMethod(p)) if p.last_four_digits == Some("5235")),
        ),
        (
            r#""type":"order","order":{"catalog_id":"c","text":"t","product_items":[{"product_retailer_id":"p","quantity":2,"item_price":7.99,"currency":"USD"},{"item_price":"8"}]}"#,
            |c| {
                let Content::Order(order) = c else {
                    return false;
                };
                let items: Vec<_> = order.product_items.iter().collect();
                items.len() == 2
                    && items[0].quantity == Some(2)
                    && items[0].item_price == Some(7.99)
                    && items[1].item_price == Some(8.0)
            },
        ),
        (
            r#""type":"reaction","reaction":{"message_id":"wamid.Z","emoji":"\ud83d\ude00"}"#,
            |c| matches!(c, Content::Reaction(r) if r.emoji == Some("😀")),
        ),
        (
            r#""type":"reaction","reaction":{"message_id":"wamid.Z"}"#,
            |c| matches!(c, Content::Reaction(r) if r.emoji.is_none()),
        ),
        (
            r#""type":"system","system":{"body":"b","wa_id":"1","type":"user_changed_number"}"#,
            |c| matches!(c, Content::System(s) if s.kind == Some(SystemKind::UserChangedNumber) && s.wa_id == Some("1")),
        ),
        (
            r#""type":"system","system":{"body":"b","new_wa_id":16505550002,"type":"customer_changed_number"}"#,
            |c| matches!(c, Content::System(s) if s.wa_id == Some("16505550002")),
        ),
        (r#""type":"request_welcome""#, |c| {
            matches!(c, Content::RequestWelcome)
        }),
        (
            r#""type":"unsupported","unsupported":{"type":"poll"},"errors":[{"code":131051,"title":"t","error_data":{"details":"d"}}]"#,
            |c| matches!(c, Content::Unsupported(u) if u.kind == Some("poll")),
        ),
        (
            r#""type":"unknown","errors":[{"code":"131051","details":"d"}]"#,
            |c| matches!(c, Content::Unsupported(u) if u.kind.is_none()),
        ),
        (
            r#""type":"edit","edit":{"original_message_id":"wamid.A","message":{"context":{"id":"wamid.Z"},"type":"text","text":{"body":"new"}}}"#,
            |c| {
                let Content::Edit(edit) = c else { return false };
                let now = edit.message().unwrap();
                edit.original_message_id == Some("wamid.A")
                    && now.context.unwrap().id == Some("wamid.Z")
                    && matches!(now.content, Content::Text(t) if t.body == Some("new"))
            },
        ),
        (
            r#""type":"revoke","revoke":{"original_message_id":"wamid.A"}"#,
            |c| matches!(c, Content::Revoke(r) if r.original_message_id == Some("wamid.A")),
        ),
        (r#""type":"media_placeholder""#, |c| {
            matches!(c, Content::MediaPlaceholder)
        }),
    ];
    for (members, check) in cases {
        let event = message_event(&format!(
            r#"{{"from":"16505550001","id":"wamid.A","timestamp":"1760000000",{members}}}"#
        ));
        assert!(
            check(message(&event).content),
            "{members}: {:?}",
            event.payload()
        );
        assert!(event.known(), "{members}");
    }
}

#[test]
fn what_comes_with_any_message() {
    let event = message_event(
        r#"{"id":"wamid.A","timestamp":"1","group_id":"g","type":"text","text":{"body":"b"},
            "context":{"from":"15550000001","id":"wamid.Z","forwarded":true,"frequently_forwarded":false,
                       "referred_product":{"catalog_id":"c","product_retailer_id":"p"}},
            "referral":{"source_url":"https://fb.me/x","source_id":"1","source_type":"ad","headline":"h","body":"b",
                        "media_type":"image","image_url":"i","ctwa_clid":"Aff","welcome_message":{"text":"hello"},"ref":"r"},
            "errors":[{"code":131052,"title":"t","message":"m","error_data":{"details":"d"},"href":"/x"}],
            "identity":{"acknowledged":true,"created_timestamp":1760000000,"hash":"h"}}"#,
    );
    let message = message(&event);
    assert!(event.known());
    assert_eq!(message.group_id, Some("g"));
    let context = message.context.unwrap();
    assert_eq!(
        (context.id, context.forwarded),
        (Some("wamid.Z"), Some(true))
    );
    assert_eq!(context.referred_product.unwrap().catalog_id, Some("c"));
    let referral = message.referral.unwrap();
    assert_eq!(
        (referral.ctwa_clid, referral.reference),
        (Some("Aff"), Some("r"))
    );
    assert_eq!(referral.welcome_message.unwrap().text, Some("hello"));
    let error = message.errors.first().unwrap();
    assert_eq!((error.code, error.details()), (Some(131_052), Some("d")));
    assert_eq!(message.identity.unwrap().acknowledged, Some(true));
}

#[test]
fn every_state_is_typed() {
    for (name, state) in [
        ("sent", State::Sent),
        ("delivered", State::Delivered),
        ("read", State::Read),
        ("played", State::Played),
        ("failed", State::Failed),
        ("deleted", State::Deleted),
        ("warning", State::Warning),
        ("pending", State::Pending),
        ("captured", State::Captured),
        ("DELIVERED", State::Delivered),
    ] {
        let event = status_event(&format!(
            r#"{{"id":"wamid.A","status":"{name}","timestamp":"1"}}"#
        ));
        assert_eq!(status(&event).state, Some(state));
        assert_eq!(state.as_str(), name.to_lowercase());
        assert!(event.known());
    }
}

#[test]
fn what_comes_with_a_status() {
    let event = status_event(
        r#"{"id":"wamid.A","status":"failed","timestamp":1760000000123,"recipient_id":"16505550001",
            "recipient_user_id":"US.3","parent_recipient_user_id":"US.ENT.3","recipient_type":"group",
            "participant_recipient_id":"16505550002","recipient_participant_user_id":"US.2","group_id":"g",
            "recipient_identity_key_hash":"h","biz_opaque_callback_data":"order-7","type":"message","template_id":77,
            "conversation":{"id":"c","expiration_timestamp":1760086400,"origin":{"type":"authentication_international"}},
            "pricing":{"billable":"true","pricing_model":"PMP","pricing_type":"regular","category":"authentication-international"},
            "errors":[{"code":131049,"title":"t"}]}"#,
    );
    let status = status(&event);
    assert!(event.known());
    assert_eq!(status.timestamp.unwrap().millis(), 1_760_000_000_123);
    // The user id is the stronger of the two.
    assert_eq!(
        status.recipient.contact.unwrap().profile.unwrap().name,
        Some("Hedy")
    );
    assert_eq!(status.recipient.parent_user_id, Some("US.ENT.3"));
    assert_eq!(status.recipient.participant_id, Some("16505550002"));
    assert_eq!(status.callback_data, Some("order-7"));
    assert_eq!(status.template_id, Some("77"));
    let origin = status.conversation.unwrap().origin.unwrap();
    let pricing = status.pricing.unwrap();
    assert_eq!(origin.category, Some(Category::AuthenticationInternational));
    assert_eq!(
        pricing.category,
        Some(Category::AuthenticationInternational)
    );
    assert_eq!(
        (pricing.billable, pricing.kind),
        (Some(true), Some("regular"))
    );
    assert_eq!(status.errors.first().unwrap().code, Some(131_049));
}

#[test]
fn a_payment_is_typed() {
    let event = status_event(
        r#"{"id":"gBGG","status":"captured","timestamp":"1","type":"payment","payment":{"reference_id":"r",
            "amount":{"value":21000,"offset":100},"currency":"INR","transaction":{"id":"o","pg_transaction_id":"p",
            "type":"razorpay","status":"success","created_timestamp":1760000000,"updated_timestamp":"1760000000",
            "method":{"type":"upi"},"error":{"code":"x","reason":"y"},"refunds":[{"id":"f","amount":{"value":1,"offset":100}}]}}}"#,
    );
    let payment = status(&event).payment.unwrap();
    let transaction = payment.transaction.unwrap();
    assert!(event.known());
    assert_eq!(payment.amount.unwrap().value, Some(21_000));
    assert_eq!(transaction.method.unwrap().kind, Some("upi"));
    assert_eq!(
        transaction.refunds.first().unwrap().amount.unwrap().offset,
        Some(100)
    );
}

#[test]
fn errors_of_a_phone_number_are_events() {
    let event = only(&value(
        r#""errors":[{"code":130429,"title":"t","message":"m","error_data":{"details":"d"},"href":"h"}]"#,
    ));
    let Payload::Error(error) = event.payload() else {
        panic!()
    };
    assert_eq!((error.code, error.details()), (Some(130_429), Some("d")));
    assert!(event.known());
}

#[test]
fn all_lists_of_all_values_of_all_entries_are_delivered_in_order() {
    let change = |id: &str| {
        format!(
            r#"{{"field":"messages","value":{{"messages":[{{"id":"{id}1"}},{{"id":"{id}2"}}],"statuses":[{{"id":"{id}3"}}],
                "errors":[{{"code":4}}],"new":[{{"id":"{id}5"}}]}}}}"#
        )
    };
    let body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{},{}]}},{{"changes":[{}],"id":"2"}}]}}"#,
        change("a"),
        change("b"),
        change("c")
    );
    let events = parse(&body);
    let ids: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.entry_id().unwrap(),
                event.id().unwrap_or("-"),
                event.payload().name(),
            )
        })
        .collect();
    let expected: Vec<_> = [("1", "a"), ("1", "b"), ("2", "c")]
        .into_iter()
        .flat_map(|(entry, prefix)| {
            [
                ("1", "message"),
                ("2", "message"),
                ("3", "status"),
                ("-", "error"),
                ("5", "unknown"),
            ]
            .map(|(id, name)| {
                (
                    entry,
                    if id == "-" {
                        id.to_owned()
                    } else {
                        format!("{prefix}{id}")
                    },
                    name,
                )
            })
        })
        .collect();
    assert_eq!(ids.len(), expected.len());
    for (found, (entry, id, name)) in ids.iter().zip(&expected) {
        assert_eq!(*found, (*entry, id.as_str(), *name));
    }
}

#[test]
fn what_is_not_known_arrives_with_its_json() {
    let cases = [
        // Another field: the value, or the elements where they look like messages.
        (
            r#"{"entry":[{"changes":[{"field":"x","value":{"a":[1,2]}}]}]}"#,
            Reason::Field,
            r#"{"a":[1,2]}"#,
        ),
        (
            r#"{"entry":[{"changes":[{"value":{"statuses":[{"id":1}]},"field":"x"}]}]}"#,
            Reason::Field,
            r#"{"id":1}"#,
        ),
        (
            r#"{"entry":[{"changes":[{"field":"x","value":7}]}]}"#,
            Reason::Field,
            "7",
        ),
        (
            r#"{"entry":[{"changes":[{"field":"x"}]}]}"#,
            Reason::Shape,
            r#"{"field":"x"}"#,
        ),
        (
            r#"{"entry":[{"changes":[{"field":"x","value":null}]}]}"#,
            Reason::Shape,
            r#"{"field":"x","value":null}"#,
        ),
        // Another list.
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"new":[{"id":1}]}}]}]}"#,
            Reason::List,
            r#"{"id":1}"#,
        ),
        // Another object.
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":1}]}}]}],"object":"page"}"#,
            Reason::Object,
            r#"{"id":1}"#,
        ),
        (
            r#"{"object":"page","entry":[{"id":"1"}]}"#,
            Reason::Object,
            r#"{"id":"1"}"#,
        ),
        // Other shapes, at every level.
        (
            r#"{"field":"messages","value":{"messages":[{}]}}"#,
            Reason::Shape,
            r#"{"field":"messages","value":{"messages":[{}]}}"#,
        ),
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"new":1}}]}]}"#,
            Reason::Shape,
            r#"{"new":1}"#,
        ),
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[3]}}]}]}"#,
            Reason::Shape,
            "3",
        ),
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":{"id":"1"}}}]}]}"#,
            Reason::Shape,
            r#"{"id":"1"}"#,
        ),
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":"v"}]}]}"#,
            Reason::Shape,
            r#""v""#,
        ),
        (r#"{"entry":[{"changes":[[]]}]}"#, Reason::Shape, "[]"),
        (r#"{"entry":[{"changes":7}]}"#, Reason::Shape, "7"),
        (
            r#"{"entry":[{"id":"1","changed_fields":["x"]}]}"#,
            Reason::Shape,
            r#"{"id":"1","changed_fields":["x"]}"#,
        ),
        (r#"{"entry":["e"]}"#, Reason::Shape, r#""e""#),
        (r#"{"entry":{"id":"1"}}"#, Reason::Shape, r#"{"id":"1"}"#),
        ("[1]", Reason::Shape, "[1]"),
        (" 1e400 ", Reason::Shape, "1e400"),
        (r#""\ud83d""#, Reason::Shape, r#""\ud83d""#),
    ];
    for (body, why, raw) in cases {
        let event = only(body);
        assert_eq!(reason(&event), why, "{body}");
        assert_eq!(event.raw(), raw, "{body}");
    }
    for body in [
        "{}",
        r#"{"object":"whatsapp_business_account"}"#,
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
        // Nothing in them that is an event.
        r#"{"entry":[{"id":"1","changes":[]}]}"#,
        r#"{"entry":[{"changes":[{"field":"messages","value":{}}]}]}"#,
        r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[],"statuses":null,"metadata":{}}}]}]}"#,
        r#"{"entry":null,"object":null}"#,
    ] {
        assert!(parse(body).is_empty(), "{body}");
    }
}

#[test]
fn a_field_that_is_missing_is_messages() {
    for field in [r#""a":1"#, r#""field":null"#, r#""field":"""#] {
        let event = only(&format!(
            r#"{{"entry":[{{"changes":[{{{field},"value":{{"statuses":[{{"id":"1","status":"sent"}}]}}}}]}}]}}"#
        ));
        assert_eq!(status(&event).state, Some(State::Sent));
        assert_eq!(event.field(), None);
    }
}

#[test]
fn an_odd_key_costs_itself_alone() {
    let good = r#""id":"wamid.A","type":"text","text":{"body":"hi"}"#;
    for odd in [
        r#""timestamp":"soon""#,
        r#""timestamp":-1"#,
        r#""timestamp":{"a":[]}"#,
        r#""from":["1"]"#,
        r#""context":"c""#,
        r#""context":{"id":{}}"#,
        r#""errors":{"code":1}"#,
        r#""errors":[7]"#,
        r#""errors":[{"code":"x"}]"#,
        r#""referral":[]"#,
        r#""identity":{"acknowledged":1}"#,
    ] {
        let event = message_event(&format!("{{{good},{odd}}}"));
        let message = message(&event);
        assert_eq!(message.id, Some("wamid.A"), "{odd}");
        assert!(
            matches!(message.content, Content::Text(text) if text.body == Some("hi")),
            "{odd}"
        );
        assert!(!event.known(), "{odd}");
    }
    for fine in [
        r#""new":{"a":1}"#,
        r#""context":null"#,
        r#""from":"""#,
        r#""from":null,"errors":null"#,
    ] {
        assert!(
            message_event(&format!("{{{good},{fine}}}")).known(),
            "{fine}"
        );
    }
}

#[test]
fn new_names_and_types_are_kept() {
    let event = message_event(r#"{"id":"1","type":"hologram","hologram":{"a":1}}"#);
    assert_eq!(message(&event).kind, Some("hologram"));
    assert!(matches!(message(&event).content, Content::Unknown) && !event.known());

    let event =
        message_event(r#"{"id":"1","type":"interactive","interactive":{"type":"new","new":{}}}"#);
    assert!(matches!(
        message(&event).content,
        Content::Interactive(Interactive::Unknown)
    ));
    assert!(!event.known());

    let event = status_event(r#"{"id":"1","status":"teleported"}"#);
    assert_eq!(status(&event).state, Some(State::Other("teleported")));
    assert!(!event.known());

    // A type without its body, and a body that is not the type's.
    for (element, known) in [
        (r#"{"type":"text"}"#, true),
        (r#"{"type":"text","text":null}"#, true),
        (r#"{"type":"text","text":"hi"}"#, false),
        (r#"{"type":"text","image":{"id":"1"}}"#, false),
    ] {
        let event = message_event(element);
        assert!(
            matches!(message(&event).content, Content::Text(text) if text.body.is_none()),
            "{element}"
        );
        assert_eq!(event.known(), known, "{element}");
    }
    assert!(!message_event(r#"{"id":"1"}"#).known());
}

#[test]
fn the_tag_decides_and_the_order_of_keys_does_not() {
    let keys = [
        r#""type":"image""#,
        r#""text":{"body":"t"}"#,
        r#""image":{"id":"i"}"#,
        r#""audio":{"id":"a"}"#,
    ];
    for rotation in 0..keys.len() {
        let mut keys = keys;
        keys.rotate_left(rotation);
        let event = message_event(&format!("{{{}}}", keys.join(",")));
        assert!(matches!(message(&event).content, Content::Image(m) if m.id == Some("i")));
        let without: Vec<_> = keys
            .into_iter()
            .filter(|key| !key.contains("type"))
            .collect();
        let event = message_event(&format!("{{{}}}", without.join(",")));
        assert!(
            matches!(message(&event).content, Content::Text(_)),
            "{without:?}"
        );
    }
    for tag in ["IMAGE", "Image"] {
        let event = message_event(&format!(r#"{{"image":{{"id":"i"}},"type":"{tag}"}}"#));
        assert!(matches!(message(&event).content, Content::Image(_)));
    }
}

#[test]
fn texts_are_decoded_and_the_rest_is_exact() {
    let cases = [
        (
            r"\u00e4\u00f6 a\/b \u003C\n\t\r\b\f\\\u0022",
            "äö a/b <\n\t\r\u{8}\u{c}\\\"",
        ),
        (r"a\u0000b", "a\0b"),
        (r"\ud83d\ude00", "😀"),
        // Cut inside an emoji.
        (r"hello \ud83d", "hello \u{fffd}"),
    ];
    for (raw, text) in cases {
        let element = format!(r#"{{"id":"\u0031","\u0074ype":"text","text":{{"body":"{raw}"}}}}"#);
        let event = message_event(&element);
        assert!(
            matches!(message(&event).content, Content::Text(t) if t.body == Some(text)),
            "{raw}"
        );
        assert_eq!(event.id(), Some("1"));
        assert_eq!(event.raw(), element);
        assert!(event.known());
    }
}

#[test]
fn numbers_of_any_length_are_kept() {
    let long = "1".repeat(100_000);
    for (id, text) in [
        ("18446744073709551616", "18446744073709551616"),
        ("1e400", "1e400"),
        (&*long, &*long),
    ] {
        let event = message_event(&format!(
            r#"{{"id":{id},"timestamp":{id},"type":"text","text":{{"body":"b"}}}}"#
        ));
        assert_eq!(event.id(), Some(text));
        assert_eq!(message(&event).timestamp, None);
    }
}

#[test]
fn of_two_equal_keys_the_last_counts_and_of_two_lists_both() {
    let body = r#"{"entry":[],"entry":[{"changes":[{"field":"x","field":"messages",
        "value":{"messages":[{"id":"0","id":"1"}],"messages":[{"id":"2"}]},"value":{"messages":[{"id":"3"}]}}]}]}"#;
    let events = parse(body);
    let ids: Vec<_> = events.iter().map(|event| event.id().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[test]
fn beyond_the_cap_the_rest_of_a_list_is_one_event() {
    const CAP: usize = 32_768;
    let list = |count: usize| vec![r#"{"id":"1"}"#; count].join(",");
    for (count, events) in [
        (0, 0),
        (1, 1),
        (1000, 1000),
        (1001, 1001),
        (CAP, CAP),
        (CAP + 1, CAP + 1),
        (40_000, CAP + 1),
    ] {
        let body = value(&format!(r#""messages":[{}]"#, list(count)));
        let found = parse(&body);
        assert_eq!(found.len(), events, "{count}");
        if count > CAP {
            assert_eq!(reason(&found[CAP]), Reason::Overflow);
            assert_eq!(found[CAP].raw(), list(count - CAP));
            assert_eq!(found[CAP].field(), Some("messages"));
        }
    }
    // Lists, values and entries behind it are there too, and of very many lists the body is.
    let full = list(CAP);
    let body = format!(
        r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{full}],"statuses":[{{"id":"2"}},{{"id":"3"}}]}}}},{{"id":"4"}}]}},{{"id":"5"}}]}}"#
    );
    let found = parse(&body);
    let rests: Vec<_> = found[CAP..].iter().map(Event::raw).collect();
    assert_eq!(
        rests,
        [r#"{"id":"2"},{"id":"3"}"#, r#"{"id":"4"}"#, r#"{"id":"5"}"#]
    );

    let many = vec![r#""a":[1]"#; 1000].join(",");
    for behind in [
        "",
        r#",{"field":"messages","value":{"messages":[{"id":"2"}]}}"#,
    ] {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{full}],{many}}}}}{behind}]}}]}}"#
        );
        let found = parse(&body);
        assert_eq!(found.len(), CAP + 257);
        let last = found.last().unwrap().raw();
        assert!(last.ends_with(&format!("}}{behind}]}}]}}")));
        assert_eq!(last.matches("[1]").count(), 1000 - 257);
    }
}

#[test]
fn debug_shows_no_person_and_no_text() {
    let body = value(
        r#""messages":[{"from":"16505550001","from_user_id":"US.1","id":"wamid.A","timestamp":"1","type":"text","text":{"body":"CANARY"},
            "context":{"from":"16505550002","id":"wamid.Z"}},
            {"from":"16505550001","type":"location","location":{"latitude":12.5,"longitude":13.5,"name":"CANARY"}},
            {"from":"16505550001","type":"contacts","contacts":[{"phones":[{"phone":"CANARY","wa_id":"16505550003"}]}]},
            {"from":"16505550001","type":"CANARY"}],
           "statuses":[{"id":"wamid.B","status":"CANARY","recipient_id":"16505550001","biz_opaque_callback_data":"CANARY",
            "errors":[{"code":1,"title":"CANARY","error_data":{"details":"CANARY"}}]}]"#,
    );
    let notification = Notification::parse(body).unwrap();
    let shown = format!("{notification:?} {:#?}", notification.events());
    for secret in ["CANARY", "1650555", "US.1", "12.5", "Ada", "Grace"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains("wamid.A") && shown.contains("wamid.B"));
}
