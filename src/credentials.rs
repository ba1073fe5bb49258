//! The secrets and tokens of one app, which change while the service runs.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use crate::secret::{AppSecret, SecretError, VerifyToken};

/// Twice as long would still be found in the query of a handshake when every byte of it is percent-encoded.
const MAX_VERIFY_TOKEN: usize = 512;

const MAX_LABEL: usize = 64;

/// The secrets and verify tokens of one app. They can be added, removed and replaced while requests are served.
///
/// A clone is a handle to the same credentials: the host keeps one, the layer has another. A change is seen by every request that begins after
/// the call has returned; requests take no lock for it. A secret that was removed verifies nothing from then on, not even a delivery that
/// was being received at that time.
///
/// Each secret and each token has a label of the host's choice: 1 to 64 letters, digits and `.`, `_`, `~`, `-`, say the month in which it was
/// made. [`Verified::secret_label`](crate::Verified::secret_label) tells which one has signed a delivery, and so when an old one is no longer
/// used. Labels are no secret.
///
/// # A rotation without a gap
///
/// ```
/// use tower_whatsapp::{Credentials, WebhookLayer};
///
/// let credentials = Credentials::new([("2025", "the old secret")], [("dashboard", "the verify token")])?;
/// let layer = WebhookLayer::builder().path("/webhook").credentials(credentials.clone()).build()?;
///
/// // 1. As soon as the secret has been reset in the App Dashboard, the new one as well. Meta documents no time in which both hold, nor with which of
/// //    them it signs what it repeats, for up to 7 days.
/// credentials.add_secret("2026", "the new secret")?;
/// // 2. When `Verified::secret_label` has not been "2025" for as long:
/// credentials.remove_secret("2025")?;
/// assert_eq!(credentials.secret_labels(), ["2026"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<KeyRing>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// What holds at one time.
#[derive(Clone)]
pub(crate) struct KeyRing {
    generation: u64,
    secrets: Labelled<AppSecret>,
    tokens: Labelled<VerifyToken>,
}

/// Values side by side, as they are tried, and the label of each.
#[derive(Clone)]
struct Labelled<T> {
    values: Vec<T>,
    labels: Vec<Arc<str>>,
}

