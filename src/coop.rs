//! Cooperative yielding for hand-written futures.

use std::task::Context;

/// Schedules the task of `cx` to be polled again after other ready tasks. The caller returns
/// `Pending`.
///
/// With tokio, sockets and timers are polled first too. A task that only wakes itself runs again
/// before them, dozens of times in a row.
pub(crate) fn yield_now(cx: &mut Context<'_>) {
    #[cfg(feature = "tokio")]
    {
        // The first poll is always pending.
        let yielded = std::pin::pin!(tokio::task::yield_now());
        let _ = yielded.poll(cx);
    }
    #[cfg(not(feature = "tokio"))]
    cx.waker().wake_by_ref();
}
