//! Tasks beside the runs: they renew leases, mark events as done, remove what has expired, and
//! listen.

use std::{collections::HashMap, convert::Infallible, future::pending, sync::Arc, time::Duration};

use tokio::{
    task::{Id, JoinSet},
    time::sleep,
};

use super::{
    ERROR_PAUSE, Shared,
    completions::{self, Requests},
    leases,
};
use crate::backend::Backend;
#[cfg(feature = "postgres")]
use crate::error::InboxError;

#[derive(Clone, Copy)]
enum Helper {
    Renew,
    Complete,
    Purge,
    Listen,
}

impl Helper {
    fn name(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Complete => "complete",
            Self::Purge => "purge",
            Self::Listen => "listen",
        }
    }
}

/// The helpers of a worker. They end when this is dropped.
pub(super) struct Helpers {
    shared: Arc<Shared>,
    requests: Requests,
    tasks: JoinSet<()>,
    running: HashMap<Id, Helper>,
}

impl Helpers {
    pub(super) fn start(shared: Arc<Shared>, requests: Requests) -> Self {
        let mut helpers = Self {
            shared,
            requests,
            tasks: JoinSet::new(),
            running: HashMap::new(),
        };
        for helper in [
            Helper::Renew,
            Helper::Complete,
            Helper::Purge,
            Helper::Listen,
        ] {
            helpers.spawn(helper, Duration::ZERO);
        }
        helpers
    }

    fn spawn(&mut self, helper: Helper, pause: Duration) {
        let (shared, requests) = (Arc::clone(&self.shared), Arc::clone(&self.requests));
        let task = self.tasks.spawn(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            match helper {
                Helper::Renew => leases::renew_forever(shared).await,
                Helper::Complete => completions::complete_forever(shared, requests).await,
                Helper::Purge => purge_forever(shared).await,
                Helper::Listen => listen_forever(shared).await,
            }
        });
        self.running.insert(task.id(), helper);
    }

    /// Starts again what has panicked: a recorder of metrics of the host may panic in it. Without
    /// renewals, the worker would lose every longer run.
    pub(super) async fn watch(&mut self) -> Infallible {
        // Short enough for a renewal to be in time twice.
        let pause = ERROR_PAUSE.min(self.shared.options.lease / 4);
        loop {
            match self.tasks.join_next_with_id().await {
                Some(Ok((id, ()))) => {
                    self.running.remove(&id);
                }
                Some(Err(error)) => {
                    if let Some(helper) = self.running.remove(&error.id())
                        && error.is_panic()
                    {
                        let warnings = &self.shared.inbox.inner.warnings;
                        warnings.task_panicked(helper.name());
                        self.spawn(helper, pause);
                    }
                }
                None => pending().await,
            }
        }
    }
}

async fn purge_forever(shared: Arc<Shared>) {
    loop {
        // Sets the gauges.
        if cfg!(feature = "metrics")
            && let Err(error) = shared.inbox.status().await
        {
            shared.inbox.inner.database_failed("status", &error);
        }
        // Not all processes at once.
        let pause = shared.options.purge_interval;
        sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        if let Err(error) = shared.inbox.purge().await {
            shared.inbox.inner.database_failed("purge", &error);
        }
    }
}

/// Wakes this worker when another process has stored something.
async fn listen_forever(shared: Arc<Shared>) {
    let inner = &shared.inbox.inner;
    match &inner.backend {
        #[cfg(feature = "postgres")]
        Backend::Postgres(backend) => loop {
            if let Err(error) = listen(inner, backend).await {
                inner.database_failed("listen", &error);
            }
            sleep(ERROR_PAUSE).await;
        },
        #[cfg(feature = "sqlite")]
        Backend::Sqlite(_) => {}
    }
}

#[cfg(feature = "postgres")]
async fn listen(
    inner: &crate::inbox::Inner,
    backend: &crate::backend::postgres::PostgresBackend,
) -> Result<(), InboxError> {
    let mut listener = backend.listen().await?;
    loop {
        // What was stored before it listened has notified nobody. A lost connection is opened again
        // by the listener.
        inner.waker.wake_local();
        backend.notified(&mut listener).await?;
    }
}
