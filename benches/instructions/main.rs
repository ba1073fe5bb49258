//! What each part of the way costs, in instructions: `cargo bench -p benches --bench instructions --features admission`.
//!
//! Instructions are counted by valgrind's callgrind, so they do not depend on what else the machine does, nor on instructions for SHA, which
//! valgrind does not have. `scripts/instructions --check` compares them with `baseline.tsv`.

mod rows;

use bench_support::bodies;
use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", row, rounds] = arguments.get(1..).unwrap_or_default() {
        // The layer needs one with a timer. Nothing runs on it, so it is not in the figures.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let _inside = runtime.enter();
        let row = rows::ALL.iter().find(|candidate| candidate.name == *row);
        return (row.ok_or("no such row")?.work)(rounds.parse()?);
    }
    for row in rows::ALL {
        let count = bench_support::per_round(&[row.name], row.rounds)?;
        println!("{}\t{count}", row.name);
    }
    Ok(())
}
