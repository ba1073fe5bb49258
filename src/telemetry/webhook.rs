//! Telemetry of a [`WebhookLayer`](crate::WebhookLayer).
#![cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(
        unused_variables,
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "each feature uses a part of what is observed, and without both nothing is used"
    )
)]

use std::{fmt, sync::Arc};

use http::StatusCode;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use super::drift::Drift;
#[cfg(feature = "tracing")]
use super::logs::{self, RejectionLimits};
use super::observation::{Outcome, VerifiedDelivery};
use super::{app::AppTelemetry, clock::Moment};
use crate::{
    credentials::KeyRing,
    webhook::{Rejection, SetupWarning},
};

/// Telemetry of one layer and its clones.
#[derive(Debug, Default)]
pub(crate) struct WebhookTelemetry {
    #[cfg(feature = "tracing")]
    limits: RejectionLimits,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    drift: Drift,
}

impl WebhookTelemetry {
    /// Reports that a layer was built.
    pub(crate) fn built(&self, paths: &str, body_limit: usize, memory_budget: usize) {
        #[cfg(feature = "tracing")]
        logs::built(paths, body_limit, memory_budget);
        #[cfg(feature = "metrics")]
        {
            super::metrics::describe();
            super::metrics::register();
        }
    }

    /// `app` is the app that the request was for, if it is known.
    pub(crate) fn rejected(
        &self,
        rejection: &Rejection,
        ring: Option<&KeyRing>,
        app: Option<&AppTelemetry>,
    ) {
        #[cfg(feature = "tracing")]
        logs::rejected(&self.limits, rejection, ring, app);
        #[cfg(feature = "metrics")]
        super::metrics::rejected(rejection.shared_app(), rejection.kind().name());
    }

    /// Reports a handshake that was answered with the challenge.
    pub(crate) fn handshake(&self, app: &Arc<str>, path: Option<&str>) {
        #[cfg(feature = "tracing")]
        logs::handshake(app, path);
        #[cfg(feature = "metrics")]
        super::metrics::handshake(app);
    }

    /// Reports a signed request to a path that is similar to one of the layer's.
    ///
    /// Returns whether a subscriber has seen it.
    pub(crate) fn path_missed(&self, path: &str, layer_paths: &dyn fmt::Display) -> bool {
        #[cfg(feature = "metrics")]
        super::metrics::setup_warning(SetupWarning::PathMissed.name());
        #[cfg(feature = "tracing")]
        logs::path_missed(path, &layer_paths.to_string());
        is_heard()
    }

    /// Returns whether a subscriber has seen the warning.
    pub(crate) fn setup_warning(&self, warning: SetupWarning) -> bool {
        #[cfg(feature = "metrics")]
        super::metrics::setup_warning(warning.name());
        #[cfg(feature = "tracing")]
        logs::setup_warning(warning);
        is_heard()
    }

    /// Reports a verified delivery that is about to be handed to the inner service.
    pub(crate) fn verified(&self, delivery: &VerifiedDelivery<'_>) -> DeliveryTelemetry {
        let now = Moment::now();
        #[cfg(feature = "tracing")]
        delivery.telemetry.count_verified(now);
        #[cfg(any(feature = "metrics", feature = "tracing"))]
        if delivery.telemetry.samples.0.is_due(now) {
            self.sample(delivery);
        }
        #[cfg(feature = "tracing")]
        logs::verified(delivery);
        #[cfg(feature = "tracing")]
        let span = logs::delivery(delivery, now);
        // Last: a subscriber that panics must not leave the delivery in flight.
        #[cfg(feature = "metrics")]
        super::metrics::verified(delivery, now.since(delivery.started));
        DeliveryTelemetry {
            #[cfg(feature = "tracing")]
            app_telemetry: Arc::clone(delivery.telemetry),
            #[cfg(feature = "tracing")]
            span,
            #[cfg(feature = "metrics")]
            app: Arc::clone(delivery.app),
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            called: now,
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            is_answered: false,
        }
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl WebhookTelemetry {
    /// Reads what takes longer than the rest.
    #[cold]
    fn sample(&self, delivery: &VerifiedDelivery<'_>) {
        self.drift.check(delivery.events, |kind, path| {
            #[cfg(feature = "tracing")]
            logs::unread_key(kind, path);
            #[cfg(feature = "metrics")]
            super::metrics::unread_key();
        });
        #[cfg(feature = "metrics")]
        super::metrics::lag(delivery);
    }
}

/// Whether a subscriber takes warnings.
fn is_heard() -> bool {
    #[cfg(feature = "tracing")]
    return logs::is_heard();
    #[cfg(not(feature = "tracing"))]
    return false;
}

/// Reports a request that reached a handler without passing through a `WebhookLayer`.
#[cfg(feature = "axum")]
pub(crate) fn layer_missing(path: &str) {
    #[cfg(feature = "tracing")]
    logs::layer_missing(path);
    #[cfg(feature = "metrics")]
    super::metrics::setup_warning("layer_missing");
}

/// Telemetry of one delivery while the inner service handles it.
pub(crate) struct DeliveryTelemetry {
    #[cfg(feature = "tracing")]
    app_telemetry: Arc<AppTelemetry>,
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    #[cfg(feature = "metrics")]
    app: Arc<str>,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    called: Moment,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    is_answered: bool,
}

impl DeliveryTelemetry {
    /// Runs `poll` inside the span of the delivery.
    #[inline]
    pub(crate) fn in_scope<T>(&self, poll: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        poll()
    }

    pub(crate) fn answered(&mut self, outcome: Outcome, status: Option<StatusCode>) {
        self.end(outcome, status, false);
    }

    /// Reports that the inner service returned an error. A rejection that follows has a line of its
    /// own.
    pub(crate) fn failed(&mut self, is_rejected: bool) {
        self.end(Outcome::Failed, None, is_rejected);
    }

    fn end(&mut self, outcome: Outcome, status: Option<StatusCode>, is_rejected: bool) {
        #[cfg(any(feature = "metrics", feature = "tracing"))]
        {
            self.is_answered = true;
            let handler = self.called.elapsed();
            #[cfg(feature = "metrics")]
            super::metrics::answered(&self.app, outcome, handler);
            #[cfg(feature = "tracing")]
            {
                let app = (!is_rejected).then_some(&*self.app_telemetry);
                logs::answered(&self.span, app, outcome, status, handler);
            }
        }
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Drop for DeliveryTelemetry {
    fn drop(&mut self) {
        if !self.is_answered {
            // Without a `DedupLayer`, a panic of the handler unwinds through here.
            let outcome = if std::thread::panicking() {
                Outcome::Failed
            } else {
                Outcome::Abandoned
            };
            self.answered(outcome, None);
        }
    }
}
