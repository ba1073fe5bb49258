//! Tests of `RedisStore` with real servers that the tests start: its states, and faults of the
//! server and the connection.
//!
//! `cargo test --all-features --test dedup redis_store -- --ignored`, with `redis-server` on the
//! PATH.

use std::{
    convert::Infallible,
    error::Error,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use test_support::{
    port,
    redis::{PATIENCE, Proxy, Server},
};
use tokio::time::timeout;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{
        Claim, Commit, DedupLayer, RedisStore, Renewal, Store, StoreError, StoreErrorKind, Token,
    },
    event::EventKey,
    testing::{delivery, sample, store::conformance},
    webhook::RequestBody,
};

const LEASE: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The layer's timeout for a call.
const LIMIT: Duration = Duration::from_millis(250);

const A: Token = Token::from_bytes(*b"worker A's token");
const B: Token = Token::from_bytes(*b"worker B's token");

fn open(server: &Server) -> RedisStore {
    RedisStore::open(&server.url()).unwrap()
}

fn key(number: u32) -> EventKey {
    let mut bytes = [0; 16];
    // Not UTF-8, and with the line terminators of the protocol.
    bytes[..6].copy_from_slice(b"\r\n\0\xff $");
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    EventKey::from_bytes(bytes)
}

fn keys(count: u32) -> Vec<EventKey> {
    (0..count).map(key).collect()
}

fn windows(keys: &[EventKey]) -> Vec<(EventKey, Duration)> {
    keys.iter().map(|key| (*key, WINDOW)).collect()
}

/// Name of an event's key on the server.
fn name(prefix: &str, key: EventKey) -> Vec<u8> {
    [prefix.as_bytes(), &key.to_bytes()].concat()
}

fn on_key<T: redis::FromRedisValue>(server: &Server, command: &str, key: EventKey) -> T {
    redis::cmd(command)
        .arg(name("wa:", key))
        .query(&mut server.connection())
        .unwrap()
}

async fn claim(store: &RedisStore, number: u32, token: Token) -> Result<Claim, StoreError> {
    let claims = store.claim(&[key(number)], token, LEASE).await?;
    assert_eq!(claims.len(), 1);
    Ok(claims[0])
}

async fn commit(store: &RedisStore, number: u32, token: Token) -> Result<Commit, StoreError> {
    let commits = store.commit(&[(key(number), WINDOW)], token).await?;
    assert_eq!(commits.len(), 1);
    Ok(commits[0])
}

async fn release(store: &RedisStore, number: u32, token: Token) -> Result<(), StoreError> {
    store.release(&[key(number)], token).await
}

/// Waits until a call succeeds, and returns the number of failures.
async fn recovers(store: &RedisStore) -> u32 {
    let start = Instant::now();
    let mut failures = 0;
    while !matches!(timeout(LIMIT, store.check()).await, Ok(Ok(()))) {
        failures += 1;
        assert!(start.elapsed() < PATIENCE, "it does not come back");
    }
    failures
}

