//! Rows on their way into the database, and out of it.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tower_whatsapp::Event;

use crate::conversation::{Place, bounded};

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

impl Delivery {
    pub(crate) fn new<'a>(events: impl Iterator<Item = &'a Event>, app: &str) -> Self {
        let app_text = bounded(app.to_owned());
        let mut aliases: HashMap<String, String> = HashMap::new();
        let mut rows = Vec::new();
        for event in events {
            let place = Place::of(event, &app_text);
            let known = aliases.get(&place.conversation).cloned();
            let conversation = known.unwrap_or(place.conversation);
            for (new, old) in place.aliases {
                let old = aliases.get(&old).cloned().unwrap_or(old);
                if new != old {
                    aliases.entry(new).or_insert(old);
                }
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
                body: event.to_queue(),
            });
        }
        let mut aliases: Vec<_> = aliases.into_iter().collect();
        aliases.sort_unstable();
        Self { rows, aliases }
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

    fn row(timestamp: &str, app: &str) -> NewRow {
        let body = format!(
            r#"{{"entry":[{{"id":"9","changes":[{{"field":"messages","value":{{
            "metadata":{{"phone_number_id":"7"}},
            "messages":[{{"id":"w","from":"1","type":"text","timestamp":{timestamp}}}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let delivery = Delivery::new(notification.events().iter(), app);
        delivery.rows.into_iter().next().unwrap()
    }

    #[test]
    fn apps_that_share_an_inbox_have_keys_of_their_own() {
        let [one, again, other] = ["a", "a", "b"].map(|app| row("1", app).key);
        assert_eq!(one, again);
        assert_ne!(one, other);
    }

    #[test]
    fn a_time_that_no_database_can_show_is_the_latest() {
        assert_eq!(row("253402300799", "a").time, i64::try_from(LATEST).ok());
        // In milliseconds: Meta writes both units.
        assert_eq!(row("253402300800000", "a").time, i64::try_from(LATEST).ok());
    }
}
