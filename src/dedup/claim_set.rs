//! The events of a delivery to claim: their keys, their windows, and the results of their claims.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::{consume_budget, yield_now};

use super::{
    config::{CLOCK_SKEW, KeyFn},
    partial_failure::PartialFailure,
    store::Claim,
};
use crate::{
    contain::{Panicked, contain},
    event::{Event, EventIdentity, EventKey, KeyHash, Notification},
};

/// Fields that deliver old data by design. Their events are never stale.
const BACKFILL_FIELDS: &[&str] = &["history", "smb_app_state_sync"];

/// Bytes of one event that are hashed for its key before the task yields.
const HASH_STEP: usize = 64 * 1024;

/// How many pairs of events with one key of the host's own function are compared in a delivery. A
/// search costs a step for each event.
const COMPARED_PAIRS: usize = 16;

/// The keys and windows of events.
pub(super) struct Policy {
    /// `None`: [`Event::key_in`] for distinguishable events.
    pub(super) key: Option<Arc<KeyFn>>,
    pub(super) window: Duration,
    /// `None`: statuses are not deduplicated.
    pub(super) status_window: Option<Duration>,
    /// Stale events are kept from the handler.
    pub(super) refuses_stale: bool,
}

/// The keys of a delivery and their claims.
#[derive(Debug, Default)]
pub(super) struct ClaimSet {
    /// Sorted by key, so that two overlapping batches meet at their first common key. Sorting a
    /// list at the end would block other tasks.
    keys: BTreeMap<EventKey, KeyState>,
    /// One for each event, in the order of the delivery.
    events: Vec<EventState>,
    pub(super) has_stale: bool,
    /// Two events with different default keys have one key of the host's own function.
    pub(super) has_collision: bool,
    /// Number of events that are refused.
    pub(super) refused: usize,
    has_foreign: bool,
}

#[derive(Debug, Clone, Copy)]
struct KeyState {
    window: Duration,
    /// `None`: the store has not answered.
    claim: Option<Claim>,
}

#[derive(Debug, Clone, Copy)]
struct EventState {
    key: Option<EventKey>,
    /// An earlier event of the delivery has the same key.
    repeated: bool,
    stale: bool,
    /// Stale, and kept from the handler for that reason.
    refused: bool,
}

