//! State of a validation between two steps: open containers, and the extents found so far.

use super::{error::ParseError, scan::saturating_u32, special::SpecialBytes};

/// Maximum nesting depth: what `serde_json` allows for its own types.
pub(crate) const MAX_DEPTH: usize = 127;

/// Maximum depth of a container with an extent: list elements and what they contain.
pub(super) const INDEXED_DEPTH: usize = 10;

/// Minimum length of a container with an extent, bytes. With it the extents take at most 1.5 times
/// the memory of the text, and a tenth of it in a typical delivery.
pub(super) const INDEXED_LENGTH: usize = 32;

/// Minimum length of a string with an extent, bytes. Scanning a shorter one takes a few
/// microseconds.
pub(super) const LONG_STRING: usize = 4096;

/// Initial capacity: the number of extents in a typical one-message delivery.
const TYPICAL_EXTENTS: usize = 16;

/// State of a validation between two steps.
pub(super) struct Progress {
    position: u32,
    /// One bit per open container, the innermost lowest: 1 for an object, 0 for an array.
    containers: u128,
    depth: usize,
    max_depth: u8,
    /// Extents of the larger containers and strings, in document order.
    pub(super) extents: Vec<Extent>,
    /// Index in `extents` of each open container.
    open_extents: [usize; INDEXED_DEPTH],
    /// Marks of the bytes before the end of the step.
    pub(super) special: SpecialBytes,
    /// The string that contains `position`.
    pub(super) string: Option<OpenString>,
}

/// The byte range of a container or a long string, brackets or quotes included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A string whose end has not been found yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenString {
    /// Position of the opening quote.
    pub(super) start: u32,
    /// Whether an escape was found. It may start at the current position.
    pub(super) escaped: bool,
    /// Whether it is the key of a member.
    pub(super) is_key: bool,
}

impl OpenString {
    pub(super) fn start(self) -> usize {
        self.start as usize
    }
}

impl Progress {
    /// Starts at the beginning of a text. `max_depth` is at most 128, the bits of `containers`.
    pub(super) fn new(max_depth: usize) -> Self {
        Self {
            position: 0,
            containers: 0,
            depth: 0,
            max_depth: u8::try_from(max_depth).unwrap_or(u8::MAX),
            extents: Vec::with_capacity(TYPICAL_EXTENTS),
            open_extents: [0; INDEXED_DEPTH],
            special: SpecialBytes::default(),
            string: None,
        }
    }

    /// Number of bytes validated.
    pub(super) fn position(&self) -> usize {
        self.position as usize
    }

    /// Saves the state before a step ends outside of strings, before `at`.
    pub(super) fn pause(&mut self, at: usize) {
        self.position = saturating_u32(at);
    }

    /// Saves the state before a step ends inside a string, before `at`.
    pub(super) fn pause_in_string(&mut self, at: usize, string: OpenString) {
        self.position = saturating_u32(at);
        self.string = Some(string);
    }

    /// Whether the innermost open container is an object. `None` if no container is open.
    #[inline(always)]
    pub(super) fn is_in_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.containers & 1 == 1)
    }

    /// Adds the extent of the string at `start..end` if it is long.
    #[inline(always)]
    pub(super) fn record_string(&mut self, start: usize, end: usize) {
        if end - start >= LONG_STRING {
            self.record_long_string(start, end);
        }
    }

    #[cold]
    fn record_long_string(&mut self, start: usize, end: usize) {
        self.extents.push(Extent {
            start: saturating_u32(start),
            end: saturating_u32(end),
        });
    }

    /// Heap memory in use, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.special.memory() + self.extents.capacity() * size_of::<Extent>()
    }

    /// Opens the container whose opening bracket is at `at`.
    pub(super) fn open_container(&mut self, at: usize, is_object: bool) -> Result<(), ParseError> {
        if let Some(open) = self.open_extents.get_mut(self.depth) {
            *open = self.extents.len();
            self.extents.push(Extent {
                start: saturating_u32(at),
                end: 0,
            });
        }
        self.depth += 1;
        if self.depth > usize::from(self.max_depth) {
            return Err(ParseError::TooDeep);
        }
        self.containers = self.containers << 1 | u128::from(is_object);
        Ok(())
    }

    /// Closes the innermost container. `end` is the position after its closing bracket.
    pub(super) fn close_container(&mut self, end: usize) {
        self.depth -= 1;
        self.containers >>= 1;
        let Some(open) = self.open_extents.get(self.depth) else {
            return;
        };
        if let Some(extent) = self.extents.get_mut(*open) {
            extent.end = saturating_u32(end);
            // A short container has no inner extents, so its own is the last one.
            if end - (extent.start as usize) < INDEXED_LENGTH {
                self.extents.truncate(*open);
            }
        }
    }
}
