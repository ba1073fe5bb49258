use std::{error::Error, fmt};

#[cfg(feature = "admission")]
use crate::admission::AdmissionMisuse;
use crate::credentials::CredentialsError;

/// An invalid or missing setting of a [`WebhookLayer`](super::WebhookLayer), an
/// [`App`](super::App) or a `CachedResolver`, found when it is built.
///
/// The error text begins with the name of the setting.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// None of [`path`](super::WebhookLayerBuilder::path),
    /// [`any_path`](super::WebhookLayerBuilder::any_path),
    /// [`route`](super::WebhookLayerBuilder::route) and
    /// [`app_resolver`](super::WebhookLayerBuilder#method.app_resolver) is set, or secrets or
    /// tokens are set without a path.
    PathMissing,
    /// `path` or `any_path` is set more than once, two apps have the same path, or `any_path` is
    /// set beside a route or a resolver.
    PathConflict,
    /// The path does not start with `/`, has a query or a fragment, or contains a backslash or
    /// another character that is not allowed in a path. Others than ASCII are percent-encoded by
    /// the caller, so no request would match.
    PathInvalid,
    /// The path contains a brace or a `*`, or one of its segments begins with `:`. Paths have no
    /// parameters; only the pattern of
    /// [`app_resolver`](super::WebhookLayerBuilder#method.app_resolver) has one.
    PathPattern,
    /// The path or pattern contains a `+`. Meta replaces it by a space when it calls the URL, so
    /// no request would match.
    PathPlus,
    /// No [`app_secret`](super::WebhookLayerBuilder::app_secret) is set.
    AppSecretMissing,
    /// An [`app_secret`](super::WebhookLayerBuilder::app_secret) is empty or only white space.
    AppSecretBlank,
    /// An [`app_secret`](super::WebhookLayerBuilder::app_secret) begins or ends with white space,
    /// such as the newline at the end of a file.
    AppSecretWhitespace,
    /// An [`app_secret`](super::WebhookLayerBuilder::app_secret) is in quotes, as some tools leave
    /// it that read a file of variables.
    AppSecretQuoted,
    /// There are more than 16 secrets. Each costs one more hash of every body, also of strangers.
    AppSecretsTooMany,
    /// No [`verify_token`](super::WebhookLayerBuilder::verify_token) is set.
    VerifyTokenMissing,
    /// A [`verify_token`](super::WebhookLayerBuilder::verify_token) is empty or only white space.
    VerifyTokenBlank,
    /// A [`verify_token`](super::WebhookLayerBuilder::verify_token) begins or ends with white
    /// space, such as the newline at the end of a file.
    VerifyTokenWhitespace,
    /// A [`verify_token`](super::WebhookLayerBuilder::verify_token) is in quotes.
    VerifyTokenQuoted,
    /// A [`verify_token`](super::WebhookLayerBuilder::verify_token) is longer than 512 bytes.
    VerifyTokenTooLong,
    /// [`credentials`](super::WebhookLayerBuilder::credentials) is set more than once, or together
    /// with a secret or token.
    CredentialsConflict,
    /// The label of an [`App`](super::App) is not 1 to 64 letters, digits, `.`, `_`, `~` or `-`.
    AppLabel,
    /// Two apps of the layer have the same label. Deduplication stores separate events by label,
    /// so an event that both apps receive would be handled for only one of them.
    AppLabelConflict,
    /// The [`accounts`](super::AppBuilder::accounts) list is empty, or an id has characters other
    /// than digits. The app would receive no events.
    Accounts,
    /// The [`phone_numbers`](super::AppBuilder::phone_numbers) list is empty, or an id has
    /// characters other than digits. Only events without a phone number would be handled.
    PhoneNumbers,
    /// [`on_foreign_event`](super::AppBuilder::on_foreign_event) is `OnForeignEvent::Refuse`, and
    /// neither [`accounts`](super::AppBuilder::accounts) nor
    /// [`phone_numbers`](super::AppBuilder::phone_numbers) is set: nothing would be refused.
    OnForeignEventUnused,
    /// The pattern of [`app_resolver`](super::WebhookLayerBuilder#method.app_resolver) is not a
    /// path with exactly one segment `{app}`.
    AppResolverPattern,
    /// [`app_resolver`](super::WebhookLayerBuilder#method.app_resolver) is set more than once.
    AppResolverConflict,
    /// The `time_to_live` of a `CachedResolver` is zero.
    TimeToLive,
    /// The `unknown_time_to_live` of a `CachedResolver` is zero.
    UnknownTimeToLive,
    /// The `lookup_timeout` of a `CachedResolver` is zero.
    LookupTimeout,
    /// The `capacity` of a `CachedResolver` is zero.
    Capacity,
    /// The `unknown_capacity` of a `CachedResolver` is zero.
    UnknownCapacity,
    /// The `lookups_per_second` of a `CachedResolver` are zero.
    LookupsPerSecond,
    /// The [`body_limit`](super::WebhookLayerBuilder::body_limit) is 0 or more than 4,294,967,295
    /// bytes.
    BodyLimit,
    /// The [`body_deadline`](super::WebhookLayerBuilder#method.body_deadline) is zero.
    BodyDeadline,
    /// The [`body_idle_timeout`](super::WebhookLayerBuilder#method.body_idle_timeout) is zero.
    BodyIdleTimeout,
    /// The [`memory_budget`](super::WebhookLayerBuilder::memory_budget) is too small for one body:
    /// three quarters of it plus 16 KiB must be at least the
    /// [`body_limit`](super::WebhookLayerBuilder::body_limit).
    MemoryBudget,
    /// The [`ip_allow_list`](super::WebhookLayerBuilder#method.ip_allow_list) is set more than
    /// once. Put all prefixes into one list.
    IpAllowListConflict,
    /// The [`client_certificate`](super::WebhookLayerBuilder#method.client_certificate) is set more
    /// than once.
    ClientCertificateConflict,
    /// The [`client_certificate`](super::WebhookLayerBuilder#method.client_certificate) is read
    /// from a header, and no
    /// [`trusted_proxies`](super::WebhookLayerBuilder#method.trusted_proxies) with addresses are
    /// set. A hop count does not identify a proxy: anyone who reaches the host could send the
    /// header.
    TrustedProxiesMissing,
    /// [`trusted_proxies`](super::WebhookLayerBuilder#method.trusted_proxies) is set more than
    /// once. For a chain of proxies, put all of their addresses into one value.
    TrustedProxiesConflict,
    /// [`trusted_proxies`](super::WebhookLayerBuilder#method.trusted_proxies) is set, and nothing
    /// uses it: neither an [`ip_allow_list`](super::WebhookLayerBuilder#method.ip_allow_list) nor
    /// a [`client_certificate`](super::WebhookLayerBuilder#method.client_certificate) from a
    /// header is set.
    TrustedProxiesUnused,
    /// The [`admission_policy`](super::WebhookLayerBuilder#method.admission_policy) is
    /// `AdmissionPolicy::Any`, and fewer than two rules are set.
    AdmissionPolicyUnused,
}

