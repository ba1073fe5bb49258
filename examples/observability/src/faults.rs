//! Faults on purpose, so that every panel of the dashboard shows something.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tokio::time::{interval, sleep};
use tower_whatsapp::{
    dedup::Store,
    testing::{FaultRates, FaultyStore},
};

/// One delivery in 20 fails.
const PERIOD: usize = 20;

/// The store fails for two seconds out of ten. Often, because whoever scrapes may start late.
const STORE_PERIOD: Duration = Duration::from_secs(10);
const FIRST_FAILURE: Duration = Duration::from_secs(5);
const STORE_FAILS: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Faults {
    is_on: bool,
    deliveries: Arc<AtomicUsize>,
}

impl Faults {
    pub(crate) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            deliveries: Arc::default(),
        }
    }

    /// The response to a delivery. With faults it takes some milliseconds, and one delivery in
    /// [`PERIOD`] is refused, panics or hangs, in turn.
    ///
    /// # Panics
    ///
    /// As a fault.
    #[expect(clippy::panic, reason = "it is one of the faults")]
    pub(crate) async fn inject(&self) -> StatusCode {
        if !self.is_on {
            return StatusCode::OK;
        }
        let number = self.deliveries.fetch_add(1, Ordering::Relaxed);
        let work = number % 7 * 5;
        sleep(Duration::from_millis(work as u64)).await;
        if !number.is_multiple_of(PERIOD) {
            return StatusCode::OK;
        }
        match number / PERIOD % 3 {
            0 => StatusCode::INTERNAL_SERVER_ERROR,
            1 => panic!("a fault on purpose"),
            _ => std::future::pending().await,
        }
    }

    /// Makes the claims of a store fail now and then.
    pub(crate) fn store<S: Store>(&self, store: S) -> FaultyStore<S> {
        let store = FaultyStore::new(store, 0).on_claim(FaultRates::none().error(1.0));
        store.disable_faults();
        if self.is_on {
            let store = store.clone();
            tokio::spawn(async move {
                sleep(FIRST_FAILURE).await;
                let mut period = interval(STORE_PERIOD);
                loop {
                    period.tick().await;
                    store.enable_faults();
                    sleep(STORE_FAILS).await;
                    store.disable_faults();
                }
            });
        }
        store
    }
}
