use std::{error::Error, fmt, pin::Pin, sync::Arc};

use super::super::app::App;
use crate::unreserved::is_unreserved;

/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 128;

/// Resolves the name in a path to an app, for example from a database or a configuration service.
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
    message = "`{Self}` cannot resolve apps by name",
    label = "not `AppResolver`",
    note = "implement `tower_whatsapp::webhook::AppResolver`, or build a `CachedResolver` from something that does"
)]
#[doc(alias = "tenant")]
pub trait AppResolver: Send + Sync + 'static {
    /// Returns the app with this name, or `None` if there is none. The name is 1 to 128 letters,
    /// digits, `.`, `_`, `~` or `-`. It is untrusted: any sender can make it up.
    ///
    /// The label of the app must be unique in the layer: no other name, no route, and no other
    /// layer over the same `DedupLayer` may have a different app with this label. Otherwise an
    /// event that both apps receive is handled for one of them only, and
    /// [`SetupWarning::LabelShared`](crate::webhook::SetupWarning::LabelShared) is reported.
    ///
    /// It runs in its own task, and the result is cached: see [`CachedResolver`]. Return clones of
    /// the same [`App`] for a name. A change of its credentials then takes effect without another
    /// lookup.
    ///
    /// [`CachedResolver`]: super::CachedResolver
    ///
    /// # Errors
    ///
    /// Returns a [`ResolveError`] if the lookup failed. The request is answered with 503, and Meta
    /// retries. [`CachedResolver::last_error`](super::CachedResolver::last_error) returns it.
    fn resolve(&self, name: &str)
    -> impl Future<Output = Result<Option<App>, ResolveError>> + Send;
}

/// For a resolver that several layers share, or that the host keeps a handle to.
impl<A: AppResolver + ?Sized> AppResolver for Arc<A> {
    fn resolve(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<App>, ResolveError>> + Send {
        A::resolve(self, name)
    }
}

/// Why an app could not be resolved.
#[derive(Debug)]
pub struct ResolveError {
    source: Box<dyn Error + Send + Sync>,
}

impl ResolveError {
    /// Creates an error for a backing store that is not available, with its cause.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app resolver is not available")
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// An [`AppResolver`] of any type, as a trait object.
pub(super) trait DynResolver: Send + Sync {
    fn resolve_dyn<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<App>, ResolveError>> + Send + 'a>>;
}

impl<A: AppResolver> DynResolver for A {
    fn resolve_dyn<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<App>, ResolveError>> + Send + 'a>> {
        Box::pin(self.resolve(name))
    }
}

/// Whether a path segment is a valid name. Its characters have only one spelling in a path, so that
/// an app has one name.
pub(in super::super) fn is_name(segment: &str) -> bool {
    (1..=MAX_NAME).contains(&segment.len()) && segment.bytes().all(is_unreserved)
}