fn reason(error: &StoreError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(reason(&error), expected, "{error:?}");
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn states() {
    let server = Server::start();
    let store = open(&server);
    // Absent: a claim succeeds, and again under the same token.
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Pending);
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    // Other tokens cannot release it.
    release(&store, 1, B).await.unwrap();
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Pending);
    assert_eq!(commit(&store, 1, B).await.unwrap(), Commit::Fenced);
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Pending);
    // Released twice: free for anyone.
    release(&store, 1, A).await.unwrap();
    release(&store, 1, A).await.unwrap();
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Claimed);
    // Committed twice: nobody can claim it, and it cannot be released.
    assert_eq!(commit(&store, 1, B).await.unwrap(), Commit::Recorded);
    assert_eq!(commit(&store, 1, B).await.unwrap(), Commit::Recorded);
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Recorded);
    release(&store, 1, A).await.unwrap();
    release(&store, 1, B).await.unwrap();
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Done);
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Done);
    // Absent: a commit succeeds as well.
    assert_eq!(commit(&store, 2, A).await.unwrap(), Commit::Recorded);
    assert_eq!(claim(&store, 2, B).await.unwrap(), Claim::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn it_conforms() {
    let server = Server::start();
    conformance(open(&server)).await;
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn answers_are_in_the_order_of_the_keys() {
    let server = Server::start();
    let store = open(&server);
    let all = keys(6);
    store.claim(&all[..2], A, LEASE).await.unwrap();
    store.commit(&windows(&all[2..4]), A).await.unwrap();
    let mixed = [all[5], all[0], all[2], all[4], all[3], all[1]];
    assert_eq!(
        store.claim(&mixed, B, LEASE).await.unwrap(),
        [
            Claim::Claimed,
            Claim::Pending,
            Claim::Done,
            Claim::Claimed,
            Claim::Done,
            Claim::Pending
        ]
    );
    assert_eq!(
        store.commit(&windows(&mixed), B).await.unwrap(),
        [
            Commit::Recorded,
            Commit::Fenced,
            Commit::Recorded,
            Commit::Recorded,
            Commit::Recorded,
            Commit::Fenced
        ]
    );
    assert_eq!(store.claim(&[], A, LEASE).await.unwrap(), []);
    assert_eq!(store.commit(&[], A).await.unwrap(), []);
    store.release(&[], A).await.unwrap();
}

/// Only the server's time to live decides whether a key has expired.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn the_clock_of_the_server_decides() {
    let server = Server::start();
    let store = open(&server);
    let left = |number| Duration::from_millis(on_key(&server, "PTTL", key(number)));
    let expire = |number| {
        let mut command = redis::cmd("PEXPIRE");
        let expired: bool = command
            .arg(name("wa:", key(number)))
            .arg(0)
            .query(&mut server.connection())
            .unwrap();
        assert!(expired);
    };

    claim(&store, 1, A).await.unwrap();
    assert!(left(1) <= LEASE && left(1) > LEASE - PATIENCE / 3);
    // A claim with the same token renews the lease, one with another token does not.
    let long = LEASE * 100;
    store.claim(&[key(1)], A, long).await.unwrap();
    store.claim(&[key(1)], B, 2 * long).await.unwrap();
    assert!(left(1) <= long && left(1) > long - PATIENCE);
    // The lease expires: others may claim it, and its holder is fenced.
    expire(1);
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Claimed);
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Fenced);
    release(&store, 1, A).await.unwrap();
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Pending);
    // The lease expires and nobody claims it: the commit succeeds.
    expire(1);
    assert_eq!(commit(&store, 1, B).await.unwrap(), Commit::Recorded);
    assert!(left(1) <= WINDOW && left(1) > WINDOW - PATIENCE);
    // Never shortened.
    let short = Duration::from_millis(1);
    store.commit(&[(key(1), short)], B).await.unwrap();
    store.claim(&[key(1)], B, short).await.unwrap();
    release(&store, 1, B).await.unwrap();
    assert!(left(1) > WINDOW - PATIENCE);
    // The window expires.
    expire(1);
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    // Ends of the range.
    store.claim(&[key(2)], A, Duration::MAX).await.unwrap();
    assert!(left(2) > WINDOW * 5000);
    store.claim(&[key(3)], A, Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(claim(&store, 3, B).await.unwrap(), Claim::Claimed);
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn prefixes_set_keys_apart() {
    let server = Server::start();
    let one = open(&server);
    let other = open(&server).prefix("other:");
    claim(&one, 1, A).await.unwrap();
    assert_eq!(claim(&other, 1, B).await.unwrap(), Claim::Claimed);
    let mut names: Vec<Vec<u8>> = server.run("KEYS *");
    names.sort();
    assert_eq!(names, [name("other:", key(1)), name("wa:", key(1))]);
    assert_eq!(on_key::<Vec<u8>>(&server, "GET", key(1)), A.to_bytes());
    commit(&one, 1, A).await.unwrap();
    assert_eq!(on_key::<Vec<u8>>(&server, "GET", key(1)), b"1");
    one.check().await.unwrap();
    assert_eq!(server.run::<usize>("DBSIZE"), 2);
}

/// Eight callers with separate connections claim the same keys in overlapping batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn of_many_racers_one_wins() {
    const KEYS: u32 = 2000;
    let server = Server::start();
    let racers: Vec<_> = (0..8)
        .map(|racer: u8| {
            let store = open(&server);
            tokio::spawn(async move {
                let token = Token::from_bytes([racer; 16]);
                let mut all = keys(KEYS);
                // Half of them use the reverse order, and sizes differ.
                if racer % 2 == 1 {
                    all.reverse();
                }
                let mut won = Vec::new();
                for batch in all.chunks(1 + usize::from(racer) * 7) {
                    let claims = store.claim(batch, token, LEASE).await.unwrap();
                    let claims = batch.iter().zip(claims);
                    won.extend(claims.filter(|(_, claim)| *claim == Claim::Claimed));
                }
                won.into_iter().map(|(key, _)| *key).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut won = Vec::new();
    let mut winners = 0;
    for racer in racers {
        let keys = racer.await.unwrap();
        winners += usize::from(!keys.is_empty());
        won.extend(keys);
    }
    won.sort();
    assert_eq!(won, keys(KEYS));
    assert!(winners > 1, "there was no race");
}

/// Responses are held back until all thousand calls were sent. A store that waited for each
/// response would hang.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_batch_is_one_round_trip() {
    const KEYS: usize = 1000;
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    let store = RedisStore::open(&proxy.url()).unwrap();
    let all = keys(KEYS as u32);
    let batch = windows(&all);
    // If the server has lost the scripts, everything is sent again once.
    for trips in [1, 2] {
        server.run::<()>("FLUSHALL");
        store.check().await.unwrap();
        commit(&store, KEYS as u32, A).await.unwrap();
        let hold = || {
            if trips == 2 {
                server.run::<()>("SCRIPT FLUSH");
            }
            proxy.hold(KEYS);
        };

        hold();
        let claims = timeout(PATIENCE, store.claim(&all, A, LEASE)).await;
        assert_eq!(claims.unwrap().unwrap(), [Claim::Claimed; KEYS]);
        assert_eq!(proxy.seen(), (trips * KEYS, trips));

        hold();
        let released = timeout(PATIENCE, store.release(&all, A)).await;
        released.unwrap().unwrap();
        assert_eq!(proxy.seen(), (trips * KEYS, trips));
        assert_eq!(server.run::<usize>("DBSIZE"), 1);

        hold();
        let commits = timeout(PATIENCE, store.commit(&batch, A)).await;
        assert_eq!(commits.unwrap().unwrap(), [Commit::Recorded; KEYS]);
        assert_eq!(proxy.seen(), (trips * KEYS, trips));
        proxy.hold(0);
    }
    assert_eq!(proxy.connections(), 1);
}

/// 14,000 statuses need 3.7 MB to Redis, twice: 0.6 s each at 50 Mbit/s, more than the timeout of a
/// call. The store splits them into several calls, so none takes too long, and other deliveries get
/// through in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_large_delivery_through_a_narrow_line() {
    const EVENTS: usize = 14_000;
    const PATH: &str = "/webhook";
    const SECRET: &str = "secret";
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    let store = RedisStore::open(&proxy.url()).unwrap();
    store.check().await.unwrap();

    let handled = Arc::new(AtomicUsize::new(0));
    let fails = Arc::new(AtomicBool::new(true));
    let handler = {
        let (handled, fails) = (Arc::clone(&handled), Arc::clone(&fails));
        service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
            let notification = request.extensions().get::<Notification>().unwrap();
            handled.fetch_add(notification.events().len(), Ordering::SeqCst);
            let mut response = Response::new(Full::<Bytes>::default());
            if fails.load(Ordering::SeqCst) {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            async { Ok::<_, Infallible>(response) }
        })
    };
    // The default timeout of a store call. The response deadline is too short for a busy machine.
    let dedup = DedupLayer::builder(store)
        .response_deadline(PATIENCE)
        .build()
        .unwrap();
    let handle = dedup.handle();
    let webhook = WebhookLayer::builder()
        .path(PATH)
        .app_secret(SECRET)
        .verify_token("token")
        // The samples are longer than real statuses.
        .body_limit(16 * 1024 * 1024)
        .build()
        .unwrap();
    let service = webhook.layer(dedup.layer(handler));
    let send = |body: Bytes| {
        let request = delivery(PATH, body, SECRET).map(Full::new);
        let service = service.clone();
        async move { service.oneshot(request).await.unwrap().status() }
    };
    let statuses = sample::named("status_sent").unwrap().repeat(EVENTS);
    let statuses = statuses.body();

    proxy.throttle(50_000_000);
    // Claimed, then released because the handler fails.
    assert_eq!(
        send(statuses.clone()).await,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(handled.swap(0, Ordering::SeqCst), EVENTS);
    assert_eq!(server.run::<usize>("DBSIZE"), 0);

    // Claimed and committed, while small deliveries also get through.
    fails.store(false, Ordering::SeqCst);
    let large = tokio::spawn(send(statuses.clone()));
    let mut small = 0;
    while !large.is_finished() {
        let text = sample::text("hi").id(format!("wamid.{small}"));
        assert_eq!(send(text.body()).await, StatusCode::OK);
        small += 1;
    }
    assert_eq!(large.await.unwrap(), StatusCode::OK);
    assert!(small > 0);
    assert_eq!(handled.load(Ordering::SeqCst), EVENTS + small);
    assert_eq!(server.run::<usize>("DBSIZE"), EVENTS + small);

    // Done, so a duplicate.
    assert_eq!(send(statuses).await, StatusCode::OK);
    assert_eq!(handled.load(Ordering::SeqCst), EVENTS + small);
    assert_eq!(handle.counters().store_failures, 0);
}

/// Callers that time out do not cancel the connection attempt.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_handshake_that_takes_longer_than_callers_wait() {
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    proxy.slow();
    let store = RedisStore::open(&proxy.url()).unwrap();
    assert!(recovers(&store).await > 0);
}

/// The runtime in which the attempt to connect began is alive, and nobody drives it: that of a
/// test, or of a thread that is blocked.
#[test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
fn an_attempt_in_a_runtime_that_nobody_drives() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let server = Server::start();
    let store = open(&server);
    let idle = runtime();
    idle.block_on(async {
        let mut check = std::pin::pin!(store.check());
        // Polled once: the attempt has begun, and its runtime is left.
        std::future::poll_fn(|cx| {
            assert!(check.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    });
    runtime().block_on(async {
        // Callers that wait for less than the attempt may take, and one that waits as long as it
        // takes.
        let patient = timeout(PATIENCE, store.check());
        let (failures, checked) = tokio::join!(recovers(&store), patient);
        checked.unwrap().unwrap();
        assert!(failures > 0);
    });
    drop(idle);
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn scripts_that_the_server_has_forgotten() {
    let server = Server::start();
    let store = open(&server);
    for number in 0..3 {
        server.run::<()>("SCRIPT FLUSH");
        assert_eq!(claim(&store, number, A).await.unwrap(), Claim::Claimed);
        server.run::<()>("SCRIPT FLUSH");
        assert_eq!(commit(&store, number, A).await.unwrap(), Commit::Recorded);
        server.run::<()>("SCRIPT FLUSH");
        release(&store, number, A).await.unwrap();
        assert_eq!(claim(&store, number, B).await.unwrap(), Claim::Done);
    }
    claim(&store, 9, A).await.unwrap();
    server.run::<()>("SCRIPT FLUSH");
    release(&store, 9, A).await.unwrap();
    assert_eq!(claim(&store, 9, B).await.unwrap(), Claim::Claimed);
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn all_data_lost_between_claim_and_commit() {
    let server = Server::start();
    let store = open(&server);
    claim(&store, 1, A).await.unwrap();
    claim(&store, 2, A).await.unwrap();
    server.run::<()>("FLUSHALL");
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Recorded);
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Done);
    // Another token claimed it first.
    claim(&store, 2, B).await.unwrap();
    assert_eq!(commit(&store, 2, A).await.unwrap(), Commit::Fenced);
}

/// The connection was closed and the scripts are lost, but no call fails.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_restart_between_two_calls() {
    let mut server = Server::start();
    let store = open(&server);
    claim(&store, 1, A).await.unwrap();
    commit(&store, 2, A).await.unwrap();
    server.run::<()>("SAVE");
    server.kill();
    server.spawn();
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Pending);
    assert_eq!(claim(&store, 2, B).await.unwrap(), Claim::Done);
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Recorded);

    server.kill();
    fs::remove_file(server.dir().join("dump.rdb")).unwrap();
    server.spawn();
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Claimed);
    assert_eq!(claim(&store, 2, B).await.unwrap(), Claim::Claimed);
}

