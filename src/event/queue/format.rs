//! Constants of the queue format, which the module documentation of `event` describes.

use crate::event::json::MAX_DEPTH;

/// Version that is written.
pub(super) const VERSION: &str = "1";

/// The event is the first one found: it contains others, for example the participants of a group.
pub(super) const SELECT_FIRST: &str = r#""first""#;

/// The event is an unknown key, not the object that contains it.
pub(super) const SELECT_KEY: &str = r#""key""#;

/// Maximum depth. A body without an envelope is one level deeper in the format.
pub(super) const MAX_QUEUED_DEPTH: usize = MAX_DEPTH + 1;
