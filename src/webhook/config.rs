use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};

#[cfg(feature = "apps")]
use super::app::App;
#[cfg(feature = "apps")]
use super::labels::Labels;
use super::{
    context::RequestContext,
    rejection::{Reason, Rejection, RejectionKind},
    routes::Routes,
    warning_reporter::WarningReporter,
};
#[cfg(feature = "admission")]
use crate::admission::Admission;
use crate::{
    contain::contain,
    receive::{Budget, Limits},
    signature::SIGNATURE_HEADER,
    telemetry::WebhookTelemetry,
};

/// Longest request path compared with the configured ones for a warning, in bytes. The comparison
/// copies the path, and servers accept paths of up to 64 KiB from any sender.
const MAX_COMPARED_PATH: usize = 1024;

/// In every webhook of GitHub, which signs with the same header as Meta.
const GITHUB_HEADER: HeaderName = HeaderName::from_static("x-github-event");

pub(super) type OnRejection = dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync;

/// The validated settings of a layer.
pub(super) struct Config {
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    /// Length of the longest body that fits the budget.
    pub(super) longest_body: usize,
    pub(super) budget: Arc<Budget>,
    #[cfg(feature = "admission")]
    pub(super) admission: Admission,
    pub(super) on_rejection: Option<Arc<OnRejection>>,
    pub(super) on_handler_error: OnHandlerError,
    pub(super) warnings: Arc<WarningReporter>,
    pub(super) telemetry: Arc<WebhookTelemetry>,
    /// The apps of the routes, and those resolved so far with their names.
    #[cfg(feature = "apps")]
    pub(super) labels: Labels<Option<Arc<str>>>,
}

impl Config {
    /// Builds the response to a rejected request.
    pub(super) fn reject(
        &self,
        reason: impl Into<Reason>,
        context: &RequestContext,
    ) -> Response<Bytes> {
        let rejection = reason.into().into_rejection(context);
        let app = context.app.as_ref().map(|app| &**app.telemetry());
        self.telemetry
            .rejected(&rejection, context.ring.as_deref(), app);
        let hook = self.on_rejection.as_ref();
        // A panic in `Service::call` would stop a `Buffer` around the layer for good.
        let response = hook.and_then(|hook| contain(|| hook(&rejection)).ok());
        let mut response = response.unwrap_or_else(|| rejection.to_response());
        rejection.apply_to(&mut response);
        response
    }

    /// Applies [`OnHandlerError`] to an error of the inner service, from its call or its readiness.
    pub(super) fn on_inner_error<E>(&self, error: E) -> Result<RejectionKind, E> {
        match self.on_handler_error {
            OnHandlerError::Respond => Ok(RejectionKind::HandlerFailed),
            OnHandlerError::Propagate => Err(error),
        }
    }

    /// Warns about a resolved app that has the label of another app of the layer. The labels of
    /// the routes differ, and are known from the start.
    #[cfg(feature = "apps")]
    pub(super) fn check_label(&self, app: &App, name: Arc<str>) {
        self.warnings
            .check_label(|| self.labels.is_shared(app, Some(name)));
    }

    /// Warns about a handshake or a signed POST that passes through because its path is not
    /// configured, if the path is similar to a configured one.
    #[cold]
    #[inline(never)]
    pub(super) fn check_missed_path<B>(&self, request: &Request<B>) {
        let path = request.uri().path();
        if path.len() <= MAX_COMPARED_PATH
            && (is_signed_post(request) || is_handshake(request))
            && self.warnings.is_path_missed_due()
            && self.routes.has_similar(path)
        {
            self.warnings.report_path_missed(path, &self.routes);
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("routes", &self.routes)
            .field("limits", &self.limits)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// What the layer does when the inner service fails with an error instead of answering a verified
/// delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnHandlerError {
    /// Drops the error and answers 503 ([`RejectionKind::HandlerFailed`]), so that Meta retries
    /// the delivery. To log the error, map it inside of the layer (`tower::util::MapErrLayer`).
    ///
    /// This is the default, because some hosts turn an error into a 200 response: tonic does, with
    /// a `grpc-status` header that Meta ignores.
    ///
    /// A `DedupLayer` inside answers 500 itself, so neither variant has an effect there.
    #[default]
    Respond,
    /// Returns the error to the caller of the layer, which must not answer 200.
    Propagate,
}

fn is_signed_post<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    *request.method() == Method::POST
        && headers.contains_key(SIGNATURE_HEADER)
        && !headers.contains_key(GITHUB_HEADER)
}

fn is_handshake<B>(request: &Request<B>) -> bool {
    let mut parameters = request.uri().query().unwrap_or_default().split('&');
    *request.method() == Method::GET
        && parameters.any(|parameter| parameter.starts_with("hub.challenge="))
}
