//! Instructions to parse a body and read every event: `cargo bench -p benches --bench parse`.
//!
//! Instructions are counted by valgrind's callgrind, so they do not depend on other load. Each
//! figure is the difference between two runs, divided by the difference of their rounds. This crate
//! is compared with `serde_json::Value`, with structs derived by serde that have the same keys, and
//! with a syntax check alone, which is the lower bound for all of them. It fails above the ratios
//! that `docs/performance.md` promises.

mod derived;

use bench_support::bodies;
use std::{env, error::Error, hint::black_box, process::ExitCode};

use bytes::Bytes;
use serde::de::IgnoredAny;
use tower_whatsapp::Notification;

const PARSERS: [&str; 4] = ["check", "value", "derived", "ours"];

/// Bodies with a promise, and the maximum ratios to `Value`, to derived structs and to the check.
const PROMISED: [&str; 4] = ["text", "status", "order", "1000 statuses"];
const MAX_RATIOS: [f64; 3] = [0.55, 0.85, 2.2];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", parser, body, rounds] = arguments.get(1..).unwrap_or_default() {
        work(parser, body, rounds.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut compared = 0;
    let mut good = true;
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
        let ratios = [value, derived, check].map(|other| ours as f64 / other as f64);
        let is_promised = PROMISED.contains(&name);
        let is_kept = ratios
            .iter()
            .zip(MAX_RATIOS)
            .all(|(ratio, max)| *ratio <= max);
        compared += usize::from(is_promised);
        good &= !is_promised || is_kept;
        println!(
            "{name:<16} {:>7} {check:>11} {value:>11} {derived:>11} {ours:>11} {:>7.3} {:>8.3} {:>7.3}{}",
            body.len(),
            ratios[0],
            ratios[1],
            ratios[2],
            if is_promised && !is_kept {
                " TOO MANY"
            } else {
                ""
            }
        );
    }
    Ok(if good && compared == PROMISED.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
