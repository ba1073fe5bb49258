//! Runs the program as a user does.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod doctor;
mod doctor_graph;
mod files;
mod help;
mod output;
mod rate;
mod secrets;
mod send;
mod send_traffic;
mod serve;
mod serve_limits;
mod serve_page;
mod serve_run;
mod tls;

use std::process::Command;

use test_support::process::command;
pub use test_support::webhook::{ENV, SECRET};

/// The program, without settings in its environment.
fn program() -> Command {
    command("whatsapp-webhook")
}
