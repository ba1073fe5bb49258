//! The secrets and tokens of one app, which can be changed at run time.

mod error;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

pub use self::error::CredentialsError;
use crate::{
    secret::{AppSecret, SecretError, VerifyToken},
    unreserved::is_unreserved,
};

/// Maximum length of a verify token, in bytes. Fully percent-encoded (3x), it still fits in the
/// query of a handshake (2048 bytes) together with the other parameters.
const MAX_VERIFY_TOKEN: usize = 512;

/// Maximum number of secrets. Each costs one more hash of every body, also of a stranger's, and a
/// job that adds secrets but removes none would slow the service down unseen.
const MAX_SECRETS: usize = 16;

/// Maximum length of a label, in bytes.
const MAX_LABEL: usize = 64;

/// The secrets and verify tokens of one app, which can be added, removed and replaced while
/// requests are served.
///
/// A clone is a handle to the same credentials: the host keeps one, and the layer has another. A
/// change applies to every request that starts after the call has returned. Requests read the
/// credentials without a lock. A removed secret stops verifying at once, even for deliveries that
/// are being received.
///
/// The host gives each secret and each token a label, such as the month in which it was created: 1
/// to 64 letters, digits, `.`, `_`, `~` or `-`.
/// [`Verified::secret_label`](crate::Verified::secret_label) returns the label of the secret that
/// signed a delivery. It shows when an old secret is no longer in use. Labels are not secret.
///
/// # Rotate the app secret
///
/// ```
/// use tower_whatsapp::{Credentials, WebhookLayer};
///
/// let secrets = [("2025", "the old secret")];
/// let credentials = Credentials::new(secrets, [("dashboard", "the verify token")])?;
/// let layer = WebhookLayer::builder().path("/webhook").credentials(credentials.clone()).build()?;
///
/// // 1. Add the new secret as soon as it has been reset in the App Dashboard. Meta documents
/// //    neither a period in which both are valid, nor which of them signs retries, which go on
/// //    for up to 7 days.
/// credentials.add_secret("2026", "the new secret")?;
/// // 2. Remove the old one when `Verified::secret_label` has not been "2025" for 7 days.
/// credentials.remove_secret("2025")?;
/// assert_eq!(credentials.secret_labels(), ["2026"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "rotation")]
#[doc(alias = "webhook secret")]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<KeyRing>,
    /// Serialises updates.
    update_lock: Mutex<()>,
}

/// An immutable snapshot of the secrets and tokens.
#[derive(Clone)]
pub(crate) struct KeyRing {
    generation: u64,
    secrets: Labelled<AppSecret>,
    tokens: Labelled<VerifyToken>,
}

/// A list of labels. Its text is made only if it is logged.
#[cfg(feature = "tracing")]
pub(crate) struct SecretLabels<'a>(&'a [Arc<str>]);

#[cfg(feature = "tracing")]
impl fmt::Display for SecretLabels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0).finish()
    }
}

/// Values in one slice, as the verifier takes them, and the label of each.
#[derive(Clone)]
struct Labelled<T> {
    values: Vec<T>,
    labels: Vec<Arc<str>>,
}

impl Credentials {
    /// Creates credentials from labelled secrets and tokens. At least one of each is required.
    ///
    /// # Errors
    ///
    /// Returns a [`CredentialsError`] if a secret or token is missing, blank, too long, in quotes,
    /// begins or ends with white space, or has an invalid or repeated label, or if there are more
    /// than 16 secrets.
    pub fn new<L, S, M, T>(
        secrets: impl IntoIterator<Item = (L, S)>,
        tokens: impl IntoIterator<Item = (M, T)>,
    ) -> Result<Self, CredentialsError>
    where
        L: AsRef<str>,
        S: AsRef<[u8]>,
        M: AsRef<str>,
        T: AsRef<[u8]>,
    {
        Ok(Self::from_ring(KeyRing {
            generation: 0,
            secrets: secrets_of(secrets)?,
            tokens: collect(tokens, token, CredentialsError::TokenMissing)?,
        }))
    }

