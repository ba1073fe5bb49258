//! Faults of a real Redis, and their effect on Meta: nothing is lost, and nothing
//! runs again unless necessary.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use http::StatusCode;
use test_support::redis::{PATIENCE, Proxy, Server};
use tokio::{task::block_in_place, time::sleep};
use tower_whatsapp::{
    dedup::{DedupLayerBuilder, DedupRejectionKind, OnStoreError, RedisStore, Store, Token},
    event::EventKey,
    testing::sample::Sample,
};

use super::{
    host::{Host, good, says},
    scripted::{Held, Scripted},
    stack::{Answer, LEASE, Stack, keys, millis, text},
};

const RETRY_AFTER: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// `READONLY`: a failover, on the old server.
    ReadOnly,
    /// `LOADING`: a server that is starting.
    Loading,
    /// `OOM`
    Full,
    /// `MOVED`: the key moved to another node of the cluster.
    Moved,
    /// `NOSCRIPT`
    NoScript,
    FlushAll,
    /// Every connection is closed.
    Reset,
    /// The server does not respond.
    Stop,
    /// The server is killed and restarts empty.
    Restart,
}

use Trouble::{FlushAll, Full, Loading, Moved, NoScript, ReadOnly, Reset, Restart, Stop};

/// A server, and a second one if the fault needs it.
struct Servers {
    server: Server,
    other: Option<Server>,
}

impl Trouble {
    fn servers(self) -> Servers {
        match self {
            Moved => {
                let bus = test_support::port::free();
                let (server, other) = (Server::node(test_support::port::free()), Server::node(bus));
                server.run::<()>("CLUSTER ADDSLOTSRANGE 0 16383");
                let port = other.port();
                server.run::<()>(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"));
                let id: String = other.run("CLUSTER MYID");
                wait(|| server.run::<String>("CLUSTER NODES").contains(&id));
                wait(|| {
                    server
                        .run::<String>("CLUSTER INFO")
                        .contains("cluster_state:ok")
                });
                Servers {
                    server,
                    other: Some(other),
                }
            }
            Loading => {
                let slow = ["--enable-debug-command", "yes"];
                let often = ["--loading-process-events-interval-bytes", "1024"];
                let server = Server::with(&[slow, often].concat());
                server.run::<()>("DEBUG POPULATE 20000");
                Servers {
                    server,
                    other: None,
                }
            }
            _ => Servers {
                server: Server::start(),
                other: None,
            },
        }
    }

    fn begin(self, servers: &mut Servers, key: EventKey) {
        let server = &mut servers.server;
        match self {
            // A replica of an unreachable server: it keeps its data.
            ReadOnly => server.run("REPLICAOF 127.0.0.1 1"),
            Loading => {
                server.run::<()>("CONFIG SET key-load-delay 1000");
                let mut connection = server.connection();
                thread::spawn(move || redis::cmd("DEBUG").arg("RELOAD").exec(&mut connection));
                wait(|| is_loading(server));
            }
            Full => server.run("CONFIG SET maxmemory 1"),
            Moved => {
                let other: String = servers.other.as_ref().unwrap().run("CLUSTER MYID");
                let slot = slot(server, key);
                // It would keep a slot that contains keys.
                server.run::<()>(&format!("CLUSTER DELSLOTS {slot}"));
                server.run::<()>(&format!("CLUSTER SETSLOT {slot} NODE {other}"));
            }
            NoScript => server.run("SCRIPT FLUSH"),
            FlushAll => server.run("FLUSHALL"),
            Reset => drop(server.run::<usize>("CLIENT KILL TYPE normal")),
            Stop => server.signal("-STOP"),
            Restart => server.kill(),
        }
    }

    fn end(self, servers: &mut Servers, key: EventKey) {
        let server = &mut servers.server;
        match self {
            ReadOnly => server.run("REPLICAOF NO ONE"),
            Loading => {
                server.run::<()>("CONFIG SET key-load-delay 0");
                wait(|| !is_loading(server));
            }
            Full => server.run("CONFIG SET maxmemory 0"),
            Moved => {
                let own: String = server.run("CLUSTER MYID");
                let slot = slot(server, key);
                server.run::<()>(&format!("CLUSTER SETSLOT {slot} NODE {own}"));
            }
            Stop => server.signal("-CONT"),
            Restart => server.spawn(),
            NoScript | FlushAll | Reset => {}
        }
    }

    /// The response to a delivery during the fault.
    fn at_the_claim(self) -> Answer {
        match self {
            ReadOnly | Loading | Moved | Stop | Restart => {
                Answer::later(DedupRejectionKind::StoreUnavailable)
            }
            Full => Answer::later(DedupRejectionKind::StoreFull),
            // The fault is not visible.
            NoScript | FlushAll | Reset => Answer::good(),
        }
    }
}

fn wait(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it does not come to pass");
        thread::sleep(millis(10));
    }
}

