//! Is it JSON? (RFC 8259.) One pass over the bytes, which also says which strings have escapes, and where the large containers end.
//!
//! This is the only place where a body can be refused for what it says. `serde_json` is the model: the tests compare with it.

use super::parse_error::ParseError;

/// The deepest nesting that is let through: what `serde_json` allows for its own types.
pub(super) const MAX_DEPTH: usize = 127;

/// Containers are in the list of extents down to this depth, which is that of the elements of a list and what they contain, and from this
/// length on. So the list is at most 1.5 times as long as the text, and an ordinary one is a tenth of it.
const INDEXED_DEPTH: usize = 10;
const INDEXED_LENGTH: usize = 32;

/// Minimum length of a string in the list of extents. Shorter ones are scanned instead, which takes
/// a few microseconds.
pub(super) const LONG_STRING: usize = 4096;

/// So many has a delivery of one message.
const ORDINARY_EXTENTS: usize = 16;

/// Where a container or a long string begins and ends, with its brackets or quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// How far a text has been found to be JSON. Large texts are checked bit by bit.
pub(super) struct Progress {
    position: u32,
    /// One bit for each container that is open, the innermost lowest: whether it is an object.
    containers: u128,
    depth: usize,
    deepest: u8,
    /// Those of the larger containers and strings, in the order of the text.
    pub(super) extents: Vec<Extent>,
    /// For each container that is open, its place in `extents`.
    open: [usize; INDEXED_DEPTH],
    /// Some of the extents are those of strings.
    pub(super) has_long_strings: bool,
    /// The string that `position` is in.
    pub(super) string: Option<OpenString>,
}

/// A string of which the end has not been found yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenString {
    /// Its opening quote.
    start: u32,
    /// Whether an escape was found. It may begin where the text has been checked up to.
    pub(super) escaped: bool,
    is_key: bool,
}

impl OpenString {
    pub(super) fn start(self) -> usize {
        self.start as usize
    }
}

/// Why a check does not go on.
enum Stop {
    Refused(ParseError),
    /// It is in a string, which `Progress` has now.
    Inside,
}

impl From<ParseError> for Stop {
    fn from(error: ParseError) -> Self {
        Self::Refused(error)
    }
}

impl Progress {
    /// Nothing has been looked at. `deepest`: how deep a text may be nested; at most 128.
    pub(super) fn new(deepest: usize) -> Self {
        Self {
            position: 0,
            containers: 0,
            depth: 0,
            deepest: u8::try_from(deepest).unwrap_or(u8::MAX),
            extents: Vec::with_capacity(ORDINARY_EXTENTS),
            open: [0; INDEXED_DEPTH],
            has_long_strings: false,
            string: None,
        }
    }

    /// Number of bytes that were checked.
    pub(super) fn position(&self) -> usize {
        self.position as usize
    }
}

/// Checks on that `bytes`, which are UTF-8, are one JSON text. Stops at the first value that begins at
/// `until` or later, or in a string that goes beyond it, after at most one escape more. A string that
/// was stopped in stops once more at its first escape: what is before it may be long. Not recursive,
/// whatever the nesting. Returns whether the whole text is JSON; must not be called again then.
///
/// `escaped` gets the beginning and end of every string with an escape in it, quotes included, in the order of the text.
pub(super) fn check(
    bytes: &[u8],
    until: usize,
    progress: &mut Progress,
    mut escaped: impl FnMut(usize, usize),
) -> Result<bool, ParseError> {
    let head = bytes.get(..until).unwrap_or(bytes);
    let checked = if head.len() == bytes.len() && bytes.len() < LONG_STRING {
        let until = usize::MAX;
        Text::<true> { bytes, head, until }.check(progress, &mut escaped)
    } else {
        Text::<false> { bytes, head, until }.check(progress, &mut escaped)
    };
    match checked {
        Ok(whole) => Ok(whole),
        Err(Stop::Inside) => Ok(false),
        Err(Stop::Refused(error)) => Err(error),
    }
}

/// A text, and the part of it that is checked now. `SHORT`: it is shorter than a long string, and
/// checked at once. Most texts are, and are not to pay for what the others need.
#[derive(Clone, Copy)]
struct Text<'a, const SHORT: bool> {
    bytes: &'a [u8],
    head: &'a [u8],
    /// Where the head ends; beyond the end of the text if the head is all of it.
    until: usize,
}

