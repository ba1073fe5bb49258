//! Which events of a delivery are to be claimed, under which keys, and for how long they will be remembered.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::{consume_budget, yield_now};

use super::{builder::KeyOf, partial_failure::PartialFailure, store::Claim};
use crate::event::{Event, EventKey, KeyHash, Notification};

/// Clocks differ: that of Meta, that of the store and ours. The hour that the default window has beyond Meta's seven days is longer.
pub(super) const MARGIN: Duration = Duration::from_secs(10 * 60);

/// Fields whose events are old by nature.
const OLD_BY_NATURE: &[&str] = &["history", "smb_app_state_sync"];

/// Bytes of one event that are hashed for its key before other tasks get their turn.
const HASHED_PER_TURN: usize = 64 * 1024;

/// What makes events the same, and for how long.
pub(super) struct Policy {
    /// `None`: [`Event::key_in`] of events that are distinguishable.
    pub(super) key: Option<Arc<KeyOf>>,
    pub(super) window: Duration,
    /// `None`: statuses are not remembered.
    pub(super) status_window: Option<Duration>,
    /// Stale events are kept from the handler.
    pub(super) refuses_stale: bool,
}

/// The keys of a delivery.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Sorted by key, so that two overlapping batches meet at their first common key. A list that is
    /// sorted at the end would keep other tasks waiting meanwhile.
    keyed: BTreeMap<EventKey, Keyed>,
    /// Of every event, in the order of the delivery.
    places: Vec<Place>,
    pub(super) has_stale: bool,
    pub(super) refused: usize,
}