/// A service starts while the server is down. The first call after the server is up succeeds.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_server_that_is_down() {
    let refused = "the Redis server refused the connection";
    let mut server = Server::start();
    server.kill();
    let store = open(&server);
    for _ in 0..5 {
        assert_unavailable(claim(&store, 1, A).await, refused);
        assert_unavailable(store.check().await, refused);
    }
    // The reason has the error of the client as its source.
    let error = claim(&store, 1, A).await.unwrap_err();
    let cause = error.source().and_then(Error::source).unwrap();
    let cause: &redis::RedisError = cause.downcast_ref().unwrap();
    assert!(cause.is_connection_refusal(), "{cause:?}");
    server.spawn();
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    server.kill();
    assert_unavailable(commit(&store, 1, A).await, refused);
    assert_unavailable(release(&store, 1, A).await, refused);
    server.spawn();
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Recorded);
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_server_without_memory() {
    let server = Server::start();
    let store = open(&server);
    let all = keys(100);
    store.claim(&all, A, LEASE).await.unwrap();
    // All scripts are loaded, because they take memory too.
    store.renew(&all, A, LEASE).await.unwrap();
    commit(&store, 1000, A).await.unwrap();
    server.run::<()>("CONFIG SET maxmemory-policy noeviction");
    server.run::<()>("CONFIG SET maxmemory 1");
    for number in [0, 1001] {
        let error = claim(&store, number, A).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Full);
    }
    // Results that need no write are still returned.
    assert_eq!(claim(&store, 5, B).await.unwrap(), Claim::Pending);
    assert_eq!(claim(&store, 1000, B).await.unwrap(), Claim::Done);
    // One key of the batch failed, so the whole batch fails.
    let error = store.claim(&[key(1000), key(1001)], A, LEASE).await;
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Full);
    // Pending events can be renewed and committed.
    let renewals = store.renew(&all, A, LEASE * 2).await.unwrap();
    assert_eq!(renewals, [Renewal::Renewed; 100]);
    assert!(on_key::<u64>(&server, "TTL", all[0]) > LEASE.as_secs());
    let commits = store.commit(&windows(&all[..50]), A).await.unwrap();
    assert_eq!(commits, [Commit::Recorded; 50]);
    store.release(&all[50..], A).await.unwrap();
    assert_eq!(server.run::<usize>("DBSIZE"), 51);
    server.run::<()>("CONFIG SET maxmemory 0");
    assert_eq!(claim(&store, 0, B).await.unwrap(), Claim::Done);
    assert_eq!(claim(&store, 99, B).await.unwrap(), Claim::Claimed);
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_server_that_hangs() {
    let server = Server::start();
    let store = open(&server);
    claim(&store, 1, A).await.unwrap();
    server.signal("-STOP");
    // Two seconds, with more calls than the maximum in flight per connection.
    for _ in 0..8 {
        let claimed = timeout(LIMIT, claim(&store, 2, A)).await;
        assert!(!matches!(claimed, Ok(Ok(_))));
    }
    // The call also ends without a timeout of the caller.
    let error = timeout(PATIENCE, claim(&store, 3, A)).await.unwrap();
    assert_unavailable(error, "the Redis server did not answer in time");
    server.signal("-CONT");
    recovers(&store).await;
    // Whether it was applied late or not, this token holds it.
    assert_eq!(claim(&store, 2, A).await.unwrap(), Claim::Claimed);
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Recorded);
}

