//! The received bytes of one body, in one contiguous buffer.

use std::{sync::Arc, task::Context};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    budget::{Budget, Reservation},
    error::ReceiveError,
    incomplete::{CopyBuffer, IncompleteBody, Moment, Speed},
    limits::Limits,
};

/// Minimum capacity of the copy in bytes, unless the declared length is less.
const MIN_CAPACITY: usize = 512;

/// Minimum growth when doubling does not fit the budget: 1/8 of the capacity.
const MIN_GROWTH_DIVISOR: usize = 8;

/// Largest head that is not charged, in bytes. Ordinary heads are a quarter of that size.
const MAX_FREE_HEAD: usize = 4 * 1024;

/// Memory per header in addition to its name and value, in bytes: the map entry and two
/// allocations.
const HEADER_OVERHEAD: usize = 160;

/// The received bytes of one body.
pub(super) struct Buffer {
    contents: Contents,
    length: usize,
    limit: usize,
    declared: usize,
    /// Bytes charged for the head: see [`charged_head_bytes`].
    head_bytes: usize,
    started: Moment,
    budget: Arc<Budget>,
}

enum Contents {
    Empty,
    /// The first frame, neither copied nor charged. Most bodies have one frame, and such a body
    /// must not depend on memory that others can hold. Kept only until the body is pending.
    Frame(Bytes),
    /// Everything received, copied and charged. Frames are not kept, because a small frame pins
    /// the server's read buffer, which is many times its length.
    Copied(Arc<IncompleteBody>),
}

impl Buffer {
    /// `declared` is the length that the sender declares. It only limits how much memory is
    /// allocated ahead.
    pub(super) fn new(
        declared: Option<usize>,
        head_bytes: usize,
        limits: &Limits,
        started: Moment,
        budget: &Arc<Budget>,
    ) -> Self {
        Self {
            contents: Contents::Empty,
            length: 0,
            limit: limits.body,
            declared: declared.unwrap_or(limits.body).min(limits.body),
            head_bytes,
            started,
            budget: Arc::clone(budget),
        }
    }

    /// Calls `read` with the bytes received so far.
    pub(super) fn with_bytes<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<T, ReceiveError> {
        match &self.contents {
            Contents::Empty => Ok(read(&[])),
            Contents::Frame(frame) => Ok(read(frame)),
            Contents::Copied(body) => Ok(read(&body.buffer()?.bytes)),
        }
    }

    /// Appends a frame. The first one is stored as it is.
    pub(super) fn push(&mut self, data: Bytes) -> Result<(), ReceiveError> {
        // Checked before the data is stored or hashed.
        if data.len() > self.limit - self.length {
            return Err(ReceiveError::TooLarge);
        }
        self.length += data.len();
        if let Contents::Empty = self.contents {
            self.contents = Contents::Frame(data);
            return Ok(());
        }
        let body = self.copy_with_room(data.len())?;
        self.append(&body, &data, 0)
    }

    /// Prepares to return `Pending`: copies and charges what has been received, so that the body
    /// can be evicted, and stores the waker of `cx` for an eviction.
    pub(super) fn suspend(&mut self, cx: &Context<'_>) -> Result<(), ReceiveError> {
        if let (Contents::Empty, 0) = (&self.contents, self.head_bytes) {
            return Ok(());
        }
        let body = self.copy_with_room(0)?;
        let mut buffer = body.buffer()?;
        match &mut buffer.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Ok(())
    }

    /// Returns the copy. Makes it from the first frame if needed, with room for `more` bytes.
    fn copy_with_room(&mut self, more: usize) -> Result<Arc<IncompleteBody>, ReceiveError> {
        let first = match &self.contents {
            Contents::Empty => Bytes::new(),
            Contents::Frame(first) => first.clone(),
            Contents::Copied(body) => return Ok(Arc::clone(body)),
        };
        let body = Arc::new(IncompleteBody::new(self.started));
        self.budget.add(&body);
        self.contents = Contents::Copied(Arc::clone(&body));
        self.append(&body, &first, more)?;
        Ok(body)
    }

