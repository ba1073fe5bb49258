use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Pipeline, RedisError, Value, aio::MultiplexedConnection,
};
use tokio::sync::Mutex;

use super::failure::{Failure, Refusal};

/// For callers without a timeout of their own. Far longer than a call with a thousand keys takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that is reachable again is found within this time, even if an earlier attempt still
/// waits for an answer of its host.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// Consecutive calls without an answer after which a connection is closed. One or two may be a slow
/// server, and there a claim and the release after it should stay in order on one connection.
const MAX_UNANSWERED: u32 = 3;

/// One connection for all callers, opened on demand and again after a loss.
///
/// This is not the `ConnectionManager` of the crate `redis`. Once a server has refused the
/// handshake (a password being changed, too many clients), that type repeats the error until the
/// process ends. It also keeps a connection whose peer has disappeared without closing it.
pub(super) struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    current: Arc<Mutex<Option<OpenConnection>>>,
}

#[derive(Clone)]
struct OpenConnection {
    commands: MultiplexedConnection,
    unanswered: Arc<AtomicU32>,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            config: AsyncConnectionConfig::new()
                .set_response_timeout(Some(RESPONSE_TIMEOUT))
                .set_connection_timeout(Some(CONNECTION_TIMEOUT)),
            current: Arc::default(),
        }
    }

    /// Sends all commands at once and returns one answer for each.
    pub(super) async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let mut may_retry = true;
        loop {
            let connection = self.open().await?;
            match connection.send(commands).await {
                // An idle connection may have been closed, which shows at its next use. The
                // commands are idempotent.
                Err(error) if may_retry && error.is_unrecoverable_error() => may_retry = false,
                answers => return answers.map_err(Failure::Client),
            }
        }
    }

    /// Returns the current connection, or opens one.
    async fn open(&self) -> Result<OpenConnection, Failure> {
        let mut current = Arc::clone(&self.current).lock_owned().await;
        let usable = current.as_ref().filter(|current| current.is_usable());
        if let Some(connection) = usable {
            return Ok(connection.clone());
        }
        *current = None;
        let client = self.client.clone();
        let config = self.config.clone();
        // A separate task, which holds the lock. A caller that gives up must not cancel the
        // attempt, or a handshake that takes longer than callers wait would never succeed. The task
        // also catches the panic of rustls without a crypto provider.
        let attempt = tokio::spawn(async move {
            let commands = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let connection = OpenConnection {
                commands,
                unanswered: Arc::default(),
            };
            *current = Some(connection.clone());
            Ok(connection)
        });
        match attempt.await {
            Ok(connection) => connection.map_err(Failure::Client),
            Err(_) => Err(Failure::Panicked),
        }
    }
}

impl OpenConnection {
    fn is_usable(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) < MAX_UNANSWERED
    }

    async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let guard = UnansweredGuard(&self.unanswered);
        let answers = self
            .commands
            .clone()
            .send_packed_commands(commands, 0, commands.len())
            .await;
        match &answers {
            Ok(answers) if answers.iter().any(is_read_only) => guard.close(),
            Ok(_) => guard.reset(),
            Err(error) if error.is_unrecoverable_error() => guard.close(),
            Err(_) => drop(guard),
        }
        answers
    }
}

/// Whether the server is a replica: after a failover its name leads to another server, but this
/// connection still leads to the old one.
fn is_read_only(answer: &Value) -> bool {
    match answer {
        Value::ServerError(error) => Refusal::of(error) == Refusal::ReadOnly,
        _ => false,
    }
}

/// Counts a call as unanswered if it is dropped before its end.
struct UnansweredGuard<'a>(&'a AtomicU32);

impl UnansweredGuard<'_> {
    /// The call was answered.
    fn reset(self) {
        self.set(0);
    }

    /// The connection must not be used again.
    fn close(self) {
        self.set(MAX_UNANSWERED);
    }

    fn set(self, count: u32) {
        self.0.store(count, Ordering::Relaxed);
        std::mem::forget(self);
    }
}

impl Drop for UnansweredGuard<'_> {
    fn drop(&mut self) {
        // Cannot overflow: an unusable connection gets no further calls.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
