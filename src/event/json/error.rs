use std::{error::Error, fmt};

/// The reason a body could not be parsed. Contains no part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not exactly one JSON text (RFC 8259).
    NotJson,
    /// Arrays and objects are nested more than 127 levels deep.
    TooDeep,
    /// The body is longer than 4,294,967,295 bytes: positions are kept in 32 bits.
    TooLarge,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "the body is not UTF-8",
            Self::NotJson => "the body is not JSON",
            Self::TooDeep => "the body is nested too deeply",
            Self::TooLarge => "the body is too large",
        })
    }
}

impl Error for ParseError {}
