use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What an inbox of this process has counted since it was opened: see
        /// [`Inbox::counters`](crate::Inbox::counters).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$meta])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counting {
            $(pub(crate) $name: Count,)*
        }

        impl Counting {
            pub(crate) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Events that were stored.
    stored,
    /// Events that were delivered again and not stored again.
    duplicates,
    /// Events that `only` or `ignore` left out.
    ignored,
    /// Deliveries that were answered with 503.
    refused,
    /// Events that were handled.
    handled,
    /// Runs of a handler that failed, panicked or took too long.
    failed,
    /// Events that became dead letters.
    dead,
    /// Runs that were dropped because their lease was lost.
    lost,
    /// Operations of workers that the database failed.
    database_errors,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
