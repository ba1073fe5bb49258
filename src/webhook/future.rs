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
use tower::{BoxError, Service, ServiceExt, util::Oneshot};

use super::{
    app::App,
    builder::Config,
    rejection::RejectionKind,
    service::{DeclaredLength, Intent, declared_length, dispatch},
};
#[cfg(feature = "tokio")]
use crate::dedup::PartialFailure;
use crate::{
    body::{RequestBody, ResponseBody},
    coop::yield_now,
    credentials::KeyRing,
    event::{IncrementalValidator, Notification},
    receive::{Receive, Received, Reservation},
    response::is_success,
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

/// After so many bytes of JSON other tasks get their turn: some tenths of a millisecond.
const PARSED_PER_POLL: usize = 64 * 1024;

type Resolving = Pin<Box<dyn Future<Output = Result<App, RejectionKind>> + Send>>;

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
        Resolving {
            found: Resolving,
            // Taken when it is known whose request this is.
            request: Option<(Intent, Request<B>, S)>,
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
        IncrementalValidator {
            // Taken when the events are known.
            delivery: Option<Delivery<S>>,
            config: Arc<Config>,
        },
        Readying {
            // Taken when the inner service is ready.
            admitted: Option<Admitted<S, B>>,
            config: Arc<Config>,
        },
        Calling {
            #[pin]
            call: S::Future,
            config: Arc<Config>,
            // The body lives as long as the request.
            _reservation: Arc<Reservation>,
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
        intent: Intent,
        request: Request<B>,
        inner: S,
        config: Arc<Config>,
    ) -> Self {
        Self {
            state: State::Resolving {
                found: Box::pin(found),
                request: Some((intent, request, inner)),
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
    B::Error: Into<BoxError>,
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
                    return Poll::Ready(Ok(response.map(ResponseBody::from)));
                }
                StateProj::PassThrough { call } => {
                    let response = ready!(call.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProj::Resolving {
                    found,
                    request,
                    config,
                } => {
                    let found = ready!(found.as_mut().poll(cx));
                    // Always there: the state is left now.
                    let Some((intent, request, inner)) = request.take() else {
                        return Poll::Pending;
                    };
                    let answer =
                        found.and_then(|app| dispatch(intent, request, &app, config, &inner));
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
                    match received.and_then(|received| Delivery::new(received, check, host, config))
                    {
                        Ok(delivery) => State::IncrementalValidator {
                            delivery: Some(delivery),
                            config: Arc::clone(config),
                        },
                        Err(kind) => State::Answered {
                            response: Some(config.reject(kind)),
                        },
                    }
                }
                StateProj::IncrementalValidator { delivery, config } => {
                    let parsed = match delivery {
                        Some(delivery) => delivery.parse(),
                        // Never: the state is left when it is taken.
                        None => return Poll::Pending,
                    };
                    if let Ok(false) = parsed {
                        yield_now(cx);
                        return Poll::Pending;
                    }
                    let delivery = delivery.take().ok_or(RejectionKind::NotJson);
                    match parsed.and(delivery).and_then(Delivery::admit) {
                        Ok(admitted) => State::Readying {
                            admitted: Some(admitted),
                            config: Arc::clone(config),
                        },
                        Err(kind) => State::Answered {
                            response: Some(config.reject(kind)),
                        },
                    }
                }
                StateProj::Readying { admitted, config } => {
                    let readied = match admitted {
                        Some(admitted) => ready!(admitted.inner.poll_ready(cx)),
                        None => Ok(()),
                    };
                    // Always there: the state is left now.
                    let Some(admitted) = admitted.take() else {
                        return Poll::Pending;
                    };
                    let called = match readied {
                        Ok(()) => admitted.call(config),
                        Err(error) => Err(config.handler_failed(error)?),
                    };
                    match called {
                        Ok(calling) => calling,
                        Err(kind) => State::Answered {
                            response: Some(config.reject(kind)),
                        },
                    }
                }
                StateProj::Calling { call, config, .. } => match ready!(call.poll(cx)) {
                    Ok(response) => {
                        config.warnings.answered(response.status());
                        return Poll::Ready(Ok(acknowledge(response.map(ResponseBody::inner))));
                    }
                    Err(error) => {
                        let kind = config.handler_failed(error)?;
                        State::Answered {
                            response: Some(config.reject(kind)),
                        }
                    }
                },
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

/// Which secret of which app made a signature.
struct Signer {
    app: App,
    ring: Arc<KeyRing>,
    index: usize,
}

impl Signer {
    /// The label of the secret. Fails if the secret has been removed in the meantime.
    fn secret_label(&self) -> Result<Arc<str>, RejectionKind> {
        let label = (self.app.credentials()).current_label(&self.ring, self.index);
        label.ok_or(RejectionKind::SignatureMismatch)
    }
}

/// A delivery that is known to be Meta's.
struct Delivery<S> {
    parsing: IncrementalValidator,
    signer: Signer,
    reservation: Reservation,
    /// Bytes that the body takes.
    taken: usize,
    parts: Parts,
    inner: S,
}

impl<S> Delivery<S> {
    /// First the signature, then the JSON: nothing looks into a body before it is known to be Meta's.
    fn new(
        received: Received,
        check: &Check,
        (parts, inner): (Parts, S),
        config: &Config,
    ) -> Result<Self, RejectionKind> {
        let verified = received.verifier.verify(&check.signature);
        if verified.is_err() && parts.extensions.get::<Verified>().is_some() {
            config.warnings.overlapped();
        }
        let signer = Signer {
            index: verified?,
            app: check.app.clone(),
            ring: Arc::clone(&check.ring),
        };
        // It may have been removed while the body was on its way.
        signer.secret_label()?;
        let taken = received.reservation.bytes().max(received.body.len());
        Ok(Self {
            parsing: Notification::begin(received.body).map_err(|_| RejectionKind::NotJson)?,
            signer,
            reservation: received.reservation,
            taken,
            parts,
            inner,
        })
    }

    /// Parses a bit more, and charges what that has taken. Returns whether its events may be told
    /// apart now: those of a large body take a turn of their own.
    fn parse(&mut self) -> Result<bool, RejectionKind> {
        if self.parsing.is_whole() {
            return Ok(true);
        }
        let parsed = self.parsing.advance(PARSED_PER_POLL);
        let parsed = parsed.map_err(|_| RejectionKind::NotJson)?;
        let is_small = self.taken <= PARSED_PER_POLL;
        if parsed && is_small {
            return Ok(true);
        }
        (self.reservation).grow_to(self.taken + self.parsing.memory())?;
        Ok(false)
    }

    /// Its events are known: the host gets them, unless this app refuses deliveries with foreign
    /// events.
    fn admit<B>(mut self) -> Result<Admitted<S, B>, RejectionKind> {
        let mut notification = Notification::finish(self.parsing);
        if !self.signer.app.filter(&mut notification) {
            return Err(RejectionKind::AccountRefused);
        }
        (self.reservation).grow_to(self.taken + notification.memory())?;
        let reservation = Arc::new(self.reservation);
        let body = notification.body().clone();
        let mut parts = self.parts;
        let extensions = &mut parts.extensions;
        extensions.insert(notification);
        // For a task that outlives this future and still holds the body.
        extensions.insert(Arc::clone(&reservation));
        Ok(Admitted {
            inner: self.inner,
            request: request(parts, body),
            signer: self.signer,
            reservation,
        })
    }
}

/// A delivery that waits for the inner service to be ready.
struct Admitted<S, B> {
    inner: S,
    request: Request<RequestBody<B>>,
    signer: Signer,
    reservation: Arc<Reservation>,
}

impl<S, B> Admitted<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    /// The secret is looked up once more: parsing and readiness may have taken long.
    fn call(mut self, config: &Arc<Config>) -> Result<State<S, B>, RejectionKind> {
        let secret = self.signer.secret_label()?;
        let app = self.signer.app.shared_label();
        let verified = Verified::new(
            app,
            secret,
            &self.reservation,
            #[cfg(feature = "tokio")]
            &config.warnings,
        );
        let extensions = self.request.extensions_mut();
        #[cfg(feature = "tokio")]
        crate::dedup::Passage::verified(extensions, &config.warnings);
        extensions.insert(verified);
        Ok(State::Calling {
            call: self.inner.call(self.request),
            config: Arc::clone(config),
            _reservation: self.reservation,
        })
    }
}

/// The same request with the same bytes, and with headers that are true of them.
fn request<B>(mut parts: Parts, body: Bytes) -> Request<RequestBody<B>> {
    if !is_declared(&parts.headers, body.len()) {
        let length = HeaderValue::from(body.len());
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    for stale in [header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT] {
        parts.headers.remove(stale);
    }
    let request = Request::from_parts(parts, RequestBody::from(body));
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
    // A `DedupLayer` inside takes it out and answers for it. Without one all events come again.
    #[cfg(feature = "tokio")]
    let failed_in_part =
        (response.extensions().get::<PartialFailure>()).is_some_and(|failure| !failure.is_empty());
    #[cfg(not(feature = "tokio"))]
    let failed_in_part = false;
    if failed_in_part && response.status().is_success() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    } else if is_success(&response) {
        *response.status_mut() = StatusCode::OK;
    } else if response.status().is_success() {
        // A failure of gRPC: see `is_success`.
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
