//! What is a number, written as one or as a text.

use serde_json::json;
use tower_whatsapp::{Event, Notification, Payload, event::Content};

fn event(field: &str, value: &serde_json::Value) -> Event {
    let body = json!({"entry": [{"changes": [{"field": field, "value": value}]}]});
    let notification = Notification::parse(body.to_string()).unwrap();
    notification.events()[0].clone()
}

/// A JSON number where `text` is one, and a string of it.
fn forms(text: &str) -> impl Iterator<Item = String> {
    let number = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|v| v.is_number());
    // Beyond the range of `serde_json`, but JSON all the same.
    let number = number || text.starts_with("1e") || text.starts_with("-1e");
    [number.then(|| text.to_owned()), Some(format!("\"{text}\""))]
        .into_iter()
        .flatten()
}

/// Replaces the member of a delivery that is the text `NUMBER`.
fn with(template: &Event, form: &str) -> Event {
    let queued = String::from_utf8(template.to_queue().to_vec()).unwrap();
    let queued = queued.replace("\"NUMBER\"", form);
    let notification = Notification::from_queue(queued).unwrap();
    notification.events()[0].clone()
}

#[test]
fn a_decimal_is_finite() {
    let message = json!({"id": "wamid.A", "type": "location", "location": {"latitude": "NUMBER"}});
    let location = event("messages", &json!({"messages": [message]}));
    let order = json!({"id": "wamid.A", "type": "order", "order": {"product_items": [
        {"quantity": 1, "item_price": "NUMBER"},
    ]}});
    let order = event("messages", &json!({"messages": [order]}));
    let latitude = |form: &str| {
        let event = with(&location, form);
        let Payload::Message(message) = event.payload() else {
            panic!("{form}")
        };
        let Content::Location(location) = message.content else {
            panic!("{form}")
        };
        location.latitude
    };
    let price = |form: &str| {
        let event = with(&order, form);
        let Payload::Message(message) = event.payload() else {
            panic!("{form}")
        };
        let Content::Order(order) = message.content else {
            panic!("{form}")
        };
        order.product_items.first().unwrap().item_price
    };
    for (text, number) in [
        ("-33.5", Some(-33.5)),
        ("0", Some(0.0)),
        ("1e3", Some(1000.0)),
        ("1e308", Some(1e308)),
        ("1e309", None),
        ("-1e309", None),
        ("inf", None),
        ("-inf", None),
        ("Infinity", None),
        ("NaN", None),
        ("nan", None),
        ("", None),
        ("ten", None),
    ] {
        for form in forms(text) {
            assert_eq!(latitude(&form), number, "{form}");
            assert_eq!(price(&form), number, "{form}");
        }
    }
}

/// A float beyond 2^53 stands for many whole numbers.
#[test]
fn a_whole_number_is_exact() {
    let call = json!({"id": "wacid.A", "event": "terminate", "duration": "NUMBER"});
    let call = event("calls", &json!({"calls": [call]}));
    let duration = |form: &str| {
        let event = with(&call, form);
        let Payload::Call(call) = event.payload() else {
            panic!("{form}")
        };
        call.duration
    };
    for (text, number) in [
        ("7", Some(7)),
        ("-7", Some(-7)),
        ("7.0", Some(7)),
        ("7e1", Some(70)),
        ("7.5", None),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("9007199254740991.0", Some(9_007_199_254_740_991)),
        ("9007199254740992.0", None),
        ("-9007199254740992.0", None),
        ("1e30", None),
        ("-1e30", None),
        ("1e309", None),
        ("inf", None),
        ("NaN", None),
        ("", None),
        ("seven", None),
    ] {
        for form in forms(text) {
            assert_eq!(duration(&form), number, "{form}");
        }
    }
}
