//! Load tests of one core: latency at a fixed rate, the effect of attackers, leaks, and the memory
//! of many large bodies.
//!
//! This program is the server on core 0 and the sender on core 1, as two processes, with axum or
//! hyper and real sockets. It has no test harness and does nothing without arguments:
//! `scripts/load` runs it, and needs Linux, two cores and minutes.

#![cfg(test)]

mod attack;
mod figures;
mod latency;
mod load;
mod memory;
mod sender;
mod server;
mod soak;
mod starvation;
mod strangers;
mod traffic;

use std::{env, process::ExitCode};

use peak_alloc::PeakAlloc;
use tokio::runtime;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // One thread per process, because each has one core.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Flags, because Cargo passes names without dashes as filters to all test programs.
    let good = match arguments.as_slice() {
        ["--serve", settings @ ..] => {
            runtime.block_on(server::run(settings));
            true
        }
        ["--load", seconds, rate] => runtime.block_on(load::run(number(seconds), number(rate))),
        ["--attack", seconds, rate] => runtime.block_on(attack::run(number(seconds), number(rate))),
        ["--soak", seconds, rate] => runtime.block_on(soak::run(number(seconds), number(rate))),
        ["--starve", seconds] => runtime.block_on(starvation::run(number(seconds), &[2, 1])),
        ["--starve", seconds, version] => {
            runtime.block_on(starvation::run(number(seconds), &[number(version)]))
        }
        ["--memory"] => runtime.block_on(memory::run()),
        _ => {
            println!("load: nothing was asked for; scripts/load asks");
            true
        }
    };
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}
