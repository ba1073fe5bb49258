use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::super::{
    app::{App, AppHistory},
    rejection::RejectionKind,
};

/// The cached outcome of one name, and the lookup that is running.
#[derive(Default)]
pub(super) struct Entry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cached: Option<CachedOutcome>,
    running: Option<Running>,
    /// Label and history of the last app with this name.
    last_app: Option<(Arc<str>, Arc<AppHistory>)>,
    /// Set by [`CachedResolver::forget`](super::CachedResolver::forget). The outcome of a lookup
    /// that was already running may be outdated and must not stay in the cache.
    is_forgotten: bool,
}

struct CachedOutcome {
    outcome: Outcome,
    stored_at: Instant,
    time_to_live: Duration,
}

struct Running {
    began_at: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Outcome of a lookup.
#[derive(Clone)]
pub(super) enum Outcome {
    App(App),
    Unknown,
    Failed,
}

/// What a request does about a name.
pub(super) enum Next {
    Use(Outcome),
    /// Wait for the lookup that is running.
    Wait(watch::Receiver<Option<Outcome>>),
    /// Look the name up.
    Start(RunningLookup),
}

/// The right to look a name up. When it is dropped, the requests that wait for it are woken.
pub(super) struct RunningLookup {
    entry: Arc<Entry>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Entry {
    /// Returns the outcome unless it has expired.
    pub(super) fn fresh(&self) -> Option<Outcome> {
        self.state().fresh()
    }

    /// Decides what to do about the name. A lookup that began longer than `max_age` ago no longer
    /// counts: its runtime is not driven, or its task was dropped with the runtime.
    pub(super) fn next(self: &Arc<Self>, max_age: Duration) -> Next {
        let mut state = self.state();
        if let Some(outcome) = state.fresh() {
            return Next::Use(outcome);
        }
        if let Some(running) = &state.running
            && running.began_at.elapsed() <= max_age
            && running.outcome.has_changed().is_ok()
        {
            return Next::Wait(running.outcome.clone());
        }
        let (sender, receiver) = watch::channel(None);
        state.running = Some(Running {
            began_at: Instant::now(),
            outcome: receiver,
        });
        Next::Start(RunningLookup {
            entry: Arc::clone(self),
            outcome: sender,
        })
    }

    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.cached = None;
        state.is_forgotten = true;
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.state().is_forgotten
    }

    /// Nothing that could panic runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fresh(&self) -> Option<Outcome> {
        let cached = self.cached.as_ref()?;
        (cached.stored_at.elapsed() < cached.time_to_live).then(|| cached.outcome.clone())
    }

    fn continue_history(&mut self, app: &App) {
        let label = app.shared_label();
        if let Some((last_label, history)) = &self.last_app
            && *last_label == label
        {
            app.continue_history(history);
        }
        self.last_app = Some((label, Arc::clone(app.history())));
    }
}

impl RunningLookup {
    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Caches an outcome. Returns false if another lookup has begun since: its outcome is newer.
    pub(super) fn store(&self, outcome: Outcome, time_to_live: Duration) -> bool {
        let mut state = self.entry.state();
        let own = self.outcome.subscribe();
        let is_current = |running: &Running| running.outcome.same_channel(&own);
        if !state.running.as_ref().is_some_and(is_current) {
            return false;
        }
        if let Outcome::App(app) = &outcome {
            state.continue_history(app);
        }
        state.cached = Some(CachedOutcome {
            outcome,
            stored_at: Instant::now(),
            time_to_live,
        });
        true
    }

    /// Tells the outcome to the requests that wait for it.
    pub(super) fn finish(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
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