/// When the server resumes, the calls complete on their original connection.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_server_that_pauses_its_clients() {
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    let store = RedisStore::open(&proxy.url()).unwrap();
    store.check().await.unwrap();
    server.run::<()>("CLIENT PAUSE 1500 ALL");
    // A caller times out. Its command is executed before the release that follows.
    let claimed = timeout(Duration::from_millis(50), claim(&store, 1, A)).await;
    assert!(claimed.is_err());
    release(&store, 1, A).await.unwrap();
    assert_eq!(claim(&store, 1, B).await.unwrap(), Claim::Claimed);
    assert_eq!(proxy.connections(), 1);
}

/// A dead connection is replaced after three calls.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_connection_that_leads_nowhere() {
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    let store = RedisStore::open(&proxy.url()).unwrap();
    store.check().await.unwrap();
    proxy.hold(usize::MAX);
    for _ in 0..3 {
        assert_eq!(proxy.connections(), 1);
        assert!(timeout(LIMIT, claim(&store, 1, A)).await.is_err());
    }
    // The network works again, but not for commands on the old connection.
    proxy.hold(0);
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    assert_eq!(proxy.connections(), 2);
}

/// The server executed the call, but the response is lost.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn an_answer_that_is_lost() {
    let failed = "the connection to the Redis server failed";
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    let store = RedisStore::open(&proxy.url()).unwrap();
    store.check().await.unwrap();
    commit(&store, 1000, A).await.unwrap();

    // Once: the store retries the call.
    proxy.cut(1);
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    proxy.cut(1);
    assert_eq!(commit(&store, 1, A).await.unwrap(), Commit::Recorded);
    claim(&store, 2, A).await.unwrap();
    proxy.cut(1);
    release(&store, 2, A).await.unwrap();
    assert_eq!(on_key::<usize>(&server, "EXISTS", key(2)), 0);

    // Twice: the caller retries it.
    proxy.cut(2);
    assert_unavailable(claim(&store, 3, A).await, failed);
    assert_eq!(on_key::<Vec<u8>>(&server, "GET", key(3)), A.to_bytes());
    assert_eq!(claim(&store, 3, A).await.unwrap(), Claim::Claimed);
    proxy.cut(2);
    assert_unavailable(commit(&store, 3, A).await, failed);
    assert_eq!(on_key::<Vec<u8>>(&server, "GET", key(3)), b"1");
    assert_eq!(commit(&store, 3, A).await.unwrap(), Commit::Recorded);
    claim(&store, 4, A).await.unwrap();
    proxy.cut(2);
    assert_unavailable(release(&store, 4, A).await, failed);
    // Another token holds it by then: the retry takes nothing away.
    assert_eq!(claim(&store, 4, B).await.unwrap(), Claim::Claimed);
    release(&store, 4, A).await.unwrap();
    assert_eq!(claim(&store, 4, B).await.unwrap(), Claim::Claimed);
    assert_eq!(claim(&store, 4, A).await.unwrap(), Claim::Pending);
}

