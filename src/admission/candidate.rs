use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use super::{
    error::{ListError, Problem},
    ip_set::IpSet,
    list_format::{self, MAX_TEXT},
};

/// A valid list that is not in force yet.
pub(super) struct Candidate {
    pub(super) set: Arc<IpSet>,
    pub(super) modified: Option<SystemTime>,
    pub(super) is_file: bool,
}

impl Candidate {
    pub(super) fn parse(text: &str) -> Result<Self, ListError> {
        let set = IpSet::new(list_format::prefixes(text)?);
        Ok(Self::new(checked(set)?))
    }

    pub(super) fn from_prefixes<I>(prefixes: I) -> Result<Self, ListError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let set = checked(IpSet::new(list_format::each(prefixes)?))?;
        Ok(Self::new(set))
    }

    pub(super) fn read(path: &Path) -> Result<Self, ListError> {
        let (text, modified) = read(path).map_err(|problem| ListError::from(problem).at(path))?;
        let candidate = Self::parse(&text).map_err(|error| error.at(path))?;
        Ok(Self {
            modified,
            is_file: true,
            ..candidate
        })
    }

    fn new(set: IpSet) -> Self {
        Self {
            set: Arc::new(set),
            modified: None,
            is_file: false,
        }
    }
}

fn checked(set: IpSet) -> Result<IpSet, ListError> {
    if set.is_too_wide() {
        return Err(Problem::TooWide.into());
    }
    Ok(set)
}

/// Reads a regular file, up to one byte beyond the maximum length of a list.
fn read(path: &Path) -> Result<(String, Option<SystemTime>), Problem> {
    let file = open(path).map_err(Problem::File)?;
    let metadata = file.metadata().map_err(Problem::File)?;
    if !metadata.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Problem::File)?;
    // Comments may be in any encoding. Addresses are ASCII, so they lose nothing here.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((text, metadata.modified().ok()))
}

/// Opens a file without blocking. Checking the path first is not enough: the file may be replaced
/// by a FIFO in between, and opening a FIFO blocks until there is a writer.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    options.open(path)
}
