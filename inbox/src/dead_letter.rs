use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tower_whatsapp::{Event, Notification, event::EventKey};

use crate::backend::DeadRow;

/// An event that was given up: see [`Inbox::dead_letters`](crate::Inbox::dead_letters).
#[derive(Clone)]
pub struct DeadLetter {
    row: std::sync::Arc<DeadRow>,
}

impl DeadLetter {
    pub(crate) fn new(row: DeadRow) -> Self {
        Self { row: row.into() }
    }

    /// Returns the key for [`replay`](crate::Inbox::replay) and [`discard`](crate::Inbox::discard).
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey::from_bytes(self.row.key)
    }

    /// Returns the position in the list, for the next page.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.row.seq.unsigned_abs()
    }

    /// Returns the label of the app.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.row.app
    }

    /// Returns the kind of the event, as `Event::kind` named it when it was stored.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.row.kind
    }

    /// Returns the conversation. Contains a user id or a phone number.
    #[must_use]
    pub fn conversation(&self) -> &str {
        &self.row.conversation
    }

    /// Returns the number of failed runs, with those whose process ended.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.row.attempts).unwrap_or(0)
    }

    /// Returns what the handler said of the last failure, at most 500 characters, or a text of this
    /// crate if it has said nothing. The guide (`docs/inbox.md` in the repository) has those.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.row.error.as_deref()
    }

    /// Returns when the event was given up, by the clock of the database.
    #[must_use]
    pub fn died_at(&self) -> Option<SystemTime> {
        let millis = u64::try_from(self.row.finished?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }

    /// Reads the event. `None` if the stored bytes are not an event that this version can read.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        let body = self.row.body.clone()?;
        let notification = Notification::from_queue(body).ok()?;
        notification.events().first().cloned()
    }
}

/// Shows no personal data.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("key", &self.key())
            .field("kind", &self.kind())
            .field("attempts", &self.attempts())
            .finish_non_exhaustive()
    }
}
