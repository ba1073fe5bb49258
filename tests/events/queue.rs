//! An event that went through a queue is unchanged, whatever its kind and however
//! unusual its delivery.

use std::{fmt::Write, fs};

use serde_json::Value;
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{ParseError, QueueError, Reason},
    testing::sample::{self, Sample},
};

use test_support::{
    mutants::{Node, Random, bodies, depth, variable},
    repetitions,
};

/// Number of mutants with `LONG_TESTS`, unless `MUTANTS` is set.
const MUTANTS: usize = 6_000;

/// Seed of the mutants, unless `SEED` is set.
const SEED: u64 = 0x5eed_0002;

/// Recursion limit of `serde_json`.
const MAX_DEPTH: usize = 127;

#[test]
fn every_sample_comes_out_as_it_went_in() {
    let mut events = 0;
    for (name, sample) in sample::all() {
        events += check(&sample.notification(), name);
    }
    // Surroundings of one event are not used for another.
    let all = sample::all()
        .into_iter()
        .map(|(_, sample)| sample.repeat(3))
        .reduce(Sample::and)
        .unwrap();
    events += check(&all.notification(), "all in one");
    println!("{events} events");
    assert!(events > 400);
}

#[test]
fn every_real_notification_comes_out_as_it_went_in() {
    let root = test_support::payloads();
    // Without them, the samples and oddities of the other tests are what is checked.
    let Some(index) = test_support::payloads_index() else {
        return;
    };
    let (mut files, mut events) = (0, 0);
    for line in index.lines().skip(1) {
        let file = line.split('\t').next().unwrap();
        let body = fs::read(root.join(file)).unwrap();
        // Also deliveries without an envelope.
        if let Ok(notification) = Notification::parse(body) {
            files += 1;
            events += check(&notification, file);
        }
    }
    println!("{files} files, {events} events");
    assert!(files > 400 && events > 400);
}

#[test]
fn oddities_come_out_as_they_went_in() {
    let mut events = 0;
    for body in ODDITIES {
        let notification = Notification::parse(*body).unwrap();
        assert!(!notification.events().is_empty(), "{body}");
        events += check(&notification, body);
    }
    println!("{} oddities, {events} events", ODDITIES.len());
}

#[test]
fn every_mutant_comes_out_as_it_went_in() {
    let mutants = variable("MUTANTS").map_or(repetitions(MUTANTS), |number| {
        usize::try_from(number).unwrap()
    });
    let seed = variable("SEED").unwrap_or(SEED);
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut bodies = bodies();
    bodies.extend(sample::all().into_iter().map(|(name, sample)| {
        let body = String::from_utf8(sample.body().into()).unwrap();
        (name.to_owned(), Node::parse(&body).write())
    }));
    bodies.extend(
        ODDITIES
            .iter()
            .map(|body| ("odd".to_owned(), (*body).to_owned())),
    );
    let (mut refused, mut events) = (0, 0);
    for number in 0..mutants {
        let (name, body) = &bodies[number % bodies.len()];
        let mut tree = Node::parse(body);
        let names: Vec<_> = (0..=random.below(4))
            .map(|_| tree.mutate(&mut random))
            .collect();
        let mutant = tree.write();
        match Notification::parse(mutant.clone()) {
            Ok(notification) => {
                let name = format!("seed {seed}, mutant {number} of {name} ({names:?}): {mutant}");
                events += check(&notification, &name);
            }
            Err(_) => refused += 1,
        }
    }
    println!(
        "{} bodies, {mutants} mutants, {refused} refused, {events} events",
        bodies.len()
    );
    assert!(events > mutants / 2 && refused < mutants / 10);
}

