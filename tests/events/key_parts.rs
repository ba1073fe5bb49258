//! Every part that the docs of `EventKey` list distinguishes events, and other parts do not.

use serde_json::{Value, json};
use tower_whatsapp::{Notification, event::EventKey};

/// One event, and the parts of its key.
struct Case {
    name: &'static str,
    body: Value,
    /// Paths that are part of the key, with a different value for each.
    parts: Vec<(&'static str, Value)>,
    /// Paths that are not part of the key.
    others: Vec<(&'static str, Value)>,
}

fn body(field: &str, value: &Value) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "9", "time": 1_760_000_005, "changes": [{"field": field, "value": value}]}],
    })
}

/// The value of a change, with a phone number and a list of one element.
fn listed(list: &str, element: &Value) -> Value {
    json!({
        "metadata": {"display_phone_number": "15550000001", "phone_number_id": "100000000000001"},
        list: [element],
    })
}

fn key(body: &Value) -> EventKey {
    let notification = Notification::parse(body.to_string()).unwrap();
    let [event] = notification.events() else {
        panic!("{body}");
    };
    event.key()
}

const PHONE: &str = "/entry/0/changes/0/value/metadata/phone_number_id";
const SHOWN_PHONE: &str = "/entry/0/changes/0/value/metadata/display_phone_number";
const ENTRY: &str = "/entry/0/id";
const TIME: &str = "/entry/0/time";
const FIELD: &str = "/entry/0/changes/0/field";

