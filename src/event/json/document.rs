use std::fmt;

use bytes::Bytes;

use super::{
    progress::Extent,
    scan::{saturating_u32, valid_str},
    span::Span,
    special::SpecialBytes,
    unescape::UnescapedStrings,
};

/// A validated JSON text. [`Cursor`](super::Cursor) reads it.
pub(crate) struct Document {
    pub(super) body: Bytes,
    pub(super) unescaped: UnescapedStrings,
    /// Ends of the larger containers and strings, so that the cursor can skip them in one step.
    pub(super) extents: Vec<Extent>,
    /// The bytes at which a string can end.
    pub(super) special: SpecialBytes,
}

impl Document {
    /// Drops the extents, which only make skipping faster: for small documents that are kept.
    pub(crate) fn without_extents(self) -> Self {
        Self {
            extents: Vec::new(),
            ..self
        }
    }

    #[inline]
    pub(crate) fn text(&self, span: Span) -> &str {
        valid_str(self.bytes(span))
    }

    #[inline]
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.body.get(span.range()).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Heap memory in use in addition to the body, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let extents = self.extents.capacity() * size_of::<Extent>();
        self.unescaped.memory() + self.special.memory() + extents
    }

    /// Returns the end of the container or string at `start` if it has an extent.
    ///
    /// The search starts at `hint`, which is updated: the next extent is near the last one.
    pub(super) fn extent_end(&self, start: usize, hint: &mut u32) -> Option<usize> {
        let start = saturating_u32(start);
        let mut from = *hint as usize;
        // A new cursor may be anywhere, so all extents are searched.
        let mut step = if from == 0 { self.extents.len() } else { 1 };
        // Galloping search: overshoots by at most a factor of two.
        while let Some(extent) = self.extents.get(from + step)
            && extent.start <= start
        {
            from += step;
            step *= 2;
        }
        let near = from..self.extents.len().min(from + step);
        let near = self.extents.get(near)?;
        let found = near.binary_search_by_key(&start, |extent| extent.start);
        // A short container has no extent. The next extent is near the insertion point.
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