impl Credentials {
    /// Secrets and tokens, each with its label. At least one of each is needed.
    ///
    /// # Errors
    ///
    /// A [`CredentialsError`] that says what is missing, blank, too long, surrounded by white space
    /// or labelled wrongly.
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
            secrets: all(secrets, secret, CredentialsError::SecretMissing)?,
            tokens: all(tokens, token, CredentialsError::TokenMissing)?,
        }))
    }

    /// Those of an app whose secrets and tokens have no labels but their numbers.
    pub(crate) fn numbered(
        secrets: Vec<AppSecret>,
        tokens: Vec<VerifyToken>,
    ) -> Result<Self, CredentialsError> {
        if secrets.is_empty() {
            return Err(CredentialsError::SecretMissing);
        }
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
                changing: Mutex::new(()),
            }),
        }
    }

    /// Adds a secret, beside those that are there. Every one costs a hash of every body.
    ///
    /// # Errors
    ///
    /// It is blank or surrounded by white space, or the label is wrong or taken. Nothing is changed then.
    pub fn add_secret(
        &self,
        label: impl AsRef<str>,
        secret: impl AsRef<[u8]>,
    ) -> Result<(), CredentialsError> {
        let (label, secret) = (checked(label.as_ref())?, self::secret(secret.as_ref())?);
        self.change(|ring| ring.secrets.add(label, secret))
    }

    /// Removes a secret. When this has returned, nothing that it has signed is let through any more.
    ///
    /// # Errors
    ///
    /// There is none with this label, or it is the only one. Nothing is changed then.
    pub fn remove_secret(&self, label: &str) -> Result<(), CredentialsError> {
        self.change(|ring| {
            ring.secrets.remove(label)?;
            ring.secrets.not_empty(CredentialsError::SecretMissing)
        })
    }

    /// Has these secrets and no others, from one request to the next.
    ///
    /// Secrets that are in the list again, by value, go on without a gap: deliveries that are in
    /// flight are not refused. So a periodic reload may call this whether they have changed or not.
    ///
    /// # Errors
    ///
    /// There is none, one is blank or surrounded by white space, or a label is wrong or there twice. Nothing is changed then.
    pub fn replace_secrets<L: AsRef<str>, S: AsRef<[u8]>>(
        &self,
        secrets: impl IntoIterator<Item = (L, S)>,
    ) -> Result<(), CredentialsError> {
        let secrets = all(secrets, secret, CredentialsError::SecretMissing)?;
        self.change(|ring| {
            ring.secrets = secrets;
            Ok(())
        })
    }

    /// Adds a verify token: every override of the callback URL has one of its own.
    ///
    /// # Errors
    ///
    /// It is blank, surrounded by white space or longer than 512 bytes, or the label is wrong or taken. Nothing is changed then.
    pub fn add_token(
        &self,
        label: impl AsRef<str>,
        token: impl AsRef<[u8]>,
    ) -> Result<(), CredentialsError> {
        let (label, token) = (checked(label.as_ref())?, self::token(token.as_ref())?);
        self.change(|ring| ring.tokens.add(label, token))
    }

    /// Removes a verify token.
    ///
    /// # Errors
    ///
    /// There is none with this label, or it is the only one. Nothing is changed then.
    pub fn remove_token(&self, label: &str) -> Result<(), CredentialsError> {
        self.change(|ring| {
            ring.tokens.remove(label)?;
            ring.tokens.not_empty(CredentialsError::TokenMissing)
        })
    }

    /// Has these verify tokens and no others, from one request to the next.
    ///
    /// # Errors
    ///
    /// There is none, one is blank, surrounded by white space or longer than 512 bytes, or a label is
    /// wrong or there twice. Nothing is changed then.
    pub fn replace_tokens<L: AsRef<str>, T: AsRef<[u8]>>(
        &self,
        tokens: impl IntoIterator<Item = (L, T)>,
    ) -> Result<(), CredentialsError> {
        let tokens = all(tokens, token, CredentialsError::TokenMissing)?;
        self.change(|ring| {
            ring.tokens = tokens;
            Ok(())
        })
    }

    /// How often they were changed, for monitoring: 0 at first, and one more with each change.
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

    /// What holds now.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.shared.current.load_full()
    }

    /// The label that a secret of `ring` has now. `None` if it was removed.
    ///
    /// The value decides: a list that is replaced by the same secrets removes none of them.
    pub(crate) fn current_label(&self, ring: &Arc<KeyRing>, index: usize) -> Option<Arc<str>> {
        let now = self.shared.current.load();
        if Arc::ptr_eq(&now, ring) {
            return ring.secrets.labels.get(index).cloned();
        }
        let secret = ring.secrets.values.get(index)?;
        let held = |value: &AppSecret| value.is_same(secret);
        let place = now.secrets.values.iter().position(held)?;
        now.secrets.labels.get(place).cloned()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut KeyRing) -> Result<(), CredentialsError>,
    ) -> Result<(), CredentialsError> {
        // Whoever panicked while holding it had changed nothing.
        let _changing = self
            .shared
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut ring = KeyRing::clone(&self.shared.current.load());
        change(&mut ring)?;
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
        let place = self.labels.iter().position(|known| **known == *label);
        let place = place.ok_or(CredentialsError::LabelUnknown)?;
        self.labels.remove(place);
        self.values.remove(place);
        Ok(())
    }

    fn not_empty(&self, error: CredentialsError) -> Result<(), CredentialsError> {
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

/// What is wrong with credentials. It names no value, and those that were there before are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsError {
    /// There would be no secret.
    SecretMissing,
    /// A secret is empty or white space only.
    SecretBlank,
    /// A secret begins or ends with white space, such as the newline at the end of a file.
    SecretWhitespace,
    /// There would be no verify token.
    TokenMissing,
    /// A verify token is empty or white space only.
    TokenBlank,
    /// A verify token begins or ends with white space, such as the newline at the end of a file.
    TokenWhitespace,
    /// A verify token is longer than 512 bytes.
    TokenTooLong,
    /// A label is not 1 to 64 letters, digits and `.`, `_`, `~`, `-`.
    LabelInvalid,
    /// There is one with this label already.
    LabelTaken,
    /// There is none with this label.
    LabelUnknown,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretMissing => "app secret: at least one is needed",
            Self::SecretBlank => "app secret: must not be blank",
            Self::SecretWhitespace => {
                "app secret: must not begin or end with white space, such as the newline of a file"
            }
            Self::TokenMissing => "verify token: at least one is needed",
            Self::TokenBlank => "verify token: must not be blank",
            Self::TokenWhitespace => {
                "verify token: must not begin or end with white space, such as the newline of a file"
            }
            Self::TokenTooLong => "verify token: must not be longer than 512 bytes",
            Self::LabelInvalid => "label: must be 1 to 64 letters, digits and `.`, `_`, `~`, `-`",
            Self::LabelTaken => "label: there is one already",
            Self::LabelUnknown => "label: there is none",
        })
    }
}

impl Error for CredentialsError {}

/// Whether it is 1 to 64 characters that mean nothing to a log, a URL or a store.
pub(crate) fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

fn checked(label: &str) -> Result<Arc<str>, CredentialsError> {
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
    })
}

fn token(token: &[u8]) -> Result<VerifyToken, CredentialsError> {
    let token = VerifyToken::new(token).map_err(|error| match error {
        SecretError::Blank => CredentialsError::TokenBlank,
        SecretError::Whitespace => CredentialsError::TokenWhitespace,
    })?;
    if token.len() > MAX_VERIFY_TOKEN {
        return Err(CredentialsError::TokenTooLong);
    }
    Ok(token)
}

fn all<T, L: AsRef<str>, V: AsRef<[u8]>>(
    pairs: impl IntoIterator<Item = (L, V)>,
    ready: impl Fn(&[u8]) -> Result<T, CredentialsError>,
    missing: CredentialsError,
) -> Result<Labelled<T>, CredentialsError> {
    let mut labelled = Labelled {
        values: Vec::new(),
        labels: Vec::new(),
    };
    for (label, value) in pairs {
        labelled.add(checked(label.as_ref())?, ready(value.as_ref())?)?;
    }
    labelled.not_empty(missing)?;
    Ok(labelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_changes_nothing() {
        let credentials = Credentials::new([("a", "secret")], [("t", "token")]).unwrap();
        let long = "x".repeat(MAX_VERIFY_TOKEN + 1);
        let none: [(&str, &str); 0] = [];
        for (result, error) in [
            (
                credentials.add_secret("b", " \t"),
                CredentialsError::SecretBlank,
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
    fn the_value_tells_whether_a_secret_is_still_configured() {
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
    fn what_is_wrong_is_said() {
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
    fn debug_shows_labels_and_nothing_else() {
        let credentials = Credentials::new([("a", "sesame")], [("t", "sesame too")]).unwrap();
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { secrets: ["a"], tokens: ["t"], generation: 0 }"#
        );
    }
}
