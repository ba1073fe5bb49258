//! Contains the panics of foreign code: the handler, the store, the host's functions, and the
//! `Drop` of everything that they leave behind.
//!
//! An uncontained panic ends the task of a delivery. Its claims then stay pending until the lease
//! expires, its pending writes are lost, and nothing is counted.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

#[cfg(feature = "tokio")]
pub(crate) use future::Contained;

/// Foreign code has panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Calls a function and turns its panic into an error.
///
/// Unwind safe: no caller uses again what the panic may have left half changed.
pub(crate) fn contain<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        // A payload can panic when it is dropped, with a payload that does the same.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
        Panicked
    })
}

/// Drops a value whose `Drop` may panic.
#[cfg(feature = "tokio")]
pub(crate) fn contain_drop<T>(value: T) {
    let _ = contain(|| drop(value));
}

#[cfg(feature = "tokio")]
mod future {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use pin_project_lite::pin_project;

    use super::{Panicked, contain};

    pin_project! {
        /// A future whose panics are contained, in its polls and in its `Drop`.
        pub(crate) struct Contained<F> {
            // `None` after its end.
            #[pin]
            future: Option<F>,
        }

        impl<F> PinnedDrop for Contained<F> {
            fn drop(this: Pin<&mut Self>) {
                end(this.project().future);
            }
        }
    }

    impl<F> Contained<F> {
        pub(crate) fn new(future: F) -> Self {
            Self {
                future: Some(future),
            }
        }
    }

    impl<F: Future> Future for Contained<F> {
        type Output = Result<F::Output, Panicked>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let mut future = self.project().future;
            #[expect(
                clippy::expect_used,
                reason = "a future must not be polled again after it was ready"
            )]
            let running = future.as_mut().as_pin_mut().expect("polled after its end");
            let output = match contain(|| running.poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panicked) => Err(panicked),
            };
            end(future);
            Poll::Ready(output)
        }
    }

    /// Drops the future. Its place is empty then, even if its `Drop` panics.
    fn end<F>(mut future: Pin<&mut Option<F>>) {
        let _ = contain(|| future.set(None));
    }
}

#[cfg(test)]
#[cfg(feature = "tokio")]
mod tests {
    use std::{
        future::{pending, ready},
        panic::panic_any,
        pin::Pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll},
    };

    use super::*;

    /// Counts its drops and panics in each, with another one as the payload if there is one.
    struct Bomb<'a>(&'a AtomicUsize);

    impl Drop for Bomb<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic_any("planned");
        }
    }

    /// Panics when it is dropped, with a payload that does the same, and so on.
    struct Chain;

    impl Drop for Chain {
        fn drop(&mut self) {
            panic_any(Chain);
        }
    }

    #[tokio::test]
    async fn a_future_that_panics_when_dropped_is_dropped_once() {
        let drops = AtomicUsize::new(0);
        let bomb = Bomb(&drops);
        let mut hanging = Box::pin(Contained::new(async move {
            let _bomb = bomb;
            pending::<()>().await;
        }));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(hanging.as_mut().poll(&mut context).is_pending());
        drop(hanging);
        assert_eq!(drops.load(Ordering::Relaxed), 1);

        /// A future that is ready at once, and keeps the bomb until it is dropped.
        struct Ended<'a>(#[expect(dead_code, reason = "for its `Drop`")] Bomb<'a>);
        impl Future for Ended<'_> {
            type Output = u8;
            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
                Poll::Ready(7)
            }
        }
        assert_eq!(Contained::new(Ended(Bomb(&drops))).await, Ok(7));
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn payloads_that_panic_when_dropped_are_contained() {
        assert_eq!(contain(|| panic_any(Chain)), Err::<(), _>(Panicked));
        assert_eq!(contain(|| 7), Ok(7));
        contain_drop(Chain);
        let panics = Contained::new(async { panic_any(Chain) });
        assert_eq!(panics.await, Err::<(), _>(Panicked));
        assert_eq!(Contained::new(ready(7)).await, Ok(7));
    }
}
