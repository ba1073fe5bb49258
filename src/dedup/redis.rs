mod connection;
mod failure;

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{Client, Cmd, Pipeline, Script, Value};

use self::{
    connection::Connection,
    failure::{Failure, Refusal},
};
use super::{Claim, Commit, Renewal, Store, StoreError, Token};
use crate::event::EventKey;

const PREFIX: &str = "wa:";

/// A century. Redis refuses what would not fit into its clock.
const LONGEST: u128 = 100 * 366 * 24 * 60 * 60 * 1000;

/// 0: claimed. 1: somebody else holds it. 2: done.
static CLAIM: LazyLock<Operation> = LazyLock::new(|| {
    Operation::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return #held == 1 and 2 or 1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0",
    )
});

/// 0: pending under this token. 1: another token holds it, or it is done.
///
/// `PEXPIRE` needs no memory: a server that is full still renews what it holds.
static RENEW: LazyLock<Operation> = LazyLock::new(|| {
    Operation::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 1 end
if held then redis.call('PEXPIRE', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 0",
    )
});

/// 0: done, now or before. 1: somebody else holds it.
///
/// A server without memory lets no script begin with `SET`, but a script that has written may go on: so the work that was done can be
/// recorded while claims are refused.
static COMMIT: LazyLock<Operation> = LazyLock::new(|| {
    Operation::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return #held == 1 and 0 or 1 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
return 0",
    )
});

/// 0: not held by this token, or no longer.
static RELEASE: LazyLock<Operation> = LazyLock::new(|| {
    Operation::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0",
    )
});

/// A [`Store`] for any number of processes: on a server of Redis 2.6.12 or later (`SET` with `PX`),
/// or of Valkey.
///
/// ```sh
/// docker run --rm -p 6379:6379 redis:7
/// ```
///
/// ```no_run
/// use tower_whatsapp::dedup::RedisStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::open("redis://user:password@127.0.0.1:6379/0")?;
/// // A wrong password shows now, and not with the first delivery.
/// store.check().await?;
/// # Ok(()) }
/// ```
///
/// A store has one connection for all its callers. Clones share it. It needs the Tokio runtime, with its drivers for time and I/O.
///
/// # What is asked of the server
///
/// A key is the [prefix](Self::prefix) and the 16 bytes of the [`EventKey`]. While it is pending its value is the token, for the lease;
/// when it is done its value is one byte, for the window. Redis removes it when its time has passed, so the server's clock decides, and
/// there is nothing to sweep. The client looks at no clock.
///
/// Each operation is a Lua script of a few lines that touches one key. The scripts for all keys of
/// a call are sent together: one round trip, and one more if the server does not know the script,
/// as after a restart. The layer makes a call for every 256 keys, some 68 kB.
///
/// # Setting up the server
///
/// - `maxmemory-policy noeviction`, or Redis may throw away what is pending: a duplicate. With it a server that is full refuses claims, as
///   [`StoreErrorKind::Full`](super::StoreErrorKind::Full); what is pending can still be renewed, committed and released.
/// - Memory: 117 bytes for a key that is done and 165 for one that is pending (Redis 7.0, 100,000 keys, all that the server takes for
///   them); 144 just after its tables have doubled, and up to a third more keys that have passed and are not thrown away yet. So 7 days of 10
///   events in a second take 0.7 GB, and it should have room for 1.1.
/// - Persistence and replication as you like. What a restart or a failover forgets is handled once more when Meta repeats it: a
///   duplicate, never a loss.
/// - A user of its own needs `+eval +evalsha +get +set +pexpire +del` and `~wa:*`, and `+select` if
///   the URL names a database other than 0.
///
/// # When the server is away
///
/// Calls fail, with the reason as the [source](std::error::Error::source) of the [`StoreError`]. The next call connects anew, so
/// there is nothing to wait for when the server is back. A call whose connection turns out to be closed is repeated once on a new one.
/// A connection is given up when it breaks, when three calls in a row were left without an answer, and when the server says that it is
/// a replica now. An attempt to connect may take 1 s, an answer 2 s; `DedupLayer` waits less.
///
/// A server that hung and goes on does what it was sent meanwhile. An event whose claim was among that, and whose sender has given up, is free again when
/// its lease has passed.
///
/// # Clusters and sentinels
///
/// The store talks to one address: a server, or a proxy before several. The scripts are safe in a cluster. The redirections of one are
/// not followed, and sentinels are not asked: both need an address that always leads to the right server.
#[derive(Clone)]
pub struct RedisStore {
    connection: Arc<Connection>,
    prefix: Arc<str>,
}

