//! `sign`: prints the signature that Meta would send with a body.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;
use tower_whatsapp::testing;

use crate::{args::SignArgs, failure::Failure, inspect::for_each_body, output, secret};

pub(crate) fn run(args: &SignArgs) -> Result<ExitCode, Failure> {
    let secret = secret::app_secret(&args.secret_env)?;
    let mut out = io::stdout().lock();
    let signed = for_each_body(&args.files, |file, body| {
        let value = testing::sign(&body, &secret);
        // Hexadecimal digits are text.
        let signature = value.to_str().unwrap_or_default();
        if args.json {
            let line = json!({ "file": file, "length": body.len(), "signature": signature });
            write!(out, "{}", output::json_line(&line)?)
        } else {
            writeln!(out, "{signature}")
        }
    });
    output::written(signed.and_then(|code| out.flush().map(|()| code)))
}
