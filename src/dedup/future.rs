use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};
use tower::{Service, ServiceExt, util::Oneshot};

use super::{
    placement::Bypass,
    rejection::{DedupRejection, DedupRejectionKind},
    task::Answer,
};
use crate::body::ResponseBody;

pin_project! {
    /// The future of [`Dedup`](super::Dedup). It only listens: dropping it does not stop a handler that has begun.
    pub struct ResponseFuture<H, B, R>
    where
        H: Service<Request<B>>,
    {
        #[pin]
        state: State<H, B, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<H, B, R>
    where
        H: Service<Request<B>>,
    {
        PassThrough {
            #[pin]
            call: Oneshot<H, Request<B>>,
            bypass: Option<Bypass>,
        },
        Answered {
            response: Option<Response<Bytes>>,
        },
        Listening {
            answer: oneshot::Receiver<Answer<R>>,
            #[pin]
            deadline: Sleep,
        },
    }
}

impl<H, B, R> ResponseFuture<H, B, R>
where
    H: Service<Request<B>>,
{
    pub(super) fn pass_through(inner: H, request: Request<B>, bypass: Option<Bypass>) -> Self {
        Self {
            state: State::PassThrough {
                call: inner.oneshot(request),
                bypass,
            },
        }
    }

    pub(super) fn answered(response: Response<Bytes>) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
        }
    }

    pub(super) fn listening(answer: oneshot::Receiver<Answer<R>>, deadline: Duration) -> Self {
        Self {
            state: State::Listening {
                answer,
                deadline: sleep(deadline),
            },
        }
    }
}

impl<H, B, R> Future for ResponseFuture<H, B, R>
where
    H: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, H::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let own = |response: Response<Bytes>| response.map(ResponseBody::from);
        let reject = |kind: DedupRejectionKind| own(DedupRejection::from(kind).into_response());
        let response = match self.project().state.project() {
            StateProj::PassThrough { call, bypass } => {
                let answered = ready!(call.poll(cx));
                if let Some(bypass) = bypass {
                    bypass.check();
                }
                answered?.map(ResponseBody::inner)
            }
            #[expect(
                clippy::expect_used,
                reason = "a future must not be polled again after it was ready"
            )]
            StateProj::Answered { response } => {
                own(response.take().expect("polled after it was ready"))
            }
            StateProj::Listening { answer, deadline } => match Pin::new(answer).poll(cx) {
                Poll::Ready(Ok(Answer::Own(response))) => own(response),
                Poll::Ready(Ok(Answer::Inner(response))) => response.map(ResponseBody::inner),
                // The task is gone without an answer: its runtime is shutting down, or a handler panicked twice.
                Poll::Ready(Err(_)) => reject(DedupRejectionKind::HandlerPanicked),
                Poll::Pending => {
                    ready!(deadline.poll(cx));
                    reject(DedupRejectionKind::ResponseDeadline)
                }
            },
        };
        Poll::Ready(Ok(response))
    }
}

impl<H, B, R> fmt::Debug for ResponseFuture<H, B, R>
where
    H: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
