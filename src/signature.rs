//! Meta's signature: `X-Hub-Signature-256`, the HMAC-SHA256 of the body under the app secret.
//!
//! Usable without HTTP, for queue consumers and tests: parse the header with [`Signature::parse`],
//! feed the body to a [`Verifier`] piece by piece, and verify at the end.
//!
//! ```
//! use tower_whatsapp::{secret::AppSecret, signature::{Signature, Verifier}};
//!
//! let secret = AppSecret::new("test_app_secret")?;
//! let signature = Signature::parse(
//!     b"sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
//! )?;
//!
//! let mut verifier = Verifier::new(&[secret]);
//! verifier.update(br#"{"object":"whatsapp_business_account","#);
//! verifier.update(br#""entry":[]}"#);
//! assert_eq!(verifier.verify(&signature)?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{error::Error, fmt};

use http::{HeaderMap, HeaderName};

use crate::{
    hex,
    hmac::{self, Mac},
    secret::AppSecret,
};

/// Name of the signature header. The older `X-Hub-Signature` (SHA-1) is ignored.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-hub-signature-256");

const PREFIX: &[u8] = b"sha256=";

/// A well-formed signature from a header, not yet verified.
///
/// It is not secret, because the sender knows it. `Debug` is redacted all the same, so that logs do
/// not collect valid pairs of body and signature.
#[derive(Clone, Copy)]
pub struct Signature([u8; hmac::TAG_LENGTH]);

impl Signature {
    /// Parses the value of the header: `sha256=` and 64 lower-case hexadecimal digits.
    ///
    /// Meta sends exactly this. Accepting upper case, white space or several values would allow
    /// several spellings of one signature.
    ///
    /// # Errors
    ///
    /// Returns [`SignatureError::Malformed`] for any other value.
    pub fn parse(value: &[u8]) -> Result<Self, SignatureError> {
        let malformed = SignatureError::Malformed;
        let digits = value
            .strip_prefix(PREFIX)
            .ok_or(malformed(MalformedSignature::Prefix))?;
        if digits.len() != 2 * hmac::TAG_LENGTH {
            return Err(malformed(MalformedSignature::Length));
        }
        // `|` instead of `any`: without an early exit it compiles to SIMD instructions.
        let has_upper_case = |found, digit: &u8| found | digit.is_ascii_uppercase();
        if digits.iter().fold(false, has_upper_case) {
            return Err(malformed(MalformedSignature::UpperCase));
        }
        // The signature is not secret, so decoding need not take constant time.
        hex::decode(digits)
            .map(Self)
            .ok_or(malformed(MalformedSignature::Digit))
    }

    /// Parses the signature header of a request.
    ///
    /// # Errors
    ///
    /// Returns [`SignatureError::Missing`] without the header, and [`SignatureError::Malformed`] if
    /// it is repeated or does not [parse](Self::parse).
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, SignatureError> {
        let mut values = headers.get_all(SIGNATURE_HEADER).iter();
        let value = values.next().ok_or(SignatureError::Missing)?;
        if values.next().is_some() {
            return Err(SignatureError::Malformed(MalformedSignature::Repeated));
        }
        Self::parse(value.as_bytes())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Computes the signature of a body piece by piece under every configured secret, and compares at
/// the end.
///
/// Each secret costs one SHA-256 of the body, so a second one during a rotation doubles the cost.
#[derive(Clone)]
pub struct Verifier {
    first: Option<Mac>,
    rest: Vec<Mac>,
}

impl Verifier {
    /// Creates a verifier for these secrets. Without any, every signature is a mismatch.
    #[must_use]
    pub fn new(secrets: &[AppSecret]) -> Self {
        let mut macs = secrets.iter().map(AppSecret::mac);
        Self {
            first: macs.next(),
            rest: macs.collect(),
        }
    }

    /// Hashes the next piece of the body. It must be the bytes as received: JSON that was parsed
    /// and serialised again does not match.
    pub fn update(&mut self, piece: &[u8]) {
        for mac in self.first.iter_mut().chain(&mut self.rest) {
            mac.update(piece);
        }
    }

    /// Number of secrets.
    pub(crate) fn secrets(&self) -> usize {
        self.rest.len() + usize::from(self.first.is_some())
    }

    /// Returns the index of the secret that made `signature`, in the slice given to
    /// [`new`](Self::new).
    ///
    /// Each comparison takes constant time, and all secrets are compared even if one has matched.
    ///
    /// # Errors
    ///
    /// Returns [`SignatureError::Mismatch`] if no secret matches.
    pub fn verify(self, signature: &Signature) -> Result<usize, SignatureError> {
        let mut matched = None;
        for (index, mac) in self.first.into_iter().chain(self.rest).enumerate() {
            let equal = mac.finalize().matches(&signature.0);
            if equal && matched.is_none() {
                matched = Some(index);
            }
        }
        matched.ok_or(SignatureError::Mismatch)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier([redacted])")
    }
}

/// Why a signature was rejected. It contains no data of the request, and not the expected
/// signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureError {
    /// The `X-Hub-Signature-256` header is missing.
    Missing,
    /// The header is repeated, or is not `sha256=` and 64 lower-case hexadecimal digits.
    Malformed(MalformedSignature),
    /// The signature does not match the body under any of the secrets.
    Mismatch,
}

/// What is wrong with a signature header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MalformedSignature {
    /// The request has the header more than once.
    Repeated,
    /// The value does not begin with `sha256=` in lower case.
    Prefix,
    /// There are not 64 characters after `sha256=`.
    Length,
    /// A character is in upper case.
    UpperCase,
    /// A character is not a hexadecimal digit.
    Digit,
}

