//! A scripted store that records its calls.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{task::yield_now, time::Instant};
use tower_whatsapp::{
    dedup::{Claim, Commit, MemoryStore, Renewal, Store, StoreError, Token},
    event::EventKey,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Claim,
    Renew,
    Commit,
    Release,
}

/// The fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Fails at once, without an effect.
    Fail,
    /// Fails because the store is full.
    Full,
    /// Never returns, and has no effect.
    Hang,
    /// Takes effect, but never returns.
    LoseReply,
    /// Takes effect, and returns after this time.
    Slow(Duration),
    /// Takes effect, but the response lacks one key.
    Short,
}

/// The record of one call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) keys: Vec<EventKey>,
    /// Windows of a commit, or the lease of a claim or renewal.
    pub(crate) times: Vec<Duration>,
    pub(crate) token: Token,
    /// Results of a claim or commit, if it returned.
    pub(crate) claims: Option<Vec<Claim>>,
    pub(crate) commits: Option<Vec<Commit>>,
    pub(crate) at: Instant,
}

/// State of a key in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Absent,
    Pending,
    Done,
}

/// Clones share the store.
#[derive(Debug, Clone)]
pub(crate) struct Scripted<S = MemoryStore> {
    store: S,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    calls: Vec<Call>,
    /// Operation, number of the call, and its fault.
    faults: Vec<(Op, usize, Fault)>,
    always: Vec<(Op, Fault)>,
    /// Number of yields before and after the effect of each call.
    yields: usize,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    /// Number of pending keys.
    pub(crate) fn pending(&self) -> usize {
        self.store.pending()
    }
}

impl<S: Store> Scripted<S> {
    pub(crate) fn over(store: S) -> Self {
        Self {
            store,
            script: Arc::default(),
        }
    }

    /// The n-th call of an operation, counted from 1, has this fault.
    pub(crate) fn at(&self, op: Op, call: usize, fault: Fault) {
        self.script.lock().unwrap().faults.push((op, call, fault));
    }

    /// All further calls of an operation have this fault.
    pub(crate) fn always(&self, op: Op, fault: Fault) {
        self.script.lock().unwrap().always.push((op, fault));
    }

    /// All operations have this fault.
    pub(crate) fn down(&self, fault: Fault) {
        for op in [Op::Claim, Op::Renew, Op::Commit, Op::Release] {
            self.always(op, fault);
        }
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        let mut script = self.script.lock().unwrap();
        script.faults.clear();
        script.always.clear();
    }

    pub(crate) fn yields(&self, times: usize) {
        self.script.lock().unwrap().yields = times;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.script.lock().unwrap().calls.clone()
    }

    pub(crate) fn calls_of(&self, op: Op) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.op == op);
        calls
    }

    /// Numbers of claims, commits and releases.
    pub(crate) fn ops(&self) -> [usize; 3] {
        [Op::Claim, Op::Commit, Op::Release].map(|op| self.calls_of(op).len())
    }

    /// The inner store.
    pub(crate) fn inner(&self) -> &S {
        &self.store
    }

    /// States of these keys, without a trace in the record.
    pub(crate) async fn held(&self, keys: &[EventKey]) -> Vec<Held> {
        let token = Token::random();
        let claims = self.store.claim(keys, token, Duration::from_secs(60)).await;
        let claims = claims.unwrap();
        self.store.release(keys, token).await.unwrap();
        let held = claims.into_iter().map(|claim| match claim {
            Claim::Claimed => Held::Absent,
            Claim::Pending => Held::Pending,
            Claim::Done => Held::Done,
        });
        held.collect()
    }

    /// Records the call. Returns its number and its fault.
    fn begin(&self, op: Op, keys: Vec<EventKey>, times: Vec<Duration>, token: Token) -> Begun {
        let mut script = self.script.lock().unwrap();
        script.calls.push(Call {
            op,
            keys,
            times,
            token,
            claims: None,
            commits: None,
            at: Instant::now(),
        });
        let count = script.calls.iter().filter(|call| call.op == op).count();
        let mut once = script.faults.iter().filter(|fault| fault.0 == op);
        let once = once.find(|fault| fault.1 == count).map(|fault| fault.2);
        let mut always = script.always.iter().filter(|fault| fault.0 == op);
        Begun {
            index: script.calls.len() - 1,
            fault: once.or_else(|| always.next().map(|fault| fault.1)),
            yields: script.yields,
        }
    }

    fn note(&self, begun: &Begun, note: impl FnOnce(&mut Call)) {
        note(&mut self.script.lock().unwrap().calls[begun.index]);
    }
}

struct Begun {
    index: usize,
    fault: Option<Fault>,
    yields: usize,
}

impl Begun {
    async fn before(&self) -> Result<(), StoreError> {
        self.pause().await;
        match self.fault {
            Some(Fault::Fail) => Err(StoreError::unavailable("the script says so")),
            Some(Fault::Full) => Err(StoreError::full()),
            Some(Fault::Hang) => pending().await,
            _ => Ok(()),
        }
    }

    async fn after<T>(&self, answer: &mut Vec<T>) {
        self.pause().await;
        match self.fault {
            Some(Fault::LoseReply) => pending().await,
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            Some(Fault::Short) => drop(answer.pop()),
            _ => {}
        }
    }

    async fn pause(&self) {
        for _ in 0..self.yields {
            yield_now().await;
        }
    }
}

impl<S: Store> Store for Scripted<S> {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let begun = self.begin(Op::Claim, keys.to_vec(), vec![lease], token);
        begun.before().await?;
        let mut claims = self.store.claim(keys, token, lease).await?;
        begun.after(&mut claims).await;
        self.note(&begun, |call| call.claims = Some(claims.clone()));
        Ok(claims)
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let begun = self.begin(Op::Renew, keys.to_vec(), vec![lease], token);
        begun.before().await?;
        let mut renewals = self.store.renew(keys, token, lease).await?;
        begun.after(&mut renewals).await;
        Ok(renewals)
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let (names, times) = keys.iter().copied().unzip();
        let begun = self.begin(Op::Commit, names, times, token);
        begun.before().await?;
        let mut commits = self.store.commit(keys, token).await?;
        begun.after(&mut commits).await;
        self.note(&begun, |call| call.commits = Some(commits.clone()));
        Ok(commits)
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let begun = self.begin(Op::Release, keys.to_vec(), Vec::new(), token);
        begun.before().await?;
        self.store.release(keys, token).await?;
        begun.after(&mut Vec::<()>::new()).await;
        Ok(())
    }
}
