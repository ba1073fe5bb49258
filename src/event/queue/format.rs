//! Constants of the queue format, which the module documentation of `event` describes.

use crate::event::grammar::MAX_DEPTH;

/// Version that is written.
pub(super) const VERSION: &str = "1";

/// Key of the version. It distinguishes the format from what Meta sends.
pub(in crate::event) const MARK: &[u8] = b"tower_whatsapp";

/// Key that says which part is the event, if a reader would find more than one.
pub(in crate::event) const PART: &[u8] = b"tower_whatsapp_only";

/// The event is the first one found: it contains others, for example the participants of a group.
pub(super) const FIRST: &str = r#""first""#;

/// The event is an unknown key, not the object that contains it.
pub(super) const KEY: &str = r#""key""#;

/// Maximum depth. A body without an envelope is one level deeper in the format.
pub(super) const DEEPEST: usize = MAX_DEPTH + 1;
