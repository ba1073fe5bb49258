use std::{fmt, sync::Arc, time::Duration};

use tower_whatsapp::{Event, Notification, event::EventKey};

use crate::{row::StoredRow, run::Run};

/// One event that a worker hands to a handler.
///
/// A clone is cheap.
#[derive(Clone)]
pub struct InboxEvent {
    pub(crate) stored: Arc<Stored>,
    pub(crate) run: Arc<Run>,
}

/// An event as it was stored.
pub(crate) struct Stored {
    event: Event,
    notification: Notification,
    key: [u8; 16],
    app: String,
    conversation: String,
    attempt: u32,
    age: Duration,
}

/// All pending events of one conversation, in order: see
/// [`Inbox::batch_worker`](crate::Inbox::batch_worker).
#[derive(Clone)]
pub struct InboxBatch {
    pub(crate) events: Arc<[InboxEvent]>,
    pub(crate) run: Arc<Run>,
}

impl Stored {
    /// `None` if the bytes are not an event that this version can read.
    pub(crate) fn new(row: StoredRow, claims: i32) -> Option<Self> {
        let notification = Notification::from_queue(row.body).ok()?;
        Some(Self {
            event: notification.events().first()?.clone(),
            notification,
            key: row.key,
            app: row.app,
            conversation: row.conversation,
            attempt: u32::try_from(row.attempts.saturating_add(claims)).unwrap_or(1),
            age: Duration::from_millis(u64::try_from(row.age).unwrap_or(0)),
        })
    }
}

impl InboxEvent {
    /// Returns the event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.stored.event
    }

    /// Returns the kind of the event: `message`, `status`, ….
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.stored.event.kind()
    }

    /// Returns the event as a delivery, for code that handles deliveries.
    ///
    /// It has more than one event only if the delivery had more than 32,768 elements: those beyond
    /// are one event of kind `unknown`, and [`event`](Self::event) is the first of them.
    #[must_use]
    pub fn notification(&self) -> &Notification {
        &self.stored.notification
    }

    /// Returns the key under which the event is stored: an idempotency key for calls to other
    /// services.
    ///
    /// Equal to `Event::key_in` the app, except for events that are not distinguishable, which have
    /// a random key.
    #[doc(alias = "idempotency")]
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey::from_bytes(self.stored.key)
    }

    /// Returns the label of the app whose secret signed the delivery.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.stored.app
    }

    /// Returns the conversation: app, phone number id, and group, user id or WhatsApp id.
    ///
    /// Stays the same when Meta announces that the user id or the number has changed. Contains
    /// personal data, so keep it out of logs.
    #[must_use]
    pub fn conversation(&self) -> &str {
        &self.stored.conversation
    }

    /// Returns the number of this run, from 1. A run whose process ended counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.stored.attempt
    }

    /// Returns the time between the arrival of the event and the start of this run.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.stored.age
    }
}

impl InboxBatch {
    /// Returns the events, in the order of their conversation. There is at least one.
    #[must_use]
    pub fn events(&self) -> &[InboxEvent] {
        &self.events
    }

    /// Returns the conversation: see [`InboxEvent::conversation`].
    #[must_use]
    pub fn conversation(&self) -> &str {
        self.events.first().map_or("", InboxEvent::conversation)
    }
}

impl<'a> IntoIterator for &'a InboxBatch {
    type Item = &'a InboxEvent;
    type IntoIter = std::slice::Iter<'a, InboxEvent>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// Shows no personal data.
impl fmt::Debug for InboxEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxEvent")
            .field("key", &self.key())
            .field("kind", &self.kind())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// Shows no personal data.
impl fmt::Debug for InboxBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxBatch")
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}
