use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use http::Response;

#[cfg(feature = "apps")]
use super::resolver::CachedResolver;
use super::{
    app::App,
    layer::WebhookLayer,
    rejection::{Rejection, RejectionKind},
    routes::{Path, Routes},
    setup::{SetupWarning, SetupWarnings},
};
#[cfg(feature = "client-certificate")]
use crate::admission::ClientCertificate;
#[cfg(feature = "admission")]
use crate::admission::{Admission, AdmissionMisuse, AdmissionPolicy, IpAllowList, TrustedProxies};
use crate::{
    credentials::{Credentials, CredentialsError},
    receive::{Budget, Limits},
    secret::{AppSecret, SecretError, VerifyToken},
};

/// Positions in a body are kept as `u32`.
pub(super) const MAX_BODY_LIMIT: usize = u32::MAX as usize;

const DEFAULT_BODY_LIMIT: usize = 4 * 1024 * 1024;
const DEFAULT_MEMORY_BUDGET: usize = 64 * 1024 * 1024;
#[cfg(feature = "tokio")]
const DEFAULT_BODY_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);
#[cfg(feature = "tokio")]
const DEFAULT_BODY_IDLE: std::time::Duration = std::time::Duration::from_secs(5);

type OnRejection = dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync;

/// Configures a [`WebhookLayer`]. Every setting is checked in [`build`](Self::build).
///
/// ```
/// use tower_whatsapp::WebhookLayer;
///
/// let layer = WebhookLayer::builder()
///     .path("/webhook")
///     .app_secret("the new secret")
///     .app_secret("the one before, until Meta no longer signs with it")
///     .verify_token("a long random text")
///     .body_limit(4 * 1024 * 1024)
///     .memory_budget(64 * 1024 * 1024)
///     .on_rejection(|rejection| {
///         // Dress the answer, or just count `rejection.kind()`.
///         rejection.to_response()
///     })
///     .build()?;
/// # Ok::<(), tower_whatsapp::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct WebhookLayerBuilder {
    path: Option<Path>,
    paths: usize,
    app_secrets: Vec<Result<AppSecret, SecretError>>,
    verify_tokens: Vec<Result<VerifyToken, SecretError>>,
    credentials: Option<Credentials>,
    routes: Vec<(String, App)>,
    #[cfg(feature = "apps")]
    apps: Vec<(String, CachedResolver)>,
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
            paths: 0,
            app_secrets: Vec::new(),
            verify_tokens: Vec::new(),
            credentials: None,
            routes: Vec::new(),
            #[cfg(feature = "apps")]
            apps: Vec::new(),
            limits: Limits {
                body: DEFAULT_BODY_LIMIT,
                #[cfg(feature = "tokio")]
                deadline: DEFAULT_BODY_DEADLINE,
                #[cfg(feature = "tokio")]
                idle: DEFAULT_BODY_IDLE,
            },
            memory_budget: DEFAULT_MEMORY_BUDGET,
            #[cfg(feature = "admission")]
            admission: Admission::default(),
            on_rejection: None,
            on_handler_error: OnHandlerError::default(),
            on_setup_warning: None,
        }
    }

    /// The path of the webhook. Every request to another path passes through untouched and unverified.
    ///
    /// It is compared with the raw path of the request as it reaches the layer, byte by byte: nothing is decoded, no slash is
    /// added or removed, no case is folded. It starts with `/` and has no query. `{` and `}` are refused, because no parameters
    /// are matched; for apps by name there is [`apps`](Self#method.app_resolver). `+` is refused, because Meta calls it as a space. The path is not what makes a handler safe: see [the module docs](crate::webhook#what-a-handler-may-trust).
    ///
    /// This is the path of the one app whose secrets and tokens are given to this builder. Choose either this or [`any_path`](Self::any_path),
    /// once. For several paths or apps there is [`route`](Self::route).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(Path::Exact(path.into()));
        self.paths += 1;
        self
    }

    /// Takes every request that reaches the layer for the webhook's. For a layer around one route or method router, where the
    /// router has already chosen.
    pub fn any_path(mut self) -> Self {
        self.path = Some(Path::Any);
        self.paths += 1;
        self
    }

    /// A secret of the app, from the App Dashboard. At least one is needed, and there is no way to do without.
    ///
    /// White space around it is an error, such as the newline at the end of a file.
    ///
    /// May be called several times: every delivery is tried under all of them, and
    /// [`Verified::secret_label`](crate::Verified::secret_label) tells which it was. To change them while the service runs there are
    /// [`credentials`](Self::credentials).
    pub fn app_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.app_secrets.push(AppSecret::new(secret));
        self
    }

    /// The token that was typed into the App Dashboard beside the callback URL: 1 to 512 bytes. At least one is needed.
    ///
    /// White space around it is an error, such as the newline at the end of a file.
    ///
    /// May be called several times, since every override of the callback URL (per account or phone number) has a token of its own.
    pub fn verify_token(mut self, token: impl AsRef<[u8]>) -> Self {
        self.verify_tokens.push(VerifyToken::new(token));
        self
    }

    /// The secrets and tokens of the app, which can then be changed while the service runs; in place of [`app_secret`](Self::app_secret) and
    /// [`verify_token`](Self::verify_token).
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// One more path, and the app of which it is. May be called any number of times; one app may have several paths.
    ///
    /// Paths are compared as that of [`path`](Self::path). A delivery is tried under the secrets of the app of its path and of no other.
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

    /// Paths with the name of an app in them, and where the app of a name is found: `"/hooks/{app}"`. Paths that are set by themselves go first.
    ///
    /// `{app}` is one whole segment of the path. A name is 1 to 128 letters, digits and `.`, `_`, `~`, `-`; any other segment there is refused
    /// without a look. See [`CachedResolver`] for what strangers can make it do.
    #[cfg(feature = "apps")]
    pub fn app_resolver(
        mut self,
        pattern: impl Into<String>,
        apps: impl Into<CachedResolver>,
    ) -> Self {
        self.apps.push((pattern.into(), apps.into()));
        self
    }

    /// The most bytes of a body; one more is answered with 413. Default: 4 MiB (4,194,304 bytes).
    ///
    /// Meta says "up to 3 MB" and not which megabyte. To refuse a genuine delivery is to lose it, and a larger bound costs nothing
    /// because of the [memory budget](Self::memory_budget).
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = bytes;
        self
    }

    /// The time for a whole body, from the arrival of the headers; then 408. Default: 10 seconds.
    ///
    /// Servers bound the time for headers and, as hyper does, not that for bodies: a sender of one byte a second would hold its
    /// memory for ever.
    ///
    /// # Panics
    ///
    /// Building does not panic. Every delivery that is received outside of a Tokio runtime, or in one
    /// without a timer (`enable_time`), panics with tokio's message: without a timer there is no deadline.
    /// Where there is no such runtime, turn off the default feature `tokio` and bound the time of
    /// requests yourself.
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
    pub fn body_deadline(mut self, deadline: std::time::Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// The longest pause between two pieces of a body; then 408. Default: 5 seconds.
    ///
    /// Frees the memory of a sender that has gone silent before its deadline. Needs a Tokio runtime with a
    /// timer, as [`body_deadline`](Self::body_deadline).
    #[cfg(feature = "tokio")]
    pub fn body_idle_timeout(mut self, idle: std::time::Duration) -> Self {
        self.limits.idle = idle;
        self
    }

    /// Maximum number of bytes that all bodies in memory may take together, with what is parsed of them,
    /// over all requests of this layer and its clones. Default: 64 MiB.
    ///
    /// A body that comes whole in one frame takes nothing before its signature was found right. When
    /// the budget is used up, the slowest incomplete body gives way to a faster one or to a verified one
    /// and is answered with 503 and `Retry-After: 1`. A body that finds none to displace is answered
    /// likewise. Only bodies of up to 16 KiB may use the last quarter, so that slow handlers of large
    /// deliveries do not starve ordinary messages. A body counts until its request has been answered.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Refuses every POST that does not come from one of these addresses, before its signature is looked at. Default: every address.
    ///
    /// The GET of the handshake is answered whoever sends it: its token is what it proves itself by.
    ///
    /// The address is that of the connection: from axum's `ConnectInfo<SocketAddr>` (feature `axum`), or from the
    /// [`PeerAddr`](crate::admission::PeerAddr) that the host has put into the extensions. Where there is neither, nobody is let in. Behind a
    /// proxy it is the proxy's: see [`trusted_proxies`](Self::trusted_proxies).
    #[cfg(feature = "admission")]
    pub fn ip_allow_list(mut self, list: IpAllowList) -> Self {
        self.admission.list = Some(list);
        self
    }

    /// Trusts these proxies to report the address of the caller, and its certificate if that is
    /// [forwarded](crate::admission). Default: no header is trusted.
    ///
    /// Without an [`ip_allow_list`](Self::ip_allow_list) or a forwarded certificate it would have no
    /// effect, and the layer is not built. Nor is it if this is called twice: a second value would
    /// replace the first one. Proxies in a row are one value, with the addresses of all of them.
    #[cfg(feature = "admission")]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.admission.proxies = Some(proxies);
        self.admission.proxies_set += 1;
        self
    }

    /// Refuses every POST whose sender has not shown this certificate. Default: none is asked for.
    ///
    /// It says that the sender is Meta, and not for which app: the signature is needed all the same.
    #[cfg(feature = "client-certificate")]
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.admission.certificate = Some(certificate);
        self
    }

    /// Whether a sender must pass both the [`ip_allow_list`](Self::ip_allow_list) and the
    /// [`client_certificate`](Self#method.client_certificate), or one of them. Default: both, as far as they are set.
    ///
    /// [`Any`](AdmissionPolicy::Any) needs both rules, or the layer is not built.
    #[cfg(feature = "admission")]
    pub fn admission_policy(mut self, policy: AdmissionPolicy) -> Self {
        self.admission.policy = policy;
        self
    }

    /// Dresses the answer to a request that is refused. Default: [`Rejection::to_response`], with an empty body.
    ///
    /// Three things are seen to afterwards: a 2xx becomes the status of the rejection again (it would tell Meta that the delivery
    /// was taken), `Allow` and `Retry-After` are added where they are missing, and the [`Rejection`] is put into the extensions.
    pub fn on_rejection<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.on_rejection = Some(Arc::new(hook));
        self
    }

    /// What becomes of an error with which the inner service fails instead of answering a verified
    /// delivery. Default: [`OnHandlerError::Respond`].
    ///
    /// Errors of requests to other paths are always handed on.
    pub fn on_handler_error(mut self, choice: OnHandlerError) -> Self {
        self.on_handler_error = choice;
        self
    }

    /// Is told of mistakes in the setup of the host that requests make visible, each once. Default:
    /// one line on standard error.
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

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the first setting that is missing or wrong.
    pub fn build(self) -> Result<WebhookLayer, ConfigError> {
        let mut routes = Routes::default();
        let has_credentials = self.credentials.is_some()
            || !self.app_secrets.is_empty()
            || !self.verify_tokens.is_empty();
        let has_routes = !self.routes.is_empty();
        #[cfg(feature = "apps")]
        let has_routes = has_routes || !self.apps.is_empty();
        if self.path.is_some() || has_credentials || !has_routes {
            let path = match self.path {
                None => return Err(ConfigError::PathMissing),
                Some(_) if self.paths > 1 => return Err(ConfigError::PathConflict),
                Some(path) => path,
            };
            let app_secrets = all(self.app_secrets).map_err(|error| match error {
                SecretError::Blank => ConfigError::AppSecretBlank,
                SecretError::Whitespace => ConfigError::AppSecretWhitespace,
            })?;
            let verify_tokens = all(self.verify_tokens).map_err(|error| match error {
                SecretError::Blank => ConfigError::VerifyTokenBlank,
                SecretError::Whitespace => ConfigError::VerifyTokenWhitespace,
            })?;
            let credentials = match self.credentials {
                None => Credentials::numbered(app_secrets, verify_tokens)?,
                Some(credentials) if app_secrets.is_empty() && verify_tokens.is_empty() => {
                    credentials
                }
                Some(_) => return Err(ConfigError::CredentialsConflict),
            };
            routes.set_first(path, App::unnamed(credentials))?;
        }
        for (path, app) in self.routes {
            routes.add(path, app)?;
        }
        if routes.have_equal_labels() {
            return Err(ConfigError::AppLabelConflict);
        }
        #[cfg(feature = "apps")]
        for (pattern, resolver) in self.apps {
            routes.add_pattern(&pattern, resolver)?;
        }
        if !(1..=MAX_BODY_LIMIT).contains(&self.limits.body) {
            return Err(ConfigError::BodyLimit);
        }
        #[cfg(feature = "tokio")]
        {
            if self.limits.deadline.is_zero() {
                return Err(ConfigError::BodyDeadline);
            }
            if self.limits.idle.is_zero() {
                return Err(ConfigError::BodyIdleTimeout);
            }
        }
        let longest = Budget::longest_body(self.memory_budget);
        let own_limits = routes.apps().filter_map(App::own_body_limit);
        if own_limits
            .chain([self.limits.body])
            .any(|body| body > longest)
        {
            return Err(ConfigError::MemoryBudget);
        }
        #[cfg(feature = "admission")]
        self.admission.validate()?;
        Ok(WebhookLayer {
            config: Arc::new(Config {
                routes,
                #[cfg(feature = "admission")]
                admission: self.admission,
                limits: self.limits,
                longest,
                budget: Arc::new(Budget::new(self.memory_budget)),
                on_rejection: self.on_rejection,
                on_handler_error: self.on_handler_error,
                warnings: Arc::new(SetupWarnings::new(self.on_setup_warning)),
            }),
        })
    }
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

