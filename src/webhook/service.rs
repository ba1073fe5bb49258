use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response};
use http_body::Body;
use tower::{BoxError, Service};

use super::{
    config::Config,
    context::RequestContext,
    future::{ResponseFuture, State},
    preconditions::{classify, dispatch},
    rejection::Reason,
    routes::Route,
};
#[cfg(feature = "apps")]
use super::{preconditions::Intent, rejection::RejectionKind};
#[cfg(feature = "apps")]
use crate::handshake;
use crate::{
    body::{RequestBody, ResponseBody},
    event::Notification,
    verified::Verified,
};

/// Service of [`WebhookLayer`](super::WebhookLayer). See the [module docs](crate::webhook).
///
/// The inner service must be `Clone`. Each request is received first; then a clone is polled for
/// readiness and called.
///
/// # Panics
///
/// With the feature `tokio`, which is on by default and which any crate of the program can turn on,
/// a delivery panics outside of a Tokio runtime with a timer: without a timer the deadlines of
/// bodies would be lost.
#[derive(Debug, Clone)]
pub struct Webhook<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Webhook<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service. The layer's own state is dropped.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Webhook<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Late readiness is a security property: see the module docs.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !request.extensions().is_empty() {
            remove_stale(request.extensions_mut());
        }
        let config = &*self.config;
        let Some(route) = config.routes.find(request.uri().path()) else {
            if matches!(*request.method(), Method::POST) || request.uri().query().is_some() {
                config.check_missed_path(&request);
            }
            return ResponseFuture::pass_through(self.inner.clone(), request);
        };
        let mut context = RequestContext::new(route.path());
        match self.respond(request, route, &mut context) {
            Ok(state) => ResponseFuture::new(state, context),
            Err(reason) => ResponseFuture::respond(self.config.reject(reason, &context)),
        }
    }
}

impl<S> Webhook<S> {
    fn respond<B>(
        &self,
        request: Request<B>,
        route: Route<'_>,
        context: &mut RequestContext,
    ) -> Result<State<S, B>, Reason>
    where
        S: Service<Request<RequestBody<B>>> + Clone,
        B: Body<Data = Bytes>,
    {
        let config = &self.config;
        match route {
            Route::App { app, .. } => {
                context.app = Some(app.clone());
                let intent = classify(&request, config)?;
                let action = dispatch(intent, request, app, config, context)?;
                Ok(State::start(action, &self.inner, config))
            }
            #[cfg(feature = "apps")]
            Route::Named(pattern) => {
                let intent = classify(&request, config)?;
                // No app is looked up for a handshake that every app would refuse.
                if let Intent::Handshake = intent {
                    handshake::check_parameters(request.uri().query())?;
                }
                let resolver = &pattern.resolver;
                let name = pattern.name(request.uri().path());
                let name = name.ok_or(RejectionKind::AppUnknown)?;
                if let Some(app) = resolver.cached(name) {
                    let action = dispatch(intent, request, &app?, config, context)?;
                    return Ok(State::start(action, &self.inner, config));
                }
                let (resolver, name) = (resolver.clone(), Arc::<str>::from(name));
                let layer = Arc::clone(config);
                let resolving = async move {
                    let app = resolver.resolve(Arc::clone(&name)).await?;
                    layer.check_label(&app, name);
                    Ok(app)
                };
                let inner = self.inner.clone();
                let config = Arc::clone(config);
                Ok(State::resolve(resolving, intent, request, inner, config))
            }
        }
    }
}

/// Removes our extensions unless an outer layer inserted them for this request.
///
/// Any code can create a `Notification`, but only a layer can create a `Verified`, so `Verified`
/// decides.
fn remove_stale(extensions: &mut Extensions) {
    let verified = extensions.get::<Verified>();
    if !verified.is_some_and(Verified::is_current) {
        extensions.remove::<Notification>();
        extensions.remove::<Verified>();
    }
    #[cfg(feature = "tokio")]
    crate::dedup::remove_stale_marks(extensions);
}
