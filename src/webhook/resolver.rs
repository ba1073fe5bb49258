//! Apps that are found by name, and a memory of them that strangers can neither fill nor use to wear out where they are found.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::{
    sync::{Mutex as Turn, Semaphore},
    time::{Instant, timeout},
};

use super::{app::App, builder::ConfigError, rejection::RejectionKind, routes::is_name};

const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(60);
const DEFAULT_UNKNOWN_TIME_TO_LIVE: Duration = Duration::from_secs(10);
const DEFAULT_CAPACITY: usize = 16_384;
const DEFAULT_UNKNOWN_CAPACITY: usize = 4096;
const DEFAULT_LOOKUPS_PER_SECOND: u32 = 200;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// For so long a name whose lookup has failed is not looked up again.
const PAUSE: Duration = Duration::from_secs(1);

/// So many lookups at the same time, of known names and of unknown ones each.
const MAX_ASKING: usize = 32;

/// Maximum number of requests that wait for lookups of unknown names. Beyond it, 503.
const MAX_WAITING: usize = 1024;

/// Where the apps of a partner are found: a database, a configuration service.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tower_whatsapp::{App, WebhookLayer, webhook::{AppResolver, ResolveError}};
///
/// struct Tenants(Mutex<HashMap<String, App>>);
///
/// impl AppResolver for Tenants {
///     async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
///         let tenants = self.0.lock().map_err(|_| ResolveError::unavailable("poisoned"))?;
///         Ok(tenants.get(name).cloned())
///     }
/// }
///
/// let layer = WebhookLayer::builder()
///     .app_resolver("/hooks/{app}", Tenants(Mutex::default()))
///     .build()?;
/// # Ok::<(), tower_whatsapp::ConfigError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot find apps by name",
    label = "not `AppResolver`",
    note = "implement `tower_whatsapp::webhook::AppResolver`, or build a `CachedResolver` from something that does"
)]
pub trait AppResolver: Send + Sync + 'static {
    /// The app of this name, or `None` if there is none. A name is 1 to 128 letters, digits and `.`, `_`, `~`, `-`, and whatever a stranger has
    /// made up.
    ///
    /// It runs in a task of its own. What it returns is remembered: see [`CachedResolver`]. If it returns the same [`App`] (a clone) each time, a change
    /// of the app's credentials needs no other lookup.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] if it cannot be said now. The request is answered with 503, and Meta tries again.
    fn resolve(&self, name: &str)
    -> impl Future<Output = Result<Option<App>, ResolveError>> + Send;
}

/// Why it could not be said whether there is an app of a name.
#[derive(Debug)]
pub struct ResolveError {
    source: Box<dyn Error + Send + Sync>,
}

impl ResolveError {
    /// Where apps are found cannot be asked, for this reason.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resolver of apps is not available")
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Asks [`AppResolver`], and remembers what they say. A clone is a handle to the same memory.
///
/// Whoever can write a request can make up names, so:
///
/// - a POST is looked up only if its sender is admitted and it has one well-formed signature, a GET only if it has the parameters of a handshake;
/// - names that were found and names that were not are remembered apart, so that the second cannot push out the first;
/// - names that are not known to exist are looked up at a bounded rate, all together; beyond it the answer is 503, and Meta tries again;
/// - a name is looked up once at a time, however many ask for it, in a task that no sender can stop half way.
///
/// Names that were found before are looked up again when their time has passed, beside that bound. Deliveries of apps that are known thus
/// never wait for strangers, and requests that wait for one known name keep no other from its own.
///
/// After a start no name is known, and a flood of made-up names takes its share of the lookups: 1,000 a second leave one in five to the
/// apps. [`preload`](Self::preload) tells the resolver which names exist.
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
    apps: Box<dyn DynResolver>,
    known: Cache<Arc<str>, Arc<Slot>>,
    unknown: Cache<Arc<str>, Arc<Slot>>,
    times: Times,
    rate: Mutex<TokenBucket>,
    /// Waiting for a known name takes no permit: that name's lookup is the only one it waits for, and
    /// a limit would let requests for one name refuse those for another.
    waiting_for_unknown: Semaphore,
    /// Bulkheads: lookups of known names, and of unknown ones, that run at the same time.
    asking_known: Semaphore,
    asking_unknown: Semaphore,
    lookups: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    known: Duration,
    unknown: Duration,
    lookup: Duration,
}