#[derive(Debug, Clone, Copy)]
struct Keyed {
    window: Duration,
    claim: Option<Claim>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    key: Option<EventKey>,
    /// An earlier event of the delivery has the same key.
    repeated: bool,
    stale: bool,
    /// Stale, and kept from the handler for that reason.
    refused: bool,
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
            keyed: BTreeMap::new(),
            places: Vec::with_capacity(events.len()),
            has_stale: false,
            refused: 0,
        };
        for event in events {
            consume_budget().await;
            let remembered = policy.remembers(event, app).await;
            let stale = remembered.is_some_and(|(_, window)| is_stale(event, window, now));
            let refused = stale && policy.refuses_stale;
            plan.has_stale |= stale;
            plan.refused += usize::from(refused);
            let claimed = remembered.filter(|_| !refused);
            let repeated = claimed.is_some_and(|(key, window)| !plan.add(key, window));
            plan.places.push(Place {
                key: remembered.map(|(key, _)| key),
                repeated,
                stale,
                refused,
            });
        }
        plan
    }

    /// Returns whether it was not there yet.
    fn add(&mut self, key: EventKey, window: Duration) -> bool {
        let Entry::Vacant(entry) = self.keyed.entry(key) else {
            return false;
        };
        let claim = None;
        entry.insert(Keyed { window, claim });
        true
    }

    /// The keys whose fate is not known: not asked for yet, or pending when they were.
    pub(super) fn open(&self) -> Vec<EventKey> {
        self.keys(|claim| matches!(claim, None | Some(Claim::Pending)))
    }

    pub(super) fn claimed(&self) -> Vec<EventKey> {
        self.keys(|claim| claim == Some(Claim::Claimed))
    }

    fn keys(&self, wanted: impl Fn(Option<Claim>) -> bool) -> Vec<EventKey> {
        let keyed = self.keyed.iter();
        let wanted = keyed.filter(|(_, keyed)| wanted(keyed.claim));
        wanted.map(|(key, _)| *key).collect()
    }

    /// Takes what the store said of the open keys.
    pub(super) fn record(&mut self, claims: Vec<Claim>) {
        let open = self
            .keyed
            .values_mut()
            .filter(|keyed| matches!(keyed.claim, None | Some(Claim::Pending)));
        for (keyed, claim) in open.zip(claims) {
            keyed.claim = Some(claim);
        }
    }

    /// Takes the keys for claimed of which the store has said nothing. Tells whether there are any.
    pub(super) fn assume_claimed(&mut self) -> bool {
        let mut any = false;
        for keyed in self.keyed.values_mut() {
            any |= keyed.claim.is_none();
            keyed.claim.get_or_insert(Claim::Claimed);
        }
        any
    }

    pub(super) fn has(&self, claim: Claim) -> bool {
        self.keyed.values().any(|keyed| keyed.claim == Some(claim))
    }

    /// The delivery with the events that are to be handled now: those that were claimed, and those without a key.
    pub(super) async fn fresh(
        &self,
        notification: &Notification,
        unprotected: bool,
    ) -> Notification {
        let mut fresh = Vec::with_capacity(self.places.len());
        let mut suppressed = Vec::new();
        for (event, place) in notification.events().iter().zip(&self.places) {
            consume_budget().await;
            let is_claimed = |key| self.claim_of(key) == Some(Claim::Claimed);
            let is_other = !place.refused && !place.repeated;
            let is_fresh = is_other && place.key.is_none_or(is_claimed);
            let event = if place.stale {
                event.clone().into_stale()
            } else {
                event.clone()
            };
            if is_fresh {
                fresh.push(event);
            } else {
                suppressed.push(event);
            }
        }
        notification.with(fresh, suppressed, unprotected)
    }

    fn claim_of(&self, key: EventKey) -> Option<Claim> {
        self.keyed.get(&key)?.claim
    }

    /// Whether there are events that are handled whenever they come.
    pub(super) fn has_unkeyed(&self) -> bool {
        self.places.iter().any(|place| place.key.is_none())
    }

    /// Whether there are events, and all of them are refused.
    pub(super) fn is_refused(&self) -> bool {
        !self.places.is_empty() && self.refused == self.places.len()
    }

    /// The keys of the events that a handler names as failed. `None` if it names one that is not in
    /// the delivery: nobody knows then which one it means.
    pub(super) async fn failed(
        &self,
        failure: &PartialFailure,
        notification: &Notification,
        app: &str,
        policy: &Policy,
    ) -> Option<HashSet<EventKey>> {
        let mut failed = HashSet::new();
        let mut copies = Vec::new();
        for event in failure.events() {
            consume_budget().await;
            match event.position_in(notification) {
                Some(position) => failed.extend(self.places.get(position)?.key),
                None => copies.push(event),
            }
        }
        for event in copies {
            consume_budget().await;
            let key = match policy.key_of_copy(event, app)? {
                Some(key) => key,
                None => default_key(event, app).await,
            };
            failed.insert(key);
        }
        failed.extend(failure.keys());
        let mut unclaimed = None;
        for key in &failed {
            consume_budget().await;
            if !self.keyed.contains_key(key) {
                if unclaimed.is_none() {
                    unclaimed = Some(self.unclaimed(notification, app).await);
                }
                if !unclaimed.as_ref()?.contains(key) {
                    return None;
                }
            }
        }
        Some(failed)
    }

    /// The keys of the events that are not claimed: those that are refused, and the usual keys of
    /// those that have none here.
    async fn unclaimed(&self, notification: &Notification, app: &str) -> HashSet<EventKey> {
        let mut keys = HashSet::new();
        for (event, place) in notification.events().iter().zip(&self.places) {
            consume_budget().await;
            match place.key {
                Some(key) if place.refused => {
                    keys.insert(key);
                }
                Some(_) => {}
                None => {
                    keys.insert(default_key(event, app).await);
                }
            }
        }
        keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What was claimed and is done now, with the window of each, and what was claimed and is not.
    pub(super) async fn settle(
        &self,
        failed: impl Fn(EventKey) -> bool,
    ) -> (Vec<(EventKey, Duration)>, Vec<EventKey>) {
        let mut done = Vec::new();
        let mut undone = Vec::new();
        for (key, keyed) in &self.keyed {
            consume_budget().await;
            if keyed.claim == Some(Claim::Claimed) {
                if failed(*key) {
                    undone.push(*key);
                } else {
                    done.push((*key, keyed.window));
                }
            }
        }
        (done, undone)
    }
}

impl Policy {
    /// The host's key of a copy of an event. `None` if the host's function panics, which must not
    /// end the task: its claims would stay pending.
    fn key_of_copy(&self, event: &Event, app: &str) -> Option<Option<EventKey>> {
        let Some(key) = &self.key else {
            return Some(None);
        };
        catch_unwind(AssertUnwindSafe(|| key(event, app))).ok()
    }

    async fn remembers(&self, event: &Event, app: &str) -> Option<(EventKey, Duration)> {
        let is_status = matches!(event.kind(), "status" | "standby_status");
        let window = if is_status {
            self.status_window?
        } else {
            self.window
        };
        let key = match &self.key {
            Some(key) => key(event, app)?,
            // A later event that says the same would be lost.
            None if !event.is_distinguishable() => return None,
            None => default_key(event, app).await,
        };
        Some((key, window))
    }
}

