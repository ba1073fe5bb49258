//! Memory of kept events: an event keeps the body of its delivery alive, a copy does not.
//!
//! A single test per process, because it measures the heap of the process.

#![cfg(test)]

use peak_alloc::PeakAlloc;
use tower_whatsapp::{Event, Notification, Payload, event::Content};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Upper bound of a copy's memory in addition to its text: tables, contact, and numbers.
const BESIDE: usize = 2 * 1024;

const DELIVERIES: usize = 200;
const DELIVERY: usize = 256 * 1024;
const EVENTS: usize = 10_000;

#[test]
fn a_copy_costs_what_it_says_and_an_event_its_delivery() {
    // One message of each of many large deliveries is kept.
    let start = HEAP.current_usage();
    let kept: Vec<Event> = (0..DELIVERIES)
        .map(|number| one_of(&large(number)))
        .collect();
    let with_bodies = HEAP.current_usage() - start;
    check(&kept);
    drop(kept);

    let start = HEAP.current_usage();
    let copies: Vec<Event> = (0..DELIVERIES)
        .map(|number| one_of(&large(number)).detach())
        .collect();
    let alone = HEAP.current_usage() - start;
    check(&copies);
    println!(
        "{DELIVERIES} events of {DELIVERY} bytes of delivery: kept {with_bodies} bytes, as copies {alone}"
    );
    assert!(with_bodies >= DELIVERIES * DELIVERY, "{with_bodies}");
    assert!(alone <= bound(&copies), "{alone}");
    assert!(with_bodies > 100 * alone);
    drop(copies);

    // All messages of a batch are kept.
    let start = HEAP.current_usage();
    let batch = batch();
    let kept = batch.events().to_vec();
    drop(batch);
    let together = HEAP.current_usage() - start;
    check(&kept);
    let before = HEAP.current_usage();
    let copies: Vec<Event> = kept.iter().map(Event::detach).collect();
    let alone = HEAP.current_usage() - before;
    let length: usize = copies.iter().map(|event| event.raw().len()).sum();
    println!(
        "{EVENTS} events of one delivery, {length} bytes of JSON: kept {together} bytes, as copies {alone} \
         ({} each beside its JSON)",
        (alone - length) / EVENTS
    );
    assert_eq!(copies.len(), EVENTS);
    assert!(alone <= bound(&copies), "{alone}");
    // Copies outlive their delivery and keep nothing of it alive.
    drop(kept);
    check(&copies);
    assert!(HEAP.current_usage() - start <= bound(&copies));
    // Their memory is released.
    drop(copies);
    assert!(
        HEAP.current_usage() - start < BESIDE,
        "{}",
        HEAP.current_usage() - start
    );
}

fn bound(events: &[Event]) -> usize {
    events.iter().map(|event| event.raw().len() + BESIDE).sum()
}

fn check(events: &[Event]) {
    for event in events {
        let Payload::Message(message) = event.payload() else {
            panic!("{event:?}")
        };
        assert!(
            matches!(message.content, Content::Text(text) if text.body == Some("kept \u{1f44d}"))
        );
        assert_eq!(message.sender.name(), Some("Ada"));
        assert_eq!(event.phone_number_id(), Some("100000000000001"));
    }
}

fn one_of(body: &str) -> Event {
    Notification::parse(body.to_owned()).unwrap().events()[0].clone()
}

fn message(number: usize) -> String {
    format!(
        r#"{{"from":"16505550001","id":"wamid.{number}","timestamp":"1760000000","type":"text","text":{{"body":"kept \ud83d\udc4d"}}}}"#
    )
}

fn delivery(messages: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","changes":[{{"field":"messages","value":{{
            "metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},
            "contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"16505550001"}}],"messages":[{messages}]}}}}]}}]}}"#
    )
}

/// A message, followed by one that fills the delivery.
fn large(number: usize) -> String {
    let filler = |text: &str| {
        format!(
            r#"{},{{"type":"text","text":{{"body":"{text}"}}}}"#,
            message(number)
        )
    };
    let rest = DELIVERY - delivery(&filler("")).len();
    let body = delivery(&filler(&"x".repeat(rest)));
    assert_eq!(body.len(), DELIVERY);
    body
}

fn batch() -> Notification {
    let messages: Vec<_> = (0..EVENTS).map(message).collect();
    Notification::parse(delivery(&messages.join(","))).unwrap()
}
