use std::fmt;

use super::{
    document::Document,
    progress::LONG_STRING,
    scan::{is_whitespace, saturating_u32, scalar_end, skip_whitespace, valid_str},
    span::Span,
};

/// Maximum length of a value that [`Document::cursor_with_text`] converts to text as a whole,
/// bytes.
const MAX_CONVERTED: usize = 64 * 1024;

/// An earlier position of a cursor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize);

/// The start of a value that is read later, in less memory than a cursor.
#[derive(Clone, Copy)]
pub(crate) struct ValueStart<'a> {
    document: &'a Document,
    position: u32,
}

impl<'a> ValueStart<'a> {
    /// Returns a cursor before the value, whose texts will be read.
    pub(crate) fn cursor(self) -> Cursor<'a> {
        let start = Span::new(self.position as usize, self.position as usize);
        let value = self.document.cursor_at(start).skip();
        self.document.cursor_with_text(value)
    }
}

/// A position in a validated document, before a value, a member or an element.
///
/// Reading a value advances the cursor past it, whatever its type. A copy of the cursor keeps the
/// position.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    document: &'a Document,
    /// A part of `bytes` as text, starting at `offset`. A text outside of it is converted by
    /// itself, which costs more.
    text: &'a str,
    offset: u32,
    /// Index in the extents of the document, from which the next search starts.
    extent: u32,
}

impl<'a> Cursor<'a> {
    /// Enters an object. Skips anything else and returns `None`.
    #[inline]
    pub(crate) fn enter_object(&mut self) -> Option<()> {
        self.enter(b'{')
    }

    /// Enters an array. Skips anything else and returns `None`.
    #[inline]
    pub(crate) fn enter_array(&mut self) -> Option<()> {
        self.enter(b'[')
    }

