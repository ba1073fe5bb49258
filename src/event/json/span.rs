use std::num::NonZeroU32;

use super::scan::saturating_u32;

/// Where a value stands in the document.
///
/// An optional span takes no more room than a span: a delivery may have tens of thousands of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
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
            start: saturating_u32(start),
            end: NonZeroU32::MIN.saturating_add(saturating_u32(end)),
        }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end()
    }

    fn end(self) -> usize {
        (self.end.get() - 1) as usize
    }

    /// Where what stands in `self` came to stand when `whole`, which it is a part of, was copied to `copy`.
    pub(crate) fn rebase(self, whole: Self, copy: Self) -> Option<Self> {
        let (this, outer) = (self.range(), whole.range());
        let inside = outer.start <= this.start && this.end <= outer.end;
        let moved = |index: usize| copy.range().start + (index - outer.start);
        inside.then(|| Self::new(moved(this.start), moved(this.end)))
    }

    /// From the beginning of this to the end of `other`.
    pub(crate) fn through(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}
