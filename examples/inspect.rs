//! Shows what is in webhook bodies: one JSON object per event, each on a line of its own.
//!
//! ```text
//! cargo run --example inspect -- FILE…        # one body per file
//! cargo run --example inspect < FILE          # `file` is null then
//! ```
//!
//! | key | |
//! |---|---|
//! | `file` | where it is from |
//! | `field` | the field of the change |
//! | `payload` | `message`, `status`, `error` or `unknown` |
//! | `type` | the type of a message as it was sent, the state of a status, the list of an unknown event or why it is unknown |
//! | `id` | its id |
//! | `known` | whether this version knows it in all its parts |
//! | `unread` | paths of the keys that the typed view does not read |
//!
//! All of them are always there. A body that is no JSON has one line with `file` and `error`. A file that cannot be read is reported on
//! standard error, and in the exit code when the other files are done.

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
        // Whoever reads has seen enough: `inspect … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inspect: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Fails only when it cannot write.
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
