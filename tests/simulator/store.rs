//! The store, which outlives the processes, and each process's connection to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_whatsapp::{
    dedup::{Claim, Commit, MemoryStore, Renewal, Store, StoreError, Token},
    event::EventKey,
    testing::FaultyStore,
};

use crate::{
    broken::Broken,
    world::{Process, World},
};

enum State {
    Pending(Token),
    Done,
}

/// A minimal implementation of the rules of [`Store`], with an optional fault.
pub(crate) struct Model {
    entries: Mutex<HashMap<EventKey, (State, Instant)>>,
    broken: Option<Broken>,
}

impl Model {
    pub(crate) fn new(broken: Option<Broken>) -> Self {
        Self {
            entries: Mutex::default(),
            broken,
        }
    }

    pub(crate) fn pending(&self) -> usize {
        let now = Instant::now();
        let entries = self.entries.lock().unwrap();
        let pending =
            |(state, until): &&(State, Instant)| matches!(state, State::Pending(_)) && *until > now;
        entries.values().filter(pending).count()
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn look(&self, key: EventKey, token: Token) -> Claim {
        match self.entries.lock().unwrap().get(&key) {
            Some((_, until)) if *until <= Instant::now() => Claim::Claimed,
            Some((State::Done, _)) => Claim::Done,
            Some((State::Pending(holder), _)) if *holder != token => Claim::Pending,
            _ => Claim::Claimed,
        }
    }
}

impl Store for Model {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let claims: Vec<_> = keys.iter().map(|key| self.look(*key, token)).collect();
        if self.is(Broken::ClaimIsNotAtomic) {
            sleep(Duration::from_millis(1)).await;
        }
        let until = Instant::now() + lease;
        let mut entries = self.entries.lock().unwrap();
        for (key, claim) in keys.iter().zip(&claims) {
            if *claim == Claim::Claimed {
                entries.insert(*key, (State::Pending(token), until));
            }
        }
        Ok(claims)
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let until = Instant::now() + lease;
        let renew = |key: &EventKey| match self.look(*key, token) {
            Claim::Claimed => {
                let pending = (State::Pending(token), until);
                self.entries.lock().unwrap().insert(*key, pending);
                Renewal::Renewed
            }
            Claim::Pending | Claim::Done => Renewal::Lost,
        };
        Ok(keys.iter().map(renew).collect())
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let now = Instant::now();
        let commit = |(key, window): &(EventKey, Duration)| match self.look(*key, token) {
            Claim::Pending if !self.is(Broken::NoToken) => Commit::Fenced,
            _ => {
                let done = (State::Done, now + *window);
                self.entries.lock().unwrap().insert(*key, done);
                Commit::Recorded
            }
        };
        Ok(keys.iter().map(commit).collect())
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let mut entries = self.entries.lock().unwrap();
        for key in keys {
            let goes = match entries.get(key) {
                Some((State::Pending(holder), _)) => *holder == token || self.is(Broken::NoToken),
                Some((State::Done, _)) => self.is(Broken::DoneIsTakenBack),
                None => false,
            };
            if goes {
                entries.remove(key);
            }
        }
        Ok(())
    }
}

/// A store with a log of its commits.
pub(crate) struct Shelf {
    pub(crate) world: Arc<World>,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Model(Model),
    Memory(MemoryStore),
}

impl Shelf {
    fn note_held(&self, keys: &[EventKey], held: impl Iterator<Item = bool>, token: Token) {
        let now = Instant::now();
        let mut ledger = self.world.ledger();
        for (key, _) in keys.iter().zip(held).filter(|(_, held)| *held) {
            ledger.keys.entry(*key).or_default().held.push((token, now));
        }
    }

    pub(crate) fn pending(&self) -> usize {
        match &self.kind {
            Kind::Model(model) => model.pending(),
            Kind::Memory(memory) => memory.pending(),
        }
    }
}

impl Store for Shelf {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let claims = match &self.kind {
            Kind::Model(model) => model.claim(keys, token, lease).await?,
            Kind::Memory(memory) => memory.claim(keys, token, lease).await?,
        };
        let claimed = claims.iter().map(|claim| *claim == Claim::Claimed);
        self.note_held(keys, claimed, token);
        Ok(claims)
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let renewals = match &self.kind {
            Kind::Model(model) => model.renew(keys, token, lease).await?,
            Kind::Memory(memory) => memory.renew(keys, token, lease).await?,
        };
        let renewed = renewals.iter().map(|renewal| *renewal == Renewal::Renewed);
        self.note_held(keys, renewed, token);
        Ok(renewals)
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let commits = match &self.kind {
            Kind::Model(model) => model.commit(keys, token).await?,
            Kind::Memory(memory) => memory.commit(keys, token).await?,
        };
        let now = Instant::now();
        let mut ledger = self.world.ledger();
        for ((key, _), commit) in keys.iter().zip(&commits) {
            if *commit == Commit::Recorded {
                ledger.keys.entry(*key).or_default().done.get_or_insert(now);
            }
        }
        Ok(commits)
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Model(model) => model.release(keys, token).await,
            Kind::Memory(memory) => memory.release(keys, token).await,
        }
    }
}

/// One process's connection to the store.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) store: FaultyStore<Shelf>,
    pub(crate) process: Arc<Process>,
}

impl Connection {
    /// A call takes some time, and the process may be killed before or after it.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.process.may_be_killed();
        self.process
            .live(async {
                let there = self.process.world.random().between(0.0, 0.002);
                sleep(there).await;
                if self.process.world.store_is_away() {
                    return Err(StoreError::unavailable("an outage"));
                }
                let done = call.await;
                sleep(there).await;
                self.process.may_be_killed();
                done
            })
            .await
    }
}

impl Store for Connection {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.call(self.store.claim(keys, token, lease)).await
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        self.call(self.store.renew(keys, token, lease)).await
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        if !self.process.is_dead() {
            let now = Instant::now();
            let mut ledger = self.process.world.ledger();
            for (key, _) in keys {
                ledger
                    .keys
                    .entry(*key)
                    .or_default()
                    .commits_called
                    .push(now);
            }
        }
        self.call(self.store.commit(keys, token)).await
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        self.call(self.store.release(keys, token)).await
    }
}
