//! Reports setup warnings: to the hook, the log or standard error.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use http::Response;

#[cfg(not(feature = "tokio"))]
use std::time::Instant;
#[cfg(feature = "tokio")]
use tokio::time::Instant;

use super::{rejection::Rejection, setup_warning::SetupWarning};
use crate::{
    contain::contain,
    response::{self, Refusal},
    telemetry::{HAS_CLOCK, RateLimit, WebhookTelemetry},
};

type OnSetupWarning = dyn Fn(SetupWarning) + Send + Sync;

/// Reports each kind of warning once, and those that strangers can cause once a minute.
///
/// Only the host's setup causes the first ones, so once is enough. If a stranger could use up the
/// only report of a kind, the mistake of the host would never be reported.
///
/// Contains the panics of the host's recorder, subscriber and hook: see [`tell`](Self::tell).
pub(crate) struct WarningReporter {
    hook: Option<Arc<OnSetupWarning>>,
    telemetry: Arc<WebhookTelemetry>,
    /// The warnings that have been reported and are reported only once: see [`bit`].
    reported: AtomicU16,
    /// Of [`SetupWarning::PathMissed`], the only kind that an unverified request can cause without
    /// a mistake of the host.
    path_missed: RateLimit,
    built_at: Option<Instant>,
}

impl WarningReporter {
    pub(super) fn new(hook: Option<Arc<OnSetupWarning>>, telemetry: Arc<WebhookTelemetry>) -> Self {
        Self {
            hook,
            telemetry,
            reported: AtomicU16::new(0),
            path_missed: RateLimit::default(),
            built_at: HAS_CLOCK.then(Instant::now),
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
        let before = self.reported.fetch_or(bit(warning), Ordering::Relaxed);
        if before & bit(warning) == 0 {
            self.tell(warning, || self.telemetry.setup_warning(warning));
        }
    }

    /// Whether a missed path would be reported now.
    pub(super) fn is_path_missed_due(&self) -> bool {
        self.path_missed.is_open_at(self.uptime())
    }

    /// Reports a signed request whose path is similar to one of the layer's paths.
    #[cold]
    pub(super) fn report_path_missed(&self, path: &str, layer_paths: &dyn fmt::Display) {
        if self.path_missed.admit_at(self.uptime()).is_some() {
            self.tell(SetupWarning::PathMissed, || {
                self.telemetry.path_missed(path, layer_paths)
            });
        }
    }

    /// Nanoseconds since the layer was built. Always 0 where there is no clock: what is limited to
    /// once a minute is then reported once.
    fn uptime(&self) -> u64 {
        let uptime = self.built_at.map(|built_at| {
            let uptime = Instant::now().saturating_duration_since(built_at);
            u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)
        });
        uptime.unwrap_or_default()
    }

    /// Reports a warning. `log` returns whether a subscriber has seen it. Without a hook and a log,
    /// the warning goes to standard error.
    fn tell(&self, warning: SetupWarning, log: impl FnOnce() -> bool) {
        // A panic in `Service::call` would stop a `Buffer` around the layer for good, and in the
        // task of a `DedupLayer` it would lose the response.
        let is_logged = contain(log).unwrap_or(false);
        // `eprintln` panics too, if standard error is closed.
        let _ = contain(|| match &self.hook {
            Some(hook) => hook(warning),
            None if is_logged => {}
            None => eprintln!("tower-whatsapp: {}: {warning}", warning.name()),
        });
    }

    /// Reports that two apps have one label, if `is_shared` says so.
    #[cfg(feature = "tokio")]
    pub(crate) fn check_label(&self, is_shared: impl FnOnce() -> bool) {
        let reported = self.reported.load(Ordering::Relaxed);
        if reported & bit(SetupWarning::LabelShared) == 0 && is_shared() {
            self.report(SetupWarning::LabelShared);
        }
    }
}

const fn bit(warning: SetupWarning) -> u16 {
    const { assert!(SetupWarning::COUNT <= u16::BITS as usize, "no bit left") };
    1 << warning as u16
}
