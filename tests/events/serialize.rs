//! A payload that is serialised and parsed in its original place is unchanged.

use std::fs;

use serde_json::{Value, json};
use tower_whatsapp::{Event, Notification, testing::sample};

/// The event with its JSON replaced by its serialised payload. `None` if its JSON is
/// ambiguous in the delivery.
fn serialized(event: &Event) -> Option<Event> {
    let payload = serde_json::to_string(&event.payload()).unwrap();
    let form = String::from_utf8(event.to_queue().to_vec()).unwrap();
    if form.matches(event.raw()).count() != 1 {
        return None;
    }
    let form = form.replace(event.raw(), &payload);
    let notification = Notification::from_queue(form.clone()).unwrap();
    let [again] = notification.events() else {
        panic!("{} events: {form}", notification.events().len())
    };
    Some(again.clone())
}

fn comes_back(event: &Event) -> bool {
    let Some(again) = serialized(event) else {
        return false;
    };
    // An unknown type keeps its name, and its body is only in the raw JSON.
    assert_eq!(again.payload(), event.payload(), "{}", event.raw());
    assert_eq!(
        serde_json::to_string(&again.payload()).unwrap(),
        serde_json::to_string(&event.payload()).unwrap(),
        "{}",
        event.raw()
    );
    true
}

/// The text of a product message stands beside the product, so it is not written again.
#[test]
fn no_object_has_an_empty_key() {
    let message = json!({"id": "wamid.A", "type": "interactive", "interactive": {
        "type": "product",
        "body": {"text": "is it blue?"},
        "product": {"catalog_id": "c", "product_retailer_id": "p"},
    }});
    let body =
        json!({"entry": [{"changes": [{"field": "messages", "value": {"messages": [message]}}]}]});
    let notification = Notification::parse(body.to_string()).unwrap();
    let [event] = notification.events() else {
        panic!("one message");
    };
    assert_eq!(serde_json::to_value(event.payload()).unwrap(), message);
}

#[test]
fn samples_come_back() {
    let mut count = 0;
    for (name, sample) in sample::all() {
        for event in sample.notification().events() {
            assert!(comes_back(event), "{name}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn real_notifications_come_back() {
    let root = test_support::payloads();
    // Without them, the samples of the other test are what is checked.
    let Some(index) = test_support::payloads_index() else {
        return;
    };
    let (mut events, mut compared) = (0, 0);
    for file in index.lines().filter_map(|line| line.split('\t').next()) {
        let Ok(body) = fs::read(root.join(file)) else {
            continue;
        };
        let Ok(notification) = Notification::parse(body) else {
            continue;
        };
        for event in notification.events() {
            events += 1;
            compared += usize::from(comes_back(event));
        }
    }
    println!("{compared} of {events} events compared");
    assert!(
        compared > 400 && compared * 100 >= events * 95,
        "{compared} of {events}"
    );
}

#[test]
fn keys_are_metas_and_absent_ones_are_left_out() {
    let body = json!({"entry": [{"changes": [{"field": "messages", "value": {
        "contacts": [{"profile": {"name": "Lotte"}, "wa_id": "4915100000007"}],
        "messages": [{
            "from": "4915100000007", "id": "wamid.7", "timestamp": 1_790_000_001, "type": "voice",
            "voice": {"id": "5", "voice": "true", "mime_type": null},
            "context": {"forwarded": true, "referred_product": {}},
            "errors": [{"code": "131051", "title": "t"}],
            "novelty": 1
        }],
    }}]}]});
    let notification = Notification::parse(body.to_string()).unwrap();
    let payload = serde_json::to_value(notification.events()[0].payload()).unwrap();
    assert_eq!(
        payload,
        json!({
            "from": "4915100000007", "id": "wamid.7", "timestamp": "1790000001", "type": "voice",
            "voice": {"id": "5", "voice": true},
            "context": {"forwarded": true, "referred_product": {}},
            "errors": [{"code": 131_051, "title": "t"}],
            "contact": {"profile": {"name": "Lotte"}, "wa_id": "4915100000007"}
        })
    );
}

#[test]
fn a_time_keeps_its_milliseconds() {
    for (timestamp, written) in [
        ("1790000001", "1790000001"),
        ("1790000001000", "1790000001"),
        ("1790000001005", "1790000001005"),
        ("1000000000001", "1000000000001"),
    ] {
        let status = json!({"id": "wamid.A", "status": "read", "timestamp": timestamp});
        let value = json!({"statuses": [status]});
        let body = json!({"entry": [{"changes": [{"field": "messages", "value": value}]}]});
        let notification = Notification::parse(body.to_string()).unwrap();
        let [event] = notification.events() else {
            panic!("one status");
        };
        let payload = serde_json::to_value(event.payload()).unwrap();
        assert_eq!(payload["timestamp"], written);
        assert!(timestamp != written || comes_back(event), "{timestamp}");
    }
}

#[test]
fn json_is_written_as_it_stands() {
    for (calling, written) in [
        (
            r#"{ "a" : 1.50, "b":"\u00e4\/" }"#,
            r#"{ "a" : 1.50, "b":"\u00e4\/" }"#,
        ),
        // Values that `Value` and databases reject become the closest valid ones, so
        // that nothing fails.
        (
            r#"{ "a" : 1e400, "b":["\ud83d"] }"#,
            "{\"a\":\"1e400\",\"b\":[\"\u{fffd}\"]}",
        ),
        (r#"{"\udc00":-1e999}"#, "{\"\u{fffd}\":\"-1e999\"}"),
    ] {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"account_settings_update","value":{{"phone_number_settings":{{"calling":{calling}}}}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let payload = notification.events()[0].payload();
        assert_eq!(
            serde_json::to_string(&payload).unwrap(),
            format!(r#"{{"phone_number_settings":{{"calling":{written}}}}}"#)
        );
        assert!(serde_json::to_value(payload).is_ok());
    }
    // Text that is not JSON by itself is serialised as a string.
    let rest = format!(
        r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{}{{}},{{}}]}}}}]}}]}}"#,
        "{},".repeat(32_768)
    );
    let notification = Notification::parse(rest).unwrap();
    let overflow = notification.events().last().unwrap();
    assert_eq!(
        serde_json::to_value(overflow.payload()).unwrap(),
        Value::from("{},{}")
    );
}
