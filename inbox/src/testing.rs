//! Points at which the tests of this crate inject faults. Without the feature `testing` they are
//! nothing.

#[cfg(not(feature = "testing"))]
use crate::error::InboxError;

/// An operation on the database.
#[allow(
    missing_docs,
    reason = "named like the operations; for the tests of this crate only"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    Migrate,
    Store,
    Answer,
    Claim,
    Fetch,
    Handle,
    Mark,
    Commit,
    Complete,
    Fail,
    Renew,
    Recount,
    NextWake,
    Purge,
    Status,
    DeadLetters,
    Replay,
    Discard,
}

#[cfg(feature = "testing")]
pub use hooks::{Moment, set_hook};
#[cfg(feature = "testing")]
pub(crate) use hooks::{after, before};

#[cfg(not(feature = "testing"))]
#[allow(clippy::unused_async, reason = "awaits with the feature `testing`")]
pub(crate) async fn before(_: Point) -> Result<(), InboxError> {
    Ok(())
}

#[cfg(not(feature = "testing"))]
pub(crate) use before as after;

#[cfg(feature = "testing")]
mod hooks {
    use std::sync::{Arc, RwLock};

    use super::Point;
    use crate::error::{InboxError, InboxErrorKind};

    /// Before an operation, or after it with its answer on the way.
    #[allow(clippy::exhaustive_enums, reason = "for the tests of this crate only")]
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Moment {
        /// Nothing was done.
        Before,
        /// It was done. An error now is a lost answer.
        After,
    }

    type Hook = Arc<dyn Fn(Point, Moment) -> bool + Send + Sync>;

    static HOOK: RwLock<Option<Hook>> = RwLock::new(None);

    /// Installs a hook that is asked at every point of this process. It returns whether the
    /// operation fails there; it may also end the process.
    pub fn set_hook(hook: impl Fn(Point, Moment) -> bool + Send + Sync + 'static) {
        if let Ok(mut place) = HOOK.write() {
            *place = Some(Arc::new(hook));
        }
    }

    fn ask(point: Point, moment: Moment) -> Result<(), InboxError> {
        let hook = HOOK.read().ok().and_then(|hook| hook.clone());
        match hook {
            Some(hook) if hook(point, moment) => Err(InboxError::new(InboxErrorKind::Database)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn before(point: Point) -> Result<(), InboxError> {
        ask(point, Moment::Before)
    }

    pub(crate) async fn after(point: Point) -> Result<(), InboxError> {
        ask(point, Moment::After)
    }
}
