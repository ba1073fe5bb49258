//! Collects the log lines of a test.

use std::{
    io,
    sync::{Arc, Mutex, Once},
};

use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};

/// The lines that the current thread has logged since it was made.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Starts to collect the lines of `level` and more important ones, until the guard is dropped.
    pub(crate) fn collect(level: LevelFilter) -> (Self, DefaultGuard) {
        // Otherwise a callsite that another test reaches without a subscriber may be switched off.
        static LISTENER: Once = Once::new();
        LISTENER.call_once(|| {
            let sink = tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_writer(io::sink);
            sink.init();
        });
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The only line that contains `part`.
    #[track_caller]
    pub(crate) fn only(&self, part: &str) -> String {
        let text = self.text();
        let found: Vec<_> = text.lines().filter(|line| line.contains(part)).collect();
        match found[..] {
            [line] => {
                println!("{line}");
                line.to_owned()
            }
            _ => panic!("{} lines with {part:?} in:\n{text}", found.len()),
        }
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