/// What is remembered of a name.
#[derive(Default)]
struct Slot {
    memory: Mutex<Memory>,
    /// Held by who looks it up.
    turn: Arc<Turn<()>>,
}

#[derive(Default)]
struct Memory {
    /// What was found, when, and for how long it holds.
    found: Option<(Found, Instant, Duration)>,
    /// A lookup that had begun before may not know what has changed.
    is_forgotten: bool,
}

#[derive(Clone)]
enum Found {
    App(App),
    Nothing,
    Failure,
}

/// Lookups that may begin: so many at once, and so many more each second.
#[derive(Debug)]
struct TokenBucket {
    per_second: u32,
    left: f64,
    since: Option<Instant>,
}

impl CachedResolver {
    /// With the usual settings.
    pub fn new(apps: impl AppResolver) -> Self {
        CachedResolverBuilder::new(apps).finish()
    }

    /// Starts to configure one.
    pub fn builder(apps: impl AppResolver) -> CachedResolverBuilder {
        CachedResolverBuilder::new(apps)
    }

    /// Forgets what is remembered of a name: the next request looks it up. For an app that is new, or gone.
    ///
    /// A request that is being received goes on. To have a secret verify nothing from now on, remove it from the app's
    /// [`Credentials`](crate::Credentials).
    pub fn forget(&self, name: &str) {
        for cache in [&self.shared.known, &self.shared.unknown] {
            if let Some((_, slot)) = cache.remove(name) {
                slot.forget();
            }
        }
    }

    /// Marks names as known to exist, for example after a start or when an app is created. Nothing
    /// is looked up yet: the first request of each name is, outside of the rate limit for unknown
    /// names.
    ///
    /// Call it before the service listens, with all names or those that are in use; beyond the
    /// [`capacity`](CachedResolverBuilder::capacity) some are dropped again. Names that have no app
    /// after all become unknown when they are looked up. Texts that cannot be a name are skipped.
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
            if let Some((_, slot)) = shared.unknown.remove(&name) {
                slot.forget();
            }
            shared.known.insert(name, Arc::default());
        }
    }

    /// How often [`AppResolver::resolve`] was called, for monitoring.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.shared.lookups.load(Ordering::Relaxed)
    }

    /// What is remembered, if it is not too old.
    pub(super) fn remembered(&self, name: &str) -> Option<Result<App, RejectionKind>> {
        let slot = self.shared.slot(name)?;
        Some(slot.fresh()?.into())
    }

    /// Looks a name up, or waits for who does.
    pub(super) async fn find(self, name: Arc<str>) -> Result<App, RejectionKind> {
        let lookup = self.shared.times.lookup;
        let found = timeout(lookup, self.take_turn(name)).await;
        found.unwrap_or(Found::Failure).into()
    }

    async fn take_turn(self, name: Arc<str>) -> Found {
        let (slot, _waiting) = match self.shared.known.get(&name) {
            Some(slot) => (slot, None),
            None => match self.shared.waiting_for_unknown.try_acquire() {
                Ok(permit) => (self.shared.slot_or_new(&name), Some(permit)),
                Err(_) => return Found::Failure,
            },
        };
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        if let Some(found) = slot.fresh() {
            return found;
        }
        let shared = Arc::clone(&self.shared);
        // A sender that has hung up has still used one lookup: what comes of it is to be remembered.
        let lookup = tokio::spawn(async move {
            let found = shared.look_up(&name, &slot).await;
            drop(turn);
            found
        });
        lookup.await.unwrap_or(Found::Failure)
    }
}

