//! Nothing, without the feature `metrics`.

use std::time::Duration;

use crate::status::Status;

pub(crate) fn describe() {}

pub(crate) fn counted(_: &'static str, _: u64) {}

pub(crate) fn started(_: &'static str, _: Duration) {}

pub(crate) fn ended(_: Duration) {}

pub(crate) fn status(_: &Status) {}
