//! Parsed events, and what is left of bodies with unexpected shapes.

use std::{
    error::Error as _,
    time::{Duration, SystemTime},
};

use tower_whatsapp::{
    Event, Notification, Payload,
    event::{
        CallPermission, Category, Content, Interactive, Message, ParseError, Reason, State, Status,
        SystemKind, UnsupportedKind,
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
    assert!(!event.is_known());
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
    assert!(event.is_known());
}

#[test]
fn a_sender_is_found_by_id_and_never_by_position() {
    let cases = [
        // The third contact, by user id only: there is no phone number.
        (r#""from_user_id":"US.3""#, Some("Hedy"), None, Some("US.3")),
        (
            r#""from":"16505550002""#,
            Some("Grace"),
            Some("16505550002"),
            Some("US.2"),
        ),
        // A user id instead of the phone number.
        (r#""from":"US.1""#, Some("Ada"), Some("US.1"), Some("US.1")),
        (
            r#""from":16505550001"#,
            Some("Ada"),
            Some("16505550001"),
            Some("US.1"),
        ),
        // Without a matching contact.
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
        assert!(event.is_known(), "{keys}");
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
                    && items[0].quantity == Some(2.0)
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
            |c| matches!(c, Content::Unsupported(u) if u.kind == Some(UnsupportedKind::Poll)),
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
        assert!(event.is_known(), "{members}");
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
    assert!(event.is_known());
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
        assert!(event.is_known());
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
    assert!(event.is_known());
    assert_eq!(status.timestamp.unwrap().millis(), 1_760_000_000_123);
    // In a group the recipient is the participant.
    assert_eq!(
        status
            .recipient
            .contact
            .get()
            .unwrap()
            .profile
            .unwrap()
            .name,
        Some("Grace")
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
    let payment = status(&event).payment.get().unwrap();
    let transaction = payment.transaction.unwrap();
    assert!(event.is_known());
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
    assert!(event.is_known());
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
        // Another field: the whole value, or its elements if they look like messages.
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
        // Without any event.
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
    for field in [r#""a":null"#, r#""field":null"#, r#""field":"""#] {
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
        assert!(!event.is_known(), "{odd}");
    }
    for fine in [
        r#""new":{"a":1}"#,
        r#""context":null"#,
        r#""from":"""#,
        r#""from":null,"errors":null"#,
    ] {
        assert!(
            message_event(&format!("{{{good},{fine}}}")).is_known(),
            "{fine}"
        );
    }
}

#[test]
fn new_names_and_types_are_kept() {
    let event = message_event(r#"{"id":"1","type":"hologram","hologram":{"a":1}}"#);
    assert_eq!(message(&event).kind, Some("hologram"));
    assert!(matches!(message(&event).content, Content::Unknown) && !event.is_known());

    let event =
        message_event(r#"{"id":"1","type":"interactive","interactive":{"type":"new","new":{}}}"#);
    assert!(matches!(
        message(&event).content,
        Content::Interactive(Interactive::Unknown)
    ));
    assert!(!event.is_known());

    let event = status_event(r#"{"id":"1","status":"teleported"}"#);
    assert_eq!(status(&event).state, Some(State::Other("teleported")));
    assert!(!event.is_known());

    // A type without its body, and a body of another type.
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
        assert_eq!(event.is_known(), known, "{element}");
    }
    assert!(!message_event(r#"{"id":"1"}"#).is_known());
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
        assert!(event.is_known());
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
        // The value contains only contacts.
        (0, 1),
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
    // Later lists, values and entries are kept as well, and if there are too many,
    // the rest of the body is.
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
            "errors":[{"code":1,"title":"Meta's words","error_data":{"details":"CANARY"}}]}]"#,
    );
    let notification = Notification::parse(body).unwrap();
    let shown = format!("{notification:?} {:#?}", notification.events());
    // Meta encodes the phone number in the ids of messages.
    for secret in ["CANARY", "1650555", "US.1", "12.5", "Ada", "Grace", "wamid"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(
        shown.contains("Meta's words") && shown.contains("Timestamp(1"),
        "{shown}"
    );
}

/// A delivery with one change of a field.
fn change(field: &str, value: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
    )
}

#[test]
fn every_kind_has_its_name_and_says_what_it_is_more_closely() {
    // Field, value, kind, and subtype.
    let cases = [
        (
            "messages",
            r#"{"messages":[{"type":"image"}]}"#,
            "message",
            Some("image"),
        ),
        (
            "messages",
            r#"{"messages":[{"text":{"body":"b"}}]}"#,
            "message",
            None,
        ),
        (
            "messages",
            r#"{"statuses":[{"status":"READ"}]}"#,
            "status",
            Some("read"),
        ),
        (
            "messages",
            r#"{"statuses":[{"status":"teleported"}]}"#,
            "status",
            Some("teleported"),
        ),
        ("messages", r#"{"statuses":[{"id":"1"}]}"#, "status", None),
        ("messages", r#"{"errors":[{"code":1}]}"#, "error", None),
        (
            "messages",
            r#"{"user_actions":[{"action_type":"marketing_messages_link_click"}]}"#,
            "user_action",
            Some("marketing_messages_link_click"),
        ),
        (
            "messages",
            r#"{"new":[{"id":"1"}]}"#,
            "unknown",
            Some("new"),
        ),
        (
            "account_alerts",
            r#"{"alert_info":{"alert_type":"OBA_APPROVED"}}"#,
            "account_alert",
            Some("OBA_APPROVED"),
        ),
        (
            "account_alerts",
            r#"{"alert_type":"OBA_APPROVED"}"#,
            "account_alert",
            Some("OBA_APPROVED"),
        ),
        (
            "account_review_update",
            r#"{"decision":"APPROVED"}"#,
            "account_review",
            Some("APPROVED"),
        ),
        (
            "account_settings_update",
            r#"{"type":"phone_number_settings"}"#,
            "account_settings",
            Some("phone_number_settings"),
        ),
        (
            "account_update",
            r#"{"event":"partner_added"}"#,
            "account_update",
            Some("PARTNER_ADDED"),
        ),
        (
            "automatic_events",
            r#"{"automatic_events":[{"event_name":"LeadSubmitted"}]}"#,
            "automatic_event",
            Some("LeadSubmitted"),
        ),
        (
            "business_capability_update",
            r#"{"max_phone_numbers_per_waba":25}"#,
            "business_capability",
            None,
        ),
        (
            "business_status_update",
            r#"{"event":"E"}"#,
            "business_status",
            Some("E"),
        ),
        (
            "business_username_updates",
            r#"{"status":"approved"}"#,
            "business_username",
            Some("approved"),
        ),
        (
            "calls",
            r#"{"calls":[{"event":"connect"}]}"#,
            "call",
            Some("connect"),
        ),
        (
            "calls",
            r#"{"statuses":[{"status":"RINGING"}]}"#,
            "call_status",
            Some("RINGING"),
        ),
        (
            "campaign_status_update",
            r#"{"old_status":"A","new_status":"B"}"#,
            "campaign_status",
            Some("B"),
        ),
        (
            "flows",
            r#"{"event":"FLOW_STATUS_CHANGE"}"#,
            "flow",
            Some("FLOW_STATUS_CHANGE"),
        ),
        ("flows", r#"{"warning":"w"}"#, "flow", None),
        (
            "group_lifecycle_update",
            r#"{"groups":[{"type":"group_create"}]}"#,
            "group",
            Some("group_create"),
        ),
        (
            "group_participants_update",
            r#"{"groups":[{"added_participants":[{"wa_id":"1"}],"type":"group_add_participants"}]}"#,
            "group_participant",
            Some("group_participants_add"),
        ),
        (
            "history",
            r#"{"history":[{"threads":[{"id":"1","messages":[{"type":"text"}]}]}]}"#,
            "history_message",
            Some("text"),
        ),
        (
            "history",
            r#"{"history":[{"metadata":{"progress":100}}]}"#,
            "history_progress",
            None,
        ),
        (
            "smb_app_state_sync",
            r#"{"state_sync":[{"type":"contact","action":"add"}]}"#,
            "app_state",
            Some("add"),
        ),
        (
            "smb_message_echoes",
            r#"{"message_echoes":[{"type":"video"}]}"#,
            "echo",
            Some("video"),
        ),
        (
            "messaging_handovers",
            r#"{"type":"control_taken"}"#,
            "handover",
            Some("control_taken"),
        ),
        (
            "standby",
            r#"{"standby":{"messages":[{"type":"text"}]}}"#,
            "standby_message",
            Some("text"),
        ),
        (
            "standby",
            r#"{"standby":{"statuses":[{"status":"sent"}]}}"#,
            "standby_status",
            Some("sent"),
        ),
        (
            "standby",
            r#"{"standby":{"message_echoes":[{"id":"1"}]}}"#,
            "standby_echo",
            None,
        ),
        (
            "partner_solutions",
            r#"{"event":"SOLUTION_CREATED"}"#,
            "partner_solution",
            Some("SOLUTION_CREATED"),
        ),
        (
            "payment_configuration_update",
            r#"{"status":"Active"}"#,
            "payment_configuration",
            Some("Active"),
        ),
        (
            "phone_number_name_update",
            r#"{"decision":"DEFERRED"}"#,
            "phone_number_name",
            Some("DEFERRED"),
        ),
        (
            "phone_number_quality_update",
            r#"{"event":"FLAGGED"}"#,
            "phone_number_quality",
            Some("FLAGGED"),
        ),
        (
            "security",
            r#"{"event":"PIN_RESET_SUCCESS"}"#,
            "security",
            Some("PIN_REQUEST_SUCCESS"),
        ),
        (
            "message_template_components_update",
            r#"{"message_template_id":1}"#,
            "template_components",
            None,
        ),
        (
            "message_template_quality_update",
            r#"{"new_quality_score":"GREEN"}"#,
            "template_quality",
            None,
        ),
        (
            "message_template_status_update",
            r#"{"event":"PAUSED"}"#,
            "template_status",
            Some("PAUSED"),
        ),
        (
            "template_category_update",
            r#"{"new_category":"UTILITY"}"#,
            "template_category",
            None,
        ),
        (
            "template_correct_category_detection",
            r#"{"category":"UTILITY"}"#,
            "template_category_detection",
            None,
        ),
        (
            "tracking_events",
            r#"{"events":[{"event_name":"click"}]}"#,
            "tracking_event",
            Some("click"),
        ),
        (
            "user_id_update",
            r#"{"user_id_update":[{"wa_id":"1"}]}"#,
            "user_id_update",
            None,
        ),
        (
            "user_preferences",
            r#"{"user_preferences":[{"value":"stop"}]}"#,
            "user_preference",
            Some("stop"),
        ),
        // For unknown events outside a list, the reason.
        ("holograms", r#"{"a":1}"#, "unknown", Some("field")),
        ("messages", r#"{"new":1}"#, "unknown", Some("shape")),
    ];
    for (field, value, name, subtype) in cases {
        let event = only(&change(field, value));
        let payload = event.payload();
        assert_eq!(event.kind(), name, "{field}: {value}");
        assert_eq!(payload.name(), name, "{field}: {value}");
        assert_eq!(payload.subtype(), subtype, "{field}: {value}");
    }
    for name in Payload::NAMES {
        assert!(cases.iter().any(|case| case.2 == *name), "{name}");
    }
    for (reason, name) in [
        (Reason::Field, "field"),
        (Reason::List, "list"),
        (Reason::Object, "object"),
        (Reason::Shape, "shape"),
        (Reason::Overflow, "overflow"),
    ] {
        assert_eq!(reason.as_str(), name);
    }
}

#[test]
fn a_delivery_is_asked_for_what_the_host_needs() {
    let of_number = |number: &str, members: &str| {
        format!(
            r#"{{"field":"messages","value":{{"metadata":{{"phone_number_id":"{number}"}},{members}}}}}"#
        )
    };
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","changes":[{},{},{}]}}]}}"#,
        of_number(
            "1",
            r#""messages":[{"id":"a","type":"text","text":{"body":"A"}},{"id":"b","type":"sticker"}]"#
        ),
        of_number(
            "2",
            r#""statuses":[{"id":"c","status":"sent"}],"messages":[{"id":"d"}]"#
        ),
        of_number(
            "1",
            r#""statuses":[{"id":"e","status":"read"}],"errors":[{"code":1}]"#
        ),
    );
    let notification = Notification::parse(body.clone()).unwrap();
    assert_eq!(notification.object(), Some("whatsapp_business_account"));
    assert_eq!(notification.body(), &body);

    let messages: Vec<_> = notification
        .messages()
        .map(|message| (message.id, message.text()))
        .collect();
    assert_eq!(
        messages,
        [(Some("a"), Some("A")), (Some("b"), None), (Some("d"), None)]
    );
    let statuses: Vec<_> = notification.statuses().map(|status| status.id).collect();
    assert_eq!(statuses, [Some("c"), Some("e")]);
    let ids = |number| -> Vec<_> {
        notification
            .of_phone_number(number)
            .map(|event| event.id().unwrap_or("-"))
            .collect()
    };
    assert_eq!(ids("1"), ["a", "b", "e", "-"]);
    assert_eq!(ids("2"), ["c", "d"]);
    assert!(ids("3").is_empty());

    assert_eq!(Notification::parse("{}").unwrap().object(), None);
}

#[test]
fn an_event_becomes_a_type_of_the_host() {
    #[derive(Debug, serde::Deserialize)]
    struct Hologram {
        depth: u32,
    }
    let event = only(&change("holograms", r#"{"depth":3}"#));
    assert_eq!(event.deserialize_raw::<Hologram>().unwrap().depth, 3);

    let error = only(&change("holograms", r#"{"depth":"CANARY"}"#))
        .deserialize_raw::<Hologram>()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the JSON of the event does not match the requested type"
    );
    assert_eq!((error.line(), error.column()), (1, 17));
    assert!(error.source().is_none());
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
}

#[test]
fn every_refusal_says_why_and_nothing_of_the_body() {
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for (body, error, text) in [
        (
            &b"\"CANARY\xff\""[..],
            ParseError::NotUtf8,
            "the body is not UTF-8",
        ),
        (b"CANARY", ParseError::NotJson, "the body is not JSON"),
        (b"", ParseError::NotJson, "the body is not JSON"),
        (
            deep.as_bytes(),
            ParseError::TooDeep,
            "the body is nested too deeply",
        ),
    ] {
        let found = Notification::parse(body.to_vec()).unwrap_err();
        assert_eq!(found, error);
        assert_eq!(found.to_string(), text);
    }
    // Too large to create in a test.
    assert_eq!(ParseError::TooLarge.to_string(), "the body is too large");
}

#[test]
fn what_a_person_wrote_or_chose_is_found_whatever_the_type() {
    for (members, text, media) in [
        (r#""type":"text","text":{"body":"T"}"#, Some("T"), None),
        (
            r#""type":"button","button":{"text":"T","payload":"p"}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"b","title":"T"}}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"l","title":"T","description":"D"}}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"T"}}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"interactive","interactive":{"type":"new"}"#,
            None,
            None,
        ),
        (
            r#""type":"order","order":{"catalog_id":"c","text":"T"}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"reaction","reaction":{"message_id":"m","emoji":"T"}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"image","image":{"id":"1","caption":"T"}"#,
            Some("T"),
            Some("1"),
        ),
        (
            r#""type":"video","video":{"id":"1","caption":"T"}"#,
            Some("T"),
            Some("1"),
        ),
        (
            r#""type":"document","document":{"id":"1","caption":"T"}"#,
            Some("T"),
            Some("1"),
        ),
        (r#""type":"audio","audio":{"id":"1"}"#, None, Some("1")),
        (r#""type":"sticker","sticker":{"id":"1"}"#, None, Some("1")),
        (
            r#""type":"edit","edit":{"message":{"type":"image","image":{"id":"1","caption":"T"}}}"#,
            Some("T"),
            None,
        ),
        (
            r#""type":"edit","edit":{"message":"no message"}"#,
            None,
            None,
        ),
        (r#""type":"location","location":{"name":"n"}"#, None, None),
        (r#""type":"hologram""#, None, None),
    ] {
        let event = message_event(&format!("{{{members}}}"));
        let message = message(&event);
        assert_eq!(message.text(), text, "{members}");
        assert_eq!(
            message.content.media().map(|media| media.id.unwrap()),
            media,
            "{members}"
        );
    }
}

#[test]
fn of_two_states_the_later_one_ranks_higher() {
    let order = [
        &[State::Warning, State::Other("CANARY")][..],
        &[State::Pending],
        &[State::Sent],
        &[State::Failed],
        &[State::Delivered, State::Captured],
        &[State::Read],
        &[State::Played],
        &[State::Deleted],
    ];
    for (rank, states) in (0..).zip(order) {
        for state in states {
            assert_eq!(state.rank(), rank, "{state:?}");
        }
    }
}

#[test]
fn a_person_is_found_among_any_number_of_contacts() {
    let contact = |number: usize| {
        // Each id of a contact may be a text, a number or escaped, and one of the two
        // may be missing.
        match number % 4 {
            0 => format!(
                r#"{{"profile":{{"name":"N{number}"}},"wa_id":"1650{number}","user_id":"US.{number}"}}"#
            ),
            1 => format!(
                r#"{{"user_id":"\u0055S.{number}","profile":{{"name":"N{number}"}},"wa_id":null}}"#
            ),
            2 => {
                format!(r#"{{"wa_id":1650{number},"user_id":"","profile":{{"name":"N{number}"}}}}"#)
            }
            _ => format!(
                r#"{{"wa_id":[],"user_id":"US.{number}","new":{{"wa_id":"0"}},"profile":{{"name":"N{number}"}}}}"#
            ),
        }
    };
    let message =
        |key: &str, id: &str| format!(r#"{{"{key}":"{id}","type":"text","text":{{"body":"b"}}}}"#);
    // Up to four contacts are searched linearly, more in a directory. The result is the same.
    for count in [2, 4, 5, 6, 64] {
        let list: Vec<_> = (0..count).rev().map(contact).collect();
        let messages: Vec<_> = (0..count)
            .flat_map(|number| {
                [
                    message("from", &format!("1650{number}")),
                    message("from_user_id", &format!("US.{number}")),
                ]
            })
            .chain([message("from", "0"), message("from", "1650")])
            .collect();
        let value = |contacts: &str| {
            format!(
                r#"{{"contacts":[{contacts}],"messages":[{}]}}"#,
                messages.join(",")
            )
        };
        // Contacts of another change with the same ids belong to that change's messages.
        let others: Vec<_> = list
            .iter()
            .map(|contact| contact.replace(":\"N", ":\"Other"))
            .collect();
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{}}},{{"field":"messages","value":{}}},{{"field":"messages","value":{}}}]}}]}}"#,
            value(&others.join(",")),
            value(&format!("7,{},[]", list.join(","))),
            value(""),
        );
        let notification = Notification::parse(body).unwrap();
        let name = |event: &Event| match event.payload() {
            Payload::Message(message) => message.sender.name().map(str::to_owned),
            other => panic!("{other:?}"),
        };
        let (first, rest) = notification.events().split_at(messages.len());
        let (second, third) = rest.split_at(messages.len());
        for (events, prefix) in [(first, "Other"), (second, "N")] {
            for (index, event) in events.iter().enumerate() {
                let number = index / 2;
                let (by_phone, by_user_id) = ([0, 2].contains(&(number % 4)), number % 4 != 2);
                let is_there = number < count && if index % 2 == 0 { by_phone } else { by_user_id };
                let wanted = is_there.then(|| format!("{prefix}{number}"));
                assert_eq!(name(event), wanted, "{count}: {}", event.raw());
                assert_eq!(name(&event.detach()), wanted, "{count}: {}", event.raw());
            }
        }
        assert!(third.iter().all(|event| name(event).is_none()));
    }
}

#[test]
fn others_than_senders_are_found_among_the_contacts_too() {
    for count in [3, 9] {
        let contacts: Vec<_> = (0..count)
            .map(|number| format!(r#"{{"profile":{{"name":"N{number}"}},"wa_id":"1650{number}","user_id":"US.{number}"}}"#))
            .collect();
        let contacts = contacts.join(",");
        let cases = [
            ("calls", r#""calls":[{"to":"16501","from":"1"}]"#),
            ("calls", r#""calls":[{"to":"16500","to_user_id":"US.1"}]"#),
            ("calls", r#""statuses":[{"recipient_id":"16501"}]"#),
            ("smb_message_echoes", r#""message_echoes":[{"to":"16501"}]"#),
            (
                "user_preferences",
                r#""user_preferences":[{"wa_id":16501}]"#,
            ),
            (
                "user_id_update",
                r#""user_id_update":[{"wa_id":"1","user_id":{"previous":"US.0","current":"US.1"}}]"#,
            ),
            (
                "group_participants_update",
                r#""groups":[{"removed_participants":[{"wa_id":"16501"}]}]"#,
            ),
        ];
        for (field, members) in cases {
            let event = only(&change(
                field,
                &format!(r#"{{{members},"contacts":[{contacts}]}}"#),
            ));
            let contact = match event.payload() {
                Payload::Call(call) => call.contact,
                Payload::CallStatus(status) => status.contact,
                Payload::Echo(echo) => echo.contact,
                Payload::UserPreference(preference) => preference.contact,
                Payload::UserIdUpdate(update) => update.contact,
                Payload::GroupParticipant(participant) => participant.contact,
                other => panic!("{other:?}"),
            };
            assert_eq!(
                contact.get().unwrap().profile.unwrap().name,
                Some("N1"),
                "{members}"
            );
        }
        // An action has no id: with several contacts it has none of them.
        let action = |contacts: &str| {
            let event = only(&change(
                "messages",
                &format!(r#"{{"user_actions":[{{"action_type":"a"}}],"contacts":[{contacts}]}}"#),
            ));
            match event.payload() {
                Payload::UserAction(action) => action
                    .contact
                    .get()
                    .and_then(|contact| contact.wa_id)
                    .map(str::to_owned),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(action(&contacts), None);
        assert_eq!(action(r#"{"wa_id":"1"}"#).as_deref(), Some("1"));
    }
}

#[test]
fn lists_inside_of_events_are_iterated_compared_and_shown() {
    let errors = |errors: &str| {
        message_event(&format!(
            r#"{{"id":"1","type":"unsupported","errors":{errors}}}"#
        ))
    };
    let one = errors(r#"[{"code":1,"error_data":{"details":"CANARY"}},7,{"code":2}]"#);
    let (one, same, other, none) = (
        message(&one).errors,
        errors(r#"[ {"error_data":{"details":"CANARY"}, "code":"1"}, {"code":2} ]"#),
        errors(r#"[{"code":1}]"#),
        errors("[]"),
    );
    let mut codes = Vec::new();
    for error in one {
        codes.push(error.code);
    }
    for error in &one {
        codes.push(error.code);
    }
    // Elements that are not errors are skipped.
    assert_eq!(codes, [Some(1), Some(2), Some(1), Some(2)]);
    assert!(!one.is_empty());
    assert!(message(&none).errors.is_empty());
    assert!(one == message(&same).errors);
    assert!(one != message(&other).errors);
    let shown = format!("{one:?} {:?}", one.iter());
    assert!(
        shown.contains("code: Some(2)") && shown.ends_with(" Iter(..)"),
        "{shown}"
    );
    assert!(!shown.contains("CANARY"), "{shown}");
    // The iterator is fused.
    let mut iter = one.iter();
    assert_eq!(iter.by_ref().count(), 2);
    assert!(iter.next().is_none());
}

#[test]
fn an_edited_message_is_compared_and_shown_by_what_it_says() {
    let edit = |text: &str| {
        message_event(&format!(
            r#"{{"id":"1","type":"edit","edit":{{"message":{{"type":"text","text":{{"body":"{text}"}}}}}}}}"#
        ))
    };
    let (event, same, other) = (edit("CANARY"), edit(r"\u0043ANARY"), edit("other"));
    assert!(message(&event).content == message(&same).content);
    assert!(message(&event).content != message(&other).content);
    let shown = format!("{:?}", message(&event).content);
    assert!(
        shown.contains("Text(") && !shown.contains("CANARY"),
        "{shown}"
    );
}

#[test]
fn debug_shows_names_that_meta_made() {
    let event = only(&change(
        "account_update",
        r#"{"event":"PARTNER_ADDED","phone_number":"16505550001","waba_info":{"solution_partner_business_ids":["506914307656634"]}}"#,
    ));
    let shown = format!("{event:?}");
    assert!(
        shown.contains("PartnerAdded") && shown.contains(r#"["506914307656634"]"#),
        "{shown}"
    );
    assert!(!shown.contains("1650555"), "{shown}");

    // Unknown names may contain anything.
    let event = only(&change("account_update", r#"{"event":"CANARY"}"#));
    let shown = format!("{event:?}");
    assert!(
        shown.contains("Other(..)") && !shown.contains("CANARY"),
        "{shown}"
    );

    let event = only(&change("holograms", r#"{"id":"CANARY"}"#));
    let shown = format!("{event:?}");
    assert!(
        shown.contains("Field") && !shown.contains("CANARY"),
        "{shown}"
    );

    let key = event.key();
    assert_eq!(format!("{key:?}"), format!("EventKey({key})"));
}

#[test]
fn an_alert_is_found_beside_its_place() {
    for value in [
        r#"{"entity_type":"WABA","alert_info":{"alert_severity":"CRITICAL","alert_status":"ACTIVE","alert_type":"T","alert_description":"D"}}"#,
        r#"{"entity_type":"WABA","alert_severity":"CRITICAL","alert_status":"ACTIVE","alert_type":"T","alert_description":"D"}"#,
    ] {
        let event = only(&change("account_alerts", value));
        let Payload::AccountAlert(alert) = event.payload() else {
            panic!("{event:?}")
        };
        let info = alert.info();
        assert_eq!(
            (info.severity, info.status),
            (Some("CRITICAL"), Some("ACTIVE")),
            "{value}"
        );
        assert_eq!(
            (info.kind, info.description),
            (Some("T"), Some("D")),
            "{value}"
        );
    }
}

#[test]
fn people_asked_for_by_themselves_are_not_shown_either() {
    let event = message_event(
        r#"{"from":"16505550001","from_user_id":"US.1","type":"text","text":{"body":"b"}}"#,
    );
    let sender = message(&event).sender;
    assert_eq!(sender.name(), Some("Ada"));
    assert_eq!(format!("{sender:?}"), "Sender { .. }");

    let event = status_event(r#"{"id":"1","status":"sent","recipient_id":"16505550001"}"#);
    let recipient = status(&event).recipient;
    assert_eq!(recipient.id, Some("16505550001"));
    assert_eq!(format!("{recipient:?}"), "Recipient { .. }");
}

#[test]
fn names_in_a_list_are_texts_or_numbers() {
    let event = only(&change(
        "account_update",
        r#"{"event":"PARTNER_ADDED","waba_info":{"solution_partner_business_ids":["a\u0062",7,null,[8],"9"]}}"#,
    ));
    let Payload::AccountUpdate(update) = event.payload() else {
        panic!("{event:?}")
    };
    let ids = update.waba_info.unwrap().solution_partner_business_ids;
    let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["ab", "7", "9"]);
    assert!(!event.is_known());
}

#[test]
fn odd_shapes_in_a_history_arrive_with_their_json() {
    for (history, raw) in [
        ("[7]", "7"),
        (r#"[{"threads":[7]}]"#, "7"),
        (r#"[{"threads":[{"id":"1"}]}]"#, r#"{"id":"1"}"#),
        (r#"[{"threads":[{"id":"1","messages":["m"]}]}]"#, r#""m""#),
        (r#"[{"threads":"t"}]"#, r#""t""#),
        (r#"{"threads":[]}"#, r#"{"threads":[]}"#),
    ] {
        let event = only(&change("history", &format!(r#"{{"history":{history}}}"#)));
        assert_eq!(reason(&event), Reason::Shape, "{history}");
        assert_eq!(event.raw(), raw, "{history}");
    }
}