fn is_loading(server: &Server) -> bool {
    server
        .run::<String>("INFO persistence")
        .contains("\nloading:1")
}

fn slot(server: &Server, key: EventKey) -> u16 {
    let mut command = redis::cmd("CLUSTER");
    command
        .arg("KEYSLOT")
        .arg([b"wa:", &key.to_bytes()[..]].concat());
    command.query(&mut server.connection()).unwrap()
}

/// The fault starts and ends while clients are connected.
#[derive(Clone)]
struct Troubled {
    trouble: Trouble,
    servers: Arc<Mutex<Servers>>,
    key: EventKey,
}

impl Troubled {
    fn new(trouble: Trouble) -> (Self, Scripted<RedisStore>) {
        let servers = block_in_place(|| trouble.servers());
        let store = RedisStore::open(&servers.server.url()).unwrap();
        let troubled = Self {
            trouble,
            servers: Arc::new(Mutex::new(servers)),
            key: keys(&text("A"))[0],
        };
        (troubled, Scripted::over(store))
    }

    fn begin(&self) {
        block_in_place(|| {
            self.trouble
                .begin(&mut self.servers.lock().unwrap(), self.key);
        });
    }

    fn end(&self) {
        block_in_place(|| {
            self.trouble
                .end(&mut self.servers.lock().unwrap(), self.key);
        });
    }

    /// Checks that a write during the fault has failed, if the fault makes all calls fail.
    fn was_there(&self, stack: &Stack<RedisStore>) {
        let unavailable = Answer::later(DedupRejectionKind::StoreUnavailable);
        if self.trouble.at_the_claim() == unavailable {
            assert!(stack.handle.counters().store_failures > 0);
        }
    }
}

/// A store timeout of a second, so that a busy machine does not matter.
fn patient(
    builder: DedupLayerBuilder<Scripted<RedisStore>>,
) -> DedupLayerBuilder<Scripted<RedisStore>> {
    builder.store_timeout(millis(1000))
}

/// Retries until the response is 200, as Meta does. Returns the number of other responses.
async fn retried(stack: &Stack<RedisStore>, sample: &Sample) -> usize {
    let start = Instant::now();
    let mut refused = 0;
    loop {
        let answer = stack.send(sample).await;
        if answer.status == 200 {
            return refused;
        }
        assert!(start.elapsed() < PATIENCE, "{answer:?}");
        refused += 1;
        // As `Retry-After` says.
        sleep(RETRY_AFTER).await;
    }
}

/// Checks that the event was handled `calls` times and is done: nothing is running or pending.
async fn is_done(stack: &Stack<RedisStore>, calls: usize) {
    stack.rest().await;
    assert_eq!(stack.host.calls(), calls);
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    assert_eq!(stack.host.calls(), calls);
    stack.rest().await;
}

