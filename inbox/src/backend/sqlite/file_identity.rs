//! Whether the files of a database are still those that were opened.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::DatabaseError;

/// The file of a database with the log and its index beside it, as they were when they were opened.
///
/// SQLite does not notice that they are removed, moved or replaced. It goes on writing to what it
/// has open, and that is gone with the process. Other processes read what is at the paths: a log
/// that one of them has made since has nothing of what is written to the old one.
///
/// SQLite itself removes the log and its index when the last connection is closed, and never while
/// one is open.
#[derive(Clone)]
pub(super) struct FileIdentity {
    files: Arc<[(PathBuf, Inode); 3]>,
}

/// Device and number of a file. Elsewhere than on Unix a file that is open cannot be removed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Inode(u64, u64);

impl FileIdentity {
    /// Takes what is at the paths now for the open files. A connection must have read, and must
    /// stay open.
    pub(super) fn new(path: &Path) -> Result<Self, DatabaseError> {
        let found = |database: &Path, suffix| -> io::Result<_> {
            // SQLite resolves links before it makes the log.
            let mut path = OsString::from(database);
            path.push(suffix);
            let path = PathBuf::from(path);
            let inode = Inode::of(&fs::metadata(&path)?);
            Ok((path, inode))
        };
        let all = fs::canonicalize(path).and_then(|database| {
            let of = |suffix| found(&database, suffix);
            let files = Arc::new([of("")?, of("-wal")?, of("-shm")?]);
            Ok(Self { files })
        });
        all.map_err(|_| DatabaseError::file_lost())
    }

    /// Checks the files. A few microseconds.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        let is_same = || -> io::Result<bool> {
            for (path, inode) in &*self.files {
                if Inode::of(&fs::metadata(path)?) != *inode {
                    return Ok(false);
                }
            }
            // The header is in the file before the log is begun.
            let [(database, _), ..] = &*self.files;
            Ok(fs::metadata(database)?.len() > 0)
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