/// What becomes of an error with which the inner service fails instead of answering a verified
/// delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnHandlerError {
    /// It is dropped, and the delivery is answered with 503
    /// ([`RejectionKind::HandlerFailed`]), so that Meta sends it again. To log the error, map it inside
    /// of the layer (`tower::util::MapErrLayer`).
    ///
    /// The default, because hosts turn errors into responses of their own, some of them into a 200:
    /// tonic does, with a `grpc-status` that Meta does not look at.
    #[default]
    Respond,
    /// It is handed to what is outside of the layer. That must not answer 200.
    Propagate,
}

/// What is wrong with the settings of a layer. Found when it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// None of [`path`](WebhookLayerBuilder::path), [`any_path`](WebhookLayerBuilder::any_path) and [`route`](WebhookLayerBuilder::route)
    /// was chosen, or there are secrets or tokens whose path was not.
    PathMissing,
    /// `path` or `any_path` was chosen more than once, or a path has two apps.
    PathConflict,
    /// The path does not start with `/`, has a query or a fragment, or a character that no path can
    /// have.
    PathInvalid,
    /// The path has a brace. No parameters are matched in it; names of apps are, in the pattern of
    /// [`apps`](WebhookLayerBuilder#method.app_resolver).
    PathBraces,
    /// The path or pattern has a `+`. Meta calls such a URL with a space in its place, so no request
    /// would match.
    PathPlus,
    /// No [`app_secret`](WebhookLayerBuilder::app_secret).
    AppSecretMissing,
    /// An [`app_secret`](WebhookLayerBuilder::app_secret) is empty or white space only.
    AppSecretBlank,
    /// An [`app_secret`](WebhookLayerBuilder::app_secret) begins or ends with white space, such as
    /// the newline at the end of a file.
    AppSecretWhitespace,
    /// No [`verify_token`](WebhookLayerBuilder::verify_token).
    VerifyTokenMissing,
    /// A [`verify_token`](WebhookLayerBuilder::verify_token) is empty or white space only.
    VerifyTokenBlank,
    /// A [`verify_token`](WebhookLayerBuilder::verify_token) begins or ends with white space, such as
    /// the newline at the end of a file.
    VerifyTokenWhitespace,
    /// A [`verify_token`](WebhookLayerBuilder::verify_token) is longer than 512 bytes.
    VerifyTokenTooLong,
    /// There are [`credentials`](WebhookLayerBuilder::credentials), and a secret or token beside them.
    CredentialsConflict,
    /// The label of an [`App`](crate::App) is not 1 to 64 letters, digits and `.`, `_`, `~`, `-`.
    AppLabel,
    /// Two apps of a layer have one label. Stores of handled events keep apart what has different labels, so an event
    /// that both receive would be handled by one of them only.
    AppLabelConflict,
    /// The [`accounts`](super::AppBuilder::accounts) of an app are an empty list, or one of them is not digits only: it could receive
    /// nothing.
    Accounts,
    /// The [`phone_numbers`](super::AppBuilder::phone_numbers) of an app are an empty list, or one of
    /// them is not digits only: only events without a phone number would be handled.
    PhoneNumbers,
    /// The pattern of [`apps`](WebhookLayerBuilder#method.app_resolver) is not a path with one segment `{app}`.
    PatternInvalid,
    /// There are two patterns of [`apps`](WebhookLayerBuilder#method.app_resolver).
    PatternConflict,
    /// A setting of a [resolver](WebhookLayerBuilder#method.app_resolver) of apps is zero.
    CachedResolver,
    /// The [`body_limit`](WebhookLayerBuilder::body_limit) is 0 or over 4,294,967,295 bytes.
    BodyLimit,
    /// The [`body_deadline`](WebhookLayerBuilder#method.body_deadline) is zero.
    BodyDeadline,
    /// The [`body_idle_timeout`](WebhookLayerBuilder#method.body_idle_timeout) is zero.
    BodyIdleTimeout,
    /// The [`memory_budget`](WebhookLayerBuilder::memory_budget) has no room for one body at its limit: three quarters of it and
    /// 16 KiB must be at least the [`body_limit`](WebhookLayerBuilder::body_limit).
    MemoryBudget,
    /// The [`client_certificate`](WebhookLayerBuilder#method.client_certificate) is believed from a header, and there are no
    /// [`trusted_proxies`](WebhookLayerBuilder#method.trusted_proxies) with addresses from which it could have come. How many there are does not
    /// do: then whoever reaches the host is believed.
    TrustedProxiesMissing,
    /// [`trusted_proxies`](WebhookLayerBuilder#method.trusted_proxies) was set more than once. One
    /// value has the addresses of all proxies in a row.
    TrustedProxiesConflict,
    /// There are [`trusted_proxies`](WebhookLayerBuilder#method.trusted_proxies), and nothing that
    /// they report is used: neither an
    /// [`ip_allow_list`](WebhookLayerBuilder#method.ip_allow_list) nor a
    /// [`client_certificate`](WebhookLayerBuilder#method.client_certificate) from a header is set.
    TrustedProxiesUnused,
    /// The [`admission_policy`](WebhookLayerBuilder#method.admission_policy) is
    /// `AdmissionPolicy::Any`, and there are not two rules to choose from.
    AdmissionPolicyUnused,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PathMissing => "`path`: set it, or choose `any_path` for a layer on one route",
            Self::PathConflict => {
                "`path`: choose one path, or `any_path`, and only once; `route`: one app for each path"
            }
            Self::PathInvalid => {
                "`path`: must start with `/` and be matched as it is: no query, no fragment"
            }
            Self::PathBraces => {
                "`path`: braces match nothing here; for apps by name use `.app_resolver(\"/hooks/{app}\", ..)`"
            }
            Self::PathPlus => {
                "`path`: no `+`, because Meta calls the URL with a space in its place"
            }
            Self::AppSecretMissing => "`app_secret`: at least one is needed",
            Self::AppSecretBlank => "`app_secret`: must not be blank",
            Self::AppSecretWhitespace => {
                "`app_secret`: must not begin or end with white space, such as the newline of a file"
            }
            Self::VerifyTokenMissing => "`verify_token`: at least one is needed",
            Self::VerifyTokenBlank => "`verify_token`: must not be blank",
            Self::VerifyTokenWhitespace => {
                "`verify_token`: must not begin or end with white space, such as the newline of a file"
            }
            Self::VerifyTokenTooLong => "`verify_token`: must not be longer than 512 bytes",
            Self::CredentialsConflict => {
                "`credentials`: choose either them or `app_secret` and `verify_token`"
            }
            Self::AppLabel => "`App`: the label must be 1 to 64 letters, digits and `.`, `_`, `~`, `-`",
            Self::Accounts => "`accounts`: must be ids, of digits only, and at least one",
            Self::PhoneNumbers => {
                "`phone_numbers`: must be ids, of digits only, and at least one"
            }
            Self::AppLabelConflict => {
                "`route`: two apps have one label, so one would lose the events that both receive"
            }
            Self::PatternInvalid => "`apps`: must be a path with one segment `{app}`",
            Self::PatternConflict => "`apps`: choose one pattern",
            Self::CachedResolver => "`CachedResolver`: no setting may be zero",
            Self::BodyLimit => "`body_limit`: must be at least 1 and at most 4294967295 bytes",
            Self::BodyDeadline => "`body_deadline`: must not be zero",
            Self::BodyIdleTimeout => "`body_idle_timeout`: must not be zero",
            Self::MemoryBudget => {
                "`memory_budget`: three quarters of it and 16 KiB must be at least `body_limit`"
            }
            Self::TrustedProxiesMissing => {
                "`trusted_proxies`: `client_certificate` is to be believed from a header, so say from which addresses"
            }
            Self::TrustedProxiesConflict => {
                "`trusted_proxies`: set it once, with the addresses of all proxies in a row"
            }
            Self::TrustedProxiesUnused => {
                "`trusted_proxies`: has no effect without `ip_allow_list` or a forwarded `client_certificate`"
            }
            Self::AdmissionPolicyUnused => {
                "`admission_policy`: `Any` needs both `ip_allow_list` and `client_certificate`"
            }
        })
    }
}

