//! What the rounds have shown of one peer and one payload.

use crate::{peers::Peer, phase::Tally};

/// One round.
pub struct Run {
    /// Per accepted request.
    pub cpu_us: f64,
    pub per_second: f64,
    pub p99_ms: f64,
    pub peak_mib: f64,
    /// Of the time that it had something to do, how much it waited for its core, in percent.
    pub waited: f64,
}

#[derive(Default)]
pub struct Cell {
    pub runs: Vec<Run>,
    pub tally: Tally,
    /// Events: what was sent, what handlers were given, and what they should have been.
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

    /// The answer to everything, where nothing was accepted.
    pub fn refused(&self) -> Option<u16> {
        match self.tally.accepted() {
            0 => self.tally.refusal(),
            _ => None,
        }
    }

    /// What is not as it is known of the peer.
    pub fn complaint(&self) -> Option<String> {
        let refused = self.tally.sent() - self.tally.accepted();
        (refused > 0 || self.delivered != self.expected).then(|| {
            format!(
                "{} events of {} were delivered, and not {}; {refused} requests of {} were not accepted ({})",
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

    /// CPU beside that of another peer in the same round.
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
