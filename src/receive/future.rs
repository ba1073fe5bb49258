//! The future that receives one body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;
use tower::BoxError;

use super::{
    budget::{Budget, Reservation},
    buffer::{Buffer, charged_head_bytes},
    deadline::Deadline,
    error::ReceiveError,
    limits::Limits,
};
use crate::{coop::yield_now, signature::Verifier};

/// Maximum number of frames read before yielding. A sender whose frames are always ready, such as
/// empty ones, must neither occupy a worker thread nor keep its own deadline from being checked.
const FRAMES_PER_POLL: usize = 64;

/// Maximum number of bytes hashed before yielding, counted once per secret. A server may deliver a
/// whole body as one frame. Without SHA instructions this takes a third of a millisecond.
const HASHED_PER_POLL: usize = 64 * 1024;

/// A body that was received in full.
pub(crate) struct Received {
    pub(crate) body: Bytes,
    /// Has hashed all of `body`.
    pub(crate) verifier: Verifier,
    /// The memory charged for the body. A body that arrived in one frame has not been charged yet.
    pub(crate) reservation: Reservation,
}

pin_project! {
    /// Receives one body.
    pub(crate) struct Receive<B> {
        #[pin]
        body: B,
        #[pin]
        deadline: Deadline,
        buffer: Buffer,
        verifier: Verifier,
        // Number of buffered bytes that the verifier has hashed.
        hashed: usize,
    }
}

impl<B> Receive<B>
where
    B: Body<Data = Bytes>,
{
    /// Starts to receive `body`. `declared` is the length that the sender declares. It only limits
    /// how much memory is allocated ahead; the bytes received decide.
    ///
    /// # Panics
    ///
    /// With the feature `tokio`, panics outside of a Tokio runtime with a timer.
    pub(crate) fn new(
        body: B,
        declared: Option<usize>,
        headers: &HeaderMap,
        verifier: Verifier,
        limits: &Limits,
        budget: &Arc<Budget>,
    ) -> Self {
        let started = budget.now();
        let head_bytes = charged_head_bytes(headers);
        Self {
            body,
            deadline: Deadline::new(limits, started),
            buffer: Buffer::new(declared, head_bytes, limits, started, budget),
            verifier,
            hashed: 0,
        }
    }

    /// Must not be called again once it has returned `Ready`.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, ReceiveError>>
    where
        B::Error: Into<BoxError>,
    {
        let mut this = self.project();
        let mut frames = 0;
        let mut hash_quota = HASHED_PER_POLL.div_ceil(this.verifier.secrets().max(1));
        let mut progress = false;
        loop {
            // Hash the buffered bytes before the next frame is polled.
            let hashed = this.buffer.with_bytes(|bytes| {
                let pending = bytes.get(*this.hashed..).unwrap_or_default();
                let piece = pending.get(..hash_quota).unwrap_or(pending);
                this.verifier.update(piece);
                piece.len()
            })?;
            *this.hashed += hashed;
            // The sender is not idle while it waits for this.
            progress |= hashed > 0;
            hash_quota -= hashed;
            if hash_quota > 0 && frames < FRAMES_PER_POLL {
                match this.body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        frames += 1;
                        // Trailers are not signed, so they are ignored.
                        if let Ok(data) = frame.into_data()
                            && !data.is_empty()
                        {
                            progress = true;
                            this.buffer.push(data)?;
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => {
                        let error = error.into();
                        return Poll::Ready(Err(ReceiveError::from_body_error(&*error)));
                    }
                    Poll::Ready(None) => {
                        let verifier = std::mem::replace(this.verifier, Verifier::new(&[]));
                        return Poll::Ready(this.buffer.finish().map(|(body, reservation)| {
                            Received {
                                body,
                                verifier,
                                reservation,
                            }
                        }));
                    }
                    Poll::Pending => this.buffer.suspend(cx)?,
                }
            } else {
                yield_now(cx);
            }
            return this.deadline.poll_expired(cx, progress).map(Err);
        }
    }
}
