//! The declared length of a body.

use http::HeaderValue;

/// A parsed `Content-Length`.
pub(super) enum DeclaredLength {
    Known(usize),
    /// A number that does not fit `usize`.
    Overflow,
    /// Not a number. Servers reject such a header. Where one does not, the bytes received count.
    Invalid,
}

/// Parses `Content-Length`, which is digits only: `usize::from_str` would accept a `+`.
pub(super) fn declared_length(value: &HeaderValue) -> DeclaredLength {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return DeclaredLength::Invalid;
    }
    match std::str::from_utf8(digits).map(str::parse) {
        Ok(Ok(length)) => DeclaredLength::Known(length),
        _ => DeclaredLength::Overflow,
    }
}
