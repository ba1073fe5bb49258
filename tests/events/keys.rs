//! Event keys: equal for the same event in any delivery, and different for two events.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    time::Instant,
};

use sha2::{Digest, Sha256};
use test_support::repetitions;
use tower_whatsapp::{Event, Notification, event::EventKey};

/// Number of distinct events with `LONG_TESTS`, unless `EVENTS` is set.
const EVENTS: usize = 1_000_000;

/// An element: field, and the JSON before, of and after it.
type Element = (&'static str, &'static str, &'static str, &'static str);

/// Elements whose keys depend on their content and their phone number.
const ELEMENTS: &[Element] = &[
    (
        "messages",
        r#""messages":["#,
        r#"{"from":"1","id":"wamid.A","timestamp":"1760000000","type":"text","text":{"body":"a"}}"#,
        "]",
    ),
    (
        "messages",
        r#""messages":["#,
        r#"{"from":"1","id":"wamid.B","timestamp":"1760000000","type":"text","text":{"body":"a"}}"#,
        "]",
    ),
    (
        "messages",
        r#""messages":["#,
        r#"{"from":"1","id":"wamid.C","timestamp":"1760000000","type":"edit","edit":{"original_message_id":"wamid.A"}}"#,
        "]",
    ),
    (
        "messages",
        r#""messages":["#,
        r#"{"from":"1","id":"wamid.A","timestamp":"1760000000","type":"unsupported"}"#,
        "]",
    ),
    (
        "messages",
        r#""statuses":["#,
        r#"{"id":"wamid.S","status":"sent","timestamp":"1760000000","recipient_id":"1"}"#,
        "]",
    ),
    (
        "messages",
        r#""statuses":["#,
        r#"{"id":"wamid.S","status":"delivered","timestamp":"1760000000","recipient_id":"1"}"#,
        "]",
    ),
    (
        "messages",
        r#""statuses":["#,
        r#"{"id":"wamid.S","status":"delivered","timestamp":"1760000001","recipient_id":"1"}"#,
        "]",
    ),
    (
        "messages",
        r#""statuses":["#,
        r#"{"id":"wamid.G","status":"read","timestamp":"1760000000","recipient_id":"g","recipient_participant_id":"1"}"#,
        "]",
    ),
    (
        "messages",
        r#""statuses":["#,
        r#"{"id":"wamid.G","status":"read","timestamp":"1760000000","recipient_id":"g","recipient_participant_id":"2"}"#,
        "]",
    ),
    (
        "messages",
        r#""statuses":["#,
        r#"{"id":"wamid.G","status":"read","timestamp":"1760000000","recipient_id":"g","recipient_participant_user_id":"US.2"}"#,
        "]",
    ),
    (
        "calls",
        r#""calls":["#,
        r#"{"id":"wacid.A","event":"connect","timestamp":"1760000000"}"#,
        "]",
    ),
    (
        "calls",
        r#""calls":["#,
        r#"{"id":"wacid.A","event":"terminate","timestamp":"1760000000"}"#,
        "]",
    ),
    (
        "calls",
        r#""statuses":["#,
        r#"{"id":"wacid.A","status":"RINGING","timestamp":"1760000000","recipient_id":"1"}"#,
        "]",
    ),
    (
        "calls",
        r#""statuses":["#,
        r#"{"id":"wacid.A","status":"ACCEPTED","timestamp":"1760000000","recipient_id":"1"}"#,
        "]",
    ),
    (
        "smb_message_echoes",
        r#""message_echoes":["#,
        r#"{"to":"1","id":"wamid.A","timestamp":"1760000000","type":"text","text":{"body":"a"}}"#,
        "]",
    ),
    (
        "group_participants_update",
        r#""groups":[{"group_id":"g","type":"group_participants_add","timestamp":"1760000000","request_id":"r","added_participants":["#,
        r#"{"wa_id":"1"}"#,
        "]}]",
    ),
    (
        "group_participants_update",
        r#""groups":[{"group_id":"g","type":"group_participants_add","timestamp":"1760000000","request_id":"r","added_participants":["#,
        r#"{"wa_id":"2"}"#,
        "]}]",
    ),
    (
        "group_participants_update",
        r#""groups":[{"group_id":"g","type":"group_participants_add","timestamp":"1760000000","request_id":"r","failed_participants":["#,
        r#"{"wa_id":"2"}"#,
        "]}]",
    ),
    (
        "group_participants_update",
        r#""groups":[{"group_id":"g","type":"group_participants_add","timestamp":"1760000000","request_id":"s","added_participants":["#,
        r#"{"wa_id":"2"}"#,
        "]}]",
    ),
    (
        "user_preferences",
        r#""user_preferences":["#,
        r#"{"wa_id":"1","value":"stop","timestamp":1760000000}"#,
        "]",
    ),
];

