use std::fmt;

use super::{
    document::Document,
    scan::{
        is_whitespace, plain_string_end, saturating_u32, scalar_end, skip_whitespace, string_end,
        valid_str,
    },
    span::Span,
    validate::LONG_STRING,
};

/// Maximum length of a value whose text is converted as a whole before its parts are read.
const CONVERTED: usize = 64 * 1024;

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
    pub(crate) fn enter_object(&mut self) -> Option<()> {
        self.enter(b'{')
    }

    /// Enters an array; anything else is skipped.
    #[inline]
    pub(crate) fn enter_array(&mut self) -> Option<()> {
        self.enter(b'[')
    }

    /// The next key of the object that was entered, with the cursor before its value; `None` after the last, with the cursor
    /// behind the object. As bytes: most keys are only compared.
    #[inline]
    pub(crate) fn next_key(&mut self) -> Option<&'a [u8]> {
        if self.try_end(b'}') {
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
    pub(crate) fn next_element(&mut self) -> bool {
        !self.try_end(b']')
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
        self.span_since(start)
    }

    /// Passes over everything.
    pub(crate) fn skip_to_end(&mut self) {
        self.position = self.bytes.len();
    }

    /// What was passed over since `start`, an earlier place of this cursor, but for white space at its beginning.
    pub(crate) fn span_since(&self, mut start: Self) -> Span {
        start.peek();
        Span::new(start.position, self.position)
    }

    /// Whether both are before the same value.
    pub(crate) fn is_at_same_value(mut self, mut other: Self) -> bool {
        self.peek();
        other.peek();
        self.position == other.position
    }

    /// This place, for [`since_mark`](Self::since_mark).
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.position)
    }

    /// What was passed over since an earlier place, but for white space at its beginning.
    pub(crate) fn span_since_mark(&self, mark: Mark) -> Span {
        self.span_since(Self {
            position: mark.0,
            ..*self
        })
    }

    /// The text of the next value, whatever it is.
    pub(crate) fn raw_value(&mut self) -> &'a str {
        self.peek();
        let start = self.position;
        self.skip();
        self.text(start, self.position)
    }

    /// Passes over a `null`.
    #[inline]
    pub(crate) fn take_null(&mut self) -> bool {
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
            return self.document.unescaped.get(saturating_u32(start));
        }
        Some(self.text(start + 1, self.position - 1))
    }

    fn text(&self, start: usize, end: usize) -> &'a str {
        let offset = self.offset as usize;
        let inside = start.wrapping_sub(offset)..end.wrapping_sub(offset);
        match self.text.get(inside) {
            Some(text) => text,
            None => valid_str(self.bytes.get(start..end).unwrap_or_default()),
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
            return self
                .document
                .unescaped
                .get(saturating_u32(start))
                .map(str::as_bytes);
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

    /// Passes over a comma or the bracket that ends a container.
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

    /// From before an opening quote to behind the closing one. Tells whether there is an escape in between.
    #[inline(always)]
    fn skip_string(&mut self) -> bool {
        if self.document.has_plain_strings {
            self.position = plain_string_end(self.bytes, self.position);
            return false;
        }
        self.skip_string_slow()
    }

    fn skip_string_slow(&mut self) -> bool {
        let head = self.position.saturating_add(LONG_STRING);
        let head = self.bytes.get(..head).unwrap_or(self.bytes);
        let (mut end, mut escaped) = string_end(head, self.position);
        // It does not end there, or just there.
        if end == head.len() && end < self.bytes.len() {
            let start = self.position;
            (end, escaped) = match self.document.extent_end(start, &mut self.extent) {
                Some(end) => (end, self.document.unescaped.has(saturating_u32(start))),
                None => string_end(self.bytes, start),
            };
        }
        self.position = end;
        escaped
    }

    /// Not recursive, whatever the nesting.
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
    pub(crate) fn cursor_with_text(&self, span: Span) -> Cursor<'_> {
        let is_long = span.range().len() > CONVERTED;
        Cursor {
            text: if is_long { "" } else { self.text(span) },
            offset: span.start,
            ..self.cursor_at(span)
        }
    }

    /// A member from its key on, in what was passed over before and with it.
    pub(crate) fn member_span(&self, passed: Span) -> Span {
        let range = passed.range();
        let quote = self.bytes(passed).iter().position(|byte| *byte == b'"');
        Span::new(range.start + quote.unwrap_or_default(), range.end)
    }

    /// The key of a member.
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

    /// Walks a value with the cursor alone.
    fn walk(cursor: &mut Cursor<'_>) -> Value {
        match cursor.peek().unwrap() {
            b'{' => {
                let mut members = serde_json::Map::new();
                cursor.enter_object().unwrap();
                while let Some(key) = cursor.next_key() {
                    members.insert(valid_str(key).to_owned(), walk(cursor));
                }
                members.into()
            }
            b'[' => {
                let mut elements = Vec::new();
                cursor.enter_array().unwrap();
                while cursor.next_element() {
                    elements.push(walk(cursor));
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
                let _ = (cursor.enter_object(), cursor.next_key(), cursor.scalar(), cursor.enter_array(), cursor.next_element(), cursor.boolean());
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
                    cursor.enter_object().unwrap();
                    let mut twin = cursor;
                    assert_eq!(twin.skip_string(), is_escaped);
                    let value: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(walk(&mut document.cursor()), value);
                    assert_eq!(walk(&mut document.without_extents().cursor()), value);
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
