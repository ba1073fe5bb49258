use std::{
    fmt,
    pin::Pin,
    sync::Arc,
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
    placement::BypassCheck,
    rejection::{DedupRejection, DedupRejectionKind},
    task::DeliveryResponse,
};
use crate::{body::ResponseBody, telemetry::DedupTelemetry};

pin_project! {
    /// The future of [`Dedup`](super::Dedup). Dropping it does not stop the handler of a delivery,
    /// which runs in a task of its own.
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
            bypass: Option<BypassCheck>,
        },
        Ready {
            response: Option<Response<Bytes>>,
        },
        Waiting {
            response: oneshot::Receiver<DeliveryResponse<R>>,
            #[pin]
            deadline: Sleep,
            telemetry: Arc<DedupTelemetry>,
        },
    }
}

impl<H, B, R> ResponseFuture<H, B, R>
where
    H: Service<Request<B>>,
{
    pub(super) fn pass_through(inner: H, request: Request<B>, bypass: Option<BypassCheck>) -> Self {
        Self {
            state: State::PassThrough {
                call: inner.oneshot(request),
                bypass,
            },
        }
    }

    pub(super) fn ready(response: Response<Bytes>) -> Self {
        Self {
            state: State::Ready {
                response: Some(response),
            },
        }
    }

    /// Waits for the response of the task until the deadline.
    pub(super) fn waiting(
        response: oneshot::Receiver<DeliveryResponse<R>>,
        deadline: Duration,
        telemetry: &Arc<DedupTelemetry>,
    ) -> Self {
        Self {
            state: State::Waiting {
                response,
                deadline: sleep(deadline),
                telemetry: Arc::clone(telemetry),
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
        let reject = |kind: DedupRejectionKind, telemetry: &DedupTelemetry| {
            let rejection = DedupRejection::from(kind);
            telemetry.rejected(&rejection, true);
            own(rejection.into_response())
        };
        let response = match self.project().state.project() {
            StateProj::PassThrough { call, bypass } => {
                let result = ready!(call.poll(cx));
                if let Some(bypass) = bypass {
                    bypass.finish();
                }
                result?.map(ResponseBody::inner)
            }
            #[expect(
                clippy::expect_used,
                reason = "a future must not be polled again after it was ready"
            )]
            StateProj::Ready { response } => {
                own(response.take().expect("polled after it was ready"))
            }
            StateProj::Waiting {
                response,
                deadline,
                telemetry,
            } => match Pin::new(response).poll(cx) {
                Poll::Ready(Ok(DeliveryResponse::Own(response))) => own(response),
                Poll::Ready(Ok(DeliveryResponse::Inner(response))) => {
                    response.map(ResponseBody::inner)
                }
                Poll::Ready(Err(_)) => reject(DedupRejectionKind::TaskFailed, telemetry),
                Poll::Pending => {
                    ready!(deadline.poll(cx));
                    reject(DedupRejectionKind::ResponseDeadline, telemetry)
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
