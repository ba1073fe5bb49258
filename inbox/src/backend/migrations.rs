//! The embedded schema. A migration that was released never changes; new ones are appended.

use crate::error::{InboxError, InboxErrorKind};

/// Versions from 1 on.
pub(super) type Migrations = &'static [Migration];

/// A step of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Migration {
    pub(super) statements: &'static str,
    /// Oldest version of the schema whose code works with this one too. While a later version is
    /// rolled out, or when it is rolled back, older processes open the schema as well.
    pub(super) oldest_code: i32,
}

/// The last version of the schema, and the oldest whose code works with it.
pub(super) type Found = (i32, i32);

#[cfg(feature = "postgres")]
pub(super) const POSTGRES: Migrations = &[Migration {
    statements: include_str!("../../migrations/postgres/0001_inbox.sql"),
    oldest_code: 1,
}];

#[cfg(feature = "postgres")]
pub(super) const POSTGRES_VERSIONS: &str = "
CREATE TABLE IF NOT EXISTS whatsapp_inbox_schema (
    version integer PRIMARY KEY, oldest_code integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now())";

#[cfg(feature = "sqlite")]
pub(super) const SQLITE: Migrations = &[Migration {
    statements: include_str!("../../migrations/sqlite/0001_inbox.sql"),
    oldest_code: 1,
}];

#[cfg(feature = "sqlite")]
pub(super) const SQLITE_VERSIONS: &str = "
CREATE TABLE IF NOT EXISTS whatsapp_inbox_schema (
    version INTEGER PRIMARY KEY, oldest_code INTEGER NOT NULL,
    applied_at INTEGER NOT NULL DEFAULT (unixepoch())) STRICT";

/// The migrations after what was found, each with its version.
pub(super) fn missing(
    migrations: Migrations,
    found: Option<Found>,
) -> Result<impl Iterator<Item = (i32, Migration)>, InboxError> {
    let (version, oldest_code) = found.unwrap_or_default();
    if usize::try_from(oldest_code).is_ok_and(|oldest| oldest > migrations.len()) {
        return Err(InboxError::new(InboxErrorKind::NewerSchema));
    }
    let numbered = (1..).zip(migrations.iter().copied());
    Ok(numbered.filter(move |(number, _)| *number > version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_applied_and_a_schema_for_later_code_is_refused() {
        const fn migration(statements: &'static str) -> Migration {
            Migration {
                statements,
                oldest_code: 1,
            }
        }
        const ONE: Migration = migration("one");
        const TWO: Migration = migration("two");
        let after = |found| missing(&[ONE, TWO], found).map(Iterator::collect::<Vec<_>>);
        assert_eq!(after(None).unwrap(), [(1, ONE), (2, TWO)]);
        assert_eq!(after(Some((1, 1))).unwrap(), [(2, TWO)]);
        assert_eq!(after(Some((2, 1))).unwrap(), []);
        assert_eq!(after(Some((3, 2))).unwrap(), []);
        assert_eq!(
            after(Some((3, 3))).unwrap_err().kind(),
            InboxErrorKind::NewerSchema
        );
    }
}
