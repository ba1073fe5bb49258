//! Arbitrary bytes as a body: accepted if they are JSON, without losing an event, within the
//! documented memory.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use test_support::oracle;
use tower_whatsapp::{
    Notification,
    event::{EventKey, ParseError},
};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Allowance for bodies that are too small for a ratio.
const BASE: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    let keys = read(&body);
    let Ok(text) = std::str::from_utf8(data) else {
        assert_eq!(keys, Err(ParseError::NotUtf8));
        return;
    };
    let found = oracle::check(text, "the input");
    let again = found.map(|(notification, _)| self::keys(&notification));
    assert_eq!(keys.ok(), again);
});

/// Reads all events of the body, and checks the memory that this takes.
fn read(body: &Bytes) -> Result<Vec<EventKey>, ParseError> {
    let before = HEAP.current_usage() - body.len();
    HEAP.reset_peak_usage();
    let parsed = Notification::parse(body.clone());
    for event in parsed.iter().flat_map(Notification::events) {
        let _ = (event.payload(), event.is_known(), event.timestamp());
    }
    let peak = HEAP.peak_usage() - before;
    let allowed = 4 * body.len() + BASE;
    assert!(peak <= allowed, "{peak} bytes, of {allowed}");
    Ok(keys(&parsed?))
}

fn keys(notification: &Notification) -> Vec<EventKey> {
    let events = notification.events();
    events.iter().map(|event| event.key()).collect()
}