impl RedisStore {
    /// The store at this URL: `redis://user:password@host:port/database`, where all but the host may be missing, or
    /// `unix:///path/to/socket`.
    ///
    /// Connects with the first call, so that a service can start while the server is down. Call [`check`](Self::check) to know at once.
    ///
    /// # TLS
    ///
    /// With the feature `redis-tls` and `rediss://` the connection is encrypted, and the certificate of the server is checked
    /// against the certificates of the system. rustls needs a crypto provider, which is the choice of the host: exactly one of its
    /// features `ring` and `aws_lc_rs` in the whole build, or a call of `rustls::crypto::CryptoProvider::install_default`. Without one rustls
    /// panics when a connection is made: in a task of its own, so every call fails and says so, but with `panic = "abort"` the process ends. A server with a certificate of its own authority, or that
    /// asks for one of the client: [`from_client`](Self::from_client).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the URL is not one, or is one for TLS and the feature is off.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(Failure::Client)?;
        Ok(Self::from_client(client))
    }

    /// The store that this client leads to, for all settings that a URL does not have: certificates, sockets, the protocol.
    ///
    /// Connects with the first call.
    ///
    /// ```no_run
    /// # #[cfg(feature = "redis-tls")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_whatsapp::dedup::RedisStore;
    ///
    /// let client = redis::Client::build_with_tls("rediss://redis.internal", redis::TlsCertificates {
    ///     client_tls: None,
    ///     root_cert: Some(std::fs::read("authority.pem")?),
    /// })?;
    /// let store = RedisStore::from_client(client);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self {
            connection: Arc::new(Connection::new(client)),
            prefix: PREFIX.into(),
        }
    }

    /// What all keys begin with. The default is `wa:`, which sets them apart from whatever else is on the server.
    ///
    /// Services that handle the same events each in their own way need a prefix each, or one would take the events of the other.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Claims and releases a key that nobody else has: whether everything is set up, for the start of a service or its readiness.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as a delivery would get it.
    pub async fn check(&self) -> Result<(), StoreError> {
        let token = Token::random();
        let key = EventKey::from_bytes(Token::random().to_bytes());
        self.claim(&[key], token, Duration::from_secs(1)).await?;
        self.release(&[key], token).await
    }

    /// One call for each key, and what `meaning` makes of the answers.
    async fn call<T>(
        &self,
        operation: &Operation,
        keys: impl ExactSizeIterator<Item = (EventKey, Duration)> + Clone,
        token: Token,
        meaning: fn(i64) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        if keys.len() == 0 {
            return Ok(Vec::new());
        }
        let commands = self.commands("EVALSHA", &operation.hash, keys.clone(), token);
        let mut answers = self.connection.send(&commands).await?;
        if answers.iter().any(is_no_script) {
            // All of them carry the script, because a proxy may send each to another server. What was done already may be done again.
            let commands = self.commands("EVAL", operation.code, keys, token);
            answers = self.connection.send(&commands).await?;
        }
        let meanings = answers.iter().map(|answer| match answer {
            Value::Int(number) => meaning(*number).ok_or(Failure::Unexpected),
            Value::ServerError(error) => Err(Failure::Refused(Refusal::of(error))),
            _ => Err(Failure::Unexpected),
        });
        Ok(meanings.collect::<Result<_, _>>()?)
    }

    fn commands(
        &self,
        eval: &str,
        script: &str,
        keys: impl ExactSizeIterator<Item = (EventKey, Duration)>,
        token: Token,
    ) -> Pipeline {
        let mut commands = Pipeline::with_capacity(keys.len());
        for (key, time) in keys {
            let mut command = Cmd::with_capacity(6, script.len() + self.prefix.len() + 64);
            command
                .arg(eval)
                .arg(script)
                .arg(1)
                .arg([self.prefix.as_bytes(), &key.to_bytes()].concat())
                .arg(&token.to_bytes()[..])
                .arg(millis(time));
            commands.add_command(command);
        }
        commands
    }
}

impl Store for RedisStore {
    async fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let keys = keys.iter().map(|key| (*key, lease));
        let meaning = |answer| match answer {
            0 => Some(Claim::Claimed),
            1 => Some(Claim::Pending),
            2 => Some(Claim::Done),
            _ => None,
        };
        self.call(&CLAIM, keys, token, meaning).await
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let keys = keys.iter().map(|key| (*key, lease));
        let meaning = |answer| match answer {
            0 => Some(Renewal::Renewed),
            1 => Some(Renewal::Lost),
            _ => None,
        };
        self.call(&RENEW, keys, token, meaning).await
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let meaning = |answer| match answer {
            0 => Some(Commit::Recorded),
            1 => Some(Commit::Fenced),
            _ => None,
        };
        self.call(&COMMIT, keys.iter().copied(), token, meaning)
            .await
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let keys = keys.iter().map(|key| (*key, Duration::ZERO));
        let meaning = |answer| (answer == 0).then_some(());
        self.call(&RELEASE, keys, token, meaning).await?;
        Ok(())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A script, and the name by which the server knows it.
struct Operation {
    code: &'static str,
    hash: String,
}

impl Operation {
    fn new(code: &'static str) -> Self {
        let hash = Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }
}

fn is_no_script(answer: &Value) -> bool {
    match answer {
        Value::ServerError(error) => Refusal::of(error) == Refusal::NoScript,
        _ => false,
    }
}

/// What Redis takes as a time to live: at least one, and rather too long than too short.
fn millis(time: Duration) -> u64 {
    let millis = time.as_nanos().div_ceil(1_000_000).clamp(1, LONGEST);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_what_redis_takes() {
        let rows = [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(1), 1),
            (Duration::from_micros(1001), 2),
            (Duration::from_secs(30), 30_000),
            (Duration::MAX, 3_162_240_000_000),
        ];
        for (time, expected) in rows {
            assert_eq!(millis(time), expected, "{time:?}");
        }
    }

    #[test]
    fn no_output_has_the_url_or_the_password() {
        for url in [
            "redis://ann:canary@canary.example:1/0",
            "redis://ann:canary@:1",
            "redis://ann:canary@host:port",
            "redis://ann:canary@host/canary",
            "redis://ann:canary@host/?protocol=canary",
            "http://ann:canary@host",
            "canary",
        ] {
            let output = format!("{:?}", RedisStore::open(url));
            assert!(
                !output.contains("canary") && !output.contains("ann"),
                "{output}"
            );
        }
    }
}
