use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, Pipeline, RedisError, Value, aio::MultiplexedConnection,
};
use tokio::{sync::watch, time::timeout};

use super::failure::{Failure, Refusal};

/// For callers without a timeout of their own. Far longer than a call with a thousand keys takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that is reachable again is found within this time, even if an earlier attempt still
/// waits for an answer of its host.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// Age at which an attempt to connect is given up. It has a timeout of its own, which only passes
/// while its runtime is driven: that of a test, or of a thread that is blocked, may not be.
const MAX_ATTEMPT: Duration = CONNECTION_TIMEOUT.saturating_add(Duration::from_secs(1));

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
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    current: Option<OpenConnection>,
    attempt: Option<Attempt>,
}

/// An attempt to connect, in a task of its own. All callers wait for the same one.
#[derive(Clone)]
struct Attempt {
    begun: Instant,
    /// `None` until it has ended. Closed without a result if it panicked.
    result: watch::Receiver<Option<Result<OpenConnection, RedisError>>>,
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
            state: Arc::default(),
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
        loop {
            let mut attempt = match self.current_or_attempt() {
                Ok(connection) => return Ok(connection),
                Err(attempt) => attempt,
            };
            let left = MAX_ATTEMPT.saturating_sub(attempt.begun.elapsed());
            let ended = attempt.result.wait_for(Option::is_some);
            let Ok(ended) = timeout(left, ended).await else {
                // Another attempt replaces it.
                continue;
            };
            return match ended.as_deref() {
                Ok(Some(result)) => result.clone().map_err(Failure::Client),
                Ok(None) | Err(_) => Err(Failure::Panicked),
            };
        }
    }

    /// Returns the current connection, or the attempt to open one.
    fn current_or_attempt(&self) -> Result<OpenConnection, Attempt> {
        let mut state = lock(&self.state);
        let usable = state.current.as_ref().filter(|current| current.is_usable());
        if let Some(connection) = usable {
            return Ok(connection.clone());
        }
        state.current = None;
        let attempt = state.attempt.take_if(|attempt| attempt.is_running());
        let attempt = attempt.unwrap_or_else(|| self.connect());
        state.attempt = Some(attempt.clone());
        Err(attempt)
    }

    /// Starts an attempt to connect.
    fn connect(&self) -> Attempt {
        let (sender, result) = watch::channel(None);
        let client = self.client.clone();
        let config = self.config.clone();
        let state = Arc::clone(&self.state);
        // A separate task. A caller that gives up must not cancel the attempt, or a handshake that
        // takes longer than callers wait would never succeed. The task also catches the panic of
        // rustls without a crypto provider.
        tokio::spawn(async move {
            let commands = client.get_multiplexed_async_connection_with_config(&config);
            let connection = commands.await.map(|commands| OpenConnection {
                commands,
                unanswered: Arc::default(),
            });
            if let Ok(connection) = &connection {
                lock(&state).current = Some(connection.clone());
            }
            sender.send_replace(Some(connection));
        });
        Attempt {
            begun: Instant::now(),
            result,
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // The state is consistent after every assignment, so a poisoned lock is harmless.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attempt {
    fn is_running(&self) -> bool {
        let has_ended = self.result.borrow().is_some() || self.result.has_changed().is_err();
        !has_ended && self.begun.elapsed() < MAX_ATTEMPT
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