const PHONES: [&str; 2] = ["100000000000001", "100000000000002"];

#[test]
fn however_events_are_grouped_their_keys_are_the_same() {
    let mut random = Random(7);
    let all: Vec<(&str, &Element)> = PHONES
        .iter()
        .flat_map(|phone| ELEMENTS.iter().map(move |element| (*phone, element)))
        .collect();
    let mut alone: Vec<EventKey> = all
        .iter()
        .flat_map(|element| keys(&delivery(&mut [*element], &mut random)))
        .collect();
    alone.sort_unstable();
    assert_eq!(alone.len(), all.len());
    assert_eq!(
        alone.iter().collect::<HashSet<_>>().len(),
        all.len(),
        "two events have one key"
    );
    for round in 0..200 {
        let mut groups: Vec<Vec<(&str, &Element)>> = vec![Vec::new(); 1 + random.below(all.len())];
        for element in &all {
            let group = random.below(groups.len());
            groups[group].push(*element);
        }
        let mut grouped: Vec<EventKey> = groups
            .iter_mut()
            .flat_map(|group| keys(&delivery(group, &mut random)))
            .collect();
        grouped.sort_unstable();
        assert_eq!(grouped, alone, "round {round}");
    }
}

#[test]
fn a_copy_and_another_reading_have_the_same_key_and_another_app_has_not() {
    let mut random = Random(11);
    let mut all: Vec<(&str, &Element)> = ELEMENTS
        .iter()
        .map(|element| (PHONES[0], element))
        .collect();
    // Keys that depend on the exact JSON and its surroundings.
    let others = [
        r#"{"object":"whatsapp_business_account","entry":[{"id":"9","time":1760000000,"changes":[{"field":"account_update","value":{"event":"VERIFIED_ACCOUNT"}}]}]}"#,
        r#"{"object":"whatsapp_business_account","entry":[{"id":"9","time":"1760000000","changes":[{"field":"holograms","value":{"a":1}}]}]}"#,
        r#"{"object":"whatsapp_business_account","entry":[{"id":"9","changes":[{"field":"messages","value":{"errors":[{"code":1}],"messages":[{"type":"text"}]}}]}]}"#,
        r#"{"object":"whatsapp_business_account","entry":[7,{"id":"9"}]}"#,
        "1e400",
    ];
    let mut bodies = vec![delivery(&mut all, &mut random)];
    bodies.extend(others.map(str::to_owned));
    let mut seen = HashSet::new();
    for body in &bodies {
        let again = events(body);
        for (event, again) in events(body).iter().zip(&again) {
            let key = event.key();
            assert_eq!(again.key(), key);
            assert_eq!(event.detach().key(), key);
            assert_eq!(event.detach().detach().key(), key);
            assert_eq!(event.key_in(""), key);
            assert_eq!(event.key_in("a"), event.detach().key_in("a"));
            for app in ["", "a", "b", "v1"] {
                assert!(seen.insert(event.key_in(app)), "{app}: {}", event.raw());
            }
        }
    }
    assert_eq!(seen.len(), 4 * (ELEMENTS.len() + 7));
}