    /// Creates credentials whose labels are the numbers of the secrets and tokens, from 0.
    pub(crate) fn numbered(
        secrets: Vec<AppSecret>,
        tokens: Vec<VerifyToken>,
    ) -> Result<Self, CredentialsError> {
        if secrets.is_empty() {
            return Err(CredentialsError::SecretMissing);
        }
        check_count(secrets.len())?;
        if tokens.is_empty() {
            return Err(CredentialsError::TokenMissing);
        }
        if tokens.iter().any(|token| token.len() > MAX_VERIFY_TOKEN) {
            return Err(CredentialsError::TokenTooLong);
        }
        Ok(Self::from_ring(KeyRing {
            generation: 0,
            secrets: Labelled::numbered(secrets),
            tokens: Labelled::numbered(tokens),
        }))
    }

    fn from_ring(ring: KeyRing) -> Self {
        Self {
            shared: Arc::new(Shared {
                current: ArcSwap::from_pointee(ring),
                update_lock: Mutex::new(()),
            }),
        }
    }

    /// Adds a secret to the existing ones. Each secret costs one more hash of every body.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if the secret is blank, in quotes, or begins or ends
    /// with white space, if the label is invalid or in use, or if there are 16 secrets already.
    pub fn add_secret(
        &self,
        label: impl AsRef<str>,
        secret: impl AsRef<[u8]>,
    ) -> Result<(), CredentialsError> {
        let (label, secret) = (check_label(label.as_ref())?, self::secret(secret.as_ref())?);
        self.update(|ring| {
            ring.secrets.add(label, secret)?;
            check_count(ring.secrets.values.len())
        })
    }

    /// Removes a secret. After this returns, no delivery signed with it is accepted, unless another
    /// label has the same secret.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if no secret has this label or it is the only one.
    pub fn remove_secret(&self, label: &str) -> Result<(), CredentialsError> {
        self.update(|ring| {
            ring.secrets.remove(label)?;
            ring.secrets
                .check_not_empty(CredentialsError::SecretMissing)
        })
    }

    /// Replaces all secrets atomically.
    ///
    /// Secrets are compared by value. Those also in the new list remain valid for deliveries in
    /// flight, so a periodic reload may call this even if nothing has changed.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if the list is empty or has more than 16 secrets, a
    /// secret is blank, in quotes, or begins or ends with white space, or a label is invalid or
    /// repeated.
    pub fn replace_secrets<L: AsRef<str>, S: AsRef<[u8]>>(
        &self,
        secrets: impl IntoIterator<Item = (L, S)>,
    ) -> Result<(), CredentialsError> {
        let secrets = secrets_of(secrets)?;
        self.update(|ring| {
            ring.secrets = secrets;
            Ok(())
        })
    }

    /// Adds a verify token. Each override of the callback URL has its own.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if the token is blank, in quotes, begins or ends with
    /// white space or is longer than 512 bytes, or if the label is invalid or in use.
    pub fn add_token(
        &self,
        label: impl AsRef<str>,
        token: impl AsRef<[u8]>,
    ) -> Result<(), CredentialsError> {
        let (label, token) = (check_label(label.as_ref())?, self::token(token.as_ref())?);
        self.update(|ring| ring.tokens.add(label, token))
    }

    /// Removes a verify token.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if no token has this label or it is the only one.
    pub fn remove_token(&self, label: &str) -> Result<(), CredentialsError> {
        self.update(|ring| {
            ring.tokens.remove(label)?;
            ring.tokens.check_not_empty(CredentialsError::TokenMissing)
        })
    }

    /// Replaces all verify tokens atomically.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if the list is empty, a token is blank, in quotes,
    /// begins or ends with white space or is longer than 512 bytes, or a label is invalid or
    /// repeated.
    pub fn replace_tokens<L: AsRef<str>, T: AsRef<[u8]>>(
        &self,
        tokens: impl IntoIterator<Item = (L, T)>,
    ) -> Result<(), CredentialsError> {
        let tokens = collect(tokens, token, CredentialsError::TokenMissing)?;
        self.update(|ring| {
            ring.tokens = tokens;
            Ok(())
        })
    }

