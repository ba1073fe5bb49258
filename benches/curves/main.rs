//! What it costs against what there is of something: `cargo bench -p benches --bench curves --features admission`.
//!
//! A line for each point: the curve, how many there are, what one of them costs in instructions and in nanoseconds, tab-separated. Instructions are
//! counted by valgrind's callgrind and are the same on every machine; times are the machine's, the median of several runs, and show what the
//! caches of a processor make of it. `scripts/curves` draws them.

mod points;

use bench_support::bodies;
use std::{env, error::Error, time::Instant};

use points::{CURVES, Curve};
use tokio::runtime;

/// How often a point is timed.
const RUNS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    // Where there is no runtime there are no deadlines.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _inside = runtime.enter();
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", name, many, rounds] = arguments.get(1..).unwrap_or_default() {
        let curve = CURVES.iter().find(|curve| curve.name == *name);
        let mut work = (curve.ok_or("no such curve")?.prepare)(many.parse()?)?;
        for round in 0..rounds.parse()? {
            work(round)?;
        }
        return Ok(());
    }
    println!("curve\tmany\tinstructions\tnanoseconds");
    for curve in CURVES {
        for many in curve.points {
            let units = (curve.units)(*many);
            let rounds = curve.rounds(*many);
            let count =
                bench_support::per_round(&[curve.name, &many.to_string()], [rounds, 3 * rounds])?;
            let each = |of_a_round: u64| of_a_round as f64 / units as f64;
            let (count, nanoseconds) = (each(count), each(timed(curve, *many)?));
            println!("{}\t{many}\t{count:.1}\t{nanoseconds:.1}", curve.name);
        }
    }
    Ok(())
}

/// The nanoseconds of one round.
fn timed(curve: &Curve, many: u64) -> Result<u64, Box<dyn Error>> {
    let mut work = (curve.prepare)(many)?;
    let rounds = 10 * curve.rounds(many);
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
