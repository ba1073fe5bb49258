//! Runs the example with a real NATS server, which is killed while events are published. Every
//! event that was answered with 200 must be in the stream exactly once.
//!
//! Needs `nats-server`: `cargo test -p example-jetstream -- --ignored`.

#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use test_support::port;

use async_nats::jetstream;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{task::JoinSet, time::sleep};
use tower_whatsapp::{
    Event, Notification,
    event::EventKey,
    testing::{self, sample},
};

use test_support::process::{Process, command};

const SECRET: &str = "6f70656e2073657361";
const EVENTS: usize = 5_000;
const SENDERS: usize = 8;
const KILLS: usize = 6;

/// Timeout for every wait: far above the normal duration, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Limit for a 503: `ACK_TIMEOUT` of the example, with a wide margin for a busy machine.
const MAX_TIME_TO_503: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo test -p example-jetstream -- --ignored"]
async fn acknowledged_events_are_in_the_stream_once_after_server_kills() {
    let mut nats = Nats::new("killed");
    nats.start();
    let (server, address) = serve(&nats);
    let sender = Sender::new(address);
    sender
        .until_ok(&sample::text("first").id("wamid.FIRST").body())
        .await;

    // Deliveries of 1 to 19 events each. No event is in two of them.
    let mut waiting = Vec::new();
    let mut keys = BTreeSet::new();
    let mut number = 0;
    while number < EVENTS {
        let size = (1 + waiting.len() * 7 % 19).min(EVENTS - number);
        let delivery = (number..number + size)
            .map(|number| sample::text("hi").id(format!("wamid.{number}")))
            .reduce(sample::Sample::and)
            .unwrap()
            .body();
        let notification = Notification::parse(delivery.clone()).unwrap();
        keys.extend(notification.events().iter().map(Event::key));
        waiting.push(delivery);
        number += size;
    }
    assert_eq!(keys.len(), EVENTS);
    let deliveries = waiting.len();

    let waiting = Arc::new(Mutex::new(waiting));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (waiting, sender) = (Arc::clone(&waiting), sender.clone());
        senders.spawn(async move {
            loop {
                let Some(delivery) = waiting.lock().unwrap().pop() else {
                    return;
                };
                sender.until_ok(&delivery).await;
            }
        });
    }
    // Kill the server at fixed fractions of the work, so that the speed of the
    // machine does not matter.
    for kill in 1..=KILLS {
        let left = deliveries - deliveries * kill / (KILLS + 1);
        let started = Instant::now();
        while waiting.lock().unwrap().len() > left {
            assert!(started.elapsed() < PATIENCE);
            sleep(Duration::from_millis(1)).await;
        }
        nats.kill();
        // In every other round the outage outlasts one attempt, so that deliveries
        // arrive meanwhile.
        sleep(Duration::from_millis(if kill % 2 == 0 {
            100
        } else {
            1_000
        }))
        .await;
        nats.start();
    }
    tokio::time::timeout(PATIENCE, senders.join_all())
        .await
        .unwrap();

    let seen = sender.seen.lock().unwrap().clone();
    let first = Notification::parse(sample::text("first").id("wamid.FIRST").body()).unwrap();
    keys.insert(first.events()[0].key());
    let (in_stream, consumed) = read(&nats, keys.len()).await;
    let missing = keys
        .iter()
        .filter(|key| !consumed.contains_key(key))
        .count();
    let doubled = consumed.values().filter(|count| **count > 1).count();
    let foreign = consumed.keys().filter(|key| !keys.contains(key)).count();
    println!(
        "{} events in {} deliveries, {KILLS} kills: {} responses of 200, {} of 503, {} retries; slowest 503 {:?}; {in_stream} in the stream, \
         {missing} missing, {doubled} doubled",
        keys.len(),
        deliveries + 1,
        seen.ok,
        seen.refused,
        seen.refused + seen.broken,
        seen.slowest
    );
    assert_eq!(seen.ok, deliveries + 1);
    assert_eq!((missing, doubled, foreign), (0, 0, 0));
    assert_eq!(in_stream, keys.len());
    // Otherwise the kills did not hit any delivery, and the test shows nothing.
    assert!(seen.refused >= KILLS, "{}", seen.refused);
    assert_eq!(seen.broken, 0);
    assert!(seen.slowest < MAX_TIME_TO_503, "{:?}", seen.slowest);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo test -p example-jetstream -- --ignored"]
