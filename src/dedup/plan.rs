//! Which events of a delivery are to be claimed, under which keys, and for how long they will be remembered.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::consume_budget;

use super::{builder::KeyOf, partial_failure::PartialFailure, store::Claim};
use crate::event::{Event, EventKey, Notification};

/// Clocks differ: that of Meta, that of the store and ours. The hour that the default window has beyond Meta's seven days is longer.
pub(super) const MARGIN: Duration = Duration::from_secs(10 * 60);

/// Fields whose events are old by nature.
const OLD_BY_NATURE: &[&str] = &["history", "smb_app_state_sync"];

/// What makes events the same, and for how long.
pub(super) struct Policy {
    pub(super) key: Arc<KeyOf>,
    pub(super) window: Duration,
    /// `None`: statuses are not remembered.
    pub(super) status_window: Option<Duration>,
    /// Stale events are kept from the handler.
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
    pub(super) refused: usize,
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
            keyed: Vec::with_capacity(events.len()),
            places: Vec::with_capacity(events.len()),
            has_stale: false,
            refused: 0,
        };
        for event in events {
            consume_budget().await;
            let remembered = policy.remembers(event, app);
            let stale = remembered.is_some_and(|(_, window)| is_stale(event, window, now));
            let refused = stale && policy.refuses_stale;
            plan.has_stale |= stale;
            plan.refused += usize::from(refused);
            let claimed = remembered.filter(|_| !refused);
            plan.keyed.extend(claimed.map(|(key, window)| Keyed {
                key,
                window,
                claim: None,
            }));
            plan.places.push(Place {
                key: remembered.map(|(key, _)| key),
                stale,
                refused,
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
            let is_claimed = |key| self.claim_of(key) == Some(Claim::Claimed) && taken.insert(key);
            let is_fresh = !place.refused && place.key.is_none_or(is_claimed);
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
        self.keyed.get(self.position(key)?)?.claim
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
            match event.position_in(notification) {
                Some(position) => failed.extend(self.places.get(position)?.key),
                None => copies.push(event),
            }
        }
        for event in copies {
            consume_budget().await;
            let key = policy.key_of_copy(event, app)?;
            failed.insert(key.unwrap_or_else(|| event.key_in(app)));
        }
        failed.extend(failure.keys());
        let mut unclaimed = None;
        for key in &failed {
            if self.position(*key).is_none() {
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
            match place.key {
                Some(key) if place.refused => {
                    keys.insert(key);
                }
                Some(_) => {}
                None => {
                    consume_budget().await;
                    keys.insert(event.key_in(app));
                }
            }
        }
        keys
    }

    fn position(&self, key: EventKey) -> Option<usize> {
        let found = self.keyed.binary_search_by_key(&key, |keyed| keyed.key);
        found.ok()
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
    /// The key of a copy of an event. `None` if the host's function panics, which must not end the
    /// task: its claims would stay pending.
    fn key_of_copy(&self, event: &Event, app: &str) -> Option<Option<EventKey>> {
        catch_unwind(AssertUnwindSafe(|| (self.key)(event, app))).ok()
    }

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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;

    /// How often a task has a turn. Each has a budget of 128 steps.
    async fn turns<F: Future>(future: F) -> (F::Output, usize) {
        let mut future = pin!(future);
        let mut turns = 0;
        let output = poll_fn(|cx| {
            turns += 1;
            future.as_mut().poll(cx)
        });
        (output.await, turns)
    }

    /// The keys of events that have none here are made once, and not for each key that is named.
    #[tokio::test]
    async fn failures_take_time_in_proportion_to_the_events() {
        const EVENTS: usize = 4096;
        let ids = (0..EVENTS).map(|number| format!(r#"{{"id":"wamid.{number}"}}"#));
        let list = ids.collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"statuses":[{list}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let policy = Policy {
            key: Arc::new(|_, _| None),
            window: Duration::MAX,
            status_window: None,
            refuses_stale: false,
        };
        let plan = Plan::new(&notification, "", &policy).await;
        let keys: Vec<_> = notification.events().iter().map(Event::key).collect();
        let failure = PartialFailure::of_keys(keys.iter().copied());
        let (failed, turns) = turns(plan.failed(&failure, &notification, "", &policy)).await;
        assert_eq!(failed.map(|failed| failed.len()), Some(EVENTS));
        assert!((EVENTS / 128..=EVENTS / 64).contains(&turns), "{turns}");
    }
}
