//! A JSON text that is known to be valid, and a cursor that walks over it.
//!
//! Once the grammar has been checked nothing can be wrong any more but the *shapes*. So the cursor has no errors, tells where every value
//! begins and ends (which serde's data model cannot), and skips what it is not asked for. It never fails and never panics, whatever it is
//! pointed at.

use std::{fmt, num::NonZeroU32};

use bytes::Bytes;

use super::{
    grammar::{self, Extent, MAX_DEPTH, Progress, index, is_white, plain_string_end, string_end},
    notification::ParseError,
    object::Reader,
};

/// The shortest string with an escape and what follows it: `"\n",`.
const SHORTEST_ESCAPED: usize = 5;

/// A text that may become a document. A large one is looked at bit by bit, so that nobody else has to wait for it.
pub(crate) struct Parsing {
    body: Bytes,
    /// So many bytes are UTF-8.
    valid: usize,
    progress: Progress,
    unescaped: Unescaped,
}

impl Parsing {
    pub(crate) fn new(body: Bytes, deepest: usize) -> Result<Self, ParseError> {
        if u32::try_from(body.len()).is_err() {
            return Err(ParseError::TooLarge);
        }
        Ok(Self {
            body,
            valid: 0,
            progress: Progress::new(deepest),
            unescaped: Unescaped::default(),
        })
    }

    /// Looks at so many bytes more, or at a few more still: a string is looked at whole. Tells whether it is a document.
    pub(crate) fn advance(&mut self, bytes: usize) -> Result<bool, ParseError> {
        // At least a character, or it would come to no end.
        let until = self.valid.saturating_add(bytes.max(4)).min(self.body.len());
        let next = self.body.get(self.valid..until).unwrap_or_default();
        let rest = match std::str::from_utf8(next) {
            Ok(_) => 0,
            // The end may be inside a character.
            Err(error) if error.error_len().is_none() && until < self.body.len() => {
                next.len() - error.valid_up_to()
            }
            Err(_) => return Err(ParseError::NotUtf8),
        };
        self.valid = until - rest;
        let unescaped = &mut self.unescaped;
        // Beyond the end there is no value, and `check` says so.
        let until = if until < self.body.len() {
            until
        } else {
            usize::MAX
        };
        let whole = grammar::check(&self.body, until, &mut self.progress, |start, end| {
            unescaped.push(&self.body, start, end);
        })?;
        // The last string may have been longer than what was looked at for UTF-8.
        let rest = self.body.get(self.valid..).unwrap_or_default();
        if whole && std::str::from_utf8(rest).is_err() {
            return Err(ParseError::NotUtf8);
        }
        Ok(whole)
    }

    /// Bytes that are allocated beside the body.
    pub(crate) fn memory(&self) -> usize {
        self.unescaped.memory() + self.progress.extents.capacity() * size_of::<Extent>()
    }

    /// It is one.
    pub(crate) fn into_document(self) -> Document {
        Document {
            body: self.body,
            unescaped: self.unescaped,
            extents: self.progress.extents,
        }
    }
}

/// A valid JSON text.
pub(crate) struct Document {
    body: Bytes,
    unescaped: Unescaped,
    /// Where the larger containers end: what need not be looked at is passed over at once.
    extents: Vec<Extent>,
}

impl Document {
    pub(crate) fn new(body: Bytes) -> Result<Self, ParseError> {
        Self::nested(body, MAX_DEPTH)
    }

    /// A text that may be nested so deep.
    pub(crate) fn nested(body: Bytes, deepest: usize) -> Result<Self, ParseError> {
        let mut parsing = Parsing::new(body, deepest)?;
        while !parsing.advance(usize::MAX)? {}
        Ok(parsing.into_document())
    }

    /// The same without what only makes passing over large values faster.
    pub(crate) fn small(self) -> Self {
        Self {
            extents: Vec::new(),
            ..self
        }
    }