impl<A: AppResolver> From<A> for CachedResolver {
    fn from(apps: A) -> Self {
        Self::new(apps)
    }
}

impl fmt::Debug for CachedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResolver")
            .field("known", &self.shared.known.len())
            .field("unknown", &self.shared.unknown.len())
            .field("lookups", &self.lookups())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        self.known.get(name).or_else(|| self.unknown.get(name))
    }

    fn slot_or_new(&self, name: &Arc<str>) -> Arc<Slot> {
        self.slot(name).unwrap_or_else(|| {
            let new = || Ok::<_, std::convert::Infallible>(Arc::default());
            let Ok(slot) = self.unknown.get_or_insert_with(name, new);
            slot
        })
    }

    async fn look_up(self: &Arc<Self>, name: &Arc<str>, slot: &Arc<Slot>) -> Found {
        let is_known = self.known.contains_key(name);
        if !is_known && !self.may_look_up() {
            // Not remembered: the next one may have more luck.
            return Found::Failure;
        }
        let asking = if is_known {
            &self.asking_known
        } else {
            &self.asking_unknown
        };
        let found = self.ask(name, asking).await;
        let (holds, home, other) = match &found {
            Found::App(_) => (self.times.known, &self.known, &self.unknown),
            Found::Failure if is_known => (PAUSE, &self.known, &self.unknown),
            Found::Failure => (PAUSE, &self.unknown, &self.known),
            Found::Nothing => (self.times.unknown, &self.unknown, &self.known),
        };
        slot.remember(found.clone(), holds);
        if slot.is_forgotten() {
            return found;
        }
        home.insert(Arc::clone(name), Arc::clone(slot));
        // Only this slot: the name may have been preloaded or forgotten, and have another one now.
        let is_this = |other: &Arc<Slot>| Arc::ptr_eq(other, slot);
        other.remove_if(name, is_this);
        if slot.is_forgotten() {
            home.remove_if(name, is_this);
        }
        found
    }

    async fn ask(self: &Arc<Self>, name: &Arc<str>, asking: &Semaphore) -> Found {
        let within = self.times.lookup;
        let Ok(Ok(_asking)) = timeout(within, asking.acquire()).await else {
            return Found::Failure;
        };
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let (shared, name) = (Arc::clone(self), Arc::clone(name));
        // In a task of its own, whose panic is no more than a failure.
        let mut asked = tokio::spawn(async move { shared.apps.find(&name).await });
        match timeout(within, &mut asked).await {
            Ok(Ok(Ok(Some(app)))) => Found::App(app),
            Ok(Ok(Ok(None))) => Found::Nothing,
            Ok(_) => Found::Failure,
            Err(_) => {
                asked.abort();
                Found::Failure
            }
        }
    }

    fn may_look_up(&self) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(Instant::now())
    }
}

impl Slot {
    fn fresh(&self) -> Option<Found> {
        let memory = self.memory();
        let (found, since, holds) = memory.found.as_ref()?;
        (since.elapsed() < *holds).then(|| found.clone())
    }

    fn remember(&self, found: Found, holds: Duration) {
        self.memory().found = Some((found, Instant::now(), holds));
    }

    fn forget(&self) {
        *self.memory() = Memory {
            found: None,
            is_forgotten: true,
        };
    }

    fn is_forgotten(&self) -> bool {
        self.memory().is_forgotten
    }

    /// Nothing that could panic is done while it is held.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Found> for Result<App, RejectionKind> {
    fn from(found: Found) -> Self {
        match found {
            Found::App(app) => Ok(app),
            Found::Nothing => Err(RejectionKind::AppUnknown),
            Found::Failure => Err(RejectionKind::AppsUnavailable),
        }
    }
}