async fn an_outage_of_the_server_is_answered_with_503_at_once() {
    let mut nats = Nats::new("away");
    // The example starts before its server.
    let (server, address) = serve(&nats);
    let sender = Sender::new(address);
    let delivery = |id: &str| sample::text("hi").id(id).body();
    for _ in 0..5 {
        assert_eq!(
            sender.send(&delivery("a")).await,
            Ok(StatusCode::SERVICE_UNAVAILABLE)
        );
    }
    nats.start();
    sender.until_ok(&delivery("a")).await;
    nats.kill();
    for _ in 0..5 {
        assert_eq!(
            sender.send(&delivery("b")).await,
            Ok(StatusCode::SERVICE_UNAVAILABLE)
        );
    }
    nats.start();
    sender.until_ok(&delivery("b")).await;
    // A stopped server accepts data but does not reply. What it received must still be stored once.
    nats.signal("STOP");
    // Give all of its threads time to stop.
    sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        assert_eq!(
            sender.send(&delivery("c")).await,
            Ok(StatusCode::SERVICE_UNAVAILABLE)
        );
    }
    nats.signal("CONT");
    sender.until_ok(&delivery("c")).await;
    // Meta may also repeat events that were answered with 200, and group them differently.
    sender.until_ok(&delivery("a")).await;
    let both = sample::text("hi")
        .id("c")
        .and(sample::text("hi").id("d"))
        .body();
    sender.until_ok(&both).await;
    let seen = sender.seen.lock().unwrap().clone();
    println!("slowest 503: {:?}", seen.slowest);
    assert!(seen.slowest < MAX_TIME_TO_503, "{:?}", seen.slowest);

    let (in_stream, consumed) = read(&nats, 4).await;
    assert_eq!((in_stream, consumed.len()), (4, 4));
    assert!(consumed.values().all(|count| *count == 1));
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo test -p example-jetstream -- --ignored"]
async fn every_kind_of_event_is_published_under_its_subject_and_consumed() {
    let mut nats = Nats::new("kinds");
    nats.start();
    let (server, address) = serve(&nats);
    let sender = Sender::new(address);
    let (mut keys, mut expected) = (BTreeSet::new(), 0);
    for (_, sample) in sample::all() {
        sender.until_ok(&sample.body()).await;
        for event in sample.notification().events() {
            // Events without a distinguishable key are stored every time.
            if keys.insert(event.key()) || !event.is_distinguishable() {
                expected += 1;
            }
        }
    }
    // An id with characters that are invalid in a subject.
    let odd = sample::text("hi").id("odd").phone_number_id("1.>.* x");
    sender.until_ok(&odd.body()).await;
    for event in odd.notification().events() {
        expected += usize::from(keys.insert(event.key()));
    }
    assert!(expected > keys.len());

    let (in_stream, consumed) = read(&nats, expected).await;
    assert_eq!(in_stream, expected);
    assert_eq!(consumed.keys().copied().collect::<BTreeSet<_>>(), keys);
    let client = async_nats::connect(nats.url()).await.unwrap();
    let stream = jetstream::new(client).get_stream("WHATSAPP").await.unwrap();
    let message = stream
        .get_last_raw_message_by_subject("whatsapp.-.message")
        .await
        .unwrap();
    let again = Notification::from_queue(message.payload.clone()).unwrap();
    assert_eq!(again.events()[0].id(), Some("odd"));
    assert_eq!(
        message.headers.get("Nats-Msg-Id").unwrap().as_str(),
        again.events()[0].key().to_string()
    );
    let config = &stream.cached_info().config;
    assert_eq!(config.storage, jetstream::stream::StorageType::File);
    assert_eq!(
        (config.num_replicas, config.duplicate_window),
        (1, Duration::from_secs(3600))
    );
    println!("{in_stream} events");
    drop(server);
}

