//! Throughput of this crate's parser beside general JSON parsers, on deliveries of statuses:
//!
//! ```sh
//! cargo run --release --manifest-path benches/parsers/Cargo.toml
//! ```
//!
//! All parsers read the same text in turn, so other load on the machine affects all of them alike.
//! The ratio is that of the two times in one round.

use std::{error::Error, hint::black_box, time::Instant};

use bench_support::bodies;
use bytes::Bytes;
use serde::de::IgnoredAny;
use tower_whatsapp::Notification;

const ROUNDS: usize = 41;

/// Bytes that each parser reads in a round.
const BYTES_PER_ROUND: usize = 8_000_000;

type Parse = fn(&Bytes) -> Result<(), Box<dyn Error>>;

/// The first row is the one that the ratios refer to.
const PARSERS: [(&str, Parse); 8] = [
    ("tower-whatsapp, every payload read", |body| {
        let notification = Notification::parse(body.clone())?;
        for event in notification.events() {
            black_box(event.payload());
        }
        Ok(())
    }),
    ("tower-whatsapp, split into events", |body| {
        black_box(Notification::parse(body.clone())?);
        Ok(())
    }),
    ("serde_json IgnoredAny, check alone", |body| {
        black_box(serde_json::from_slice::<IgnoredAny>(body)?);
        Ok(())
    }),
    ("serde_json Value", |body| {
        black_box(serde_json::from_slice::<serde_json::Value>(body)?);
        Ok(())
    }),
    ("sonic-rs LazyValue, check alone", |body| {
        black_box(sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(body)?);
        Ok(())
    }),
    ("sonic-rs Value", |body| {
        black_box(sonic_rs::from_slice::<sonic_rs::Value>(body)?);
        Ok(())
    }),
    ("simd-json BorrowedValue, with the copy it writes to", |body| {
        let mut copy = body.to_vec();
        black_box(simd_json::to_borrowed_value(&mut copy)?);
        Ok(())
    }),
    ("jiter JsonValue", |body| {
        black_box(jiter::JsonValue::parse(body, false)?);
        Ok(())
    }),
];

fn main() -> Result<(), Box<dyn Error>> {
    for count in [87, 5150] {
        let body = Bytes::from(bodies::statuses(count));
        println!("\n{count} statuses, {} bytes\n", body.len());
        println!("| Parser | GB/s (minimum–maximum) | time beside the first row |");
        println!("|---|---|---|");
        let times = measure(&body)?;
        for ((name, _), (index, own)) in PARSERS.iter().zip(times.iter().enumerate()) {
            let gigabytes = |seconds: &f64| body.len() as f64 / seconds / 1e9;
            let [slowest, median, fastest] = summary(own.iter().map(gigabytes).collect());
            let ratios = own.iter().zip(&times[0]).map(|(own, first)| own / first);
            let [least, ratio, most] = summary(ratios.collect());
            let range = match index {
                0 => String::new(),
                _ => format!(" ({least:.2}–{most:.2})"),
            };
            println!("| {name} | {median:.2} ({slowest:.2}–{fastest:.2}) | {ratio:.2}{range} |");
        }
    }
    Ok(())
}

/// Seconds per body: for each parser one figure per round.
fn measure(body: &Bytes) -> Result<Vec<Vec<f64>>, Box<dyn Error>> {
    let repeats = BYTES_PER_ROUND.div_ceil(body.len());
    let mut times = vec![Vec::new(); PARSERS.len()];
    for _ in 0..ROUNDS {
        for ((_, parse), times) in PARSERS.iter().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..repeats {
                parse(black_box(body))?;
            }
            times.push(start.elapsed().as_secs_f64() / repeats as f64);
        }
    }
    Ok(times)
}

/// Minimum, median and maximum.
fn summary(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [0, figures.len() / 2, figures.len() - 1].map(|index| figures[index])
}
