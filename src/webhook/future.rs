use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{BoxError, Service, ServiceExt, util::Oneshot};

use super::{
    app::App,
    config::Config,
    context::RequestContext,
    delivery::{AcceptedRequest, Delivery, Expected, InHandler},
    preconditions::{Action, Intent, dispatch},
    rejection::{Reason, RejectionKind},
    setup_warning::SetupWarning,
};
#[cfg(feature = "tokio")]
use crate::dedup::{DedupRejection, PartialFailure};
use crate::{
    body::{RequestBody, ResponseBody},
    coop::yield_now,
    receive::Receive,
    response::is_success,
    telemetry::Outcome,
};

/// The mutex is never locked: it makes the future `Sync`, and with it [`ResponseFuture`].
type Resolving = Mutex<Pin<Box<dyn Future<Output = Result<App, RejectionKind>> + Send>>>;

pin_project! {
    /// Response future of [`Webhook`](super::Webhook). Dropping it releases the memory of the body.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        #[pin]
        state: State<S, B>,
        context: RequestContext,
    }
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        Respond {
            response: Option<Response<Bytes>>,
        },
        PassThrough {
            #[pin]
            call: Oneshot<S, Request<RequestBody<B>>>,
        },
        Resolving {
            resolving: Resolving,
            // Taken once the app is known.
            request: Option<(Intent, Request<B>, S)>,
            config: Arc<Config>,
        },
        Receiving {
            #[pin]
            receive: Receive<B>,
            expected: Expected,
            // Taken once the body is complete.
            head: Option<(Parts, S)>,
            config: Arc<Config>,
        },
        Parsing {
            // Taken once the whole body is parsed.
            delivery: Option<Delivery<S>>,
            config: Arc<Config>,
        },
        Readying {
            // Taken once the inner service is ready.
            accepted: Option<AcceptedRequest<S, B>>,
            config: Arc<Config>,
        },
        Calling {
            #[pin]
            call: S::Future,
            config: Arc<Config>,
            in_handler: InHandler,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    pub(super) fn new(state: State<S, B>, context: RequestContext) -> Self {
        Self { state, context }
    }

    pub(super) fn respond(response: Response<Bytes>) -> Self {
        Self::new(State::respond(response), RequestContext::default())
    }

    #[inline]
    pub(super) fn pass_through(inner: S, request: Request<B>) -> Self {
        let call = inner.oneshot(request.map(RequestBody::pass_through));
        Self::new(State::PassThrough { call }, RequestContext::default())
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    #[cfg(feature = "apps")]
    pub(super) fn resolve(
        resolving: impl Future<Output = Result<App, RejectionKind>> + Send + 'static,
        intent: Intent,
        request: Request<B>,
        inner: S,
        config: Arc<Config>,
    ) -> Self {
        Self::Resolving {
            resolving: Mutex::new(Box::pin(resolving)),
            request: Some((intent, request, inner)),
            config,
        }
    }

    pub(super) fn start(action: Action<B>, inner: &S, config: &Arc<Config>) -> Self
    where
        S: Clone,
    {
        match action {
            Action::Respond(response) => Self::respond(response),
            Action::Receive {
                receive,
                expected,
                parts,
            } => Self::Receiving {
                receive,
                expected,
                head: Some((parts, inner.clone())),
                config: Arc::clone(config),
            },
        }
    }

    fn respond(response: Response<Bytes>) -> Self {
        Self::Respond {
            response: Some(response),
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

    // Long because it has one arm per state, in the order that a delivery takes.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, context) = (this.state, this.context);
        loop {
            let next = match state.as_mut().project() {
                StateProj::Respond { response } => {
                    return Poll::Ready(Ok(take(response).map(ResponseBody::from)));
                }
                StateProj::PassThrough { call } => {
                    let response = ready!(call.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProj::Resolving {
                    resolving,
                    request,
                    config,
                } => {
                    let resolving = resolving.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let resolved = ready!(resolving.as_mut().poll(cx));
                    let (intent, request, inner) = take(request);
                    let action = resolved
                        .map_err(Reason::from)
                        .and_then(|app| dispatch(intent, request, &app, config, context));
                    match action {
                        Ok(action) => State::start(action, &inner, config),
                        Err(reason) => State::respond(config.reject(reason, context)),
                    }
                }
                StateProj::Receiving {
                    receive,
                    expected,
                    head,
                    config,
                } => {
                    let received = ready!(receive.poll(cx)).map_err(Reason::from);
                    let head = take(head);
                    let delivery = received.and_then(|received| {
                        context.received_length = Some(received.body.len());
                        Delivery::new(received, expected, head, config)
                    });
                    match delivery {
                        Ok(delivery) => State::Parsing {
                            delivery: Some(delivery),
                            config: Arc::clone(config),
                        },
                        Err(reason) => State::respond(config.reject(reason, context)),
                    }
                }
                StateProj::Parsing { delivery, config } => {
                    let parsed = present(delivery).parse();
                    if let Ok(false) = parsed {
                        yield_now(cx);
                        return Poll::Pending;
                    }
                    let delivery = take(delivery);
                    match parsed.and_then(|_| delivery.accept(config)) {
                        Ok(accepted) => State::Readying {
                            accepted: Some(accepted),
                            config: Arc::clone(config),
                        },
                        Err(reason) => State::respond(config.reject(reason, context)),
                    }
                }
                StateProj::Readying { accepted, config } => {
                    let ready = ready!(present(accepted).inner.poll_ready(cx));
                    let accepted = take(accepted);
                    let called = match ready {
                        Ok(()) => accepted.call(config, context),
                        Err(error) => Err(config.on_inner_error(error)?.into()),
                    };
                    match called {
                        Ok((call, in_handler)) => State::Calling {
                            call,
                            config: Arc::clone(config),
                            in_handler,
                        },
                        Err(reason) => State::respond(config.reject(reason, context)),
                    }
                }
                StateProj::Calling {
                    call,
                    config,
                    in_handler,
                } => match ready!(in_handler.telemetry.in_scope(|| call.poll(cx))) {
                    Ok(response) => {
                        config.warnings.check_response(&response);
                        let response = acknowledge(response.map(ResponseBody::inner));
                        if response.status() == StatusCode::OK && in_handler.read_state.is_unread()
                        {
                            config.warnings.report(SetupWarning::EventsIgnored);
                        }
                        let outcome = outcome_of(&response);
                        in_handler
                            .telemetry
                            .answered(outcome, Some(response.status()));
                        return Poll::Ready(Ok(response));
                    }
                    Err(error) => {
                        let kind = config.on_inner_error(error);
                        in_handler.telemetry.failed(kind.is_ok());
                        State::respond(config.reject(kind?, context))
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

/// Returns what a state holds. It is present until it is taken, and then the state is left at once,
/// unless the future has completed or panicked.
#[expect(
    clippy::expect_used,
    reason = "a future must not be polled after completion"
)]
fn present<T>(held: &mut Option<T>) -> &mut T {
    held.as_mut().expect(AFTER_COMPLETION)
}

/// Takes what a state holds, to leave the state or to complete: see [`present`].
#[expect(
    clippy::expect_used,
    reason = "a future must not be polled after completion"
)]
fn take<T>(held: &mut Option<T>) -> T {
    held.take().expect(AFTER_COMPLETION)
}

const AFTER_COMPLETION: &str = "polled after completion";

fn outcome_of<R>(response: &Response<R>) -> Outcome {
    #[cfg(feature = "tokio")]
    let is_deferred = (response.extensions().get::<DedupRejection>()).is_some();
    #[cfg(not(feature = "tokio"))]
    let is_deferred = false;
    match response.status() {
        StatusCode::OK => Outcome::Acknowledged,
        _ if is_deferred => Outcome::Deferred,
        _ => Outcome::Refused,
    }
}

/// Maps the status of the inner response. Meta treats only 200 as success, and retries on any other
/// status, 201, 202 and 204 included.
fn acknowledge<R>(mut response: Response<R>) -> Response<R> {
    // An inner `DedupLayer` removes the extension and sets the status itself. Without one, all
    // events are retried.
    #[cfg(feature = "tokio")]
    let is_partial_failure =
        (response.extensions().get::<PartialFailure>()).is_some_and(|failure| !failure.is_empty());
    #[cfg(not(feature = "tokio"))]
    let is_partial_failure = false;
    if is_partial_failure && response.status().is_success() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    } else if is_success(&response) {
        *response.status_mut() = StatusCode::OK;
    } else if response.status().is_success() {
        // A gRPC failure: see `is_success`.
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