/// Surroundings of a known event that Meta changes in redeliveries do not affect its key.
#[test]
fn what_is_said_beside_the_ids_does_not_change_a_key() {
    let key = |element: &str| {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{{element}}}}}]}}]}}"#
        );
        let events = events(&body);
        assert_eq!(events.len(), 1);
        events[0].key()
    };
    let message = key(r#""messages":[{"id":"wamid.A","type":"text","text":{"body":"a"}}]"#);
    assert_eq!(
        message,
        key(r#""messages":[{"type":"text","new":1,"id":"wamid.\u0041","text":{"body":"b"}}]"#)
    );
    assert_ne!(
        message,
        key(r#""messages":[{"id":"wamid.a","type":"text","text":{"body":"a"}}]"#)
    );
    assert_ne!(
        message,
        key(r#""messages":[{"id":"wamid.A","type":"image","text":{"body":"a"}}]"#)
    );
    let status = key(r#""statuses":[{"id":"wamid.A","status":"read","timestamp":"1760000000"}]"#);
    assert_eq!(
        status,
        key(r#""statuses":[{"timestamp":1760000000,"status":"READ","id":"wamid.A","pricing":{}}]"#)
    );
    assert_ne!(
        status,
        key(r#""statuses":[{"id":"wamid.A","status":"sent","timestamp":"1760000000"}]"#)
    );
}

/// Without its state or its time nothing but its JSON tells a status or a call from the next one.
/// To handle an event twice is better than to lose one.
#[test]
fn a_status_or_a_call_without_its_state_or_its_time_is_told_by_its_json() {
    for (field, list, state, value) in [
        ("messages", "statuses", "status", "read"),
        ("calls", "calls", "event", "terminate"),
        ("calls", "statuses", "status", "RINGING"),
    ] {
        let keys = |members: &str| {
            let of = |new: u32| {
                let element = format!(r#"{{"id":"A"{members},"new":{new}}}"#);
                let value = format!(r#"{{"{list}":[{element}]}}"#);
                let body = format!(
                    r#"{{"entry":[{{"changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
                );
                let [key] = keys(&body)[..] else {
                    panic!("{body}")
                };
                key
            };
            [of(1), of(1), of(2)]
        };
        let time = r#","timestamp":"1760000000""#;
        let state_and_time = format!(r#","{state}":"{value}"{time}"#);
        let [one, again, other] = keys(&state_and_time);
        assert_eq!([one, one], [again, other], "{field} {list}");
        for members in [
            time,
            &format!(r#","{state}":null{time}"#),
            &format!(r#","{state}":"{value}""#),
            "",
        ] {
            let [one, again, other] = keys(members);
            assert_eq!(one, again, "{field} {list} {members}");
            assert_ne!(one, other, "{field} {list} {members}");
        }
    }
}

/// Keys are stored for days, and shared by processes of different versions, so they
/// must never change.
#[test]
fn the_format_of_keys_is_for_ever() {
    let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"9","time":1760000005,"changes":[
        {"field":"messages","value":{"metadata":{"phone_number_id":"100000000000001"},
            "messages":[{"id":"wamid.A","type":"text","text":{"body":"hi"}}],
            "statuses":[{"id":"wamid.B","status":"read","timestamp":"1760000000","recipient_id":"g","recipient_participant_id":"1"}]}},
        {"field":"account_update","value":{"event":"VERIFIED_ACCOUNT"}}]}]}"#;
    let events = events(body);
    let phone = Some("100000000000001");
    let expected = [
        hash(
            &[
                Some("v1"),
                Some(""),
                Some("messages"),
                phone,
                Some("msg"),
                Some("wamid.A"),
                Some("text"),
            ],
            None,
        ),
        hash(
            &[
                Some("v1"),
                Some(""),
                Some("messages"),
                phone,
                Some("st"),
                Some("wamid.B"),
                Some("read"),
                Some("g"),
                None,
                Some("1"),
                None,
                None,
            ],
            Some(1_760_000_000_000),
        ),
        hash(
            &[
                Some("v1"),
                Some(""),
                Some("account_update"),
                Some("9"),
                None,
                None,
                Some(r#"{"event":"VERIFIED_ACCOUNT"}"#),
            ],
            Some(1_760_000_005_000),
        ),
    ];
    let found: Vec<String> = events.iter().map(|event| event.key().to_string()).collect();
    assert_eq!(found, expected);
    assert_eq!(found, LITERALS);
    let in_app = hash(
        &[
            Some("v1"),
            Some("app"),
            Some("messages"),
            phone,
            Some("msg"),
            Some("wamid.A"),
            Some("text"),
        ],
        None,
    );
    assert_eq!(events[0].key_in("app").to_string(), in_app);
}

const LITERALS: [&str; 3] = [
    "7c4421d449c581ee7987dd125a7ab8a0",
    "6e777c4db013740a525906b3c43cf05e",
    "be15c771b2e0f031600cda7a5019c386",
];

/// Parts are hashed at once, from a buffer or in steps, depending on their lengths.
#[test]
fn the_format_is_the_same_for_parts_of_any_length() {
    let entry = |field: &str, value: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","time":1760000005,"changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
        )
    };
    let around = |edge: usize| edge - 100..edge + 100;
    let lengths = [1, 2000, 70_000, 300_000];
    for length in lengths.into_iter().chain(around(512)).chain(4090..4100) {
        let text = "x".repeat(length);
        let json = format!(r#"{{"event":"{text}"}}"#);
        let account = [
            Some("v1"),
            Some(""),
            Some("account_update"),
            Some("9"),
            None,
            None,
            Some(&json),
        ];
        let expected = hash(&account, Some(1_760_000_005_000));
        let account = entry("account_update", &json);
        assert_eq!(keys(&account)[0].to_string(), expected, "JSON of {length}");
        for (id, kind) in [(&*text, "text"), ("wamid.A", &*text)] {
            let message = format!(
                r#"{{"metadata":{{"phone_number_id":"1"}},"messages":[{{"id":"{id}","type":"{kind}"}}]}}"#
            );
            let found = keys(&entry("messages", &message))[0].to_string();
            let parts = [
                Some("v1"),
                Some(""),
                Some("messages"),
                Some("1"),
                Some("msg"),
                Some(id),
                Some(kind),
            ];
            assert_eq!(found, hash(&parts, None), "parts of {length}");
        }
    }
}

/// The documented encoding, implemented again: each part with its length plus one, a missing part
/// as zero, then an optional number.
fn hash(parts: &[Option<&str>], number: Option<u64>) -> String {
    let mut text = Vec::new();
    for part in parts {
        let length = part.map_or(0, |part| part.len() as u64 + 1);
        text.extend(length.to_be_bytes());
        text.extend(part.unwrap_or_default().bytes());
    }
    text.extend(number.map(u64::to_be_bytes).into_iter().flatten());
    let hash = Sha256::digest(text);
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn a_key_is_written_as_32_digits_and_read_again() {
    let mut random = Random(3);
    for _ in 0..1000 {
        let bytes = (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes();
        let key = EventKey::from_bytes(bytes);
        assert_eq!(key.to_bytes(), bytes);
        let text = key.to_string();
        assert!(text.len() == 32 && text == text.to_lowercase());
        assert_eq!(text, format!("{:032x}", u128::from_be_bytes(bytes)));
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(text.to_uppercase().parse(), Ok(key));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<EventKey>(&json).unwrap(), key);
        // Also from a reader, which cannot lend its data, and as the key of a map.
        assert_eq!(
            serde_json::from_reader::<_, EventKey>(json.as_bytes()).unwrap(),
            key
        );
        let map = BTreeMap::from([(key, 1)]);
        let json = serde_json::to_string(&map).unwrap();
        assert_eq!(
            serde_json::from_str::<BTreeMap<EventKey, u8>>(&json).unwrap(),
            map
        );
    }
    let good = "0123456789abcdef0123456789abcdef";
    assert!(good.parse::<EventKey>().is_ok());
    for bad in [
        "",
        "0",
        &good[1..],
        &format!("{good}0"),
        &format!(" {}", &good[1..]),
        &format!("{good}\n"),
        &format!("+{}", &good[1..]),
        &format!("0x{}", &good[2..]),
        &format!("g{}", &good[1..]),
        // A character of two bytes, 32 bytes in total.
        &format!("é{}", &good[2..]),
        "01234567-89ab-cdef-0123-456789abcdef",
    ] {
        assert!(bad.parse::<EventKey>().is_err(), "{bad:?}");
        assert!(
            serde_json::from_value::<EventKey>(bad.into()).is_err(),
            "{bad:?}"
        );
    }
    for bad in ["1", "null", "[0]", "{}"] {
        assert!(serde_json::from_str::<EventKey>(bad).is_err(), "{bad}");
    }
    let error = "0".parse::<EventKey>().unwrap_err();
    assert_eq!(error.to_string(), "an event key is 32 hexadecimal digits");
}

/// Events that differ in one part only, each in a part that a careless key omits.
#[test]
fn no_two_events_have_one_key() {
    let wanted =
        env::var("EVENTS").map_or_else(|_| repetitions(EVENTS), |number| number.parse().unwrap());
    let started = Instant::now();
    let mut seen = HashSet::with_capacity(wanted);
    let mut number = 0;
    while number < wanted {
        let batch = (wanted - number).min(8_000);
        let body = batch_of(number, batch);
        let events = events(&body);
        assert_eq!(events.len(), batch);
        for event in &events {
            assert!(seen.insert(event.key()), "{}", event.raw());
        }
        number += batch;
    }
    println!(
        "{} events, as many keys, in {:?}",
        seen.len(),
        started.elapsed()
    );
    assert_eq!(seen.len(), wanted);
}

/// `count` events of eight kinds, starting with this number.
fn batch_of(first: usize, count: usize) -> String {
    const STATES: [&str; 4] = ["sent", "delivered", "read", "played"];
    let mut lists: [Vec<String>; 8] = Default::default();
    for number in first..first + count {
        let kind = number % 8;
        // Its number within its kind. Forty events share an id.
        let own = number / 8;
        let shared = own / 40;
        let part = own % 40;
        lists[kind].push(match kind {
            // Messages, and echoes with the ids of messages.
            0 | 7 => format!(r#"{{"id":"wamid.M{own}","type":"text"}}"#),
            // With their own ids, all for the same original.
            1 => format!(r#"{{"id":"wamid.E{own}","type":"edit","edit":{{"original_message_id":"wamid.M{shared}"}}}}"#),
            // Group statuses: one per participant.
            2 => format!(r#"{{"id":"wamid.M{shared}","status":"read","timestamp":"1760000000","recipient_id":"g","recipient_participant_id":"{part}"}}"#),
            // Statuses of one message, with different states and times.
            3 => format!(
                r#"{{"id":"wamid.M{shared}","status":"{}","timestamp":"{}","recipient_id":"1"}}"#,
                STATES[part % 4],
                1_760_000_000 + part / 4
            ),
            // Participants without a phone number.
            4 => format!(r#"{{"id":"wamid.M{shared}","status":"read","timestamp":"1760000000","recipient_id":"g","recipient_participant_user_id":"US.{part}"}}"#),
            // Participants that were added to a group, and others that could not be added.
            _ => format!(r#"{{"wa_id":"{own}"}}"#),
        });
    }
    let [
        messages,
        edits,
        groups,
        states,
        users,
        added,
        failed,
        echoes,
    ] = lists.map(|list| list.join(","));
    let list = |lists: &[&str]| {
        let lists: Vec<_> = lists
            .iter()
            .filter(|list| !list.is_empty())
            .copied()
            .collect();
        lists.join(",")
    };
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","changes":[
            {{"field":"messages","value":{{"metadata":{{"phone_number_id":"1"}},"messages":[{}],"statuses":[{}]}}}},
            {{"field":"group_participants_update","value":{{"metadata":{{"phone_number_id":"1"}},"groups":[
                {{"group_id":"g","type":"group_participants_add","timestamp":"1760000000","added_participants":[{added}],"failed_participants":[{failed}]}}]}}}},
            {{"field":"smb_message_echoes","value":{{"metadata":{{"phone_number_id":"1"}},"message_echoes":[{echoes}]}}}}]}}]}}"#,
        list(&[&messages, &edits]),
        list(&[&groups, &states, &users]),
    )
}

/// A delivery with these elements in random order, single or in lists of the same kind, in one or
/// several entries.
fn delivery(elements: &mut [(&str, &Element)], random: &mut Random) -> String {
    for index in (1..elements.len()).rev() {
        elements.swap(index, random.below(index + 1));
    }
    // For each change the JSON before, of and after its elements.
    let mut entries: Vec<Vec<(String, Vec<&str>, String)>> = vec![Vec::new()];
    for (phone, (field, before, element, after)) in elements {
        if random.below(4) == 0 {
            entries.push(Vec::new());
        }
        let changes = entries.last_mut().unwrap();
        let value = format!(r#""value":{{"metadata":{{"phone_number_id":"{phone}"}},{before}"#);
        let field = format!(r#""field":"{field}""#);
        // Meta writes the field first or last.
        let (before, after) = if random.below(2) == 0 {
            (format!("{{{field},{value}"), format!("{after}}}}}"))
        } else {
            (format!("{{{value}"), format!("{after}}},{field}}}"))
        };
        let same =
            |change: &&mut (String, Vec<&str>, String)| change.0 == before && change.2 == after;
        match changes.iter_mut().find(same) {
            Some((_, list, _)) => list.push(element),
            None => changes.push((before, vec![element], after)),
        }
    }
    let entries: Vec<_> = entries
        .iter()
        .map(|changes| {
            let change = |(before, list, after): &(String, Vec<&str>, String)| {
                format!("{before}{}{after}", list.join(","))
            };
            let changes: Vec<_> = changes.iter().map(change).collect();
            format!(r#"{{"id":"9","changes":[{}]}}"#, changes.join(","))
        })
        .collect();
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{}]}}"#,
        entries.join(",")
    )
}

fn events(body: &str) -> Vec<Event> {
    Notification::parse(body.to_owned())
        .unwrap()
        .events()
        .to_vec()
}

fn keys(body: &str) -> Vec<EventKey> {
    events(body).iter().map(Event::key).collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// Nothing says that Meta never reuses the id of a click.
#[test]
fn equal_clicks_of_two_people_have_two_keys() {
    let click = |person: &str| {
        keys(&format!(
            r#"{{"entry":[{{"id":"9","changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"1"}},"contacts":[{{"wa_id":"{person}"}}],"user_actions":[{{"timestamp":"1760000000","marketing_messages_link_click_data":{{"click_id":"c","tracking_token":"t"}}}}]}}}}]}}]}}"#
        ))
    };
    assert_ne!(click("1"), click("2"));
}

/// Elements of a list that Meta adds may not name their user either.
#[test]
fn a_new_kind_of_event_has_a_key_for_each_person() {
    let delivery = |contact: &str| {
        events(&format!(
            r#"{{"entry":[{{"id":"9","time":1760000000,"changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"1"}},"contacts":[{contact}],"button_presses":[{{"button":"a"}}]}}}}]}}]}}"#
        ))
    };
    let persons = [
        r#"{"wa_id":"1"}"#,
        r#"{"wa_id":"2"}"#,
        r#"{"user_id":"US.1"}"#,
    ];
    let found: Vec<_> = persons.map(|contact| delivery(contact)[0].key()).into();
    assert!(found[0] != found[1] && found[0] != found[2] && found[1] != found[2]);
    let event = &delivery(persons[0])[0];
    let queued = Notification::from_queue(event.to_queue()).unwrap();
    assert_eq!(queued.events()[0].key(), found[0]);
}

/// A number may belong to several accounts. Some events have it in themselves.
#[test]
fn the_account_is_no_part_of_a_key_beside_a_number() {
    for (field, value) in [
        (
            "messaging_handovers",
            r#"{"recipient":{"phone_number_id":"1"},"timestamp":"1760000000"}"#,
        ),
        (
            "account_settings_update",
            r#"{"type":"phone_number_settings","phone_number_settings":{"phone_number_id":"1"}}"#,
        ),
    ] {
        let key = |account: &str, value: &str| {
            keys(&format!(
                r#"{{"entry":[{{"id":"{account}","time":1,"changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
            ))
        };
        assert_eq!(key("8", value), key("9", value), "{field}");
        let other = value.replace(r#""1"}"#, r#""2"}"#);
        assert_ne!(key("9", value), key("9", &other), "{field}");
    }
}

/// Long metadata is scanned once, with the same result.
#[test]
fn the_length_of_metadata_changes_nothing() {
    let event = |metadata: &str| {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"metadata":{metadata},"statuses":[{{"id":"wamid.A","status":"sent"}}]}}}}]}}]}}"#
        );
        Notification::parse(body).unwrap().events()[0].clone()
    };
    let long = "x".repeat(300);
    for (id, expected) in [
        (r#","phone_number_id":"1""#, Some("1")),
        (r#","phone_number_id":1,"phone_number_id":2"#, Some("2")),
        (r#","phone_number_id":"""#, None),
        (r#","phone_number_id":{"a":1}"#, None),
        ("", None),
    ] {
        let [short, long] = ["x", &long]
            .map(|number| event(&format!(r#"{{"display_phone_number":"{number}"{id}}}"#)));
        assert_eq!(short.phone_number_id(), expected, "{id}");
        assert_eq!(long.phone_number_id(), expected, "{id}");
        assert_eq!(short.key(), long.key(), "{id}");
        let queued = Notification::from_queue(long.to_queue()).unwrap();
        assert_eq!(queued.events()[0].key(), long.key(), "{id}");
        assert_eq!(long.detach().phone_number_id(), expected, "{id}");
    }
}
