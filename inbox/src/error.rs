//! Errors without data of a request.

use std::{error::Error, fmt, io};

/// An operation of the inbox failed.
///
/// [`kind`](Self::kind) says what to do. The source is a [`DatabaseError`], which has no text from
/// the database: such texts quote rows, and rows contain phone numbers.
#[derive(Debug, Clone)]
pub struct InboxError {
    kind: InboxErrorKind,
    /// What the kind alone does not say.
    text: Option<&'static str>,
    source: Option<DatabaseError>,
}

/// The kind of an [`InboxError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboxErrorKind {
    /// A setting is out of its range, or `only` or `ignore` has an unknown kind. The text of the
    /// error names the setting.
    Config,
    /// The database refused, failed, or could not be reached.
    Database,
    /// The database did not answer in time. What was asked may have been done.
    Timeout,
    /// The schema was made by a later version of this crate, and this one does not work with it.
    NewerSchema,
    /// Another worker has the conversation: the lease was lost. Nothing was written.
    LeaseLost,
    /// The handler has begun a transaction already, and has neither finished nor dropped it. On
    /// SQLite the second would wait for the first, and so would all deliveries.
    TransactionOpen,
    /// The rows of a delivery would take more than 64 MiB, and more than 16 times its body, because
    /// its events share megabytes and each row has a copy. Meta sends nothing like it.
    TooLarge,
    /// The inbox is on the other database than the transaction that was asked for. The text of the
    /// error says which method to call.
    WrongDatabase,
}

impl InboxError {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> InboxErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: InboxErrorKind) -> Self {
        Self {
            kind,
            text: None,
            source: None,
        }
    }

    /// Whether the database has answered that it does not do what was asked, so that nothing of the
    /// transaction is there. It may have been about a single row.
    pub(crate) fn is_refusal(&self) -> bool {
        self.source.as_ref().is_some_and(DatabaseError::is_refusal)
    }

    /// Whether the database has answered that it cannot read what is stored.
    pub(crate) fn is_damage(&self) -> bool {
        self.source.as_ref().is_some_and(DatabaseError::is_damage)
    }

    pub(crate) fn config(text: &'static str) -> Self {
        Self::with_text(InboxErrorKind::Config, text)
    }

    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn wrong_database(text: &'static str) -> Self {
        Self::with_text(InboxErrorKind::WrongDatabase, text)
    }

    pub(crate) fn database(cause: DatabaseError) -> Self {
        Self::caused(InboxErrorKind::Database, cause)
    }

    /// An error with what an operator can act on.
    pub(crate) fn caused(kind: InboxErrorKind, cause: DatabaseError) -> Self {
        Self {
            source: Some(cause),
            ..Self::new(kind)
        }
    }

    fn with_text(kind: InboxErrorKind, text: &'static str) -> Self {
        Self {
            text: Some(text),
            ..Self::new(kind)
        }
    }
}

impl fmt::Display for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.unwrap_or(match self.kind {
            InboxErrorKind::Config => "a setting is out of its range",
            InboxErrorKind::Database => "the database failed",
            InboxErrorKind::Timeout => "the database did not answer in time",
            InboxErrorKind::NewerSchema => "the schema of the inbox is of a later version",
            InboxErrorKind::LeaseLost => "the lease of the conversation was lost",
            InboxErrorKind::TransactionOpen => {
                "this run has a transaction already: use it, or drop it before you begin another"
            }
            InboxErrorKind::TooLarge => "the events of a delivery take too much memory",
            InboxErrorKind::WrongDatabase => "the inbox is on the other database",
        }))
    }
}

impl Error for InboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<sqlx::Error> for InboxError {
    fn from(error: sqlx::Error) -> Self {
        Self::database(DatabaseError::of(&error))
    }
}

/// What is safe to show of a database's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseError {
    what: &'static str,
    code: Option<String>,
    io: Option<io::ErrorKind>,
}

impl DatabaseError {
    /// Returns the code of the database: the SQLSTATE of PostgreSQL, or the extended result code
    /// of SQLite.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The file of the database is not the one that was opened.
    #[cfg(feature = "sqlite")]
    pub(crate) fn file_lost() -> Self {
        Self::new("a file of the database was removed, moved or replaced: restart the service")
    }

    /// The time was over while a statement ran.
    pub(crate) fn slow_statement() -> Self {
        Self::new("a statement took too long")
    }

    /// The time was over before a connection was there.
    #[cfg(feature = "postgres")]
    pub(crate) fn no_connection(pool_has_room: bool) -> Self {
        Self::new(if pool_has_room {
            "no connection could be opened"
        } else {
            NO_CONNECTION
        })
    }

    /// The connection that writes was not free in time.
    #[cfg(feature = "sqlite")]
    pub(crate) fn writing_here() -> Self {
        Self::new("another transaction of this process writes to the file")
    }

    /// Another process had the file for too long.
    #[cfg(feature = "sqlite")]
    pub(crate) fn writing_elsewhere() -> Self {
        Self::new(WRITING_ELSEWHERE)
    }

    /// A task that asks the database has panicked, or its runtime ends.
    pub(crate) fn driver() -> Self {
        Self::new("an error of the driver")
    }

    /// What a test has asked for.
    #[cfg(feature = "testing")]
    pub(crate) fn injected() -> Self {
        Self::new("a fault of a test")
    }

    /// A column has bytes that no version of this crate writes.
    #[cfg(feature = "sqlite")]
    pub(crate) fn unexpected_column() -> Self {
        Self::new(UNREADABLE_COLUMN)
    }

    fn new(what: &'static str) -> Self {
        Self {
            what,
            code: None,
            io: None,
        }
    }

