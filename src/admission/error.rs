use std::{error::Error, fmt, io};

use super::prefix::BadPrefix;

/// So many bad lines are reported, the others counted.
const MAX_REPORTED: usize = 8;

/// Why a list was not taken. Nothing of it was: if there was a list before, it is in force as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListError {
    /// There is no prefix in it. A list that admits nobody is a failed download, or nothing that one sets.
    Empty,
    /// It is longer than 4 MiB.
    TooLong,
    /// Some of its lines are no prefixes.
    Prefixes(BadPrefixes),
    /// It has less than half of the addresses of the list before it, of IPv4 or of IPv6. [`Shrink::Allow`](super::Shrink::Allow) takes it.
    Shrunk,
    /// Its file could not be read, or is no file.
    File(io::Error),
}

/// The lines that are no prefixes: the first eight, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPrefixes {
    noun: &'static str,
    first: Vec<BadPrefix>,
    count: usize,
}

impl BadPrefixes {
    pub(super) fn new(noun: &'static str) -> Self {
        Self {
            noun,
            first: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn add(&mut self, bad: impl FnOnce() -> BadPrefix) {
        self.count += 1;
        if self.first.len() < MAX_REPORTED {
            self.first.push(bad());
        }
    }

    /// The first eight.
    #[must_use]
    pub fn first(&self) -> &[BadPrefix] {
        &self.first
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for BadPrefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bad) in self.first.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {bad}", self.noun)?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`ip_allow_list`: ")?;
        match self {
            Self::Empty => f.write_str("there is no prefix in it"),
            Self::TooLong => f.write_str("it is longer than 4 MiB"),
            Self::Prefixes(bad) => bad.fmt(f),
            Self::Shrunk => {
                f.write_str("it has less than half of the addresses of the list before it")
            }
            Self::File(_) => f.write_str("the file could not be read"),
        }
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}
