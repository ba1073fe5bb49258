//! What operators see. Without the features `tracing` and `metrics`, nothing.

#[cfg(feature = "tracing")]
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "tracing"))]
mod no_logs;
#[cfg(not(feature = "metrics"))]
mod no_metrics;

#[cfg(feature = "tracing")]
pub(crate) use self::logs::{Warnings, in_span, run_ended, run_span};
#[cfg(feature = "metrics")]
pub(crate) use self::metrics::{counted, describe, ended, started, status};
#[cfg(not(feature = "tracing"))]
pub(crate) use self::no_logs::{Warnings, in_span, run_ended, run_span};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::no_metrics::{counted, describe, ended, started, status};
