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

/// Maximum time to live, milliseconds: a century. Redis refuses times that overflow its clock.
const MAX_TTL: u128 = 100 * 366 * 24 * 60 * 60 * 1000;

/// Returns 0: claimed. 1: pending under another token. 2: done.
static CLAIM: LazyLock<LuaScript> = LazyLock::new(|| {
    LuaScript::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return #held == 1 and 2 or 1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0",
    )
});

/// Returns 0: pending under this token. 1: pending under another token, or done.
///
/// `PEXPIRE` needs no memory, so a full server still renews pending keys.
static RENEW: LazyLock<LuaScript> = LazyLock::new(|| {
    LuaScript::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 1 end
if held then redis.call('PEXPIRE', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 0",
    )
});

/// Returns 0: done, now or before. 1: pending under another token.
///
/// A full server refuses a script whose first write is `SET`, but not a `SET` after another write.
/// With `DEL` first, handled events can be recorded while claims are refused.
static COMMIT: LazyLock<LuaScript> = LazyLock::new(|| {
    LuaScript::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return #held == 1 and 0 or 1 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
return 0",
    )
});

/// Returns 0: not pending under this token, or no longer.
static RELEASE: LazyLock<LuaScript> = LazyLock::new(|| {
    LuaScript::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0",
    )
});

/// A [`Store`] for any number of processes, on a server of Redis 2.6.12 or later (`SET` with `PX`)
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
/// // Finds a wrong password now, and not with the first delivery.
/// store.check().await?;
/// # Ok(()) }
/// ```
///
/// A store and its clones share one connection. It needs a Tokio runtime with time and I/O enabled.
///
/// # Keys and commands
///
/// A key on the server is the [prefix](Self::prefix) and the 16 bytes of the [`EventKey`]. The
/// value of a pending key is its token, and it expires with the lease. The value of a done key is
/// one byte, and it expires with the window. Redis removes expired keys, so the clock of the server
/// decides, and no purge is needed. The client reads no clock.
///
/// Each operation is a Lua script of a few lines on one key. The scripts for all keys of a call are
/// sent in one pipeline. That is one round trip, or two if the server does not know the script, for
/// example after a restart. The layer sends at most 256 keys in one call, about 68 kB.
///
/// # Setting up the server
///
/// - Set `maxmemory-policy noeviction`. With another policy Redis may evict pending keys, so that
///   events are handled twice. With `noeviction` a full server refuses claims with
///   [`StoreErrorKind::Full`](super::StoreErrorKind::Full); pending keys can still be renewed,
///   committed and released.
/// - Memory: 117 bytes per done key and 165 per pending key (Redis 7.0 with 100,000 keys, total
///   memory of the server for them). A done key takes 144 bytes just after a resize of the hash
///   table, and up to a third more keys can be expired and not yet removed. Ten events per second
///   for 7 days take 0.7 GB, 0.9 GB with the expired keys still present; allow 1.1 GB.
/// - Persistence and replication are optional. Keys that are lost in a restart or a failover cause
///   duplicates when Meta repeats their events, never the loss of an event.
/// - An ACL user needs `+eval +evalsha +get +set +pexpire +del` and `~wa:*`, and `+select` if the
///   URL has a database other than 0.
///
/// # Failures of the server
///
/// Calls fail with the reason as the [source](std::error::Error::source) of the [`StoreError`].
/// Each call connects again if there is no connection, so the store recovers with the server. A
/// call whose connection turns out to be closed is repeated once on a new one.
///
/// A connection is closed when it breaks, when three consecutive calls got no answer, and when the
/// server reports that it is a replica. An attempt to connect may take 1 s and an answer 2 s;
/// `DedupLayer` waits less. All callers wait for one attempt and get its error. An attempt that has
/// not ended after 2 s, because nobody drives the runtime that it began in, is replaced.
///
/// A server that resumes after a hang still executes queued commands. An event can be claimed by
/// such a command after its caller has given up; it can be claimed again when that lease has
/// expired.
///
/// # Clusters and sentinels
///
/// The store connects to one address: that of a server, or of a proxy in front of several. The
/// scripts are safe in a cluster. Cluster redirections are not followed and sentinels are not
/// queried, so the address must always lead to the right server.
#[derive(Clone)]
pub struct RedisStore {
    connection: Arc<Connection>,
    prefix: Arc<str>,
}

