//! Is it JSON? (RFC 8259.) One pass over the bytes, which also says which strings have escapes, and where the large containers end.
//!
//! This is the only place where a body can be refused for what it says. `serde_json` is the model: the tests compare with it.

use super::notification::ParseError;

/// The deepest nesting that is let through: what `serde_json` allows for its own types.
pub(super) const MAX_DEPTH: usize = 127;

/// Containers are in the list of extents down to this depth, which is that of the elements of a list and what they contain, and from this
/// length on. So the list is at most 1.5 times as long as the text, and an ordinary one is a tenth of it.
const INDEXED_DEPTH: usize = 10;
const INDEXED_LENGTH: usize = 32;

/// So many has a delivery of one message.
const ORDINARY_EXTENTS: usize = 16;

/// Where a container begins and ends: from its first bracket to behind its last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Checks that `bytes`, which are UTF-8, are one JSON text, nested no deeper than `deepest`, which is at most 128. Not recursive, whatever
/// the nesting.
///
/// `escaped` gets the beginning and end of every string with an escape in it, quotes included, in the order of the text. Returns the extents
/// of the larger containers, in the order of the text.
pub(super) fn check(
    bytes: &[u8],
    deepest: usize,
    escaped: impl FnMut(usize, usize),
) -> Result<Vec<Extent>, ParseError> {
    let mut check = Check {
        bytes,
        position: 0,
        containers: 0,
        depth: 0,
        deepest,
        extents: Vec::with_capacity(ORDINARY_EXTENTS),
        open: [0; INDEXED_DEPTH],
        escaped,
    };
    check.value()?;
    match check.peek() {
        None => Ok(check.extents),
        Some(_) => Err(ParseError::NotJson),
    }
}

struct Check<'a, F> {
    bytes: &'a [u8],
    position: usize,
    /// One bit for each container that is open, the innermost lowest: whether it is an object.
    containers: u128,
    depth: usize,
    deepest: usize,
    extents: Vec<Extent>,
    /// For each container that is open, its place in `extents`.
    open: [usize; INDEXED_DEPTH],
    escaped: F,
}

impl<F> Check<'_, F>
where
    F: FnMut(usize, usize),
{
    /// A value, with all that is in it.
    fn value(&mut self) -> Result<(), ParseError> {
        loop {
            // Before a value.
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'{') => {
                    self.open(true)?;
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(false)?;
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(ParseError::NotJson),
            }
            // After a value, or before the end of an empty container.
            loop {
                if self.depth == 0 {
                    return Ok(());
                }
                let is_object = self.containers & 1 == 1;
                let end = if is_object { b'}' } else { b']' };
                match self.peek() {
                    Some(b',') => {
                        self.position += 1;
                        if is_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(byte) if byte == end => self.close(),
                    _ => return Err(ParseError::NotJson),
                }
            }
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), ParseError> {
        if let Some(open) = self.open.get_mut(self.depth) {
            *open = self.extents.len();
            self.extents.push(Extent {
                start: index(self.position),
                end: 0,
            });
        }
        self.position += 1;
        self.depth += 1;
        if self.depth > self.deepest {
            return Err(ParseError::TooDeep);
        }
        self.containers = self.containers << 1 | u128::from(is_object);
        Ok(())
    }

    fn close(&mut self) {
        self.position += 1;
        self.depth -= 1;
        self.containers >>= 1;
        let Some(open) = self.open.get(self.depth) else {
            return;
        };
        if let Some(extent) = self.extents.get_mut(*open) {
            extent.end = index(self.position);
            // A short one has none in it: it is the last.
            if self.position - (extent.start as usize) < INDEXED_LENGTH {
                self.extents.truncate(*open);
            }
        }
    }

    /// A key and the colon behind it.
    fn key(&mut self) -> Result<(), ParseError> {
        if self.peek() != Some(b'"') {
            return Err(ParseError::NotJson);
        }
        self.string()?;
        if self.peek() != Some(b':') {
            return Err(ParseError::NotJson);
        }
        self.position += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), ParseError> {
        let start = self.position;
        let mut has_escape = false;
        self.position += 1;
        loop {
            self.position = find(self.bytes, self.position, ends_or_escapes);
            match self.bytes.get(self.position) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escape = true;
                    self.position += self.escape()?;
                }
                Some(0x20..) => self.position += 1,
                _ => return Err(ParseError::NotJson),
            }
        }
        self.position += 1;
        if has_escape {
            (self.escaped)(start, self.position);
        }
        Ok(())
    }

    /// The length of the escape that begins here. Halves of surrogate pairs are let through, whether or not they have another half.
    fn escape(&self) -> Result<usize, ParseError> {
        match self.bytes.get(self.position + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => {
                let digits = self.bytes.get(self.position + 2..self.position + 6);
                let digits = digits.unwrap_or_default();
                if digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit) {
                    Ok(6)
                } else {
                    Err(ParseError::NotJson)
                }
            }
            _ => Err(ParseError::NotJson),
        }
    }

    fn number(&mut self) -> Result<(), ParseError> {
        if self.byte() == Some(b'-') {
            self.position += 1;
        }
        if self.byte() == Some(b'0') {
            self.position += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.position += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.position;
        while let Some(b'0'..=b'9') = self.byte() {
            self.position += 1;
        }
        if self.position == start {
            return Err(ParseError::NotJson);
        }
        Ok(())
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), ParseError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if !rest.starts_with(literal) {
            return Err(ParseError::NotJson);
        }
        self.position += literal.len();
        Ok(())
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(byte) if is_white(byte) => self.position += 1,
                byte => return byte,
            }
        }
    }
}

