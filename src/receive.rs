//! Receiving a body from somebody who has not proved anything yet: counted, bounded in time and memory, hashed as it arrives.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Body;
use pin_project_lite::pin_project;

use self::clock::Clock;
use crate::{signature::Verifier, turn::give_way};

/// So much of every body may come out of the part of the budget that is set aside.
pub(crate) const SET_ASIDE_PER_BODY: usize = 16 * 1024;

/// The part of the budget that is set aside for the first bytes of every body: one of so many.
const SET_ASIDE_PART: usize = 4;

/// Where there is no room to double, a buffer grows by at least one of so many parts of itself.
const LEAST_GROWTH: usize = 8;

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
    /// Keeps its memory accounted for.
    pub(crate) lease: Lease,
}

pin_project! {
    /// Receives one body.
    pub(crate) struct Receive<B> {
        #[pin]
        body: B,
        #[pin]
        clock: Clock,
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
    /// `declared` is what the sender says of the length. It is believed only as far as it saves memory.
    pub(crate) fn new(
        body: B,
        declared: Option<usize>,
        verifier: Verifier,
        limits: &Limits,
        budget: &Arc<Budget>,
    ) -> Self {
        Self {
            body,
            clock: Clock::new(limits),
            buffer: Buffer {
                kept: Kept::Nothing,
                limit: limits.body,
                declared: declared.unwrap_or(limits.body).min(limits.body),
                lease: budget.lease(),
            },
            verifier,
            hashed: 0,
        }
    }

    /// Must not be called again after it was ready.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, ReceiveError>> {
        let mut this = self.project();
        let mut frames = 0;
        let mut room = HASHED_PER_POLL.div_ceil(this.verifier.secrets().max(1));
        let mut progress = false;
        loop {
            // What has come is hashed before more is asked for.
            let arrived = this.buffer.bytes().get(*this.hashed..);
            let arrived = arrived.unwrap_or_default();
            let piece = arrived.get(..room).unwrap_or(arrived);
            this.verifier.update(piece);
            *this.hashed += piece.len();
            room -= piece.len();
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
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(ReceiveError::Broken)),
                    Poll::Ready(None) => {
                        let verifier = std::mem::replace(this.verifier, Verifier::new(&[]));
                        return Poll::Ready(Ok(this.buffer.finish(verifier)));
                    }
                    Poll::Pending => {}
                }
            } else {
                give_way(cx);
            }
            return this.clock.poll_expired(cx, progress).map(Err);
        }
    }
}

/// What has arrived, in one piece.
struct Buffer {
    kept: Kept,
    limit: usize,
    declared: usize,
    lease: Lease,
}

enum Kept {
    Nothing,
    /// The first frame, not copied: most bodies have no second one.
    Frame(Bytes),
    /// All frames, copied: frames that are kept cost many times their length when they are small.
    Copied(Vec<u8>),
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        match &self.kept {
            Kept::Nothing => &[],
            Kept::Frame(frame) => frame,
            Kept::Copied(copied) => copied,
        }
    }

    fn keep(&mut self, data: Bytes) -> Result<(), ReceiveError> {
        // Counted before anything is kept or hashed.
        if data.len() > self.limit - self.bytes().len().min(self.limit) {
            return Err(ReceiveError::TooLarge);
        }
        match &mut self.kept {
            Kept::Nothing => {
                self.lease.grow_to(data.len())?;
                self.kept = Kept::Frame(data);
            }
            Kept::Frame(first) => {
                let mut copied = Vec::new();
                let needed = first.len() + data.len();
                let wanted = needed.max(self.declared.min(SET_ASIDE_PER_BODY));
                reserve(&mut copied, needed, wanted, &mut self.lease)?;
                copied.extend_from_slice(first);
                copied.extend_from_slice(&data);
                self.kept = Kept::Copied(copied);
            }
            Kept::Copied(copied) => {
                let needed = copied.len() + data.len();
                let capacity = copied.capacity();
                if needed > capacity {
                    let most = match self.declared {
                        declared if declared < needed => self.limit,
                        declared => declared,
                    };
                    // Never byte by byte: each step may copy all that there is.
                    let least = needed.max(capacity + capacity / LEAST_GROWTH).min(most);
                    reserve(copied, least, (2 * capacity).min(most), &mut self.lease)?;
                }
                copied.extend_from_slice(&data);
            }
        }
        Ok(())
    }

    fn finish(&mut self, verifier: Verifier) -> Received {
        let body = match std::mem::replace(&mut self.kept, Kept::Nothing) {
            Kept::Nothing => Bytes::new(),
            Kept::Frame(frame) => frame,
            Kept::Copied(copied) => copied.into(),
        };
        Received {
            body,
            verifier,
            lease: self.lease.take(),
        }
    }
}

