use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Service, ServiceExt, util::Oneshot};

use super::{
    app::App,
    builder::Config,
    rejection::RejectionKind,
    service::{Asked, DeclaredLength, answer, declared_length},
};
use crate::{
    body::{RequestBody, ResponseBody},
    credentials::KeyRing,
    event::{Notification, Parsing},
    receive::{Lease, Receive, Received},
    signature::Signature,
    turn::give_way,
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

/// After so many bytes of JSON other tasks get their turn: some tenths of a millisecond.
const PARSED_PER_POLL: usize = 128 * 1024;

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
        Parsing {
            // Taken when the events are known.
            delivery: Option<Delivery<S>>,
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
                    let received = ready!(receive.poll(cx)).map_err(RejectionKind::from);
                    // Always there: the state is left now.
                    let Some(host) = host.take() else {
                        return Poll::Pending;
                    };
                    match received.and_then(|received| Delivery::new(received, check, host)) {
                        Ok(delivery) => State::Parsing {
                            delivery: Some(delivery),
                            config: Arc::clone(config),
                        },
                        Err(kind) => State::Answered {
                            response: Some(config.reject(kind)),
                        },
                    }
                }
                StateProj::Parsing { delivery, config } => {
                    let parsing = delivery.as_mut().map(|delivery| &mut delivery.parsing);
                    let parsed = parsing.map(|parsing| parsing.advance(PARSED_PER_POLL));
                    if let Some(Ok(false)) = parsed {
                        give_way(cx);
                        return Poll::Pending;
                    }
                    match (parsed, delivery.take()) {
                        (Some(Ok(_)), Some(delivery)) => delivery.call(config),
                        _ => State::Answered {
                            response: Some(config.reject(RejectionKind::NotJson)),
                        },
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

/// A delivery that is known to be Meta's.
struct Delivery<S> {
    parsing: Parsing,
    app: App,
    verified: Verified,
    lease: Lease,
    parts: Parts,
    inner: S,
}

impl<S> Delivery<S> {
    /// First the signature, then the JSON: nothing looks into a body before it is known to be Meta's.
    fn new(
        received: Received,
        check: &Check,
        (parts, inner): (Parts, S),
    ) -> Result<Self, RejectionKind> {
        let index = received.verifier.verify(&check.signature)?;
        // It may have been removed while the body was on its way.
        let label = (check.app.credentials().still_held(&check.ring, index))
            .ok_or(RejectionKind::SignatureMismatch)?;
        Ok(Self {
            parsing: Notification::begin(received.body).map_err(|_| RejectionKind::NotJson)?,
            app: check.app.clone(),
            verified: Verified::new(check.app.shared_label(), label),
            lease: received.lease,
            parts,
            inner,
        })
    }

    /// Its events are known: the host gets them, if they are those of this app.
    fn call<B>(self, config: &Config) -> State<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        let mut notification = Notification::finish(self.parsing);
        if !self.app.filter(&mut notification) {
            return State::Answered {
                response: Some(config.reject(RejectionKind::AccountRefused)),
            };
        }
        let lease = Arc::new(self.lease);
        let body = notification.body().clone();
        let mut parts = self.parts;
        let extensions = &mut parts.extensions;
        extensions.insert(notification);
        extensions.insert(self.verified);
        // For a task that outlives this future and holds the body still.
        extensions.insert(Arc::clone(&lease));
        State::Calling {
            call: self.inner.oneshot(verified(parts, body)),
            _lease: lease,
        }
    }
}

/// The same request with the same bytes, and with headers that are true of them.
fn verified<B>(mut parts: Parts, body: Bytes) -> Request<RequestBody<B>> {
    if !is_declared(&parts.headers, body.len()) {
        let length = HeaderValue::from(body.len());
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    for stale in [header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT] {
        parts.headers.remove(stale);
    }
    let request = Request::from_parts(parts, RequestBody::verified(body));
    #[cfg(feature = "axum")]
    let request = crate::extract::lift_body_limit(request);
    request
}

/// Whether the headers say this length already, as we would write it: to write it anew takes memory. HTTP allows zeros before a number, and not all who
/// read one read them alike.
fn is_declared(headers: &HeaderMap, length: usize) -> bool {
    let mut declared = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = declared.next() else {
        return false;
    };
    let known = matches!(declared_length(first), DeclaredLength::Known(known) if known == length);
    known && !first.as_bytes().starts_with(b"0") && declared.next().is_none()
}

/// Meta takes 200 for received and everything else, 201, 202 and 204 among them, for a failure.
fn acknowledge<R>(mut response: Response<R>) -> Response<R> {
    if response.status().is_success() {
        *response.status_mut() = StatusCode::OK;
    }
    response
}