impl<const SHORT: bool> Text<'_, SHORT> {
    #[inline(always)]
    fn head(&self) -> &[u8] {
        if SHORT { self.bytes } else { self.head }
    }

    /// Whether a place is behind the part that is checked now.
    #[inline(always)]
    fn is_beyond(self, at: usize) -> bool {
        !SHORT && at >= self.until
    }

    #[inline(always)]
    fn check(
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
                progress.position = index(at);
                return Ok(false);
            }
            let byte;
            (byte, at) = next(bytes, at);
            match byte {
                Some(b'"') => at = self.string(at, false, progress, escaped)?,
                Some(b'{') => {
                    progress.open(at, true)?;
                    let byte;
                    (byte, at) = next(bytes, at + 1);
                    if byte != Some(b'}') {
                        at = self.key(byte, at, progress, escaped)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    progress.open(at, false)?;
                    let byte;
                    (byte, at) = next(bytes, at + 1);
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

    /// The place before the next value, after one or before the end of an empty container. `None` at
    /// the end of the text.
    #[inline(always)]
    fn after_value(
        self,
        mut at: usize,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<Option<usize>, Stop> {
        loop {
            let byte;
            (byte, at) = next(self.bytes, at);
            if progress.depth == 0 {
                return match byte {
                    None => Ok(None),
                    Some(_) => Err(ParseError::NotJson.into()),
                };
            }
            let is_object = progress.containers & 1 == 1;
            let end = if is_object { b'}' } else { b']' };
            match byte {
                Some(b',') if is_object => {
                    let byte;
                    (byte, at) = next(self.bytes, at + 1);
                    return self.key(byte, at, progress, escaped).map(Some);
                }
                Some(b',') => return Ok(Some(at + 1)),
                Some(byte) if byte == end => {
                    at += 1;
                    progress.close(at);
                }
                _ => return Err(ParseError::NotJson.into()),
            }
        }
    }

    /// Passes over a key, of which `byte` should be the first, and the colon behind it.
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

    /// The end of the string that begins with the quote at `start`.
    #[inline(always)]
    fn string(
        self,
        start: usize,
        is_key: bool,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<usize, Stop> {
        let at = find(self.head(), start + 1, is_special);
        let end = match self.head().get(at) {
            Some(b'"') => at + 1,
            _ => {
                // It may begin beyond the head.
                let at = at.max(start + 1);
                let string = OpenString {
                    start: index(start),
                    escaped: false,
                    is_key,
                };
                self.unusual_string(at, string, progress, escaped)?
            }
        };
        if !SHORT {
            progress.passed(start, end);
        }
        Ok(end)
    }

    /// Goes on in a string, of which the bytes before `at` have been looked at. Returns the place
    /// before the next value, or `None` at the end of the text.
    #[cold]
    fn resume(
        self,
        at: usize,
        string: OpenString,
        progress: &mut Progress,
        escaped: &mut impl FnMut(usize, usize),
    ) -> Result<Option<usize>, Stop> {
        let at = self.special(at);
        if !string.escaped && self.bytes.get(at) == Some(&b'\\') {
            return Err(progress.inside(at, true, string));
        }
        let end = self.unusual_string(at, string, progress, escaped)?;
        progress.passed(string.start(), end);
        if string.is_key {
            Ok(Some(colon(self.bytes, end)?))
        } else {
            self.after_value(end, progress, escaped)
        }
    }

    /// The end of a string that may go beyond the head and may have an escape, at `at` or before.
    #[inline(never)]
    fn unusual_string(
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
                        return Err(progress.inside(at, has_escape, string));
                    }
                    at += escape(self.bytes, at)?;
                }
                Some(byte) if !is_special(*byte) => {
                    return Err(progress.inside(at, has_escape, string));
                }
                // A control character, or no end.
                _ => return Err(ParseError::NotJson.into()),
            }
            at = self.special(at);
        }
    }

    /// The first place from `start` on in the head that is special in a string; otherwise its end, or
    /// `start` if that is beyond it.
    #[inline]
    fn special(self, start: usize) -> usize {
        find(self.head(), start, is_special).max(start)
    }
}

