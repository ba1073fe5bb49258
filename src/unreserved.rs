//! Unreserved characters of URLs.

/// Whether a byte is an unreserved character of RFC 3986. Such a character has no special meaning
/// in a URL, a header, a log or a shell, and is never percent-encoded.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)
}
