use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::store::{StoreError, StoreErrorKind};

/// The reason why a [`DedupLayer`](super::DedupLayer) answered a delivery with anything but 2xx. It
/// is in the extensions of every such response, including those of the handler.
///
/// Responses with 2xx have none: that of the handler, and the empty 200 for a delivery whose events
/// were all handled before.
///
/// It contains no data of the request. If the store failed, [`source`](Error::source) is the
/// [`StoreError`], and the source of that is the error of the store itself: that Redis requires a
/// password, or the error of your own database.
///
/// ```
/// use std::error::Error;
/// use tower_whatsapp::dedup::{DedupRejection, DedupRejectionKind};
///
/// fn log<B>(response: &http::Response<B>) {
///     let Some(rejection) = response.extensions().get::<DedupRejection>() else { return };
///     if rejection.kind() == DedupRejectionKind::StoreUnavailable {
///         let mut cause = rejection.source();
///         while let Some(error) = cause {
///             eprintln!("{error}");
///             cause = error.source();
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct DedupRejection {
    kind: DedupRejectionKind,
    source: Option<Arc<StoreError>>,
}

/// The kinds of [`DedupRejection`], each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DedupRejectionKind {
    /// Some events are in flight elsewhere and may still fail there. The events that could be
    /// claimed were handled. 503 with `Retry-After: 1`.
    InFlight,
    /// The store is unavailable, for the reason in the source. The handler was not called. 503 with
    /// `Retry-After: 1`.
    StoreUnavailable,
    /// The store is full and cannot evict anything. The handler was not called. 503 with
    /// `Retry-After: 1`.
    StoreFull,
    /// The handler has not finished within the response deadline, and goes on. 503 with
    /// `Retry-After: 1`.
    ResponseDeadline,
    /// The handler has not finished within its own deadline, counted from the claim, and was
    /// dropped. 503 with `Retry-After: 1`.
    ///
    /// By default the response deadline ends first, and these handlers show in
    /// [`Counters::timed_out`](super::Counters::timed_out) only.
    HandlerDeadline,
    /// The handler responded with anything but 2xx, or with a failed gRPC response. Its own status
    /// if that is a 5xx, else 500.
    HandlerRefused,
    /// The inner service returned an error instead of a response. The error is dropped: log it
    /// where it occurs. 500.
    HandlerFailed,
    /// The handler panicked. 500.
    HandlerPanicked,
    /// The handler reported failed events with a [`PartialFailure`](super::PartialFailure). Its own
    /// status if that is a 5xx, else 500.
    PartlyFailed,
    /// The handler reported failed events of which at least one is not in the delivery, for example
    /// by [`Event::key`](crate::Event::key) where the app has a label. All events of the delivery
    /// are handled again, and that repeats until the handler is mended. Its own status if that is a
    /// 5xx, else 500.
    FailureUnmatched,
    /// The task of the delivery ended without a response: its runtime is shutting down, or the
    /// host's [`key`](super::DedupLayerBuilder::key) function panicked. 500.
    TaskFailed,
    /// The process is shutting down. 503 with `Retry-After: 1`.
    Draining,
    /// All events are older than their windows, and the layer refuses stale events
    /// ([`OnStale::Refuse`](super::OnStale::Refuse)). 403.
    Stale,
}

impl DedupRejection {
    /// Returns the kind of rejection.
    #[must_use]
    pub fn kind(&self) -> DedupRejectionKind {
        self.kind
    }

    /// Returns the status of the response, unless the handler set a 5xx of its own.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
    }

    /// Returns an empty response with the status, and with `Retry-After` if that is 503.
    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let second = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response.extensions_mut().insert(self);
        response
    }

    /// Turns a response of the handler into one that makes Meta send the delivery again.
    pub(super) fn mark<R>(self, response: &mut Response<R>) {
        if !response.status().is_server_error() {
            *response.status_mut() = self.status();
        }
        response.extensions_mut().insert(self);
    }
}

impl DedupRejectionKind {
    /// Number of kinds.
    #[cfg(feature = "tracing")]
    pub(crate) const COUNT: usize = Self::Stale as usize + 1;

    /// Returns the name of the kind in snake case (`store_unavailable`), for logs and metrics. The
    /// names are stable across versions of this crate.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreFull => "store_full",
            Self::ResponseDeadline => "response_deadline",
            Self::HandlerDeadline => "handler_deadline",
            Self::HandlerRefused => "handler_refused",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerPanicked => "handler_panicked",
            Self::PartlyFailed => "partly_failed",
            Self::Draining => "draining",
            Self::FailureUnmatched => "failure_unmatched",
            Self::TaskFailed => "task_failed",
            Self::Stale => "stale",
        }
    }

    fn describe(self) -> (StatusCode, &'static str) {
        match self {
            Self::InFlight => (
                StatusCode::SERVICE_UNAVAILABLE,
                "events are being handled elsewhere",
            ),
            Self::StoreUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store of handled events is not available",
            ),
            Self::StoreFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store of handled events is full",
            ),
            Self::ResponseDeadline => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the handler is not ready yet",
            ),
            Self::HandlerDeadline => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the handler was not ready in time and was stopped",
            ),
            Self::HandlerRefused => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the handler refused the events",
            ),
            Self::HandlerFailed => (StatusCode::INTERNAL_SERVER_ERROR, "the handler failed"),
            Self::HandlerPanicked => (StatusCode::INTERNAL_SERVER_ERROR, "the handler panicked"),
            Self::PartlyFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the handler did not handle all events",
            ),
            Self::FailureUnmatched => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the handler reported failed events that are not in the delivery",
            ),
            Self::TaskFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the task of the delivery ended without a response",
            ),
            Self::Draining => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the process is shutting down",
            ),
            Self::Stale => (
                StatusCode::FORBIDDEN,
                "the events are older than the window of duplicates",
            ),
        }
    }
}

impl fmt::Debug for DedupRejection {
    /// Omits the source: the error text of a database may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupRejection")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DedupRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe().1)
    }
}

impl Error for DedupRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl From<DedupRejectionKind> for DedupRejection {
    fn from(kind: DedupRejectionKind) -> Self {
        Self { kind, source: None }
    }
}

/// The store is unavailable or full.
impl From<Arc<StoreError>> for DedupRejection {
    fn from(error: Arc<StoreError>) -> Self {
        Self {
            kind: match error.kind() {
                StoreErrorKind::Unavailable => DedupRejectionKind::StoreUnavailable,
                StoreErrorKind::Full => DedupRejectionKind::StoreFull,
            },
            source: Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_the_reason() {
        let stale = DedupRejection::from(DedupRejectionKind::Stale);
        assert_eq!(
            stale.to_string(),
            "the events are older than the window of duplicates"
        );
        assert!(stale.source().is_none());
    }

    #[test]
    fn debug_omits_the_error_of_the_store() {
        let error = StoreError::unavailable("password authentication failed for user ann");
        let rejection = DedupRejection::from(Arc::new(error));
        assert_eq!(
            format!("{rejection:?}"),
            "DedupRejection { kind: StoreUnavailable, .. }"
        );
        let cause = rejection.source().and_then(Error::source).unwrap();
        assert_eq!(
            cause.to_string(),
            "password authentication failed for user ann"
        );
    }
}