impl Progress {
    /// Stops in a string, before `at`.
    fn inside(&mut self, at: usize, escaped: bool, string: OpenString) -> Stop {
        self.position = index(at);
        self.string = Some(OpenString { escaped, ..string });
        Stop::Inside
    }

    /// A string from `start` to before `end`.
    #[inline(always)]
    fn passed(&mut self, start: usize, end: usize) {
        if end - start >= LONG_STRING {
            self.passed_long(start, end);
        }
    }

    #[cold]
    fn passed_long(&mut self, start: usize, end: usize) {
        self.has_long_strings = true;
        self.extents.push(Extent {
            start: index(start),
            end: index(end),
        });
    }

    fn open(&mut self, at: usize, is_object: bool) -> Result<(), ParseError> {
        if let Some(open) = self.open.get_mut(self.depth) {
            *open = self.extents.len();
            self.extents.push(Extent {
                start: index(at),
                end: 0,
            });
        }
        self.depth += 1;
        if self.depth > usize::from(self.deepest) {
            return Err(ParseError::TooDeep);
        }
        self.containers = self.containers << 1 | u128::from(is_object);
        Ok(())
    }

    /// `end`: behind the bracket.
    fn close(&mut self, end: usize) {
        self.depth -= 1;
        self.containers >>= 1;
        let Some(open) = self.open.get(self.depth) else {
            return;
        };
        if let Some(extent) = self.extents.get_mut(*open) {
            extent.end = index(end);
            // A short one has none in it: it is the last.
            if end - (extent.start as usize) < INDEXED_LENGTH {
                self.extents.truncate(*open);
            }
        }
    }
}

/// The first byte from `at` on that is not white space, and where it is.
#[inline(always)]
fn next(bytes: &[u8], at: usize) -> (Option<u8>, usize) {
    match bytes.get(at) {
        Some(byte) if is_white(*byte) => {
            let at = after_white(bytes, at + 1);
            (bytes.get(at).copied(), at)
        }
        byte => (byte.copied(), at),
    }
}

/// Where the white space ends, of which there may be megabytes.
#[cold]
pub(super) fn after_white(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, |byte| {
        (byte != b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
    })
}

#[inline(always)]
fn colon(bytes: &[u8], at: usize) -> Result<usize, ParseError> {
    match next(bytes, at) {
        (Some(b':'), at) => Ok(at + 1),
        _ => Err(ParseError::NotJson),
    }
}

/// What a string does not have as it is.
#[inline(always)]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The length of the escape that begins here. Halves of surrogate pairs are let through, whether or not they have another half.
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

/// At least one.
fn digits(bytes: &[u8], start: usize) -> Result<usize, ParseError> {
    let end = find_near(bytes, start, |byte| !byte.is_ascii_digit());
    if end > start {
        Ok(end)
    } else {
        Err(ParseError::NotJson)
    }
}

fn literal(bytes: &[u8], at: usize, literal: &[u8]) -> Result<usize, ParseError> {
    let rest = bytes.get(at..).unwrap_or_default();
    if !rest.starts_with(literal) {
        return Err(ParseError::NotJson);
    }
    Ok(at + literal.len())
}