impl TokenBucket {
    fn take(&mut self, now: Instant) -> bool {
        let full = f64::from(self.per_second);
        let passed = self
            .since
            .replace(now)
            .map_or(full, |since| now.duration_since(since).as_secs_f64() * full);
        self.left = (self.left + passed).min(full);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

/// [`AppResolver`] of any type.
trait DynResolver: Send + Sync {
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<App>, ResolveError>> + Send + 'a>>;
}

impl<A: AppResolver> DynResolver for A {
    fn find<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<App>, ResolveError>> + Send + 'a>> {
        Box::pin(AppResolver::resolve(self, name))
    }
}

/// Configures a [`CachedResolver`]. Every setting is checked in [`build`](Self::build).
#[must_use = "a builder does nothing until `build` is called"]
pub struct CachedResolverBuilder {
    apps: Box<dyn DynResolver>,
    times: Times,
    capacity: usize,
    unknown_capacity: usize,
    per_second: u32,
}

impl CachedResolverBuilder {
    fn new(apps: impl AppResolver) -> Self {
        Self {
            apps: Box::new(apps),
            times: Times {
                known: DEFAULT_TIME_TO_LIVE,
                unknown: DEFAULT_UNKNOWN_TIME_TO_LIVE,
                lookup: DEFAULT_TIMEOUT,
            },
            capacity: DEFAULT_CAPACITY,
            unknown_capacity: DEFAULT_UNKNOWN_CAPACITY,
            per_second: DEFAULT_LOOKUPS_PER_SECOND,
        }
    }

    /// For how long an app is used without another look. Default: 60 seconds. What is removed from where apps are found goes on for as long; see
    /// [`CachedResolver::forget`].
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.times.known = time;
        self
    }

    /// For how long a name without an app is refused without another look. Default: 10 seconds, which is how long a new app may have to wait if
    /// somebody has asked for it too early.
    pub fn unknown_time_to_live(mut self, time: Duration) -> Self {
        self.times.unknown = time;
        self
    }

    /// The most apps that are remembered. Default: 16,384. If there are more, those that are asked for least are looked up again.
    pub fn capacity(mut self, apps: usize) -> Self {
        self.capacity = apps;
        self
    }

    /// The most names without an app that are remembered. Default: 4096, some 1.5 MB with the longest names.
    pub fn unknown_capacity(mut self, names: usize) -> Self {
        self.unknown_capacity = names;
        self
    }

    /// The most lookups per second of names that are not known to have an app; as many may come at once. Default: 200, which a small database does not
    /// notice. A service that begins with 10,000 apps at work has asked for all of them in less than a minute.
    pub fn lookups_per_second(mut self, lookups: u32) -> Self {
        self.per_second = lookups;
        self
    }

    /// The time for one lookup; then the answer is 503. Default: 2 seconds.
    pub fn lookup_timeout(mut self, timeout: Duration) -> Self {
        self.times.lookup = timeout;
        self
    }

    /// Checks the settings and makes the resolver.
    ///
    /// # Errors
    ///
    /// [`ConfigError::CachedResolver`] if one of them is zero.
    pub fn build(self) -> Result<CachedResolver, ConfigError> {
        let times = [self.times.known, self.times.unknown, self.times.lookup];
        if times.iter().any(Duration::is_zero)
            || self.capacity == 0
            || self.unknown_capacity == 0
            || self.per_second == 0
        {
            return Err(ConfigError::CachedResolver);
        }
        Ok(self.finish())
    }

    fn finish(self) -> CachedResolver {
        CachedResolver {
            shared: Arc::new(Shared {
                apps: self.apps,
                known: Cache::new(self.capacity),
                unknown: Cache::new(self.unknown_capacity),
                times: self.times,
                rate: Mutex::new(TokenBucket {
                    per_second: self.per_second,
                    left: 0.0,
                    since: None,
                }),
                waiting_for_unknown: Semaphore::new(MAX_WAITING),
                asking_known: Semaphore::new(MAX_ASKING),
                asking_unknown: Semaphore::new(MAX_ASKING),
                lookups: AtomicU64::new(0),
            }),
        }
    }
}

impl fmt::Debug for CachedResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResolverBuilder")
            .field("times", &self.times)
            .field("capacity", &self.capacity)
            .field("unknown_capacity", &self.unknown_capacity)
            .field("lookups_per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}