    /// Returns the next key of the entered object, and advances to its value. After the last
    /// member, leaves the object and returns `None`. A key is bytes because most are only compared.
    pub(crate) fn next_key(&mut self) -> Option<&'a [u8]> {
        // The usual form, without white space and escapes.
        let quote = match self.bytes.get(self.position) {
            Some(b',') => self.position + 1,
            Some(b'}') => {
                self.position += 1;
                return None;
            }
            _ => self.position,
        };
        if self.bytes.get(quote) == Some(&b'"') {
            let end = self.document.special.find(quote + 1, LONG_STRING);
            if self.bytes.get(end) == Some(&b'"') && self.bytes.get(end + 1) == Some(&b':') {
                self.position = end + 2;
                return self.bytes.get(quote + 1..end);
            }
        }
        self.next_key_slow()
    }

    /// [`next_key`](Self::next_key) in any form.
    #[cold]
    fn next_key_slow(&mut self) -> Option<&'a [u8]> {
        if self.try_end(b'}') {
            return None;
        }
        if self.peek() != Some(b'"') {
            self.skip();
            return None;
        }
        let key = self.quoted_bytes()?;
        if self.peek() == Some(b':') {
            self.position += 1;
        }
        Some(key)
    }

    /// Advances to the next element of the entered array. After the last one, leaves the array and
    /// returns false.
    #[inline]
    pub(crate) fn next_element(&mut self) -> bool {
        !self.try_end(b']')
    }

    /// Skips the next value and returns its span.
    pub(crate) fn skip(&mut self) -> Span {
        let start = *self;
        match self.peek() {
            Some(b'"') => {
                self.skip_string();
            }
            Some(b'{' | b'[') => self.skip_nested(),
            _ => self.position = scalar_end(self.bytes, self.position),
        }
        self.span_since(start)
    }

    /// Skips the rest of the document.
    pub(crate) fn skip_to_end(&mut self) {
        self.position = self.bytes.len();
    }

    /// Returns the span from `start`, an earlier position, to here, without leading white space.
    pub(crate) fn span_since(&self, mut start: Self) -> Span {
        start.peek();
        Span::new(start.position, self.position)
    }

    /// Whether both cursors are before the same value.
    pub(crate) fn is_at_same_value(mut self, mut other: Self) -> bool {
        self.peek();
        other.peek();
        self.position == other.position
    }

    /// Returns the current position, for a value that is read later.
    #[inline]
    pub(crate) fn value_start(&self) -> ValueStart<'a> {
        ValueStart {
            document: self.document,
            position: saturating_u32(self.position),
        }
    }

    /// Returns the current position for [`span_since_mark`](Self::span_since_mark).
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.position)
    }

    /// [`span_since`](Self::span_since) an earlier position of this cursor.
    pub(crate) fn span_since_mark(&self, mark: Mark) -> Span {
        self.span_since(Self {
            position: mark.0,
            ..*self
        })
    }

    /// Returns the JSON text of the next value, whatever its type.
    pub(crate) fn raw_value(&mut self) -> &'a str {
        self.peek();
        let start = self.position;
        self.skip();
        self.text(start, self.position)
    }

    /// Skips the next value if it is `null`, and returns whether it was.
    #[inline]
    pub(crate) fn take_null(&mut self) -> bool {
        let null = self.peek() == Some(b'n');
        if null {
            self.skip();
        }
        null
    }

    /// Returns the next value if it is a string. Skips anything else.
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        if self.peek() != Some(b'"') {
            self.skip();
            return None;
        }
        self.quoted_text()
    }

    /// Returns the string that starts here.
    #[inline(always)]
    fn quoted_text(&mut self) -> Option<&'a str> {
        let start = self.position;
        if self.skip_string() {
            return self.document.unescaped.get(saturating_u32(start));
        }
        Some(self.text(start + 1, self.position - 1))
    }

    /// [`quoted_text`](Self::quoted_text) as bytes.
    #[inline(always)]
    fn quoted_bytes(&mut self) -> Option<&'a [u8]> {
        let start = self.position;
        if self.skip_string() {
            let text = self.document.unescaped.get(saturating_u32(start));
            return text.map(str::as_bytes);
        }
        self.bytes.get(start + 1..self.position - 1)
    }

    fn text(&self, start: usize, end: usize) -> &'a str {
        let offset = self.offset as usize;
        let inside = start.wrapping_sub(offset)..end.wrapping_sub(offset);
        match self.text.get(inside) {
            Some(text) => text,
            None => valid_str(self.bytes.get(start..end).unwrap_or_default()),
        }
    }

    /// [`string`](Self::string) as bytes, for a string that is only compared.
    pub(crate) fn string_bytes(&mut self) -> Option<&'a [u8]> {
        if self.peek() != Some(b'"') {
            self.skip();
            return None;
        }
        self.quoted_bytes()
    }

    /// Returns the text of the next value if it is a string or a number: Meta writes ids, times and
    /// codes as either. Skips anything else.
    pub(crate) fn scalar(&mut self) -> Option<&'a str> {
        match self.peek() {
            Some(b'"') => self.quoted_text(),
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

    /// [`scalar`](Self::scalar) as bytes.
    pub(crate) fn scalar_bytes(&mut self) -> Option<&'a [u8]> {
        match self.peek() {
            Some(b'"') => self.quoted_bytes(),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.position;
                self.skip();
                self.bytes.get(start..self.position)
            }
            _ => {
                self.skip();
                None
            }
        }
    }

    /// Returns the next value if it is a boolean, or a string that spells one. Skips anything else.
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

    /// Skips white space and returns the first byte of the next value.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.position) {
            Some(byte) if is_whitespace(*byte) => {
                self.position = skip_whitespace(self.bytes, self.position);
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

    /// Skips a comma or the closing bracket of the entered container. Returns true for the bracket.
    #[inline]
    fn try_end(&mut self, bracket: u8) -> bool {
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

    /// Skips a string. Returns whether it contains an escape.
    #[inline(always)]
    fn skip_string(&mut self) -> bool {
        let end = self.document.special.find(self.position + 1, LONG_STRING);
        if self.bytes.get(end) == Some(&b'"') {
            self.position = end + 1;
            return false;
        }
        self.skip_string_slow()
    }

    /// Skips a string that contains an escape or is long.
    fn skip_string_slow(&mut self) -> bool {
        let start = self.position;
        let special = &self.document.special;
        let in_steps = |limit| special.string_end(self.bytes, start, limit);
        let (end, escaped) = in_steps(LONG_STRING)
            .or_else(|| {
                // A long string has an extent.
                let end = self.document.extent_end(start, &mut self.extent)?;
                Some((end, self.document.unescaped.has(saturating_u32(start))))
            })
            .or_else(|| in_steps(usize::MAX))
            .unwrap_or((self.bytes.len(), false));
        self.position = end;
        escaped
    }

    /// Skips a container. Not recursive, whatever the nesting.
    fn skip_nested(&mut self) {
        if let Some(end) = self.document.extent_end(self.position, &mut self.extent) {
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

impl Document {
    /// Returns a cursor before the top-level value.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        self.cursor_at(Span::default())
    }

    /// Returns a cursor at the start of `span`. It may be moved beyond the end of the span.
    #[inline]
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

    /// [`cursor_at`](Self::cursor_at) for a value whose texts will be read. The value is converted
    /// to text once, unless it is long: most of a long value may never be read.
    #[inline]
    pub(crate) fn cursor_with_text(&self, span: Span) -> Cursor<'_> {
        let is_long = span.range().len() > MAX_CONVERTED;
        Cursor {
            text: if is_long { "" } else { self.text(span) },
            offset: span.start,
            ..self.cursor_at(span)
        }
    }

    /// Returns the span of a member from its key on. `passed` starts at the end of the member
    /// before.
    pub(crate) fn member_span(&self, passed: Span) -> Span {
        let range = passed.range();
        let quote = self.bytes(passed).iter().position(|byte| *byte == b'"');
        Span::new(range.start + quote.unwrap_or_default(), range.end)
    }

    /// Returns the key of the member at `member`.
    pub(crate) fn key_at(&self, member: Span) -> &[u8] {
        self.cursor_at(member).next_key().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{
        super::test_values::{document, escaped, json},
        *,
    };

    /// Reads a value with the cursor alone.
    fn read_value(cursor: &mut Cursor<'_>) -> Value {
        match cursor.peek().unwrap() {
            b'{' => {
                let mut members = serde_json::Map::new();
                cursor.enter_object().unwrap();
                while let Some(key) = cursor.next_key() {
                    members.insert(valid_str(key).to_owned(), read_value(cursor));
                }
                members.into()
            }
            b'[' => {
                let mut elements = Vec::new();
                cursor.enter_array().unwrap();
                while cursor.next_element() {
                    elements.push(read_value(cursor));
                }
                elements.into()
            }
            b'"' => cursor.string().unwrap().into(),
            b'n' => {
                assert!(cursor.take_null());
                Value::Null
            }
            b't' | b'f' => cursor.boolean().unwrap().into(),
            _ => serde_json::from_str(cursor.scalar().unwrap()).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_reads(value in json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), escaped(&value.to_string())] {
                let document = document(&text);
                let mut cursor = document.cursor();
                prop_assert_eq!(read_value(&mut cursor), serde_json::from_str::<Value>(&text).unwrap());
                prop_assert_eq!(cursor.peek(), None);
                prop_assert_eq!(document.text(document.cursor().skip()), text);
            }
        }

        #[test]
        fn never_panics_wherever_it_points(value in json(), start in 0u32..200, end in 0u32..200) {
            let document = document(&value.to_string());
            let mut cursor = document.cursor_at(Span::new(start as usize, end as usize));
            for _ in 0..300 {
                let _ = (cursor.enter_object(), cursor.next_key(), cursor.scalar(), cursor.enter_array(), cursor.next_element(), cursor.boolean());
            }
        }
    }

    /// A long string has an extent, so its contents are not scanned again.
    #[test]
    fn long_strings_are_skipped_in_one_step() {
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
                    cursor.enter_object().unwrap();
                    let mut twin = cursor;
                    assert_eq!(twin.skip_string(), is_escaped);
                    let value: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(read_value(&mut document.cursor()), value);
                    assert_eq!(read_value(&mut document.without_extents().cursor()), value);
                }
            }
        }
    }

    #[test]
    fn a_lone_surrogate_becomes_a_replacement_character() {
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