async fn at_the_claim(trouble: Trouble) {
    let (redis, store) = Troubled::new(trouble);
    let stack = Stack::over(store, Host::good(), patient);
    // A connection exists.
    assert_eq!(stack.send(&text("Z")).await, Answer::good());
    redis.begin();
    let answer = stack.send(&text("A")).await;
    assert_eq!(answer, trouble.at_the_claim());
    assert_eq!(stack.host.calls(), 1 + usize::from(answer.status == 200));
    redis.end();
    retried(&stack, &text("A")).await;
    is_done(&stack, 2).await;
}

/// The same for hosts that prefer handling an event twice over rejecting it.
async fn at_the_claim_and_deliver(trouble: Trouble) {
    let (redis, store) = Troubled::new(trouble);
    let stack = Stack::over(store, Host::good(), |builder| {
        patient(builder).on_store_error(OnStoreError::Deliver)
    });
    assert_eq!(stack.send(&text("Z")).await, Answer::good());
    redis.begin();
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    let unprotected = trouble.at_the_claim() != Answer::good();
    assert_eq!(stack.host.seen()[1].unprotected, unprotected);
    redis.end();
    // It is recorded in the end.
    is_done(&stack, 2).await;
}

/// The fault starts in the handler and ends after the response.
async fn at_the_commit(trouble: Trouble) {
    let (redis, store) = Troubled::new(trouble);
    let begins = redis.clone();
    let host = Host::new(move |call, _| {
        if call == 1 {
            begins.begin();
        }
        async { good() }
    });
    let stack = Stack::over(store, host, patient);
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    redis.end();
    is_done(&stack, 1).await;
    redis.was_there(&stack);
}

async fn at_the_release(trouble: Trouble) {
    let (redis, store) = Troubled::new(trouble);
    let begins = redis.clone();
    let host = Host::new(move |call, _| {
        if call == 1 {
            begins.begin();
        }
        async move {
            match call {
                1 => says(StatusCode::BAD_GATEWAY),
                _ => good(),
            }
        }
    });
    let stack = Stack::over(store, host, patient);
    let refused = Answer::of_host(502, Some(DedupRejectionKind::HandlerRefused));
    assert_eq!(stack.send(&text("A")).await, refused);
    redis.end();
    stack.rest().await;
    redis.was_there(&stack);
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    // No lease has to expire first.
    assert_eq!(retried(&stack, &text("A")).await, 0);
    is_done(&stack, 2).await;
}

macro_rules! troubles {
    ($($name:ident: $trouble:ident;)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs redis-server on the PATH"]
        async fn $name() {
            at_the_claim($trouble).await;
            at_the_claim_and_deliver($trouble).await;
            at_the_commit($trouble).await;
            at_the_release($trouble).await;
        }
    )* };
}

troubles! {
    read_only: ReadOnly;
    loading: Loading;
    full: Full;
    moved: Moved;
    no_script: NoScript;
    flush_all: FlushAll;
    connections_reset: Reset;
    stopped: Stop;
    restarted: Restart;
}

/// Moves the server's clock by changing the remaining lifetime of all keys.
fn step(server: &Server, millis: i64) {
    for name in server.run::<Vec<Vec<u8>>>("KEYS *") {
        let connection = &mut server.connection();
        let left: i64 = redis::cmd("PTTL").arg(&name).query(connection).unwrap();
        let mut command = redis::cmd("PEXPIRE");
        command
            .arg(&name)
            .arg(left + millis)
            .exec(connection)
            .unwrap();
    }
}

