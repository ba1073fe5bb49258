use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Response;

use super::{
    app::App,
    config::{Config, OnHandlerError, OnRejection},
    error::ConfigError,
    layer::WebhookLayer,
    rejection::Rejection,
    routes::{Path, Routes},
    setup_warning::SetupWarning,
    warning_reporter::WarningReporter,
};
#[cfg(feature = "apps")]
use super::{labels::Labels, resolver::CachedResolver};
#[cfg(feature = "client-certificate")]
use crate::admission::ClientCertificate;
#[cfg(feature = "admission")]
use crate::admission::{Admission, AdmissionPolicy, IpAllowList, TrustedProxies};
use crate::{
    credentials::Credentials,
    receive::{Budget, Limits, MAX_BODY_LIMIT},
    secret::{AppSecret, SecretError, VerifyToken},
    telemetry::WebhookTelemetry,
};

const DEFAULT_BODY_LIMIT: usize = 4 * 1024 * 1024;
const DEFAULT_MEMORY_BUDGET: usize = 64 * 1024 * 1024;
#[cfg(feature = "tokio")]
const DEFAULT_BODY_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);
#[cfg(feature = "tokio")]
const DEFAULT_BODY_IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Builder of a [`WebhookLayer`]. [`build`](Self::build) validates every setting.
///
/// ```
/// use tower_whatsapp::WebhookLayer;
///
/// let layer = WebhookLayer::builder()
///     .path("/webhook")
///     .app_secret("the new secret")
///     .app_secret("the old secret, until Meta no longer signs with it")
///     .verify_token("a long random text")
///     .body_limit(4 * 1024 * 1024)
///     .memory_budget(64 * 1024 * 1024)
///     .on_rejection(|rejection| {
///         // Customise the response, or count `rejection.kind()`.
///         rejection.to_response()
///     })
///     .build()?;
/// # Ok::<(), tower_whatsapp::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct WebhookLayerBuilder {
    path: Option<Path>,
    /// Number of calls of `path` and `any_path`.
    path_calls: usize,
    app_secrets: Vec<Result<AppSecret, SecretError>>,
    verify_tokens: Vec<Result<VerifyToken, SecretError>>,
    /// Those of each call of `credentials`. More than one is a configuration error.
    credentials: Vec<Credentials>,
    routes: Vec<(String, App)>,
    #[cfg(feature = "apps")]
    app_resolvers: Vec<(String, CachedResolver)>,
    limits: Limits,
    memory_budget: usize,
    #[cfg(feature = "admission")]
    admission: Admission,
    on_rejection: Option<Arc<OnRejection>>,
    on_handler_error: OnHandlerError,
    on_setup_warning: Option<Arc<dyn Fn(SetupWarning) + Send + Sync>>,
}

impl WebhookLayerBuilder {
    pub(super) fn new() -> Self {
        Self {
            path: None,
            path_calls: 0,
            app_secrets: Vec::new(),
            verify_tokens: Vec::new(),
            credentials: Vec::new(),
            routes: Vec::new(),
            #[cfg(feature = "apps")]
            app_resolvers: Vec::new(),
            limits: Limits {
                body: DEFAULT_BODY_LIMIT,
                #[cfg(feature = "tokio")]
                deadline: DEFAULT_BODY_DEADLINE,
                #[cfg(feature = "tokio")]
                idle: DEFAULT_BODY_IDLE_TIMEOUT,
            },
            memory_budget: DEFAULT_MEMORY_BUDGET,
            #[cfg(feature = "admission")]
            admission: Admission::default(),
            on_rejection: None,
            on_handler_error: OnHandlerError::default(),
            on_setup_warning: None,
        }
    }

