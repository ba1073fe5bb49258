//! `whatsapp-webhook`: shows, sends, checks and reads WhatsApp Business webhooks.
//!
//! See `cli/README.md`, or run `whatsapp-webhook help`.

// They panic if the output is closed or full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod client;
mod doctor;
mod failure;
mod generate;
mod inspect;
mod output;
mod secret;
mod send;
mod serve;
mod sign;
mod tls;

use std::{future::Future, process::ExitCode};

use clap::{Parser, error::ErrorKind};

use crate::{
    args::{Args, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let Args { command } = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return explain(&error),
    };
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
        output::report(format_args!("whatsapp-webhook: {failure}"));
        failure.exit_code()
    })
}

/// Prints help as clap does, and an error on one line.
fn explain(error: &clap::Error) -> ExitCode {
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help || !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    // The first paragraph is the error, the others are hints and the usage.
    let lines = text.lines().take_while(|line| !line.is_empty());
    let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let line = line.trim_start_matches("error: ");
    output::report(format_args!("whatsapp-webhook: {line}; see --help"));
    Failure::usage("").exit_code()
}

/// Only commands that use the network start a runtime.
fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::caused("the runtime did not start", &error))?
        .block_on(work)
}
