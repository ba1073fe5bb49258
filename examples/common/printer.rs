use std::{
    io::{self, BufWriter, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tower_whatsapp::Notification;

use super::line::Line;

/// Prints events, one line each.
#[derive(Clone)]
pub(crate) struct Printer {
    out: Arc<Mutex<dyn Write + Send>>,
}

impl Printer {
    pub(crate) fn new(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Arc::new(Mutex::new(out)),
        }
    }

    /// Prints the events of one delivery, not mixed with those of another. When it returns without an error, all of them are out.
    pub(crate) fn print(&self, notification: &Notification) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A delivery may have 1000 events: not one system call for each.
        let mut out = BufWriter::new(&mut *out);
        for event in notification.events() {
            writeln!(out, "{}", Line(event))?;
        }
        out.flush()
    }
}
