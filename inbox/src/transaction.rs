use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{Database, Transaction};

use crate::{
    backend::{self, Backend},
    error::{InboxError, InboxErrorKind},
    event::{InboxBatch, InboxEvent},
    run::{Run, Slot},
    testing::{self, Point},
};

/// A transaction of the inbox's database in which a handler writes and marks its events as done.
///
/// [`done`](Self::done) marks and commits: the handler's writes and the mark are there together or
/// not at all. Dropped without it, everything is rolled back. A handler that then returns
/// [`Verdict::Done`](crate::Verdict::Done) or `Ok(())` counts as failed; other verdicts are obeyed.
///
/// Begin it late: ask the LLM first, then begin, write and finish. On SQLite it holds the only
/// connection that writes, so the receiver waits meanwhile. On Postgres it holds a connection of
/// the pool.
///
/// Leave `search_path` and the role as they are, or set them back: [`done`](Self::done) has to find
/// the tables of the inbox, and fails otherwise.
///
/// On Postgres it is at `READ COMMITTED`, whatever the default of the role or the database is.
///
/// The server does not limit how long it idles, so a process that is paused or cut off keeps the
/// locks of this transaction. Set `idle_in_transaction_session_timeout` in the options of the pool
/// to more than the longest pause of your handlers between two statements. The crate's own
/// transactions have a limit of 10 seconds, and so has [`done`](Self::done): it also waits no
/// longer for a lock.
///
/// ```
/// use tower_whatsapp_inbox::{InboxError, InboxEvent};
///
/// async fn on_event(event: InboxEvent) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let mut transaction = event.begin_sqlite().await?;
///     sqlx::query("INSERT INTO answers (message) VALUES (?1)")
///         .bind(event.event().id())
///         .execute(&mut **transaction)
///         .await?;
///     transaction.done().await?;
///     Ok(())
/// }
/// ```
pub struct InboxTransaction<DB: Database> {
    transaction: Transaction<'static, DB>,
    run: Slot,
}

/// Methods of [`InboxEvent`] and [`InboxBatch`] that begin a transaction.
macro_rules! begin {
    ($($run:ident),*) => {$(
        impl $run {
            /// Begins a transaction in which this run is marked as done.
            ///
            /// # Errors
            ///
            /// If the database fails, if this run has a transaction already
            /// ([`TransactionOpen`](InboxErrorKind::TransactionOpen)), or if the inbox is not on
            /// Postgres ([`WrongDatabase`](InboxErrorKind::WrongDatabase)).
            #[cfg(feature = "postgres")]
            pub async fn begin_postgres(
                &self,
            ) -> Result<InboxTransaction<sqlx::Postgres>, InboxError> {
                let backend = match &self.run.inbox.inner.backend {
                    Backend::Postgres(backend) => backend,
                    #[cfg(feature = "sqlite")]
                    Backend::Sqlite(_) => {
                        return Err(InboxError::wrong_database(
                            "this inbox is on SQLite: call `begin_sqlite`",
                        ));
                    }
                };
                let run = slot(&self.run)?;
                run.inbox.inner.check_pool(backend.max_connections());
                Ok(InboxTransaction::new(backend.begin_run().await?, run))
            }

            /// Begins a transaction in which this run is marked as done.
            ///
            /// # Errors
            ///
            /// If the database fails, if this run has a transaction already
            /// ([`TransactionOpen`](InboxErrorKind::TransactionOpen)), or if the inbox is not on
            /// SQLite ([`WrongDatabase`](InboxErrorKind::WrongDatabase)).
            #[cfg(feature = "sqlite")]
            pub async fn begin_sqlite(
                &self,
            ) -> Result<InboxTransaction<sqlx::Sqlite>, InboxError> {
                let backend = match &self.run.inbox.inner.backend {
                    Backend::Sqlite(backend) => backend,
                    #[cfg(feature = "postgres")]
                    Backend::Postgres(_) => {
                        return Err(InboxError::wrong_database(
                            "this inbox is on Postgres: call `begin_postgres`",
                        ));
                    }
                };
                let run = slot(&self.run)?;
                Ok(InboxTransaction::new(backend.begin_run().await?, run))
            }
        }
    )*};
}

begin!(InboxEvent, InboxBatch);

fn slot(run: &Arc<Run>) -> Result<Slot, InboxError> {
    run.slot()
        .ok_or_else(|| InboxError::new(InboxErrorKind::TransactionOpen))
}

impl<DB: Database> InboxTransaction<DB> {
    fn new(transaction: Transaction<'static, DB>, run: Slot) -> Self {
        run.begun();
        Self { transaction, run }
    }

    async fn commit(self) -> Result<(), InboxError> {
        testing::after(Point::Mark).await?;
        testing::before(Point::Commit).await?;
        self.transaction.commit().await?;
        testing::after(Point::Commit).await
    }
}

/// Notes what came of the mark and the commit.
async fn noting(
    run: Arc<Run>,
    commit: impl Future<Output = Result<(), InboxError>>,
) -> Result<(), InboxError> {
    run.committing();
    let result = commit.await;
    match &result {
        Ok(()) => run.committed(),
        Err(error) => run.commit_failed(error.kind() == InboxErrorKind::LeaseLost),
    }
    result
}

#[cfg(feature = "postgres")]
impl InboxTransaction<sqlx::Postgres> {
    /// Marks the events of the run as done and commits.
    ///
    /// Call it last. The conversation is free afterwards: its next event may be handled while this
    /// handler still runs.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](crate::InboxErrorKind::LeaseLost) if another worker has the conversation:
    /// nothing was written. With any other error the commit may have happened; return the error,
    /// and the worker finds out. It is an error too if a statement of the handler has ended the
    /// transaction, as `COMMIT` does: the events are not marked.
    pub async fn done(mut self) -> Result<(), InboxError> {
        noting(Arc::clone(&self.run), async move {
            testing::before(Point::Mark).await?;
            let run = &self.run;
            let settings = &run.inbox.inner.settings;
            let connection = &mut *self.transaction;
            backend::postgres::complete_run(connection, &run.lease, &run.keys, settings).await?;
            self.commit().await
        })
        .await
    }
}

#[cfg(feature = "sqlite")]
impl InboxTransaction<sqlx::Sqlite> {
    /// Marks the events of the run as done and commits.
    ///
    /// Call it last. The conversation is free afterwards: its next event may be handled while this
    /// handler still runs.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](crate::InboxErrorKind::LeaseLost) if another worker has the conversation:
    /// nothing was written. With any other error the commit may have happened; return the error,
    /// and the worker finds out. It is an error too if a statement of the handler has ended the
    /// transaction, as `INSERT OR ROLLBACK` and `COMMIT` do: the events are not marked.
    pub async fn done(mut self) -> Result<(), InboxError> {
        noting(Arc::clone(&self.run), async move {
            testing::before(Point::Mark).await?;
            let run = &self.run;
            let settings = &run.inbox.inner.settings;
            let connection = &mut *self.transaction;
            backend::sqlite::complete_run(connection, &run.lease, &run.keys, settings).await?;
            self.commit().await
        })
        .await
    }
}

impl<DB: Database> Deref for InboxTransaction<DB> {
    type Target = Transaction<'static, DB>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl<DB: Database> DerefMut for InboxTransaction<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}

impl<DB: Database> fmt::Debug for InboxTransaction<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxTransaction").finish_non_exhaustive()
    }
}
