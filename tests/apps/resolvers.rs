//! A configurable resolver.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use tower_whatsapp::{
    App,
    webhook::{AppResolver, ResolveError},
};

use super::subject::{app, down};

/// A fake database. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Tenants(Arc<Inner>);

#[derive(Default)]
struct Inner {
    apps: Mutex<HashMap<String, App>>,
    asked: Mutex<Vec<String>>,
    delay: Mutex<Duration>,
    is_down: AtomicBool,
    panics: AtomicBool,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

impl Tenants {
    pub(crate) fn of(names: &[&str]) -> Self {
        let tenants = Self::default();
        for name in names {
            tenants.add(app(name));
        }
        tenants
    }

    pub(crate) fn add(&self, app: App) {
        let name = app.label().to_owned();
        self.0.apps.lock().unwrap().insert(name, app);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.apps.lock().unwrap().remove(name);
    }

    pub(crate) fn slow(self, delay: Duration) -> Self {
        *self.0.delay.lock().unwrap() = delay;
        self
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.is_down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn set_panics(&self, panics: bool) {
        self.0.panics.store(panics, Ordering::SeqCst);
    }

    /// Names that were looked up since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }

    pub(crate) fn most_running(&self) -> usize {
        self.0.most_running.load(Ordering::SeqCst)
    }
}

impl AppResolver for Tenants {
    async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
        self.0.asked.lock().unwrap().push(name.to_owned());
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_running.fetch_max(running, Ordering::SeqCst);
        // Reads the state at the start of the lookup, not at its end.
        let found = self.0.apps.lock().unwrap().get(name).cloned();
        let delay = *self.0.delay.lock().unwrap();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.0.panics.load(Ordering::SeqCst), "a bug of the host");
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(down());
        }
        Ok(found)
    }
}