/// [`Event::key_in`], in steps if the event is long.
async fn default_key(event: &Event, app: &str) -> EventKey {
    let mut hash = match begin_key(event, app) {
        Ok(key) => return key,
        Err(hash) => hash,
    };
    loop {
        yield_now().await;
        if let Some(key) = hash.advance(HASHED_PER_TURN) {
            return key;
        }
    }
}

/// Boxed, because most keys take one step and leave nothing in the task.
fn begin_key<'a>(event: &'a Event, app: &'a str) -> Result<EventKey, Box<KeyHash<'a>>> {
    let mut hash = EventKey::in_steps(event, app);
    hash.advance(HASHED_PER_TURN).ok_or_else(|| Box::new(hash))
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

#[cfg(test)]
pub(super) mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;

    /// How often a task has a turn. Each has a budget of 128 steps.
    pub(in crate::dedup) async fn turns<F: Future>(future: F) -> (F::Output, usize) {
        let mut future = pin!(future);
        let mut turns = 0;
        let output = poll_fn(|cx| {
            turns += 1;
            future.as_mut().poll(cx)
        });
        (output.await, turns)
    }

    fn policy(key: Option<Arc<KeyOf>>) -> Policy {
        Policy {
            key,
            window: Duration::MAX,
            status_window: None,
            refuses_stale: false,
        }
    }

    fn notification(list: &str) -> Notification {
        let body =
            format!(r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{{list}}}}}]}}]}}"#);
        Notification::parse(body).unwrap()
    }

    fn ids(count: usize) -> String {
        let ids = (0..count).map(|number| format!(r#"{{"id":"wamid.{number}"}}"#));
        ids.collect::<Vec<_>>().join(",")
    }

    #[tokio::test]
    async fn the_key_of_a_long_event_is_made_in_turns() {
        let long = "x".repeat(20 * HASHED_PER_TURN);
        let notification = notification(&format!(r#""others":[{{"timestamp":1,"x":"{long}"}}]"#));
        let policy = policy(None);
        let (plan, turns) = turns(Plan::new(&notification, "app", &policy)).await;
        let keys: Vec<_> = notification
            .events()
            .iter()
            .map(|e| e.key_in("app"))
            .collect();
        assert_eq!(plan.open(), keys);
        assert_eq!(turns, 21);
    }

    #[tokio::test]
    async fn the_events_of_a_batch_are_sorted_out_in_turns() {
        const EVENTS: usize = 4096;
        let notification = notification(&format!(r#""messages":[{}]"#, ids(EVENTS)));
        let policy = policy(None);
        let (mut plan, made) = turns(Plan::new(&notification, "", &policy)).await;
        assert!(made >= EVENTS / 128, "{made}");
        plan.record(vec![Claim::Claimed; EVENTS]);
        let (fresh, sorted_out) = turns(plan.fresh(&notification, false)).await;
        assert_eq!(fresh.events().len(), EVENTS);
        assert!(sorted_out >= EVENTS / 128, "{sorted_out}");
        let ((done, undone), settled) = turns(plan.settle(|_| false)).await;
        assert_eq!((done.len(), undone.len()), (EVENTS, 0));
        assert!(settled >= EVENTS / 128, "{settled}");
    }

    #[tokio::test]
    async fn of_events_with_one_key_the_first_is_handled() {
        let notification = notification(&format!(r#""messages":[{},{}]"#, ids(2), ids(3)));
        let mut plan = Plan::new(&notification, "", &policy(None)).await;
        plan.record(vec![Claim::Claimed; 3]);
        let fresh = plan.fresh(&notification, false).await;
        let at = |events: &[Event]| -> Vec<_> {
            let at = events.iter().map(|event| event.position_in(&notification));
            at.flatten().collect()
        };
        assert_eq!(at(fresh.events()), [0, 1, 4]);
        assert_eq!(at(fresh.suppressed()), [2, 3]);
    }

    /// The keys of events that have none here are made once, and not for each key that is named.
    #[tokio::test]
    async fn failures_take_time_in_proportion_to_the_events() {
        const EVENTS: usize = 4096;
        let notification = notification(&format!(r#""statuses":[{}]"#, ids(EVENTS)));
        let policy = policy(Some(Arc::new(|_, _| None)));
        let plan = Plan::new(&notification, "", &policy).await;
        let keys: Vec<_> = notification.events().iter().map(Event::key).collect();
        let failure = PartialFailure::of_keys(keys.iter().copied());
        let (failed, turns) = turns(plan.failed(&failure, &notification, "", &policy)).await;
        assert_eq!(failed.map(|failed| failed.len()), Some(EVENTS));
        assert!((EVENTS / 64..=EVENTS / 32).contains(&turns), "{turns}");
    }
}