impl fmt::Display for ConfigError {
    // Long because it is a table with one row per setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PathMissing => "`path`: set it, or use `any_path` for a layer on one route",
            Self::PathConflict => {
                "`path`: set either `path` or `any_path`, once; with `route`, one app per path"
            }
            Self::PathInvalid => "`path`: must start with `/`, be ASCII, and have no query, fragment or backslash",
            Self::PathPattern => {
                "`path`: must not contain braces, `*` or a segment that begins with `:`; to resolve apps by name, use `.app_resolver(\"/hooks/{app}\", ..)`"
            }
            Self::PathPlus => {
                "`path`: must not contain `+`, because Meta replaces it by a space when it calls the URL"
            }
            Self::AppSecretMissing => "`app_secret`: at least one is required",
            Self::AppSecretBlank => "`app_secret`: must not be blank",
            Self::AppSecretWhitespace => {
                "`app_secret`: must not begin or end with white space, such as the newline at the end of a file"
            }
            Self::AppSecretQuoted => "`app_secret`: must not be in quotes",
            Self::AppSecretsTooMany => "`app_secret`: must not be more than 16",
            Self::VerifyTokenMissing => "`verify_token`: at least one is required",
            Self::VerifyTokenBlank => "`verify_token`: must not be blank",
            Self::VerifyTokenWhitespace => {
                "`verify_token`: must not begin or end with white space, such as the newline at the end of a file"
            }
            Self::VerifyTokenQuoted => "`verify_token`: must not be in quotes",
            Self::VerifyTokenTooLong => "`verify_token`: must not be longer than 512 bytes",
            Self::CredentialsConflict => {
                "`credentials`: set either `credentials`, once, or `app_secret` and `verify_token`"
            }
            Self::AppLabel => {
                "`App`: the label must be 1 to 64 letters, digits, `.`, `_`, `~` or `-`"
            }
            Self::AppLabelConflict => {
                "`route`: two apps have the same label; one would miss the events that both receive"
            }
            Self::Accounts => "`accounts`: must be at least one id, of digits only",
            Self::PhoneNumbers => "`phone_numbers`: must be at least one id, of digits only",
            Self::OnForeignEventUnused => {
                "`on_foreign_event`: `Refuse` has no effect without `accounts` or `phone_numbers`"
            }
            Self::AppResolverPattern => {
                "`app_resolver`: the pattern must be a path with exactly one segment `{app}`"
            }
            Self::AppResolverConflict => "`app_resolver`: must be set only once",
            Self::TimeToLive => "`time_to_live`: must not be zero",
            Self::UnknownTimeToLive => "`unknown_time_to_live`: must not be zero",
            Self::LookupTimeout => "`lookup_timeout`: must not be zero",
            Self::Capacity => "`capacity`: must not be zero",
            Self::UnknownCapacity => "`unknown_capacity`: must not be zero",
            Self::LookupsPerSecond => "`lookups_per_second`: must not be zero",
            Self::BodyLimit => "`body_limit`: must be between 1 and 4294967295 bytes",
            Self::BodyDeadline => "`body_deadline`: must not be zero",
            Self::BodyIdleTimeout => "`body_idle_timeout`: must not be zero",
            Self::MemoryBudget => {
                "`memory_budget`: three quarters of it plus 16 KiB must be at least `body_limit`"
            }
            Self::IpAllowListConflict => {
                "`ip_allow_list`: must be set only once, with all prefixes"
            }
            Self::ClientCertificateConflict => "`client_certificate`: must be set only once",
            Self::TrustedProxiesMissing => {
                "`trusted_proxies`: required with addresses, because `client_certificate` is read from a header"
            }
            Self::TrustedProxiesConflict => {
                "`trusted_proxies`: must be set only once, with the addresses of all proxies"
            }
            Self::TrustedProxiesUnused => {
                "`trusted_proxies`: has no effect without `ip_allow_list` or a forwarded `client_certificate`"
            }
            Self::AdmissionPolicyUnused => {
                "`admission_policy`: `Any` requires both `ip_allow_list` and `client_certificate`"
            }
        })
    }
}

