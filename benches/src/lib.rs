//! Helpers of the benchmarks: deliveries, and instruction counts from valgrind's callgrind.

pub mod bodies;

use std::{env, error::Error, process::Command};

/// Counts the instructions of one round. Runs this program twice as `work <arguments> <rounds>`,
/// with few and with many rounds, so that the start-up cancels out.
pub fn instructions_per_round(
    arguments: &[&str],
    [few, many]: [u32; 2],
) -> Result<u64, Box<dyn Error>> {
    let [less, more] = [few, many].map(|rounds| instructions(arguments, rounds));
    Ok((more? - less?) / u64::from(many - few))
}

fn instructions(arguments: &[&str], rounds: u32) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .arg("work")
        .args(arguments)
        .arg(rounds.to_string())
        .output()
        .map_err(|error| format!("cannot run valgrind, which counts instructions: {error}"))?;
    let report = String::from_utf8(output.stderr)?;
    let line = report.lines().find(|line| line.contains("Collected"));
    let count = line.and_then(|line| line.split_whitespace().last());
    Ok(count
        .ok_or("valgrind reported no instruction count")?
        .parse()?)
}