impl RedisStore {
    /// Creates a store for the server at this URL: `redis://user:password@host:port/database`, in
    /// which only the host is required, or `unix:///path/to/socket`.
    ///
    /// It connects at the first call, so that a service can start while the server is down.
    /// [`check`](Self::check) connects at once.
    ///
    /// # TLS
    ///
    /// With the feature `redis-tls` and a URL with `rediss://` the connection is encrypted, and the
    /// certificate of the server is verified with the root certificates of the system. For a
    /// private certificate authority or a client certificate use
    /// [`from_client`](Self::from_client).
    ///
    /// rustls needs a crypto provider, which the host chooses: exactly one of its features `ring`
    /// and `aws_lc_rs` in the whole build, or a call of
    /// `rustls::crypto::CryptoProvider::install_default`. Without one rustls panics when it
    /// connects. That happens in a task of its own, so every call fails with an error that says so,
    /// but with `panic = "abort"` the process ends.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the URL is invalid, or needs TLS and the feature is off.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(Failure::Client)?;
        Ok(Self::from_client(client))
    }

    /// Creates a store from a client, for settings that a URL does not have: certificates, sockets,
    /// the protocol.
    ///
    /// It connects at the first call.
    ///
    /// ```no_run
    /// # #[cfg(feature = "redis-tls")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_whatsapp::dedup::RedisStore;
    ///
    /// let certificates = redis::TlsCertificates {
    ///     client_tls: None,
    ///     root_cert: Some(std::fs::read("authority.pem")?),
    /// };
    /// let client = redis::Client::build_with_tls("rediss://redis.internal", certificates)?;
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

    /// Sets the prefix of all keys on the server. Default: `wa:`, which avoids collisions with
    /// other data.
    ///
    /// Two services that both handle the same events need different prefixes. With the same prefix
    /// each event would be handled by one of them only.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Checks the connection and the permissions: claims and releases a random key. For the start
    /// of a service, or its readiness probe.
    ///
    /// # Errors
    ///
    /// The [`StoreError`] that a delivery would get.
    pub async fn check(&self) -> Result<(), StoreError> {
        let token = Token::random();
        let key = EventKey::from_bytes(Token::random().to_bytes());
        self.claim(&[key], token, Duration::from_secs(1)).await?;
        self.release(&[key], token).await
    }

    /// Runs a script for each key and decodes its answers.
    async fn call<T>(
        &self,
        script: &LuaScript,
        keys: impl ExactSizeIterator<Item = (EventKey, Duration)> + Clone,
        token: Token,
        decode: fn(i64) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        if keys.len() == 0 {
            return Ok(Vec::new());
        }
        let commands = self.commands("EVALSHA", &script.hash, keys.clone(), token);
        let mut answers = self.connection.send(&commands).await?;
        if answers.iter().any(is_no_script) {
            // All commands carry the script, because a proxy may send each to another server. It is
            // safe to repeat those that were executed.
            let commands = self.commands("EVAL", script.code, keys, token);
            answers = self.connection.send(&commands).await?;
        }
        let decoded = answers.iter().map(|answer| match answer {
            Value::Int(number) => decode(*number).ok_or(Failure::Unexpected),
            Value::ServerError(error) => Err(Failure::Refused(Refusal::of(error))),
            _ => Err(Failure::Unexpected),
        });
        Ok(decoded.collect::<Result<_, _>>()?)
    }

    fn commands(
        &self,
        eval: &str,
        script: &str,
        keys: impl ExactSizeIterator<Item = (EventKey, Duration)>,
        token: Token,
    ) -> Pipeline {
        let mut commands = Pipeline::with_capacity(keys.len());
        for (key, ttl) in keys {
            let mut command = Cmd::with_capacity(6, script.len() + self.prefix.len() + 64);
            command
                .arg(eval)
                .arg(script)
                .arg(1)
                .arg([self.prefix.as_bytes(), &key.to_bytes()].concat())
                .arg(&token.to_bytes()[..])
                .arg(ttl_millis(ttl));
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
        let decode = |answer| match answer {
            0 => Some(Claim::Claimed),
            1 => Some(Claim::Pending),
            2 => Some(Claim::Done),
            _ => None,
        };
        self.call(&CLAIM, keys, token, decode).await
    }

    async fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let keys = keys.iter().map(|key| (*key, lease));
        let decode = |answer| match answer {
            0 => Some(Renewal::Renewed),
            1 => Some(Renewal::Lost),
            _ => None,
        };
        self.call(&RENEW, keys, token, decode).await
    }

    async fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> Result<Vec<Commit>, StoreError> {
        let decode = |answer| match answer {
            0 => Some(Commit::Recorded),
            1 => Some(Commit::Fenced),
            _ => None,
        };
        self.call(&COMMIT, keys.iter().copied(), token, decode)
            .await
    }

    async fn release(&self, keys: &[EventKey], token: Token) -> Result<(), StoreError> {
        let keys = keys.iter().map(|key| (*key, Duration::ZERO));
        let decode = |answer| (answer == 0).then_some(());
        self.call(&RELEASE, keys, token, decode).await?;
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

/// A script, and the SHA-1 hash by which `EVALSHA` names it.
struct LuaScript {
    code: &'static str,
    hash: String,
}

impl LuaScript {
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

/// Returns a time to live that Redis accepts: rounded up, at least one millisecond.
fn ttl_millis(ttl: Duration) -> u64 {
    let millis = ttl.as_nanos().div_ceil(1_000_000).clamp(1, MAX_TTL);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_rounded_up_and_limited() {
        let rows = [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(1), 1),
            (Duration::from_micros(1001), 2),
            (Duration::from_secs(30), 30_000),
            (Duration::MAX, 3_162_240_000_000),
        ];
        for (ttl, expected) in rows {
            assert_eq!(ttl_millis(ttl), expected, "{ttl:?}");
        }
    }

    #[test]
    fn debug_shows_neither_the_url_nor_the_password() {
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
