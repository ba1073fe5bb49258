use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Request body of the inner service: the verified bytes, or the untouched body of a request to
    /// another path.
    ///
    /// The verified bytes are the signed ones, in one frame. Trailers are removed, because they are
    /// not signed.
    pub struct RequestBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    /// Response body: that of the inner service, or a short one from a layer.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        // One frame. Empty once it has been read.
        Buffered { bytes: Bytes },
        Streamed { #[pin] body: B },
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn pass_through(body: B) -> Self {
        Self {
            kind: Kind::Streamed { body },
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self {
            kind: Kind::Streamed { body },
        }
    }
}

impl<B> RequestBody<B>
where
    B: From<Bytes>,
{
    pub(crate) fn into_host_body(self) -> B {
        self.kind.into_host_body()
    }
}

impl<B> ResponseBody<B>
where
    B: From<Bytes>,
{
    pub(crate) fn into_host_body(self) -> B {
        self.kind.into_host_body()
    }
}

/// An empty body.
impl<B> Default for RequestBody<B> {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

/// An empty body.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl<B> From<Bytes> for RequestBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Buffered { bytes },
        }
    }
}

impl<B> From<Bytes> for ResponseBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Buffered { bytes },
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().kind.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.kind.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.kind.size_hint()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().kind.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.kind.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.kind.size_hint()
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Buffered { .. } => "RequestBody(buffered)",
            Kind::Streamed { .. } => "RequestBody(streamed)",
        })
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Buffered { .. } => "ResponseBody(buffered)",
            Kind::Streamed { .. } => "ResponseBody(streamed)",
        })
    }
}

impl<B> Kind<B> {
    fn into_host_body(self) -> B
    where
        B: From<Bytes>,
    {
        match self {
            Self::Buffered { bytes } => B::from(bytes),
            Self::Streamed { body } => body,
        }
    }
}

impl<B> Kind<B>
where
    B: Body<Data = Bytes>,
{
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            KindProj::Buffered { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProj::Buffered { bytes } => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            KindProj::Streamed { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Buffered { bytes } => bytes.is_empty(),
            Self::Streamed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Buffered { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed { body } => body.size_hint(),
        }
    }
}