    /// Number of successful calls so far that add, remove or replace secrets or tokens, for
    /// monitoring. A replacement by the same ones counts too.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.current.load().generation
    }

    /// The labels of the secrets, in the order in which they were added.
    #[must_use]
    pub fn secret_labels(&self) -> Vec<String> {
        self.shared.current.load().secrets.labels()
    }

    /// The labels of the verify tokens, in the order in which they were added.
    #[must_use]
    pub fn token_labels(&self) -> Vec<String> {
        self.shared.current.load().tokens.labels()
    }

    /// The current snapshot.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.shared.current.load_full()
    }

    /// Whether any secret is in both.
    #[cfg(feature = "tokio")]
    pub(crate) fn share_secret(&self, other: &Self) -> bool {
        let (ring, others) = (self.ring(), other.ring());
        let mut secrets = ring.secrets().iter();
        secrets.any(|secret| others.secrets().iter().any(|other| other.is_same(secret)))
    }

    /// Returns the current label of a secret of `ring`, or `None` if it was removed. Secrets are
    /// compared by value, so replacing a list by the same secrets removes none of them.
    pub(crate) fn current_label(&self, ring: &Arc<KeyRing>, index: usize) -> Option<Arc<str>> {
        let now = self.shared.current.load();
        if Arc::ptr_eq(&now, ring) {
            return ring.secrets.labels.get(index).cloned();
        }
        let secret = ring.secrets.values.get(index)?;
        let is_same = |value: &AppSecret| value.is_same(secret);
        let index = now.secrets.values.iter().position(is_same)?;
        now.secrets.labels.get(index).cloned()
    }

    fn update(
        &self,
        update: impl FnOnce(&mut KeyRing) -> Result<(), CredentialsError>,
    ) -> Result<(), CredentialsError> {
        // A panic under the lock leaves the credentials unchanged.
        let _guard = self
            .shared
            .update_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut ring = KeyRing::clone(&self.shared.current.load());
        update(&mut ring)?;
        ring.generation += 1;
        self.shared.current.store(Arc::new(ring));
        Ok(())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("secrets", &self.secret_labels())
            .field("tokens", &self.token_labels())
            .field("generation", &self.generation())
            .finish()
    }
}

impl KeyRing {
    /// Labels of the secrets, as a list for logs.
    #[cfg(feature = "tracing")]
    pub(crate) fn secret_labels(&self) -> SecretLabels<'_> {
        SecretLabels(&self.secrets.labels)
    }

    pub(crate) fn secrets(&self) -> &[AppSecret] {
        &self.secrets.values
    }

    pub(crate) fn tokens(&self) -> &[VerifyToken] {
        &self.tokens.values
    }
}

impl<T> Labelled<T> {
    fn numbered(values: Vec<T>) -> Self {
        Self {
            labels: (0..values.len())
                .map(|number| number.to_string().into())
                .collect(),
            values,
        }
    }

    fn add(&mut self, label: Arc<str>, value: T) -> Result<(), CredentialsError> {
        if self.labels.contains(&label) {
            return Err(CredentialsError::LabelTaken);
        }
        self.labels.push(label);
        self.values.push(value);
        Ok(())
    }

    fn remove(&mut self, label: &str) -> Result<(), CredentialsError> {
        let index = self.labels.iter().position(|known| **known == *label);
        let index = index.ok_or(CredentialsError::LabelUnknown)?;
        self.labels.remove(index);
        self.values.remove(index);
        Ok(())
    }

    fn check_not_empty(&self, error: CredentialsError) -> Result<(), CredentialsError> {
        if self.values.is_empty() {
            Err(error)
        } else {
            Ok(())
        }
    }

    fn labels(&self) -> Vec<String> {
        self.labels.iter().map(ToString::to_string).collect()
    }
}

/// Whether a label is valid: 1 to 64 characters without special meaning in a log, a URL or a store.
pub(crate) fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(is_unreserved)
}

fn check_label(label: &str) -> Result<Arc<str>, CredentialsError> {
    if is_label(label) {
        Ok(label.into())
    } else {
        Err(CredentialsError::LabelInvalid)
    }
}

