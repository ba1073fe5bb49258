//! Capacity of one Redis server, through `RedisStore`: `cargo bench -p benches --bench redis
//! --features redis`. Needs Linux and `redis-server` on the PATH. Takes three minutes.
//!
//! Prints four tab-separated tables: memory per key; CPU time of both processes by batch size and
//! concurrent calls; expired keys that Redis has not yet removed at a steady rate; and CPU time of
//! whole deliveries with each store. CPU times depend little on other load of the machine; rates
//! and latencies do. `scripts/scale` calculates with them.

use bench_support::bodies;
use std::{
    convert::Infallible,
    env,
    error::Error,
    fs,
    hint::black_box,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use redis::{Client, Connection};
use tokio::{runtime, task::JoinSet, time::sleep_until};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{Claim, Commit, DedupLayer, MemoryStore, RedisStore, Store, Token},
    event::EventKey,
    webhook::RequestBody,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LEASE: Duration = Duration::from_secs(30);
/// The default of `DedupLayer`: seven days and an hour.
const WINDOW: Duration = Duration::from_secs((7 * 24 + 1) * 60 * 60);

/// Rounds per row. The median is printed.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
const BATCHES: [usize; 4] = [1, 10, 100, 1000];

fn main() -> Outcome<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut server = Server::start()?;
    let store = RedisStore::open(&server.url())?;
    runtime.block_on(async {
        // Loads the scripts into the server before anything is measured.
        claim_and_commit(&store, 1, LEASE).await?;
        memory(&mut server, &store).await?;
        calls(&mut server, &store).await?;
        expiring(&mut server, &store).await?;
        deliveries(&mut server, &store).await
    })
}

async fn memory(server: &mut Server, store: &RedisStore) -> Outcome<()> {
    println!("keys\tbytes/key\tresident bytes/key\tserver us/event of the last");
    server.empty()?;
    let (used, resident) = server.memory()?;
    let mut keys = 0;
    // Redis doubles its hash table when it is full. The last goal is just above that,
    // the worst case.
    for goal in [10_000, 100_000, 1_000_000, 1_050_000] {
        let before = (keys, server.cpu_time()?);
        while keys < goal {
            let batch = (goal - keys).min(1000);
            claim_and_commit(store, batch, WINDOW).await?;
            keys += batch;
        }
        let took = micros(server.cpu_time()? - before.1) / (keys - before.0) as f64;
        let (more, more_resident) = server.memory()?;
        let each = |bytes: u64| bytes as f64 / keys as f64;
        println!(
            "{keys}\t{:.1}\t{:.1}\t{took:.2}",
            each(more - used),
            each(more_resident.saturating_sub(resident))
        );
    }
    Ok(())
}

async fn calls(server: &mut Server, store: &RedisStore) -> Outcome<()> {
    println!(
        "\nbatch\tin flight\tevents/s\tevents/s at best\tserver us/event\tclient us/event\tp50 ms a call\tp99 ms a call\tbytes to server/event\tbytes from server/event"
    );
    for batch in BATCHES {
        for flight in [1, 8, 64] {
            let (mut rates, mut theirs, mut ours) = (Vec::new(), Vec::new(), Vec::new());
            let mut times = Vec::new();
            let mut sent = (0, 0);
            for _ in 0..ROUNDS {
                server.empty()?;
                let network = server.network()?;
                let before = (server.cpu_time()?, cpu_time("self")?);
                let start = Instant::now();
                let mut tasks = JoinSet::new();
                for _ in 0..flight {
                    let store = store.clone();
                    tasks.spawn(async move {
                        let mut times = Vec::new();
                        while start.elapsed() < ROUND {
                            times.extend(claim_and_commit(&store, batch, WINDOW).await?);
                        }
                        Outcome::Ok(times)
                    });
                }
                let mut calls = 0;
                while let Some(ended) = tasks.join_next().await {
                    let ended = ended??;
                    calls += ended.len();
                    times.extend(ended);
                }
                let took = start.elapsed();
                let events = (calls / 2 * batch) as f64;
                rates.push(events / took.as_secs_f64());
                theirs.push(micros(server.cpu_time()? - before.0) / events);
                ours.push(micros(cpu_time("self")? - before.1) / events);
                let now = server.network()?;
                let each = |bytes: u64| (bytes as f64 / events).round();
                sent = (
                    each(now.0 - network.0) as u64,
                    each(now.1 - network.1) as u64,
                );
            }
            times.sort_unstable();
            let millis = |part: f64| {
                let place = (times.len() as f64 * part) as usize;
                times.get(place).map_or(0.0, |time| micros(*time) / 1000.0)
            };
            let best = rates.iter().copied().fold(0.0, f64::max);
            println!(
                "{batch}\t{flight}\t{:.0}\t{best:.0}\t{:.2}\t{:.2}\t{:.2}\t{:.2}\t{}\t{}",
                median(&mut rates),
                median(&mut theirs),
                median(&mut ours),
                millis(0.5),
                millis(0.99),
                sent.0,
                sent.1
            );
        }
    }
    Ok(())
}

