use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::sync::oneshot;
use tower::Service;

use super::{
    future::ResponseFuture,
    placement::{Deduplicated, Passage},
    rejection::{DedupRejection, DedupRejectionKind},
    store::Store,
    task::Shared,
};
use crate::{body::ResponseBody, event::Notification};

/// The service that [`DedupLayer`](super::DedupLayer) makes. See the [module docs](crate::dedup).
///
/// Deliveries are handled in a task, so it asks `Send + 'static` of what it wraps. It is always ready: what it wraps is readied in the
/// task.
///
/// # Panics
///
/// A call with a delivery panics outside of a Tokio runtime.
pub struct Dedup<H, S> {
    inner: H,
    shared: Arc<Shared<S>>,
}

impl<H, S> Dedup<H, S> {
    pub(super) fn new(inner: H, shared: Arc<Shared<S>>) -> Self {
        Self { inner, shared }
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
        let Some(run) = self.shared.tracker.start() else {
            let refusal = DedupRejection::from(DedupRejectionKind::Draining);
            return ResponseFuture::answered(refusal.into_response());
        };
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let deadline = shared.times.response;
        // hyper drops the future when the sender hangs up, and Meta does. A handler that has begun must come to its end, and the store
        // must hear of it.
        tokio::spawn(shared.handle(self.inner.clone(), request, notification, run, reply));
        ResponseFuture::listening(answer, deadline)
    }
}

// Not derived: the store need not be `Clone`.
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
