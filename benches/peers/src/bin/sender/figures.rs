//! Results of one server and one payload.

use crate::{peers::Peer, phase::Tally};

/// Results of one round.
pub struct Run {
    /// CPU time per accepted request, microseconds.
    pub cpu_us: f64,
    pub per_second: f64,
    pub p99_ms: f64,
    pub peak_mib: f64,
    /// Percentage of its runnable time in which it waited for the core.
    pub waited: f64,
}

#[derive(Default)]
pub struct Cell {
    pub runs: Vec<Run>,
    pub tally: Tally,
    /// Numbers of events: sent, received by handlers, and expected to be received.
    pub sent: u64,
    pub delivered: u64,
    expected: u64,
}

impl Cell {
    pub fn add(&mut self, peer: &Peer, events: u64, tally: &Tally, delivered: u64) {
        self.tally.merge(tally);
        self.sent += tally.sent() * events;
        self.delivered += delivered;
        self.expected += peer.delivers.of(tally.sent(), events);
    }

    /// The rejection status, if nothing was accepted.
    pub fn rejection(&self) -> Option<u16> {
        match self.tally.accepted() {
            0 => self.tally.refusal(),
            _ => None,
        }
    }

    /// Describes a deviation from the server's known behaviour.
    pub fn complaint(&self) -> Option<String> {
        let rejected = self.tally.sent() - self.tally.accepted();
        (rejected > 0 || self.delivered != self.expected).then(|| {
            format!(
                "{} of {} events were delivered, expected {}; {rejected} of {} requests were rejected ({})",
                self.delivered,
                self.sent,
                self.expected,
                self.tally.sent(),
                self.tally.refusal().unwrap_or_default()
            )
        })
    }

    pub fn spread(&self, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().map(figure).collect())
    }

    /// CPU time relative to another server's in the same round.
    pub fn ratio(&self, other: &Self) -> Option<Spread> {
        let pairs = self.runs.iter().zip(&other.runs);
        Spread::of(
            pairs
                .map(|(run, other)| run.cpu_us / other.cpu_us)
                .collect(),
        )
    }
}

#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}
