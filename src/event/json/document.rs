use std::fmt;

use bytes::Bytes;

use super::{
    scan::{saturating_u32, valid_str},
    span::Span,
    unescape::UnescapedStrings,
    validate::Extent,
};

/// A valid JSON text.
pub(crate) struct Document {
    pub(super) body: Bytes,
    pub(super) unescaped: UnescapedStrings,
    /// Where the larger containers and strings end: what need not be looked at is passed over at
    /// once.
    pub(super) extents: Vec<Extent>,
    /// No string has an escape, and none is long.
    pub(super) has_plain_strings: bool,
}

impl Document {
    /// The same without what only makes passing over large values faster.
    pub(crate) fn without_extents(self) -> Self {
        Self {
            extents: Vec::new(),
            ..self
        }
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        valid_str(self.bytes(span))
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.body.get(span.range()).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes that are allocated beside the body.
    pub(crate) fn memory(&self) -> usize {
        self.unescaped.memory() + self.extents.capacity() * size_of::<Extent>()
    }

    /// The end of a container or string that is in the list of extents. Looked for from `hint` on,
    /// which becomes its place: a cursor finds the next one near the last.
    pub(super) fn extent_end(&self, start: usize, hint: &mut u32) -> Option<usize> {
        let start = saturating_u32(start);
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
        *hint = saturating_u32(from + found.unwrap_or_default());
        Some(near.get(found.ok()?)?.end as usize)
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("len", &self.body.len())
            .finish_non_exhaustive()
    }
}
