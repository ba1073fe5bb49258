use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    super::{app::App, rejection::RejectionKind},
    app_resolver::{DynResolver, ResolveError, is_name},
    counters::{ResolverCounters, ResolverPanicked, Statistics},
    entry::{Entry, Next, Outcome, RunningLookup},
    rate_limit::TokenBucket,
};
use crate::telemetry::in_current_span;

/// Time for which a name is not looked up again after a failed lookup.
const FAILURE_TIME_TO_LIVE: Duration = Duration::from_secs(1);

/// Beyond the longest time that a lookup takes, it is taken for stalled, and another may begin.
const STALLED_LOOKUP_GRACE: Duration = Duration::from_secs(1);

/// Maximum number of concurrent lookups, separately for known and for unknown names.
const MAX_CONCURRENT_LOOKUPS: usize = 32;

/// Maximum number of requests that wait for lookups of unknown names. Beyond it, 503.
const MAX_WAITING_FOR_UNKNOWN: usize = 1024;

/// Calls an [`AppResolver`](super::AppResolver) and caches its results. A clone is a handle to the
/// same cache.
///
/// Any sender can make up names, so lookups are limited:
///
/// - A POST is looked up only if its sender is admitted and it has one well-formed signature; a GET
///   only if it has the parameters of a handshake.
/// - Names with an app and names without one have separate caches, so that the latter cannot evict
///   the former.
/// - Names that are not known to exist share one rate limit. Beyond it the response is 503, and
///   Meta retries.
/// - A name is looked up once at a time, however many requests wait for it, in a task that does not
///   stop when the sender disconnects. If the runtime of that task is no longer driven, a request
///   in another runtime begins a new lookup after two lookup timeouts and a second.
///
/// A known name is looked up again when its entry expires, and that lookup does not count against
/// the rate limit. Lookups of unknown names have their own concurrency limit (a bulkhead), so they
/// cannot starve known names. Requests that wait for one known name do not block those for another.
///
/// After a start no name is known, and made-up names compete with real ones for the rate limit. At
/// 1,000 of them per second and the default limit, one lookup in five is admitted.
/// [`preload`](Self::preload) tells the resolver which names exist.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp::webhook::{AppResolver, CachedResolver};
///
/// fn resolver(tenants: impl AppResolver) -> Result<CachedResolver, tower_whatsapp::ConfigError> {
///     CachedResolver::builder(tenants)
///         .time_to_live(Duration::from_secs(300))
///         .lookups_per_second(50)
///         .build()
/// }
/// ```
#[derive(Clone)]
pub struct CachedResolver {
    shared: Arc<Shared>,
}

