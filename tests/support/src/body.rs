//! Scripted bodies, and a counter of the data read from a body.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// The next step of a sender.
#[derive(Debug, Clone)]
pub enum Step {
    Data(Bytes),
    /// The same, in frames of one byte.
    Bytewise(Bytes),
    /// This number of frames without data.
    Empty(usize),
    Trailers(Box<HeaderMap>),
    /// Pending once.
    Pending,
    Wait(Duration),
    /// Pending without end.
    Stall,
    Fail,
}

impl Step {
    pub fn data(bytes: impl Into<Bytes>) -> Self {
        Self::Data(bytes.into())
    }
}

/// A body that follows a script.
pub struct Script {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    hint: SizeHint,
    counter: Arc<Counter>,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            sleep: None,
            hint: SizeHint::new(),
            counter: Arc::default(),
        }
    }

    pub fn whole(body: impl Into<Bytes>) -> Self {
        Self::new([Step::Data(body.into())])
    }

    /// The body's size hint, right or wrong.
    pub fn with_hint(mut self, hint: SizeHint) -> Self {
        self.hint = hint;
        self
    }

    pub fn counter(&self) -> Arc<Counter> {
        Arc::clone(&self.counter)
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if let Some(sleep) = &mut this.sleep {
            ready!(sleep.as_mut().poll(cx));
            this.sleep = None;
        }
        let frame = match this.steps.pop_front() {
            None => return Poll::Ready(None),
            Some(Step::Data(data)) => Frame::data(data),
            Some(Step::Bytewise(mut data)) => {
                let first = data.split_to(1);
                if !data.is_empty() {
                    this.steps.push_front(Step::Bytewise(data));
                }
                Frame::data(first)
            }
            Some(Step::Empty(count)) => {
                if count > 1 {
                    this.steps.push_front(Step::Empty(count - 1));
                }
                Frame::data(Bytes::new())
            }
            Some(Step::Trailers(trailers)) => Frame::trailers(*trailers),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Wait(duration)) => {
                this.sleep = Some(Box::pin(sleep(duration)));
                return self.poll_frame(cx);
            }
            Some(Step::Stall) => {
                this.steps.push_front(Step::Stall);
                return Poll::Pending;
            }
            Some(Step::Fail) => return Poll::Ready(Some(Err(Broken))),
        };
        this.counter.add(&frame);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.sleep.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::clone(&self.hint)
    }
}

/// The one error of a [`Script`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script says so")
    }
}

impl Error for Broken {}

/// Counters of the data read from a body.
#[derive(Debug, Default)]
pub struct Counter {
    bytes: AtomicUsize,
    frames: AtomicUsize,
    last: AtomicUsize,
}

impl Counter {
    fn add(&self, frame: &Frame<Bytes>) {
        let len = frame.data_ref().map_or(0, Bytes::len);
        self.bytes.fetch_add(len, Ordering::SeqCst);
        self.frames.fetch_add(1, Ordering::SeqCst);
        self.last.store(len, Ordering::SeqCst);
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    pub fn frames(&self) -> usize {
        self.frames.load(Ordering::SeqCst)
    }

    /// Bytes read, without the last frame.
    pub fn bytes_before_last(&self) -> usize {
        self.bytes() - self.last.load(Ordering::SeqCst)
    }
}

/// A body wrapper that counts the data read from it.
pub struct Counted<B> {
    body: B,
    counter: Arc<Counter>,
}

impl<B> Counted<B> {
    pub fn new(body: B, counter: Arc<Counter>) -> Self {
        Self { body, counter }
    }
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.counter.add(frame);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
