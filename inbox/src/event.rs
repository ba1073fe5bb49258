use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tower_whatsapp::{Event, Notification, event::EventKey};

use crate::{row::StoredRow, run::Run};

/// One event that a worker hands to a handler.
///
/// It is a [`StoredEvent`] that can be marked as done in a transaction. A clone is cheap.
#[derive(Clone)]
pub struct InboxEvent {
    pub(crate) stored: StoredEvent,
    pub(crate) run: Arc<Run>,
}

/// An event as it was stored. A clone is cheap.
#[derive(Clone)]
pub struct StoredEvent(Arc<Stored>);

struct Stored {
    event: Event,
    notification: Notification,
    key: [u8; 16],
    app: String,
    conversation: String,
    attempt: u32,
    age: Duration,
}

/// Pending events of one conversation, in order: see
/// [`Inbox::batch_worker`](crate::Inbox::batch_worker).
///
/// They are done together, so the batch begins the transaction and its events do not:
///
/// ```
/// # use tower_whatsapp_inbox::{InboxBatch, InboxError};
/// async fn on_batch(batch: InboxBatch) -> Result<(), InboxError> {
///     let mut transaction = batch.begin_sqlite().await?;
///     for event in &batch {
///         // Write what belongs to this event.
///     }
///     transaction.done().await
/// }
/// ```
///
/// ```compile_fail,E0599
/// # use tower_whatsapp_inbox::{InboxBatch, InboxError};
/// async fn on_batch(batch: InboxBatch) -> Result<(), InboxError> {
///     for event in &batch {
///         let mut transaction = event.begin_sqlite().await?;
///         transaction.done().await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct InboxBatch {
    pub(crate) events: Arc<[StoredEvent]>,
    pub(crate) run: Arc<Run>,
}

impl StoredEvent {
    /// `None` if the bytes are not an event that this version can read.
    pub(crate) fn new(row: StoredRow, claims: i32) -> Option<Self> {
        let notification = Notification::from_queue(row.body).ok()?;
        Some(Self(Arc::new(Stored {
            event: notification.events().first()?.clone(),
            notification,
            key: row.key,
            app: row.app,
            conversation: row.conversation,
            attempt: u32::try_from(row.attempts.saturating_add(claims)).unwrap_or(1),
            age: Duration::from_millis(u64::try_from(row.age).unwrap_or(0)),
        })))
    }

    /// Returns the event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.0.event
    }

    /// Returns the kind of the event: `message`, `status`, ….
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.0.event.kind()
    }

    /// Returns the event as a delivery, for code that handles deliveries.
    ///
    /// It has more than one event only if the delivery had more than 32,768 elements: those beyond
    /// are one event of kind `unknown`, and [`event`](Self::event) is the first of them.
    #[must_use]
    pub fn notification(&self) -> &Notification {
        &self.0.notification
    }

    /// Returns the key under which the event is stored: an idempotency key for calls to other
    /// services.
    ///
    /// Equal to `Event::key_in` the app, except for events that are not distinguishable, which have
    /// a random key.
    #[doc(alias = "idempotency")]
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey::from_bytes(self.0.key)
    }

    /// Returns the label of the app whose secret signed the delivery.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.0.app
    }

    /// Returns the conversation: app, phone number id, and group, user id or WhatsApp id.
    ///
    /// Stays the same when Meta announces that the user id or the number has changed, for 90 days.
    /// Contains personal data, so keep it out of logs.
    ///
    /// It is no address. If Meta sends no user ids, somebody else may get the old number within
    /// these days: both persons have one conversation then. Answer the sender of the message; a
    /// batch has events of one of them only.
    #[must_use]
    pub fn conversation(&self) -> &str {
        &self.0.conversation
    }

    /// Returns the number of this run, from 1. A run whose process ended counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Returns the time between the arrival of the event and the start of this run.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.age
    }
}

impl InboxBatch {
    /// Returns the events, in the order of their conversation. There is at least one.
    #[must_use]
    pub fn events(&self) -> &[StoredEvent] {
        &self.events
    }

    /// Returns a key of exactly these events in this order: an idempotency key for one call to
    /// another service about the whole batch.
    ///
    /// A batch that is handed out again may have more events, because some have arrived since, or
    /// only the first. Its key is another one then. The key of an event, for example of the first,
    /// would make the other service take the second call for the first, and what has arrived since
    /// would get no answer.
    ///
    /// It is the beginning of the SHA-256 of the 16 bytes of each [`StoredEvent::key`].
    #[doc(alias = "idempotency")]
    #[must_use]
    pub fn key(&self) -> EventKey {
        let mut hash = Sha256::new();
        for event in &*self.events {
            hash.update(event.0.key);
        }
        let mut key = [0; 16];
        for (byte, hashed) in key.iter_mut().zip(hash.finalize()) {
            *byte = hashed;
        }
        EventKey::from_bytes(key)
    }

    /// Returns the conversation: see [`StoredEvent::conversation`].
    #[must_use]
    pub fn conversation(&self) -> &str {
        self.events.first().map_or("", StoredEvent::conversation)
    }

    /// Returns the highest [`StoredEvent::attempt`] of its events.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let attempts = self.events.iter().map(StoredEvent::attempt);
        attempts.max().unwrap_or(1)
    }
}

impl Deref for InboxEvent {
    type Target = StoredEvent;

    fn deref(&self) -> &StoredEvent {
        &self.stored
    }
}

impl<'a> IntoIterator for &'a InboxBatch {
    type Item = &'a StoredEvent;
    type IntoIter = std::slice::Iter<'a, StoredEvent>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// Shows no personal data.
impl fmt::Debug for InboxEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxEvent")
            .field("stored", &self.stored)
            .finish_non_exhaustive()
    }
}

/// Shows no personal data.
impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
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