impl ClaimSet {
    /// Collects the keys. Yields in between, because the keys of a large batch take milliseconds.
    /// Fails if the host's key function panics.
    pub(super) async fn new(
        notification: &Notification,
        app: &str,
        policy: &Policy,
    ) -> Result<Self, Panicked> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the timestamps of events are wall-clock times"
        )]
        let now = SystemTime::now();
        let events = notification.peek_events();
        let mut set = Self {
            keys: BTreeMap::new(),
            events: Vec::with_capacity(events.len()),
            has_stale: false,
            has_collision: false,
            refused: 0,
            has_foreign: !notification.peek_foreign().is_empty(),
        };
        let mut to_compare = policy.key.as_ref().map_or(0, |_| COMPARED_PAIRS);
        for event in events {
            consume_budget().await;
            let status_window = policy.status_window.filter(|_| is_status(event));
            let window = status_window.unwrap_or(policy.window);
            let identity = EventIdentity::of(event);
            let key = policy.key_to_claim(event, &identity, app).await?;
            let stale = is_stale(event, &identity, window, now);
            let refused = stale && policy.refuses_stale;
            set.has_stale |= stale;
            set.refused += usize::from(refused);
            let to_claim = key.filter(|_| !refused);
            let repeated = to_claim.is_some_and(|key| !set.insert(key, window));
            if repeated && to_compare > 0 && !set.has_collision {
                to_compare -= 1;
                let first = set.events.iter().position(|first| first.key == key);
                if let Some(first) = first.and_then(|first| events.get(first)) {
                    let first = default_key(&EventIdentity::of(first), app).await;
                    set.has_collision = first != default_key(&identity, app).await;
                }
            }
            set.events.push(EventState {
                key,
                repeated,
                stale,
                refused,
            });
        }
        Ok(set)
    }

    /// Adds a key. Returns whether it is new.
    fn insert(&mut self, key: EventKey, window: Duration) -> bool {
        let Entry::Vacant(entry) = self.keys.entry(key) else {
            return false;
        };
        let claim = None;
        entry.insert(KeyState { window, claim });
        true
    }

    /// Returns the keys that are neither claimed nor done: not claimed yet, or pending elsewhere.
    pub(super) fn unresolved(&self) -> Vec<EventKey> {
        self.keys_where(|claim| matches!(claim, None | Some(Claim::Pending)))
    }

    /// Returns the keys that this delivery holds.
    pub(super) fn claimed(&self) -> Vec<EventKey> {
        self.keys_where(|claim| claim == Some(Claim::Claimed))
    }

    /// Returns the keys that another delivery holds.
    pub(super) fn pending(&self) -> Vec<EventKey> {
        self.keys_where(|claim| claim == Some(Claim::Pending))
    }

    /// Returns the keys that this delivery holds, and those that were done before.
    pub(super) fn resolved(&self) -> Vec<EventKey> {
        self.keys_where(|claim| matches!(claim, Some(Claim::Claimed | Claim::Done)))
    }

    fn keys_where(&self, matches: impl Fn(Option<Claim>) -> bool) -> Vec<EventKey> {
        let matching = self.keys.iter().filter(|(_, state)| matches(state.claim));
        matching.map(|(key, _)| *key).collect()
    }

    /// Stores the answers to a claim of the unresolved keys.
    pub(super) fn record(&mut self, claims: Vec<Claim>) {
        let unresolved = self
            .keys
            .values_mut()
            .filter(|state| matches!(state.claim, None | Some(Claim::Pending)));
        for (state, claim) in unresolved.zip(claims) {
            state.claim = Some(claim);
        }
    }

    /// Marks the keys without an answer as claimed. Returns whether there are any.
    pub(super) fn assume_claimed(&mut self) -> bool {
        let mut any = false;
        for state in self.keys.values_mut() {
            any |= state.claim.is_none();
            state.claim.get_or_insert(Claim::Claimed);
        }
        any
    }

    pub(super) fn has(&self, claim: Claim) -> bool {
        self.keys.values().any(|state| state.claim == Some(claim))
    }

    /// Returns the delivery with the events to handle now: those that were claimed, and those
    /// without a key. The others are suppressed.
    pub(super) async fn fresh(
        &self,
        notification: &Notification,
        unprotected: bool,
    ) -> Notification {
        let mut fresh = Vec::with_capacity(self.events.len());
        let mut suppressed = Vec::new();
        for (event, state) in notification.peek_events().iter().zip(&self.events) {
            consume_budget().await;
            let is_claimed = |key| self.claim_of(key) == Some(Claim::Claimed);
            let is_candidate = !state.refused && !state.repeated;
            let is_fresh = is_candidate && state.key.is_none_or(is_claimed);
            let event = if state.stale {
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
        notification.with_events(fresh, suppressed, unprotected)
    }

    fn claim_of(&self, key: EventKey) -> Option<Claim> {
        self.keys.get(&key)?.claim
    }

    /// Whether there are events that are not deduplicated: foreign ones, and those without a key
    /// unless they are refused.
    pub(super) fn has_undeduplicated(&self) -> bool {
        let mut events = self.events.iter();
        self.has_foreign || events.any(|event| event.key.is_none() && !event.refused)
    }

    /// Whether there are events, and all of them are refused.
    pub(super) fn are_all_refused(&self) -> bool {
        !self.events.is_empty() && self.refused == self.events.len()
    }

    /// Returns the keys of the events that the handler reported as failed. `None` if it is unknown
    /// which event failed: one of them is not in the delivery, or the host's key function panics.
    pub(super) async fn failed_keys(
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
                Some(position) => failed.extend(self.events.get(position)?.key),
                None => copies.push(event),
            }
        }
        for event in copies {
            consume_budget().await;
            failed.insert(policy.any_key(event, app).await.ok()?);
        }
        failed.extend(failure.keys());
        let mut unclaimed = None;
        for key in &failed {
            consume_budget().await;
            if !self.keys.contains_key(key) {
                if unclaimed.is_none() {
                    let keys = self.unclaimed_keys(notification, app, policy).await;
                    unclaimed = Some(keys.ok()?);
                }
                if !unclaimed.as_ref()?.contains(key) {
                    return None;
                }
            }
        }
        Some(failed)
    }

    /// Returns the keys of the events that are not claimed: those of refused events, the default
    /// keys of events without a key, and those of foreign events.
    async fn unclaimed_keys(
        &self,
        notification: &Notification,
        app: &str,
        policy: &Policy,
    ) -> Result<HashSet<EventKey>, Panicked> {
        let mut keys = HashSet::new();
        for (event, state) in notification.peek_events().iter().zip(&self.events) {
            consume_budget().await;
            match state.key {
                Some(key) if state.refused => {
                    keys.insert(key);
                }
                Some(_) => {}
                None => {
                    let identity = EventIdentity::of(event);
                    keys.insert(default_key(&identity, app).await);
                }
            }
        }
        for event in notification.peek_foreign() {
            consume_budget().await;
            keys.insert(policy.any_key(event, app).await?);
        }
        Ok(keys)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Splits the claimed keys into handled ones, with their windows, and failed ones.
    pub(super) async fn split(
        &self,
        has_failed: impl Fn(EventKey) -> bool,
    ) -> (Vec<(EventKey, Duration)>, Vec<EventKey>) {
        let mut done = Vec::new();
        let mut failed = Vec::new();
        for (key, state) in &self.keys {
            consume_budget().await;
            if state.claim == Some(Claim::Claimed) {
                if has_failed(*key) {
                    failed.push(*key);
                } else {
                    done.push((*key, state.window));
                }
            }
        }
        (done, failed)
    }
}

