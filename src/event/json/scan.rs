//! Byte scanning, shared by the validator and the cursor.

/// Converts a byte position or a count. Documents have at most `u32::MAX` bytes, so nothing is
/// lost.
#[inline]
pub(crate) fn saturating_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Whether JSON allows the byte between tokens.
#[inline]
pub(super) fn is_whitespace(byte: u8) -> bool {
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Returns the end of the white space that starts at `at`. A body may contain megabytes of it.
#[cold]
pub(super) fn skip_whitespace(bytes: &[u8], at: usize) -> usize {
    find_byte(bytes, at, |byte| {
        (byte != b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
    })
}

/// Returns the end of the number or literal that starts at `start` in a valid text.
#[inline]
pub(super) fn scalar_end(bytes: &[u8], start: usize) -> usize {
    find_byte_nearby(bytes, start, |byte| {
        (byte == b',') | (byte == b']') | (byte == b'}') | (byte <= b' ')
    })
}

/// Returns the position of the first wanted byte from `start` on, or the length of `bytes`.
///
/// If `wanted` has no branches, 16 bytes are tested with a few SIMD instructions.
#[inline(always)]
fn find_byte(bytes: &[u8], start: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes.get(start..).unwrap_or_default();
    while let Some((chunk, behind)) = rest.split_first_chunk::<16>() {
        let marks = u128::from_le_bytes(chunk.map(|byte| if wanted(byte) { 0xff } else { 0 }));
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let found = rest.iter().position(|byte| wanted(*byte));
    bytes.len() - rest.len() + found.unwrap_or(rest.len())
}

/// [`find_byte`] for a byte that is usually within the next few bytes.
#[inline(always)]
pub(super) fn find_byte_nearby(bytes: &[u8], start: usize, wanted: impl Fn(u8) -> bool) -> usize {
    const NEAR: usize = 32;
    let rest = bytes.get(start..).unwrap_or_default();
    let near = rest.get(..NEAR).unwrap_or(rest);
    match near.iter().position(|byte| wanted(*byte)) {
        Some(found) => start + found,
        None => find_byte(bytes, start + near.len(), wanted),
    }
}

/// Converts a part of a validated body. The body is UTF-8, and the part starts and ends at an ASCII
/// byte, so the conversion does not fail.
#[inline]
pub(crate) fn valid_str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