/// Makes room for `wanted` bytes in all, or for `least` if the budget has no more, and accounts for the capacity and not for the
/// length: it is the capacity that is taken from the machine.
fn reserve(
    buffer: &mut Vec<u8>,
    least: usize,
    wanted: usize,
    lease: &mut Lease,
) -> Result<(), ReceiveError> {
    let capacity = match lease.grow_to(wanted.max(least)) {
        Ok(()) => wanted.max(least),
        Err(_) => {
            lease.grow_to(least)?;
            least
        }
    };
    buffer
        .try_reserve_exact(capacity - buffer.len())
        .map_err(|_| ReceiveError::Budget)
}

/// The memory that all bodies of a layer and its clones may take together, in bytes.
///
/// It is taken bit by bit as bytes arrive and never waited for: who waits while holding some deadlocks with others who do the
/// same, and who takes the declared length up front lets a sender hold memory without sending.
#[derive(Debug)]
pub(crate) struct Budget {
    /// For the first [`SET_ASIDE_PER_BODY`] bytes of every body, and nothing else.
    set_aside: AtomicUsize,
    general: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let set_aside = bytes / SET_ASIDE_PART;
        Self {
            set_aside: AtomicUsize::new(set_aside),
            general: AtomicUsize::new(bytes - set_aside),
        }
    }

    /// The longest body that a budget of so many bytes can hold when nobody else is there.
    pub(crate) fn longest_body(bytes: usize) -> usize {
        let set_aside = bytes / SET_ASIDE_PART;
        bytes - set_aside + set_aside.min(SET_ASIDE_PER_BODY)
    }

    /// The bytes that are free now.
    pub(crate) fn available(&self) -> usize {
        self.set_aside.load(Ordering::Relaxed) + self.general.load(Ordering::Relaxed)
    }

    fn lease(self: &Arc<Self>) -> Lease {
        Lease {
            budget: Arc::clone(self),
            set_aside: 0,
            general: 0,
        }
    }
}

/// A share of the budget. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    set_aside: usize,
    general: usize,
}

impl Lease {
    /// Makes the share `total` bytes, if it is less.
    fn grow_to(&mut self, total: usize) -> Result<(), ReceiveError> {
        let held = self.set_aside + self.general;
        let small = total
            .min(SET_ASIDE_PER_BODY)
            .saturating_sub(held.min(SET_ASIDE_PER_BODY));
        let small = take_up_to(&self.budget.set_aside, small);
        self.set_aside += small;
        let large = total.saturating_sub(held + small);
        if !take(&self.budget.general, large) {
            // What was set aside stays with the lease, which is about to be dropped or to ask for less.
            return Err(ReceiveError::Budget);
        }
        self.general += large;
        Ok(())
    }

    fn take(&mut self) -> Self {
        let empty = self.budget.lease();
        std::mem::replace(self, empty)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget
            .set_aside
            .fetch_add(self.set_aside, Ordering::Relaxed);
        self.budget
            .general
            .fetch_add(self.general, Ordering::Relaxed);
    }
}

// Relaxed is enough for both: the counters guard no other memory.

fn take_up_to(pool: &AtomicUsize, bytes: usize) -> usize {
    pool.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
        Some(free - free.min(bytes))
    })
    .map_or(0, |free| free.min(bytes))
}

fn take(pool: &AtomicUsize, bytes: usize) -> bool {
    pool.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
        free.checked_sub(bytes)
    })
    .is_ok()
}

#[cfg(feature = "tokio")]
mod clock {
    use std::{
        pin::Pin,
        task::{Context, Poll, ready},
        time::Duration,
    };

    use pin_project_lite::pin_project;
    use tokio::time::{Instant, Sleep, sleep_until};

    use super::{Limits, ReceiveError};

    pin_project! {
        /// Watches the deadline of a body and the time between its frames. Most bodies are there at once and start no timer.
        pub(super) struct Clock {
            #[pin]
            alarm: Option<Sleep>,
            end: Instant,
            idle: Duration,
        }
    }

    impl Clock {
        pub(super) fn new(limits: &Limits) -> Self {
            Self {
                alarm: None,
                end: after(Instant::now(), limits.deadline),
                idle: limits.idle,
            }
        }

        /// `progress`: data have arrived since the last time.
        pub(super) fn poll_expired(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            progress: bool,
        ) -> Poll<ReceiveError> {
            let mut this = self.project();
            let next = || after(Instant::now(), *this.idle).min(*this.end);
            match this.alarm.as_mut().as_pin_mut() {
                None => this.alarm.set(Some(sleep_until(next()))),
                Some(alarm) if progress => alarm.reset(next()),
                Some(_) => {}
            }
            let Some(alarm) = this.alarm.as_pin_mut() else {
                return Poll::Pending;
            };
            let due = alarm.deadline();
            ready!(alarm.poll(cx));
            Poll::Ready(if due < *this.end {
                ReceiveError::Idle
            } else {
                ReceiveError::Deadline
            })
        }
    }