    /// The cursor before the one value of the text.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        self.cursor_at(Span::default())
    }

    /// The cursor before what stands in `span`. It does not mind the end: values end by themselves.
    pub(crate) fn cursor_at(&self, span: Span) -> Cursor<'_> {
        Cursor {
            bytes: &self.body,
            position: span.start as usize,
            document: self,
            text: "",
            offset: 0,
        }
    }

    /// The same, for a value of which several texts will be read.
    pub(crate) fn cursor_in(&self, span: Span) -> Cursor<'_> {
        Cursor {
            text: self.text(span),
            offset: span.start as usize,
            ..self.cursor_at(span)
        }
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        text(self.bytes(span))
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.body.get(span.range()).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes that are allocated beside the body.
    pub(super) fn memory(&self) -> usize {
        self.unescaped.memory() + self.extents.capacity() * size_of::<Extent>()
    }

    /// A member from its key on, in what was passed over before and with it.
    pub(crate) fn member(&self, passed: Span) -> Span {
        let range = passed.range();
        let quote = self.bytes(passed).iter().position(|byte| *byte == b'"');
        Span::new(range.start + quote.unwrap_or_default(), range.end)
    }

    /// The key of a member.
    pub(crate) fn key_at(&self, member: Span) -> &[u8] {
        self.cursor_at(member).key().unwrap_or_default()
    }

    fn end_of_container(&self, start: usize) -> Option<usize> {
        let start = index(start);
        let found = self
            .extents
            .binary_search_by_key(&start, |extent| extent.start);
        Some(self.extents.get(found.ok()?)?.end as usize)
    }
}

/// The body was found to be UTF-8 as a whole, and what is cut out of it begins and ends at ASCII.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Where a value stands in the document.
///
/// An optional span takes no more room than a span: a delivery may have tens of thousands of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// One more than the index behind the last byte.
    end: NonZeroU32,
}

impl Default for Span {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: index(start),
            end: NonZeroU32::MIN.saturating_add(index(end)),
        }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end()
    }

    fn end(self) -> usize {
        (self.end.get() - 1) as usize
    }

    /// Where what stands in `self` came to stand when `whole`, which it is a part of, was copied to `copy`.
    pub(crate) fn moved(self, whole: Self, copy: Self) -> Option<Self> {
        let (this, outer) = (self.range(), whole.range());
        let inside = outer.start <= this.start && this.end <= outer.end;
        let moved = |index: usize| copy.range().start + (index - outer.start);
        inside.then(|| Self::new(moved(this.start), moved(this.end)))
    }

    /// From the beginning of this to the end of `other`.
    pub(crate) fn until(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}

/// Where a cursor was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize);

