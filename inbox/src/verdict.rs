use std::{fmt, time::Duration};

/// What a handler wants to happen with its event or batch.
///
/// A handler that returns `Ok(())` returns [`Done`](Self::Done). `Err` retries with back-off and
/// counts as an attempt.
///
/// ```
/// use std::time::Duration;
/// use tower_whatsapp_inbox::{InboxEvent, Verdict};
///
/// async fn on_event(event: InboxEvent) -> Result<Verdict, std::io::Error> {
///     match event.kind() {
///         "message" => Ok(Verdict::NotBefore(Duration::from_secs(60))),
///         "account_alert" => Ok(Verdict::Never("not for this service".into())),
///         _ => Ok(Verdict::Done),
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Handled. The event is not handed out again.
    Done,
    /// Hand it out again, but not before this time has passed. Not an attempt. The conversation
    /// waits for it.
    NotBefore(Duration),
    /// Hand it out again at once. Counts as an attempt, so it ends after `max_attempts`.
    Again,
    /// Make it a dead letter at once, with this reason. The conversation goes on.
    Never(String),
}

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// Does not show the reason: it may quote a message.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::NotBefore(pause) => f.debug_tuple("NotBefore").field(pause).finish(),
            Self::Again => f.write_str("Again"),
            Self::Never(_) => f.debug_tuple("Never").finish_non_exhaustive(),
        }
    }
}
