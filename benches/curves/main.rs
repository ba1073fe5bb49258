//! Cost per unit as the number of units grows: `cargo bench -p benches --bench curves
//! --features admission`.
//!
//! Prints one tab-separated line per point: curve, number of units, and instructions and
//! nanoseconds per unit. Instructions are counted by valgrind's callgrind and do not depend on the
//! machine. Times are medians of several runs on this machine, and show the effect of its caches.
//! `scripts/curves` draws the curves.

mod points;

use bench_support::bodies;
use std::{env, error::Error, time::Instant};

use points::{CURVES, Curve};
use tokio::runtime;

/// Runs per point. The median is printed.
const RUNS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    // The layer's deadlines need a runtime.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _inside = runtime.enter();
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", name, count, rounds] = arguments.get(1..).unwrap_or_default() {
        let curve = CURVES.iter().find(|curve| curve.name == *name);
        let mut work = (curve.ok_or("no such curve")?.prepare)(count.parse()?)?;
        for round in 0..rounds.parse()? {
            work(round)?;
        }
        return Ok(());
    }
    println!("curve\tcount\tinstructions\tnanoseconds");
    for curve in CURVES {
        for count in curve.points {
            let units = (curve.units)(*count);
            let rounds = curve.rounds(*count);
            let instructions = bench_support::instructions_per_round(
                &[curve.name, &count.to_string()],
                [rounds, 3 * rounds],
            )?;
            let per_unit = |per_round: u64| per_round as f64 / units as f64;
            let instructions = per_unit(instructions);
            let nanoseconds = per_unit(nanoseconds_per_round(curve, *count)?);
            println!(
                "{}\t{count}\t{instructions:.1}\t{nanoseconds:.1}",
                curve.name
            );
        }
    }
    Ok(())
}

/// Median duration of one round, nanoseconds.
fn nanoseconds_per_round(curve: &Curve, count: u64) -> Result<u64, Box<dyn Error>> {
    let mut work = (curve.prepare)(count)?;
    let rounds = 10 * curve.rounds(count);
    let mut times = Vec::new();
    for run in 0..RUNS {
        let start = Instant::now();
        for round in 0..rounds {
            work(u32::try_from(run)? * rounds + round)?;
        }
        times.push(start.elapsed() / rounds);
    }
    times.sort_unstable();
    let median = times.get(RUNS / 2).ok_or("no times")?;
    Ok(u64::try_from(median.as_nanos())?)
}
