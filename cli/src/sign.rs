//! `sign`: prints the signature that Meta would send with a body.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;
use tower_whatsapp::testing;

use crate::{args::SignArgs, failure::Failure, inspect::for_each_body, secret};

pub(crate) fn run(args: &SignArgs) -> Result<ExitCode, Failure> {
    let secret = secret::app_secret(&args.secret_env)?;
    let mut out = io::stdout().lock();
    let signed = for_each_body(&args.files, |file, body| {
        let value = testing::sign(&body, &secret);
        // Hexadecimal digits are text.
        let signature = value.to_str().unwrap_or_default();
        if args.json {
            let line = json!({ "file": file, "length": body.len(), "signature": signature });
            writeln!(out, "{line}")
        } else {
            writeln!(out, "{signature}")
        }
    });
    match signed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::caused("cannot write to standard output", &error))
        }
        Err(_) => Ok(ExitCode::SUCCESS),
        Ok(code) => Ok(code),
    }
}
