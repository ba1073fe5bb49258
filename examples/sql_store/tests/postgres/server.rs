//! A server with the schema of the store in its database.

use example_sql_store::SqlStore;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use test_support::postgres;

/// A server that stops when it is dropped.
pub(crate) struct Server(postgres::Server);

impl Server {
    pub(crate) async fn start() -> Self {
        let server = Self(postgres::Server::start());
        server.store().await.create_schema().await.unwrap();
        server
    }

    /// Returns a store with its own pool, as another process would have.
    pub(crate) async fn store(&self) -> SqlStore {
        SqlStore::new(self.pool().await)
    }

    pub(crate) async fn pool(&self) -> PgPool {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.0.socket())
            .username("postgres")
            .database("postgres");
        let pool = PgPoolOptions::new().max_connections(20);
        pool.connect_with(options).await.unwrap()
    }

    /// Returns the log of the server since its start.
    pub(crate) fn log(&self) -> String {
        self.0.log()
    }
}