    fn is_refusal(&self) -> bool {
        match self.code() {
            // The server or its disk goes away, perhaps after the commit.
            Some(code) if code.len() == 5 => !["08", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class)),
            // The same: SQLITE_IOERR.
            Some(code) => code.parse::<u32>().is_ok_and(|code| code & 0xff != 10),
            None => false,
        }
    }

    fn is_damage(&self) -> bool {
        match self.code() {
            // Data that do not fit, and damaged data or an error inside of the server.
            Some(code) if code.len() == 5 => code.starts_with("22") || code.starts_with("XX"),
            Some(code) => code.parse::<u32>().is_ok_and(|code| code & 0xff == 11),
            None => self.what == UNREADABLE_COLUMN,
        }
    }

    fn of(error: &sqlx::Error) -> Self {
        let (what, code, io) = match error {
            sqlx::Error::Database(error) => {
                let code = error.code();
                let what = code.as_deref().map_or(UNKNOWN, meaning);
                let code = code.map(|code| code.chars().take(16).collect());
                (what, code, None)
            }
            sqlx::Error::Io(error) => ("the connection failed", None, Some(error.kind())),
            sqlx::Error::Tls(_) => ("TLS failed", None, None),
            sqlx::Error::PoolTimedOut => (NO_CONNECTION, None, None),
            sqlx::Error::PoolClosed => ("the pool is closed", None, None),
            sqlx::Error::Protocol(_) => ("an unexpected answer", None, None),
            sqlx::Error::RowNotFound => ("a row is missing", None, None),
            sqlx::Error::Configuration(_) => ("the address is not valid", None, None),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                (UNREADABLE_COLUMN, None, None)
            }
            _ => ("an error of the driver", None, None),
        };
        Self { what, code, io }
    }
}

const UNKNOWN: &str = "an error from the database";
const NO_CONNECTION: &str = "no connection of the pool became free, or none could be opened";
const UNREADABLE_COLUMN: &str = "a column has an unexpected type";
const WRITING_ELSEWHERE: &str = "another process writes to the file";

/// What an operator can act on, by SQLSTATE, which has five characters, or by result code of
/// SQLite, which has up to four digits. Its lowest byte is the primary code.
fn meaning(code: &str) -> &'static str {
    let primary = if code.len() < 5 { code.parse() } else { Ok(0) };
    match (code, primary.unwrap_or(0_u32) & 0xff) {
        ("55P03", _) => "another transaction holds a lock",
        ("57014", _) => "a statement took too long",
        ("53100", _) | (_, 13) => "the disk is full",
        ("25006", _) | (_, 8) => "the database is read-only",
        ("42501", _) => "the user has not the right to do this",
        ("42P01" | "3F000", _) => "a table or a schema is missing",
        ("3D000", _) => "there is no database of this name",
        ("28000" | "28P01", _) => "the server refuses the user or the password",
        ("53300", _) => "the server has no connection left",
        ("57P01" | "57P02" | "57P03", _) => "the server starts or shuts down",
        ("40001" | "40P01", _) => "a conflict with another transaction",
        (_, 5) => WRITING_ELSEWHERE,
        (_, 6) => "another connection of this process has locked a table",
        (_, 10) => "reading or writing the file failed",
        (_, 14) => "the file cannot be opened",
        (_, 11 | 26) => "the file is damaged, or no database",
        _ => UNKNOWN,
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if let Some(code) = &self.code {
            write!(f, " (code {code})")?;
        }
        if let Some(io) = self.io {
            write!(f, " ({io})")?;
        }
        Ok(())
    }
}

impl Error for DatabaseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_from_what_passes() {
        let is_damage = |code: &str| {
            let code = Some(code.to_owned());
            let (what, io) = (UNKNOWN, None);
            DatabaseError { what, code, io }.is_damage()
        };
        // The last is SQLITE_CORRUPT_INDEX.
        for code in ["XX000", "XX001", "22008", "11", "779"] {
            assert!(is_damage(code), "{code}");
        }
        for code in ["55P03", "57014", "57P01", "40001", "53100", "5", "13", "10"] {
            assert!(!is_damage(code), "{code}");
        }
    }

    #[test]
    fn what_may_have_been_committed_is_no_refusal() {
        let is_refusal = |code: Option<&str>| {
            let (what, io, code) = (UNKNOWN, None, code.map(str::to_owned));
            DatabaseError { what, code, io }.is_refusal()
        };
        for code in ["XX001", "23514", "40001", "55P03", "P0001", "11", "1811"] {
            assert!(is_refusal(Some(code)), "{code}");
        }
        for code in ["08006", "57P01", "57014", "58030", "10", "1546", ""] {
            assert!(!is_refusal(Some(code)), "{code}");
        }
        assert!(!is_refusal(None));
    }

    #[test]
    fn codes_have_a_meaning() {
        let full = ["13", "53100"].map(meaning);
        assert_eq!(full, ["the disk is full"; 2]);
        // The others are SQLITE_READONLY_DBMOVED and SQLITE_READONLY_DIRECTORY.
        let read_only = ["8", "1032", "1544", "25006"].map(meaning);
        assert_eq!(read_only, ["the database is read-only"; 4]);
        // The lowest byte of 23565 is 13.
        assert_eq!(["23565", "23505", "", "x"].map(meaning), [UNKNOWN; 4]);
        // The others are SQLITE_BUSY_RECOVERY and SQLITE_IOERR_WRITE.
        let busy = ["5", "261"].map(meaning);
        assert_eq!(busy, ["another process writes to the file"; 2]);
        let broken = ["10", "778"].map(meaning);
        assert_eq!(broken, ["reading or writing the file failed"; 2]);
        for code in [
            "28P01", "3D000", "40001", "40P01", "42501", "42P01", "53300", "57P01", "6",
        ] {
            assert_ne!(meaning(code), UNKNOWN, "{code}");
        }
    }
}
