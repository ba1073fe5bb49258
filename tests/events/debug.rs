//! What `Debug` of events must not show.

use serde_json::Value;
use tower_whatsapp::testing::sample;

/// Meta encodes phone numbers in the ids of messages, calls and groups.
#[test]
fn debug_of_events_shows_no_id_with_a_number_in_it() {
    let (mut events, mut ids) = (0, 0);
    for (name, sample) in sample::all() {
        let body: Value = serde_json::from_slice(&sample.body()).unwrap();
        let mut hidden = Vec::new();
        encoded_ids("", &body, &mut hidden);
        ids += hidden.len();
        for event in sample.notification().events() {
            let shown = format!("{event:?} {:?}", event.payload());
            let leak = hidden.iter().find(|id| shown.contains(&format!("{id:?}")));
            assert_eq!(leak, None, "{name}: {shown}");
            events += 1;
        }
    }
    assert!(events > 100 && ids > 50, "{events} events, {ids} ids");
}

fn encoded_ids(key: &str, value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::String(text)
            if ["wamid.", "wacid."]
                .iter()
                .any(|prefix| text.starts_with(prefix))
                || ["group_id", "join_request_id"].contains(&key) =>
        {
            ids.push(text.clone());
        }
        Value::Array(list) => list.iter().for_each(|value| encoded_ids(key, value, ids)),
        Value::Object(object) => object
            .iter()
            .for_each(|(key, value)| encoded_ids(key, value, ids)),
        _ => {}
    }
}