/// A consumer without this crate, in any language, finds the event where Meta would have put it.
#[test]
fn a_naive_consumer_finds_one_element_where_meta_has_it() {
    let mut found = 0;
    for (name, sample) in sample::all() {
        for event in sample.notification().events() {
            let form: Value = serde_json::from_slice(&event.to_queue()).unwrap();
            assert_eq!(form["tower_whatsapp"], 1, "{name}");
            let Some(field) = event.field() else { continue };
            let [entry] = &form["entry"].as_array().unwrap()[..] else {
                panic!("{name}: {form}")
            };
            let [change] = &entry["changes"].as_array().unwrap()[..] else {
                panic!("{name}: {form}")
            };
            assert_eq!(change["field"], field, "{name}");
            let raw: Value = serde_json::from_str(event.raw()).unwrap();
            let value = &change["value"];
            let list = match event.payload() {
                Payload::Message(_) => &value["messages"],
                Payload::Status(_) => &value["statuses"],
                Payload::Call(_) => &value["calls"],
                Payload::StandbyMessage(_) => &value["standby"]["messages"],
                Payload::HistoryMessage(message) if message.thread_id.is_some() => {
                    &value["history"][0]["threads"][0]["messages"]
                }
                Payload::AccountUpdate(_) => {
                    assert_eq!(*value, raw, "{name}");
                    continue;
                }
                _ => continue,
            };
            assert_eq!(*list, Value::from(vec![raw]), "{name}: {form}");
            let phone = value["metadata"]["phone_number_id"].as_str();
            assert_eq!(phone, event.phone_number_id(), "{name}");
            found += 1;
        }
    }
    println!("{found} events");
    assert!(found > 40);
}

#[test]
fn the_form_is_small_and_has_only_the_contacts_that_are_meant() {
    let body = sample::batch(1000).body();
    let notification = Notification::parse(body.clone()).unwrap();
    assert_eq!(notification.events().len(), 1000);
    for event in notification.events() {
        let form = event.to_queue();
        assert!(form.len() < event.raw().len() + 1024, "{}", form.len());
        let again = Notification::from_queue(form).unwrap();
        assert_eq!(again.events().len(), 1);
    }
    // Thousands of contacts, one of which matches. Of several with the same id the
    // first one counts.
    let mut contacts = String::new();
    let mut messages = String::new();
    for number in 0..2000 {
        let _ = write!(
            contacts,
            r#"{{"wa_id":"{number}","profile":{{"name":"first {number}"}}}},{{"wa_id":"{number}","user_id":"{}","profile":{{"name":"second"}}}},"#,
            number % 7
        );
        let _ = write!(
            messages,
            r#"{{"id":"m{number}","from":"{number}","from_user_id":"{}"}},"#,
            number % 11
        );
    }
    let body = format!(
        r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"contacts":[{contacts}{{}}],"messages":[{messages}{{}}]}}}}]}}]}}"#
    );
    let notification = Notification::parse(body).unwrap();
    assert_eq!(check(&notification, "contacts"), 2001);
    for event in notification.events() {
        assert!(event.to_queue().len() < 600);
    }
}