fn cases() -> Vec<Case> {
    let payment = json!({
        "id": "wamid.S", "status": "captured", "timestamp": "1760000000",
        "recipient_id": "g", "recipient_user_id": "US.1",
        "recipient_participant_id": "1", "recipient_participant_user_id": "US.2",
        "payment": {"reference_id": "r", "transaction": {"id": "t1", "pg_transaction_id": "p1", "status": "success",
            "refunds": [{"id": "f1", "status": "pending", "updated_timestamp": "1760000002"}]}},
        "pricing": {"billable": true},
    });
    let call = json!({"id": "wacid.A", "event": "connect", "timestamp": "1760000000", "from": "1", "duration": 1});
    let call_status = json!({
        "id": "wacid.A", "status": "RINGING", "timestamp": "1760000000",
        "recipient_id": "1", "recipient_user_id": "US.1", "biz_opaque_callback_data": "x",
    });
    let message = json!({"id": "wamid.A", "type": "text", "from": "1", "timestamp": "1760000000", "text": {"body": "a"}});
    let group = json!({
        "group_id": "g", "type": "group_participants_add", "timestamp": "1760000000", "request_id": "r",
        "reason": "invite_link", "added_participants": [{"wa_id": "1", "input": "1"}],
    });
    let timeless = json!({"group_id": "g", "added_participants": [{"wa_id": "1"}]});
    vec![
        Case {
            name: "message",
            body: body("messages", &listed("messages", &message)),
            parts: vec![
                (PHONE, json!("2")),
                ("/entry/0/changes/0/value/messages/0/id", json!("wamid.B")),
                ("/entry/0/changes/0/value/messages/0/type", json!("edit")),
            ],
            others: vec![
                (ENTRY, json!("8")),
                (TIME, json!(1)),
                (SHOWN_PHONE, json!("2")),
                ("/entry/0/changes/0/value/messages/0/timestamp", json!("1")),
                ("/entry/0/changes/0/value/messages/0/text/body", json!("b")),
            ],
        },
        Case {
            name: "echo",
            body: body("message_echoes", &listed("message_echoes", &message)),
            parts: vec![
                (PHONE, json!("2")),
                (
                    "/entry/0/changes/0/value/message_echoes/0/id",
                    json!("wamid.B"),
                ),
                (
                    "/entry/0/changes/0/value/message_echoes/0/type",
                    json!("edit"),
                ),
            ],
            others: vec![
                (ENTRY, json!("8")),
                (
                    "/entry/0/changes/0/value/message_echoes/0/text/body",
                    json!("b"),
                ),
            ],
        },
        Case {
            name: "status",
            body: body("messages", &listed("statuses", &payment)),
            parts: vec![
                (PHONE, json!("2")),
                ("/entry/0/changes/0/value/statuses/0/id", json!("wamid.T")),
                (
                    "/entry/0/changes/0/value/statuses/0/status",
                    json!("failed"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/timestamp",
                    json!("1760000001"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/recipient_id",
                    json!("h"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/recipient_user_id",
                    json!("US.9"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/recipient_participant_id",
                    json!("9"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/recipient_participant_user_id",
                    json!("US.9"),
                ),
                // Two payment attempts are two events.
                (
                    "/entry/0/changes/0/value/statuses/0/payment/transaction/id",
                    json!("t2"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/payment/transaction/status",
                    json!("pending"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/payment/transaction/refunds/0/id",
                    json!("f2"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/payment/transaction/refunds/0/status",
                    json!("success"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/payment/transaction/refunds/0/updated_timestamp",
                    json!("1760000003"),
                ),
            ],
            others: vec![
                (ENTRY, json!("8")),
                (TIME, json!(1)),
                (
                    "/entry/0/changes/0/value/statuses/0/pricing/billable",
                    json!(false),
                ),
            ],
        },
        Case {
            name: "call",
            body: body("calls", &listed("calls", &call)),
            parts: vec![
                (PHONE, json!("2")),
                ("/entry/0/changes/0/value/calls/0/id", json!("wacid.B")),
                ("/entry/0/changes/0/value/calls/0/event", json!("terminate")),
                (
                    "/entry/0/changes/0/value/calls/0/timestamp",
                    json!("1760000001"),
                ),
            ],
            others: vec![("/entry/0/changes/0/value/calls/0/duration", json!(2))],
        },
        Case {
            name: "call status",
            body: body("calls", &listed("statuses", &call_status)),
            parts: vec![
                (PHONE, json!("2")),
                ("/entry/0/changes/0/value/statuses/0/id", json!("wacid.B")),
                (
                    "/entry/0/changes/0/value/statuses/0/status",
                    json!("ACCEPTED"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/timestamp",
                    json!("1760000001"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/recipient_id",
                    json!("2"),
                ),
                (
                    "/entry/0/changes/0/value/statuses/0/recipient_user_id",
                    json!("US.2"),
                ),
            ],
            others: vec![(
                "/entry/0/changes/0/value/statuses/0/biz_opaque_callback_data",
                json!("y"),
            )],
        },
        Case {
            name: "participant of a group",
            body: body("group_participants_update", &listed("groups", &group)),
            parts: vec![
                (PHONE, json!("2")),
                ("/entry/0/changes/0/value/groups/0/group_id", json!("h")),
                (
                    "/entry/0/changes/0/value/groups/0/type",
                    json!("group_create"),
                ),
                (
                    "/entry/0/changes/0/value/groups/0/timestamp",
                    json!("1760000001"),
                ),
                ("/entry/0/changes/0/value/groups/0/request_id", json!("s")),
                (
                    "/entry/0/changes/0/value/groups/0/added_participants/0/wa_id",
                    json!("2"),
                ),
                (
                    "/entry/0/changes/0/value/groups/0/added_participants/0/input",
                    json!("2"),
                ),
            ],
            others: vec![(ENTRY, json!("8"))],
        },
        Case {
            name: "participant of a group without a time",
            body: body("group_participants_update", &listed("groups", &timeless)),
            parts: vec![(PHONE, json!("2")), (TIME, json!(1))],
            others: vec![(ENTRY, json!("8"))],
        },
        Case {
            name: "an error of a phone number",
            body: body("messages", &listed("errors", &json!({"code": 1}))),
            parts: vec![
                (TIME, json!(1)),
                (PHONE, json!("2")),
                (FIELD, json!("calls")),
                ("/entry/0/changes/0/value/errors/0/code", json!(2)),
            ],
            // One phone number may have several account ids.
            others: vec![(SHOWN_PHONE, json!("2")), (ENTRY, json!("8"))],
        },
        Case {
            name: "a change of an account",
            body: body("account_update", &json!({"event": "VERIFIED_ACCOUNT"})),
            parts: vec![
                (ENTRY, json!("8")),
                (TIME, json!(1)),
                ("/entry/0/changes/0/value/event", json!("DISABLED")),
            ],
            others: vec![("/object", json!(null))],
        },
    ]
}

#[test]
fn each_part_alone_makes_another_key() {
    for case in cases() {
        let original = key(&case.body);
        for (place, other) in case.parts {
            let mut body = case.body.clone();
            *body.pointer_mut(place).unwrap() = other;
            assert_ne!(key(&body), original, "{}: {place}", case.name);
            // A missing part differs from a present one. Without its type or list an
            // event has another kind.
            *body.pointer_mut(place).unwrap() = Value::Null;
            assert_ne!(key(&body), original, "{}: no {place}", case.name);
        }
        for (place, other) in case.others {
            let mut body = case.body.clone();
            *body.pointer_mut(place).unwrap() = other;
            assert_eq!(key(&body), original, "{}: {place}", case.name);
        }
    }
}

/// What comes after a long part of a key is hashed later.
#[test]
fn a_long_part_leaves_no_other_part_out() {
    for case in cases() {
        for (long, _) in &case.parts {
            let mut body = case.body.clone();
            let text = body.pointer_mut(long).unwrap();
            // A long time is none, and an unknown field has other keys.
            if !text.is_string() || [TIME, FIELD].contains(long) || long.ends_with("/timestamp") {
                continue;
            }
            *text = Value::from("x".repeat(5000));
            let original = key(&body);
            for (place, other) in case.parts.iter().filter(|(place, _)| place != long) {
                let mut body = body.clone();
                *body.pointer_mut(place).unwrap() = other.clone();
                assert_ne!(
                    key(&body),
                    original,
                    "{}: {place} with a long {long}",
                    case.name
                );
            }
        }
    }
}

/// The same JSON in another list is another event.
#[test]
fn the_list_of_an_element_is_in_its_key() {
    let element = json!({"depth": 1});
    let in_list = |list: &str| key(&body("messages", &listed(list, &element)));
    assert_ne!(in_list("holograms"), in_list("teleports"));
    let participant = |list: &str| {
        let group =
            json!({"group_id": "g", "type": "group_participants_add", list: [{"wa_id": "1"}]});
        key(&body(
            "group_participants_update",
            &listed("groups", &group),
        ))
    };
    let keys = [
        "added_participants",
        "removed_participants",
        "failed_participants",
    ]
    .map(participant);
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}
