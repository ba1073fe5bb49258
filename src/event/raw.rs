//! A JSON text that is known to be valid, and a cursor that walks over it.
//!
//! Once the grammar has been checked nothing can be wrong any more but the *shapes*. So the cursor has no errors, tells where every value
//! begins and ends (which serde's data model cannot), and skips what it is not asked for. It never fails and never panics, whatever it is
//! pointed at.

use std::{fmt, num::NonZeroU32};

use bytes::Bytes;

use super::{
    grammar::{
        self, Extent, LONG_STRING, MAX_DEPTH, Progress, after_white, index, is_white,
        plain_string_end, scalar_end, string_end,
    },
    object::Decode,
    parse_error::ParseError,
};

/// The shortest string with an escape and what follows it: `"\n",`.
const SHORTEST_ESCAPED: usize = 5;

/// Maximum length of a value whose text is converted as a whole before its parts are read.
const CONVERTED: usize = 64 * 1024;

/// A text that may become a document. A large one is looked at bit by bit, so that nobody else has to wait for it.
pub(crate) struct IncrementalValidator {
    body: Bytes,
    /// So many bytes are UTF-8.
    valid: u32,
    /// All of it is valid.
    whole: bool,
    progress: Progress,
    unescaped: Unescaped,
}

impl IncrementalValidator {
    pub(crate) fn new(body: Bytes, deepest: usize) -> Result<Self, ParseError> {
        if u32::try_from(body.len()).is_err() {
            return Err(ParseError::TooLarge);
        }
        Ok(Self {
            body,
            valid: 0,
            whole: false,
            progress: Progress::new(deepest),
            unescaped: Unescaped::default(),
        })
    }

    /// Validates about `bytes` more bytes, and decodes about as many. Strings are split too, except
    /// for their escapes. Returns true once the whole text is valid.
    pub(crate) fn advance(&mut self, bytes: usize) -> Result<bool, ParseError> {
        // At least a character, or it would come to no end.
        let bytes = bytes.max(4);
        if self.unescaped.catch_up(&self.body, bytes) {
            return Ok(false);
        }
        let valid = self.valid as usize;
        let seen = valid.saturating_add(bytes).min(self.body.len());
        let next = self.body.get(valid..seen).unwrap_or_default();
        let rest = match std::str::from_utf8(next) {
            Ok(_) => 0,
            // The end may be inside a character.
            Err(error) if error.error_len().is_none() && seen < self.body.len() => {
                next.len() - error.valid_up_to()
            }
            Err(_) => return Err(ParseError::NotUtf8),
        };
        let valid = seen - rest;
        self.valid = index(valid);
        let unescaped = &mut self.unescaped;
        // Beyond the end there is no value, and `check` says so.
        let until = if seen < self.body.len() {
            seen
        } else {
            usize::MAX
        };
        let whole = grammar::check(&self.body, until, &mut self.progress, |start, end| {
            unescaped.push(&self.body, start, end);
        })?;
        if let Some(string) = self.progress.string
            && string.escaped
        {
            // Beyond what was seen there is only an escape.
            let position = self.progress.position();
            let known = if position > seen {
                position
            } else {
                position.min(valid)
            };
            unescaped.extend(string.start(), known);
            unescaped.catch_up(&self.body, bytes);
        }
        // A string may end behind what was looked at for UTF-8.
        let rest = self.body.get(valid..).unwrap_or_default();
        if whole && std::str::from_utf8(rest).is_err() {
            return Err(ParseError::NotUtf8);
        }
        self.whole = whole;
        Ok(whole)
    }

    /// Whether the whole text is valid.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bytes that are allocated beside the body.
    pub(crate) fn memory(&self) -> usize {
        self.unescaped.memory() + self.progress.extents.capacity() * size_of::<Extent>()
    }