impl Error for ConfigError {}

impl From<CredentialsError> for ConfigError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::SecretMissing => Self::AppSecretMissing,
            CredentialsError::SecretBlank => Self::AppSecretBlank,
            CredentialsError::SecretWhitespace => Self::AppSecretWhitespace,
            CredentialsError::TokenBlank => Self::VerifyTokenBlank,
            CredentialsError::TokenWhitespace => Self::VerifyTokenWhitespace,
            CredentialsError::TokenTooLong => Self::VerifyTokenTooLong,
            // Labels are numbers here.
            CredentialsError::TokenMissing
            | CredentialsError::LabelInvalid
            | CredentialsError::LabelTaken
            | CredentialsError::LabelUnknown => Self::VerifyTokenMissing,
        }
    }
}

#[cfg(feature = "admission")]
impl From<AdmissionMisuse> for ConfigError {
    fn from(misuse: AdmissionMisuse) -> Self {
        match misuse {
            #[cfg(feature = "client-certificate")]
            AdmissionMisuse::ProxiesMissing => Self::TrustedProxiesMissing,
            AdmissionMisuse::ProxiesConflict => Self::TrustedProxiesConflict,
            AdmissionMisuse::ProxiesUnused => Self::TrustedProxiesUnused,
            AdmissionMisuse::PolicyUnused => Self::AdmissionPolicyUnused,
        }
    }
}

