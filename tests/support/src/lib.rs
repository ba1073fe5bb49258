//! Helpers of tests, benchmarks and fuzz targets: signatures, deliveries, and scripted bodies.

mod body;
#[cfg(all(feature = "examples", target_os = "linux"))]
pub mod exhaustion;
pub mod json;
pub mod mutants;
pub mod oracle;
pub mod port;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
#[cfg(feature = "examples")]
pub mod process;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "examples")]
pub mod webhook;

use std::{
    env,
    fmt::Display,
    fs,
    future::Future,
    io::{self, Write},
    panic::Location,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower_whatsapp::{WebhookLayer, WebhookLayerBuilder};

pub use self::body::{Broken, Counted, Counter, Script, Step};

/// Canary values that are easy to find in any output.
pub const SECRET: &str = "canary-app-secret-5f1d";
pub const TOKEN: &str = "canary-verify-token-77";
pub const CHALLENGE: &str = "1158201444";
pub const PATH: &str = "/wh";

/// The crate's default, repeated here so that a test fails if it changes.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

pub fn builder() -> WebhookLayerBuilder {
    WebhookLayer::builder()
        .path(PATH)
        .app_secret(SECRET)
        .verify_token(TOKEN)
}

pub fn layer() -> WebhookLayer {
    builder().build().expect("the settings are good")
}

pub fn tag(secret: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).expect("any length will do");
    mac.update(body.as_ref());
    mac.finalize().into_bytes().into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature header, computed without the crate's code.
pub fn sign(secret: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
    format!("sha256={}", hex(&tag(secret, body)))
}

/// The request target of a valid handshake.
pub fn handshake(token: &str, challenge: &str) -> String {
    format!("{PATH}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge={challenge}")
}

/// Directory of the collection of real notifications, if the machine has it.
pub fn payloads() -> PathBuf {
    shared("payloads")
}

/// The index of the collection. Says so without it: the tests use bodies of their own then.
pub fn payloads_index() -> Option<String> {
    let index = fs::read_to_string(payloads().join("INDEX.tsv")).ok();
    if index.is_none() {
        not_run("real notifications: ../shared/payloads is missing");
    }
    index
}

/// Says that a test checks nothing on this machine. The line is shown although the test passes,
/// because only the print macros are captured.
pub fn not_run(what: impl Display) {
    let _ = writeln!(io::stderr(), "NOT RUN: {what}");
}

/// A file of the collection next to the repository.
pub fn shared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(name)
}

/// How many times a long test repeats its work: `full` times if `LONG_TESTS` is set, otherwise a
/// tenth, so that `cargo test` is quick. `.ci/run` and `scripts/assure` set it.
pub fn repetitions(full: usize) -> usize {
    if long_tests() { full } else { full / 10 }
}

/// Whether `LONG_TESTS` is set.
pub fn long_tests() -> bool {
    env::var_os("LONG_TESTS").is_some()
}

/// Time limit of everything that a test waits for. Far longer than anything takes, also on a busy
/// machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for `work`, at most [`PATIENCE`].
///
/// # Panics
///
/// Panics after that with the test, its line and `what` was waited for: a fault must not make a
/// test hang without a name.
#[track_caller]
pub fn within<F: Future>(what: &str, work: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        let Ok(done) = tokio::time::timeout(PATIENCE, work).await else {
            let thread = thread::current();
            let test = thread.name().unwrap_or("a test");
            panic!("{test} waits in vain for {what} ({caller})");
        };
        done
    }
}