    /// It is one.
    pub(crate) fn into_document(self) -> Document {
        Document {
            has_plain_strings: self.unescaped.strings.is_empty() && !self.progress.has_long_strings,
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
    /// Where the larger containers and strings end: what need not be looked at is passed over at
    /// once.
    extents: Vec<Extent>,
    /// No string has an escape, and none is long.
    has_plain_strings: bool,
}

impl Document {
    pub(crate) fn new(body: Bytes) -> Result<Self, ParseError> {
        Self::nested(body, MAX_DEPTH)
    }

    /// A text that may be nested so deep.
    pub(crate) fn nested(body: Bytes, deepest: usize) -> Result<Self, ParseError> {
        let mut parsing = IncrementalValidator::new(body, deepest)?;
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
            extent: 0,
        }
    }

    /// The same, for a value of which several texts will be read. Those of a long value are
    /// converted one by one, because most of it may never be read.
    pub(crate) fn cursor_in(&self, span: Span) -> Cursor<'_> {
        let is_long = span.range().len() > CONVERTED;
        Cursor {
            text: if is_long { "" } else { self.text(span) },
            offset: span.start,
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

    /// The end of a container or string that is in the list of extents. Looked for from `hint` on,
    /// which becomes its place: a cursor finds the next one near the last.
    fn listed_end(&self, start: usize, hint: &mut u32) -> Option<usize> {
        let start = index(start);
        let mut from = *hint as usize;
        let mut step = 1;
        // At most twice as far as it is.
        while let Some(extent) = self.extents.get(from + step)
            && extent.start <= start
        {
            from += step;
            step *= 2;
        }
        let near = from..self.extents.len().min(from + step);
        let near = self.extents.get(near)?;
        let found = near.binary_search_by_key(&start, |extent| extent.start);
        // What is not found is a short container. Others follow it soon.
        *hint = index(from + found.unwrap_or_default());
        Some(near.get(found.ok()?)?.end as usize)
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
    offset: u32,
    /// What is found from here on is not before this place in the list of extents.
    extent: u32,
}

impl<'a> Cursor<'a> {
    /// Enters an object; anything else is skipped.
    #[inline]
    pub(crate) fn object(&mut self) -> Option<()> {
        self.enter(b'{')
    }

    /// Enters an array; anything else is skipped.
    #[inline]
    pub(crate) fn array(&mut self) -> Option<()> {
        self.enter(b'[')
    }

    /// The next key of the object that was entered, with the cursor before its value; `None` after the last, with the cursor
    /// behind the object. As bytes: most keys are only compared.
    #[inline]
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
    #[inline]
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
            _ => self.position = scalar_end(self.bytes, self.position),
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
    pub(crate) fn member<R: Decode<'a>>(mut self, name: &[u8]) -> Option<R::Out> {
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
    #[inline]
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
        let offset = self.offset as usize;
        let inside = start.wrapping_sub(offset)..end.wrapping_sub(offset);
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
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.position) {
            Some(byte) if is_white(*byte) => {
                self.position = after_white(self.bytes, self.position);
                self.bytes.get(self.position).copied()
            }
            byte => byte.copied(),
        }
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
    #[inline]
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
    #[inline(always)]
    fn skip_string(&mut self) -> bool {
        if self.document.has_plain_strings {
            self.position = plain_string_end(self.bytes, self.position);
            return false;
        }
        self.skip_unusual_string()
    }

    fn skip_unusual_string(&mut self) -> bool {
        let head = self.position.saturating_add(LONG_STRING);
        let head = self.bytes.get(..head).unwrap_or(self.bytes);
        let (mut end, mut escaped) = string_end(head, self.position);
        // It does not end there, or just there.
        if end == head.len() && end < self.bytes.len() {
            let start = self.position;
            (end, escaped) = match self.document.listed_end(start, &mut self.extent) {
                Some(end) => (end, self.document.unescaped.has(index(start))),
                None => string_end(self.bytes, start),
            };
        }
        self.position = end;
        escaped
    }

    /// Not recursive, whatever the nesting.
    fn skip_nested(&mut self) {
        if let Some(end) = self.document.listed_end(self.position, &mut self.extent) {
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
    open: Open,
}

/// A string that is decoded in steps, if there is one.
#[derive(Default)]
struct Open {
    /// What is before this is decoded. 0 if there is none.
    decoded: u32,
    /// What is before this can be.
    known: u32,
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

    /// Decodes the string that stands from `start` to `end` in `bytes`, quotes included, behind all that were pushed before. A part of it may be
    /// decoded already.
    fn push(&mut self, bytes: &[u8], start: usize, end: usize) {
        if self.strings.is_empty() {
            // Grown to its size at once: growing it bit by bit would take up to three times as much in between.
            let rest = bytes.get(end..).unwrap_or_default();
            let more = count_escapes(rest).min(rest.len() / SHORTEST_ESCAPED);
            self.strings.reserve_exact(1 + more);
        }
        let open = std::mem::take(&mut self.open);
        let decoded = (open.decoded as usize).max(start + 1);
        // What is no text is found a little later, and then there is no document.
        let rest = text(bytes.get(decoded..end - 1).unwrap_or_default());
        unescape(rest, false, &mut self.decoded);
        self.strings.push(Decoded {
            at: index(start),
            end: index(self.decoded.len()),
        });
    }

    /// The string that begins with the quote at `start` can be decoded up to `known`. No escape and
    /// no character is cut there.
    fn extend(&mut self, start: usize, known: usize) {
        self.open = Open {
            decoded: self.open.decoded.max(index(start + 1)),
            known: index(known),
        };
    }

    /// Decodes about `bytes` more of the open string. Returns whether there was anything to decode.
    fn catch_up(&mut self, body: &[u8], bytes: usize) -> bool {
        let open = &mut self.open;
        let range = open.decoded as usize..open.known as usize;
        let known = body.get(range).unwrap_or_default();
        if known.is_empty() {
            return false;
        }
        // What precedes the first escape may be long. Only such text is cut, at any character.
        let cut = known.get(..bytes).filter(|cut| !cut.contains(&b'\\'));
        if let Some(cut) = cut
            && let Some(last) = cut.iter().rposition(|byte| is_first_of_character(*byte))
            && last > 0
        {
            self.decoded
                .push_str(text(cut.get(..last).unwrap_or_default()));
            open.decoded += index(last);
        } else {
            let decoded = unescape(text(known), true, &mut self.decoded);
            open.decoded += index(decoded);
            open.known = open.decoded;
        }
        true
    }

    fn has(&self, at: u32) -> bool {
        let found = self.strings.binary_search_by_key(&at, |string| string.at);
        found.is_ok()
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

fn is_first_of_character(byte: u8) -> bool {
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
                if more && escape.len() == UNIT.len() && is_first_half(escape) {
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
const UNIT: &str = "uXXXX";

fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_first_half(escape: &str) -> bool {
    unit(escape).is_some_and(|unit| matches!(unit, 0xd800..=0xdbff))
}

/// `escape` begins with the `u` of a `\uXXXX`. Returns what follows it, or the pair that it is the first half of.
fn unescape_unicode<'a>(escape: &'a str, decoded: &mut String) -> &'a str {
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

    /// The inside of a string: halves of pairs, and what looks like an escape.
    fn string_parts() -> impl Strategy<Value = String> {
        let parts = [
            "a", "ü", "€", "😀", r"\n", r"\\", r"\/", r"\u00fc", r"\ud83d", r"\ude00", "ud83d",
        ];
        prop::collection::vec(prop::sample::select(parts.to_vec()), 0..30)
            .prop_map(|parts| parts.concat())
    }

    type Pair = (u32, u32);

    /// What is known of a document beside its text.
    fn found(document: &Document) -> (Vec<Pair>, &str, Vec<Pair>) {
        let extents = document.extents.iter();
        let strings = document.unescaped.strings.iter();
        (
            extents.map(|extent| (extent.start, extent.end)).collect(),
            &document.unescaped.decoded,
            strings.map(|string| (string.at, string.end)).collect(),
        )
    }

    fn stepwise(text: &[u8], step: usize) -> Result<Document, ParseError> {
        let mut parsing = IncrementalValidator::new(Bytes::copy_from_slice(text), MAX_DEPTH)?;
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
                    prop_assert_eq!(found(&whole), found(&steps));
                }
            }
        }

        #[test]
        fn a_string_may_be_split_anywhere(inside in string_parts(), step in 4usize..40) {
            for text in [
                format!(r#"["{inside}","",{{"x":"{inside}"}}]"#),
                format!(r#"{{"{inside}":1,"x":"{inside}" , "{inside}" :[]}}"#),
            ] {
                let steps = stepwise(text.as_bytes(), step).unwrap();
                let whole = document(&text);
                prop_assert_eq!(found(&whole), found(&steps));
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

    /// Whatever a string is made of, and wherever its first escape is.
    #[test]
    fn a_step_is_short_even_in_a_string() {
        const STEP: usize = 1024;
        const LENGTH: usize = 100 * STEP;
        let plain = "x".repeat(LENGTH);
        for inside in [
            plain.clone(),
            "ü".repeat(LENGTH / 2),
            r"\u00fc".repeat(LENGTH / 6),
            r"\ud83d\ude00".repeat(LENGTH / 12),
            format!(r"{plain}\n"),
            format!(r"{plain}\n{plain}"),
        ] {
            for text in [format!(r#"["{inside}"]"#), format!(r#"{{"{inside}":0}}"#)] {
                let mut parsing =
                    IncrementalValidator::new(Bytes::copy_from_slice(text.as_bytes()), 127)
                        .unwrap();
                let mut before = (0, 0, 0);
                let mut whole = false;
                while !whole {
                    whole = parsing.advance(STEP).unwrap();
                    let position = parsing.progress.position();
                    // Not written at the end.
                    let checked = if whole { text.len() } else { position };
                    let now = (
                        parsing.valid as usize,
                        checked,
                        parsing.unescaped.decoded.len(),
                    );
                    for done in [now.0 - before.0, now.1 - before.1, now.2 - before.2] {
                        assert!(done <= 2 * STEP + 16, "{done}");
                    }
                    before = now;
                }
                assert_eq!(found(&document(&text)), found(&parsing.into_document()));
            }
        }
    }

    /// Their ends are known, so nothing in them is looked at again.
    #[test]
    fn long_strings_are_passed_over_at_once() {
        for length in (LONG_STRING - 8..LONG_STRING + 8).chain([3 * LONG_STRING]) {
            for (inside, is_escaped) in [
                ("x".repeat(length), false),
                (format!(r"{}\\", "x".repeat(length - 2)), true),
                (format!(r"\n{}", "x".repeat(length - 2)), true),
            ] {
                for other in ["", r"\t"] {
                    let text = format!(r#"{{"{inside}":"{inside}","other":"{other}"}}"#);
                    let document = document(&text);
                    let is_listed = document.extents.len() == 3;
                    assert_eq!(is_listed, length + 2 >= LONG_STRING);
                    let mut cursor = document.cursor();
                    cursor.object().unwrap();
                    let mut twin = cursor;
                    assert_eq!(twin.skip_string(), is_escaped);
                    let value: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(walk(&mut document.cursor()), value);
                    assert_eq!(walk(&mut document.small().cursor()), value);
                }
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
