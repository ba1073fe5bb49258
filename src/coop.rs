//! Other tasks get their turn.

use std::task::Context;

/// Has the task of `cx` polled again, after the others that are ready. Not a busy loop: the caller returns `Pending`.
///
/// With tokio after its sockets and timers too. A task that just wakes itself comes before them, dozens of times in a row.
pub(crate) fn yield_now(cx: &mut Context<'_>) {
    #[cfg(feature = "tokio")]
    {
        // Always pending the first time.
        let turn = std::pin::pin!(tokio::task::yield_now());
        let _ = turn.poll(cx);
    }
    #[cfg(not(feature = "tokio"))]
    cx.waker().wake_by_ref();
}