    /// Appends `data` to the copy, leaving room for `more` bytes.
    fn append(&self, body: &IncompleteBody, data: &[u8], more: usize) -> Result<(), ReceiveError> {
        let appended = self.append_locked(body, data, more);
        self.budget.report();
        appended
    }

    fn append_locked(
        &self,
        body: &IncompleteBody,
        data: &[u8],
        more: usize,
    ) -> Result<(), ReceiveError> {
        let mut buffer = body.buffer()?;
        let length = buffer.bytes.len() + data.len();
        self.reserve(&mut buffer, length + more)?;
        body.set_charged(buffer.charged);
        buffer.bytes.extend_from_slice(data);
        body.set_received(length);
        #[cfg(not(feature = "tokio"))]
        self.budget.tick(data.len());
        Ok(())
    }

    /// Ensures a capacity of `needed` bytes. The capacity is charged rather than the length,
    /// because it is what the allocator hands out.
    fn reserve(&self, buffer: &mut CopyBuffer, needed: usize) -> Result<(), ReceiveError> {
        let capacity = buffer.bytes.capacity();
        let is_head_charged = buffer.charged >= self.head_bytes;
        if needed <= capacity && is_head_charged {
            return Ok(());
        }
        let max_capacity = match self.declared {
            declared if declared < needed => self.limit,
            declared => declared,
        };
        let wanted = (2 * needed).max(MIN_CAPACITY).min(max_capacity);
        // Growing byte by byte would be quadratic: each step may copy the whole body.
        let minimum = needed
            .max(capacity + capacity / MIN_GROWTH_DIVISOR)
            .min(max_capacity);
        let held = buffer.charged;
        let granted = if (self.budget).try_grow_incomplete(held, wanted + self.head_bytes) {
            wanted
        } else {
            let speed = Speed::of(needed, self.started, self.budget.now());
            let total = minimum + self.head_bytes;
            if !self.budget.grow_incomplete(held, total, speed) {
                return Err(ReceiveError::Budget);
            }
            minimum
        };
        buffer.charged = granted + self.head_bytes;
        let more = granted - buffer.bytes.len();
        (buffer.bytes.try_reserve_exact(more)).map_err(|_| ReceiveError::Budget)
    }

    /// Takes the complete body and its reservation.
    pub(super) fn finish(&mut self) -> Result<(Bytes, Reservation), ReceiveError> {
        match std::mem::replace(&mut self.contents, Contents::Empty) {
            Contents::Empty => Ok((Bytes::new(), Reservation::of(&self.budget, 0))),
            Contents::Frame(frame) => Ok((frame, Reservation::of(&self.budget, 0))),
            Contents::Copied(body) => {
                let taken = std::mem::take(&mut *body.buffer()?);
                self.budget.remove(&body);
                self.budget.complete(taken.charged);
                let reservation = Reservation::of(&self.budget, taken.charged);
                Ok((taken.bytes.into(), reservation))
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Contents::Copied(body) = &self.contents {
            // An evicted body holds no memory and is not listed any more.
            let Ok(mut buffer) = body.buffer() else {
                return;
            };
            let taken = std::mem::take(&mut *buffer);
            drop(buffer);
            self.budget.remove(body);
            drop(taken.bytes);
            self.budget.release_incomplete(taken.charged);
            self.budget.report();
        }
    }
}

/// Bytes to charge for the head together with the body. The head stays in memory while the body
/// is received, and thousands of HTTP/2 streams may each have a large one.
pub(super) fn charged_head_bytes(headers: &HeaderMap) -> usize {
    let texts = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let bytes = headers.len() * HEADER_OVERHEAD + texts.sum::<usize>();
    if bytes > MAX_FREE_HEAD { bytes } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Wake, Waker},
    };

    use super::*;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;

    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A body of which the first frame has arrived.
    struct Partial {
        buffer: Buffer,
        waker: Waker,
        woken: Arc<WakeCount>,
    }

