//! Reports each kind of setup warning once: to the hook, the log or standard error.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use http::Response;

use super::{rejection::Rejection, setup_warning::SetupWarning};
use crate::{
    contain::contain,
    response::{self, Refusal},
    telemetry::WebhookTelemetry,
};

type OnSetupWarning = dyn Fn(SetupWarning) + Send + Sync;

/// Reports each kind of warning once.
pub(crate) struct WarningReporter {
    hook: Option<Arc<OnSetupWarning>>,
    telemetry: Arc<WebhookTelemetry>,
    reported: AtomicU16,
}

impl WarningReporter {
    pub(super) fn new(hook: Option<Arc<OnSetupWarning>>, telemetry: Arc<WebhookTelemetry>) -> Self {
        Self {
            hook,
            telemetry,
            reported: AtomicU16::new(0),
        }
    }

    /// Checks the response of the inner service to a verified delivery, before a layer changes it.
    pub(crate) fn check_response<R>(&self, response: &Response<R>) {
        // One of our layers refused it, and said why.
        if response.extensions().get::<Rejection>().is_some() {
            return;
        }
        #[cfg(feature = "tokio")]
        if response
            .extensions()
            .get::<crate::dedup::DedupRejection>()
            .is_some()
        {
            return;
        }
        match response::refusal(response) {
            Some(Refusal::RouteMissing) => self.report(SetupWarning::RouteMissing),
            Some(Refusal::Denied) => self.report(SetupWarning::DeliveryRefused),
            None => {}
        }
    }

    /// Reports that an outer `DedupLayer` did not see a verified delivery.
    #[cfg(feature = "tokio")]
    pub(crate) fn dedup_bypassed(&self) {
        self.report(SetupWarning::DedupBypassed);
    }

    /// Reports that a delivery passed a second `DedupLayer`.
    #[cfg(feature = "tokio")]
    pub(crate) fn dedup_repeated(&self) {
        self.report(SetupWarning::DedupRepeated);
    }

    /// Reports two different events with one key of the host's own function.
    #[cfg(feature = "tokio")]
    pub(crate) fn keys_collide(&self) {
        self.report(SetupWarning::KeysCollide);
    }

    #[cold]
    pub(super) fn report(&self, warning: SetupWarning) {
        if self.is_first(warning) {
            let is_logged = self.telemetry.setup_warning(warning);
            self.call_hook(warning, is_logged);
        }
    }

    /// Reports a signed request whose path is similar to one of the layer's paths.
    #[cold]
    pub(super) fn report_path_missed(&self, path: &str, layer_paths: &dyn fmt::Display) {
        if self.is_first(SetupWarning::PathMissed) {
            let is_logged = self.telemetry.path_missed(path, layer_paths);
            self.call_hook(SetupWarning::PathMissed, is_logged);
        }
    }

    fn is_first(&self, warning: SetupWarning) -> bool {
        self.reported.fetch_or(bit(warning), Ordering::Relaxed) & bit(warning) == 0
    }

    /// Without a hook and a log, the warning goes to standard error.
    fn call_hook(&self, warning: SetupWarning, is_logged: bool) {
        // A panic in `Service::call` would stop a `Buffer` around the layer for good. `eprintln`
        // panics too, if standard error is closed.
        let _ = contain(|| match &self.hook {
            Some(hook) => hook(warning),
            None if is_logged => {}
            None => eprintln!("tower-whatsapp: {}: {warning}", warning.name()),
        });
    }

    /// Reports that two apps have one label, if `is_shared` says so.
    #[cfg(feature = "tokio")]
    pub(crate) fn check_label(&self, is_shared: impl FnOnce() -> bool) {
        if !self.is_reported(SetupWarning::LabelShared) && is_shared() {
            self.report(SetupWarning::LabelShared);
        }
    }

    pub(super) fn is_reported(&self, warning: SetupWarning) -> bool {
        self.reported.load(Ordering::Relaxed) & bit(warning) != 0
    }
}

fn bit(warning: SetupWarning) -> u16 {
    1 << warning as u16
}
