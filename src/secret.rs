//! The app secret and the verify token.
//!
//! Both are prepared once, when they are created: the secret as the keyed state of its MAC, the
//! token as a tag. Neither keeps the original text. What they keep is zeroed when they are
//! dropped; with the feature `aws-lc-rs`, zeroing the keyed state is up to that library.

use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

use zeroize::{Zeroize, Zeroizing};

use crate::hmac::{self, Key, Mac};

/// An app secret: the key with which Meta signs every delivery of the app.
///
/// The App Dashboard shows it under "App settings, Basic": 32 hexadecimal characters. They are used
/// as ASCII text and not decoded (Meta, "Create a webhook endpoint").
///
/// `Debug` is redacted, the secret cannot be read back, and its state is zeroed on drop, as
/// described in the [module docs](self). The caller owns the original buffer and may want to zero
/// it too.
///
/// ```
/// use tower_whatsapp::secret::AppSecret;
///
/// let secret = AppSecret::new("0123456789abcdef0123456789abcdef")?;
/// assert_eq!(format!("{secret:?}"), "AppSecret([redacted])");
/// assert!(AppSecret::new("  ").is_err());
/// assert!(AppSecret::new("0123456789abcdef0123456789abcdef\n").is_err());
/// # Ok::<(), tower_whatsapp::secret::SecretError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "webhook secret")]
pub struct AppSecret {
    keyed: Key,
}

impl AppSecret {
    /// Prepares a secret. The state of the MAC is keyed once here, and copied for each delivery.
    ///
    /// # Errors
    ///
    /// Returns [`SecretError::Blank`] if it is empty or only white space, because anyone can sign
    /// with such a key, [`SecretError::Whitespace`] if it begins or ends with white space, and
    /// [`SecretError::Quoted`] if it is in quotes.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let secret = validate(secret.as_ref())?;
        Ok(Self {
            keyed: Key::new(secret),
        })
    }

    /// Whether both secrets produce the same signatures. The comparison takes constant time.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let tag = Zeroizing::new(other.mac().finalize().to_bytes());
        self.mac().finalize().matches(&tag)
    }

    /// The MAC before the first byte of a message.
    pub(crate) fn mac(&self) -> Mac {
        self.keyed.new_mac()
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret([redacted])")
    }
}

/// A verify token: the text that the developer chose and entered in the App Dashboard beside the
/// callback URL.
///
/// Meta sends it in the query of the GET handshake. It is compared in constant time and without
/// revealing its length: the comparison is of two 32-byte tags under a random key of this process.
///
/// ```
/// use tower_whatsapp::secret::VerifyToken;
///
/// let token = VerifyToken::new("a long random text")?;
/// assert!(token.matches(b"a long random text"));
/// assert!(!token.matches(b"a long random tex"));
/// assert_eq!(format!("{token:?}"), "VerifyToken([redacted])");
/// # Ok::<(), tower_whatsapp::secret::SecretError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "hub.verify_token")]
pub struct VerifyToken {
    tag: Zeroizing<[u8; hmac::TAG_LENGTH]>,
    len: usize,
}

impl VerifyToken {
    /// Prepares a token.
    ///
    /// # Errors
    ///
    /// Returns [`SecretError::Blank`] if it is empty or only white space,
    /// [`SecretError::Whitespace`] if it begins or ends with white space, and
    /// [`SecretError::Quoted`] if it is in quotes.
    pub fn new(token: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let token = validate(token.as_ref())?;
        let mut mac = token_key().new_mac();
        mac.update(token);
        Ok(Self {
            tag: Zeroizing::new(mac.finalize().to_bytes()),
            len: token.len(),
        })
    }

    /// Whether `candidate` is this token. The time depends only on the length of `candidate`.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let mut mac = token_key().new_mac();
        mac.update(candidate);
        mac.finalize().matches(&self.tag)
    }

    /// Length in bytes. [`Credentials`](crate::Credentials) limits it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for VerifyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyToken([redacted])")
    }
}

/// Why a text is not a valid secret or token. It contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// It is empty or only white space.
    Blank,
    /// It begins or ends with white space or a byte order mark. Meta's secrets do not, nor do
    /// tokens entered in a browser. The usual cause is the newline at the end of a file.
    Whitespace,
    /// It begins and ends with the same quote, `"` or `'`. The usual cause is a file of variables
    /// that is read by a tool which keeps quotes, such as `docker run --env-file`.
    Quoted,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "a secret must not be blank",
            Self::Whitespace => {
                "a secret must not begin or end with white space, such as the newline at the end of a file"
            }
            Self::Quoted => "a secret must not be in quotes",
        })
    }
}