/// Documents are at most `u32::MAX` bytes long.
pub(super) fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The end of the string that begins with the quote at `start` in a valid text, and whether it has an escape.
pub(super) fn string_end(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut position = start + 1;
    let mut has_escape = false;
    loop {
        position = find(bytes, position, |word| has(word, b'"') | has(word, b'\\'));
        match bytes.get(position) {
            Some(b'"') => return (position + 1, has_escape),
            Some(b'\\') => {
                has_escape = true;
                position += 2;
            }
            Some(_) => position += 1,
            None => return (bytes.len(), has_escape),
        }
    }
}

/// The same in a text without escapes.
pub(super) fn plain_string_end(bytes: &[u8], start: usize) -> usize {
    let mut position = find(bytes, start + 1, |word| has(word, b'"'));
    // Only among the last bytes of the text it may not be there yet.
    while let Some(byte) = bytes.get(position) {
        position += 1;
        if *byte == b'"' {
            break;
        }
    }
    position
}

/// The first place from `start` on that `marks` marks, or one in the last 7 bytes, or the end. Looks at 8 bytes at a time.
#[inline]
fn find(bytes: &[u8], start: usize, marks: impl Fn(u64) -> u64) -> usize {
    let mut position = start;
    while let Some(word) = bytes.get(position..).and_then(<[u8]>::first_chunk) {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return position + found.trailing_zeros() as usize / 8;
        }
        position += word.len();
    }
    position
}

const LOW: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks the bytes of `word` that are `byte`, in their highest bit. Above the first one there may be false marks.
#[inline]
fn has(word: u64, byte: u8) -> u64 {
    let zero = word ^ (LOW * u64::from(byte));
    zero.wrapping_sub(LOW) & !zero & HIGH
}

/// Marks quotes, backslashes and control characters, which a string must not have. Above the first one there may be false marks.
#[inline]
fn ends_or_escapes(word: u64) -> u64 {
    let quote = word ^ (LOW * u64::from(b'"'));
    let backslash = word ^ (LOW * u64::from(b'\\'));
    let below = |zero: u64, limit: u64| zero.wrapping_sub(LOW * limit) & !zero;
    (below(quote, 1) | below(backslash, 1) | below(word, 0x20)) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn ours(text: &str) -> bool {
        check(text.as_bytes(), MAX_DEPTH, |_, _| {}).is_ok()
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
        let extents = check(text.as_bytes(), MAX_DEPTH, |_, _| {}).unwrap();
        let found: Vec<_> = extents
            .iter()
            .map(|extent| &text[extent.start as usize..extent.end as usize])
            .collect();
        let list = &text[5..text.len() - 7];
        assert_eq!(found, [&text, list, &format!(r#"{{"b":"{long}"}}"#)]);

        let deep = format!("{}\"{long}\"{}", "[".repeat(20), "]".repeat(20));
        let extents = check(deep.as_bytes(), MAX_DEPTH, |_, _| {}).unwrap();
        assert_eq!(extents.len(), INDEXED_DEPTH);
    }

    #[test]
    fn escapes_are_reported() {
        let text = r#"{"a":"\n","b\"":"x","":"\\"}"#;
        let mut found = Vec::new();
        check(text.as_bytes(), MAX_DEPTH, |start, end| {
            found.push(&text[start..end]);
        })
        .unwrap();
        assert_eq!(found, [r#""\n""#, r#""b\"""#, r#""\\""#]);
    }
}