#[test]
fn an_overflow_comes_out_as_what_it_stands_for() {
    const CAP: usize = 32_768;
    const ALL: usize = 40_000;
    let elements: Vec<_> = (0..ALL)
        .map(|number| format!(r#"{{"id":"{number}","wa_id":"7"}}"#))
        .collect();
    let list = elements.join(", ");
    for (before, after, kind) in [
        (
            r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"contacts":[{"wa_id":"7"}],"messages":["#,
            r#"]}}]}]}"#,
            "message",
        ),
        (
            r#"{"entry":[{"changes":[{"value":{"groups":[{"group_id":"G","type":"t","removed_participants":["#,
            r#"]}]},"field":"group_participants_update"}],"id":"1","time":1760000000}]}"#,
            "group_participant",
        ),
        (
            r#"{"entry":[{"changes":[{"value":{"groups":["#,
            r#"]},"field":"group_participants_update"}]}]}"#,
            "group",
        ),
        (
            r#"{"entry":[{"changes":[{"field":"history","value":{"history":[{"threads":[{"id":"7","messages":["#,
            r#"]}],"metadata":{"phase":1}}]}}]}]}"#,
            "history_message",
        ),
        (
            r#"{"entry":[{"changes":[{"field":"history","value":{"history":[{"threads":["#,
            r#"]}]}}]}]}"#,
            "unknown",
        ),
        (
            r#"{"entry":[{"changes":[{"field":"standby","value":{"standby":{"message_echoes":["#,
            r#"]}}}]}]}"#,
            "standby_echo",
        ),
        (
            r#"{"entry":[{"changes":[{"field":"holograms","value":{"messages":[],"more":["#,
            r#"]}}]}]}"#,
            "unknown",
        ),
        (r#"{"entry":[{"id":"9","changes":["#, r#"]}]}"#, "unknown"),
        (r#"{"entry":["#, r#"],"object":"page"}"#, "unknown"),
    ] {
        let notification = Notification::parse(format!("{before}{list}{after}")).unwrap();
        let (rest, events) = notification.events().split_last().unwrap();
        assert_eq!(events.len(), CAP, "{before}");
        for event in events.iter().step_by(499) {
            check_one(event, &notification, before);
        }
        assert!(
            matches!(rest.payload(), Payload::Unknown(unknown) if unknown.reason == Reason::Overflow)
        );
        same(&rest.detach(), rest, before);
        same(&rest.detach().detach(), rest, before);
        assert_eq!(rest.detach().to_queue(), rest.to_queue());
        let again = Notification::from_queue(rest.to_queue()).unwrap();
        assert_eq!(again.events().len(), ALL - CAP, "{before}");
        // They are the same as in a delivery without the preceding ones.
        let alone = format!("{before}{}{after}", elements[CAP..].join(","));
        let alone = Notification::parse(alone).unwrap();
        assert_eq!(alone.events().len(), ALL - CAP, "{before}");
        for (event, wanted) in again.events().iter().zip(alone.events()) {
            assert_eq!(event.kind(), kind, "{before}");
            same(event, wanted, before);
        }
        for event in again.events().iter().step_by(499) {
            check_one(event, &again, before);
        }
    }
}

#[test]
fn what_is_left_of_a_body_comes_out_too() {
    const CAP: usize = 32_768;
    let list = |first: usize, number: usize| {
        let elements: Vec<_> = (first..first + number)
            .map(|number| format!(r#"{{"id":"{number}"}}"#))
            .collect();
        elements.join(",")
    };
    // Every list beyond the cap is a separate event, up to a limit.
    let mut body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"2"}},"messages":[{}],"statuses":[{}]"#,
        list(0, CAP),
        list(CAP, 2)
    );
    for number in 0..300 {
        let _ = write!(
            body,
            r#","new{number}":[{}]"#,
            list(CAP + 2 + 3 * number, 3)
        );
    }
    body += "}}]},{\"id\":\"3\",\"changes\":[{\"field\":\"flows\",\"value\":{\"event\":\"x\"}}]}],\"object\":\"whatsapp_business_account\"} \n";
    let notification = Notification::parse(body).unwrap();
    let rests = &notification.events()[CAP..];
    assert_eq!(rests.len(), 257);
    let mut next = CAP;
    for (index, rest) in rests.iter().enumerate() {
        same(&rest.detach(), rest, "a rest");
        assert_eq!(rest.detach().to_queue(), rest.to_queue());
        let again = Notification::from_queue(rest.to_queue()).unwrap();
        for event in again.events() {
            if event.kind() == "flow" {
                assert_eq!(event.entry_id(), Some("3"));
                assert_eq!(index, 256);
                continue;
            }
            assert_eq!(event.id(), Some(&*next.to_string()));
            assert_eq!(
                (event.entry_id(), event.phone_number_id()),
                (Some("1"), Some("2"))
            );
            next += 1;
        }
        assert_eq!(
            again.events().last().unwrap().kind() == "flow",
            index == 256
        );
    }
    assert_eq!(next, CAP + 2 + 3 * 300);
}

#[test]
fn nested_as_deep_as_a_body_may_be() {
    for (before, after) in [
        (r#"{"x":"#, "}"),
        (r#"{"entry":"#, "}"),
        (r#"{"entry":["#, "]}"),
        (r#"{"entry":[{"changes":["#, "]}]}"),
        (r#"{"entry":[{"changes":[{"field":"f","value":"#, "}]}]}"),
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":["#,
            "]}}]}]}",
        ),
        ("[", "]"),
    ] {
        let levels = MAX_DEPTH - depth(before);
        let body = format!(
            "{before}{}{}{after}",
            "[".repeat(levels),
            "]".repeat(levels)
        );
        let notification = Notification::parse(body.clone()).unwrap();
        assert_eq!(check(&notification, before), 1, "{body}");
        let body = format!(
            "{before}{}{}{after}",
            "[".repeat(levels + 1),
            "]".repeat(levels + 1)
        );
        assert!(Notification::parse(body).is_err());
    }
}

/// The rest of a delivery is copied up to its end, with whatever keys it has there.
#[test]
fn keys_of_the_format_after_the_event_do_not_count() {
    const EVENT: &str =
        r#""entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"a"}]}}]}]"#;
    for after in [
        r#""tower_whatsapp":2"#,
        r#""tower_whatsapp_only":"last""#,
        r#""body":{"entry":[]}"#,
        r#""body":7,"tower_whatsapp":null"#,
    ] {
        let form = format!(r#"{{"tower_whatsapp":1,{EVENT},{after}}}"#);
        let notification = Notification::from_queue(form).unwrap();
        assert_eq!(notification.events()[0].id(), Some("a"), "{after}");
    }
    let form = r#"{"tower_whatsapp":1,"body":[1],"body":[2],"entry":[3]}"#;
    let notification = Notification::from_queue(form).unwrap();
    assert_eq!(notification.events()[0].raw(), "[1]");
}

#[test]
fn what_is_no_event_of_a_queue_is_told() {
    let event = sample::text("hi").notification().events()[0].clone();
    let form = String::from_utf8(event.to_queue().into()).unwrap();
    let version = |text: &str| form.replacen("\"tower_whatsapp\":1", text, 1);
    assert!(Notification::from_queue(version("\"tower_whatsapp\":1")).is_ok());
    for later in ["2", "10", "4294967296"] {
        let later = version(&format!("\"tower_whatsapp\":{later}"));
        assert_eq!(
            Notification::from_queue(later).unwrap_err(),
            QueueError::LaterVersion
        );
    }
    // A later version may have any form.
    let later = r#"{"event":{},"tower_whatsapp":3}"#;
    assert_eq!(
        Notification::from_queue(later).unwrap_err(),
        QueueError::LaterVersion
    );
    // So may its selection of one of several events.
    for later in [
        r#""last""#,
        r#""all""#,
        r#""""#,
        "1",
        "null",
        r#"["first"]"#,
    ] {
        let later = version(&format!(
            "\"tower_whatsapp\":1,\"tower_whatsapp_only\":{later}"
        ));
        assert_eq!(
            Notification::from_queue(later.clone()).unwrap_err(),
            QueueError::LaterVersion,
            "{later}"
        );
    }
    for other in [
        &*version("\"tower_whatsap\":1"),
        &version("\"tower_whatsapp\":0"),
        &version("\"tower_whatsapp\":-1"),
        &version("\"tower_whatsapp\":\"1\""),
        &version("\"tower_whatsapp\":1.0"),
        &version("\"tower_whatsapp\":null"),
        "{}",
        "[]",
        "1",
        "null",
        r#"{"tower_whatsapp":1}"#,
        r#"{"tower_whatsapp":1,"object":"whatsapp_business_account"}"#,
        r#"[{"tower_whatsapp":1,"entry":[]}]"#,
        &String::from_utf8(sample::text("hi").body().into()).unwrap(),
    ] {
        let error = Notification::from_queue(other.to_owned()).unwrap_err();
        assert_eq!(error, QueueError::NotAnEvent, "{other}");
    }
    for (bytes, error) in [
        (&b""[..], ParseError::NotJson),
        (b"\xff", ParseError::NotUtf8),
        (b"{\"tower_whatsapp\":1,", ParseError::NotJson),
        ("[".repeat(200).as_bytes(), ParseError::TooDeep),
    ] {
        let found = Notification::from_queue(bytes.to_vec()).unwrap_err();
        assert_eq!(found, QueueError::NotJson(error));
        assert!(std::error::Error::source(&found).is_some());
    }
    // Intermediaries may change the order of keys and white space.
    let value: Value = serde_json::from_str(&form).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let again = Notification::from_queue(pretty).unwrap();
    assert_eq!(again.events()[0].payload(), event.payload());
    assert_eq!(again.events()[0].key(), event.key());
}

/// Shows that the check detects faults.
#[test]
fn another_event_would_be_noticed() {
    let events = sample::batch(2).notification().events().to_vec();
    let other = std::panic::catch_unwind(|| same(&events[0], &events[1], "two"));
    assert!(other.is_err());
}

/// Returns the number of events.
fn check(notification: &Notification, name: &str) -> usize {
    for event in notification.events() {
        check_one(event, notification, name);
    }
    notification.events().len()
}

fn check_one(event: &Event, notification: &Notification, name: &str) {
    let form = event.to_queue();
    let text = std::str::from_utf8(&form).unwrap();
    assert!(text.contains(event.raw()), "{name}");
    if depth(text) <= MAX_DEPTH {
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(text);
        assert!(valid.is_ok(), "{name}: {text}");
    }
    let again = Notification::from_queue(form.clone());
    let again = again.unwrap_or_else(|error| panic!("{error}: {name}: {text}"));
    assert_eq!(again.body(), &form);
    assert_eq!(again.object(), notification.object(), "{name}: {text}");
    let [one] = again.events() else {
        panic!("{} events: {name}: {text}", again.events().len())
    };
    same(one, event, name);
    same(&event.detach(), event, name);
    // A second round gives the same.
    assert_eq!(one.to_queue(), form, "{name}");
    assert_eq!(event.detach().to_queue(), form, "{name}");
    same(&one.detach(), event, name);
    assert_eq!(one.detach().value(), one.value(), "{name}: {text}");
    assert_eq!(event.detach().value(), one.value(), "{name}: {text}");
}

#[track_caller]
fn same(one: &Event, other: &Event, name: &str) {
    assert_eq!(one.raw(), other.raw(), "{name}");
    assert_eq!(one.kind(), other.kind(), "{name}");
    assert_eq!(one.payload(), other.payload(), "{name}");
    assert_eq!(
        format!("{:?}", one.payload()),
        format!("{:?}", other.payload()),
        "{name}"
    );
    assert_eq!(format!("{one:#?}"), format!("{other:#?}"), "{name}");
    assert_eq!(one.key(), other.key(), "{name}");
    assert_eq!(one.key_in("x"), other.key_in("x"), "{name}");
    assert_eq!(one.is_known(), other.is_known(), "{name}");
    assert_eq!(one.raw_bytes(), other.raw_bytes(), "{name}");
    assert_eq!(one.id(), other.id(), "{name}");
    assert_eq!(
        (one.field(), one.entry_id(), one.entry_time()),
        (other.field(), other.entry_id(), other.entry_time()),
        "{name}"
    );
    assert_eq!(
        (one.phone_number_id(), one.display_phone_number()),
        (other.phone_number_id(), other.display_phone_number()),
        "{name}"
    );
}

const ODDITIES: &[&str] = &[
    // Duplicate keys everywhere.
    r#"{"object":"page","object":"whatsapp_business_account","entry":[{"id":"1","id":"2","time":1,"time":1760000000,"changes":[{"field":"calls","field":"messages","value":{"metadata":{"phone_number_id":"1","phone_number_id":"2"},"metadata":{"phone_number_id":"3","display_phone_number":4},"contacts":[{"wa_id":"1","wa_id":"2"}],"contacts":[{"wa_id":"3"}],"messages":[{"id":"a","id":"b","from":"2","from":"3"}],"messages":[{"id":"c","from":"1"}]}}],"changes":[{"field":"messages","value":{"statuses":[{"id":"d"}]}}]}],"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"e"}]}}]}]}"#,
    // A duplicate `value`: members of one belong to the elements of both.
    r#"{"entry":[{"changes":[{"field":"messages","value":{"new":1},"value":{"metadata":{"phone_number_id":"2"},"contacts":[{"wa_id":"1"}],"messages":[{"id":"a","from":"1"}]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[{"id":"a"}]},"value":{"new":1}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"new":1},"value":{"metadata":{"phone_number_id":"3"},"more":1}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"holograms","value":{"new":1},"value":{"metadata":{"phone_number_id":"2"},"messages":[{"id":"a"}]},"value":7,"value":null}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"account_update","value":{"event":"a"},"value":{"event":"b"}}]}]}"#,
    r#"{"entry":[{"changes":[{"value":7,"value":[],"value":{"conversation_context":{},"messages":[{}]}}]}]}"#,
    // No field, an unknown one, an invalid one.
    r#"{"entry":[{"changes":[{"value":{"messages":[{"id":"a","from":"1"}],"statuses":[{"id":"b"}]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":null,"value":{"messages":[{"id":"a"}]}},{"field":"","value":{"messages":[{"id":"b"}]}},{"field":7,"value":{"messages":[{"id":"c"}]}},{"field":{"messages":1},"value":{"x":1}},{"field":["messages"],"value":{"messages":[{"id":"d"}],"x":[1]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"holograms","value":{"messages":[{"id":"a"}],"statuses":[7],"more":[{"id":"b"},null,[1]],"contacts":[{"wa_id":"1"}],"metadata":{"phone_number_id":"2"}}},{"field":"holograms","value":{"more":[1]}},{"field":"holograms","value":[{"messages":[]}]},{"field":"holograms","value":{"messages":[],"x":1}},{"field":"holograms","value":"\ud83d"}]}]}"#,
    // Another object.
    r#"{"object":"page","entry":[{"id":"1","time":"1760000000","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[{"id":"a"}],"statuses":{"id":"b"}}},{"field":"group_settings_update","value":{"groups":{"added_participants":[{"wa_id":"1"}]}}},{"field":"group_settings_update","value":{"groups":[{"added_participants":[{"wa_id":"1"}],"group_id":"G"}]}}]},{"id":"2","changed_fields":["x"]}]}"#,
    r#"{"object":7,"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"a"}]}}]}]}"#,
    r#"{"object":{"a":1},"entry":[7]}"#,
    r#"{"object":"","entry":[null]}"#,
    r#"{"object":null,"entry":[[],{}, {"changes":null},{"changes":7,"id":8},{"id":9,"changes":{"id":1}},{"changes":[]},{"changes":"\ud83d"}]}"#,
    // Not lists, and lists of anything.
    r#"{"entry":7}"#,
    r#"{"entry":{"id":"1","changes":[{"field":"messages","value":{"messages":[{"id":"a"}]}}]}}"#,
    r#"{"entry":"entry","object":"page"}"#,
    r#"{"entry":[{"id":"1","time":1760000000,"changes":[7,null,[],"x",{},{"field":"flows"},{"field":"messages","value":null},{"value":7},{"field":"messages","value":[1]},{"field":"messages","value":{"a":{"b":1}}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":{"id":"a"},"statuses":"b","errors":7,"new":[[{"id":"c"}],null,true,"\ud83d\ude00","\ud83d",-1.5e400]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[1,null,[],[{"id":"x"}],"x",{}],"statuses":[[]]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"account_update","value":[]},{"field":"flows","value":7},{"field":"security","value":{}}]}]}"#,
    // Elements with unusual surroundings.
    r#"{"entry":[{"id":{"x":1},"time":"soon","changes":[{"field":"messages","value":{"metadata":null,"contacts":null,"messages":[{"id":"a"}]}},{"field":"messages","value":{"metadata":[],"contacts":{},"messages":[{"id":"a"}]}},{"field":"messages","value":{"metadata":"x","contacts":[7],"messages":[{"id":"a"}]}},{"field":"messages","value":{"metadata":"","conversation_context":7,"messages":[{"id":"a"}]}}]}]}"#,
    r#"{"entry":[{"id":7000000000000000000000000,"time":1760000000.5,"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":123,"display_phone_number":4.5},"messages":[{"id":17,"from":16505550001,"timestamp":1760000000}],"contacts":[{"wa_id":16505550001,"profile":{"name":"a"}}]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"messages","value":{"conversation_context":{"a":1},"conversation_context":{"conversation_id":"c"},"contacts":[{"wa_id":"1"},{"wa_id":"2","user_id":"1"},{"user_id":"2"}],"user_actions":[{"action_type":"a","wa_id":"1"}],"messages":[{"id":"a","from":"2","from_user_id":"1","context":{"from":"1"}}]}}]}]}"#,
    r#"{"entry":[{"changes":[{"field":"messages","value":{"contacts":[{"wa_id":"1"}],"user_actions":[{"action_type":"a"}]}}]}]}"#,
    // Escapes and half surrogate pairs in names.
    "{\"en\\u0074ry\":[{\"\\u0069d\":\"\\u0031\",\"chang\\u0065s\":[{\"f\\u0069eld\":\"mess\\u0061ges\",\"v\\u0061lue\":{\"met\\u0061data\":{\"phone_number\\u005fid\":\"\\u0032\"},\"c\\u006fntacts\":[{\"wa\\u005fid\":\"\\u0031\"}],\"mess\\u0061ges\" : [ {\"\\u0069d\":\"a\",\"from\":\"1\"} ],\"\\ud83d\":[{\"id\":1}] , \"a\\\"]}\\\\\":[2],\"\\u0000\\n\":[3],\"\":[4],\"\\ud83d\\ude00\":[{}]}}]}]}",
    "{\"entry\":[{\"changes\":[{\"field\":\"\\ud83d\",\"value\":{\"messages\":[{\"id\":\"\\udc00\"}],\"\\\\\":[5]}},{\"field\":\"holo\\u0067rams\",\"value\":{}}]}],\"\\ud83d\":1}",
    // White space of all kinds.
    " \n{ \"entry\" :\t[ { \"id\"\r: \"1\" , \"changes\" : [ { \"field\" : \"messages\" , \"value\" : { \"contacts\" : [ { \"wa_id\" : \"1\" } ] , \"messages\" : [ { \"id\" : \"a\" , \"from\" : \"1\" } , 7 ] , \"new\"\n: [ 1 , 2 ] } } ] } ] } \n",
    // No envelope.
    r#"{"field":"messages","value":{"messages":[{"id":"a"}]}}"#,
    r#"{"object":"page","x":1}"#,
    r#"{"object":"whatsapp_business_account","x":[1]}"#,
    r#"{"tower_whatsapp":2,"body":{"entry":[]}}"#,
    "7",
    "[]",
    "null",
    "\"\\ud83d\"",
    " \"x\" ",
    r#"[{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"a"}]}}]}]}]"#,
    // The queue format's own keys in a delivery.
    r#"{"tower_whatsapp":7,"body":1,"entry":[{"tower_whatsapp":1,"changes":[{"field":"messages","value":{"tower_whatsapp":[1],"body":[2],"entry":[{"changes":[]}],"messages":[{"id":"a","tower_whatsapp":1}]}}]}]}"#,
    // Groups with several lists, and invalid groups.
    r#"{"entry":[{"id":"1","changes":[{"field":"group_participants_update","value":{"metadata":{"phone_number_id":"2"},"contacts":[{"wa_id":"1"},{"wa_id":"2"}],"errors":[{"code":1}],"groups":[{"group_id":"G","type":"group_participants_add","timestamp":"1760000000","request_id":"R","reason":"r","initiated_by":"i","added_participants":[{"wa_id":"1"},{"input":"2"},7],"failed_participants":[{"input":"3"}],"removed_participants":{"wa_id":"2"}},{"group_id":"H","type":"group_suspend"},7,null,{},[{"added_participants":[{}]}]],"more":[{"id":"m"}]}},{"field":"group_settings_update","value":{"groups":{"group_id":"G"}}},{"field":"group_status_update","value":{"groups":"x","groups":[{"group_id":"K","group_id":"L","added_participants":[{}],"added_participants":[{"wa_id":"5"}]}]}},{"field":"group_lifecycle_update","value":{"groups":[],"x":1}}]}]}"#,
    // History.
    r#"{"entry":[{"id":"1","changes":[{"field":"history","value":{"metadata":{"phone_number_id":"2"},"contacts":[{"wa_id":"1"}],"history":[{"metadata":{"phase":0,"chunk_order":1,"progress":55},"threads":[{"id":"1","context":{"wa_id":"1"},"messages":[{"id":"a","from":"1"},7],"new":[{"id":"b"}],"contacts":[{"wa_id":"9"}]},{"id":"2","messages":[{"id":"c"}]},{},7,[],{"id":"3","messages":{"id":"d"}}],"errors":[{"code":1},2],"more":[{"id":"e"}]},{"threads":{"id":"4","messages":[{"id":"f"}]}},{"metadata":{"progress":100}},{"errors":{"code":1}},7,null,[]],"messages":[{"id":"g"}],"message_echoes":[{"id":"h"}],"errors":[{"code":3}],"strange":[{"id":"i"}]}},{"field":"history","value":{"history":{"threads":[{"messages":[{"id":"j"}]}]}}},{"field":"history","value":{"history":[{"threads":[{"messages":[{"id":"k"}]}],"threads":[{"messages":[{"id":"l"}]}],"metadata":{"phase":2},"metadata":{"phase":1}}]}}]}]}"#,
    // Standby.
    r#"{"entry":[{"id":"1","changes":[{"field":"standby","value":{"metadata":{"phone_number_id":"2"},"standby":{"contacts":[{"wa_id":"1"},{"wa_id":"2"}],"messages":[{"id":"a","from":"1"},7],"statuses":[{"id":"b","recipient_id":"2"}],"message_echoes":[{"id":"c"}],"new":[{"id":"d"}]},"messages":[{"id":"e"}],"contacts":[{"wa_id":"3"}]}},{"field":"standby","value":{"standby":7}},{"field":"standby","value":{"standby":[1]}},{"field":"standby","value":{"standby":{"messages":{"id":"f"}}}},{"field":"standby","value":{"standby":{"messages":[{"id":"g"}]},"standby":{"statuses":[{"id":"h"}]}}}]}]}"#,
    // More contacts than are searched linearly, some with the same ids.
    r#"{"entry":[{"changes":[{"field":"messages","value":{"contacts":[{"wa_id":"1","profile":{"name":"a"}},{"wa_id":"1","user_id":"U","profile":{"name":"b"}},{"wa_id":"2","wa_id":"3","profile":{"name":"c"}},{"user_id":"2","profile":{"name":"d"}},{"user_id":"U","profile":{"name":"e"}},{"wa_id":"","user_id":null},{"wa_id":"3","wa_id":null},{"wa_id":"4","wa_id":[]},7],"messages":[{"id":"1","from":"1","from_user_id":"U"},{"id":"2","from":"2"},{"id":"3","from":"3"},{"id":"4","from":"4","from_user_id":"2"}],"user_actions":[{"action_type":"1"}]}},{"field":"user_id_update","value":{"contacts":[{"user_id":"a"},{"user_id":"b"}],"user_id_update":[{"wa_id":"1","user_id":{"previous":"a","current":"b"}}]}}]}]}"#,
];
