use super::scan::{saturating_u32, valid_str};

/// Length of the shortest string with an escape and its separator: `"\n",`.
const SHORTEST_ESCAPED: usize = 5;

/// The strings of a document that contain escapes, decoded once. Meta escapes `/` and all
/// characters outside ASCII.
///
/// A decoded string is shorter than its escaped form, so all of them take less memory than the
/// body.
#[derive(Default)]
pub(super) struct UnescapedStrings {
    pub(super) decoded: String,
    /// In document order.
    pub(super) strings: Vec<DecodedString>,
    partial: PartialString,
}

/// Progress in a string that is decoded in steps. Zero if there is none.
#[derive(Default)]
struct PartialString {
    /// Position in the body up to which the string is decoded.
    decoded: u32,
    /// Position in the body up to which the string is validated and can be decoded.
    known: u32,
}

/// A decoded string. It starts in `decoded` where the previous one ends.
#[derive(Clone, Copy)]
pub(super) struct DecodedString {
    /// Position of the opening quote in the document.
    pub(super) at: u32,
    pub(super) end: u32,
}

impl UnescapedStrings {
    /// Heap memory in use, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.decoded.capacity() + self.strings.capacity() * size_of::<DecodedString>()
    }

    /// Decodes the string at `start..end` in `bytes`, quotes included. Strings are pushed in
    /// document order. A part of the string may be decoded already.
    pub(super) fn push(&mut self, bytes: &[u8], start: usize, end: usize) {
        if self.strings.is_empty() {
            // Reserved at once: growth by doubling would need up to three times the memory.
            let rest = bytes.get(end..).unwrap_or_default();
            let more = count_escapes(rest).min(rest.len() / SHORTEST_ESCAPED);
            self.strings.reserve_exact(1 + more);
        }
        let partial = std::mem::take(&mut self.partial);
        let decoded = (partial.decoded as usize).max(start + 1);
        // If this is not UTF-8, the validator finds out later and no document is made.
        let rest = valid_str(bytes.get(decoded..end - 1).unwrap_or_default());
        unescape(rest, false, &mut self.decoded);
        self.strings.push(DecodedString {
            at: saturating_u32(start),
            end: saturating_u32(self.decoded.len()),
        });
    }

    /// Allows the string whose opening quote is at `start` to be decoded up to `known`. No escape
    /// and no character is split there.
    pub(super) fn mark_decodable(&mut self, start: usize, known: usize) {
        self.partial = PartialString {
            decoded: self.partial.decoded.max(saturating_u32(start + 1)),
            known: saturating_u32(known),
        };
    }

    /// Decodes about `bytes` more bytes of the open string. Returns false if there was nothing to
    /// decode.
    pub(super) fn decode_pending(&mut self, body: &[u8], bytes: usize) -> bool {
        let partial = &mut self.partial;
        let range = partial.decoded as usize..partial.known as usize;
        let known = body.get(range).unwrap_or_default();
        if known.is_empty() {
            return false;
        }
        // The text before the first escape may be long. Only such text is split, between
        // characters.
        let cut = known.get(..bytes).filter(|cut| !cut.contains(&b'\\'));
        if let Some(cut) = cut
            && let Some(last) = cut.iter().rposition(|byte| is_char_start(*byte))
            && last > 0
        {
            self.decoded
                .push_str(valid_str(cut.get(..last).unwrap_or_default()));
            partial.decoded += saturating_u32(last);
        } else {
            let decoded = unescape(valid_str(known), true, &mut self.decoded);
            partial.decoded += saturating_u32(decoded);
            partial.known = partial.decoded;
        }
        true
    }

    /// Whether the string whose opening quote is at `at` contains an escape.
    pub(super) fn has(&self, at: u32) -> bool {
        let found = self.strings.binary_search_by_key(&at, |string| string.at);
        found.is_ok()
    }

    /// Returns the decoded string whose opening quote is at `at`.
    pub(super) fn get(&self, at: u32) -> Option<&str> {
        let found = self
            .strings
            .binary_search_by_key(&at, |string| string.at)
            .ok()?;
        let start = match found.checked_sub(1) {
            Some(before) => self.strings.get(before)?.end,
            None => 0,
        };
        let end = self.strings.get(found)?.end;
        self.decoded.get(start as usize..end as usize)
    }
}

/// Whether a UTF-8 character starts with this byte.
fn is_char_start(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// Counts backslashes. `u8` sums of short chunks are many times faster than a `usize` sum.
fn count_escapes(bytes: &[u8]) -> usize {
    let count = |chunk: &[u8]| {
        let escapes = chunk.iter().map(|byte| u8::from(*byte == b'\\'));
        usize::from(escapes.sum::<u8>())
    };
    bytes.chunks(u8::MAX.into()).map(count).sum()
}

/// Decodes `raw`, the contents of a valid JSON string, and appends the text to `decoded`. Returns
/// the number of bytes decoded: if `more` is to follow, a high surrogate at the end is left for
/// later.
///
/// Meta writes escapes as UTF-16 code units, so a text truncated inside an emoji ends with a lone
/// surrogate. It becomes U+FFFD: refusing it would lose the whole message.
fn unescape(raw: &str, more: bool, decoded: &mut String) -> usize {
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        decoded.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('b') => decoded.push('\u{8}'),
            Some('f') => decoded.push('\u{c}'),
            Some('n') => decoded.push('\n'),
            Some('r') => decoded.push('\r'),
            Some('t') => decoded.push('\t'),
            Some('u') => {
                if more && escape.len() == UNICODE_ESCAPE.len() && is_high_surrogate(escape) {
                    return raw.len() - escape.len() - 1;
                }
                rest = unescape_unicode(escape, decoded);
                continue;
            }
            Some(itself) => decoded.push(itself),
            None => {}
        }
        rest = characters.as_str();
    }
    decoded.push_str(rest);
    raw.len()
}

/// A Unicode escape without its backslash.
const UNICODE_ESCAPE: &str = "uXXXX";

/// Parses the UTF-16 code unit of an escape that starts with its `u`.
fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_high_surrogate(escape: &str) -> bool {
    code_unit(escape).is_some_and(|unit| matches!(unit, 0xd800..=0xdbff))
}

/// Decodes an escape that starts with its `u`, or the surrogate pair that it begins. Returns the
/// text after it.
fn unescape_unicode<'a>(escape: &'a str, decoded: &mut String) -> &'a str {
    let first = code_unit(escape).unwrap_or_default();
    let after_first = escape.get(5..).unwrap_or_default();
    let second = after_first.strip_prefix('\\').and_then(code_unit);
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    match (char::from_u32(first.into()), pair) {
        (Some(character), _) => {
            decoded.push(character);
            after_first
        }
        (None, Some(character)) => {
            decoded.push(character);
            after_first.get(6..).unwrap_or_default()
        }
        (None, None) => {
            decoded.push(char::REPLACEMENT_CHARACTER);
            after_first
        }
    }
}
