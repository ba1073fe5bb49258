//! Whether the files of a database are still those that were opened.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::DatabaseError;

/// The file of a database and the log beside it, as they were when they were opened.
///
/// SQLite does not notice that they are removed, moved or replaced. It goes on writing to what it
/// has open, and that is gone with the process.
#[derive(Clone)]
pub(super) struct FileIdentity {
    paths: Arc<Paths>,
    inode: Inode,
}

struct Paths {
    database: PathBuf,
    log: PathBuf,
}

/// Device and number of a file. Elsewhere than on Unix a file that is open cannot be removed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Inode(u64, u64);

impl FileIdentity {
    /// Takes what is at the path now for the open file.
    pub(super) fn new(path: &Path) -> Result<Self, DatabaseError> {
        let found = fs::canonicalize(path).and_then(|database| {
            let inode = Inode::of(&fs::metadata(&database)?);
            // SQLite resolves links before it makes the log.
            let mut log = OsString::from(&database);
            log.push("-wal");
            let log = log.into();
            let paths = Arc::new(Paths { database, log });
            Ok(Self { paths, inode })
        });
        found.map_err(|_| DatabaseError::file_lost())
    }

    /// Checks the files, in a transaction: then SQLite has a log. A few microseconds.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        let is_same = || -> io::Result<bool> {
            let database = fs::metadata(&self.paths.database)?;
            fs::metadata(&self.paths.log)?;
            // The header is in the file before the log is begun.
            Ok(Inode::of(&database) == self.inode && database.len() > 0)
        };
        match is_same() {
            Ok(true) => Ok(()),
            // Not about the file: the process has no right to look, or no descriptor is left.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(()),
            _ => Err(DatabaseError::file_lost()),
        }
    }
}

impl Inode {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self(0, 0)
    }
}