    /// Path of the webhook. Requests to other paths pass through untouched and unverified.
    ///
    /// It must start with `/`, be ASCII, and have no query, fragment or `\`. It is compared byte by
    /// byte with the raw path of the request as it reaches the layer: nothing is decoded, slashes
    /// and case are significant. `{`, `}`, `*` and a segment that begins with `:` are refused,
    /// because the path has no parameters (see [`app_resolver`](Self#method.app_resolver)), and `+`
    /// because Meta replaces it by a space. The path does not make a handler safe: see
    /// [the module docs](crate::webhook#what-a-handler-may-trust).
    ///
    /// The secrets and tokens set on this builder belong to this path. Set either this or
    /// [`any_path`](Self::any_path), once. For several paths or apps, use [`route`](Self::route).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(Path::Exact(path.into().into()));
        self.path_calls += 1;
        self
    }

    /// Handles every request that reaches the layer, whatever its path. For a layer around one
    /// route or method router, where the router has already matched the path.
    ///
    /// With axum, use `post(handler).layer(…)` or `Router::route_layer`, and not `Router::layer`,
    /// even if the router has only one route. `Router::layer` wraps the fallback too, and `merge`
    /// makes that the fallback of the whole service: the layer then answers every unknown path.
    pub fn any_path(mut self) -> Self {
        self.path = Some(Path::any());
        self.path_calls += 1;
        self
    }

    /// Adds an app secret, from the App Dashboard. At least one is required; verification cannot
    /// be turned off.
    ///
    /// White space at either end is an error, such as the newline at the end of a file.
    ///
    /// May be called several times. Every delivery is checked under all secrets, and
    /// [`Verified::secret_label`](crate::Verified::secret_label) returns which one matched. To
    /// change secrets at run time, use [`credentials`](Self::credentials).
    #[doc(alias = "webhook secret")]
    pub fn app_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.app_secrets.push(AppSecret::new(secret));
        self
    }

    /// Adds a verify token, 1 to 512 bytes: the text entered in the App Dashboard beside the
    /// callback URL. At least one is required.
    ///
    /// White space at either end is an error, such as the newline at the end of a file.
    ///
    /// May be called several times, because each override of the callback URL (per account or
    /// phone number) has its own token.
    #[doc(alias = "hub.verify_token")]
    pub fn verify_token(mut self, token: impl AsRef<[u8]>) -> Self {
        self.verify_tokens.push(VerifyToken::new(token));
        self
    }

    /// Secrets and tokens that can be changed at run time. Replaces
    /// [`app_secret`](Self::app_secret) and [`verify_token`](Self::verify_token): building fails if
    /// one of those is called too, or if this is called twice.
    #[doc(alias = "rotation")]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials.push(credentials);
        self
    }

    /// Adds a path and its app. May be called any number of times. For several paths to one app,
    /// pass clones of it: two `App`s with one label are refused.
    ///
    /// Paths are compared as described for [`path`](Self::path). A delivery is checked only under
    /// the secrets of the app of its path.
    ///
    /// ```
    /// use tower_whatsapp::{App, Credentials, WebhookLayer};
    ///
    /// let shop = App::new("shop", Credentials::new([("2026", "secret")], [("1", "token")])?)?;
    /// let layer = WebhookLayer::builder().route("/hooks/shop", shop).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route(mut self, path: impl Into<String>, app: App) -> Self {
        self.routes.push((path.into(), app));
        self
    }

    /// Resolves apps by a name in the path, such as `"/hooks/{app}"`. Paths set by
    /// [`path`](Self::path) or [`route`](Self::route) take precedence.
    ///
    /// `{app}` is one whole path segment. A name is 1 to 128 letters, digits, `.`, `_`, `~` or `-`;
    /// any other segment is refused without a lookup. [`CachedResolver`] describes how lookups by
    /// unauthenticated senders are limited.
    #[cfg(feature = "apps")]
    pub fn app_resolver(
        mut self,
        pattern: impl Into<String>,
        resolver: impl Into<CachedResolver>,
    ) -> Self {
        self.app_resolvers.push((pattern.into(), resolver.into()));
        self
    }

    /// Maximum length of a body in bytes. A longer one is answered with 413. Default: 4 MiB
    /// (4,194,304 bytes).
    ///
    /// Meta documents 3 MB and does not say whether that is MB or MiB. Refusing a genuine delivery
    /// loses it. Must fit three quarters of the [memory budget](Self::memory_budget).
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = bytes;
        self
    }

    /// Time limit for receiving a whole body. Beyond it, the response is 408. Default: 10 seconds.
    ///
    /// The time starts when the layer begins to receive the body: after the head has been checked
    /// and, with an [`app_resolver`](Self#method.app_resolver), the app has been resolved.
    ///
    /// Servers limit the time for the head but not for the body; hyper is one of them. Without a
    /// deadline, a sender of one byte per second would hold its memory indefinitely.
    ///
    /// # Panics
    ///
    /// Building does not panic. Receiving a delivery panics outside of a Tokio runtime, and in a
    /// runtime without a timer (`enable_time`), with tokio's message: there would be no deadline.
    /// Without such a runtime, turn off the default feature `tokio` and limit the time of requests
    /// in the host.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_whatsapp::WebhookLayer;
    ///
    /// let builder = WebhookLayer::builder()
    ///     .body_deadline(Duration::from_secs(10))
    ///     .body_idle_timeout(Duration::from_secs(5));
    /// ```
    #[cfg(feature = "tokio")]
    #[doc(alias = "timeout")]
    pub fn body_deadline(mut self, deadline: std::time::Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// Longest pause between two frames of a body. Beyond it, the response is 408. Default: 5
    /// seconds.
    ///
    /// It releases the memory of a silent sender before the deadline. Requires a Tokio runtime
    /// with a timer, like [`body_deadline`](Self::body_deadline).
    #[cfg(feature = "tokio")]
    pub fn body_idle_timeout(mut self, idle: std::time::Duration) -> Self {
        self.limits.idle = idle;
        self
    }

    /// Maximum number of bytes held by all bodies in memory and what is parsed from them, over all
    /// requests of this layer and its clones. Default: 64 MiB.
    ///
    /// A body that arrives in one frame is not charged before its signature is verified. When the
    /// budget is used up, the slowest incomplete body is evicted for a faster or a verified one,
    /// and answered with 503 and `Retry-After: 1`. A body that can evict no other is answered in
    /// the same way. The last quarter is reserved for deliveries that take up to 16 KiB, body and
    /// index together, so that neither slow handlers nor large bodies of strangers starve ordinary
    /// messages. A body is charged until its request is answered. One alone may exceed the limit.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Refuses every POST that does not come from one of these addresses, before its signature is
    /// checked. Default: every address is allowed. With [`AdmissionPolicy::Any`], the certificate
    /// is enough. The GET handshake is answered for every address: its token authenticates it.
    ///
    /// The address is that of the connection: from axum's `ConnectInfo<SocketAddr>` (feature
    /// `axum`), or from a [`PeerAddr`](crate::admission::PeerAddr) that the host inserts into the
    /// extensions. Without either, every POST is refused. Behind a proxy it is the proxy's address:
    /// see [`trusted_proxies`](Self::trusted_proxies).
    ///
    /// Building fails if this is called twice: put all prefixes into one list.
    #[cfg(feature = "admission")]
    pub fn ip_allow_list(mut self, list: IpAllowList) -> Self {
        self.admission.list = Some(list);
        self.admission.lists_set += 1;
        self
    }

    /// Trusts these proxies to report the client address and, if it is
    /// [forwarded](crate::admission), the client certificate. Default: no header is trusted.
    ///
    /// Building fails without an [`ip_allow_list`](Self::ip_allow_list) or a forwarded certificate,
    /// because the setting would have no effect. It also fails if this is called twice: for a chain
    /// of proxies, put all of their addresses into one value.
    #[cfg(feature = "admission")]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.admission.proxies = Some(proxies);
        self.admission.proxies_set += 1;
        self
    }

    /// Refuses every POST whose sender does not present this certificate. Default: none is
    /// required. With [`AdmissionPolicy::Any`], an address of the list is enough.
    ///
    /// The certificate proves that the sender is Meta, but not for which app. The signature check
    /// still runs.
    ///
    /// Building fails if this is called twice.
    #[cfg(feature = "client-certificate")]
    #[doc(alias = "mtls")]
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.admission.certificate = Some(certificate);
        self.admission.certificates_set += 1;
        self
    }

    /// Whether a sender must pass both the [`ip_allow_list`](Self::ip_allow_list) and the
    /// [`client_certificate`](Self#method.client_certificate), or only one of them. Default: all
    /// rules that are set.
    ///
    /// [`Any`](AdmissionPolicy::Any) requires both rules to be set; otherwise building fails.
    #[cfg(feature = "admission")]
    pub fn admission_policy(mut self, policy: AdmissionPolicy) -> Self {
        self.admission.policy = policy;
        self
    }

    /// Customises the rejection responses. Default: [`Rejection::to_response`], with an empty body.
    ///
    /// The layer corrects the response of the hook: any status but 4xx and 5xx is replaced by that
    /// of the rejection, because Meta would count a 200 as received, and others are no answer to a
    /// POST; `Allow`, `Retry-After` and `Accept-Encoding` are added if they are missing; and the
    /// [`Rejection`] is inserted into the extensions. If the hook panics, the default response is
    /// sent.
    pub fn on_rejection<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.on_rejection = Some(Arc::new(hook));
        self
    }

    /// What the layer does when the inner service fails with an error instead of answering a
    /// verified delivery. Default: [`OnHandlerError::Respond`].
    ///
    /// Errors of requests to other paths are always propagated.
    pub fn on_handler_error(mut self, choice: OnHandlerError) -> Self {
        self.on_handler_error = choice;
        self
    }

    /// Calls `hook` for each detected mistake in the host's setup, once per kind, or at most once a
    /// minute for [`PathMissed`](SetupWarning::PathMissed). Default: writes one line to standard
    /// error, unless a `tracing` subscriber takes it. A panic of the hook is ignored.
    ///
    /// ```
    /// use tower_whatsapp::WebhookLayer;
    ///
    /// let builder = WebhookLayer::builder().on_setup_warning(|warning| {
    ///     // To the log of the host.
    ///     println!("{warning}");
    /// });
    /// ```
    pub fn on_setup_warning<F>(mut self, hook: F) -> Self
    where
        F: Fn(SetupWarning) + Send + Sync + 'static,
    {
        self.on_setup_warning = Some(Arc::new(hook));
        self
    }

    /// Validates the settings and builds the layer.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the first missing or invalid setting.
    pub fn build(mut self) -> Result<WebhookLayer, ConfigError> {
        let routes = self.build_routes()?;
        let longest_body = Budget::longest_body(self.memory_budget);
        validate_limits(&self.limits, &routes, longest_body)?;
        #[cfg(feature = "admission")]
        self.admission.validate()?;
        let telemetry = Arc::new(WebhookTelemetry::default());
        telemetry.built(&routes.to_string(), self.limits.body, self.memory_budget);
        let warnings = WarningReporter::new(self.on_setup_warning, Arc::clone(&telemetry));
        #[cfg(feature = "apps")]
        let labels = Labels::new();
        #[cfg(feature = "apps")]
        for app in routes.apps() {
            labels.is_shared(app, None);
        }
        Ok(WebhookLayer {
            config: Arc::new(Config {
                routes,
                #[cfg(feature = "admission")]
                admission: self.admission,
                limits: self.limits,
                longest_body,
                budget: Arc::new(Budget::new(self.memory_budget)),
                on_rejection: self.on_rejection,
                on_handler_error: self.on_handler_error,
                warnings: Arc::new(warnings),
                telemetry,
                #[cfg(feature = "apps")]
                labels,
            }),
        })
    }

    fn build_routes(&mut self) -> Result<Routes, ConfigError> {
        let mut routes = Routes::default();
        let has_credentials = !self.credentials.is_empty()
            || !self.app_secrets.is_empty()
            || !self.verify_tokens.is_empty();
        let has_routes = !self.routes.is_empty();
        #[cfg(feature = "apps")]
        let has_routes = has_routes || !self.app_resolvers.is_empty();
        if self.path.is_some() || has_credentials || !has_routes {
            let path = match self.path.take() {
                None => return Err(ConfigError::PathMissing),
                Some(_) if self.path_calls > 1 => return Err(ConfigError::PathConflict),
                Some(path) => path,
            };
            let credentials = self.build_credentials()?;
            routes.set_first(path, App::unnamed(credentials))?;
        }
        for (path, app) in self.routes.drain(..) {
            routes.add(path, app)?;
        }
        if routes.has_label_conflict() {
            return Err(ConfigError::AppLabelConflict);
        }
        #[cfg(feature = "apps")]
        for (pattern, resolver) in self.app_resolvers.drain(..) {
            routes.add_pattern(&pattern, resolver)?;
        }
        Ok(routes)
    }

    /// Builds the credentials of the app at `path`.
    fn build_credentials(&mut self) -> Result<Credentials, ConfigError> {
        let app_secrets = self.app_secrets.drain(..).collect::<Result<Vec<_>, _>>();
        let app_secrets = app_secrets.map_err(|error| match error {
            SecretError::Blank => ConfigError::AppSecretBlank,
            SecretError::Whitespace => ConfigError::AppSecretWhitespace,
            SecretError::Quoted => ConfigError::AppSecretQuoted,
        })?;
        let verify_tokens = self.verify_tokens.drain(..).collect::<Result<Vec<_>, _>>();
        let verify_tokens = verify_tokens.map_err(|error| match error {
            SecretError::Blank => ConfigError::VerifyTokenBlank,
            SecretError::Whitespace => ConfigError::VerifyTokenWhitespace,
            SecretError::Quoted => ConfigError::VerifyTokenQuoted,
        })?;
        match (self.credentials.pop(), self.credentials.is_empty()) {
            (None, _) => {
                Credentials::numbered(app_secrets, verify_tokens).map_err(ConfigError::of_builder)
            }
            (Some(credentials), true) if app_secrets.is_empty() && verify_tokens.is_empty() => {
                Ok(credentials)
            }
            (Some(_), _) => Err(ConfigError::CredentialsConflict),
        }
    }
}

fn validate_limits(
    limits: &Limits,
    routes: &Routes,
    longest_body: usize,
) -> Result<(), ConfigError> {
    if !(1..=MAX_BODY_LIMIT).contains(&limits.body) {
        return Err(ConfigError::BodyLimit);
    }
    #[cfg(feature = "tokio")]
    {
        if limits.deadline.is_zero() {
            return Err(ConfigError::BodyDeadline);
        }
        if limits.idle.is_zero() {
            return Err(ConfigError::BodyIdleTimeout);
        }
    }
    let mut body_limits = routes
        .apps()
        .filter_map(App::own_body_limit)
        .chain([limits.body]);
    if body_limits.any(|limit| limit > longest_body) {
        return Err(ConfigError::MemoryBudget);
    }
    Ok(())
}

impl fmt::Debug for WebhookLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookLayerBuilder")
            .field("path", &self.path)
            .field("app_secrets", &self.app_secrets.len())
            .field("verify_tokens", &self.verify_tokens.len())
            .field("credentials", &self.credentials)
            .field("routes", &self.routes)
            .field("limits", &self.limits)
            .field("memory_budget", &self.memory_budget)
            .finish_non_exhaustive()
    }
}