impl fmt::Display for MalformedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeated => "the header is repeated",
            Self::Prefix => "the value does not begin with sha256=",
            Self::Length => "there are not 64 characters after sha256=",
            Self::UpperCase => "a character is in upper case",
            Self::Digit => "a character is not a hexadecimal digit",
        })
    }
}

impl Error for MalformedSignature {}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the signature header is missing",
            Self::Malformed(_) => "the signature header is malformed",
            Self::Mismatch => "the signature does not match",
        })
    }
}

impl Error for SignatureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed(cause) => Some(cause),
            Self::Missing | Self::Mismatch => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_position_decodes_as_specified() {
        let good = format!("sha256={}", "0123456789abcdef".repeat(4)).into_bytes();
        assert!(Signature::parse(&good).is_ok());
        for place in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut value = good.clone();
                value[place] = byte;
                let expected = match (place, byte) {
                    (0..7, byte) if byte == good[place] => Ok(()),
                    (0..7, _) => Err(MalformedSignature::Prefix),
                    (_, b'0'..=b'9' | b'a'..=b'f') => Ok(()),
                    (_, b'A'..=b'Z') => Err(MalformedSignature::UpperCase),
                    _ => Err(MalformedSignature::Digit),
                };
                let parsed = Signature::parse(&value).map(drop);
                assert_eq!(
                    parsed,
                    expected.map_err(SignatureError::Malformed),
                    "{place} {byte}"
                );
            }
        }
    }

    #[test]
    fn other_lengths_are_malformed() {
        let good = format!("sha256={}", "a".repeat(64));
        let problem = |value: &[u8]| match Signature::parse(value) {
            Err(SignatureError::Malformed(problem)) => Some(problem),
            _ => None,
        };
        for len in 0..good.len() {
            let expected = match len {
                0..7 => MalformedSignature::Prefix,
                _ => MalformedSignature::Length,
            };
            assert_eq!(problem(&good.as_bytes()[..len]), Some(expected));
        }
        for more in ["a", "aa", " ", ","] {
            let longer = format!("{good}{more}");
            assert_eq!(problem(longer.as_bytes()), Some(MalformedSignature::Length));
        }
    }

    #[test]
    fn debug_and_errors_are_redacted() {
        let signature = Signature([7; 32]);
        assert_eq!(format!("{signature:?}"), "Signature(..)");
        let verifier = Verifier::new(&[]);
        assert_eq!(format!("{verifier:?}"), "Verifier([redacted])");
        for (error, text) in [
            (SignatureError::Missing, "the signature header is missing"),
            (
                SignatureError::Malformed(MalformedSignature::Repeated),
                "the signature header is malformed",
            ),
            (SignatureError::Mismatch, "the signature does not match"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn without_secrets_every_signature_is_a_mismatch() {
        let signature = Signature::parse(format!("sha256={}", "0".repeat(64)).as_bytes()).unwrap();
        assert_eq!(
            Verifier::new(&[]).verify(&signature),
            Err(SignatureError::Mismatch)
        );
    }
}
