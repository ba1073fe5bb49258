//! The two things that a caller must not learn: the app secret and the verify token.
//!
//! Both are prepared once, when they are made: the secret as the keyed state of its MAC, the token as a tag. Neither keeps
//! the text that it was made from, and what they keep is zeroed when they are dropped.

use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

use zeroize::{Zeroize, Zeroizing};

use crate::hmac::{self, Key, Mac};

/// An app secret: the key under which Meta signs every delivery of the app.
///
/// It stands in the App Dashboard under "App settings, Basic": 32 hexadecimal characters, which are used as they are, as ASCII
/// text, and not decoded (Meta, "Create a webhook endpoint").
///
/// `Debug` shows nothing of it, there is no way to read it back, and its state is zeroed when it is dropped (but see [the module](self) for
/// other libraries). The buffer that it was made from belongs to the caller, who may want to zero it too.
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
pub struct AppSecret {
    keyed: Key,
}

impl AppSecret {
    /// Makes a secret ready for use: the state of the MAC is keyed here, once, and only copied for each delivery.
    ///
    /// # Errors
    ///
    /// [`SecretError::Blank`] if it is empty or white space only: anyone can sign with such a key.
    /// [`SecretError::Whitespace`] if it begins or ends with white space.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let secret = checked(secret.as_ref())?;
        Ok(Self {
            keyed: Key::new(secret),
        })
    }

    /// Whether both secrets make the same signatures. Takes the same time for any two secrets.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let tag = Zeroizing::new(other.mac().finish().to_bytes());
        self.mac().finish().is(&tag)
    }

    /// The MAC before the first byte of a message.
    pub(crate) fn mac(&self) -> Mac {
        self.keyed.start()
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret([redacted])")
    }
}

/// A verify token: the text that the developer chose and typed into the App Dashboard beside the callback URL.
///
/// Meta sends it in the query of the GET handshake. It is compared in constant time, and without telling its length: what is
/// compared are two tags of 32 bytes under a key of this process.
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
pub struct VerifyToken {
    tag: Zeroizing<[u8; hmac::LENGTH]>,
    len: usize,
}

impl VerifyToken {
    /// Makes a token ready for use.
    ///
    /// # Errors
    ///
    /// [`SecretError::Blank`] if it is empty or white space only, [`SecretError::Whitespace`] if it
    /// begins or ends with white space.
    pub fn new(token: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let token = checked(token.as_ref())?;
        let mut mac = token_key().start();
        mac.update(token);
        Ok(Self {
            tag: Zeroizing::new(mac.finish().to_bytes()),
            len: token.len(),
        })
    }

    /// Whether `candidate` is this token. The time taken depends on the length of `candidate` alone.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let mut offered = token_key().start();
        offered.update(candidate);
        offered.finish().is(&self.tag)
    }

    /// The length in bytes, which the builder bounds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for VerifyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyToken([redacted])")
    }
}

/// Why a text is no secret or token. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// It is empty or white space only.
    Blank,
    /// It begins or ends with white space, or with a byte order mark. Neither Meta's secrets nor
    /// tokens that a browser's form has sent do: it is most often the newline at the end of a file.
    Whitespace,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "a secret must not be blank",
            Self::Whitespace => {
                "a secret must not begin or end with white space, such as the newline of a file"
            }
        })
    }
}

impl Error for SecretError {}

fn checked(secret: &[u8]) -> Result<&[u8], SecretError> {
    let trimmed = match std::str::from_utf8(secret) {
        Ok(text) => text.trim_matches(is_space).as_bytes(),
        Err(_) => secret.trim_ascii(),
    };
    if trimmed.is_empty() {
        Err(SecretError::Blank)
    } else if trimmed.len() < secret.len() {
        Err(SecretError::Whitespace)
    } else {
        Ok(secret)
    }
}

/// White space, or the byte order mark that some editors put before a text.
fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// A key that nobody outside of this process can know, so that the time of a comparison says nothing about the token.
fn token_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        // `RandomState` is the randomness of the operating system that the standard library hands out.
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
    fn blank_is_refused_in_every_form() {
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
    fn a_secret_is_the_same_as_one_with_the_same_value() {
        let [one, same, other] =
            ["sesame", "sesame", "sesam"].map(|secret| AppSecret::new(secret).unwrap());
        assert!(one.is_same(&same) && same.is_same(&one));
        assert!(!one.is_same(&other) && !other.is_same(&one));
    }

    #[test]
    fn a_token_matches_itself_only() {
        let token = VerifyToken::new("token").unwrap();
        assert!(token.matches(b"token"));
        // HMAC pads its *key* with zero bytes: the token must be the message, or the fourth of these would pass.
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
    fn debug_shows_nothing() {
        let secret = AppSecret::new("sesame").unwrap();
        let token = VerifyToken::new("sesame").unwrap();
        let redacted = "AppSecret([redacted]) VerifyToken([redacted])";
        assert_eq!(format!("{secret:?} {token:?}"), redacted);
        assert_eq!(format!("{secret:#?} {token:#?}"), redacted);
        assert_eq!(SecretError::Blank.to_string(), "a secret must not be blank");
        assert!(SecretError::Whitespace.to_string().contains("white space"));
    }
}
