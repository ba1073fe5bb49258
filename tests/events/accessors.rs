//! Shortcuts of a delivery: its messages, its statuses, the events of one number, and
//! the time of an event.

use tower_whatsapp::{Event, Notification, Payload, event::Timestamp};

fn change(field: &str, value: &str) -> String {
    format!(r#"{{"field":"{field}","value":{value}}}"#)
}

fn delivery(changes: &[String]) -> Notification {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","time":1760000005,"changes":[{}]}}]}}"#,
        changes.join(",")
    );
    Notification::parse(body).unwrap()
}

fn metadata(number: &str) -> String {
    format!(r#""metadata":{{"display_phone_number":"{number}5550","phone_number_id":"{number}"}}"#)
}

/// Elements that look like a message or status, in every field with such lists.
fn look_alikes() -> Notification {
    let lists = r#""messages":[{"id":"M","type":"text","text":{"body":"b"}}],"statuses":[{"id":"S","status":"read"}]"#;
    let history = r#"{"history":[{"threads":[{"id":"1","messages":[{"id":"H","type":"text"}]}]}],"messages":[{"id":"H2","type":"image"}]}"#;
    delivery(&[
        change("messages", &format!("{{{lists}}}")),
        change("standby", &format!(r#"{{"standby":{{{lists}}}}}"#)),
        change("calls", r#"{"statuses":[{"id":"C","status":"RINGING"}]}"#),
        change("history", history),
        change(
            "smb_message_echoes",
            r#"{"message_echoes":[{"id":"E","type":"text"}]}"#,
        ),
        change(
            "message_echoes",
            r#"{"message_echoes":[{"id":"E2","type":"text"}]}"#,
        ),
        // Messages in an unknown field may mean anything.
        change("holograms", &format!("{{{lists}}}")),
    ])
}

/// A host that replies to `messages()` must not reply to a chat of another app, an
/// echo or the history.
#[test]
fn messages_and_statuses_are_those_of_the_business_alone() {
    let notification = look_alikes();
    assert_eq!(notification.events().len(), 11);
    let messages: Vec<_> = notification.messages().map(|message| message.id).collect();
    assert_eq!(messages, [Some("M")]);
    let statuses: Vec<_> = notification.statuses().map(|status| status.id).collect();
    assert_eq!(statuses, [Some("S")]);
    let kinds: Vec<_> = notification.events().iter().map(Event::kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "message").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == "status").count(), 1);
    assert!(kinds.contains(&"standby_message") && kinds.contains(&"standby_status"));
}

#[test]
fn the_events_of_a_number_are_those_that_name_it() {
    let message = |number: &str, id: &str| {
        let value = format!(r#"{{{},"messages":[{{"id":"{id}"}}]}}"#, metadata(number));
        change("messages", &value)
    };
    let notification = delivery(&[
        message("1", "A"),
        message("2", "B"),
        message("1", "C"),
        // Without a phone number id: no metadata, metadata without an id, an empty id.
        change("messages", r#"{"messages":[{"id":"D"}]}"#),
        change(
            "messages",
            r#"{"metadata":{"display_phone_number":"1"},"messages":[{"id":"E"}]}"#,
        ),
        message("", "F"),
        change(
            "account_update",
            r#"{"event":"VERIFIED_ACCOUNT","phone_number":"1"}"#,
        ),
    ]);
    let ids = |number: &str| -> Vec<String> {
        notification
            .of_phone_number(number)
            .map(|event| event.id().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("1"), ["A", "C"]);
    assert_eq!(ids("2"), ["B"]);
    for nobody in ["3", "", "15550", "12"] {
        assert!(ids(nobody).is_empty(), "{nobody}");
    }
    let number = |index: usize| {
        let event = &notification.events()[index];
        (event.phone_number_id(), event.display_phone_number())
    };
    assert_eq!(number(1), (Some("2"), Some("25550")));
    assert_eq!(number(3), (None, None));
    assert_eq!(number(4), (None, Some("1")));
    assert_eq!(number(5), (None, Some("5550")));
}

fn timestamp(field: &str, value: &str) -> Option<u64> {
    let notification = delivery(&[change(field, value)]);
    let [event] = notification.events() else {
        panic!("{value}");
    };
    assert_eq!(event.detach().timestamp(), event.timestamp(), "{value}");
    event.timestamp().map(Timestamp::millis)
}

/// The entry has the time of the delivery, possibly years later. Only the event's own
/// time shows its age.
#[test]
fn the_time_of_an_event_is_its_own_before_that_of_the_entry() {
    const OWN: Option<u64> = Some(1_700_000_000_000);
    const SENT: Option<u64> = Some(1_760_000_005_000);
    let with_time = [
        (
            "messages",
            r#"{"messages":[{"id":"A","timestamp":"1700000000"}]}"#,
        ),
        (
            "messages",
            r#"{"statuses":[{"id":"A","timestamp":1700000000}]}"#,
        ),
        (
            "messages",
            r#"{"user_actions":[{"timestamp":"1700000000"}]}"#,
        ),
        (
            "standby",
            r#"{"standby":{"statuses":[{"id":"A","timestamp":"1700000000"}]}}"#,
        ),
        (
            "calls",
            r#"{"calls":[{"id":"A","timestamp":"1700000000"}]}"#,
        ),
        (
            "account_settings_update",
            r#"{"timestamp":"1700000000","type":"phone_number_settings"}"#,
        ),
        (
            "messaging_handovers",
            r#"{"type":"control_passed","timestamp":"1700000000"}"#,
        ),
        (
            "group_status_update",
            r#"{"groups":[{"timestamp":"1700000000","type":"group_suspend"}]}"#,
        ),
        // Shared by all participants.
        (
            "group_participants_update",
            r#"{"groups":[{"timestamp":"1700000000","added_participants":[{"wa_id":"1"}]}]}"#,
        ),
        ("holograms", r#"{"timestamp":"1700000000"}"#),
    ];
    for (field, value) in with_time {
        assert_eq!(timestamp(field, value), OWN, "{value}");
    }
    let without = [
        ("account_update", r#"{"event":"VERIFIED_ACCOUNT"}"#),
        ("messages", r#"{"messages":[{"id":"A"}]}"#),
        ("messages", r#"{"messages":[{"id":"A","timestamp":null}]}"#),
        (
            "messages",
            r#"{"messages":[{"id":"A","timestamp":"soon"}]}"#,
        ),
        (
            "group_participants_update",
            r#"{"groups":[{"group_id":"g","added_participants":[{"wa_id":"1"}]}]}"#,
        ),
        // The time of a part is not the event's time.
        (
            "messages",
            r#"{"messages":[{"id":"A","identity":{"created_timestamp":"1","timestamp":"1"}}]}"#,
        ),
    ];
    for (field, value) in without {
        assert_eq!(timestamp(field, value), SENT, "{value}");
    }
}

/// Only whole numbers: Meta does not send texts that are almost a number.
#[test]
fn a_time_is_digits_without_anything_around_them() {
    let of = |text: &str| {
        let value = format!(
            r#"{{"messages":[{{"id":"A","type":"text","text":{{"body":"b"}},"timestamp":{text}}}]}}"#
        );
        let notification = delivery(&[change("messages", &value)]);
        let event = &notification.events()[0];
        let Payload::Message(message) = event.payload() else {
            panic!("{event:?}");
        };
        (message.timestamp.map(Timestamp::millis), event.is_known())
    };
    for odd in [
        r#"" 1760000000""#,
        r#""1760000000 ""#,
        r#""\t1760000000""#,
        r#""\n1760000000""#,
        r#""\u00a01760000000""#,
        r#""17600 00000""#,
        r#""1_760_000_000""#,
        r#""1,760,000,000""#,
        r#""+1760000000""#,
        r#""-1760000000""#,
        r#""0x68e7""#,
        r#""1760000000.5""#,
        "1760000000.5",
        r#""\u0661\u0667""#,
        r#""00000000001760000000""#,
    ] {
        assert_eq!(of(odd), (None, false), "{odd}");
    }
    for (text, millis) in [
        (r#""1760000000""#, 1_760_000_000_000),
        ("1760000000", 1_760_000_000_000),
        ("1760000000.0", 1_760_000_000_000),
        ("1.76e9", 1_760_000_000_000),
        (r#""\u0031760000000""#, 1_760_000_000_000),
        (r#""0""#, 0),
        // The last value in seconds, and the first one in milliseconds. Nineteen
        // digits are the maximum.
        (r#""999999999999""#, 999_999_999_999_000),
        (r#""1000000000000""#, 1_000_000_000_000),
        (r#""1000000000001""#, 1_000_000_000_001),
        (r#""999999999999999""#, 999_999_999_999_999),
        (r#""0000000001760000000""#, 1_760_000_000_000),
    ] {
        assert_eq!(of(text), (Some(millis), true), "{text}");
    }
}
