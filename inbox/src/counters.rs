use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry;

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What an inbox of this process has counted since it was opened: see
        /// [`Inbox::counters`](crate::Inbox::counters).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$meta])* pub $name: u64,)*
        }

        #[derive(Debug)]
        pub(crate) struct Counting {
            $(pub(crate) $name: Count,)*
        }

        impl Counting {
            pub(crate) fn new() -> Self {
                Self { $($name: Count { name: stringify!($name), count: AtomicU64::new(0) },)* }
            }

            /// Registers the metrics at zero, so that the first increment shows as an increase.
            pub(crate) fn register(&self) {
                $(telemetry::counted(self.$name.name, 0);)*
            }

            pub(crate) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Events whose commit the database confirmed within `store_timeout`. What was stored although
    /// the answer was 503, because the database said so too late, is not among them.
    stored,
    /// Events that were delivered again and not stored again. Those that were stored although the
    /// answer was 503 are counted here when Meta redelivers them.
    duplicates,
    /// Events that `only` or `ignore` left out.
    ignored,
    /// Deliveries that were answered with 503.
    refused,
    /// Events that were handled.
    handled,
    /// Runs of a handler that returned an error, panicked, took longer than `handler_timeout`, or
    /// did not commit the transaction that they began. No verdict is a failure.
    failed,
    /// Events that became dead letters, also by [`Verdict::Never`](crate::Verdict::Never).
    dead,
    /// Runs that were dropped because their lease was lost.
    lost,
    /// Operations of workers that the database failed.
    database_errors,
}

#[derive(Debug)]
pub(crate) struct Count {
    name: &'static str,
    count: AtomicU64,
}

impl Count {
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.count.fetch_add(count, Ordering::Relaxed);
            telemetry::counted(self.name, count);
        }
    }

    fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
