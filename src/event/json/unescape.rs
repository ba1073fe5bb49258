use super::scan::{saturating_u32, valid_str};

/// The shortest string with an escape and what follows it: `"\n",`.
const SHORTEST_ESCAPED: usize = 5;

/// The strings of a document that have escapes, decoded once. Meta escapes `/` and everything that is not ASCII.
///
/// A string takes less room decoded than escaped, so all of them together are shorter than the document.
#[derive(Default)]
pub(super) struct UnescapedStrings {
    pub(super) decoded: String,
    /// In the order of the document.
    pub(super) strings: Vec<DecodedString>,
    partial: PartialString,
}

/// A string that is decoded in steps, if there is one.
#[derive(Default)]
struct PartialString {
    /// What is before this is decoded. 0 if there is none.
    decoded: u32,
    /// What is before this can be.
    known: u32,
}

/// One of them: it stands in `decoded` from the end of the one before.
#[derive(Clone, Copy)]
pub(super) struct DecodedString {
    /// The place of its opening quote in the document.
    pub(super) at: u32,
    pub(super) end: u32,
}

impl UnescapedStrings {
    pub(super) fn memory(&self) -> usize {
        self.decoded.capacity() + self.strings.capacity() * size_of::<DecodedString>()
    }

    /// Decodes the string that stands from `start` to `end` in `bytes`, quotes included, behind all that were pushed before. A part of it may be
    /// decoded already.
    pub(super) fn push(&mut self, bytes: &[u8], start: usize, end: usize) {
        if self.strings.is_empty() {
            // Grown to its size at once: growing it bit by bit would take up to three times as much in between.
            let rest = bytes.get(end..).unwrap_or_default();
            let more = count_escapes(rest).min(rest.len() / SHORTEST_ESCAPED);
            self.strings.reserve_exact(1 + more);
        }
        let partial = std::mem::take(&mut self.partial);
        let decoded = (partial.decoded as usize).max(start + 1);
        // What is no text is found a little later, and then there is no document.
        let rest = valid_str(bytes.get(decoded..end - 1).unwrap_or_default());
        unescape(rest, false, &mut self.decoded);
        self.strings.push(DecodedString {
            at: saturating_u32(start),
            end: saturating_u32(self.decoded.len()),
        });
    }

    /// The string that begins with the quote at `start` can be decoded up to `known`. No escape and
    /// no character is cut there.
    pub(super) fn mark_decodable(&mut self, start: usize, known: usize) {
        self.partial = PartialString {
            decoded: self.partial.decoded.max(saturating_u32(start + 1)),
            known: saturating_u32(known),
        };
    }

    /// Decodes about `bytes` more of the open string. Returns whether there was anything to decode.
    pub(super) fn decode_pending(&mut self, body: &[u8], bytes: usize) -> bool {
        let partial = &mut self.partial;
        let range = partial.decoded as usize..partial.known as usize;
        let known = body.get(range).unwrap_or_default();
        if known.is_empty() {
            return false;
        }
        // What precedes the first escape may be long. Only such text is cut, at any character.
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

    pub(super) fn has(&self, at: u32) -> bool {
        let found = self.strings.binary_search_by_key(&at, |string| string.at);
        found.is_ok()
    }

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

fn is_char_start(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// The number of backslashes. Counted in bytes at first, which is many times as fast.
fn count_escapes(bytes: &[u8]) -> usize {
    let count = |chunk: &[u8]| {
        let escapes = chunk.iter().map(|byte| u8::from(*byte == b'\\'));
        usize::from(escapes.sum::<u8>())
    };
    bytes.chunks(u8::MAX.into()).map(count).sum()
}

/// Appends the text that `raw`, the inside of a valid JSON string, stands for. Returns the length of what
/// was decoded: with `more` to come, the first half of a pair is left at the end.
///
/// Meta's escapes are halves of UTF-16, so a text that was cut inside an emoji ends in half a pair. That half becomes U+FFFD: the
/// message is worth more than its last character.
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

/// An escape behind its backslash.
const UNICODE_ESCAPE: &str = "uXXXX";

fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_high_surrogate(escape: &str) -> bool {
    code_unit(escape).is_some_and(|unit| matches!(unit, 0xd800..=0xdbff))
}

/// `escape` begins with the `u` of a `\uXXXX`. Returns what follows it, or the pair that it is the first half of.
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