/// All leases expire, so running events may be handled once more. Windows are an hour longer than
/// Meta's seven days of retries, and still cover them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server on the PATH"]
async fn the_clock_of_the_server_goes_forward() {
    let server = Server::start();
    let hour = i64::try_from(HOUR.as_millis()).unwrap();
    let store = Scripted::over(RedisStore::open(&server.url()).unwrap());
    let stack = Stack::over(store, Host::slow(millis(500)), patient);
    assert_eq!(stack.send(&text("done")).await, Answer::good());
    let first = stack.begin(&text("A")).await;
    sleep(millis(100)).await;
    step(&server, -hour);
    // One more run of the pending event; done events stay done.
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    assert_eq!(first.await.unwrap(), Answer::good());
    assert_eq!(stack.send(&text("done")).await, Answer::known());
    is_done(&stack, 3).await;
    assert_eq!(stack.tally().fenced, 1);
    let days = 7 * 24 * hour;
    for name in server.run::<Vec<Vec<u8>>>("KEYS *") {
        let mut command = redis::cmd("PTTL");
        let left: i64 = command.arg(&name).query(&mut server.connection()).unwrap();
        assert!(left > days - i64::try_from(PATIENCE.as_millis()).unwrap());
    }
}

/// Running handlers are not affected. Events of a dead process are free an hour later, within
/// Meta's seven days of retries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server on the PATH"]
async fn the_clock_of_the_server_goes_back() {
    let server = Server::start();
    let hour = i64::try_from(HOUR.as_millis()).unwrap();
    let store = Scripted::over(RedisStore::open(&server.url()).unwrap());
    let stack = Stack::over(store, Host::slow(millis(500)), patient);
    let first = stack.begin(&text("A")).await;
    sleep(millis(100)).await;
    step(&server, hour);
    let pending = Answer::later(DedupRejectionKind::InFlight);
    let waiting = stack.begin(&text("A")).await;
    assert_eq!(first.await.unwrap(), Answer::good());
    assert_eq!(waiting.await.unwrap(), Answer::known());
    is_done(&stack, 1).await;

    let left = keys(&text("B"));
    let claim = stack.store.inner().claim(&left, Token::random(), LEASE);
    claim.await.unwrap();
    step(&server, hour);
    assert_eq!(stack.send(&text("B")).await, pending);
    step(&server, -hour - i64::try_from(LEASE.as_millis()).unwrap());
    assert_eq!(stack.send(&text("B")).await, Answer::good());
    assert_eq!(stack.host.calls(), 2);
    stack.rest().await;
}

/// The server goes down under many concurrent deliveries. They do not cause a reconnection storm,
/// neither during the outage nor after it, and each is handled once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server on the PATH"]
async fn reconnect_storm() {
    const DELIVERIES: usize = 300;
    let mut server = block_in_place(Server::start);
    let proxy = Proxy::before(server.address()).await;
    let store = Scripted::over(RedisStore::open(&proxy.url()).unwrap());
    let stack = Stack::over(store, Host::good(), patient);
    assert_eq!(stack.send(&text("Z")).await, Answer::good());
    assert_eq!(proxy.connections(), 1);
    server.kill();
    let senders = (0..DELIVERIES).map(|number| {
        let stack = stack.clone();
        tokio::spawn(async move { retried(&stack, &text(&format!("A{number}"))).await })
    });
    let senders: Vec<_> = senders.collect();
    // Running calls fail one after the other, within the timeout of a call.
    sleep(millis(1500)).await;
    let first = proxy.connections();
    sleep(millis(3000)).await;
    let meanwhile = proxy.connections() - first;
    block_in_place(|| server.spawn());
    let mut refused = 0;
    for sender in senders {
        refused += sender.await.unwrap();
    }
    let back = proxy.connections() - first - meanwhile;
    println!(
        "{refused} deliveries refused; connections: {first}, then {meanwhile} in 3 s, and {back} when it is back"
    );
    assert!(refused > 0, "it was not away");
    // Each call is retried once.
    assert!(first <= 1 + 2 * DELIVERIES, "{first}");
    // One probe a second.
    assert!(meanwhile <= 6 && back <= 6, "{meanwhile}, {back}");
    stack.rest().await;
    assert_eq!(stack.host.calls(), 1 + DELIVERIES);
}
