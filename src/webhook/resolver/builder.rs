use std::{fmt, time::Duration};

use super::{
    super::error::ConfigError,
    app_resolver::AppResolver,
    cache::{CachedResolver, Durations, Settings},
};

const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(60);
const DEFAULT_UNKNOWN_TIME_TO_LIVE: Duration = Duration::from_secs(10);
const DEFAULT_CAPACITY: usize = 16_384;
const DEFAULT_UNKNOWN_CAPACITY: usize = 4096;
const DEFAULT_LOOKUPS_PER_SECOND: u32 = 200;
const DEFAULT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

// Here, because the cache need not know how it is configured.
impl CachedResolver {
    /// Creates a resolver with the default settings.
    pub fn new(resolver: impl AppResolver) -> Self {
        Self::builder(resolver).build_unchecked()
    }

    /// Returns a builder with the default settings.
    pub fn builder(resolver: impl AppResolver) -> CachedResolverBuilder {
        CachedResolverBuilder::new(resolver)
    }
}

impl<A: AppResolver> From<A> for CachedResolver {
    fn from(resolver: A) -> Self {
        Self::new(resolver)
    }
}

/// Builder of a [`CachedResolver`]. [`build`](Self::build) validates every setting.
#[must_use = "a builder does nothing until `build` is called"]
pub struct CachedResolverBuilder {
    settings: Settings,
}

impl CachedResolverBuilder {
    fn new(resolver: impl AppResolver) -> Self {
        Self {
            settings: Settings {
                resolver: Box::new(resolver),
                durations: Durations {
                    time_to_live: DEFAULT_TIME_TO_LIVE,
                    unknown_time_to_live: DEFAULT_UNKNOWN_TIME_TO_LIVE,
                    lookup_timeout: DEFAULT_LOOKUP_TIMEOUT,
                },
                capacity: DEFAULT_CAPACITY,
                unknown_capacity: DEFAULT_UNKNOWN_CAPACITY,
                lookups_per_second: DEFAULT_LOOKUPS_PER_SECOND,
            },
        }
    }

    /// Time for which an app is used without another lookup. Default: 60 seconds.
    ///
    /// An app that is removed from the backing store is served until then, unless
    /// [`forget`](CachedResolver::forget) is called.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.settings.durations.time_to_live = time;
        self
    }

    /// Time for which a name without an app is refused without another lookup. Default: 10
    /// seconds, which is the longest delay for an app whose name was requested before it existed.
    pub fn unknown_time_to_live(mut self, time: Duration) -> Self {
        self.settings.durations.unknown_time_to_live = time;
        self
    }

    /// Maximum number of cached apps. Default: 16,384. Beyond it, the least used ones are evicted
    /// and looked up again.
    pub fn capacity(mut self, apps: usize) -> Self {
        self.settings.capacity = apps;
        self
    }

    /// Maximum number of cached names without an app. Default: 4096, about 1.5 MB with the longest
    /// names.
    pub fn unknown_capacity(mut self, names: usize) -> Self {
        self.settings.unknown_capacity = names;
        self
    }

    /// Maximum number of lookups per second of names that are not known to have an app; also the
    /// largest burst. Beyond it, the response is 503. Default: 200.
    ///
    /// The default is a small load for a database, and resolves 10,000 active apps in less than a
    /// minute after a start.
    pub fn lookups_per_second(mut self, lookups: u32) -> Self {
        self.settings.lookups_per_second = lookups;
        self
    }

    /// Time limit for one lookup. Beyond it, the response is 503. Default: 2 seconds.
    pub fn lookup_timeout(mut self, timeout: Duration) -> Self {
        self.settings.durations.lookup_timeout = timeout;
        self
    }

    /// Validates the settings and builds the resolver.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] with the name of the setting if one is zero.
    pub fn build(self) -> Result<CachedResolver, ConfigError> {
        let settings = &self.settings;
        let durations = &settings.durations;
        let is_zero = [
            (durations.time_to_live.is_zero(), ConfigError::TimeToLive),
            (
                durations.unknown_time_to_live.is_zero(),
                ConfigError::UnknownTimeToLive,
            ),
            (
                durations.lookup_timeout.is_zero(),
                ConfigError::LookupTimeout,
            ),
            (settings.capacity == 0, ConfigError::Capacity),
            (settings.unknown_capacity == 0, ConfigError::UnknownCapacity),
            (
                settings.lookups_per_second == 0,
                ConfigError::LookupsPerSecond,
            ),
        ];
        match is_zero.into_iter().find(|(is_zero, _)| *is_zero) {
            Some((_, error)) => Err(error),
            None => Ok(self.build_unchecked()),
        }
    }

    fn build_unchecked(self) -> CachedResolver {
        CachedResolver::from_settings(self.settings)
    }
}

impl fmt::Debug for CachedResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResolverBuilder")
            .field("durations", &self.settings.durations)
            .field("capacity", &self.settings.capacity)
            .field("unknown_capacity", &self.settings.unknown_capacity)
            .field("lookups_per_second", &self.settings.lookups_per_second)
            .finish_non_exhaustive()
    }
}
