//! What is known of a request to a configured path, for rejections and for telemetry.

use std::sync::Arc;

use super::app::App;
use crate::{credentials::KeyRing, telemetry::Moment};

/// Filled in while the request is processed.
#[derive(Default)]
pub(super) struct RequestContext {
    pub(super) path: Option<Arc<str>>,
    pub(super) app: Option<App>,
    /// The secrets that the body is checked against.
    pub(super) ring: Option<Arc<KeyRing>>,
    pub(super) declared_length: Option<usize>,
    pub(super) received_length: Option<usize>,
    pub(super) started: Moment,
}

impl RequestContext {
    pub(super) fn new(path: &Arc<str>) -> Self {
        Self {
            path: Some(Arc::clone(path)),
            started: Moment::now(),
            ..Self::default()
        }
    }
}
