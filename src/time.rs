//! Deadlines.

use std::time::Duration;

use tokio::time::Instant;

/// Adds a duration, capped at one year so that the addition cannot overflow.
pub(crate) fn add_capped(time: Instant, duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(31_536_000);
    time + duration.min(YEAR)
}
