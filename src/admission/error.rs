use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

#[cfg(feature = "client-certificate")]
use super::certificate_problem::CertificateProblem;
use super::prefix::BadPrefix;

/// Number of invalid lines that an error describes. Further ones are only counted.
const MAX_REPORTED: usize = 8;

/// Error of an address list that was refused.
///
/// The list in force, if any, has not changed. The message names the file and the invalid lines.
/// The error of the operating system is the [`source`](Error::source).
#[derive(Debug)]
pub struct ListError {
    path: Option<PathBuf>,
    problem: Problem,
}

/// Kind of a [`ListError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListErrorKind {
    /// The list has no prefix. It would admit no one, and is usually a failed download.
    Empty,
    /// The list is longer than 4 MiB.
    TooLong,
    /// Some lines are not valid prefixes: see [`ListError::bad_prefixes`].
    Prefixes,
    /// The list has more than a sixteenth of all IPv4 or IPv6 addresses.
    TooWide,
    /// The list keeps less than half of the addresses in force, or of the largest list since the
    /// start: see [`Shrink`](super::Shrink).
    Shrunk,
    /// The path is not a regular file, but a directory, a FIFO or a device.
    NotAFile,
    /// The file could not be read.
    File,
}

#[derive(Debug)]
pub(super) enum Problem {
    Empty,
    TooLong,
    Prefixes(BadPrefixes),
    TooWide,
    Shrunk,
    NotAFile,
    File(io::Error),
}

/// Reason for which a caller is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    AddressUnknown,
    Address,
    #[cfg(feature = "client-certificate")]
    Certificate(CertificateProblem),
}

/// Admission settings that contradict each other, or that have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdmissionMisuse {
    ListConflict,
    #[cfg(feature = "client-certificate")]
    CertificateConflict,
    #[cfg(feature = "client-certificate")]
    ProxiesMissing,
    ProxiesConflict,
    ProxiesUnused,
    PolicyUnused,
}

/// Invalid lines of a list: the first eight, and the number of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPrefixes {
    noun: &'static str,
    first: Vec<BadPrefix>,
    count: usize,
}

impl ListError {
    pub(super) fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ListErrorKind {
        match &self.problem {
            Problem::Empty => ListErrorKind::Empty,
            Problem::TooLong => ListErrorKind::TooLong,
            Problem::Prefixes(_) => ListErrorKind::Prefixes,
            Problem::TooWide => ListErrorKind::TooWide,
            Problem::Shrunk => ListErrorKind::Shrunk,
            Problem::NotAFile => ListErrorKind::NotAFile,
            Problem::File(_) => ListErrorKind::File,
        }
    }

    /// Returns the invalid lines, if the kind is [`ListErrorKind::Prefixes`].
    #[must_use]
    pub fn bad_prefixes(&self) -> Option<&BadPrefixes> {
        match &self.problem {
            Problem::Prefixes(bad) => Some(bad),
            _ => None,
        }
    }

    /// Returns the file that the list was read from, if any.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl From<Problem> for ListError {
    fn from(problem: Problem) -> Self {
        Self {
            path: None,
            problem,
        }
    }
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

    /// Returns the first eight invalid lines.
    #[must_use]
    pub fn first(&self) -> &[BadPrefix] {
        &self.first
    }

    /// Returns the number of all invalid lines.
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
        f.write_str("address list")?;
        if let Some(path) = &self.path {
            write!(f, " {path:?}")?;
        }
        f.write_str(": ")?;
        match &self.problem {
            Problem::Empty => f.write_str("the list is empty"),
            Problem::TooLong => f.write_str("the list is longer than 4 MiB"),
            Problem::Prefixes(bad) => bad.fmt(f),
            Problem::TooWide => {
                f.write_str("the list has more than a sixteenth of all IPv4 or IPv6 addresses")
            }
            Problem::Shrunk => {
                f.write_str("the list keeps less than half of the previous addresses")
            }
            Problem::NotAFile => f.write_str("not a regular file"),
            // Only the kind, a constant text: the details are the source.
            Problem::File(error) => write!(f, "cannot read the file: {}", error.kind()),
        }
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::File(error) => Some(error),
            _ => None,
        }
    }
}
