//! Processes that are killed with SIGKILL, on both databases.
//!
//! `cargo test -p tower-whatsapp-inbox --features testing --test kill9 -- --points RUNS` kills
//! at every labelled point RUNS times, `-- --processes EVENTS` runs four processes on one
//! PostgreSQL, kills two and pauses one. Without arguments it does a little of both.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

mod child;
mod points;
mod process;
mod processes;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let number = |text: &str| text.parse().unwrap();
    match *arguments.as_slice() {
        ["child", ..] => runtime.block_on(child::run(&arguments[1..])),
        ["--points", runs] => runtime.block_on(points::check(number(runs))),
        ["--processes", events] => runtime.block_on(processes::check(number(events))),
        // What the harness of cargo asks.
        ["--list", ..] => {}
        _ => {
            runtime.block_on(points::check(1));
            runtime.block_on(processes::check(1_000));
        }
    }
}
