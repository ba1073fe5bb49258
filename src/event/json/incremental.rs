use bytes::Bytes;

use super::{
    document::Document,
    error::ParseError,
    progress::{MAX_DEPTH, Progress},
    scan::saturating_u32,
    unescape::UnescapedStrings,
    validate::validate,
};

/// Validates a body in steps and becomes a [`Document`].
///
/// A caller that runs on an async executor yields between the steps, so that a large body does not
/// delay other tasks.
pub(crate) struct IncrementalValidator {
    body: Bytes,
    /// Number of bytes known to be UTF-8.
    utf8_checked: u32,
    complete: bool,
    progress: Progress,
    unescaped: UnescapedStrings,
}

impl IncrementalValidator {
    /// Starts a validation. Nesting deeper than `max_depth` (at most 128) is refused.
    pub(crate) fn new(body: Bytes, max_depth: usize) -> Result<Self, ParseError> {
        if u32::try_from(body.len()).is_err() {
            return Err(ParseError::TooLarge);
        }
        Ok(Self {
            body,
            utf8_checked: 0,
            complete: false,
            progress: Progress::new(max_depth),
            unescaped: UnescapedStrings::default(),
        })
    }

    /// Validates about `bytes` more bytes and decodes about as many. A step may end inside a
    /// string, but not inside an escape. Returns true once the whole text is valid.
    pub(crate) fn advance(&mut self, bytes: usize) -> Result<bool, ParseError> {
        // At least one character, or the validation would make no progress.
        let bytes = bytes.max(4);
        if self.unescaped.decode_pending(&self.body, bytes) {
            return Ok(false);
        }
        let valid = self.utf8_checked as usize;
        let seen = valid.saturating_add(bytes).min(self.body.len());
        let next = self.body.get(valid..seen).unwrap_or_default();
        let is_last = seen == self.body.len();
        let valid = seen - incomplete_character(next, is_last)?;
        self.utf8_checked = saturating_u32(valid);
        let unescaped = &mut self.unescaped;
        // In the last step `validate` must not stop at the end: it reports a missing value there.
        let until = if is_last { usize::MAX } else { seen };
        let complete = validate(&self.body, until, &mut self.progress, |start, end| {
            unescaped.push(&self.body, start, end);
        })?;
        if let Some(string) = self.progress.string
            && string.escaped
        {
            // Only an escape, which is ASCII, may lie beyond `seen`.
            let position = self.progress.position();
            let known = if position > seen {
                position
            } else {
                position.min(valid)
            };
            unescaped.mark_decodable(string.start(), known);
            unescaped.decode_pending(&self.body, bytes);
        }
        // The last string may end beyond the part that was checked for UTF-8.
        let rest = self.body.get(valid..).unwrap_or_default();
        if complete && std::str::from_utf8(rest).is_err() {
            return Err(ParseError::NotUtf8);
        }
        self.complete = complete;
        Ok(complete)
    }

    /// Whether the whole text has been validated.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Heap memory in use in addition to the body, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.unescaped.memory() + self.progress.memory()
    }

    /// Returns the document. The validation must be complete.
    pub(crate) fn into_document(self) -> Document {
        Document {
            body: self.body,
            unescaped: self.unescaped,
            extents: self.progress.extents,
            special: self.progress.special,
        }
    }
}

/// Checks that a part of a body is UTF-8. Returns the length of the incomplete character at its
/// end. The last part must end with a complete character.
fn incomplete_character(part: &[u8], is_last: bool) -> Result<usize, ParseError> {
    // Faster than the conversion below, and true for most bodies: Meta escapes other characters.
    if part.is_ascii() {
        return Ok(0);
    }
    match std::str::from_utf8(part) {
        Ok(_) => Ok(0),
        Err(error) if error.error_len().is_none() && !is_last => {
            Ok(part.len() - error.valid_up_to())
        }
        Err(_) => Err(ParseError::NotUtf8),
    }
}

impl Document {
    /// Validates a body in one step.
    pub(crate) fn new(body: Bytes) -> Result<Self, ParseError> {
        Self::with_max_depth(body, MAX_DEPTH)
    }

    /// Validates a body whose nesting may be `max_depth` levels deep (at most 128).
    pub(crate) fn with_max_depth(body: Bytes, max_depth: usize) -> Result<Self, ParseError> {
        let mut validator = IncrementalValidator::new(body, max_depth)?;
        while !validator.advance(usize::MAX)? {}
        Ok(validator.into_document())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::test_values::{document, escaped, json},
        *,
    };

    /// Contents of a JSON string: escapes, lone surrogates, and text that looks like an escape.
    fn string_parts() -> impl Strategy<Value = String> {
        let parts = [
            "a", "ü", "€", "😀", r"\n", r"\\", r"\/", r"\u00fc", r"\ud83d", r"\ude00", "ud83d",
        ];
        prop::collection::vec(prop::sample::select(parts.to_vec()), 0..30)
            .prop_map(|parts| parts.concat())
    }

    type Pair = (u32, u32);

    /// The extents and the decoded strings of a document.
    fn index_of(document: &Document) -> (Vec<Pair>, &str, Vec<Pair>) {
        let extents = document.extents.iter();
        let strings = document.unescaped.strings.iter();
        (
            extents.map(|extent| (extent.start, extent.end)).collect(),
            &document.unescaped.decoded,
            strings.map(|string| (string.at, string.end)).collect(),
        )
    }

    /// Validates in steps. The memory that is accounted for until the end is that of the document.
    fn stepwise(text: &[u8], step: usize) -> Result<Document, ParseError> {
        let mut validator = IncrementalValidator::new(Bytes::copy_from_slice(text), MAX_DEPTH)?;
        while !validator.advance(step)? {}
        let memory = validator.memory();
        let document = validator.into_document();
        assert_eq!(memory, document.memory());
        Ok(document)
    }

    proptest! {
        #[test]
        fn steps_give_the_same_document(value in json(), step in 0usize..20, damage in any::<Option<(prop::sample::Index, u8)>>()) {
            for text in [value.to_string(), escaped(&value.to_string())] {
                let mut text = text.into_bytes();
                if let Some((at, byte)) = damage {
                    let at = at.index(text.len());
                    text[at] = byte;
                }
                let whole = Document::new(Bytes::copy_from_slice(&text));
                let steps = stepwise(&text, step);
                prop_assert_eq!(whole.is_ok(), steps.is_ok());
                if let (Ok(whole), Ok(steps)) = (whole, steps) {
                    prop_assert_eq!(index_of(&whole), index_of(&steps));
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
                prop_assert_eq!(index_of(&whole), index_of(&steps));
            }
        }
    }

    /// Covers long plain text before, after and between escapes.
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
                let mut validator =
                    IncrementalValidator::new(Bytes::copy_from_slice(text.as_bytes()), 127)
                        .unwrap();
                let mut before = (0, 0, 0);
                let mut whole = false;
                while !whole {
                    whole = validator.advance(STEP).unwrap();
                    let position = validator.progress.position();
                    // The position is not updated by the last step.
                    let checked = if whole { text.len() } else { position };
                    let now = (
                        validator.utf8_checked as usize,
                        checked,
                        validator.unescaped.decoded.len(),
                    );
                    for done in [now.0 - before.0, now.1 - before.1, now.2 - before.2] {
                        assert!(done <= 2 * STEP + 16, "{done}");
                    }
                    before = now;
                }
                assert_eq!(
                    index_of(&document(&text)),
                    index_of(&validator.into_document())
                );
            }
        }
    }
}