/// The settings of a layer, checked.
pub(super) struct Config {
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    /// The longest body for which the budget has room.
    pub(super) longest: usize,
    pub(super) budget: Arc<Budget>,
    #[cfg(feature = "admission")]
    pub(super) admission: Admission,
    on_rejection: Option<Arc<OnRejection>>,
    on_handler_error: OnHandlerError,
    pub(super) warnings: Arc<SetupWarnings>,
}

impl Config {
    pub(super) fn reject(&self, kind: impl Into<RejectionKind>) -> Response<Bytes> {
        let rejection = Rejection::from(kind.into());
        let mut response = match &self.on_rejection {
            Some(hook) => hook(&rejection),
            None => rejection.to_response(),
        };
        rejection.mark(&mut response);
        response
    }

    /// What becomes of an error of the inner service, in place of a response or while it was
    /// readied.
    pub(super) fn handler_failed<E>(&self, error: E) -> Result<RejectionKind, E> {
        match self.on_handler_error {
            OnHandlerError::Respond => Ok(RejectionKind::HandlerFailed),
            OnHandlerError::Propagate => Err(error),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("routes", &self.routes)
            .field("limits", &self.limits)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

fn all<T>(secrets: Vec<Result<T, SecretError>>) -> Result<Vec<T>, SecretError> {
    secrets.into_iter().collect()
}
