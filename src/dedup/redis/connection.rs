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

/// For callers without a time limit of their own: far longer than the thousand calls of a batch take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that is back is found within this time, even if its host had not so much as refused the attempt before.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// So many calls in a row without an answer, and the connection is taken for dead. One or two are a server that is slow: there the
/// order of a claim and the release that follows is worth keeping.
const UNANSWERED: u32 = 3;

/// One connection for all callers, made when it is needed and again when it was lost.
///
/// The `ConnectionManager` of the crate `redis` is not used: once a server has refused the handshake (a password being changed, too many
/// clients) it repeats that answer for ever, and a connection whose peer is gone without a word stays its connection.
pub(super) struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    current: Arc<Mutex<Option<Line>>>,
}

#[derive(Clone)]
struct Line {
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

    /// Sends all commands at once and returns as many answers.
    pub(super) async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let mut again = true;
        loop {
            let line = self.line().await?;
            match line.send(commands).await {
                // That a connection was closed while it was idle shows when it is used. The commands may be repeated.
                Err(error) if again && error.is_unrecoverable_error() => again = false,
                answers => return answers.map_err(Failure::Client),
            }
        }
    }

    async fn line(&self) -> Result<Line, Failure> {
        let mut current = Arc::clone(&self.current).lock_owned().await;
        if let Some(line) = current.as_ref().filter(|line| line.is_usable()) {
            return Ok(line.clone());
        }
        *current = None;
        let client = self.client.clone();
        let config = self.config.clone();
        // A task of its own, which holds the lock: a caller that gives up early must not end the attempt, or a handshake that takes longer
        // than callers wait would never end. And it catches the panic of rustls, which has no other way to say what it misses.
        let attempt = tokio::spawn(async move {
            let commands = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let line = Line {
                commands,
                unanswered: Arc::default(),
            };
            *current = Some(line.clone());
            Ok(line)
        });
        match attempt.await {
            Ok(line) => line.map_err(Failure::Client),
            Err(_) => Err(Failure::Panicked),
        }
    }
}

impl Line {
    fn is_usable(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) < UNANSWERED
    }

    async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let call = Call(&self.unanswered);
        let answers = self
            .commands
            .clone()
            .send_packed_commands(commands, 0, commands.len())
            .await;
        match &answers {
            Ok(answers) => call.answered(answers.iter().any(is_of_a_wrong_server)),
            Err(error) if error.is_unrecoverable_error() => call.answered(true),
            Err(_) => drop(call),
        }
        answers
    }
}

/// After a failover a name stands for another server, but the connection is still to the old one.
fn is_of_a_wrong_server(answer: &Value) -> bool {
    match answer {
        Value::ServerError(error) => Refusal::of(error) == Refusal::ReadOnly,
        _ => false,
    }
}

/// A call under way, unanswered if it is dropped.
struct Call<'a>(&'a AtomicU32);

impl Call<'_> {
    fn answered(self, last: bool) {
        let count = if last { UNANSWERED } else { 0 };
        self.0.store(count, Ordering::Relaxed);
        std::mem::forget(self);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // Cannot reach the end of the numbers: a connection that is not usable gets no new calls.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