struct Shared {
    resolver: Box<dyn DynResolver>,
    known: Cache<Arc<str>, Arc<Entry>>,
    unknown: Cache<Arc<str>, Arc<Entry>>,
    durations: Durations,
    rate_limit: Mutex<TokenBucket>,
    /// A request for a known name takes no permit. It waits only for the lookup of that name, and a
    /// shared limit would let requests for one name refuse those for another.
    waiting_for_unknown: Semaphore,
    /// Bulkheads: concurrent lookups of known and of unknown names.
    known_lookups: Semaphore,
    unknown_lookups: Semaphore,
    statistics: Statistics,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Durations {
    pub(super) time_to_live: Duration,
    pub(super) unknown_time_to_live: Duration,
    pub(super) lookup_timeout: Duration,
}

impl Durations {
    /// Longest time of one lookup: that in the queue of the bulkhead, and that of the call.
    fn longest_lookup(&self) -> Duration {
        self.lookup_timeout.saturating_mul(2)
    }
}

/// The settings of a [`CachedResolver`].
pub(super) struct Settings {
    pub(super) resolver: Box<dyn DynResolver>,
    pub(super) durations: Durations,
    pub(super) capacity: usize,
    pub(super) unknown_capacity: usize,
    pub(super) lookups_per_second: u32,
}

impl CachedResolver {
    pub(super) fn from_settings(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                resolver: settings.resolver,
                known: Cache::new(settings.capacity),
                unknown: Cache::new(settings.unknown_capacity),
                durations: settings.durations,
                rate_limit: Mutex::new(TokenBucket::new(settings.lookups_per_second)),
                waiting_for_unknown: Semaphore::new(MAX_WAITING_FOR_UNKNOWN),
                known_lookups: Semaphore::new(MAX_CONCURRENT_LOOKUPS),
                unknown_lookups: Semaphore::new(MAX_CONCURRENT_LOOKUPS),
                statistics: Statistics::default(),
            }),
        }
    }

    /// Removes a name from the cache, so that the next request looks it up. For an app that was
    /// added or removed.
    ///
    /// A request whose body is being received continues. To invalidate a secret immediately, remove
    /// it from the app's [`Credentials`](crate::Credentials).
    pub fn forget(&self, name: &str) {
        let Shared { known, unknown, .. } = &*self.shared;
        // A lookup that ends meanwhile moves the entry from `unknown` to `known`.
        for cache in [known, unknown, known] {
            if let Some((_, entry)) = cache.remove(name) {
                entry.forget();
            }
        }
    }

    /// Marks names as known to exist, for example after a start or when an app is created. The
    /// first request for each name still looks it up, outside of the rate limit for unknown names.
    ///
    /// Call it before the service listens, with all names or those in use. Beyond the
    /// [`capacity`](crate::webhook::CachedResolverBuilder::capacity) some are evicted again. A name
    /// that turns out to have no app becomes unknown when it is looked up. Invalid names are
    /// skipped.
    ///
    /// ```
    /// use tower_whatsapp::webhook::{AppResolver, CachedResolver};
    ///
    /// fn resolver(tenants: impl AppResolver, names: Vec<String>) -> CachedResolver {
    ///     let resolver = CachedResolver::new(tenants);
    ///     resolver.preload(names);
    ///     resolver
    /// }
    /// ```
    pub fn preload<N: Into<Arc<str>>>(&self, names: impl IntoIterator<Item = N>) {
        let shared = &self.shared;
        for name in names.into_iter().map(Into::into) {
            if !is_name(&name) || shared.known.contains_key(&name) {
                continue;
            }
            if let Some((_, entry)) = shared.unknown.remove(&name) {
                entry.forget();
            }
            shared.known.insert(name, Arc::default());
        }
    }

    /// Returns the current totals, for monitoring.
    #[must_use]
    pub fn counters(&self) -> ResolverCounters {
        self.shared.statistics.counters()
    }

    /// Returns the error of the last lookup that failed, with its cause as
    /// [`source`](std::error::Error::source). Requests are answered with 503, and their
    /// [`Rejection`](crate::Rejection) does not contain it.
    ///
    /// The error stays when later lookups succeed. Whether there are new failures shows in
    /// [`ResolverCounters::failed`].
    ///
    /// ```
    /// use std::error::Error;
    /// use tower_whatsapp::webhook::CachedResolver;
    ///
    /// fn log(resolver: &CachedResolver) {
    ///     if let Some(error) = resolver.last_error() {
    ///         eprintln!("{error}: {:?}", error.source());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<ResolveError>> {
        self.shared.statistics.last_error()
    }

    /// Returns the cached outcome, unless it has expired.
    pub(in super::super) fn cached(&self, name: &str) -> Option<Result<App, RejectionKind>> {
        let entry = self.shared.entry(name)?;
        Some(entry.fresh()?.into())
    }

    /// Looks a name up, or waits for a running lookup of it.
    pub(in super::super) async fn resolve(self, name: Arc<str>) -> Result<App, RejectionKind> {
        let lookup_timeout = self.shared.durations.lookup_timeout;
        let outcome = timeout(lookup_timeout, self.lookup_once(name)).await;
        outcome.unwrap_or(Outcome::Failed).into()
    }

    async fn lookup_once(self, name: Arc<str>) -> Outcome {
        let shared = &self.shared;
        let (entry, _permit) = match shared.known.get(&name) {
            Some(entry) => (entry, None),
            None => match shared.waiting_for_unknown.try_acquire() {
                Ok(permit) => (shared.entry_or_insert(&name), Some(permit)),
                Err(_) => {
                    shared.statistics.rate_limited();
                    return Outcome::Failed;
                }
            },
        };
        let max_age = shared
            .durations
            .longest_lookup()
            .saturating_add(STALLED_LOOKUP_GRACE);
        loop {
            match entry.next(max_age) {
                Next::Use(outcome) => return outcome,
                Next::Wait(mut outcome) => {
                    let outcome = outcome.wait_for(Option::is_some).await;
                    // Without an outcome, its task was dropped with its runtime.
                    if let Some(outcome) = outcome.ok().and_then(|outcome| outcome.clone()) {
                        return outcome;
                    }
                }
                Next::Start(running) => {
                    let shared = Arc::clone(shared);
                    // In a task: if the sender disconnects, the lookup has been counted all the
                    // same, and its outcome is to be cached.
                    let task = tokio::spawn(in_current_span(async move {
                        let outcome = shared.lookup(&name, &running).await;
                        running.finish(outcome.clone());
                        outcome
                    }));
                    return task.await.unwrap_or(Outcome::Failed);
                }
            }
        }
    }
}

