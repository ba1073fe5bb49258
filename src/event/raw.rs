//! A JSON text that is known to be valid, and a cursor that walks over it.
//!
//! `serde_json` is the judge of what is JSON: [`Document::new`] asks it once, and refuses everything else. After that nothing can be
//! wrong any more but the *shapes*, so the cursor has no errors, tells where every value begins and ends (which serde's data model
//! cannot), and skips what it is not asked for. It never fails and never panics, whatever it is pointed at.

use std::fmt;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::notification::ParseError;

/// The deepest nesting that is let through: what `serde_json` allows for its own types.
const MAX_DEPTH: usize = 127;

/// The shortest string with an escape and what follows it: `"\n",`.
const SHORTEST_ESCAPED: usize = 5;

/// A valid JSON text.
pub(crate) struct Document {
    body: Bytes,
    unescaped: Unescaped,
}

impl Document {
    pub(crate) fn new(body: Bytes) -> Result<Self, ParseError> {
        if u32::try_from(body.len()).is_err() {
            return Err(ParseError::TooLarge);
        }
        let text = std::str::from_utf8(&body).map_err(|_| ParseError::NotUtf8)?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| ParseError::NotJson)?;
        let unescaped = Unescaped::new(text)?;
        Ok(Self { body, unescaped })
    }

    /// A text that is put together of values of another document, each of them valid.
    pub(crate) fn of_pieces(text: Vec<u8>) -> Self {
        let unescaped = match std::str::from_utf8(&text) {
            Ok(text) => Unescaped::new(text).unwrap_or_default(),
            Err(_) => Unescaped::default(),
        };
        Self {
            body: text.into(),
            unescaped,
        }
    }

    /// The cursor before the one value of the text.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        self.cursor_at(Span {
            start: 0,
            end: index(self.body.len()),
        })
    }

    /// The cursor before the value that stands in `span`.
    pub(crate) fn cursor_at(&self, span: Span) -> Cursor<'_> {
        Cursor {
            text: self.text(span),
            position: 0,
            offset: span.start,
            unescaped: &self.unescaped,
        }
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        // Validated as a whole in `new`; spans begin and end at ASCII.
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.body.get(span.range()).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Where a value stands in the document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: index(start),
            end: index(end),
        }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the beginning of this to the end of `other`.
    pub(crate) fn until(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}

/// A place in a valid JSON text, before a value, a member or an element.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    position: usize,
    /// Where `text` begins in the document.
    offset: u32,
    unescaped: &'a Unescaped,
}

impl<'a> Cursor<'a> {
    /// Enters an object; anything else is skipped.
    pub(crate) fn object(&mut self) -> Option<()> {
        self.enter(b'{')
    }

    /// Enters an array; anything else is skipped.
    pub(crate) fn array(&mut self) -> Option<()> {
        self.enter(b'[')
    }

