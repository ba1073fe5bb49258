use std::{
    io::{self, BufWriter, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tower_whatsapp::Notification;

use super::event_line::EventLine;

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

    /// Prints the events of one delivery without interleaving them with another's. All lines are
    /// flushed when it returns `Ok`.
    pub(crate) fn print(&self, notification: &Notification) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A delivery may have 1000 events. The buffer avoids a system call for each.
        let mut out = BufWriter::new(&mut *out);
        for event in notification.events() {
            writeln!(out, "{}", EventLine(event))?;
        }
        out.flush()
    }
}