impl fmt::Debug for CachedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResolver")
            .field("known", &self.shared.known.len())
            .field("unknown", &self.shared.unknown.len())
            .field("lookups", &self.counters().lookups)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.known.get(name).or_else(|| self.unknown.get(name))
    }

    fn entry_or_insert(&self, name: &Arc<str>) -> Arc<Entry> {
        self.entry(name).unwrap_or_else(|| {
            let new = || Ok::<_, std::convert::Infallible>(Arc::default());
            let Ok(entry) = self.unknown.get_or_insert_with(name, new);
            entry
        })
    }

    /// Looks a name up and caches the outcome.
    async fn lookup(self: &Arc<Self>, name: &Arc<str>, running: &RunningLookup) -> Outcome {
        let is_known = self.known.contains_key(name);
        if !is_known && !self.is_within_rate_limit() {
            self.statistics.rate_limited();
            // Not cached: the next request may be within the limit.
            self.unknown
                .remove_if(name, |other| Arc::ptr_eq(other, running.entry()));
            return Outcome::Failed;
        }
        let bulkhead = if is_known {
            &self.known_lookups
        } else {
            &self.unknown_lookups
        };
        let outcome = self.call_resolver(name, bulkhead).await;
        let durations = &self.durations;
        let (time_to_live, cache, other) = match &outcome {
            Outcome::App(_) => (durations.time_to_live, &self.known, &self.unknown),
            Outcome::Failed if is_known => (FAILURE_TIME_TO_LIVE, &self.known, &self.unknown),
            Outcome::Failed => (FAILURE_TIME_TO_LIVE, &self.unknown, &self.known),
            Outcome::Unknown => (durations.unknown_time_to_live, &self.unknown, &self.known),
        };
        let entry = running.entry();
        if !running.store(outcome.clone(), time_to_live) || entry.is_forgotten() {
            return outcome;
        }
        cache.insert(Arc::clone(name), Arc::clone(entry));
        // Remove only this entry: the name may have been preloaded or forgotten, and have another.
        let is_this = |other: &Arc<Entry>| Arc::ptr_eq(other, entry);
        other.remove_if(name, is_this);
        if entry.is_forgotten() {
            cache.remove_if(name, is_this);
        }
        outcome
    }

    async fn call_resolver(self: &Arc<Self>, name: &Arc<str>, bulkhead: &Semaphore) -> Outcome {
        let lookup_timeout = self.durations.lookup_timeout;
        let Ok(Ok(_permit)) = timeout(lookup_timeout, bulkhead.acquire()).await else {
            self.statistics.timed_out();
            return Outcome::Failed;
        };
        self.statistics.began();
        let (shared, name) = (Arc::clone(self), Arc::clone(name));
        // In its own task, so that a panic of the resolver is only a failed lookup.
        let lookup = async move { shared.resolver.resolve_dyn(&name).await };
        let mut task = tokio::spawn(in_current_span(lookup));
        match timeout(lookup_timeout, &mut task).await {
            Ok(Ok(Ok(Some(app)))) => Outcome::App(app),
            Ok(Ok(Ok(None))) => Outcome::Unknown,
            Ok(Ok(Err(error))) => {
                self.statistics.failed(error);
                Outcome::Failed
            }
            Ok(Err(_)) => {
                let error = ResolveError::unavailable(ResolverPanicked);
                self.statistics.failed(error);
                Outcome::Failed
            }
            Err(_) => {
                task.abort();
                self.statistics.timed_out();
                Outcome::Failed
            }
        }
    }

    fn is_within_rate_limit(&self) -> bool {
        let mut bucket = (self.rate_limit.lock()).unwrap_or_else(PoisonError::into_inner);
        bucket.try_take(Instant::now())
    }
}
