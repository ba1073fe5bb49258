use std::{
    fmt,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::sync::oneshot;
use tower::Service;

use super::{
    future::ResponseFuture,
    placement::{Deduplicated, Passage},
    rejection::{DedupRejection, DedupRejectionKind},
    shared::Shared,
    store::Store,
    task::handle_delivery,
};
use crate::{
    body::ResponseBody, event::Notification, receive::Reservation, telemetry::in_current_span,
};

/// The service of a [`DedupLayer`](super::DedupLayer). See the [module docs](crate::dedup).
///
/// Each delivery is handled in a task of its own, so the inner service must be `Send + 'static`.
/// This service is always ready; the task waits for the readiness of the inner service.
///
/// # Panics
///
/// Panics if it is called with a delivery outside a Tokio runtime.
pub struct Dedup<H, S> {
    inner: H,
    shared: Arc<Shared<S>>,
}

impl<H, S> Dedup<H, S> {
    pub(super) fn new(inner: H, shared: Arc<Shared<S>>) -> Self {
        Self { inner, shared }
    }

    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &H {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut H {
        &mut self.inner
    }

    /// Returns the inner service. The layer's own state is dropped.
    #[must_use]
    pub fn into_inner(self) -> H {
        self.inner
    }
}

impl<H, S, B, R> Service<Request<B>> for Dedup<H, S>
where
    H: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    H::Future: Send,
    S: Store,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = H::Error;
    type Future = ResponseFuture<H, B, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), H::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(notification) = request.extensions_mut().remove::<Notification>() else {
            let bypass = Passage::mark(&mut request, &self.shared.tracker);
            return ResponseFuture::pass_through(self.inner.clone(), request, bypass);
        };
        Passage::deduplicated(request.extensions_mut());
        if Deduplicated::check(request.extensions_mut(), &notification) {
            return ResponseFuture::pass_through(self.inner.clone(), request, None);
        }
        let Some(in_flight) = self.shared.tracker.start() else {
            let rejection = DedupRejection::from(DedupRejectionKind::Draining);
            self.shared.tracker.telemetry.refused_by_drain(&rejection);
            return ResponseFuture::ready(rejection.into_response());
        };
        // Taken now, while the outer layer holds it.
        let reservation = request.extensions_mut().remove::<Weak<Reservation>>();
        let reservation = reservation.and_then(|reservation| reservation.upgrade());
        let (reply, response) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let deadline = shared.timeouts.response_deadline;
        let inner = self.inner.clone();
        // A task, because hyper drops the future when the sender disconnects, which Meta does. The
        // handler must still finish, and its result must reach the store.
        let task = handle_delivery(
            shared,
            inner,
            request,
            (notification, reservation),
            in_flight,
            reply,
        );
        tokio::spawn(in_current_span(task));
        ResponseFuture::waiting(response, deadline, &self.shared.tracker.telemetry)
    }
}

// Not derived, because the store need not be `Clone`.
impl<H: Clone, S> Clone for Dedup<H, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<H: fmt::Debug, S> fmt::Debug for Dedup<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedup")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
