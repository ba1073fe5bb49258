//! Parses webhook bodies from files, and prints one JSON object per event, each on its own line.
//!
//! ```text
//! cargo run --example inspect -- FILE…        # one body per file
//! cargo run --example inspect < FILE          # `file` is null in the output
//! ```
//!
//! | key | |
//! |---|---|
//! | `file` | path of the file, or null |
//! | `field` | the field of the change |
//! | `payload` | `message`, `status`, `error` or `unknown` |
//! | `type` | type of a message, state of a status; for an unknown event its list, or the reason |
//! | `id` | id of the message or status |
//! | `known` | whether this version has types for all parts of the event |
//! | `unread` | paths of the keys that the typed view does not read |
//!
//! Every line has all keys. A body that is not JSON gets one line with `file` and
//! `error`. A file that cannot be read is reported on standard error, and the exit
//! code is 1 after the other files are done.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufWriter, Read, Write},
    process::ExitCode,
};

use serde_json::{Value, json};
use tower_whatsapp::{Event, Notification};

fn main() -> ExitCode {
    let files: Vec<_> = env::args_os().skip(1).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    match inspect_all(files, &mut out).and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => code,
        // The reader closed the pipe, as in `inspect … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inspect: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Fails only if the output cannot be written.
fn inspect_all(files: Vec<OsString>, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut take = |name: Option<&str>, body: io::Result<Vec<u8>>| match body {
        Ok(body) => inspect(name, body, out),
        Err(error) => {
            eprintln!("inspect: {}: {error}", name.unwrap_or("standard input"));
            code = ExitCode::FAILURE;
            Ok(())
        }
    };
    if files.is_empty() {
        let mut body = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut body);
        take(None, read.map(|_| body))?;
    }
    for file in files {
        take(Some(&file.to_string_lossy()), fs::read(&file))?;
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