/// A response of the old server during a failover. The next call finds the new server.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_replica_that_takes_no_writes() {
    let primary = Server::start();
    let server = Server::start();
    let proxy = Proxy::before(server.address()).await;
    let store = RedisStore::open(&proxy.url()).unwrap();
    claim(&store, 1, A).await.unwrap();
    server.run::<()>(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let start = Instant::now();
    while !server
        .run::<String>("INFO replication")
        .contains("link_status:up")
    {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let replica = "the Redis server is a replica that takes no writes";
    let before = proxy.connections();
    assert_unavailable(claim(&store, 2, A).await, replica);
    assert_unavailable(commit(&store, 2, A).await, replica);
    assert_unavailable(store.check().await, replica);
    // Each of them resolved the name again.
    assert_eq!(proxy.connections(), before + 2);
    server.run::<()>("REPLICAOF NO ONE");
    assert_eq!(claim(&store, 2, A).await.unwrap(), Claim::Claimed);
}

/// The scripts declare their only key, so a cluster accepts them.
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_node_of_a_cluster() {
    let server = Server::node(port::free());
    let store = open(&server);
    let elsewhere = "the Redis server is a node of a cluster without this key";
    assert_unavailable(claim(&store, 1, A).await, elsewhere);
    let slots: Vec<_> = (0..16384).map(|slot| slot.to_string()).collect();
    server.run::<()>(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")));
    recovers(&store).await;
    let all = keys(100);
    let claims = store.claim(&all, A, LEASE).await.unwrap();
    assert_eq!(claims, [Claim::Claimed; 100]);
    let commits = store.commit(&windows(&all[..50]), A).await.unwrap();
    assert_eq!(commits, [Commit::Recorded; 50]);
    store.release(&all, A).await.unwrap();
    assert_eq!(server.run::<usize>("DBSIZE"), 50);
}

/// What the docs of the store say that an ACL user needs: commands, keys, and the command for a
/// database other than 0.
fn documented_acl() -> [&'static str; 3] {
    const DOCS: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../src/dedup/redis/mod.rs"
    ));
    let (_, needs) = DOCS.split_once("An ACL user needs ").unwrap();
    let (needs, _) = needs.split_once(".\n").unwrap();
    let quoted: Vec<_> = needs.split('`').skip(1).step_by(2).collect();
    quoted.try_into().unwrap()
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn passwords() {
    let server = Server::with(&["--requirepass", "canary-right"]);
    let store = open(&server);
    store.check().await.unwrap();

    let wrong = format!("redis://:canary-wrong@{}", server.address());
    let wrong = RedisStore::open(&wrong).unwrap();
    let refused = "the Redis server refused the user, the password, or any more connections";
    assert_unavailable(wrong.check().await, refused);
    let none = RedisStore::open(&format!("redis://{}", server.address())).unwrap();
    let missing = "the Redis server requires a password, or another one: put it into the URL, \
                   redis://user:password@host";
    assert_unavailable(none.check().await, missing);
    let denied = "the Redis server does not permit this user to do it";
    for store in [&store, &wrong, &none] {
        let output = format!("{store:?} {:?}", store.check().await);
        assert!(
            !output.contains("canary") && !output.contains("127.0.0.1"),
            "{output}"
        );
    }
    // A user with exactly the documented permissions, in each database and with each operation.
    let [commands, keys, select] = documented_acl();
    let all = format!("ACL SETUSER ann on >canary-ann {keys} {commands} {select}");
    server.run::<()>(&all);
    // The first two are the same database.
    for (database, first) in [("", 1), ("/0", 3), ("/3", 5)] {
        let url = format!("redis://ann:canary-ann@{}{database}", server.address());
        let ann = RedisStore::open(&url).unwrap();
        ann.check().await.unwrap();
        claim(&ann, first, A).await.unwrap();
        // One held key, and one absent key.
        for number in [first, first + 1] {
            let renewed = ann.renew(&[key(number)], A, LEASE).await.unwrap();
            assert_eq!(renewed, [Renewal::Renewed]);
        }
        commit(&ann, first, A).await.unwrap();
        release(&ann, first + 1, A).await.unwrap();
        assert_unavailable(ann.prefix("other:").check().await, denied);
    }
    // Without `select`, connections to other databases than the first one fail.
    server.run::<()>("ACL SETUSER ann -select");
    let ann = |database: &str| {
        let url = format!("redis://ann:canary-ann@{}{database}", server.address());
        RedisStore::open(&url).unwrap()
    };
    ann("/0").check().await.unwrap();
    let error = ann("/3").check().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    // A password that is corrected on the server needs no new store.
    server.run::<()>("CONFIG SET requirepass canary-wrong");
    wrong.check().await.unwrap();
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn more_clients_than_the_server_takes() {
    let server = Server::start();
    let admin = server.connection();
    server.run::<()>("CONFIG SET maxclients 2");
    let other = server.connection();
    let store = open(&server);
    store.check().await.unwrap_err();
    drop((admin, other));
    recovers(&store).await;
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_key_that_is_something_else() {
    let server = Server::start();
    let store = open(&server);
    redis::cmd("LPUSH")
        .arg(name("wa:", key(1)))
        .arg("x")
        .query::<()>(&mut server.connection())
        .unwrap();
    assert_unavailable(
        claim(&store, 1, A).await,
        "the Redis server refused the command",
    );
}

#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn a_unix_socket() {
    let server = Server::with(&["--unixsocket", "{dir}/socket"]);
    let url = format!("unix://{}", server.dir().join("socket").display());
    RedisStore::open(&url).unwrap().check().await.unwrap();
}

#[tokio::test]
async fn urls_that_are_none() {
    for url in [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "redis://",
        "redis://host/x",
    ] {
        let error = RedisStore::open(url).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(reason(&error).starts_with("the URL of the Redis server is not valid"));
    }
    // Nothing listens there, and the store does not connect before the first call.
    let store = RedisStore::open(&format!("redis://127.0.0.1:{}", port::free())).unwrap();
    let refused = "the Redis server refused the connection";
    assert_unavailable(claim(&store, 1, A).await, refused);
}

/// A private CA that the client trusts. Other clients reject the server.
#[cfg(feature = "redis-tls")]
#[tokio::test]
#[ignore = "needs redis-server: cargo test --all-features --test dedup redis_store -- --ignored"]
async fn tls() {
    use std::process::{Command, Stdio};

    fn openssl(dir: &std::path::Path, args: &str) {
        let mut command = Command::new("openssl");
        command.args(args.split(' ')).current_dir(dir);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let dir = std::env::temp_dir().join(format!("redis-test-tls-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    openssl(
        &dir,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca",
    );
    openssl(
        &dir,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
    );
    fs::write(
        dir.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        &dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let port = port::free();
    let place = dir.display();
    let server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &format!("{place}/server.pem"),
        "--tls-key-file",
        &format!("{place}/server.key"),
        "--tls-ca-cert-file",
        &format!("{place}/ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}");
    let certificates = redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(fs::read(dir.join("ca.pem")).unwrap()),
    };
    let client = redis::Client::build_with_tls(url.as_str(), certificates).unwrap();
    let store = RedisStore::from_client(client);
    store.check().await.unwrap();
    assert_eq!(claim(&store, 1, A).await.unwrap(), Claim::Claimed);
    assert_eq!(on_key::<Vec<u8>>(&server, "GET", key(1)), A.to_bytes());

    let error = RedisStore::open(&url).unwrap().check().await.unwrap_err();
    println!("{error:?}");
    assert_eq!(reason(&error), "the connection to the Redis server failed");
    fs::remove_dir_all(&dir).unwrap();
}
