use std::time::Duration;

use crate::backend::StatusRow;

/// What waits in an inbox, in all processes: see [`Inbox::status`](crate::Inbox::status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Pending messages and other events, without those of [`bulk`](Self::bulk).
    pub messages: u64,
    /// Pending statuses, histories and tracking events.
    pub bulk: u64,
    /// Lanes that a worker has at the moment.
    pub running: u64,
    /// Lanes that wait for a retry or for [`Verdict::NotBefore`](crate::Verdict::NotBefore), and
    /// those that a shutdown has handed over until a worker takes them.
    pub retrying: u64,
    /// Dead letters.
    pub dead: u64,
    /// Time since the arrival of the oldest pending event. `None` if nothing is pending. A replayed
    /// event keeps its arrival.
    pub oldest: Option<Duration>,
}

impl Status {
    pub(crate) fn new(row: &StatusRow) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            messages: count(row.messages),
            bulk: count(row.bulk),
            running: count(row.running),
            retrying: count(row.retrying),
            dead: count(row.dead),
            oldest: row.oldest.map(|age| Duration::from_millis(count(age))),
        }
    }
}
