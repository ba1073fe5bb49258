//! Instructions per request and per part of its processing: `cargo bench -p benches --bench
//! instructions --features admission`.
//!
//! Instructions are counted by valgrind's callgrind, so the result does not depend on other load.
//! Valgrind has no SHA instructions, so the hash runs in software on every machine.
//! `scripts/instructions --check` compares the result with `baseline.tsv`.

mod rows;

use bench_support::bodies;
use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["work", row, rounds] = arguments.get(1..).unwrap_or_default() {
        // The layer needs a runtime with a timer. Nothing runs on it, so it does not
        // affect the counts.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let _inside = runtime.enter();
        let row = rows::ALL.iter().find(|candidate| candidate.name == *row);
        return (row.ok_or("no such row")?.work)(rounds.parse()?);
    }
    for row in rows::ALL {
        let count = bench_support::instructions_per_round(&[row.name], row.rounds)?;
        println!("{}\t{count}", row.name);
    }
    Ok(())
}
