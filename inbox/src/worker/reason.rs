/// Why a run has failed, or an event became a dead letter, in constant words: what a handler says
/// may quote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Unreadable,
    RunLost,
    Panicked,
    TimedOut,
    NotCommitted,
    Error,
    Again,
    Never,
    OtherRun,
}

impl Reason {
    #[cfg(feature = "tracing")]
    pub(crate) const COUNT: usize = Self::OtherRun as usize + 1;

    /// The first five are kept as the error of the event: the handler has said nothing then.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "the stored event cannot be read",
            Self::RunLost => "its lease was lost or its process ended while it was handled",
            Self::Panicked => "the handler panicked",
            Self::TimedOut => "the handler took longer than handler_timeout",
            Self::NotCommitted => "the handler began a transaction and did not commit it",
            Self::Error => "the handler failed",
            Self::Again => "the handler returned Verdict::Again",
            Self::Never => "the handler returned Verdict::Never",
            Self::OtherRun => "another run gave it up",
        }
    }
}