    impl Partial {
        fn new(budget: &Arc<Budget>, length: usize) -> Self {
            let limits = Limits {
                body: 4 * MIB,
                #[cfg(feature = "tokio")]
                deadline: std::time::Duration::from_secs(10),
                #[cfg(feature = "tokio")]
                idle: std::time::Duration::from_secs(5),
            };
            let mut buffer = Buffer::new(Some(4 * MIB), 0, &limits, budget.now(), budget);
            buffer.push(vec![b' '; length].into()).unwrap();
            let woken = Arc::new(WakeCount(AtomicUsize::new(0)));
            Self {
                buffer,
                waker: Waker::from(Arc::clone(&woken)),
                woken,
            }
        }

        fn suspend(&mut self) -> Result<(), ReceiveError> {
            self.buffer.suspend(&Context::from_waker(&self.waker))
        }

        fn suspended(budget: &Arc<Budget>, length: usize) -> Self {
            let mut this = Self::new(budget, length);
            this.suspend().unwrap();
            this
        }

        fn push(&mut self, length: usize) -> Result<(), ReceiveError> {
            self.buffer.push(vec![b' '; length].into())
        }

        fn is_evicted(&mut self) -> bool {
            self.suspend() == Err(ReceiveError::Budget)
        }
    }

    /// Lets one second pass (tokio's time is paused), or 1 MiB arrive without tokio.
    async fn advance(_budget: &Budget) {
        #[cfg(feature = "tokio")]
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        #[cfg(not(feature = "tokio"))]
        _budget.tick(MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_not_charged_until_it_is_pending() {
        let budget = Arc::new(Budget::new(MIB));
        let mut body = Partial::new(&budget, 100 * KIB);
        assert_eq!(budget.available(), MIB);
        body.suspend().unwrap();
        assert_eq!(budget.available(), MIB - 200 * KIB);
        drop(body);
        assert_eq!(budget.available(), MIB);

        let mut whole = Partial::new(&budget, 100 * KIB);
        let (body, reservation) = whole.buffer.finish().unwrap();
        assert_eq!((body.len(), reservation.bytes()), (100 * KIB, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_body_evicts_the_slowest() {
        let budget = Arc::new(Budget::new(MIB));
        let mut fast = Partial::suspended(&budget, 300 * KIB);
        let mut slow = Partial::suspended(&budget, 100 * KIB);
        advance(&budget).await;
        let mut new = Partial::new(&budget, 150 * KIB);
        assert_eq!(slow.woken.0.load(Ordering::SeqCst), 0);
        new.suspend().unwrap();
        assert_eq!(slow.woken.0.load(Ordering::SeqCst), 1);
        assert!(slow.is_evicted() && !fast.is_evicted() && !new.is_evicted());
        assert_eq!(slow.push(1), Err(ReceiveError::Budget));
        // The memory is free before the task of the evicted body has run.
        let taken = [&fast, &new]
            .map(|body| body.buffer.length)
            .iter()
            .sum::<usize>();
        assert!(MIB - budget.available() >= taken);
        drop((fast, slow, new));
        assert_eq!(budget.available(), MIB);
    }

    /// A small body is the slowest of all when its end comes late, and yet it keeps its place in
    /// the reserved part.
    #[tokio::test(start_paused = true)]
    async fn a_large_body_evicts_no_small_one() {
        let budget = Arc::new(Budget::new(MIB));
        let mut small: Vec<_> = (0..3).map(|_| Partial::suspended(&budget, 450)).collect();
        let mut slow = Partial::suspended(&budget, 100 * KIB);
        advance(&budget).await;
        let mut first = Partial::suspended(&budget, 400 * KIB);
        let mut second = Partial::suspended(&budget, 200 * KIB);
        assert!(slow.is_evicted() && !first.is_evicted() && !second.is_evicted());
        assert!(small.iter_mut().all(|body| !body.is_evicted()));
        // What they hold is in the reserved part: the large ones have the rest for themselves.
        let mut third = Partial::suspended(&budget, 150 * KIB);
        assert!(!third.is_evicted() && !first.is_evicted());
        drop((small, slow, first, second, third));
        assert_eq!((budget.available(), budget.evictable()), (MIB, 0));
        assert_eq!(budget.small(), 0);
    }

    /// Else strangers could keep large bodies out with thousands of small ones.
    #[tokio::test(start_paused = true)]
    async fn a_large_body_evicts_small_ones_beyond_the_reserved_part() {
        let budget = Arc::new(Budget::new(MIB));
        let mut small: Vec<_> = (0..120)
            .map(|_| Partial::suspended(&budget, 4 * KIB))
            .collect();
        advance(&budget).await;
        let mut large = Partial::suspended(&budget, 400 * KIB);
        assert!(!large.is_evicted());
        let evicted = small
            .iter_mut()
            .filter_map(|body| body.is_evicted().then_some(()))
            .count();
        assert!((1..120).contains(&evicted), "{evicted}");
        drop((small, large));
        assert_eq!((budget.available(), budget.evictable()), (MIB, 0));
        assert_eq!(budget.small(), 0);
    }

    /// A task may be polled with another waker each time. Only the last one wakes it.
    #[tokio::test(start_paused = true)]
    async fn an_eviction_wakes_the_waker_of_the_last_poll() {
        let budget = Arc::new(Budget::new(MIB));
        let mut slow = Partial::suspended(&budget, 300 * KIB);
        let first = Arc::clone(&slow.woken);
        let last = Arc::new(WakeCount(AtomicUsize::new(0)));
        slow.waker = Waker::from(Arc::clone(&last));
        slow.suspend().unwrap();
        advance(&budget).await;
        Partial::new(&budget, 300 * KIB).suspend().unwrap();
        let woken = [first, last].map(|count| count.0.load(Ordering::SeqCst));
        assert_eq!(woken, [0, 1]);
        assert!(slow.is_evicted());
    }

    /// Otherwise bodies are evicted for others that do not fit anyway.
    #[tokio::test(start_paused = true)]
    async fn only_what_incomplete_bodies_hold_counts_as_evictable() {
        let budget = Arc::new(Budget::new(MIB));
        let held = |budget: &Budget| MIB - budget.available();
        let mut complete = Partial::suspended(&budget, 100 * KIB);
        assert_eq!(budget.evictable(), held(&budget));
        complete.push(200 * KIB).unwrap();
        let dropped = Partial::suspended(&budget, 5 * KIB);
        let mut evicted = Partial::suspended(&budget, 20 * KIB);
        assert_eq!(budget.evictable(), held(&budget));
        drop(dropped);
        assert_eq!(budget.evictable(), held(&budget));
        let (_, reservation) = complete.buffer.finish().unwrap();
        assert_eq!(budget.evictable(), held(&budget) - reservation.bytes());
        assert!(budget.evictable() > 0);
        // A refusal changes nothing.
        assert!(evicted.push(2 * MIB).is_err());
        assert_eq!(budget.evictable(), held(&budget) - reservation.bytes());
        let mut verified = Reservation::of(&budget, 0);
        // Leaves the reserved part only without the incomplete one.
        verified.grow_to(180 * KIB).unwrap();
        assert!(evicted.is_evicted());
        assert_eq!(budget.evictable(), 0);
        drop((complete, evicted));
        assert_eq!(budget.evictable(), 0);
    }

    /// Otherwise the list grows with each connection that breaks off.
    #[tokio::test(start_paused = true)]
    async fn the_list_keeps_no_body_that_has_ended() {
        type Reach = fn(&mut Partial);
        let ends: [(&str, Reach); 4] = [
            ("dropped", |_| {}),
            ("refused", |body| assert!(body.push(2 * MIB).is_err())),
            ("complete", |body| drop(body.buffer.finish().unwrap())),
            ("evicted", |body| {
                let mut verified = Reservation::of(&body.buffer.budget, 0);
                verified.grow_to(MIB).unwrap();
                assert!(body.is_evicted());
            }),
        ];
        for (end, reach) in ends {
            let budget = Arc::new(Budget::new(MIB));
            let mut body = Partial::suspended(&budget, 5 * KIB);
            let _other = Partial::suspended(&budget, 5 * KIB);
            let Contents::Copied(listed) = &body.buffer.contents else {
                panic!("a pending body is copied");
            };
            let listed = Arc::downgrade(listed);
            reach(&mut body);
            drop(body);
            assert_eq!(listed.strong_count(), 0, "{end}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slower_body_evicts_no_faster_one() {
        let budget = Arc::new(Budget::new(MIB));
        let mut slow = Partial::suspended(&budget, 5 * KIB);
        advance(&budget).await;
        let mut large = Partial::suspended(&budget, 400 * KIB);
        // 500 KiB in one second and more, against 400 KiB that have just arrived.
        assert_eq!(slow.push(500 * KIB - 5 * KIB), Err(ReceiveError::Budget));
        assert!(!large.is_evicted());
        large.push(300 * KIB).unwrap();
        let (body, reservation) = large.buffer.finish().unwrap();
        assert_eq!(body.len(), 700 * KIB);
        drop((slow, large));
        assert_eq!(budget.available(), MIB - reservation.bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn a_verified_body_evicts_any_incomplete_body() {
        let budget = Arc::new(Budget::new(MIB));
        let mut large = Partial::suspended(&budget, 400 * KIB);
        let mut verified = Reservation::of(&budget, 0);
        verified.grow_to(500 * KIB).unwrap();
        assert!(large.is_evicted());
        // It does not evict other verified bodies.
        assert!(Reservation::of(&budget, 0).grow_to(600 * KIB).is_err());
        assert!(Partial::new(&budget, 600 * KIB).suspend().is_err());
        assert_eq!(budget.available(), MIB - 500 * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_evicted_for_a_body_that_does_not_fit_anyway() {
        let budget = Arc::new(Budget::new(MIB));
        let mut verified = Reservation::of(&budget, 0);
        verified.grow_to(700 * KIB).unwrap();
        let mut small: Vec<_> = (0..10)
            .map(|_| Partial::suspended(&budget, 2 * KIB))
            .collect();
        advance(&budget).await;
        // The last quarter is not for large ones, and the verified body holds the rest.
        assert!(Partial::new(&budget, 200 * KIB).suspend().is_err());
        assert!(Reservation::of(&budget, 0).grow_to(200 * KIB).is_err());
        assert!(!small.iter_mut().any(Partial::is_evicted));
        // The only verified body may take everything.
        verified.grow_to(900 * KIB).unwrap();
        assert!(small.iter_mut().all(Partial::is_evicted));
        drop((verified, small));
        assert_eq!(budget.available(), MIB);
        assert_eq!(budget.evictable(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_body_takes_nothing() {
        let budget = Arc::new(Budget::new(MIB));
        let mut verified = Reservation::of(&budget, 0);
        verified.grow_to(700 * KIB).unwrap();
        let mut small = Partial::suspended(&budget, 301);
        let free = budget.available();
        assert_eq!(small.push(500 * KIB), Err(ReceiveError::Budget));
        assert_eq!(budget.available(), free);
    }

    /// More slow bodies than one scan returns.
    #[tokio::test(start_paused = true)]
    async fn slow_bodies_are_evicted_among_many() {
        let budget = Arc::new(Budget::new(MIB));
        let mut dripping: Vec<_> = (0..1024)
            .map(|_| Partial::suspended(&budget, 300))
            .collect();
        advance(&budget).await;
        let mut genuine: Vec<_> = (0..6)
            .map(|_| Partial::suspended(&budget, 50 * KIB))
            .collect();
        assert!(genuine.iter_mut().all(|body| body.push(30 * KIB).is_ok()));
        let evicted = dripping
            .iter_mut()
            .filter_map(|body| body.is_evicted().then_some(()));
        // More than one scan finds, and no more than needed.
        assert!((100..900).contains(&evicted.count()));
        drop((dripping, genuine));
        assert_eq!(budget.available(), MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_received_byte_by_byte_is_copied_only_a_few_times() {
        // Too small for the buffer of a 1 MiB body to double.
        let budget = Arc::new(Budget::new(2 * MIB));
        let mut body = Partial::suspended(&budget, MIB / 2);
        body.push(MIB / 2).unwrap();
        let capacity = |budget: &Budget| 2 * MIB - budget.available();
        let (mut copies, mut before) = (0, capacity(&budget));
        while body.push(1).is_ok() {
            copies += usize::from(capacity(&budget) != before);
            before = capacity(&budget);
        }
        assert!(copies <= 8, "{copies}");
        // The budget is used up.
        assert!(before >= MIB + MIB / 4, "{before}");
    }
}