impl Policy {
    /// Returns the key under which an event is claimed. `None` if it is not deduplicated.
    async fn key_to_claim(
        &self,
        event: &Event,
        identity: &EventIdentity<'_>,
        app: &str,
    ) -> Result<Option<EventKey>, Panicked> {
        if self.status_window.is_none() && is_status(event) {
            return Ok(None);
        }
        match &self.key {
            Some(key) => contain(|| key(event, app)),
            // With a key, a later event with the same content would be lost.
            None if !identity.is_distinguishable() => Ok(None),
            None => Ok(Some(default_key(identity, app).await)),
        }
    }

    /// Returns the key of an event to compare it with others: the default key if the host's
    /// function has none for it.
    async fn any_key(&self, event: &Event, app: &str) -> Result<EventKey, Panicked> {
        let own = match &self.key {
            Some(key) => contain(|| key(event, app))?,
            None => None,
        };
        match own {
            Some(key) => Ok(key),
            None => Ok(default_key(&EventIdentity::of(event), app).await),
        }
    }
}

fn is_status(event: &Event) -> bool {
    matches!(event.kind(), "status" | "standby_status")
}

/// Returns [`Event::key_in`] the app. Yields in between if the event is long.
async fn default_key(identity: &EventIdentity<'_>, app: &str) -> EventKey {
    let mut hash = match start_key(identity, app) {
        Ok(key) => return key,
        Err(hash) => hash,
    };
    loop {
        yield_now().await;
        if let Some(key) = hash.advance(HASH_STEP) {
            return key;
        }
    }
}

/// The unfinished hash is boxed: most keys take one step, and the task should not grow for others.
fn start_key<'a>(identity: &EventIdentity<'a>, app: &'a str) -> Result<EventKey, Box<KeyHash<'a>>> {
    let mut hash = identity.key_in_steps(app);
    hash.advance(HASH_STEP).ok_or_else(|| Box::new(hash))
}

