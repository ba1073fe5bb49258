use std::num::NonZeroU32;

use super::scan::saturating_u32;

/// The byte range of a value in a document.
///
/// `Option<Span>` is as small as `Span` (8 bytes): a delivery may need tens of thousands of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    /// End of the range plus one, so that zero is free for `None`.
    end: NonZeroU32,
}

impl Default for Span {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Span {
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: saturating_u32(start),
            end: NonZeroU32::MIN.saturating_add(saturating_u32(end)),
        }
    }

    #[inline]
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end()
    }

    /// Returns the length in bytes.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn len(self) -> usize {
        self.range().len()
    }

    #[inline]
    fn end(self) -> usize {
        (self.end.get() - 1) as usize
    }

    /// Translates the span after `whole` was copied to `copy`. `None` if the span is not inside
    /// `whole`.
    pub(crate) fn rebase(self, whole: Self, copy: Self) -> Option<Self> {
        let (this, outer) = (self.range(), whole.range());
        let inside = outer.start <= this.start && this.end <= outer.end;
        let moved = |index: usize| copy.range().start + (index - outer.start);
        inside.then(|| Self::new(moved(this.start), moved(this.end)))
    }

    /// Returns the range from the start of this span to the end of `other`.
    pub(crate) fn through(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}
