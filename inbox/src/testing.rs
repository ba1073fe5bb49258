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
    Outcome,
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
pub use hooks::{Fault, Moment, set_hook};
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
    use std::{
        sync::{Arc, RwLock},
        time::Duration,
    };

    use super::Point;
    use crate::error::{DatabaseError, InboxError};

    /// Before an operation, or after it with its answer on the way.
    #[allow(clippy::exhaustive_enums, reason = "for the tests of this crate only")]
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Moment {
        /// Nothing was done.
        Before,
        /// It was done. An error now is a lost answer.
        After,
    }

    /// What happens at a point.
    #[allow(clippy::exhaustive_enums, reason = "for the tests of this crate only")]
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Fault {
        /// Nothing.
        None,
        /// The database fails, or its answer is lost.
        Error,
        /// The database is slow.
        Delay(Duration),
    }

    type Hook = Arc<dyn Fn(Point, Moment) -> Fault + Send + Sync>;

    static HOOK: RwLock<Option<Hook>> = RwLock::new(None);

    /// Installs a hook that is asked at every point of this process. It may also end the process.
    pub fn set_hook(hook: impl Fn(Point, Moment) -> Fault + Send + Sync + 'static) {
        if let Ok(mut place) = HOOK.write() {
            *place = Some(Arc::new(hook));
        }
    }

    async fn ask(point: Point, moment: Moment) -> Result<(), InboxError> {
        let hook = HOOK.read().ok().and_then(|hook| hook.clone());
        match hook.map_or(Fault::None, |hook| hook(point, moment)) {
            Fault::None => Ok(()),
            Fault::Error => Err(InboxError::database(DatabaseError::injected())),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    pub(crate) async fn before(point: Point) -> Result<(), InboxError> {
        ask(point, Moment::Before).await
    }

    pub(crate) async fn after(point: Point) -> Result<(), InboxError> {
        ask(point, Moment::After).await
    }
}
