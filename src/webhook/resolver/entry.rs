use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::super::{app::App, rejection::RejectionKind};

/// The cached outcome of one name.
#[derive(Default)]
pub(super) struct Entry {
    state: Mutex<State>,
    /// Held during a lookup, so that a name is looked up once at a time.
    pub(super) lookup: Arc<AsyncMutex<()>>,
}

#[derive(Default)]
struct State {
    cached: Option<CachedOutcome>,
    /// Set by [`CachedResolver::forget`](super::CachedResolver::forget). The outcome of a lookup
    /// that was already running may be outdated and must not stay in the cache.
    is_forgotten: bool,
}

struct CachedOutcome {
    outcome: Outcome,
    stored_at: Instant,
    time_to_live: Duration,
}

/// Outcome of a lookup.
#[derive(Clone)]
pub(super) enum Outcome {
    App(App),
    Unknown,
    Failed,
}

impl Entry {
    /// Returns the outcome unless it has expired.
    pub(super) fn fresh(&self) -> Option<Outcome> {
        let state = self.state();
        let cached = state.cached.as_ref()?;
        (cached.stored_at.elapsed() < cached.time_to_live).then(|| cached.outcome.clone())
    }

    pub(super) fn store(&self, outcome: Outcome, time_to_live: Duration) {
        self.state().cached = Some(CachedOutcome {
            outcome,
            stored_at: Instant::now(),
            time_to_live,
        });
    }

    pub(super) fn forget(&self) {
        *self.state() = State {
            cached: None,
            is_forgotten: true,
        };
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.state().is_forgotten
    }

    /// Nothing that could panic runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Outcome> for Result<App, RejectionKind> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::App(app) => Ok(app),
            Outcome::Unknown => Err(RejectionKind::AppUnknown),
            Outcome::Failed => Err(RejectionKind::AppResolverUnavailable),
        }
    }
}
