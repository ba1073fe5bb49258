//! What has arrived of one body, in one piece.

use std::{sync::Arc, task::Context};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    Limits, ReceiveError,
    budget::{Budget, Reservation},
    incomplete::{Copied, Incomplete, Moment, Speed},
};

/// Minimum capacity of a buffer, unless the declared length is less.
const LEAST_CAPACITY: usize = 512;

/// Minimum growth when doubling does not fit the budget: one eighth of the capacity.
const LEAST_GROWTH: usize = 8;

/// A body's bytes.
pub(super) struct Buffer {
    kept: Kept,
    length: usize,
    limit: usize,
    declared: usize,
    /// Bytes of the head, if they are many: see [`charged_head`].
    head: usize,
    began: Moment,
    budget: Arc<Budget>,
}

/// Size of a head up to which it is not charged, in bytes. Ordinary heads are a quarter of it.
const FREE_HEAD: usize = 4 * 1024;

/// Bytes that a header takes beside its name and its value: its place in the map, and an allocation for each.
const PER_HEADER: usize = 160;

/// The memory of a head that is charged with its body. A head is held for as long as its body is waited for, and
/// thousands of HTTP/2 streams may have one.
pub(super) fn charged_head(headers: &HeaderMap) -> usize {
    let texts = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let bytes = headers.len() * PER_HEADER + texts.sum::<usize>();
    if bytes > FREE_HEAD { bytes } else { 0 }
}

enum Kept {
    Nothing,
    /// The first frame, not copied and not charged: most bodies have no second one, and such a body
    /// must need nothing that others can hold. It is held only until the body has to be waited for.
    Frame(Bytes),
    /// Everything that has come, copied and charged. Frames are not kept: a small one costs many
    /// times its length, because it pins the buffer that the server has read into.
    Copied(Arc<Incomplete>),
}

impl Buffer {
    /// `declared` is what the sender says of the length. It is believed only as far as it saves
    /// memory.
    pub(super) fn new(
        declared: Option<usize>,
        head: usize,
        limits: &Limits,
        began: Moment,
        budget: &Arc<Budget>,
    ) -> Self {
        Self {
            kept: Kept::Nothing,
            length: 0,
            limit: limits.body,
            declared: declared.unwrap_or(limits.body).min(limits.body),
            head,
            began,
            budget: Arc::clone(budget),
        }
    }

    /// Shows what has arrived.
    pub(super) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<T, ReceiveError> {
        match &self.kept {
            Kept::Nothing => Ok(read(&[])),
            Kept::Frame(frame) => Ok(read(frame)),
            Kept::Copied(body) => Ok(read(&body.buffer()?.bytes)),
        }
    }

    pub(super) fn keep(&mut self, data: Bytes) -> Result<(), ReceiveError> {
        // Counted before anything is kept or hashed.
        if data.len() > self.limit - self.length {
            return Err(ReceiveError::TooLarge);
        }
        self.length += data.len();
        if let Kept::Nothing = self.kept {
            self.kept = Kept::Frame(data);
            return Ok(());
        }
        let body = self.copied(data.len())?;
        self.append(&body, &data, 0)
    }

    /// The rest of the body is not there yet, and `cx` is woken when more comes.
    pub(super) fn wait(&mut self, cx: &Context<'_>) -> Result<(), ReceiveError> {
        if let (Kept::Nothing, 0) = (&self.kept, self.head) {
            return Ok(());
        }
        let body = self.copied(0)?;
        let mut buffer = body.buffer()?;
        match &mut buffer.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Ok(())
    }

    /// The copy. The first frame is copied now, if it has not been, to where there is room for `more`.
    fn copied(&mut self, more: usize) -> Result<Arc<Incomplete>, ReceiveError> {
        let first = match &self.kept {
            Kept::Nothing => Bytes::new(),
            Kept::Frame(first) => first.clone(),
            Kept::Copied(body) => return Ok(Arc::clone(body)),
        };
        let body = Arc::new(Incomplete::new(self.began));
        self.budget.add(&body);
        self.kept = Kept::Copied(Arc::clone(&body));
        self.append(&body, &first, more)?;
        Ok(body)
    }

    /// Appends `data` where there is room for `more` behind it.
    fn append(&self, body: &Incomplete, data: &[u8], more: usize) -> Result<(), ReceiveError> {
        let mut buffer = body.buffer()?;
        let length = buffer.bytes.len() + data.len();
        self.reserve(&mut buffer, length + more)?;
        buffer.bytes.extend_from_slice(data);
        body.set_received(length);
        #[cfg(not(feature = "tokio"))]
        self.budget.tick(data.len());
        Ok(())
    }

