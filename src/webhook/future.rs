use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Service, ServiceExt, util::Oneshot};

use super::{
    app::App,
    builder::Config,
    rejection::RejectionKind,
    service::{Asked, answer},
};
use crate::{
    body::{RequestBody, ResponseBody},
    credentials::KeyRing,
    event::Notification,
    receive::{Lease, Receive, Received},
    signature::Signature,
    verified::Verified,
};

pin_project! {
    /// The future of [`Webhook`](super::Webhook). Dropping it gives back the memory that it accounts for.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

type Finding = Pin<Box<dyn Future<Output = Result<App, RejectionKind>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        Answered {
            response: Option<Response<Bytes>>,
        },
        PassThrough {
            #[pin]
            call: Oneshot<S, Request<RequestBody<B>>>,
        },
        Finding {
            found: Finding,
            // Taken when it is known whose request this is.
            request: Option<(Asked, Request<B>, S)>,
            config: Arc<Config>,
        },
        Receiving {
            #[pin]
            receive: Receive<B>,
            check: Check,
            // Taken when the body is complete.
            host: Option<(Parts, S)>,
            config: Arc<Config>,
        },
        Calling {
            #[pin]
            call: Oneshot<S, Request<RequestBody<B>>>,
            // The body lives as long as the request.
            _lease: Arc<Lease>,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    pub(super) fn answered(response: Response<Bytes>) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
        }
    }

    pub(super) fn pass_through(inner: S, request: Request<B>) -> Self {
        Self {
            state: State::PassThrough {
                call: inner.oneshot(request.map(RequestBody::pass_through)),
            },
        }
    }

    #[cfg(feature = "apps")]
    pub(super) fn finding(
        found: impl Future<Output = Result<App, RejectionKind>> + Send + 'static,
        asked: Asked,
        request: Request<B>,
        inner: S,
        config: Arc<Config>,
    ) -> Self {
        Self {
            state: State::Finding {
                found: Box::pin(found),
                request: Some((asked, request, inner)),
                config,
            },
        }
    }

    pub(super) fn receiving(
        receive: Receive<B>,
        check: Check,
        parts: Parts,
        inner: S,
        config: Arc<Config>,
    ) -> Self {
        Self {
            state: State::Receiving {
                receive,
                check,
                host: Some((parts, inner)),
                config,
            },
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Answered { response } => {
                    #[expect(
                        clippy::expect_used,
                        reason = "a future must not be polled again after it was ready"
                    )]
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
                StateProj::PassThrough { call } => {
                    let response = ready!(call.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProj::Finding {
                    found,
                    request,
                    config,
                } => {
                    let found = ready!(found.as_mut().poll(cx));
                    // Always there: the state is left now.
                    let Some((asked, request, inner)) = request.take() else {
                        return Poll::Pending;
                    };
                    let answer = found.and_then(|app| answer(asked, request, &app, config, &inner));
                    match answer {
                        Ok(future) => future.state,
                        Err(kind) => State::Answered {
                            response: Some(config.reject(kind)),
                        },
                    }
                }
                StateProj::Receiving {
                    receive,
                    check,
                    host,
                    config,
                } => {
                    let received = ready!(receive.poll(cx));
                    let authentic = received
                        .map_err(RejectionKind::from)
                        .and_then(|received| authenticate(received, check));
                    match (authentic, host.take()) {
                        (Ok((authentic, lease)), Some((parts, inner))) => {
                            let lease = Arc::new(lease);
                            let mut request = authentic.into_request(parts);
                            // For a task that outlives this future and holds the body still.
                            request.extensions_mut().insert(Arc::clone(&lease));
                            State::Calling {
                                call: inner.oneshot(request),
                                _lease: lease,
                            }
                        }
                        (Err(kind), _) => State::Answered {
                            response: Some(config.reject(kind)),
                        },
                        // Unreachable: the state is left whenever `host` is taken.
                        (Ok(_), None) => return Poll::Pending,
                    }
                }
                StateProj::Calling { call, .. } => {
                    let response = ready!(call.poll(cx))?;
                    return Poll::Ready(Ok(acknowledge(response.map(ResponseBody::inner))));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What a delivery must fit.
pub(super) struct Check {
    pub(super) app: App,
    pub(super) ring: Arc<KeyRing>,
    pub(super) signature: Signature,
}

/// What is left of a delivery once it is known to be Meta's.
struct Authentic {
    body: Bytes,
    notification: Notification,
    verified: Verified,
}

/// First the signature, then the JSON: nothing looks into a body before it is known to be Meta's.
fn authenticate(received: Received, check: &Check) -> Result<(Authentic, Lease), RejectionKind> {
    let index = received.verifier.verify(&check.signature)?;
    // It may have been removed while the body was on its way.
    let label = (check.app.credentials().still_held(&check.ring, index))
        .ok_or(RejectionKind::SignatureMismatch)?;
    let notification =
        Notification::parse(received.body.clone()).map_err(|_| RejectionKind::NotJson)?;
    if !check.app.receives(&notification) {
        return Err(RejectionKind::AccountRefused);
    }
    let authentic = Authentic {
        body: received.body,
        notification,
        verified: Verified::new(check.app.shared_label(), label),
    };
    Ok((authentic, received.lease))
}

impl Authentic {
    /// The same request with the same bytes, and with headers that are true of them.
    fn into_request<B>(self, mut parts: Parts) -> Request<RequestBody<B>> {
        let length = HeaderValue::from(self.body.len());
        parts.headers.insert(header::CONTENT_LENGTH, length);
        for stale in [header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT] {
            parts.headers.remove(stale);
        }
        parts.extensions.insert(self.notification);
        parts.extensions.insert(self.verified);
        let request = Request::from_parts(parts, RequestBody::verified(self.body));
        #[cfg(feature = "axum")]
        let request = crate::extract::lift_body_limit(request);
        request
    }
}

/// Meta takes 200 for received and everything else, 201, 202 and 204 among them, for a failure.
fn acknowledge<R>(mut response: Response<R>) -> Response<R> {
    if response.status().is_success() {
        *response.status_mut() = StatusCode::OK;
    }
    response
}
