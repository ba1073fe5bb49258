//! Receives the body of a request that has proved nothing yet: within a limit, two deadlines and a
//! memory budget, hashed as it arrives.

mod budget;
mod buffer;
mod deadline;
mod incomplete;

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

pub(crate) use self::budget::{Budget, Reservation};
use self::{
    buffer::{Buffer, charged_head},
    deadline::Deadline,
};
use crate::{body_error::receive_error, coop::yield_now, signature::Verifier};

/// After so many frames in one go, other tasks get their turn: a sender whose frames are always there already (empty ones, say) must not keep
/// a worker thread to itself, nor keep its own deadline from being looked at.
const FRAMES_PER_POLL: usize = 64;

/// The same after so many bytes have been hashed, each secret counted: a third of a millisecond without instructions for SHA. A server may hand
/// over a whole body as one frame.
const HASHED_PER_POLL: usize = 64 * 1024;

/// Why a body was not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    TooLarge,
    #[cfg(feature = "tokio")]
    Deadline,
    #[cfg(feature = "tokio")]
    Idle,
    Budget,
    /// A timeout of the host has ended the body.
    TimedOut,
    Broken,
}

/// The bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most bytes.
    pub(crate) body: usize,
    #[cfg(feature = "tokio")]
    pub(crate) deadline: std::time::Duration,
    #[cfg(feature = "tokio")]
    pub(crate) idle: std::time::Duration,
}

/// A body that was received whole.
pub(crate) struct Received {
    pub(crate) body: Bytes,
    /// Has seen every byte of it.
    pub(crate) verifier: Verifier,
    /// What it has taken of the budget. A body that came in one frame has taken nothing yet.
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
        // So many bytes of the buffer has the verifier seen.
        hashed: usize,
    }
}

impl<B> Receive<B>
where
    B: Body<Data = Bytes>,
{
    /// `declared` is what the sender says of the length. It is believed only as far as it saves
    /// memory.
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
        let began = budget.now();
        Self {
            body,
            deadline: Deadline::new(limits, began),
            buffer: Buffer::new(declared, charged_head(headers), limits, began, budget),
            verifier,
            hashed: 0,
        }
    }

    /// Must not be called again after it was ready.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, ReceiveError>>
    where
        B::Error: Into<BoxError>,
    {
        let mut this = self.project();
        let mut frames = 0;
        let mut room = HASHED_PER_POLL.div_ceil(this.verifier.secrets().max(1));
        let mut progress = false;
        loop {
            // What has come is hashed before more is asked for.
            let hashed = this.buffer.read(|bytes| {
                let arrived = bytes.get(*this.hashed..).unwrap_or_default();
                let piece = arrived.get(..room).unwrap_or(arrived);
                this.verifier.update(piece);
                piece.len()
            })?;
            *this.hashed += hashed;
            room -= hashed;
            if room > 0 && frames < FRAMES_PER_POLL {
                match this.body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        frames += 1;
                        // Trailers are not signed, so nothing in them may matter.
                        if let Ok(data) = frame.into_data()
                            && !data.is_empty()
                        {
                            progress = true;
                            this.buffer.keep(data)?;
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(receive_error(&*error.into())));
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
                    Poll::Pending => this.buffer.wait(cx)?,
                }
            } else {
                yield_now(cx);
            }
            return this.deadline.poll_expired(cx, progress).map(Err);
        }
    }
}
