//! Which events of a delivery are to be claimed, under which keys, and for how long they will be remembered.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::consume_budget;

use super::{builder::KeyOf, store::Claim};
use crate::event::{Event, EventKey, Notification};

/// Clocks differ: that of Meta, that of the store and ours. The hour that the default window has beyond Meta's seven days is longer.
const MARGIN: Duration = Duration::from_secs(10 * 60);

/// Fields whose events are old by nature.
const OLD_BY_NATURE: &[&str] = &["history", "smb_app_state_sync"];

/// What makes events the same, and for how long.
pub(super) struct Policy {
    pub(super) key: Arc<KeyOf>,
    pub(super) window: Duration,
    /// `None`: statuses are not remembered.
    pub(super) status_window: Option<Duration>,
    pub(super) refuses_stale: bool,
}

/// The keys of a delivery.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Sorted by key, so that two overlapping batches meet at their first common key; none twice.
    keyed: Vec<Keyed>,
    /// Of every event, in the order of the delivery.
    places: Vec<Place>,
    pub(super) has_stale: bool,
}

#[derive(Debug, Clone, Copy)]
struct Keyed {
    key: EventKey,
    window: Duration,
    claim: Option<Claim>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    key: Option<EventKey>,
    stale: bool,
}

impl Plan {
    /// Other tasks get their turn in between: the keys of a large batch take milliseconds.
    pub(super) async fn new(notification: &Notification, app: &str, policy: &Policy) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "Meta says by the clock when something happened: nothing else tells how old it is"
        )]
        let now = SystemTime::now();
        let events = notification.events();
        let mut plan = Self {
            keyed: Vec::with_capacity(events.len()),
            places: Vec::with_capacity(events.len()),
            has_stale: false,
        };
        for event in events {
            consume_budget().await;
            let remembered = policy.remembers(event, app);
            let stale = remembered.is_some_and(|(_, window)| is_stale(event, window, now));
            plan.has_stale |= stale;
            plan.keyed.extend(remembered.map(|(key, window)| Keyed {
                key,
                window,
                claim: None,
            }));
            plan.places.push(Place {
                key: remembered.map(|(key, _)| key),
                stale,
            });
        }
        plan.keyed.sort_unstable_by_key(|keyed| keyed.key);
        plan.keyed.dedup_by_key(|keyed| keyed.key);
        plan
    }

    /// The keys whose fate is not known: not asked for yet, or pending when they were.
    pub(super) fn open(&self) -> Vec<EventKey> {
        self.keys(|claim| matches!(claim, None | Some(Claim::Pending)))
    }

    pub(super) fn claimed(&self) -> Vec<EventKey> {
        self.keys(|claim| claim == Some(Claim::Claimed))
    }

    fn keys(&self, wanted: impl Fn(Option<Claim>) -> bool) -> Vec<EventKey> {
        let keyed = self.keyed.iter().filter(|keyed| wanted(keyed.claim));
        keyed.map(|keyed| keyed.key).collect()
    }

    /// Takes what the store said of the open keys.
    pub(super) fn learn(&mut self, claims: Vec<Claim>) {
        let open = self
            .keyed
            .iter_mut()
            .filter(|keyed| matches!(keyed.claim, None | Some(Claim::Pending)));
        for (keyed, claim) in open.zip(claims) {
            keyed.claim = Some(claim);
        }
    }

    /// Takes the keys for claimed of which the store has said nothing. Tells whether there are any.
    pub(super) fn presume(&mut self) -> bool {
        let mut any = false;
        for keyed in &mut self.keyed {
            any |= keyed.claim.is_none();
            keyed.claim.get_or_insert(Claim::Claimed);
        }
        any
    }

    pub(super) fn has(&self, claim: Claim) -> bool {
        self.keyed.iter().any(|keyed| keyed.claim == Some(claim))
    }

    /// The delivery with the events that are to be handled now: those that were claimed, and those without a key.
    pub(super) fn fresh(&self, notification: &Notification, unprotected: bool) -> Notification {
        let mut fresh = Vec::with_capacity(self.places.len());
        let mut suppressed = Vec::new();
        let mut taken = HashSet::new();
        for (event, place) in notification.events().iter().zip(&self.places) {
            let is_fresh = place
                .key
                .is_none_or(|key| self.claim_of(key) == Some(Claim::Claimed) && taken.insert(key));
            if !is_fresh {
                suppressed.push(event.clone());
            } else if place.stale {
                fresh.push(event.clone().into_stale());
            } else {
                fresh.push(event.clone());
            }
        }
        notification.with(fresh, suppressed, unprotected)
    }

    fn claim_of(&self, key: EventKey) -> Option<Claim> {
        let found = self.keyed.binary_search_by_key(&key, |keyed| keyed.key);
        self.keyed.get(found.ok()?)?.claim
    }

    /// Whether there are events that are handled whenever they come.
    pub(super) fn has_unkeyed(&self) -> bool {
        self.places.iter().any(|place| place.key.is_none())
    }

    /// Whether this is the key of an event of the delivery: of one that has a key here, or the usual one of one that has not.
    pub(super) fn knows(&self, key: EventKey, notification: &Notification, app: &str) -> bool {
        let is_unkeyed =
            |(event, place): (&Event, &Place)| place.key.is_none() && event.key_in(app) == key;
        let found = self.keyed.binary_search_by_key(&key, |keyed| keyed.key);
        found.is_ok()
            || notification
                .events()
                .iter()
                .zip(&self.places)
                .any(is_unkeyed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What was claimed and is done now, with the window of each, and what was claimed and is not.
    pub(super) fn settle(
        &self,
        failed: impl Fn(EventKey) -> bool,
    ) -> (Vec<(EventKey, Duration)>, Vec<EventKey>) {
        let mut done = Vec::new();
        let mut undone = Vec::new();
        for keyed in &self.keyed {
            if keyed.claim == Some(Claim::Claimed) {
                if failed(keyed.key) {
                    undone.push(keyed.key);
                } else {
                    done.push((keyed.key, keyed.window));
                }
            }
        }
        (done, undone)
    }
}

impl Policy {
    fn remembers(&self, event: &Event, app: &str) -> Option<(EventKey, Duration)> {
        let is_status = matches!(event.kind(), "status" | "standby_status");
        let window = if is_status {
            self.status_window?
        } else {
            self.window
        };
        Some(((self.key)(event, app)?, window))
    }
}

fn is_stale(event: &Event, window: Duration, now: SystemTime) -> bool {
    let old_by_nature = event
        .field()
        .is_some_and(|field| OLD_BY_NATURE.contains(&field));
    if old_by_nature {
        return false;
    }
    let age = event
        .timestamp()
        .and_then(|timestamp| now.duration_since(timestamp.to_system_time()).ok());
    age.is_some_and(|age| age > window.saturating_sub(MARGIN.min(window / 10)))
}
