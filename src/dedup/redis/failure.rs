use std::{error::Error, fmt};

use redis::{ErrorKind, RedisError, ServerError};

use super::super::StoreError;

/// A failed call. Its texts are constants: those of the server or of the URL parser may repeat
/// secrets from their input.
pub(super) enum Failure {
    Client(RedisError),
    Panicked,
    Refused(Refusal),
    Unexpected,
}

/// The error codes of a server, by what they mean here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    NoScript,
    ReadOnly,
    Loading,
    Disk,
    Cluster,
    /// The URL has no password, or a wrong one.
    Password,
    Permission,
    Other,
}

impl Refusal {
    pub(super) fn of(error: &ServerError) -> Self {
        let code = match error.code() {
            // Before Redis 7 an error within a script is text in an `ERR`:
            // `ERR Error running script (call to f_…): @user_script:3: -OOM command …`.
            "ERR" => error
                .details()
                .and_then(|text| text.split(' ').find_map(|word| word.strip_prefix('-')))
                .unwrap_or("ERR"),
            code => code,
        };
        match code {
            "OOM" => Self::Full,
            "NOSCRIPT" => Self::NoScript,
            "READONLY" => Self::ReadOnly,
            "LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN" => Self::Loading,
            "MISCONF" | "NOREPLICAS" => Self::Disk,
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => Self::Cluster,
            "NOAUTH" | "WRONGPASS" => Self::Password,
            "NOPERM" => Self::Permission,
            _ => Self::Other,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal::Full) => Self::full_because(failure),
            failure => Self::unavailable(failure),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(error) => match error.kind() {
                ErrorKind::Io if error.is_connection_refusal() => {
                    "the Redis server refused the connection"
                }
                ErrorKind::Io if error.is_timeout() => "the Redis server did not answer in time",
                ErrorKind::Io => "the connection to the Redis server failed",
                ErrorKind::AuthenticationFailed => {
                    "the Redis server refused the user, the password, or any more connections"
                }
                ErrorKind::InvalidClientConfig if !cfg!(feature = "redis-tls") => {
                    "the URL of the Redis server is not valid (example: redis://127.0.0.1:6379), or needs the feature redis-tls"
                }
                ErrorKind::InvalidClientConfig => "the URL of the Redis server is not valid",
                ErrorKind::Server(_) => "the Redis server refused the handshake",
                _ => "the client of the Redis server failed",
            },
            Self::Panicked => {
                "connecting to the Redis server panicked: TLS needs a crypto provider of rustls"
            }
            Self::Refused(refusal) => match refusal {
                Refusal::Full => "the Redis server has no memory left",
                Refusal::NoScript => "the Redis server lost the script again",
                Refusal::ReadOnly => "the Redis server is a replica that takes no writes",
                Refusal::Loading => "the Redis server is not ready yet",
                Refusal::Disk => {
                    "the Redis server takes no writes because it cannot save or replicate them"
                }
                Refusal::Cluster => "the Redis server is a node of a cluster without this key",
                Refusal::Password => {
                    "the Redis server requires a password, or another one: put it into the URL, \
                     redis://user:password@host"
                }
                Refusal::Permission => "the Redis server does not permit this user to do it",
                Refusal::Other => "the Redis server refused the command",
            },
            Self::Unexpected => "the Redis server answered something else",
        })
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match self.source() {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Errors of the system, the resolver or rustls contain at most the name of the host.
            Self::Client(error) if error.is_io_error() => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    #[test]
    fn error_codes_of_old_and_new_servers_are_recognised() {
        let rows = [
            (
                "-OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:3.",
                Refusal::Full,
            ),
            (
                "-ERR Error running script (call to f_4ca2): @user_script:3: @user_script: 3: -OOM command not allowed",
                Refusal::Full,
            ),
            (
                "-READONLY You can't write against a read only replica.",
                Refusal::ReadOnly,
            ),
            (
                "-ERR Error running script (call to f_4ca2): @user_script:3: -READONLY You can't write",
                Refusal::ReadOnly,
            ),
            (
                "-NOSCRIPT No matching script. Please use EVAL.",
                Refusal::NoScript,
            ),
            (
                "-LOADING Redis is loading the dataset in memory",
                Refusal::Loading,
            ),
            ("-MASTERDOWN Link with MASTER is down", Refusal::Loading),
            ("-BUSY Redis is busy running a script.", Refusal::Loading),
            (
                "-TRYAGAIN Multiple keys request during rehashing of slot",
                Refusal::Loading,
            ),
            (
                "-MISCONF Redis is configured to save RDB snapshots",
                Refusal::Disk,
            ),
            (
                "-NOREPLICAS Not enough good replicas to write.",
                Refusal::Disk,
            ),
            ("-MOVED 3999 127.0.0.1:6381", Refusal::Cluster),
            ("-ASK 3999 127.0.0.1:6381", Refusal::Cluster),
            ("-CLUSTERDOWN Hash slot not served", Refusal::Cluster),
            ("-NOAUTH Authentication required.", Refusal::Password),
            ("-NOPERM this user has no permissions", Refusal::Permission),
            ("-ERR unknown command 'EVALSHA'", Refusal::Other),
            ("-WRONGTYPE Operation against a key", Refusal::Other),
        ];
        for (line, refusal) in rows {
            let answer = parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap();
            let Value::ServerError(error) = answer else {
                panic!("{line}")
            };
            assert_eq!(Refusal::of(&error), refusal, "{line}");
        }
    }
}