/// Redis removes expired keys when its sweep finds them, so it holds more keys than are live, and
/// the sweep takes CPU time.
async fn expiring(server: &mut Server, store: &RedisStore) -> Outcome<()> {
    const BATCH: usize = 100;
    const SPAN: Duration = Duration::from_secs(10);
    println!(
        "\nevents/s\tkeys held\tlive keys\tserver us/event before any expires\tserver us/event at a steady state"
    );
    for rate in [1_000, 10_000] {
        server.empty()?;
        let gap = Duration::from_secs_f64(BATCH as f64 / f64::from(rate));
        let start = tokio::time::Instant::now();
        let mut events = 0;
        let mut marks = vec![(0, server.cpu_time()?)];
        for span in 1..=4 {
            while start.elapsed() < SPAN * span {
                sleep_until(start + gap * u32::try_from(events / BATCH)?).await;
                claim_and_commit(store, BATCH, SPAN).await?;
                events += BATCH;
            }
            marks.push((events, server.cpu_time()?));
        }
        let [(e0, t0), (e1, t1), .., (e3, t3), (e4, t4)] = *marks else {
            return Err("too few marks".into());
        };
        let each = |time: Duration, events: usize| micros(time) / events as f64;
        println!(
            "{rate}\t{}\t{}\t{:.2}\t{:.2}",
            server.count("DBSIZE")?,
            e4 - e3,
            each(t1 - t0, e1 - e0),
            each(t4 - t3, e4 - e3)
        );
    }
    Ok(())
}

async fn deliveries(server: &mut Server, store: &RedisStore) -> Outcome<()> {
    println!("\nstore\tevents/delivery\tbytes/delivery\tprocess us/delivery\tserver us/delivery");
    for events in BATCHES {
        for remote in [false, true] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let mut length = 0;
            for _ in 0..ROUNDS {
                server.empty()?;
                let requests = requests(events)?;
                let count = requests.len() as f64;
                length = requests.first().map_or(0, |(_, body)| body.len());
                let before = (cpu_time("self")?, server.cpu_time()?);
                if remote {
                    deliver(requests, store.clone()).await?;
                } else {
                    deliver(requests, MemoryStore::new()).await?;
                }
                ours.push(micros(cpu_time("self")? - before.0) / count);
                theirs.push(micros(server.cpu_time()? - before.1) / count);
            }
            println!(
                "{}\t{events}\t{length}\t{:.1}\t{:.1}",
                if remote { "Redis" } else { "memory" },
                median(&mut ours),
                if remote { median(&mut theirs) } else { 0.0 }
            );
        }
    }
    Ok(())
}

/// Deliveries of the same sizes as in `tests/load`: 1 KiB for one event, 1.6 KiB per
/// event for several.
fn requests(events: usize) -> Outcome<Vec<(String, Bytes)>> {
    const EVENTS: usize = 20_000;
    const PART: &str = "HBgLMTY1MDU1NTAwMDEVAgAS";
    let pattern = bodies::texts(events, if events == 1 { 500 } else { 1400 });
    (0..EVENTS / events)
        .map(|number| {
            let body = pattern.replace(PART, &format!("{number:024}"));
            let signature = bodies::sign(SECRET, body.as_bytes())?;
            Ok((signature, Bytes::from(body)))
        })
        .collect()
}

/// Delivers all of them, eight concurrently.
async fn deliver(requests: Vec<(String, Bytes)>, store: impl Store + Clone) -> Outcome<()> {
    let layer = WebhookLayer::new("/webhook", SECRET, "the verify token")?;
    let service = layer.layer(DedupLayer::new(store).layer(service_fn(host)));
    let mut running = JoinSet::new();
    for (signature, body) in requests {
        let request = Request::post("/webhook")
            .header("x-hub-signature-256", signature)
            .header("content-length", body.len())
            .body(Full::new(body))?;
        let service = service.clone();
        running.spawn(async {
            service
                .oneshot(request)
                .await
                .map(|response| response.status())
        });
        if running.len() == 8 {
            check_next(&mut running).await?;
        }
    }
    while !running.is_empty() {
        check_next(&mut running).await?;
    }
    Ok(())
}

