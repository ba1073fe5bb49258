//! The example `jetstream` with a real server behind it, which is killed while events are published: whatever was answered with 200 is in the
//! stream, and nothing is in it twice.
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

/// Far longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the example promises when the server is gone, and what a busy machine adds to it.
const REFUSED_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo test -p example-jetstream -- --ignored"]
async fn what_was_answered_with_200_is_in_the_stream_once_however_often_the_server_is_killed() {
    let mut nats = Nats::new("killed");
    nats.start();
    let (server, address) = serve(&nats);
    let sender = Sender::new(address);
    sender
        .until_ok(&sample::text("first").id("wamid.FIRST").body())
        .await;

    // Deliveries of 1 to 19 events, every event once.
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
    // In the middle of it, whatever the speed of the machine: at one, two, … sevenths of all.
    for kill in 1..=KILLS {
        let left = deliveries - deliveries * kill / (KILLS + 1);
        let started = Instant::now();
        while waiting.lock().unwrap().len() > left {
            assert!(started.elapsed() < PATIENCE);
            sleep(Duration::from_millis(1)).await;
        }
        nats.kill();
        // Longer than one attempt, so that some come while it is gone.
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
        "{} events in {} deliveries, {KILLS} kills: {} answers of 200, {} of 503, {} retries; slowest 503 {:?}; {in_stream} in the stream, \
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
    // Otherwise this test is one of nothing.
    assert!(seen.refused >= KILLS, "{}", seen.refused);
    assert_eq!(seen.broken, 0);
    assert!(seen.slowest < REFUSED_WITHIN, "{:?}", seen.slowest);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo test -p example-jetstream -- --ignored"]
async fn without_the_server_the_answer_is_503_and_soon_and_with_it_200_again() {
    let mut nats = Nats::new("away");
    // It starts before the server does.
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
    // It is there and does not answer: what was sent to it all the same is in the stream once.
    nats.signal("STOP");
    // Not all of its threads stop at once.
    sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        assert_eq!(
            sender.send(&delivery("c")).await,
            Ok(StatusCode::SERVICE_UNAVAILABLE)
        );
    }
    nats.signal("CONT");
    sender.until_ok(&delivery("c")).await;
    // Meta repeats what was answered with 200, too, and the same event in another company.
    sender.until_ok(&delivery("a")).await;
    let both = sample::text("hi")
        .id("c")
        .and(sample::text("hi").id("d"))
        .body();
    sender.until_ok(&both).await;
    let seen = sender.seen.lock().unwrap().clone();
    println!("slowest 503: {:?}", seen.slowest);
    assert!(seen.slowest < REFUSED_WITHIN, "{:?}", seen.slowest);

    let (in_stream, consumed) = read(&nats, 4).await;
    assert_eq!((in_stream, consumed.len()), (4, 4));
    assert!(consumed.values().all(|count| *count == 1));
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server: cargo test -p example-jetstream -- --ignored"]
async fn every_kind_of_event_goes_under_a_subject_of_its_own_and_comes_out() {
    let mut nats = Nats::new("kinds");
    nats.start();
    let (server, address) = serve(&nats);
    let sender = Sender::new(address);
    let (mut keys, mut expected) = (BTreeSet::new(), 0);
    for (_, sample) in sample::all() {
        sender.until_ok(&sample.body()).await;
        for event in sample.notification().events() {
            // What cannot be told from a later event is stored each time that it comes.
            if keys.insert(event.key()) || !event.is_distinguishable() {
                expected += 1;
            }
        }
    }
    // An id that is no part of a subject.
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

/// How many messages the stream has, and the keys of those that a consumer gets, with how often it got them.
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
        // All that there are, and not one line of nothing: fewer than are wanted are told by the count.
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

/// What a sender has seen.
#[derive(Debug, Clone, Default)]
struct Seen {
    ok: usize,
    refused: usize,
    broken: usize,
    slowest: Duration,
}

/// Sends as Meta does, but more often.
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
        let answer = self.client.request(request).await;
        let mut seen = self.seen.lock().unwrap();
        let status = answer.map(|answer| answer.status()).map_err(|_| ());
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
            assert!(started.elapsed() < PATIENCE, "it never comes to 200");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A server with a directory of its own, both of which go with the value.
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
            assert!(started.elapsed() < PATIENCE, "it does not come up");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "another server has its port"
        );
        self.child = Some(child);
    }

    /// With no time for anything.
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
