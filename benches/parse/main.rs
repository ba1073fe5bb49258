//! Instructions to parse a body and read every event: `cargo bench -p benches --bench parse`.
//!
//! Instructions are counted by valgrind's callgrind, so they do not depend on other load. Each
//! figure is the difference between two runs, divided by the difference of their rounds. This crate
//! is compared with `serde_json::Value`, with structs derived by serde that have the same keys, and
//! with a syntax check alone, which is the lower bound for all of them.

mod derived;

use bench_support::bodies;
use std::{env, error::Error, hint::black_box};

use bytes::Bytes;
use serde::de::IgnoredAny;
use tower_whatsapp::Notification;

const PARSERS: [&str; 4] = ["check", "value", "derived", "ours"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", parser, body, rounds] = arguments.get(1..).unwrap_or_default() {
        return work(parser, body, rounds.parse()?);
    }
    println!(
        "{:<16} {:>7} {:>11} {:>11} {:>11} {:>11} {:>7} {:>8} {:>7}",
        "body", "bytes", "check", "Value", "derived", "ours", "/Value", "/derived", "/check"
    );
    for (name, body) in bodies::all() {
        let mut counts = [0; 4];
        for (count, parser) in counts.iter_mut().zip(PARSERS) {
            let rounds = if body.len() > 100_000 {
                [1, 3]
            } else {
                [50, 150]
            };
            *count = bench_support::instructions_per_round(&[parser, name], rounds)?;
        }
        let [check, value, derived, ours] = counts;
        let ratio = |other: u64| ours as f64 / other as f64;
        println!(
            "{name:<16} {:>7} {check:>11} {value:>11} {derived:>11} {ours:>11} {:>7.3} {:>8.3} {:>7.3}",
            body.len(),
            ratio(value),
            ratio(derived),
            ratio(check)
        );
    }
    Ok(())
}

fn work(parser: &str, body: &str, rounds: u32) -> Result<(), Box<dyn Error>> {
    let (_, body) = bodies::all()
        .into_iter()
        .find(|(name, _)| *name == body)
        .ok_or("no such body")?;
    let body = Bytes::from(body);
    for _ in 0..rounds {
        match parser {
            "check" => drop(black_box(serde_json::from_slice::<IgnoredAny>(&body)?)),
            "value" => drop(black_box(serde_json::from_slice::<serde_json::Value>(
                &body,
            )?)),
            "derived" => drop(black_box(serde_json::from_slice::<derived::Delivery>(
                &body,
            )?)),
            "ours" => {
                let notification = Notification::parse(body.clone())?;
                for event in notification.events() {
                    black_box(event.payload());
                }
            }
            _ => return Err("no such parser".into()),
        }
    }
    Ok(())
}
