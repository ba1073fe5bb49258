//! `inspect`: parses webhook bodies and prints one JSON object per event, each on its own line.

use std::{
    fs,
    io::{self, BufWriter, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use serde_json::{Value, json};
use tower_whatsapp::{Event, Notification};

use crate::{args::InspectArgs, failure::Failure, output};

const STANDARD_INPUT: &str = "standard input";

pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut all_parsed = true;
    let inspected = for_each_body(&args.files, |name, body| {
        all_parsed &= inspect(name, body, &mut out)?;
        Ok(())
    });
    let read = output::written(inspected.and_then(|code| out.flush().map(|()| code)))?;
    Ok(if all_parsed { read } else { ExitCode::FAILURE })
}

/// Reads each file, or standard input if there is none or the name is `-`.
///
/// A file that cannot be read is reported on standard error and makes the exit code 1. The others
/// are still read.
pub(crate) fn for_each_body(
    files: &[PathBuf],
    mut take: impl FnMut(Option<&str>, Vec<u8>) -> io::Result<()>,
) -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let standard_input = [PathBuf::from("-")];
    let files = if files.is_empty() {
        &standard_input
    } else {
        files
    };
    for file in files {
        let name = (file.as_os_str() != "-").then(|| file.to_string_lossy());
        let body = match name {
            Some(_) => fs::read(file),
            None => {
                let mut body = Vec::new();
                let read = io::stdin().lock().read_to_end(&mut body);
                read.map(|_| body)
            }
        };
        match body {
            Ok(body) => take(name.as_deref(), body)?,
            Err(error) => {
                let name = name.as_deref().unwrap_or(STANDARD_INPUT);
                output::report(format_args!(
                    "whatsapp-webhook: cannot read {name}: {error}"
                ));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Returns whether the body was parsed.
fn inspect(file: Option<&str>, body: Vec<u8>, out: &mut impl Write) -> io::Result<bool> {
    match Notification::parse(body) {
        Ok(notification) => {
            if notification.events().is_empty() {
                // Else nothing would tell such a body from a file that was never read.
                let name = file.unwrap_or(STANDARD_INPUT);
                output::report(format_args!("whatsapp-webhook: no event in {name}"));
            }
            for event in notification.events() {
                write!(out, "{}", output::json_line(&describe(file, event))?)?;
            }
            Ok(true)
        }
        Err(error) => {
            let line = json!({ "file": file, "error": error.to_string() });
            write!(out, "{}", output::json_line(&line)?)?;
            Ok(false)
        }
    }
}

fn describe(file: Option<&str>, event: &Event) -> Value {
    let payload = event.payload();
    json!({
        "file": file,
        "field": event.field(),
        "payload": payload.name(),
        "type": payload.subtype(),
        "id": event.id(),
        "known": event.is_known(),
        "unread": event.unread(),
    })
}