impl Error for SecretError {}

fn validate(secret: &[u8]) -> Result<&[u8], SecretError> {
    let trimmed = match std::str::from_utf8(secret) {
        Ok(text) => text.trim_matches(is_space).as_bytes(),
        Err(_) => secret.trim_ascii(),
    };
    if trimmed.is_empty() {
        Err(SecretError::Blank)
    } else if trimmed.len() < secret.len() {
        Err(SecretError::Whitespace)
    } else if matches!(secret, [b'"', .., b'"'] | [b'\'', .., b'\'']) {
        Err(SecretError::Quoted)
    } else {
        Ok(secret)
    }
}

/// White space, or the byte order mark that some editors insert at the start of a file.
fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// A random key of this process. Without knowing it, no one can learn a token from comparison
/// times.
fn token_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        // `RandomState` is seeded from the operating system, and needs no further dependency.
        let mut key = [0; 32];
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
        }
        let keyed = Key::new(&key);
        key.zeroize();
        keyed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_texts_are_refused() {
        for blank in ["", " ", "\t\r\n", "\u{a0}\u{2003}", "\u{feff}\n"] {
            assert_eq!(AppSecret::new(blank).unwrap_err(), SecretError::Blank);
            assert_eq!(VerifyToken::new(blank).unwrap_err(), SecretError::Blank);
        }
        assert!(AppSecret::new([0xff, 0xfe]).is_ok());
    }

    #[test]
    fn surrounding_white_space_is_refused() {
        let texts = [
            "sesame\n",
            "sesame\r\n",
            " sesame",
            "\tsesame",
            "sesame\u{a0}",
            "\u{2003}sesame",
            "\u{feff}sesame",
            "open sesame ",
        ];
        let bytes = [&[0xff, b'\n'][..], b" \xff"];
        for text in texts.iter().map(|text| text.as_bytes()).chain(bytes) {
            assert_eq!(AppSecret::new(text).unwrap_err(), SecretError::Whitespace);
            assert_eq!(VerifyToken::new(text).unwrap_err(), SecretError::Whitespace);
        }
        assert!(AppSecret::new("open sesame").is_ok());
        assert!(VerifyToken::new("open\nsesame").is_ok());
    }

    #[test]
    fn surrounding_quotes_are_refused() {
        for text in ["\"sesame\"", "'sesame'", "\"\"", "''"] {
            assert_eq!(AppSecret::new(text).unwrap_err(), SecretError::Quoted);
            assert_eq!(VerifyToken::new(text).unwrap_err(), SecretError::Quoted);
        }
        for text in ["\"sesame", "sesame'", "\"sesame'", "se\"same", "\"", "'"] {
            assert!(AppSecret::new(text).is_ok() && VerifyToken::new(text).is_ok());
        }
        assert!(SecretError::Quoted.to_string().contains("quotes"));
    }

    #[test]
    fn secrets_with_the_same_value_are_the_same() {
        let [one, same, other] =
            ["sesame", "sesame", "sesam"].map(|secret| AppSecret::new(secret).unwrap());
        assert!(one.is_same(&same) && same.is_same(&one));
        assert!(!one.is_same(&other) && !other.is_same(&one));
    }

    #[test]
    fn a_token_matches_only_itself() {
        let token = VerifyToken::new("token").unwrap();
        assert!(token.matches(b"token"));
        // HMAC pads its *key* with zero bytes. The token must be the message, or "token\0" would
        // match.
        for other in [
            &b""[..],
            b"toke",
            b"tokeN",
            b"token\0",
            b"token ",
            b"tokentoken",
        ] {
            assert!(!token.matches(other), "{other:?}");
        }
    }

    #[test]
    fn debug_is_redacted() {
        let secret = AppSecret::new("sesame").unwrap();
        let token = VerifyToken::new("sesame").unwrap();
        let redacted = "AppSecret([redacted]) VerifyToken([redacted])";
        assert_eq!(format!("{secret:?} {token:?}"), redacted);
        assert_eq!(format!("{secret:#?} {token:#?}"), redacted);
        assert_eq!(SecretError::Blank.to_string(), "a secret must not be blank");
        assert!(SecretError::Whitespace.to_string().contains("white space"));
    }
}
