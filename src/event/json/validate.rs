//! The JSON grammar (RFC 8259), checked in one pass over the bytes.
//!
//! The pass also reports which strings contain escapes and where the larger containers end. This is
//! the only place where the content of a body can be refused. The unit tests compare the verdicts
//! with those of `serde_json`.

use super::{
    error::ParseError,
    progress::{LONG_STRING, OpenString, Progress},
    scan::{find_byte_nearby, is_whitespace, saturating_u32, skip_whitespace},
};

/// The reason a step ends early.
enum Stop {
    Invalid(ParseError),
    /// The step ends inside a string, which is now in `Progress`.
    InsideString,
}

impl From<ParseError> for Stop {
    fn from(error: ParseError) -> Self {
        Self::Invalid(error)
    }
}

/// Continues to check that `bytes`, which are UTF-8, are one JSON text.
///
/// Stops at the first value that starts at `until` or later, or inside a string that extends beyond
/// `until`, after at most one more escape. A string resumed after a stop also stops at its first
/// escape, because the text before it may be long. Not recursive, whatever the nesting. Returns
/// true once the whole text is valid, and must not be called again then.
///
/// `escaped` is called with the start and end of every string that contains an escape, quotes
/// included, in document order.
pub(super) fn validate(
    bytes: &[u8],
    until: usize,
    progress: &mut Progress,
    mut escaped: impl FnMut(usize, usize),
) -> Result<bool, ParseError> {
    let head = bytes.get(..until).unwrap_or(bytes);
    progress.special.extend(bytes, until);
    let checked = if head.len() == bytes.len() && bytes.len() < LONG_STRING {
        let until = usize::MAX;
        Validator::<true> { bytes, head, until }.run(progress, &mut escaped)
    } else {
        Validator::<false> { bytes, head, until }.run(progress, &mut escaped)
    };
    match checked {
        Ok(whole) => Ok(whole),
        Err(Stop::InsideString) => Ok(false),
        Err(Stop::Invalid(error)) => Err(error),
    }
}

/// A text and the part of it that this step checks.
///
/// `SHORT` means that the text is shorter than a long string and is checked in one step. That holds
/// for most texts, and they do not pay for the checks that the others need.
#[derive(Clone, Copy)]
struct Validator<'a, const SHORT: bool> {
    bytes: &'a [u8],
    head: &'a [u8],
    /// End of the head; beyond the end of the text if the head is the whole text.
    until: usize,
}

