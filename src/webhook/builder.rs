use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, uri::PathAndQuery};

use super::{
    layer::WebhookLayer,
    rejection::{Rejection, RejectionKind},
};
use crate::{
    receive::{Budget, Limits},
    secret::{AppSecret, BlankSecret, VerifyToken},
};

/// Twice as long would still be found in the query of a handshake when every byte of it is percent-encoded.
const MAX_VERIFY_TOKEN: usize = 512;

/// Positions in a body are kept as `u32`.
const MAX_BODY_LIMIT: usize = u32::MAX as usize;

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
    app_secrets: Vec<Result<AppSecret, BlankSecret>>,
    verify_tokens: Vec<Result<VerifyToken, BlankSecret>>,
    limits: Limits,
    memory_budget: usize,
    on_rejection: Option<Arc<OnRejection>>,
}

impl WebhookLayerBuilder {
    pub(super) fn new() -> Self {
        Self {
            path: None,
            paths: 0,
            app_secrets: Vec::new(),
            verify_tokens: Vec::new(),
            limits: Limits {
                body: DEFAULT_BODY_LIMIT,
                #[cfg(feature = "tokio")]
                deadline: DEFAULT_BODY_DEADLINE,
                #[cfg(feature = "tokio")]
                idle: DEFAULT_BODY_IDLE,
            },
            memory_budget: DEFAULT_MEMORY_BUDGET,
            on_rejection: None,
        }
    }

