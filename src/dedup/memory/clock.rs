use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

/// Nanoseconds since the store was created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(pub(super) u64);

impl Timestamp {
    pub(super) const SECOND: u64 = 1_000_000_000;

    #[inline]
    pub(super) fn seconds(self) -> u32 {
        u32::try_from(self.0 / Self::SECOND).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn hour(self) -> u32 {
        self.seconds() / 3600
    }

    /// Returns the nanosecond at which `span` is over.
    #[inline]
    pub(super) fn after(self, span: Duration) -> NonZeroU64 {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        NonZeroU64::new(self.0.saturating_add(span)).unwrap_or(NonZeroU64::MIN)
    }

    /// Returns the second at which `span` is over, rounded up.
    #[inline]
    pub(super) fn second_after(self, span: Duration) -> NonZeroU32 {
        let second = self.after(span).get().div_ceil(Self::SECOND);
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        NonZeroU32::new(second).unwrap_or(NonZeroU32::MIN)
    }
}