impl<const SHORT: bool> Validator<'_, SHORT> {
    #[inline(always)]
    fn head(&self) -> &[u8] {
        if SHORT { self.bytes } else { self.head }
    }

    /// Whether a position is beyond the part that this step checks.
    #[inline(always)]
    fn is_beyond(self, at: usize) -> bool {
        !SHORT && at >= self.until
    }

    /// Runs one step.
    #[inline(always)]
    fn run(
        self,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<bool, Stop> {
        let bytes = self.bytes;
        let mut at = progress.position();
        if let Some(string) = progress.string.take() {
            match self.resume(at, string, progress, escaped)? {
                Some(next) => at = next,
                None => return Ok(true),
            }
        }
        loop {
            // Before a value.
            if self.is_beyond(at) {
                progress.pause(at);
                return Ok(false);
            }
            let byte;
            (byte, at) = next_byte(bytes, at);
            match byte {
                Some(b'"') => at = self.string(at, false, progress, escaped)?,
                Some(b'{') => {
                    progress.open_container(at, true)?;
                    let byte;
                    (byte, at) = next_byte(bytes, at + 1);
                    if byte != Some(b'}') {
                        at = self.key(byte, at, progress, escaped)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    progress.open_container(at, false)?;
                    let byte;
                    (byte, at) = next_byte(bytes, at + 1);
                    if byte != Some(b']') {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => at = number(bytes, at)?,
                Some(b't') => at = literal(bytes, at, b"true")?,
                Some(b'f') => at = literal(bytes, at, b"false")?,
                Some(b'n') => at = literal(bytes, at, b"null")?,
                _ => return Err(ParseError::NotJson.into()),
            }
            match self.after_value(at, progress, escaped)? {
                Some(next) => at = next,
                None => return Ok(true),
            }
        }
    }

    /// Returns the position before the next value, or `None` at the end of the text. Starts after a
    /// value or before the closing bracket of an empty container.
    #[inline(always)]
    fn after_value(
        self,
        mut at: usize,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<Option<usize>, Stop> {
        loop {
            let byte;
            (byte, at) = next_byte(self.bytes, at);
            let Some(is_object) = progress.is_in_object() else {
                return match byte {
                    None => Ok(None),
                    Some(_) => Err(ParseError::NotJson.into()),
                };
            };
            let end = if is_object { b'}' } else { b']' };
            match byte {
                Some(b',') if is_object => {
                    let byte;
                    (byte, at) = next_byte(self.bytes, at + 1);
                    return self.key(byte, at, progress, escaped).map(Some);
                }
                Some(b',') => return Ok(Some(at + 1)),
                Some(byte) if byte == end => {
                    at += 1;
                    progress.close_container(at);
                }
                _ => return Err(ParseError::NotJson.into()),
            }
        }
    }

    /// Skips a key and its colon. `byte` is the byte at `at` and must be the opening quote.
    #[inline(always)]
    fn key(
        self,
        byte: Option<u8>,
        at: usize,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<usize, Stop> {
        if byte != Some(b'"') {
            return Err(ParseError::NotJson.into());
        }
        let end = self.string(at, true, progress, escaped)?;
        Ok(colon(self.bytes, end)?)
    }

    /// Returns the end of the string whose opening quote is at `start`.
    #[inline(always)]
    fn string(
        self,
        start: usize,
        is_key: bool,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<usize, Stop> {
        let at = progress.special.find(start + 1, usize::MAX);
        let end = match self.head().get(at) {
            Some(b'"') => at + 1,
            _ => {
                let at = self.within_head(at, start + 1);
                let string = OpenString {
                    start: saturating_u32(start),
                    escaped: false,
                    is_key,
                };
                self.string_slow(at, string, progress, escaped)?
            }
        };
        if !SHORT {
            progress.record_string(start, end);
        }
        Ok(end)
    }

    /// Resumes a string whose bytes before `at` were checked. Returns the position before the next
    /// value, or `None` at the end of the text.
    #[cold]
    fn resume(
        self,
        at: usize,
        string: OpenString,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<Option<usize>, Stop> {
        let at = self.find_special(at, progress);
        if !string.escaped && self.bytes.get(at) == Some(&b'\\') {
            return Err(stop_in_string(at, true, string, progress));
        }
        let end = self.string_slow(at, string, progress, escaped)?;
        progress.record_string(string.start(), end);
        if string.is_key {
            Ok(Some(colon(self.bytes, end)?))
        } else {
            self.after_value(end, progress, escaped)
        }
    }

    /// Returns the end of a string that may extend beyond the head and may contain escapes.
    #[inline(never)]
    fn string_slow(
        self,
        mut at: usize,
        string: OpenString,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<usize, Stop> {
        let mut has_escape = string.escaped;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => {
                    if has_escape {
                        escaped(string.start(), at + 1);
                    }
                    return Ok(at + 1);
                }
                Some(b'\\') => {
                    has_escape = true;
                    if self.is_beyond(at) {
                        return Err(stop_in_string(at, has_escape, string, progress));
                    }
                    at += escape(self.bytes, at)?;
                }
                Some(byte) if !is_special(*byte) => {
                    return Err(stop_in_string(at, has_escape, string, progress));
                }
                // A control character, or the string is not closed.
                _ => return Err(ParseError::NotJson.into()),
            }
            at = self.find_special(at, progress);
        }
    }

    /// Returns the position of the first special byte from `start` on in the head. If there is
    /// none, returns the end of the head, or `start` if that is later.
    #[inline]
    fn find_special(self, start: usize, progress: &Progress) -> usize {
        self.within_head(progress.special.find(start, usize::MAX), start)
    }

    /// Limits a position to the head, which may end before `start`.
    fn within_head(self, at: usize, start: usize) -> usize {
        at.min(self.head().len()).max(start)
    }
}

/// Ends the step inside a string, before `at`.
fn stop_in_string(at: usize, escaped: bool, string: OpenString, progress: &mut Progress) -> Stop {
    progress.pause_in_string(at, OpenString { escaped, ..string });
    Stop::InsideString
}

/// Returns the first byte from `at` on that is not white space, and its position.
#[inline(always)]
fn next_byte(bytes: &[u8], at: usize) -> (Option<u8>, usize) {
    match bytes.get(at) {
        Some(byte) if is_whitespace(*byte) => {
            let at = skip_whitespace(bytes, at + 1);
            (bytes.get(at).copied(), at)
        }
        byte => (byte.copied(), at),
    }
}

/// Skips a colon.
#[inline(always)]
fn colon(bytes: &[u8], at: usize) -> Result<usize, ParseError> {
    match next_byte(bytes, at) {
        (Some(b':'), at) => Ok(at + 1),
        _ => Err(ParseError::NotJson),
    }
}

/// Whether a byte cannot stand for itself in a string.
#[inline(always)]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Returns the length of the escape at `at`. Lone surrogates are accepted, as Meta sends them.
fn escape(bytes: &[u8], at: usize) -> Result<usize, ParseError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => {
            let digits = bytes.get(at + 2..at + 6).unwrap_or_default();
            if digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit) {
                Ok(6)
            } else {
                Err(ParseError::NotJson)
            }
        }
        _ => Err(ParseError::NotJson),
    }
}

/// Returns the end of the number at `at`.
fn number(bytes: &[u8], mut at: usize) -> Result<usize, ParseError> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    if bytes.get(at) == Some(&b'0') {
        at += 1;
    } else {
        at = digits(bytes, at)?;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Ok(at)
}

/// Returns the end of one or more digits.
fn digits(bytes: &[u8], start: usize) -> Result<usize, ParseError> {
    let end = find_byte_nearby(bytes, start, |byte| !byte.is_ascii_digit());
    if end > start {
        Ok(end)
    } else {
        Err(ParseError::NotJson)
    }
}

/// Returns the end of the given literal at `at`.
fn literal(bytes: &[u8], at: usize, literal: &[u8]) -> Result<usize, ParseError> {
    let rest = bytes.get(at..).unwrap_or_default();
    if !rest.starts_with(literal) {
        return Err(ParseError::NotJson);
    }
    Ok(at + literal.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::{
        super::progress::{Extent, INDEXED_DEPTH, INDEXED_LENGTH, MAX_DEPTH},
        *,
    };

    /// Validates a text in one step and in the smallest steps. Both must give the same result.
    fn checked(text: &str, escaped: impl FnMut(usize, usize)) -> Result<Vec<Extent>, ParseError> {
        let mut progress = Progress::new(MAX_DEPTH);
        let whole = validate(text.as_bytes(), usize::MAX, &mut progress, escaped);
        let mut stepwise = Progress::new(MAX_DEPTH);
        let mut until = 0;
        let steps = loop {
            until += 1;
            match validate(text.as_bytes(), until, &mut stepwise, |_, _| {}) {
                Ok(false) => assert!(until <= text.len(), "makes no progress"),
                verdict => break verdict,
            }
        };
        assert_eq!(steps.is_ok(), whole.is_ok());
        let ends = |progress: &Progress| {
            progress
                .extents
                .iter()
                .map(|e| (e.start, e.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(ends(&stepwise), ends(&progress));
        whole.map(|_| progress.extents)
    }

    fn is_valid(text: &str) -> bool {
        checked(text, |_, _| {}).is_ok()
    }

    fn serde_json_accepts(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn accepts_what_serde_json_accepts(text in r#"[\[\]{}",:0-9eE+\-.tfnrualse\\/ \n]{0,24}"#) {
            prop_assert_eq!(is_valid(&text), serde_json_accepts(&text));
        }

        #[test]
        fn accepts_what_serde_json_accepts_of_almost_json(
            mut text in prop::sample::select(vec![
                r#"{"a":[1,-2.5e+10,0,"x\u00e4\/"],"b":{"c":null,"d":[true,false,{}]},"":[]}"#,
                r#" [ [ ] , { } , "\"\\" , 1e400 , "\ud83d" , -0.0E-0 ] "#,
                r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"1"}]}}]}]}"#,
            ]).prop_map(str::to_owned),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3, r#"[\[\]{}",:0-9eE+\-.tfnu\\/\x00-\x20é]"#), 1..3),
        ) {
            for (index, kind, new) in edits {
                let starts: Vec<_> = text.char_indices().map(|(start, _)| start).collect();
                let start = *index.get(&starts);
                let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
                match kind {
                    0 => text.replace_range(start..end, ""),
                    1 => text.replace_range(start..end, &new),
                    _ => text.insert_str(start, &new),
                }
            }
            prop_assert_eq!(is_valid(&text), serde_json_accepts(&text), "{}", text);
        }

        #[test]
        fn accepts_the_strings_that_serde_json_accepts(inside in r#"[a-z"\\u0-9/\x00-\x1fé]{0,30}"#) {
            let text = format!("\"{inside}\"");
            prop_assert_eq!(is_valid(&text), serde_json_accepts(&text));
        }
    }

    #[test]
    fn a_truncated_long_text_is_refused() {
        let long = "x".repeat(LONG_STRING);
        for end in ["", ",", ",1", ",[", r#",{"a":"#, ",\"", ",\"\\", "] ]"] {
            assert!(!is_valid(&format!("[\"{long}\"{end}")), "{end}");
        }
        assert!(is_valid(&format!("[\"{long}\"]")));
    }

    #[test]
    fn nesting_is_bounded() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for (depth, ok) in [(127, true), (128, false), (1_000_000, false)] {
                assert_eq!(
                    is_valid(&format!("{}0{}", open.repeat(depth), close.repeat(depth))),
                    ok
                );
            }
            assert!(!is_valid(&open.repeat(1_500_000)));
        }
        assert!(is_valid(&format!("{{\"a\":\"{}\"}}", "[".repeat(1000))));
    }

    #[test]
    fn larger_containers_have_extents() {
        let long = "x".repeat(INDEXED_LENGTH);
        let text = format!(
            r#"{{"a":[{{}},{{"b":"{long}"}},["{}"]],"c":1}}"#,
            "x".repeat(20)
        );
        let extents = checked(&text, |_, _| {}).unwrap();
        let found: Vec<_> = extents
            .iter()
            .map(|extent| &text[extent.start as usize..extent.end as usize])
            .collect();
        let list = &text[5..text.len() - 7];
        assert_eq!(found, [&text, list, &format!(r#"{{"b":"{long}"}}"#)]);

        let deep = format!("{}\"{long}\"{}", "[".repeat(20), "]".repeat(20));
        let extents = checked(&deep, |_, _| {}).unwrap();
        assert_eq!(extents.len(), INDEXED_DEPTH);
    }

    #[test]
    fn escapes_are_reported() {
        let text = r#"{"a":"\n","b\"":"x","":"\\"}"#;
        let mut found = Vec::new();
        checked(text, |start, end| {
            found.push(&text[start..end]);
        })
        .unwrap();
        assert_eq!(found, [r#""\n""#, r#""b\"""#, r#""\\""#]);
    }
}
