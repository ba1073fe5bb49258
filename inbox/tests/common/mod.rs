//! Databases, deliveries and hosts for the tests.

#![allow(dead_code, reason = "no test uses all of it")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use http_body_util::Full;
use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tempfile::TempDir;
use test_support::postgres::Server;
use tower::{Layer, ServiceExt};
use tower_whatsapp::{WebhookLayer, testing::delivery};
use tower_whatsapp_inbox::{Inbox, InboxBuilder, InboxError, StoredEvent};

pub(crate) const SECRET: &str = "canary-app-secret";

/// Far longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A database of its own for a test.
pub(crate) enum Db {
    Postgres { server: Arc<Server>, name: String },
    Sqlite { dir: TempDir },
}

impl Db {
    /// A database on a server that the tests of a process share.
    pub(crate) async fn postgres() -> Self {
        static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = tokio::task::spawn_blocking(|| {
            let mut shared = SERVER.lock().unwrap();
            shared.upgrade().unwrap_or_else(|| {
                let server = Arc::new(Server::start());
                *shared = Arc::downgrade(&server);
                server
            })
        });
        let server = server.await.unwrap();
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let pool = pg_pool(&server, "postgres", 1).await;
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&pool).await.unwrap();
        Self::Postgres { server, name }
    }

    /// A database on a server of its own, which the test may end.
    pub(crate) async fn own_postgres() -> Self {
        let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
        Self::Postgres {
            server: Arc::new(server),
            name: "postgres".to_owned(),
        }
    }

    #[allow(clippy::unused_async, reason = "as for Postgres")]
    pub(crate) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::Sqlite { dir }
    }

    /// Removes a database of which a run makes thousands.
    pub(crate) async fn remove(self) {
        if let Self::Postgres { server, name } = &self {
            let pool = pg_pool(server, "postgres", 1).await;
            let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            sqlx::query(drop).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }

    /// An inbox as another process has it.
    pub(crate) async fn inbox(&self) -> Inbox {
        self.open(Inbox::builder()).await.unwrap()
    }

    pub(crate) async fn open(&self, builder: InboxBuilder) -> Result<Inbox, InboxError> {
        match self {
            Self::Postgres { server, name } => {
                builder.postgres(pg_pool(server, name, 10).await).await
            }
            Self::Sqlite { dir } => builder.sqlite(dir.path().join("inbox.db")).await,
        }
    }

    /// Arguments with which another process finds the database.
    pub(crate) fn address(&self) -> (String, String) {
        match self {
            Self::Postgres { server, name } => (
                format!("postgres {name}"),
                server.socket().display().to_string(),
            ),
            Self::Sqlite { dir } => (
                "sqlite".to_owned(),
                dir.path().join("inbox.db").display().to_string(),
            ),
        }
    }

    /// Runs statements, `{now}` being Unix milliseconds or a timestamp.
    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            Self::Postgres { server, name } => {
                let pool = pg_pool(server, name, 1).await;
                let sql = sqlx::AssertSqlSafe(sql.to_owned());
                sqlx::raw_sql(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Self::Sqlite { .. } => {
                let pool = self.sqlite_pool().await;
                let sql = sqlx::AssertSqlSafe(sql.to_owned());
                sqlx::raw_sql(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres { server, name } => {
                let pool = pg_pool(server, name, 1).await;
                let count = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
                pool.close().await;
                count
            }
            Self::Sqlite { .. } => {
                let pool = self.sqlite_pool().await;
                let count = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
                pool.close().await;
                count
            }
        }
    }

    pub(crate) async fn sqlite_pool(&self) -> SqlitePool {
        let Self::Sqlite { dir } = self else {
            panic!("on SQLite only")
        };
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("inbox.db"))
            .create_if_missing(true)
            .busy_timeout(PATIENCE);
        SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .unwrap()
    }

    pub(crate) async fn postgres_pool(&self) -> PgPool {
        let Self::Postgres { server, name } = self else {
            panic!("on Postgres only")
        };
        pg_pool(server, name, 5).await
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }
}

pub(crate) async fn pg_pool(server: &Server, name: &str, connections: u32) -> PgPool {
    pg_pool_at(server.socket(), name, connections).await
}

pub(crate) async fn pg_pool_at(
    socket: impl AsRef<std::path::Path>,
    name: &str,
    connections: u32,
) -> PgPool {
    pg_pool_as("postgres", socket, name, connections).await
}

pub(crate) async fn pg_pool_as(
    user: &str,
    socket: impl AsRef<std::path::Path>,
    name: &str,
    connections: u32,
) -> PgPool {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .username(user)
        .database(name);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .unwrap()
}

/// A message of a person, as it stands in `messages`.
pub(crate) fn message(person: &str, id: &str, seconds: u64) -> String {
    format!(
        r#"{{"from":"{person}","id":"{id}","timestamp":"{seconds}","type":"text","text":{{"body":"{id}"}}}}"#
    )
}

/// A status, as it stands in `statuses`.
pub(crate) fn status(person: &str, id: &str, seconds: u64) -> String {
    format!(
        r#"{{"id":"{id}","status":"delivered","timestamp":"{seconds}","recipient_id":"{person}"}}"#
    )
}

fn value(list: &str, items: &[String]) -> String {
    let items = items.join(",");
    format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{
        "messaging_product":"whatsapp","metadata":{{"phone_number_id":"7"}},"{list}":[{items}]}}}}]}}]}}"#
    )
}

pub(crate) fn messages(items: &[String]) -> String {
    value("messages", items)
}

pub(crate) fn statuses(items: &[String]) -> String {
    value("statuses", items)
}

/// Sends a signed body through the layer to the receiver.
pub(crate) async fn post(inbox: &Inbox, body: impl Into<bytes::Bytes>) -> StatusCode {
    let layer = WebhookLayer::new("/wh", SECRET, "token-canary").unwrap();
    let service = layer.layer(inbox.receiver());
    let request = delivery("/wh", body, SECRET).map(Full::new);
    service.oneshot(request).await.unwrap().status()
}

/// What handlers have seen.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    entries: Arc<Mutex<Vec<(String, String)>>>,
}

impl Journal {
    pub(crate) fn note(&self, event: &StoredEvent) {
        let id = event.event().id().unwrap_or("none").to_owned();
        let conversation = event.conversation().to_owned();
        self.entries.lock().unwrap().push((conversation, id));
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        entries.iter().map(|(_, id)| id.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    pub(crate) fn by_conversation(&self) -> HashMap<String, Vec<String>> {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for (conversation, id) in self.entries.lock().unwrap().iter() {
            all.entry(conversation.clone())
                .or_default()
                .push(id.clone());
        }
        all
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until nothing is pending.
pub(crate) async fn until_empty(inbox: &Inbox) {
    until("the inbox is empty", async || {
        let status = inbox.status().await.unwrap();
        status.messages + status.bulk == 0
    })
    .await;
}