fn secret(secret: &[u8]) -> Result<AppSecret, CredentialsError> {
    AppSecret::new(secret).map_err(|error| match error {
        SecretError::Blank => CredentialsError::SecretBlank,
        SecretError::Whitespace => CredentialsError::SecretWhitespace,
        SecretError::Quoted => CredentialsError::SecretQuoted,
    })
}

fn token(token: &[u8]) -> Result<VerifyToken, CredentialsError> {
    let token = VerifyToken::new(token).map_err(|error| match error {
        SecretError::Blank => CredentialsError::TokenBlank,
        SecretError::Whitespace => CredentialsError::TokenWhitespace,
        SecretError::Quoted => CredentialsError::TokenQuoted,
    })?;
    if token.len() > MAX_VERIFY_TOKEN {
        return Err(CredentialsError::TokenTooLong);
    }
    Ok(token)
}

fn secrets_of<L: AsRef<str>, S: AsRef<[u8]>>(
    secrets: impl IntoIterator<Item = (L, S)>,
) -> Result<Labelled<AppSecret>, CredentialsError> {
    let secrets = collect(secrets, secret, CredentialsError::SecretMissing)?;
    check_count(secrets.values.len())?;
    Ok(secrets)
}

fn check_count(secrets: usize) -> Result<(), CredentialsError> {
    if secrets > MAX_SECRETS {
        Err(CredentialsError::SecretsTooMany)
    } else {
        Ok(())
    }
}

