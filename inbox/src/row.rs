//! Rows on their way into the database, and out of it.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tokio::task::yield_now;
use tower_whatsapp::{Event, Notification};

use crate::{
    conversation::{Place, bounded},
    error::{InboxError, InboxErrorKind},
};

/// Most bytes of the rows of a delivery, or 16 times its body if that is more. The most events that
/// fit 4 MB take about 25 MB. More comes only of events that share megabytes: each row has a copy.
const MAX_BYTES: usize = 64 * 1024 * 1024;
const MAX_TIMES_BODY: usize = 16;

/// The end of the year 9999: what both databases can show as a date.
const LATEST: u64 = 253_402_300_799_000;

/// An event to be stored.
pub(crate) struct NewRow {
    pub(crate) key: [u8; 16],
    pub(crate) app: String,
    pub(crate) kind: &'static str,
    pub(crate) number: Option<String>,
    pub(crate) conversation: String,
    pub(crate) prefix: &'static str,
    pub(crate) class: i16,
    /// Unix milliseconds.
    pub(crate) time: Option<i64>,
    pub(crate) body: Bytes,
}

/// The rows of one delivery, and the conversations that got a new name in it.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) rows: Vec<NewRow>,
    /// New and old name.
    pub(crate) aliases: Vec<(String, String)>,
}

/// Work since the task has yielded: see [`Step::end`].
#[derive(Default)]
struct Step {
    events: usize,
    bytes: usize,
}

impl Step {
    /// 0.3 ms of work. With the 128 events of tokio's budget, it would be four times that.
    const EVENTS: usize = 32;
    /// An event may be as long as a delivery.
    const BYTES: usize = 64 * 1024;

    /// Notes an event. Yields if other tasks should have their turn.
    async fn end(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
        if self.events >= Self::EVENTS || self.bytes >= Self::BYTES {
            *self = Self::default();
            yield_now().await;
        }
    }
}

impl Delivery {
    /// Reads the events of the kinds that are stored, and the changes of names of all kinds. Fails
    /// if the rows would take too much memory.
    pub(crate) async fn new(
        notification: &Notification,
        app: &str,
        stores: impl Fn(&str) -> bool,
    ) -> Result<Self, InboxError> {
        let max_bytes = MAX_BYTES.max(notification.body().len().saturating_mul(MAX_TIMES_BODY));
        let mut bytes = 0;
        let app_text = bounded(app.to_owned());
        // Sorted, so that no step at the end takes long.
        let mut aliases: BTreeMap<String, String> = BTreeMap::new();
        let mut rows = Vec::new();
        let mut step = Step::default();
        for event in notification.events() {
            // Also of kinds that are not stored: they may change a name.
            let place = Place::of(event, &app_text);
            let known = aliases.get(&place.conversation).cloned();
            let conversation = known.unwrap_or(place.conversation);
            for (new, old) in place.aliases {
                let old = aliases.get(&old).cloned().unwrap_or(old);
                if new != old {
                    aliases.entry(new).or_insert(old);
                }
            }
            if !stores(event.kind()) {
                step.end(event.raw_bytes().len()).await;
                continue;
            }
            let body = event.to_queue();
            let length = body.len();
            bytes += length;
            if bytes > max_bytes {
                return Err(InboxError::new(InboxErrorKind::TooLarge));
            }
            rows.push(NewRow {
                key: key(event, app),
                app: app_text.clone(),
                kind: event.kind(),
                number: event.phone_number_id().map(|id| bounded(id.to_owned())),
                conversation,
                prefix: place.prefix,
                class: place.class,
                time: event.timestamp().map(|time| {
                    let time = time.millis().min(LATEST);
                    i64::try_from(time).unwrap_or(i64::MAX)
                }),
                body,
            });
            step.end(length).await;
        }
        let aliases = aliases.into_iter().collect();
        Ok(Self { rows, aliases })
    }
}

/// Events with the same content, without an id and without a time, are not duplicates of each
/// other. Each is stored.
fn key(event: &Event, app: &str) -> [u8; 16] {
    if event.is_distinguishable() {
        event.key_in(app).to_bytes()
    } else {
        fastrand::u128(..).to_be_bytes()
    }
}

/// The right to handle the events of one lane, until it ends or is renewed.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) lane: String,
    pub(crate) token: Vec<u8>,
    /// Claims since a run last ended, with this one.
    pub(crate) claims: i32,
}

/// A pending event.
pub(crate) struct StoredRow {
    pub(crate) key: [u8; 16],
    pub(crate) app: String,
    pub(crate) conversation: String,
    pub(crate) attempts: i32,
    /// Milliseconds between arrival and now.
    pub(crate) age: i64,
    pub(crate) body: Vec<u8>,
}

impl StoredRow {
    /// An event that the database cannot read: without a body, like one of an unknown form.
    pub(crate) fn unreadable(key: [u8; 16], attempts: i32) -> Self {
        Self {
            key,
            attempts,
            app: String::new(),
            conversation: String::new(),
            age: 0,
            body: Vec::new(),
        }
    }
}

/// What becomes of events that were not handled.
pub(crate) struct Failure<'a> {
    /// Before this time has passed, the lane is not handed out.
    pub(crate) delay: Duration,
    /// Attempts after which an event is a dead letter. `None`: this run does not count.
    pub(crate) max_attempts: Option<i32>,
    /// Dead letter at once.
    pub(crate) never: bool,
    pub(crate) error: Option<&'a str>,
}

impl Failure<'_> {
    /// Attempts to add, of the claims since a run last ended: with this one, if it counts. The
    /// others ended with their process, and a dead letter tells of them.
    pub(crate) fn attempts(&self, claims: i32) -> i32 {
        match self.max_attempts {
            Some(_) => claims,
            None if self.never => claims.saturating_sub(1),
            None => 0,
        }
    }

    /// A run that does not count.
    pub(crate) fn unattempted(delay: Duration) -> Self {
        Self {
            delay,
            max_attempts: None,
            never: false,
            error: None,
        }
    }
}

/// Whole milliseconds, at most a century, which both databases can add to a time.
pub(crate) fn millis(time: Duration) -> i64 {
    const LONGEST: u128 = 100 * 366 * 24 * 60 * 60 * 1000;
    i64::try_from(time.as_millis().min(LONGEST)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tower_whatsapp::Notification;

    use super::*;

    async fn row(timestamp: &str, app: &str) -> NewRow {
        let body = format!(
            r#"{{"entry":[{{"id":"9","changes":[{{"field":"messages","value":{{
            "metadata":{{"phone_number_id":"7"}},
            "messages":[{{"id":"w","from":"1","type":"text","timestamp":{timestamp}}}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let delivery = Delivery::new(&notification, app, |_| true).await.unwrap();
        delivery.rows.into_iter().next().unwrap()
    }

    #[tokio::test]
    async fn apps_that_share_an_inbox_have_keys_of_their_own() {
        let one = row("1", "a").await.key;
        assert_eq!(one, row("1", "a").await.key);
        assert_ne!(one, row("1", "b").await.key);
    }

    #[tokio::test]
    async fn a_time_that_no_database_can_show_is_the_latest() {
        assert_eq!(
            row("253402300799", "a").await.time,
            i64::try_from(LATEST).ok()
        );
        // In milliseconds: Meta writes both units.
        assert_eq!(
            row("253402300800000", "a").await.time,
            i64::try_from(LATEST).ok()
        );
    }
}
