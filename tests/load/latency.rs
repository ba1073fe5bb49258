use std::{fmt, time::Duration};

/// Times from the due time of a delivery to its response of 200: a late sender counts
/// as a slow server.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// A quantile in milliseconds, given in thousandths. The times must be sorted.
    pub(crate) fn permille(&self, part: usize) -> f64 {
        let rank = (self.0.len() * part).div_ceil(1000).saturating_sub(1);
        let time = self.0.get(rank).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, max] = [500, 990, 999, 1000].map(|part| self.permille(part));
        write!(
            f,
            "p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p999:.1} ms, max {max:.1} ms"
        )
    }
}