    /// Makes room for `needed` bytes in all. It is the capacity that is charged, because that is what
    /// is taken from the machine.
    fn reserve(&self, buffer: &mut Copied, needed: usize) -> Result<(), ReceiveError> {
        let capacity = buffer.bytes.capacity();
        let is_head_charged = buffer.charged >= self.head;
        if needed <= capacity && is_head_charged {
            return Ok(());
        }
        let most = match self.declared {
            declared if declared < needed => self.limit,
            declared => declared,
        };
        let wanted = (2 * needed).max(LEAST_CAPACITY).min(most);
        // Never byte by byte: each step may copy everything.
        let least = needed.max(capacity + capacity / LEAST_GROWTH).min(most);
        let held = buffer.charged;
        let granted = if self.budget.take(held, wanted + self.head) {
            wanted
        } else {
            let speed = Speed::of(needed, self.began, self.budget.now());
            if !self.budget.reserve(held, least + self.head, speed) {
                return Err(ReceiveError::Budget);
            }
            least
        };
        buffer.charged = granted + self.head;
        let more = granted - buffer.bytes.len();
        (buffer.bytes.try_reserve_exact(more)).map_err(|_| ReceiveError::Budget)
    }

    /// The body is complete.
    pub(super) fn finish(&mut self) -> Result<(Bytes, Reservation), ReceiveError> {
        match std::mem::replace(&mut self.kept, Kept::Nothing) {
            Kept::Nothing => Ok((Bytes::new(), Reservation::of(&self.budget, 0))),
            Kept::Frame(frame) => Ok((frame, Reservation::of(&self.budget, 0))),
            Kept::Copied(body) => {
                let taken = std::mem::take(&mut *body.buffer()?);
                self.budget.remove(&body);
                let reservation = Reservation::of(&self.budget, taken.charged);
                Ok((taken.bytes.into(), reservation))
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Kept::Copied(body) = &self.kept {
            // An evicted body holds nothing and is on no list.
            let Ok(mut buffer) = body.buffer() else {
                return;
            };
            let taken = std::mem::take(&mut *buffer);
            drop(buffer);
            self.budget.remove(body);
            drop(taken.bytes);
            self.budget.give_back(taken.charged);
        }
    }
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

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A body that has been waited for after its first frame of `length`.
    struct Begun {
        buffer: Buffer,
        waker: Waker,
        woken: Arc<Woken>,
    }

    impl Begun {
        fn new(budget: &Arc<Budget>, length: usize) -> Self {
            let limits = Limits {
                body: 4 * MIB,
                #[cfg(feature = "tokio")]
                deadline: std::time::Duration::from_secs(10),
                #[cfg(feature = "tokio")]
                idle: std::time::Duration::from_secs(5),
            };
            let mut buffer = Buffer::new(Some(4 * MIB), 0, &limits, budget.now(), budget);
            buffer.keep(vec![b' '; length].into()).unwrap();
            let woken = Arc::new(Woken(AtomicUsize::new(0)));
            Self {
                buffer,
                waker: Waker::from(Arc::clone(&woken)),
                woken,
            }
        }

        fn wait(&mut self) -> Result<(), ReceiveError> {
            self.buffer.wait(&Context::from_waker(&self.waker))
        }

        fn waiting(budget: &Arc<Budget>, length: usize) -> Self {
            let mut this = Self::new(budget, length);
            this.wait().unwrap();
            this
        }

        fn keep(&mut self, length: usize) -> Result<(), ReceiveError> {
            self.buffer.keep(vec![b' '; length].into())
        }

        fn is_evicted(&mut self) -> bool {
            self.wait() == Err(ReceiveError::Budget)
        }
    }

    /// Others are older by then. With tokio time is paused.
    async fn later(_budget: &Budget) {
        #[cfg(feature = "tokio")]
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        #[cfg(not(feature = "tokio"))]
        _budget.tick(MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_nothing_before_it_has_to_be_waited_for() {
        let budget = Arc::new(Budget::new(MIB));
        let mut begun = Begun::new(&budget, 100 * KIB);
        assert_eq!(budget.available(), MIB);
        begun.wait().unwrap();
        assert_eq!(budget.available(), MIB - 200 * KIB);
        drop(begun);
        assert_eq!(budget.available(), MIB);

        let mut whole = Begun::new(&budget, 100 * KIB);
        let (body, reservation) = whole.buffer.finish().unwrap();
        assert_eq!((body.len(), reservation.bytes()), (100 * KIB, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_body_evicts_the_slowest() {
        let budget = Arc::new(Budget::new(MIB));
        let mut fast = Begun::waiting(&budget, 300 * KIB);
        let mut slow = Begun::waiting(&budget, 100 * KIB);
        later(&budget).await;
        let mut new = Begun::new(&budget, 150 * KIB);
        assert_eq!(slow.woken.0.load(Ordering::SeqCst), 0);
        new.wait().unwrap();
        assert_eq!(slow.woken.0.load(Ordering::SeqCst), 1);
        assert!(slow.is_evicted() && !fast.is_evicted() && !new.is_evicted());
        assert_eq!(slow.keep(1), Err(ReceiveError::Budget));
        // What was evicted is free before its task has looked.
        let taken = [&fast, &new]
            .map(|body| body.buffer.length)
            .iter()
            .sum::<usize>();
        assert!(MIB - budget.available() >= taken);
        drop((fast, slow, new));
        assert_eq!(budget.available(), MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_displaced_by_none_that_is_slower() {
        let budget = Arc::new(Budget::new(MIB));
        let mut dripping = Begun::waiting(&budget, 5 * KIB);
        later(&budget).await;
        let mut large = Begun::waiting(&budget, 400 * KIB);
        // 10 kB a second older than 400 KiB in the same second.
        assert_eq!(
            dripping.keep(500 * KIB - 5 * KIB),
            Err(ReceiveError::Budget)
        );
        assert!(!large.is_evicted());
        large.keep(300 * KIB).unwrap();
        let (body, reservation) = large.buffer.finish().unwrap();
        assert_eq!(body.len(), 700 * KIB);
        drop((dripping, large));
        assert_eq!(budget.available(), MIB - reservation.bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn a_verified_body_evicts_whatever_is_incomplete() {
        let budget = Arc::new(Budget::new(MIB));
        let mut large = Begun::waiting(&budget, 400 * KIB);
        let mut verified = Reservation::of(&budget, 0);
        verified.grow_to(500 * KIB).unwrap();
        assert!(large.is_evicted());
        // Not what is verified as well.
        assert!(Reservation::of(&budget, 0).grow_to(600 * KIB).is_err());
        assert!(Begun::new(&budget, 600 * KIB).wait().is_err());
        assert_eq!(budget.available(), MIB - 500 * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_refused_keeps_nothing() {
        let budget = Arc::new(Budget::new(MIB));
        let mut verified = Reservation::of(&budget, 0);
        verified.grow_to(700 * KIB).unwrap();
        let mut small = Begun::waiting(&budget, 301);
        let free = budget.available();
        assert_eq!(small.keep(500 * KIB), Err(ReceiveError::Budget));
        assert_eq!(budget.available(), free);
    }

    /// More of them than one search finds.
    #[tokio::test(start_paused = true)]
    async fn among_many_bodies_those_that_drip_give_way() {
        let budget = Arc::new(Budget::new(MIB));
        let mut dripping: Vec<_> = (0..1024).map(|_| Begun::waiting(&budget, 300)).collect();
        later(&budget).await;
        let mut genuine: Vec<_> = (0..6).map(|_| Begun::waiting(&budget, 50 * KIB)).collect();
        assert!(genuine.iter_mut().all(|body| body.keep(30 * KIB).is_ok()));
        let evicted = dripping
            .iter_mut()
            .filter_map(|body| body.is_evicted().then_some(()));
        assert!((500..1024).contains(&evicted.count()));
        drop((dripping, genuine));
        assert_eq!(budget.available(), MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_byte_by_byte_while_memory_is_short_is_copied_a_few_times_only() {
        // Too little for a body of 1 MiB to double.
        let budget = Arc::new(Budget::new(2 * MIB));
        let mut body = Begun::waiting(&budget, MIB / 2);
        body.keep(MIB / 2).unwrap();
        let capacity = |budget: &Budget| 2 * MIB - budget.available();
        let (mut copies, mut before) = (0, capacity(&budget));
        while body.keep(1).is_ok() {
            copies += usize::from(capacity(&budget) != before);
            before = capacity(&budget);
        }
        assert!(copies <= 8, "{copies}");
        // What there is, is made use of.
        assert!(before >= MIB + MIB / 4, "{before}");
    }
}
