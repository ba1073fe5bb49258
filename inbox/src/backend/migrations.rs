//! The embedded schema. A migration that was released never changes; new ones are appended.

use crate::error::{InboxError, InboxErrorKind};

/// Versions from 1 on.
pub(super) type Migrations = &'static [&'static str];

#[cfg(feature = "postgres")]
pub(super) const POSTGRES: Migrations = &[include_str!("../../migrations/postgres/0001_inbox.sql")];

#[cfg(feature = "postgres")]
pub(super) const POSTGRES_VERSIONS: &str = "
CREATE TABLE IF NOT EXISTS whatsapp_inbox_schema (
    version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";

#[cfg(feature = "sqlite")]
pub(super) const SQLITE: Migrations = &[include_str!("../../migrations/sqlite/0001_inbox.sql")];

#[cfg(feature = "sqlite")]
pub(super) const SQLITE_VERSIONS: &str = "
CREATE TABLE IF NOT EXISTS whatsapp_inbox_schema (
    version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL DEFAULT (unixepoch())) STRICT";

/// The migrations after this version, each with its own.
pub(super) fn missing(
    migrations: Migrations,
    version: Option<i32>,
) -> Result<impl Iterator<Item = (i32, &'static str)>, InboxError> {
    let version = version.unwrap_or(0);
    if usize::try_from(version).is_ok_and(|version| version > migrations.len()) {
        return Err(InboxError::new(InboxErrorKind::NewerSchema));
    }
    let numbered = (1..).zip(migrations.iter().copied());
    Ok(numbered.filter(move |(number, _)| *number > version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_applied_and_a_later_schema_is_refused() {
        let all = &["one", "two"];
        let after = |version| missing(all, version).map(Iterator::collect::<Vec<_>>);
        assert_eq!(after(None).unwrap(), [(1, "one"), (2, "two")]);
        assert_eq!(after(Some(1)).unwrap(), [(2, "two")]);
        assert_eq!(after(Some(2)).unwrap(), []);
        assert_eq!(
            after(Some(3)).unwrap_err().kind(),
            InboxErrorKind::NewerSchema
        );
    }
}
