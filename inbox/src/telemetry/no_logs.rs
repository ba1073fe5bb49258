//! Nothing, without the feature `tracing`.

use std::time::Duration;

use crate::{backend::Dead, error::InboxError, event::InboxBatch, worker::Reason};

#[derive(Debug)]
pub(crate) struct Warnings;

/// In place of a span.
pub(crate) struct NoSpan;

#[allow(clippy::unused_self, reason = "as with the feature `tracing`")]
impl Warnings {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn refused(&self, _: &InboxError) {}

    pub(crate) fn database_failed(&self, _: &'static str, _: &InboxError) {}

    pub(crate) fn event_damaged(&self, _: &[u8; 16], _: &InboxError) {}

    pub(crate) fn lease_lost(&self) {}

    pub(crate) fn failed_after_done(&self, _: &'static str, _: &[u8; 16]) {}

    pub(crate) fn task_panicked(&self, _: &'static str) {}

    pub(crate) fn run_panicked(&self) {}

    pub(crate) fn layer_missing(&self) {}

    #[cfg(feature = "postgres")]
    pub(crate) fn small_pool(&self, _: u32, _: usize) {}

    pub(crate) fn run_failed(&self, _: Reason, _: &[u8; 16]) {}

    pub(crate) fn dead_letters(&self, _: &[Dead], _: Reason) {}
}

pub(crate) fn run_span(_: &InboxBatch) -> NoSpan {
    NoSpan
}

pub(crate) fn run_ended(_: &NoSpan, _: &'static str, _: Duration) {}

/// Returns the future as it is.
pub(crate) fn in_span<F>(_: &NoSpan, future: F) -> F {
    future
}
