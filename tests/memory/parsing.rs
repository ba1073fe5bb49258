//! Memory of a delivery: body and events together take at most four times its length,
//! whatever it contains.
//!
//! A single test per process, because it measures the heap of the process.

#![cfg(test)]

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use tower_whatsapp::{Notification, Payload, event::Content};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const LENGTH: usize = 3 * 1024 * 1024;

#[test]
fn a_bomb_takes_at_most_four_times_its_length() {
    let texts = r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":["#;
    let text = |word: &str| {
        let body = word.repeat(900 / word.len());
        format!(
            r#"{{"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text","text":{{"body":"{body}"}}}},"#
        )
    };
    let bombs = [
        // Unknown structures, lists, elements, and parts of elements.
        ("body", r#"["#, r#"{"":0},"#, r#"0]"#),
        ("unknown key", r#"{"x":["#, r#"{"":0},"#, r#"0]}"#),
        ("entries", r#"{"entry":["#, r#"{},"#, r#"{}]}"#),
        (
            "entries with members",
            r#"{"entry":["#,
            r#"{"id":1,"time":1},"#,
            r#"{}]}"#,
        ),
        (
            "changes",
            r#"{"entry":[{"changes":["#,
            r#"{},"#,
            r#"{}]}]}"#,
        ),
        (
            "changes with members",
            r#"{"entry":[{"changes":["#,
            r#"{"field":"messages","value":{}},"#,
            r#"{}]}]}"#,
        ),
        (
            "messages",
            r#"{"entry":[{"changes":[{"value":{"messages":["#,
            r#"{},"#,
            r#"{}]}}]}]}"#,
        ),
        (
            "messages with a member",
            r#"{"entry":[{"changes":[{"value":{"messages":["#,
            r#"{"":0},"#,
            r#"{}]}}]}]}"#,
        ),
        (
            "statuses",
            r#"{"entry":[{"changes":[{"value":{"statuses":["#,
            r#"{"id":"1"},"#,
            r#"{}]}}]}]}"#,
        ),
        (
            "unknown list",
            r#"{"entry":[{"changes":[{"value":{"x":["#,
            r#"0,"#,
            r#"0]}}]}]}"#,
        ),
        (
            "many lists",
            r#"{"entry":[{"changes":[{"value":{"#,
            r#""":[0],"#,
            r#""x":[0]}}]}]}"#,
        ),
        (
            "contacts",
            r#"{"entry":[{"changes":[{"value":{"contacts":["#,
            r#"{"wa_id":1},"#,
            r#"{}]}}]}]}"#,
        ),
        // The lookup of a sender's contact.
        (
            "contacts of a sender",
            r#"{"entry":[{"changes":[{"value":{"messages":[{"from":"2"}],"contacts":["#,
            r#"{"wa_id":1},"#,
            r#"{}]}}]}]}"#,
        ),
        (
            "a contact with many ids",
            r#"{"entry":[{"changes":[{"value":{"messages":[{"from":"2"}],"contacts":[{},{},{},{},{"#,
            r#""wa_id":1,"#,
            r#""wa_id":1}]}}]}]}"#,
        ),
        (
            "errors",
            r#"{"entry":[{"changes":[{"value":{"messages":[{"errors":["#,
            r#"{"":0},"#,
            r#"{}]}]}}]}]}"#,
        ),
        (
            "context",
            r#"{"entry":[{"changes":[{"value":{"messages":[{"context":{"x":["#,
            r#"{"":0},"#,
            r#"{}]}}]}}]}]}"#,
        ),
        (
            "cards",
            r#"{"entry":[{"changes":[{"value":{"messages":[{"type":"contacts","contacts":["#,
            r#"{},"#,
            r#"{}]}]}}]}]}"#,
        ),
        // Strings with escapes.
        ("escapes", r#"{"x":["#, r#""\n","#, r#"0]}"#),
        ("escaped text", r#"{"x":""#, r"\n", r#""}"#),
        (
            "one escape in each",
            r#"{"x":["#,
            r#""\n0123456789","#,
            r#"0]}"#,
        ),
        ("escaped keys", r#"{"x":{"#, r#""\n":0,"#, r#""":0}}"#),
        // Ordinary texts of 1 KiB, with and without escapes.
        ("texts", texts, &text("plain"), "{}]}}]}]}"),
        ("escaped texts", texts, &text(r"gr\u00fcn"), "{}]}}]}]}"),
        (
            "escaped ids",
            r#"{"entry":[{"changes":[{"value":{"messages":["#,
            r#"{"id":"\n"},"#,
            r#"{}]}}]}]}"#,
        ),
    ];
    for (name, start, middle, end) in bombs {
        let body = start.to_owned()
            + &middle.repeat((LENGTH - start.len() - end.len()) / middle.len())
            + end;
        let body = Bytes::from(body);
        let length = body.len();
        let before = HEAP.current_usage() - length;
        HEAP.reset_peak_usage();
        let notification = Notification::parse(body).unwrap();
        let parsed = HEAP.peak_usage();
        // Keys are computed from the event, without a lookup that a sender could make expensive.
        let kept = HEAP.current_usage();
        HEAP.reset_peak_usage();
        for event in notification.events().iter().take(1000) {
            std::hint::black_box(event.key());
        }
        // The test harness has a separate thread, which may print something.
        assert!(HEAP.peak_usage() < kept + 16 * 1024, "{name}");
        for event in notification.events() {
            if let Payload::Message(message) = event.payload() {
                let _ = message.errors.iter().count();
                if let Content::Contacts(cards) = message.content {
                    let _ = cards.iter().count();
                }
            }
            let _ = event.is_known();
        }
        let peak = HEAP.peak_usage().max(parsed) - before;
        println!(
            "{name}: {:.2} times the body, {} events",
            peak as f64 / length as f64,
            notification.events().len()
        );
        assert!(peak <= 4 * length, "{name}: {peak}");
    }
}
