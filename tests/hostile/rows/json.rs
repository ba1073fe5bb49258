//! J: signed bodies with unusual JSON.

use test_support::json::{change, delivery, messages, text};
use tower_whatsapp::RejectionKind::NotJson;

use crate::row::{Driver, Row, Sent};

/// The event of [`one_text`](test_support::json::one_text).
pub(crate) const ONE_TEXT: &str = "message wamid.A canary words of a person";

/// Maximum number of events of a delivery that are separated.
const CAP: usize = 32_768;

const TOWER: &[Driver] = &[Driver::Tower];

pub(crate) fn rows() -> Vec<Row> {
    [depth(), bombs(), oddities(), numbers(), strangers()]
        .into_iter()
        .flatten()
        .collect()
}

fn post(id: &'static str, body: impl Into<bytes::Bytes>) -> Row {
    Row::one(id, Sent::post(body))
}

fn depth() -> Vec<Row> {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    let skipped = |depth| format!(r#"{{"x":{},"entry":[]}}"#, nested(depth));
    vec![
        post("J1", nested(127)).handled(&["unknown Shape 254"]),
        post("J2", nested(128)).read(NotJson),
        post("J3", nested(1_000_000)).read(NotJson),
        post("J3 open", "[".repeat(1_000_000)).read(NotJson),
        post("J3 objects", "{\"a\":".repeat(200_000)).read(NotJson),
        // An unknown key next to the entries is an event.
        post("J4 good", skipped(126)).handled(&["unknown Shape 250"]),
        post("J4", skipped(127)).read(NotJson),
        post(
            "J4 in a text",
            messages(&text("wamid.A", &"[".repeat(1000))),
        )
        .handled(&[&format!("message wamid.A {}", "[".repeat(1000))]),
    ]
}

fn bombs() -> Vec<Row> {
    // Almost 3 MiB of tiny objects. Only a seventh of them over sockets, to save time.
    let tiny = |count: usize| vec![r#"{"":0}"#; count].join(",");
    let last = |count: usize, len| -> &'static str {
        // Length of the elements beyond the cap, including the commas between them.
        let rest = (count - CAP) * len + (count - CAP - 1);
        format!("unknown Overflow {rest}").leak()
    };
    const MANY: usize = 449_000;
    const SOME: usize = 64_000;
    let list = |id, name: &str, count| {
        post(id, delivery(&format!(r#""{name}":[{}]"#, tiny(count)))).many(CAP + 1, last(count, 6))
    };
    let inside = |id, name: &str, count| {
        let message = format!(
            r#"{{"id":"wamid.A","type":"x","{name}":[{}]}}"#,
            tiny(count)
        );
        post(id, messages(&message)).handled(&["message wamid.A -"])
    };
    vec![
        list("J5", "messages", MANY).on(TOWER),
        list("J5 some", "messages", SOME),
        list("J5 statuses", "statuses", SOME),
        list("J6", "unheard_of", MANY).on(TOWER),
        list("J6 some", "unheard_of", SOME),
        // A body without an envelope is one event.
        post("J6 outside", format!(r#"{{"x":[{}]}}"#, tiny(SOME)))
            .handled(&["unknown Shape 448007"]),
        list("J7", "errors", SOME),
        inside("J7 of a message", "errors", SOME),
        inside("J8", "context", MANY).on(TOWER),
        inside("J8 some", "context", SOME),
        post(
            "J8 contacts",
            delivery(&format!(r#""contacts":[{}],"messages":[{{}}]"#, tiny(SOME))),
        )
        .handled(&["message - -"]),
        // Each of them would be a separate event.
        post("J8 entries", format!(r#"{{"entry":[{}]}}"#, tiny(SOME))).many(CAP + 1, last(SOME, 6)),
        post(
            "J8 changes",
            format!(r#"{{"entry":[{{"changes":[{}]}}]}}"#, tiny(SOME)),
        )
        .many(CAP + 1, last(SOME, 6)),
        post(
            "J8 members",
            format!("{{{}}}", vec![r#""":0"#; SOME].join(",")),
        )
        .handled(&["unknown Shape 320001"]),
    ]
}

fn oddities() -> Vec<Row> {
    let said = |id, body: &str, heard: &str| {
        post(id, messages(&text("wamid.A", body))).handled(&[&format!("message wamid.A {heard}")])
    };
    let skipped = |id, value: &[u8]| {
        let body = [&br#"{"entry":[],"x":"#[..], value, b"}"].concat();
        post(id, body)
    };
    vec![
        post(
            "J9",
            messages(r#"{"id":"a","id":"b","type":"text","text":{"body":"x","body":"y"}}"#),
        )
        .handled(&["message b y"]),
        // It is unknown which list the sender meant, so no element may be lost.
        post(
            "J9 lists",
            delivery(r#""messages":[{"id":"a"}],"messages":[{"id":"b"}]"#),
        )
        .handled(&["message a -", "message b -"]),
        said("J10", r"cut \ud83d", "cut \u{fffd}"),
        said("J10 second half", r"\ude00 cut", "\u{fffd} cut"),
        said("J10 a pair", r"\ud83d\ude00", "😀"),
        post("J10 key", messages(r#"{"\ud83d":1,"id":"a"}"#)).handled(&["message a -"]),
        skipped("J11", b"\"\xff\"").read(NotJson),
        skipped("J11 surrogate", b"\"\xed\xa0\x80\"").read(NotJson),
        skipped("J11 cut", b"\"\xf0\x9f\x98\"").read(NotJson),
        post("J12", "\u{feff}{}").read(NotJson),
        said("J13", r"a\u0000b", "a\0b"),
        skipped("J13 raw", b"\"\0\"").read(NotJson),
        post("J13 behind", "{}\0").read(NotJson),
        skipped("J14", b"1e400").handled(&["unknown Key 5"]),
        skipped("J14 NaN", b"NaN").read(NotJson),
        skipped("J14 Infinity", b"-Infinity").read(NotJson),
        post("J14 time", messages(r#"{"id":"a","timestamp":1e400}"#)).handled(&["message a -"]),
        skipped("J15", "9".repeat(100_000).as_bytes()).handled(&["unknown Key 100000"]),
        post(
            "J15 time",
            messages(&format!(
                r#"{{"id":"a","timestamp":{}}}"#,
                "9".repeat(100_000)
            )),
        )
        .handled(&["message a -"]),
        post("J16", messages(r#"{"id":99999999999999999999999}"#))
            .handled(&["message 99999999999999999999999 -"]),
        post("J17", "{}{}").read(NotJson),
        post("J17 lines", "{}\n{}").read(NotJson),
        post("J18", r#"{"entry":[],}"#).read(NotJson),
        post("J18 list", r#"{"entry":[1,]}"#).read(NotJson),
        post("J18 comment", "{}//").read(NotJson),
        post("J18 cut", messages(&text("wamid.A", "x"))[..100].to_owned()).read(NotJson),
    ]
}

fn numbers() -> Vec<Row> {
    let ids = |count| vec![r#"{"id":"m"}"#; count].join(",");
    let of = |id, count| post(id, messages(&ids(count))).many(count, "message m -");
    vec![
        post(
            "J19 none",
            r#"{"object":"whatsapp_business_account","entry":[]}"#,
        )
        .handled(&[]),
        // Empty, but the delivery is still an event.
        post("J19 empty", messages("")).handled(&[]),
        of("J19 1", 1),
        of("J19 1000", 1000),
        of("J19 1001", 1001),
        of("J19 30,000", 30_000),
        of("J19 cap", CAP),
        post("J19 cap + 1", messages(&ids(CAP + 1))).many(CAP + 1, "unknown Overflow 10"),
        post("J19 a million", messages(&vec!["{}"; 1_000_000].join(",")))
            .many(CAP + 1, "unknown Overflow 2901695")
            .on(TOWER),
    ]
}

fn strangers() -> Vec<Row> {
    vec![
        post("J20", change(r#""field":"brand_new","value":{"x":1}"#))
            .handled(&["unknown Field 7"]),
        post("J20 type", messages(r#"{"id":"a","type":"hologram","hologram":{}}"#))
            .handled(&["message a -"]),
        post(
            "J20 state",
            delivery(r#""statuses":[{"id":"a","status":"teleported"}]"#),
        )
        .handled(&["status a Some(Other(..))"]),
        post("J20 missing", messages("{}")).handled(&["message - -"]),
        post("J20 list", delivery(r#""dreams":[{"id":"a"}]"#)).handled(&["unknown List 10"]),
        post(
            "J20 null",
            messages(r#"{"id":null,"from":null,"timestamp":null,"type":null,"text":null,"context":null}"#),
        )
        .handled(&["message - -"]),
        post(
            "J20 null above",
            r#"{"object":null,"entry":[{"id":null,"changes":[{"field":null,"value":null}]}]}"#,
        )
        .handled(&["unknown Shape 27"]),
        post("J20 null beside", messages(r#"null,{"id":"a"},7"#)).handled(&[
            "unknown Shape 4",
            "message a -",
            "unknown Shape 1",
        ]),
        post(
            "J20 numbers",
            messages(r#"{"id":7,"timestamp":1760000000,"type":"text","text":{"body":8}}"#),
        )
        .handled(&["message 7 8"]),
        post("J20 shapes", messages(r#"{"id":{},"type":[],"text":"x"}"#))
            .handled(&["message - -"]),
        post("J20 body", messages(r#"{"id":"a","type":"text","text":["x"]}"#))
            .handled(&["message a -"]),
        post(
            "J20 object",
            messages(r#"{"id":"a"}"#).replace("whatsapp_business_account", "page"),
        )
        .handled(&["unknown Object 10"]),
        post("J20 scalar", "7").handled(&["unknown Shape 1"]),
        post("J20 string", "\"x\"").handled(&["unknown Shape 3"]),
        post("J20 entry", r#"{"entry":{"id":"1"}}"#).handled(&["unknown Shape 10"]),
        post("J20 error", delivery(r#""errors":[{"code":"131049"}]"#))
            .handled(&["error Some(131049)"]),
    ]
}
