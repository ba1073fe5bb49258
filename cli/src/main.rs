//! `whatsapp-webhook`: shows, sends, checks and reads WhatsApp Business webhooks.
//!
//! See `cli/README.md`, or run `whatsapp-webhook help`.

mod args;
mod client;
mod doctor;
mod failure;
mod generate;
mod inspect;
mod secret;
mod send;
mod serve;
mod sign;
mod tls;

use std::{future::Future, process::ExitCode};

use clap::Parser;

use crate::{
    args::{Args, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let Args { command } = Args::parse();
    let outcome = match command {
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Doctor(args) => block_on(doctor::run(args)),
        Command::Send(args) => block_on(send::run(args)),
        Command::Inspect(args) => inspect::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::man(directory.as_deref()),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("whatsapp-webhook: {failure}");
        failure.exit_code()
    })
}

/// Only commands that use the network start a runtime.
fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::caused("the runtime did not start", &error))?
        .block_on(work)
}
