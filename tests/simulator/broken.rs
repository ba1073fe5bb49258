//! Ways to get it wrong. The oracles must see each.

/// One rule that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A store that does not ask who calls.
    NoToken,
    /// A store that looks first and takes afterwards.
    ClaimIsNotAtomic,
    /// A store whose release makes a handled event absent.
    DoneIsTakenBack,
    /// A key without the participant of a group.
    KeyWithoutParticipant,
    /// Recorded as handled before the handler was called.
    RecordedFirst,
    /// 200 while somebody else is handling it.
    OkWhilePending,
    /// 500 when the work is done and only the record of it failed.
    FailureAfterCommitFailed,
    /// Released when the record of the work failed.
    ReleasedAfterCommitFailed,
}

impl Broken {
    /// What is in the store or in the key, and not in the layer.
    pub(crate) const BELOW_THE_LAYER: [Self; 4] = [
        Self::NoToken,
        Self::ClaimIsNotAtomic,
        Self::DoneIsTakenBack,
        Self::KeyWithoutParticipant,
    ];
    pub(crate) const ALL: [Self; 8] = [
        Self::NoToken,
        Self::ClaimIsNotAtomic,
        Self::DoneIsTakenBack,
        Self::KeyWithoutParticipant,
        Self::RecordedFirst,
        Self::OkWhilePending,
        Self::FailureAfterCommitFailed,
        Self::ReleasedAfterCommitFailed,
    ];
}