/// The text, because a `main` that returns an error prints this.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({self})")
    }
}

impl Error for ConfigError {}

impl ConfigError {
    /// Maps an error of the credentials that the builder makes of its own settings.
    pub(super) fn of_builder(error: CredentialsError) -> Self {
        match error {
            CredentialsError::SecretMissing => Self::AppSecretMissing,
            CredentialsError::SecretBlank => Self::AppSecretBlank,
            CredentialsError::SecretWhitespace => Self::AppSecretWhitespace,
            CredentialsError::SecretQuoted => Self::AppSecretQuoted,
            CredentialsError::SecretsTooMany => Self::AppSecretsTooMany,
            CredentialsError::TokenQuoted => Self::VerifyTokenQuoted,
            CredentialsError::TokenBlank => Self::VerifyTokenBlank,
            CredentialsError::TokenWhitespace => Self::VerifyTokenWhitespace,
            CredentialsError::TokenTooLong => Self::VerifyTokenTooLong,
            // The builder numbers its labels, so no label error can occur.
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
            AdmissionMisuse::ListConflict => Self::IpAllowListConflict,
            #[cfg(feature = "client-certificate")]
            AdmissionMisuse::CertificateConflict => Self::ClientCertificateConflict,
            #[cfg(feature = "client-certificate")]
            AdmissionMisuse::ProxiesMissing => Self::TrustedProxiesMissing,
            AdmissionMisuse::ProxiesConflict => Self::TrustedProxiesConflict,
            AdmissionMisuse::ProxiesUnused => Self::TrustedProxiesUnused,
            AdmissionMisuse::PolicyUnused => Self::AdmissionPolicyUnused,
        }
    }
}