fn is_stale(
    event: &Event,
    identity: &EventIdentity<'_>,
    window: Duration,
    now: SystemTime,
) -> bool {
    let is_backfill = event
        .field()
        .is_some_and(|field| BACKFILL_FIELDS.contains(&field));
    if is_backfill {
        return false;
    }
    let age = identity
        .timestamp()
        .and_then(|timestamp| now.duration_since(timestamp.to_system_time()).ok());
    age.is_some_and(|age| age > window.saturating_sub(CLOCK_SKEW.min(window / 10)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;

    /// Returns the output and the number of polls. Tokio gives each poll a budget of 128 steps.
    pub(in crate::dedup) async fn count_polls<F: Future>(future: F) -> (F::Output, usize) {
        let mut future = pin!(future);
        let mut polls = 0;
        let output = poll_fn(|cx| {
            polls += 1;
            future.as_mut().poll(cx)
        });
        (output.await, polls)
    }

    fn policy(key: Option<Arc<KeyFn>>) -> Policy {
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
    async fn hashing_a_long_event_yields() {
        let long = "x".repeat(20 * HASH_STEP);
        let notification = notification(&format!(r#""others":[{{"timestamp":1,"x":"{long}"}}]"#));
        let policy = policy(None);
        let (claims, polls) = count_polls(ClaimSet::new(&notification, "app", &policy)).await;
        let keys: Vec<_> = notification
            .events()
            .iter()
            .map(|event| event.key_in("app"))
            .collect();
        assert_eq!(claims.unwrap().unresolved(), keys);
        assert_eq!(polls, 21);
    }

    #[tokio::test]
    async fn sorting_out_a_batch_yields() {
        const EVENTS: usize = 4096;
        let notification = notification(&format!(r#""messages":[{}]"#, ids(EVENTS)));
        let policy = policy(None);
        let new = ClaimSet::new(&notification, "", &policy);
        let (claims, polls) = count_polls(new).await;
        let mut claims = claims.unwrap();
        assert!(polls >= EVENTS / 128, "{polls}");
        claims.record(vec![Claim::Claimed; EVENTS]);
        let (fresh, polls) = count_polls(claims.fresh(&notification, false)).await;
        assert_eq!(fresh.events().len(), EVENTS);
        assert!(polls >= EVENTS / 128, "{polls}");
        let ((done, failed), polls) = count_polls(claims.split(|_| false)).await;
        assert_eq!((done.len(), failed.len()), (EVENTS, 0));
        assert!(polls >= EVENTS / 128, "{polls}");
    }

    #[tokio::test]
    async fn the_first_of_several_events_with_one_key_is_handled() {
        let notification = notification(&format!(r#""messages":[{},{}]"#, ids(2), ids(3)));
        let claims = ClaimSet::new(&notification, "", &policy(None)).await;
        let mut claims = claims.unwrap();
        claims.record(vec![Claim::Claimed; 3]);
        let fresh = claims.fresh(&notification, false).await;
        let positions = |events: &[Event]| -> Vec<_> {
            let positions = events.iter().map(|event| event.position_in(&notification));
            positions.flatten().collect()
        };
        assert_eq!(positions(fresh.events()), [0, 1, 4]);
        assert_eq!(positions(fresh.suppressed()), [2, 3]);
    }

    /// The default keys of events without a key are computed once, and not for each failed key.
    #[tokio::test]
    async fn the_cost_of_failures_is_proportional_to_the_events() {
        const EVENTS: usize = 4096;
        let notification = notification(&format!(r#""statuses":[{}]"#, ids(EVENTS)));
        let policy = policy(Some(Arc::new(|_, _| None)));
        let claims = ClaimSet::new(&notification, "", &policy).await.unwrap();
        let keys: Vec<_> = notification.events().iter().map(Event::key).collect();
        let failure = PartialFailure::of_keys(keys.iter().copied());
        let failed = claims.failed_keys(&failure, &notification, "", &policy);
        let (failed, polls) = count_polls(failed).await;
        assert_eq!(failed.map(|failed| failed.len()), Some(EVENTS));
        assert!((EVENTS / 64..=EVENTS / 32).contains(&polls), "{polls}");
    }
}