fn collect<T, L: AsRef<str>, V: AsRef<[u8]>>(
    pairs: impl IntoIterator<Item = (L, V)>,
    parse: impl Fn(&[u8]) -> Result<T, CredentialsError>,
    missing: CredentialsError,
) -> Result<Labelled<T>, CredentialsError> {
    let mut labelled = Labelled {
        values: Vec::new(),
        labels: Vec::new(),
    };
    for (label, value) in pairs {
        labelled.add(check_label(label.as_ref())?, parse(value.as_ref())?)?;
    }
    labelled.check_not_empty(missing)?;
    Ok(labelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body is hashed once for each.
    #[test]
    fn secrets_are_at_most_16() {
        let numbered = |count: usize| (0..count).map(|number| (number.to_string(), "secret"));
        let tokens = [("t", "token")];
        assert!(matches!(
            Credentials::new(numbered(17), tokens),
            Err(CredentialsError::SecretsTooMany)
        ));
        let secrets = |count| vec![AppSecret::new("secret").unwrap(); count];
        let token = || vec![VerifyToken::new("token").unwrap()];
        assert!(matches!(
            Credentials::numbered(secrets(17), token()),
            Err(CredentialsError::SecretsTooMany)
        ));
        assert!(Credentials::numbered(secrets(16), token()).is_ok());
        let credentials = Credentials::new(numbered(15), tokens).unwrap();
        assert!(credentials.add_secret("15", "secret").is_ok());
        let added = credentials.add_secret("16", "secret");
        assert_eq!(added, Err(CredentialsError::SecretsTooMany));
        assert_eq!(credentials.secret_labels().len(), 16);
        credentials.remove_secret("0").unwrap();
        assert!(credentials.add_secret("16", "secret").is_ok());
    }

    #[test]
    fn an_invalid_change_changes_nothing() {
        let credentials = Credentials::new([("a", "secret")], [("t", "token")]).unwrap();
        let long = "x".repeat(MAX_VERIFY_TOKEN + 1);
        let none: [(&str, &str); 0] = [];
        for (result, error) in [
            (
                credentials.add_secret("b", " \t"),
                CredentialsError::SecretBlank,
            ),
            (
                credentials.add_secret("b", "'other'"),
                CredentialsError::SecretQuoted,
            ),
            (
                credentials.replace_secrets((0..=MAX_SECRETS).map(|n| (n.to_string(), "other"))),
                CredentialsError::SecretsTooMany,
            ),
            (
                credentials.add_token("u", "\"other\""),
                CredentialsError::TokenQuoted,
            ),
            (
                credentials.add_secret("a", "other"),
                CredentialsError::LabelTaken,
            ),
            (
                credentials.add_secret("", "other"),
                CredentialsError::LabelInvalid,
            ),
            (
                credentials.add_secret("a b", "other"),
                CredentialsError::LabelInvalid,
            ),
            (
                credentials.add_secret("x".repeat(65), "other"),
                CredentialsError::LabelInvalid,
            ),
            (
                credentials.remove_secret("b"),
                CredentialsError::LabelUnknown,
            ),
            (
                credentials.remove_secret("a"),
                CredentialsError::SecretMissing,
            ),
            (
                credentials.replace_secrets(none),
                CredentialsError::SecretMissing,
            ),
            (
                credentials.replace_secrets([("b", "good"), ("c", "")]),
                CredentialsError::SecretBlank,
            ),
            (
                credentials.replace_secrets([("b", "1"), ("b", "2")]),
                CredentialsError::LabelTaken,
            ),
            (
                credentials.add_secret("b", "other\n"),
                CredentialsError::SecretWhitespace,
            ),
            (
                credentials.replace_secrets([("b", "good"), ("c", " other")]),
                CredentialsError::SecretWhitespace,
            ),
            (
                credentials.add_token("u", "other\r\n"),
                CredentialsError::TokenWhitespace,
            ),
            (
                credentials.replace_tokens([("u", format!("{} ", &long[1..]))]),
                CredentialsError::TokenWhitespace,
            ),
            (credentials.add_token("u", ""), CredentialsError::TokenBlank),
            (
                credentials.add_token("u", &long),
                CredentialsError::TokenTooLong,
            ),
            (
                credentials.remove_token("t"),
                CredentialsError::TokenMissing,
            ),
            (
                credentials.replace_tokens([("u", &long)]),
                CredentialsError::TokenTooLong,
            ),
            (
                credentials.replace_tokens(none),
                CredentialsError::TokenMissing,
            ),
        ] {
            assert_eq!(result, Err(error));
        }
        assert_eq!(credentials.generation(), 0);
        assert_eq!(credentials.secret_labels(), ["a"]);
        assert_eq!(credentials.token_labels(), ["t"]);
        assert!(credentials.add_token("u", &long[1..]).is_ok());
        assert!(credentials.add_secret("x".repeat(64), "other").is_ok());
        assert_eq!(credentials.generation(), 2);
    }

    #[test]
    fn secrets_are_compared_by_value() {
        let credentials = Credentials::new([("a", "1"), ("b", "2")], [("t", "token")]).unwrap();
        let ring = credentials.ring();
        let label = |ring, index| {
            credentials
                .current_label(ring, index)
                .map(|it| it.to_string())
        };
        assert_eq!(label(&ring, 0).as_deref(), Some("a"));
        credentials.add_secret("c", "3").unwrap();
        assert_eq!(label(&ring, 0).as_deref(), Some("a"));
        credentials
            .replace_secrets([("a", "4"), ("b", "2")])
            .unwrap();
        assert_eq!(label(&ring, 0), None);
        assert_eq!(label(&ring, 1).as_deref(), Some("b"));
        credentials
            .replace_secrets([("d", "2"), ("e", "1")])
            .unwrap();
        assert_eq!(label(&ring, 0).as_deref(), Some("e"));
        assert_eq!(label(&ring, 1).as_deref(), Some("d"));
        assert_eq!(label(&ring, 2), None);
        assert_eq!(label(&credentials.ring(), 2), None);
    }

    #[test]
    fn an_error_names_what_is_invalid() {
        for (error, what) in [
            (CredentialsError::SecretBlank, "app secret: "),
            (CredentialsError::SecretWhitespace, "app secret: "),
            (CredentialsError::TokenWhitespace, "verify token: "),
            (CredentialsError::TokenTooLong, "verify token: "),
            (CredentialsError::LabelTaken, "label: "),
        ] {
            assert!(error.to_string().starts_with(what), "{error:?}");
        }
    }

    #[test]
    fn debug_shows_only_labels() {
        let credentials = Credentials::new([("a", "sesame")], [("t", "sesame too")]).unwrap();
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { secrets: ["a"], tokens: ["t"], generation: 0 }"#
        );
    }
}