/// A place in a valid JSON text, before a value, a member or an element.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    document: &'a Document,
    /// A part of `bytes` as text, from `offset` on. Texts that are not in it are converted one by one, which costs more.
    text: &'a str,
    offset: usize,
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
    /// behind the object. As bytes: most keys are only compared.
    pub(crate) fn key(&mut self) -> Option<&'a [u8]> {
        if self.ended(b'}') {
            return None;
        }
        let key = self.string_bytes()?;
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
        self.position = self.bytes.len();
    }

    /// What was passed over since `start`, an earlier place of this cursor, but for white space at its beginning.
    pub(crate) fn since(&self, mut start: Self) -> Span {
        start.peek();
        Span::new(start.position, self.position)
    }

    /// The value of a member of the object that the cursor is before. Of several equal keys the last counts that can be read.
    pub(crate) fn member<R: Reader<'a>>(mut self, name: &[u8]) -> Option<R::Out> {
        self.object()?;
        let mut value = None;
        while let Some(key) = self.key() {
            if key != name {
                self.skip();
            } else if !self.null() {
                value = R::read(&mut self).or(value);
            }
        }
        value
    }

    /// Whether both are before the same value.
    pub(crate) fn is_at(mut self, mut other: Self) -> bool {
        self.peek();
        other.peek();
        self.position == other.position
    }

    /// This place, for [`since_mark`](Self::since_mark).
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.position)
    }

    /// What was passed over since an earlier place, but for white space at its beginning.
    pub(crate) fn since_mark(&self, mark: Mark) -> Span {
        self.since(Self {
            position: mark.0,
            ..*self
        })
    }

    /// The text of the next value, whatever it is.
    pub(crate) fn json(&mut self) -> &'a str {
        self.peek();
        let start = self.position;
        self.skip();
        self.text(start, self.position)
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
        if self.skip_string() {
            return self.document.unescaped.get(index(start));
        }
        Some(self.text(start + 1, self.position - 1))
    }

    fn text(&self, start: usize, end: usize) -> &'a str {
        let inside = start.wrapping_sub(self.offset)..end.wrapping_sub(self.offset);
        match self.text.get(inside) {
            Some(text) => text,
            None => text(self.bytes.get(start..end).unwrap_or_default()),
        }
    }

    /// The same as bytes, for what is only compared.
    pub(crate) fn string_bytes(&mut self) -> Option<&'a [u8]> {
        if self.peek() != Some(b'"') {
            self.skip();
            return None;
        }
        let start = self.position;
        if self.skip_string() {
            return self.document.unescaped.get(index(start)).map(str::as_bytes);
        }
        self.bytes.get(start + 1..self.position - 1)
    }

    /// The text of the next value, if it is a string or a number: Meta writes ids, times and codes as either.
    pub(crate) fn scalar(&mut self) -> Option<&'a str> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.position;
                self.skip();
                Some(self.text(start, self.position))
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
            match self.bytes.get(self.position) {
                Some(byte) if is_white(*byte) => self.position += 1,
                byte => return byte.copied(),
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
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
        if self.document.unescaped.strings.is_empty() {
            self.position = plain_string_end(self.bytes, self.position);
            return false;
        }
        let (end, escaped) = string_end(self.bytes, self.position);
        self.position = end;
        escaped
    }

    /// Not recursive, whatever the nesting.
    fn skip_nested(&mut self) {
        if let Some(end) = self.document.end_of_container(self.position) {
            self.position = end;
            return;
        }
        let mut depth = 0usize;
        while let Some(&byte) = self.bytes.get(self.position) {
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
    fn memory(&self) -> usize {
        self.decoded.capacity() + self.strings.capacity() * size_of::<Decoded>()
    }

    /// Decodes the string that stands from `start` to `end` in `bytes`, quotes included, behind all that were pushed before.
    fn push(&mut self, bytes: &[u8], start: usize, end: usize) {
        if self.strings.is_empty() {
            // Grown to its size at once: growing it bit by bit would take up to three times as much in between.
            let rest = bytes.get(start..).unwrap_or_default();
            let escapes = rest.iter().filter(|byte| **byte == b'\\').count();
            self.strings
                .reserve_exact(escapes.min(rest.len() / SHORTEST_ESCAPED + 1));
        }
        // What is no text is found a little later, and then there is no document.
        unescape(
            text(bytes.get(start + 1..end - 1).unwrap_or_default()),
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
                    members.insert(text(key).to_owned(), walk(cursor));
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

    fn stepwise(text: &[u8], step: usize) -> Result<Document, ParseError> {
        let mut parsing = Parsing::new(Bytes::copy_from_slice(text), MAX_DEPTH)?;
        while !parsing.advance(step)? {}
        Ok(parsing.into_document())
    }

    proptest! {
        #[test]
        fn bit_by_bit_is_the_same(value in json(), step in 0usize..20, spoilt in any::<Option<(prop::sample::Index, u8)>>()) {
            for text in [value.to_string(), escaped(&value.to_string())] {
                let mut text = text.into_bytes();
                if let Some((place, byte)) = spoilt {
                    let place = place.index(text.len());
                    text[place] = byte;
                }
                let whole = Document::new(Bytes::copy_from_slice(&text));
                let steps = stepwise(&text, step);
                prop_assert_eq!(whole.is_ok(), steps.is_ok());
                if let (Ok(whole), Ok(steps)) = (whole, steps) {
                    let found = |document: &Document| {
                        let extents: Vec<_> = document.extents.iter().map(|extent| (extent.start, extent.end)).collect();
                        (extents, document.unescaped.decoded.clone())
                    };
                    prop_assert_eq!(found(&whole), found(&steps));
                }
            }
        }

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
        fn never_panics_wherever_it_is_pointed(value in json(), start in 0u32..200, end in 0u32..200) {
            let document = document(&value.to_string());
            let mut cursor = document.cursor_at(Span::new(start as usize, end as usize));
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
}
