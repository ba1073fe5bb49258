//! Standard output and standard error: no panic if they are closed or full.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write},
};

use serde::Serialize;

use crate::failure::Failure;

/// Prints text as it is.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(write!(out, "{text}").and_then(|()| out.flush()))
}

/// The outcome of writing to standard output. A pipe that its reader closed, as in `… | head`, is
/// a success.
pub(crate) fn written<T: Default>(result: io::Result<T>) -> Result<T, Failure> {
    match result {
        Ok(value) => Ok(value),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(T::default()),
        Err(error) => Err(Failure::caused("cannot write to standard output", &error)),
    }
}

/// Prints a line on standard error.
pub(crate) fn report(line: impl Display) {
    // There is no other place to report a failure to.
    let _ = writeln!(io::stderr(), "{line}");
}

/// JSON and a line feed. A terminal that shows it sees no control character of a request.
pub(crate) fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    let mut line = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        // They are only in strings. All are below U+10000, so one escape is enough.
        match is_control(c) {
            true => write!(line, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            false => line.push(c),
        }
    }
    line.push('\n');
    Ok(line)
}

/// Whether it may control a terminal, or change the order of the text around it.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
