//! `inspect`: parses webhook bodies and prints one JSON object per event, each on its own line.

use std::{
    fs,
    io::{self, BufWriter, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use serde_json::{Value, json};
use tower_whatsapp::{Event, Notification};

use crate::{args::InspectArgs, failure::Failure};

pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let inspected = for_each_body(&args.files, |name, body| inspect(name, body, &mut out));
    match inspected.and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => Ok(code),
        // The reader closed the pipe, as in `inspect … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::caused("cannot write to standard output", &error)),
    }
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
                let name = name.as_deref().unwrap_or("standard input");
                eprintln!("whatsapp-webhook: cannot read {name}: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn inspect(file: Option<&str>, body: Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    match Notification::parse(body) {
        Ok(notification) => notification
            .events()
            .iter()
            .try_for_each(|event| writeln!(out, "{}", describe(file, event))),
        Err(error) => writeln!(
            out,
            "{}",
            json!({ "file": file, "error": error.to_string() })
        ),
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