    /// The next key of the object that was entered, with the cursor before its value; `None` after the last, with the cursor
    /// behind the object.
    pub(crate) fn key(&mut self) -> Option<&'a str> {
        if self.ended(b'}') {
            return None;
        }
        let key = self.string()?;
        if self.peek() == Some(b':') {
            self.position += 1;
        }
        Some(key)
    }

    /// Whether there is another element in the array that was entered, with the cursor before it; otherwise the cursor is behind
    /// the array.
    pub(crate) fn element(&mut self) -> bool {
        !self.ended(b']')
    }

    /// Passes over the next value.
    pub(crate) fn skip(&mut self) -> Span {
        let start = *self;
        match self.peek() {
            Some(b'"') => {
                self.skip_string();
            }
            Some(b'{' | b'[') => self.skip_nested(),
            _ => {
                let end = |byte: &u8| matches!(byte, b',' | b']' | b'}') || is_white(*byte);
                self.position += self.rest().iter().take_while(|byte| !end(byte)).count();
            }
        }
        self.since(start)
    }

    /// Passes over everything.
    pub(crate) fn end(&mut self) {
        self.position = self.text.len();
    }

    /// What was passed over since `start`, an earlier place of this cursor, but for white space at its beginning.
    pub(crate) fn since(&self, mut start: Self) -> Span {
        start.peek();
        Span {
            start: start.offset + index(start.position),
            end: self.offset + index(self.position),
        }
    }

    /// The text of the next value, whatever it is.
    pub(crate) fn json(&mut self) -> &'a str {
        self.peek();
        let start = self.position;
        self.skip();
        self.text.get(start..self.position).unwrap_or_default()
    }

    /// Passes over a `null`.
    pub(crate) fn null(&mut self) -> bool {
        let null = self.peek() == Some(b'n');
        if null {
            self.skip();
        }
        null
    }

    /// The next value, if it is a string; anything else is skipped.
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        if self.peek() != Some(b'"') {
            self.skip();
            return None;
        }
        let start = self.position;
        let escaped = self.skip_string();
        if escaped {
            return self.unescaped.get(self.offset + index(start));
        }
        self.text.get(start + 1..self.position - 1)
    }

    /// The text of the next value, if it is a string or a number: Meta writes ids, times and codes as either.
    pub(crate) fn scalar(&mut self) -> Option<&'a str> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.position;
                self.skip();
                self.text.get(start..self.position)
            }
            _ => {
                self.skip();
                None
            }
        }
    }

    /// The next value, if it is a boolean or one written as a string.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        match self.peek() {
            Some(b't') => {
                self.skip();
                Some(true)
            }
            Some(b'f') => {
                self.skip();
                Some(false)
            }
            _ => self.string()?.parse().ok(),
        }
    }

    /// The first byte of the next value, passing over white space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.position) {
                Some(byte) if is_white(*byte) => self.position += 1,
                byte => return byte.copied(),
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text
            .as_bytes()
            .get(self.position..)
            .unwrap_or_default()
    }

    fn enter(&mut self, bracket: u8) -> Option<()> {
        if self.peek() == Some(bracket) {
            self.position += 1;
            return Some(());
        }
        self.skip();
        None
    }

    /// Passes over a comma or the bracket that ends a container.
    fn ended(&mut self, bracket: u8) -> bool {
        match self.peek() {
            Some(b',') => {
                self.position += 1;
                false
            }
            Some(byte) if byte == bracket => {
                self.position += 1;
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// From before an opening quote to behind the closing one. Tells whether there is an escape in between.
    fn skip_string(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        if self.unescaped.strings.is_empty() {
            self.position = plain_string_end(bytes, self.position);
            return false;
        }
        let (end, escaped) = string_end(bytes, self.position);
        self.position = end;
        escaped
    }

    /// Not recursive, whatever the nesting.
    fn skip_nested(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        while let Some(&byte) = bytes.get(self.position) {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.position += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

/// The strings of a document that have escapes, decoded once. Meta escapes `/` and everything that is not ASCII.
///
/// A string takes less room decoded than escaped, so all of them together are shorter than the document.
#[derive(Default)]
struct Unescaped {
    decoded: String,
    /// In the order of the document.
    strings: Vec<Decoded>,
}

/// One of them: it stands in `decoded` from the end of the one before.
#[derive(Clone, Copy)]
struct Decoded {
    /// The place of its opening quote in the document.
    at: u32,
    end: u32,
}

impl Unescaped {
    /// Decodes them all, and measures the nesting in passing.
    fn new(text: &str) -> Result<Self, ParseError> {
        let bytes = text.as_bytes();
        let mut this = Self::default();
        // Most deliveries are one message, and many have no escape.
        if Census::of(bytes).is_plain_and_flat() {
            return Ok(this);
        }
        let (mut position, mut depth) = (0, 0usize);
        while let Some(&byte) = bytes.get(position) {
            match byte {
                b'"' => {
                    let (end, escaped) = string_end(bytes, position);
                    if escaped {
                        this.push(text, position, end);
                    }
                    position = end;
                    continue;
                }
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(ParseError::TooDeep);
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            position += 1;
        }
        Ok(this)
    }

    fn push(&mut self, text: &str, start: usize, end: usize) {
        if self.strings.is_empty() {
            // Grown to its size at once: growing it bit by bit would take up to three times as much in between.
            let rest = text.get(start..).unwrap_or_default();
            let escapes = rest.bytes().filter(|byte| *byte == b'\\').count();
            self.strings
                .reserve_exact(escapes.min(rest.len() / SHORTEST_ESCAPED + 1));
        }
        unescape(
            text.get(start + 1..end - 1).unwrap_or_default(),
            &mut self.decoded,
        );
        self.strings.push(Decoded {
            at: index(start),
            end: index(self.decoded.len()),
        });
    }

    fn get(&self, at: u32) -> Option<&str> {
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

/// How many there are of the two things that need a closer look. Written so that the compiler counts many bytes at a time.
struct Census {
    backslashes: usize,
    brackets: usize,
}

impl Census {
    fn of(bytes: &[u8]) -> Self {
        let mut census = Self {
            backslashes: 0,
            brackets: 0,
        };
        for chunk in bytes.chunks(u8::MAX.into()) {
            let (mut backslashes, mut brackets) = (0u8, 0u8);
            for byte in chunk {
                backslashes += u8::from(*byte == b'\\');
                // `[` and `{` differ in this bit alone.
                brackets += u8::from(byte | 0x20 == b'{');
            }
            census.backslashes += usize::from(backslashes);
            census.brackets += usize::from(brackets);
        }
        census
    }

    fn is_plain_and_flat(&self) -> bool {
        self.backslashes == 0 && self.brackets <= MAX_DEPTH
    }
}

/// The end of the string that begins with the quote at `start`, and whether it has an escape.
fn string_end(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut position = start + 1;
    let mut escaped = false;
    loop {
        position = find(bytes, position, |word| has(word, b'"') | has(word, b'\\'));
        match bytes.get(position) {
            Some(b'"') => return (position + 1, escaped),
            Some(b'\\') => {
                escaped = true;
                position += 2;
            }
            Some(_) => position += 1,
            None => return (bytes.len(), escaped),
        }
    }
}

/// The end of the string that begins with the quote at `start`, in a document without escapes.
fn plain_string_end(bytes: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    loop {
        position = find(bytes, position, |word| has(word, b'"'));
        match bytes.get(position) {
            Some(b'"') => return position + 1,
            Some(_) => position += 1,
            None => return bytes.len(),
        }
    }
}

/// The first place from `start` on that `marks` marks, or one in the last 7 bytes, or the end. Looks at 8 bytes at a time.
#[inline]
fn find(bytes: &[u8], start: usize, marks: impl Fn(u64) -> u64) -> usize {
    let mut position = start;
    let mut rest = bytes.get(start..).unwrap_or_default();
    while let Some((word, after)) = rest.split_first_chunk() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return position + found.trailing_zeros() as usize / 8;
        }
        position += word.len();
        rest = after;
    }
    position
}

/// Marks the bytes of `word` that are `byte` in their highest bit. Above the first one there may be false marks.
#[inline]
fn has(word: u64, byte: u8) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero = word ^ (LOW * byte as u64);
    zero.wrapping_sub(LOW) & !zero & HIGH
}

/// Appends the text that `raw`, the inside of a valid JSON string, stands for.
///
/// Meta's escapes are halves of UTF-16, so a text that was cut inside an emoji ends in half a pair. That half becomes U+FFFD: the
/// message is worth more than its last character.
fn unescape(raw: &str, decoded: &mut String) {
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
                rest = unescape_unicode(escape, decoded);
                continue;
            }
            Some(itself) => decoded.push(itself),
            None => {}
        }
        rest = characters.as_str();
    }
    decoded.push_str(rest);
}

/// `escape` begins with the `u` of a `\uXXXX`. Returns what follows it, or the pair that it is the first half of.
fn unescape_unicode<'a>(escape: &'a str, decoded: &mut String) -> &'a str {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(escape).unwrap_or_default();
    let after_first = escape.get(5..).unwrap_or_default();
    let second = after_first.strip_prefix('\\').and_then(unit);
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

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Documents are at most `u32::MAX` bytes long.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn document(text: &str) -> Document {
        Document::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    /// Walks a value with the cursor alone.
    fn walk(cursor: &mut Cursor<'_>) -> Value {
        match cursor.peek().unwrap() {
            b'{' => {
                let mut members = serde_json::Map::new();
                cursor.object().unwrap();
                while let Some(key) = cursor.key() {
                    members.insert(key.to_owned(), walk(cursor));
                }
                members.into()
            }
            b'[' => {
                let mut elements = Vec::new();
                cursor.array().unwrap();
                while cursor.element() {
                    elements.push(walk(cursor));
                }
                elements.into()
            }
            b'"' => cursor.string().unwrap().into(),
            b'n' => {
                assert!(cursor.null());
                Value::Null
            }
            b't' | b'f' => cursor.boolean().unwrap().into(),
            _ => serde_json::from_str(cursor.scalar().unwrap()).unwrap(),
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            r#"[\\"/\[\]{},: \n]{0,8}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| members
                    .into_iter()
                    .collect::<serde_json::Map<_, _>>()
                    .into()),
            ]
        })
    }

    /// The same JSON as Meta writes it: everything escaped that may be.
    fn escaped(text: &str) -> String {
        let mut units = [0; 2];
        text.chars()
            .map(|c| match c {
                '/' => "\\/".to_owned(),
                c if c.is_ascii() => c.to_string(),
                c => c
                    .encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn sees_what_serde_json_sees(value in json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), escaped(&value.to_string())] {
                let document = document(&text);
                let mut cursor = document.cursor();
                prop_assert_eq!(walk(&mut cursor), serde_json::from_str::<Value>(&text).unwrap());
                prop_assert_eq!(cursor.peek(), None);
                prop_assert_eq!(document.text(document.cursor().skip()), text);
            }
        }

        #[test]
        fn takes_what_serde_json_takes(text in r#"[\[\]{}",:0-9eE+\-.tfn\\u ]{0,24}"#) {
            let document = Document::new(Bytes::from(text.clone()));
            prop_assert_eq!(document.is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn never_panics_wherever_it_is_pointed(value in json(), start in 0u32..200, end in 0u32..200) {
            let document = document(&value.to_string());
            let mut cursor = document.cursor_at(Span { start, end });
            for _ in 0..300 {
                let _ = (cursor.object(), cursor.key(), cursor.scalar(), cursor.array(), cursor.element(), cursor.boolean());
            }
        }
    }

    #[test]
    fn half_a_pair_becomes_a_replacement_character() {
        for (raw, text) in [
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ud83db", "\u{fffd}b"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\uD83D\uDE00\u0000", "😀\0"),
        ] {
            let document = document(&format!("\"{raw}\""));
            assert_eq!(document.cursor().string(), Some(text), "{raw}");
        }
    }

    #[test]
    fn nesting_is_bounded_wherever_it_is() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for (depth, ok) in [(127, true), (128, false), (1_000_000, false)] {
                let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(Document::new(text.into()).is_ok(), ok, "{depth}");
            }
        }
        assert!(Document::new(format!("{{\"a\":\"{}\"}}", "[".repeat(1000)).into()).is_ok());
    }
}