    /// A time too far away for the clock is as good as a year.
    fn after(now: Instant, duration: Duration) -> Instant {
        const YEAR: Duration = Duration::from_secs(31_536_000);
        now + duration.min(YEAR)
    }
}

#[cfg(not(feature = "tokio"))]
mod clock {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use super::{Limits, ReceiveError};

    /// Without a runtime there is no clock: the host bounds the time of a request.
    pub(super) struct Clock;

    impl Clock {
        pub(super) fn new(_: &Limits) -> Self {
            Self
        }

        pub(super) fn poll_expired(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: bool,
        ) -> Poll<ReceiveError> {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_goes_to_the_first_bytes_only() {
        let budget = Arc::new(Budget::new(64 * 1024));
        let mut large = budget.lease();
        assert!(large.grow_to(48 * 1024 + SET_ASIDE_PER_BODY).is_ok());
        assert_eq!(budget.available(), 0);
        assert!(large.grow_to(48 * 1024 + SET_ASIDE_PER_BODY + 1).is_err());
        drop(large);
        assert_eq!(budget.available(), 64 * 1024);

        let budget = Arc::new(Budget::new(256 * 1024));
        let mut large = budget.lease();
        assert!(large.grow_to(192 * 1024 + SET_ASIDE_PER_BODY).is_ok());
        assert!(large.grow_to(192 * 1024 + SET_ASIDE_PER_BODY + 1).is_err());
        let mut small = [budget.lease(), budget.lease(), budget.lease()];
        for lease in &mut small {
            assert!(lease.grow_to(1000).is_ok());
            assert!(lease.grow_to(SET_ASIDE_PER_BODY).is_ok());
            assert!(lease.grow_to(SET_ASIDE_PER_BODY + 1).is_err());
        }
        assert!(budget.lease().grow_to(1).is_err());
        drop((large, small));
        assert_eq!(budget.available(), 256 * 1024);
    }

    #[test]
    fn what_is_accounted_for_is_what_the_buffer_takes() {
        let budget = Arc::new(Budget::new(64 * 1024));
        let mut lease = budget.lease();
        let mut buffer = Vec::new();
        for (needed, wanted, capacity) in [
            (10, 1000, 1000),
            (3000, 2000, 3000),
            // No room for what is wanted: what is needed must do.
            (60_000, 100_000, 60_000),
        ] {
            buffer.resize(buffer.capacity() / 2, 0);
            assert!(reserve(&mut buffer, needed, wanted, &mut lease).is_ok());
            assert_eq!(buffer.capacity(), capacity);
            assert_eq!(budget.available(), 64 * 1024 - capacity);
        }
        assert!(reserve(&mut buffer, 70_000, 70_000, &mut lease).is_err());
        assert_eq!(buffer.capacity(), 60_000);
    }

    #[test]
    fn the_longest_body_fits_and_one_byte_more_does_not() {
        for bytes in [1, 3, 4, 1000, 65_536, 65_537, 1 << 26] {
            let longest = Budget::longest_body(bytes);
            let budget = Arc::new(Budget::new(bytes));
            assert!(budget.lease().grow_to(longest).is_ok(), "{bytes}");
            assert!(budget.lease().grow_to(longest + 1).is_err(), "{bytes}");
            assert_eq!(budget.available(), bytes);
        }
    }

    #[test]
    fn what_comes_byte_by_byte_while_memory_is_short_is_copied_a_few_times_only() {
        const MIB: usize = 1024 * 1024;
        let mut buffer = Buffer {
            kept: Kept::Nothing,
            limit: 4 * MIB,
            declared: 4 * MIB,
            // Room for 1.5 MiB of one body: too little for one of 1 MiB to double.
            lease: Arc::new(Budget::new(2 * MIB)).lease(),
        };
        let half = Bytes::from(vec![b' '; MIB / 2]);
        buffer.keep(half.clone()).unwrap();
        buffer.keep(half).unwrap();
        let (mut copies, mut before) = (0, MIB);
        let capacity = loop {
            let refused = buffer.keep(Bytes::from_static(b" ")).is_err();
            let Kept::Copied(copied) = &buffer.kept else {
                unreachable!("there were several frames")
            };
            copies += usize::from(copied.capacity() != before);
            before = copied.capacity();
            if refused {
                break before;
            }
        };
        assert!(copies <= 8, "{copies}");
        // What there is, is made use of.
        assert!(capacity >= MIB + MIB / 4, "{capacity}");
    }
}
