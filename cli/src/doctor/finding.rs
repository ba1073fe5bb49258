//! What a check found.

use std::mem;

use serde::Serialize;

use crate::{failure::Failure, output};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Ok,
    /// Not checked, or worth knowing.
    Note,
    Warning,
    /// Meta would not register the URL, or events are lost, or strangers can send some.
    Error,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Stable name, for scripts.
    pub(super) name: &'static str,
    /// What was seen.
    pub(super) seen: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'static str,
    /// What to do.
    #[serde(skip_serializing_if = "str::is_empty")]
    todo: &'static str,
}

/// Prints findings as they come.
pub(super) struct Findings {
    json: bool,
    printed: Result<(), Failure>,
    pub(super) warnings: usize,
    pub(super) errors: usize,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            printed: Ok(()),
            warnings: 0,
            errors: 0,
        }
    }

    pub(super) fn ok(&mut self, name: &'static str, seen: impl Into<String>) {
        self.add(Severity::Ok, name, seen, "", "");
    }

    pub(super) fn note(&mut self, name: &'static str, seen: impl Into<String>, todo: &'static str) {
        self.add(Severity::Note, name, seen, "", todo);
    }

    pub(super) fn warning(
        &mut self,
        name: &'static str,
        seen: impl Into<String>,
        why: &'static str,
        todo: &'static str,
    ) {
        self.add(Severity::Warning, name, seen, why, todo);
    }

    pub(super) fn error(
        &mut self,
        name: &'static str,
        seen: impl Into<String>,
        why: &'static str,
        todo: &'static str,
    ) {
        self.add(Severity::Error, name, seen, why, todo);
    }

    fn add(
        &mut self,
        severity: Severity,
        name: &'static str,
        seen: impl Into<String>,
        why: &'static str,
        todo: &'static str,
    ) {
        self.warnings += usize::from(severity == Severity::Warning);
        self.errors += usize::from(severity == Severity::Error);
        let finding = Finding {
            severity,
            name,
            seen: seen.into(),
            why,
            todo,
        };
        let text = match self.json {
            true => output::json_line(&finding).unwrap_or_default(),
            false => finding.text(),
        };
        if self.printed.is_ok() {
            self.printed = output::print(text);
        }
    }

    /// Prints the last line. Returns the first failure to print.
    pub(super) fn sum_up(&mut self) -> Result<(), Failure> {
        mem::replace(&mut self.printed, Ok(()))?;
        if self.json {
            return Ok(());
        }
        output::print(match (self.errors, self.warnings) {
            (0, 0) => "\nNothing to mend.\n".to_owned(),
            (errors, warnings) => format!("\n{errors} errors, {warnings} warnings.\n"),
        })
    }
}

impl Finding {
    fn text(&self) -> String {
        let severity = match self.severity {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "ERROR",
        };
        // What a server sends must not control the terminal.
        let seen: String = self
            .seen
            .chars()
            .map(|c| if output::is_control(c) { '?' } else { c })
            .collect();
        let mut text = format!("{severity:8} {:22} {seen}\n", self.name);
        for (label, words) in [("why", self.why), ("do", self.todo)] {
            if !words.is_empty() {
                text += &format!("         {label:22} {words}\n");
            }
        }
        text
    }
}