fn env(nats: &Nats) -> [(&'static str, String); 3] {
    [
        ("WHATSAPP_APP_SECRET", SECRET.to_owned()),
        ("WHATSAPP_VERIFY_TOKEN", "a token".to_owned()),
        ("NATS_URL", nats.url()),
    ]
}

fn serve(nats: &Nats) -> (Process, SocketAddr) {
    let env = env(nats);
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, &**value)).collect();
    Process::serve("example-jetstream", &env)
}

/// Returns the number of messages in the stream, and how often the consumer got each key.
async fn read(nats: &Nats, at_least: usize) -> (usize, BTreeMap<EventKey, usize>) {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut stream = jetstream::new(client).get_stream("WHATSAPP").await.unwrap();
    let in_stream = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
    let consumer = Process::spawn(
        command("example-jetstream")
            .arg("consume")
            .envs(env(nats))
            .stdin(Stdio::null()),
    );
    let lines = tokio::task::spawn_blocking(move || {
        // Wait for all messages of the stream. If some are missing, the caller's count shows it.
        let lines: Vec<_> = (0..in_stream).map(|_| consumer.line()).collect();
        let output = consumer.interrupt();
        let all = String::from_utf8(output.stdout).unwrap();
        assert_eq!(all.lines().count(), lines.len(), "more than the stream has");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        lines
    });
    let lines = lines.await.unwrap();
    assert!(lines.len() >= at_least.min(in_stream));
    let mut consumed = BTreeMap::new();
    for line in lines {
        let key = line.rsplit(' ').next().unwrap().parse().unwrap();
        *consumed.entry(key).or_default() += 1;
    }
    (in_stream, consumed)
}

/// Responses that a sender got.
#[derive(Debug, Clone, Default)]
struct Seen {
    ok: usize,
    refused: usize,
    broken: usize,
    slowest: Duration,
}

/// Sends deliveries and retries them as Meta does, with shorter intervals.
#[derive(Clone)]
struct Sender {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    seen: Arc<Mutex<Seen>>,
}

impl Sender {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
            seen: Arc::default(),
        }
    }

    async fn send(&self, body: &Bytes) -> Result<StatusCode, ()> {
        let mut request = testing::delivery("/webhook", body.clone(), SECRET).map(Full::new);
        *request.uri_mut() = format!("http://{}/webhook", self.address).parse().unwrap();
        let started = Instant::now();
        let response = self.client.request(request).await;
        let mut seen = self.seen.lock().unwrap();
        let status = response.map(|response| response.status()).map_err(|_| ());
        match status {
            Ok(StatusCode::OK) => seen.ok += 1,
            Ok(StatusCode::SERVICE_UNAVAILABLE) => {
                seen.refused += 1;
                seen.slowest = seen.slowest.max(started.elapsed());
            }
            Ok(other) => panic!("{other}"),
            Err(()) => seen.broken += 1,
        }
        status
    }

    async fn until_ok(&self, body: &Bytes) {
        let started = Instant::now();
        while self.send(body).await != Ok(StatusCode::OK) {
            assert!(started.elapsed() < PATIENCE, "no response of 200 in time");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A NATS server with its own directory. Dropping it stops the server and removes the directory.
struct Nats {
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
}

impl Nats {
    fn new(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.join(format!("nats-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self {
            port: port::free(),
            directory,
            child: None,
        }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn start(&mut self) {
        let child = Command::new("nats-server")
            .args([
                "-js",
                "-a",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-sd",
            ])
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("nats-server must be installed for this test");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "the server does not start");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "another server has its port"
        );
        self.child = Some(child);
    }

    /// Kills the server with SIGKILL.
    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}