/// Documents are at most `u32::MAX` bytes long.
pub(super) fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[inline]
pub(super) fn is_white(byte: u8) -> bool {
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The end of the number or literal that begins at `start` in a valid text.
#[inline]
pub(super) fn scalar_end(bytes: &[u8], start: usize) -> usize {
    find_near(bytes, start, |byte| {
        (byte == b',') | (byte == b']') | (byte == b'}') | (byte <= b' ')
    })
}

/// The end of the string that begins with the quote at `start` in a valid text, and whether it has an escape.
pub(super) fn string_end(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start + 1;
    let mut has_escape = false;
    loop {
        at = find(bytes, at, |byte| (byte == b'"') | (byte == b'\\'));
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
    let quote = find(bytes, start + 1, |byte| byte == b'"');
    bytes.len().min(quote + 1)
}

/// The first place from `start` on with a byte that is looked for, or the end. `wanted` without branches becomes a few instructions for 16 bytes.
#[inline(always)]
fn find(bytes: &[u8], start: usize, wanted: impl Fn(u8) -> bool) -> usize {
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
fn find_near(bytes: &[u8], start: usize, wanted: impl Fn(u8) -> bool) -> usize {
    const NEAR: usize = 32;
    let rest = bytes.get(start..).unwrap_or_default();
    let near = rest.get(..NEAR).unwrap_or(rest);
    match near.iter().position(|byte| wanted(*byte)) {
        Some(found) => start + found,
        None => find(bytes, start + near.len(), wanted),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// At once and in the smallest steps, which must be the same.
    fn checked(text: &str, escaped: impl FnMut(usize, usize)) -> Result<Vec<Extent>, ParseError> {
        let mut progress = Progress::new(MAX_DEPTH);
        let whole = check(text.as_bytes(), usize::MAX, &mut progress, escaped);
        let mut stepwise = Progress::new(MAX_DEPTH);
        let mut until = 0;
        let steps = loop {
            until += 1;
            match check(text.as_bytes(), until, &mut stepwise, |_, _| {}) {
                Ok(false) => assert!(until <= text.len(), "it comes to no end"),
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

    fn ours(text: &str) -> bool {
        checked(text, |_, _| {}).is_ok()
    }

    fn theirs(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn takes_what_serde_json_takes(text in r#"[\[\]{}",:0-9eE+\-.tfnrualse\\/ \n]{0,24}"#) {
            prop_assert_eq!(ours(&text), theirs(&text));
        }

        #[test]
        fn takes_what_serde_json_takes_of_almost_json(
            mut text in prop::sample::select(vec![
                r#"{"a":[1,-2.5e+10,0,"x\u00e4\/"],"b":{"c":null,"d":[true,false,{}]},"":[]}"#,
                r#" [ [ ] , { } , "\"\\" , 1e400 , "\ud83d" , -0.0E-0 ] "#,
                r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"1"}]}}]}]}"#,
            ]).prop_map(str::to_owned),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3, r#"[\[\]{}",:0-9eE+\-.tfnu\\/\x00-\x20é]"#), 1..3),
        ) {
            for (place, kind, new) in edits {
                let places: Vec<_> = text.char_indices().map(|(place, _)| place).collect();
                let place = *place.get(&places);
                let end = place + text[place..].chars().next().map_or(0, char::len_utf8);
                match kind {
                    0 => text.replace_range(place..end, ""),
                    1 => text.replace_range(place..end, &new),
                    _ => text.insert_str(place, &new),
                }
            }
            prop_assert_eq!(ours(&text), theirs(&text), "{}", text);
        }

        #[test]
        fn strings_are_taken_as_serde_json_does(inside in r#"[a-z"\\u0-9/\x00-\x1fé]{0,30}"#) {
            let text = format!("\"{inside}\"");
            prop_assert_eq!(ours(&text), theirs(&text));
        }

        #[test]
        fn strings_end_where_they_end(inside in "[a-zé]{0,30}", after in ".{0,9}") {
            let text = format!("\"{inside}\"{after}");
            prop_assert_eq!(plain_string_end(text.as_bytes(), 0), inside.len() + 2);
            prop_assert_eq!(string_end(text.as_bytes(), 0), (inside.len() + 2, false));
        }
    }

    #[test]
    fn a_long_text_without_an_end_is_refused() {
        let long = "x".repeat(LONG_STRING);
        for end in ["", ",", ",1", ",[", r#",{"a":"#, ",\"", ",\"\\", "] ]"] {
            assert!(!ours(&format!("[\"{long}\"{end}")), "{end}");
        }
        assert!(ours(&format!("[\"{long}\"]")));
    }

    #[test]
    fn nesting_is_bounded_wherever_it_is() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for (depth, ok) in [(127, true), (128, false), (1_000_000, false)] {
                assert_eq!(
                    ours(&format!("{}0{}", open.repeat(depth), close.repeat(depth))),
                    ok
                );
            }
            assert!(!ours(&open.repeat(1_500_000)));
        }
        assert!(ours(&format!("{{\"a\":\"{}\"}}", "[".repeat(1000))));
    }

    #[test]
    fn extents_are_those_of_the_larger_containers() {
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
