//! A progress bar on a terminal, one line a second otherwise.

use std::{
    collections::HashSet,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    task::JoinHandle,
    time::{Instant, interval},
};
use tower_whatsapp::{
    event::EventKey,
    testing::{Delivery, DeliveryOutcome},
};

use crate::output;

/// Counts of responses so far, and what shows them on standard error.
#[derive(Clone)]
pub(super) struct Progress {
    counts: Arc<Mutex<Counts>>,
    display: Arc<Display>,
}

#[derive(Default)]
struct Counts {
    ok: usize,
    failed: usize,
    acknowledged: HashSet<EventKey>,
}

enum Display {
    Bar(ProgressBar),
    Lines(JoinHandle<()>),
}

impl Progress {
    pub(super) fn new(events: usize) -> Self {
        let counts = Arc::<Mutex<Counts>>::default();
        let display = if io::stderr().is_terminal() {
            let bar = ProgressBar::new(events as u64);
            let template = "{bar:30} {pos}/{len} events, {per_sec}, {msg} {eta} left";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            Display::Bar(bar)
        } else {
            Display::Lines(tokio::spawn(print_every_second(Arc::clone(&counts))))
        };
        Self {
            counts,
            display: Arc::new(display),
        }
    }

    pub(super) fn record(&self, delivery: &Delivery) {
        let mut counts = lock(&self.counts);
        if delivery.outcome() == DeliveryOutcome::Status(StatusCode::OK) {
            counts.ok += 1;
            counts.acknowledged.extend(delivery.events());
        } else {
            counts.failed += 1;
        }
        if let Display::Bar(bar) = &*self.display {
            bar.set_position(counts.acknowledged.len() as u64);
            bar.set_message(format!("{} failed,", counts.failed));
        }
    }

    /// Removes the bar, or stops the lines. Returns the counts as text.
    pub(super) fn finish(&self) -> String {
        match &*self.display {
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Lines(printer) => printer.abort(),
        }
        let counts = lock(&self.counts);
        format!(
            "{} deliveries answered with 200, {} failed; {} events acknowledged",
            counts.ok,
            counts.failed,
            counts.acknowledged.len()
        )
    }
}

async fn print_every_second(counts: Arc<Mutex<Counts>>) {
    let start = Instant::now();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.tick().await;
    let mut before = 0;
    loop {
        seconds.tick().await;
        let counts = lock(&counts);
        let events = counts.acknowledged.len();
        output::report(format_args!(
            "{:4} s: {} deliveries answered with 200, {} failed; {} events/s",
            start.elapsed().as_secs(),
            counts.ok,
            counts.failed,
            events - before,
        ));
        before = events;
    }
}

/// A panic while the counts are held cannot leave them inconsistent.
fn lock(counts: &Mutex<Counts>) -> std::sync::MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