    /// The path of the webhook. Every request to another path passes through untouched and unverified.
    ///
    /// It is compared with the raw path of the request as it reaches the layer, byte by byte: nothing is decoded, no slash is
    /// added or removed, no case is folded. It starts with `/` and has no query; `{` and `}` are refused, because nothing is
    /// matched. The path is not what makes a handler safe: see [the module docs](crate::webhook#what-a-handler-may-trust).
    ///
    /// One layer serves one path: choose either this or [`any_path`](Self::any_path), once.
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
    /// May be called several times: during a rotation, or for several apps that share the URL. Every delivery is tried under all
    /// of them, and [`Verified::secret_index`](super::Verified::secret_index) tells which it was.
    pub fn app_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.app_secrets.push(AppSecret::new(secret));
        self
    }

    /// The token that was typed into the App Dashboard beside the callback URL: 1 to 512 bytes. At least one is needed.
    ///
    /// May be called several times, since every override of the callback URL (per account or phone number) has a token of its own.
    pub fn verify_token(mut self, token: impl AsRef<[u8]>) -> Self {
        self.verify_tokens.push(VerifyToken::new(token));
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
    /// memory for ever. Needs a Tokio runtime with its time driver on.
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
    /// Frees the memory of a sender that has gone silent before its deadline. Needs a Tokio runtime with its time driver on.
    #[cfg(feature = "tokio")]
    pub fn body_idle_timeout(mut self, idle: std::time::Duration) -> Self {
        self.limits.idle = idle;
        self
    }

    /// The bytes that all bodies which are being received or handled may take together, over all requests of this layer and of
    /// its clones; then 503 with `Retry-After: 1`. Default: 64 MiB.
    ///
    /// A quarter of it is set aside for the first 16 KiB of every body, so that a few large or stalled senders cannot starve
    /// ordinary messages, which are about 1 KiB. A body counts until its request has been answered.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
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

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the first setting that is missing or wrong.
    pub fn build(self) -> Result<WebhookLayer, ConfigError> {
        let path = match self.path {
            None => return Err(ConfigError::PathMissing),
            Some(_) if self.paths > 1 => return Err(ConfigError::PathConflict),
            Some(Path::Exact(path)) if !is_path(&path) => return Err(ConfigError::PathInvalid),
            Some(path) => path,
        };
        let app_secrets = all(self.app_secrets).map_err(|_| ConfigError::AppSecretBlank)?;
        if app_secrets.is_empty() {
            return Err(ConfigError::AppSecretMissing);
        }
        let verify_tokens = all(self.verify_tokens).map_err(|_| ConfigError::VerifyTokenBlank)?;
        if verify_tokens.is_empty() {
            return Err(ConfigError::VerifyTokenMissing);
        }
        if verify_tokens
            .iter()
            .any(|token| token.len() > MAX_VERIFY_TOKEN)
        {
            return Err(ConfigError::VerifyTokenTooLong);
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
        if Budget::longest_body(self.memory_budget) < self.limits.body {
            return Err(ConfigError::MemoryBudget);
        }
        Ok(WebhookLayer {
            config: Arc::new(Config {
                path,
                app_secrets,
                verify_tokens,
                limits: self.limits,
                budget: Arc::new(Budget::new(self.memory_budget)),
                on_rejection: self.on_rejection,
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
            .field("limits", &self.limits)
            .field("memory_budget", &self.memory_budget)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the settings of a layer. Found when it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither [`path`](WebhookLayerBuilder::path) nor [`any_path`](WebhookLayerBuilder::any_path) was chosen.
    PathMissing,
    /// More than one path was chosen.
    PathConflict,
    /// The path does not start with `/`, has a query or a fragment, a brace, or a character that no path can have.
    PathInvalid,
    /// No [`app_secret`](WebhookLayerBuilder::app_secret).
    AppSecretMissing,
    /// An [`app_secret`](WebhookLayerBuilder::app_secret) is empty or white space only.
    AppSecretBlank,
    /// No [`verify_token`](WebhookLayerBuilder::verify_token).
    VerifyTokenMissing,
    /// A [`verify_token`](WebhookLayerBuilder::verify_token) is empty or white space only.
    VerifyTokenBlank,
    /// A [`verify_token`](WebhookLayerBuilder::verify_token) is longer than 512 bytes.
    VerifyTokenTooLong,
    /// The [`body_limit`](WebhookLayerBuilder::body_limit) is 0 or over 4,294,967,295 bytes.
    BodyLimit,
    /// The [`body_deadline`](WebhookLayerBuilder#method.body_deadline) is zero.
    BodyDeadline,
    /// The [`body_idle_timeout`](WebhookLayerBuilder#method.body_idle_timeout) is zero.
    BodyIdleTimeout,
    /// The [`memory_budget`](WebhookLayerBuilder::memory_budget) has no room for one body at its limit: three quarters of it and
    /// 16 KiB must be at least the [`body_limit`](WebhookLayerBuilder::body_limit).
    MemoryBudget,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PathMissing => "`path`: set it, or choose `any_path` for a layer on one route",
            Self::PathConflict => "`path`: choose one path, or `any_path`, and only once",
            Self::PathInvalid => {
                "`path`: must start with `/` and be matched as it is: no query, no fragment, no braces"
            }
            Self::AppSecretMissing => "`app_secret`: at least one is needed",
            Self::AppSecretBlank => "`app_secret`: must not be blank",
            Self::VerifyTokenMissing => "`verify_token`: at least one is needed",
            Self::VerifyTokenBlank => "`verify_token`: must not be blank",
            Self::VerifyTokenTooLong => "`verify_token`: must not be longer than 512 bytes",
            Self::BodyLimit => "`body_limit`: must be at least 1 and at most 4294967295 bytes",
            Self::BodyDeadline => "`body_deadline`: must not be zero",
            Self::BodyIdleTimeout => "`body_idle_timeout`: must not be zero",
            Self::MemoryBudget => {
                "`memory_budget`: three quarters of it and 16 KiB must be at least `body_limit`"
            }
        })
    }
}

impl Error for ConfigError {}

/// The settings of a layer, checked.
pub(super) struct Config {
    path: Path,
    pub(super) app_secrets: Vec<AppSecret>,
    pub(super) verify_tokens: Vec<VerifyToken>,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    on_rejection: Option<Arc<OnRejection>>,
}

impl Config {
    pub(super) fn serves(&self, path: &str) -> bool {
        match &self.path {
            Path::Exact(exact) => exact == path,
            Path::Any => true,
        }
    }

    pub(super) fn reject(&self, kind: impl Into<RejectionKind>) -> Response<Bytes> {
        let rejection = Rejection::from(kind.into());
        let mut response = match &self.on_rejection {
            Some(hook) => hook(&rejection),
            None => rejection.to_response(),
        };
        rejection.mark(&mut response);
        response
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("path", &self.path)
            .field("app_secrets", &self.app_secrets.len())
            .field("verify_tokens", &self.verify_tokens.len())
            .field("limits", &self.limits)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Path {
    Exact(String),
    Any,
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains(['{', '}', '#'])
        && PathAndQuery::try_from(path)
            .is_ok_and(|parsed| parsed.path() == path && parsed.query().is_none())
}

fn all<T>(secrets: Vec<Result<T, BlankSecret>>) -> Result<Vec<T>, BlankSecret> {
    secrets.into_iter().collect()
}
