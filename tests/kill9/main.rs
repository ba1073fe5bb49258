//! No event is lost when processes die, and none is handled twice by several processes: real
//! servers, a real Redis, real HTTP.
//!
//! This program is both the driver and the servers that it starts. It has no test harness and does
//! nothing without arguments, because it needs `redis-server` on the PATH, and minutes.
//!
//! ```text
//! scripts/kill9 50                 # SIGKILL at 14 points, 50 runs at each
//! cargo test --release --features redis --test kill9 -- --many-processes
//! cargo test --release --features redis --test kill9 -- --paused-process
//! cargo test --release --features redis --test kill9 -- --redis-outage 60
//! cargo test --release --features redis --test kill9 -- --redis-ratio
//! cargo test --release --features redis --test kill9 -- --redis-trouble
//! ```
#![cfg(test)]

mod client;
mod delivery;
mod journal;
mod kill_points;
mod many_processes;
mod paused_process;
mod point;
mod process;
mod redis_outage;
mod redis_ratio;
mod redis_trouble;
mod server;
mod store;
mod wire;

use std::{env, process::ExitCode};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // Flags, because Cargo passes names without dashes as filters to all test programs.
    let good = match arguments.as_slice() {
        ["--serve", settings @ ..] => return server::run(settings),
        ["--kill-points", runs] => {
            let runs = runs.parse().expect("the number of runs at each point");
            Runtime::new().unwrap().block_on(kill_points::run(runs))
        }
        ["--many-processes"] => Runtime::new().unwrap().block_on(many_processes::run()),
        ["--paused-process"] => Runtime::new().unwrap().block_on(paused_process::run()),
        ["--redis-outage", seconds] => {
            let seconds = seconds.parse().expect("how long Redis is away");
            Runtime::new().unwrap().block_on(redis_outage::run(seconds))
        }
        ["--redis-ratio"] => Runtime::new().unwrap().block_on(redis_ratio::run()),
        ["--redis-trouble"] => Runtime::new().unwrap().block_on(redis_trouble::run()),
        _ => {
            println!("kill9: nothing was asked for; scripts/kill9 asks");
            true
        }
    };
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
