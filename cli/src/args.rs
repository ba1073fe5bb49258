//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;

use crate::{doctor::DoctorArgs, send::SendArgs, serve::ServeArgs};

/// Shows, sends, checks and reads WhatsApp Business webhooks
#[derive(Parser, Debug)]
#[command(name = "whatsapp-webhook", version, arg_required_else_help = true)]
#[command(after_help = "Example: whatsapp-webhook serve")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Doctor(DoctorArgs),
    Send(SendArgs),
    Inspect(InspectArgs),
    Sign(SignArgs),
    /// Prints a completion script for a shell
    #[command(after_help = "Example:
  whatsapp-webhook completions bash > ~/.local/share/bash-completion/completions/whatsapp-webhook")]
    Completions {
        shell: Shell,
    },
    /// Prints the man page, or writes those of all commands into a directory
    #[command(after_help = "Example:
  whatsapp-webhook man ~/.local/share/man/man1")]
    Man {
        directory: Option<PathBuf>,
    },
}

/// Parses webhook bodies, and prints one JSON object per event and line
///
/// Every line has the keys `file`, `field`, `payload`, `type`, `id`, `known` (whether this version
/// has types for all parts of the event) and `unread` (paths of the keys that they do not read). A
/// body that is not JSON gets one line with `file` and `error`. One without events is named on
/// standard error.
///
/// Exit code: 0 if all bodies were parsed, 1 if one cannot be read or parsed, 2 for wrong options.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Example: whatsapp-webhook inspect delivery.json | jq .unread")]
pub(crate) struct InspectArgs {
    /// Files with one body each [default: standard input, also as `-`]
    pub(crate) files: Vec<PathBuf>,
}

/// Prints the signature that Meta would send with a body
#[derive(ClapArgs, Debug)]
#[command(after_help = "Example:
  export WHATSAPP_APP_SECRET=secret
  curl http://127.0.0.1:3000/webhook --data-binary @delivery.json \\
      -H \"X-Hub-Signature-256: $(whatsapp-webhook sign delivery.json)\"")]
pub(crate) struct SignArgs {
    /// Files with one body each [default: standard input, also as `-`]
    pub(crate) files: Vec<PathBuf>,
    /// Environment variable with the app secret
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_APP_SECRET")]
    pub(crate) secret_env: String,
    /// Print a JSON object per file: `file`, `length` and `signature`
    #[arg(long)]
    pub(crate) json: bool,
}
