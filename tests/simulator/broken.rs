//! Faulty implementations. The oracles must detect each of them.

/// The rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A store that ignores the token.
    NoToken,
    /// A store that checks and claims in two steps.
    ClaimIsNotAtomic,
    /// A store whose release removes a done event.
    DoneIsTakenBack,
    /// A key without the participant of a group.
    KeyWithoutParticipant,
    /// The event is recorded as done before the handler is called.
    RecordedFirst,
    /// The response is 200 while another delivery is handling the event.
    OkWhilePending,
    /// The response is 500 although only the commit failed.
    FailureAfterCommitFailed,
    /// The event is released after a failed commit.
    ReleasedAfterCommitFailed,
}

impl Broken {
    /// Faults in the store or in the key instead of the layer.
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