async fn check_next(running: &mut JoinSet<Result<http::StatusCode, Infallible>>) -> Outcome<()> {
    match running.join_next().await.transpose()?.transpose()? {
        Some(status) if status != 200 => Err("not answered with 200".into()),
        _ => Ok(()),
    }
}

async fn host<B>(request: Request<RequestBody<B>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let notification = request.extensions().get::<Notification>();
    for event in notification.into_iter().flat_map(Notification::events) {
        black_box(event.payload());
    }
    Ok(Response::new(Full::default()))
}

/// Claims and commits a batch of new keys. Returns the durations of the claim and of the commit.
async fn claim_and_commit(
    store: &RedisStore,
    batch: usize,
    window: Duration,
) -> Outcome<[Duration; 2]> {
    let token = Token::random();
    let keys: Vec<_> = (0..batch)
        .map(|_| EventKey::from_bytes(Token::random().to_bytes()))
        .collect();
    let done: Vec<_> = keys.iter().map(|key| (*key, window)).collect();
    let start = Instant::now();
    let claims = store.claim(&keys, token, LEASE).await?;
    let claimed = start.elapsed();
    let commits = store.commit(&done, token).await?;
    let committed = start.elapsed() - claimed;
    let all = claims.iter().all(|claim| *claim == Claim::Claimed)
        && commits.iter().all(|commit| *commit == Commit::Recorded);
    if all {
        Ok([claimed, committed])
    } else {
        Err("a new key was not claimed and committed".into())
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// CPU time of the main thread of a process. Redis and this program do all their work there.
fn cpu_time(id: &str) -> Outcome<Duration> {
    let times = fs::read_to_string(format!("/proc/{id}/schedstat"))?;
    let first = times.split_whitespace().next().ok_or("no times")?;
    Ok(Duration::from_nanos(first.parse()?))
}

/// A Redis server that stops when it is dropped.
struct Server {
    child: Child,
    dir: PathBuf,
    port: u16,
    connection: Option<Connection>,
}

impl Server {
    fn start() -> Outcome<Self> {
        let dir = env::temp_dir().join(format!("redis-bench-{}", process::id()));
        fs::create_dir_all(&dir)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start redis-server from the PATH: {error}"))?;
        let mut server = Self {
            child,
            dir,
            port,
            connection: None,
        };
        let start = Instant::now();
        loop {
            match Client::open(server.url())?.get_connection() {
                Ok(connection) => {
                    server.connection = Some(connection);
                    return Ok(server);
                }
                Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn url(&self) -> String {
        format!("redis://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    fn command<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> Outcome<T> {
        let [name, arguments @ ..] = command else {
            return Err("no command".into());
        };
        let connection = self.connection.as_mut().ok_or("no connection")?;
        Ok(redis::cmd(name).arg(arguments).query(connection)?)
    }

    fn count(&mut self, command: &str) -> Outcome<u64> {
        self.command(&[command])
    }

    fn empty(&mut self) -> Outcome<()> {
        self.command(&["FLUSHALL", "SYNC"])
    }

    fn info(&mut self, section: &str, names: [&str; 2]) -> Outcome<(u64, u64)> {
        let info: String = self.command(&["INFO", section])?;
        let number = |name| -> Outcome<u64> {
            let value = info.lines().find_map(|line| line.strip_prefix(name));
            Ok(value.ok_or("no such line")?.parse()?)
        };
        let [first, second] = names;
        Ok((number(first)?, number(second)?))
    }

    fn memory(&mut self) -> Outcome<(u64, u64)> {
        // Redis updates its resident memory ten times per second.
        thread::sleep(Duration::from_millis(300));
        self.info("memory", ["used_memory:", "used_memory_rss:"])
    }

    /// Bytes received and sent by the server.
    fn network(&mut self) -> Outcome<(u64, u64)> {
        let names = ["total_net_input_bytes:", "total_net_output_bytes:"];
        self.info("stats", names)
    }

    fn cpu_time(&self) -> Outcome<Duration> {
        cpu_time(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
