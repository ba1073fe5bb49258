//! Byte scanning that the validator and the cursor share.

/// Documents are at most `u32::MAX` bytes long.
pub(crate) fn saturating_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[inline]
pub(super) fn is_whitespace(byte: u8) -> bool {
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Where the white space ends, of which there may be megabytes.
#[cold]
pub(super) fn skip_whitespace(bytes: &[u8], at: usize) -> usize {
    find_byte(bytes, at, |byte| {
        (byte != b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
    })
}

/// The end of the number or literal that begins at `start` in a valid text.
#[inline]
pub(super) fn scalar_end(bytes: &[u8], start: usize) -> usize {
    find_byte_nearby(bytes, start, |byte| {
        (byte == b',') | (byte == b']') | (byte == b'}') | (byte <= b' ')
    })
}

/// The end of the string that begins with the quote at `start` in a valid text, and whether it has an escape.
pub(super) fn string_end(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start + 1;
    let mut has_escape = false;
    loop {
        at = find_byte(bytes, at, |byte| (byte == b'"') | (byte == b'\\'));
        match bytes.get(at) {
            Some(b'\\') => {
                has_escape = true;
                at += 2;
            }
            Some(_) => return (at + 1, has_escape),
            None => return (bytes.len(), has_escape),
        }
    }
}

/// The same in a text without escapes.
#[inline]
pub(super) fn plain_string_end(bytes: &[u8], start: usize) -> usize {
    let quote = find_byte(bytes, start + 1, |byte| byte == b'"');
    bytes.len().min(quote + 1)
}

/// The first place from `start` on with a byte that is looked for, or the end. `wanted` without branches becomes a few instructions for 16 bytes.
#[inline(always)]
pub(super) fn find_byte(bytes: &[u8], start: usize, wanted: impl Fn(u8) -> bool) -> usize {
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

/// The same for what is most often a few bytes away.
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

/// The body was found to be UTF-8 as a whole, and what is cut out of it begins and ends at ASCII.
pub(super) fn valid_str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
