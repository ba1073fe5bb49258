//! The limits of one body.

/// Largest body limit that can be configured, in bytes. Positions in a body are stored as `u32`.
pub(crate) const MAX_BODY_LIMIT: usize = u32::MAX as usize;

/// The limits of one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum length of the body, in bytes.
    pub(crate) body: usize,
    /// Time limit for the whole body.
    #[cfg(feature = "tokio")]
    pub(crate) deadline: std::time::Duration,
    /// Longest pause between two frames.
    #[cfg(feature = "tokio")]
    pub(crate) idle: std::time::Duration,
}
