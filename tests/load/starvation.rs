//! Unsigned bodies that never complete, enough to use up the memory budget, next to
//! genuine deliveries.

use std::{
    collections::BTreeMap,
    fmt,
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{StatusCode, Uri, header::HOST};
use http_body_util::{Full, channel::Channel};
use hyper::client::conn::{http1, http2};
use test_support::PATH;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    figures::{Server, mebibytes, verdict},
    memory,
    sender::{self, Body, Pool},
    strangers::forged,
    traffic::{self, Delivery},
};

/// The attack: number of bodies that are open at the same time, for both HTTP versions.
const CONNECTIONS: usize = 22;
const STREAMS: usize = 200;
const BODIES: usize = CONNECTIONS * STREAMS;

/// Data frames of one body: one byte, one piece, then one byte per `DRIP`, which is
/// within the idle timeout.
const DRIP: Duration = Duration::from_millis(4300);
const PIECE: usize = 300;
/// The piece at ten times the byte rate. A body with the small piece costs about
/// 2,700 bytes on the wire.
const LARGE_PIECE: usize = 30_000;

/// Each body is replaced once in this time (the body deadline), so the byte rate is constant
/// whatever the responses are.
const PERIOD: Duration = Duration::from_secs(10);
/// The bodies start evenly within this time.
const START: Duration = Duration::from_secs(3);

/// Minimum number of open bodies when the genuine deliveries begin.
const LEAST_OPEN: usize = BODIES * 9 / 10;

/// Genuine deliveries: one message of 0.7 kB, tried once; and 500 kB in pieces, as over a line of
/// 10 Mbit/s, tried three times.
const ORDINARY: usize = 700;
const ORDINARY_GAP: Duration = Duration::from_millis(25);
const ORDINARY_PATIENCE: Duration = Duration::from_secs(10);
const LARGE: usize = 500_000;
const LARGE_EVENTS: usize = 400;
const LARGE_GAP: Duration = Duration::from_millis(500);
const LARGE_PIECES: usize = 16 * 1024;
const LARGE_PAUSE: Duration = Duration::from_millis(13);
const LARGE_TRIES: usize = 3;
const LARGE_PATIENCE: Duration = Duration::from_secs(30);

/// Minimum share that must get 200, percent.
const ORDINARY_LEAST: f64 = 99.0;
const LARGE_LEAST: f64 = 95.0;

/// Runs all rows for `seconds` each, or those of one HTTP version.
pub(crate) async fn run(seconds: u32, versions: &[u32]) -> bool {
    let mut complaints = Vec::new();
    for &version in versions {
        for piece in [PIECE, LARGE_PIECE] {
            complaints.extend(attack(version, piece, seconds).await);
        }
    }
    verdict(&complaints)
}

/// Runs the row that uses up the budget over the fewest connections. Returns the complaints.
pub(crate) async fn short(seconds: u32) -> Vec<String> {
    attack(2, LARGE_PIECE, seconds).await
}

async fn attack(version: u32, piece: usize, seconds: u32) -> Vec<String> {
    let ordinary = seconds as usize * 1000 / ORDINARY_GAP.as_millis() as usize;
    let large = seconds as usize * 1000 / LARGE_GAP.as_millis() as usize;
    let events = ordinary + large * LARGE_EVENTS;
    let server = Server::start(&[format!("events={events}")]);

    let tally = Arc::new(Tally::default());
    let mut strangers = strangers(server.port, version, piece, &tally).await;
    sleep(START + Duration::from_secs(1)).await;
    let open = tally.open();
    let before = tally.bytes.load(Ordering::Relaxed);
    let start = Instant::now();
    let (small, big) = tokio::join!(
        ordinary_deliveries(server.port, ordinary),
        large_deliveries(server.port, large, ordinary),
    );
    let rate =
        (tally.bytes.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
    let still_open = tally.open();
    let panics = stop(&mut strangers).await;
    let end = server.figures().await;

    let bound = match version {
        1 => memory::bound(1, BODIES, 0),
        _ => memory::bound(2, CONNECTIONS, BODIES),
    };
    println!(
        "starve: HTTP/{version}, {open} and {still_open} open bodies, {:.2} MB/s of data: 200 for {small} of {} B and {big} of {} kB; {tally}; RSS at most {:.0} MiB of {:.0} MiB",
        rate / 1e6,
        ORDINARY,
        LARGE / 1000,
        mebibytes(end.peak),
        mebibytes(bound)
    );
    let mut complaints = Vec::new();
    // Otherwise nothing was attacked. All small bodies are open at once; the large ones fill the
    // budget, so most of them are evicted.
    let [begun, evicted] =
        [&tally.begun, &tally.refused].map(|count| count.load(Ordering::Relaxed));
    if begun < LEAST_OPEN || (piece == PIECE && open < LEAST_OPEN) {
        complaints.push(format!(
            "HTTP/{version}, {piece}: only {begun} bodies, {open} of them open"
        ));
    }
    if piece == LARGE_PIECE && evicted == 0 {
        complaints.push(format!("HTTP/{version}, {piece}: nothing was evicted"));
    }
    if panics > 0 {
        complaints.push(format!("HTTP/{version}, {piece}: {panics} panics"));
    }
    for (name, answers, least) in [
        ("0.7 kB", &small, ORDINARY_LEAST),
        ("500 kB", &big, LARGE_LEAST),
    ] {
        if answers.percent() < least {
            complaints.push(format!(
                "HTTP/{version}, {piece}: {answers} of {name} got 200"
            ));
        }
    }
    if end.peak > bound {
        complaints.push(format!(
            "HTTP/{version}, {piece}: {:.0} MiB",
            mebibytes(end.peak)
        ));
    }
    if end.strange > 0 || end.handled != end.distinct {
        complaints.push(format!(
            "HTTP/{version}, {piece}: events made up or repeated"
        ));
    }
    complaints
}

/// Final responses to deliveries of one kind.
#[derive(Debug, Default)]
struct Answers(BTreeMap<Option<StatusCode>, usize>);

impl Answers {
    fn add(&mut self, answer: Option<StatusCode>) {
        *self.0.entry(answer).or_default() += 1;
    }

    fn percent(&self) -> f64 {
        let good = self.0.get(&Some(StatusCode::OK)).copied();
        good.unwrap_or(0) as f64 * 100.0 / self.0.values().sum::<usize>().max(1) as f64
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.0.values().sum();
        let good = self.0.get(&Some(StatusCode::OK)).copied().unwrap_or(0);
        write!(f, "{good}/{all} ({:.1} %)", self.percent())?;
        for (answer, count) in &self.0 {
            match answer {
                Some(StatusCode::OK) => {}
                Some(status) => write!(f, ", {} {count} times", status.as_u16())?,
                None => write!(f, ", none {count} times")?,
            }
        }
        Ok(())
    }
}

async fn ordinary_deliveries(port: u16, count: usize) -> Answers {
    let pool = Arc::new(Pool::new(port));
    let mut running = JoinSet::new();
    let start = Instant::now();
    for number in 0..count {
        sleep_until(start + ORDINARY_GAP * number as u32).await;
        let Delivery { body, signature } =
            Delivery::new(traffic::body(number, 1, ORDINARY, traffic::now()));
        let pool = Arc::clone(&pool);
        running.spawn(async move {
            let length = body.len();
            let request = sender::post(Full::new(body), length, &signature);
            timeout(ORDINARY_PATIENCE, pool.send(request))
                .await
                .ok()?
                .ok()
        });
    }
    let mut answers = Answers::default();
    while let Some(answer) = running.join_next().await {
        answers.add(answer.unwrap());
    }
    answers
}

async fn large_deliveries(port: u16, count: usize, first: usize) -> Answers {
    let mut running = JoinSet::new();
    let start = Instant::now();
    for number in 0..count {
        sleep_until(start + LARGE_GAP * number as u32).await;
        let event = first + number * LARGE_EVENTS;
        let delivery = Delivery::new(traffic::body(event, LARGE_EVENTS, LARGE, traffic::now()));
        running.spawn(timeout(LARGE_PATIENCE, large_delivery(port, delivery)));
    }
    let mut answers = Answers::default();
    while let Some(answer) = running.join_next().await {
        answers.add(answer.unwrap().ok().flatten());
    }
    answers
}

/// Sends a delivery up to three times, a second apart. Returns its final status.
async fn large_delivery(port: u16, delivery: Delivery) -> Option<StatusCode> {
    let mut last = None;
    for _ in 0..LARGE_TRIES {
        last = large_try(port, &delivery).await;
        if last == Some(StatusCode::OK) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    last
}

async fn large_try(port: u16, Delivery { body, signature }: &Delivery) -> Option<StatusCode> {
    let mut connection = sender::open(port).await.ok()?;
    let (mut pieces, channel) = Channel::new(1);
    let answer = connection.send_request(sender::post(channel, body.len(), signature));
    let feed = async {
        for at in (0..body.len()).step_by(LARGE_PIECES) {
            let piece = body.slice(at..body.len().min(at + LARGE_PIECES));
            if pieces.send_data(piece).await.is_err() {
                break;
            }
            sleep(LARGE_PAUSE).await;
        }
        drop(pieces);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => Some(answer.ok()?.status()),
        () = feed => unreachable!("it waits for the answer"),
    }
}

/// Outcomes of the attackers' bodies.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Bodies that ended with 503 and with 408.
    refused: AtomicUsize,
    late: AtomicUsize,
    /// Bytes of their data, without frames and headers.
    bytes: AtomicU64,
}

impl Tally {
    fn open(&self) -> usize {
        self.begun.load(Ordering::Relaxed) - self.ended.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ended, refused, late] =
            [&self.ended, &self.refused, &self.late].map(|counter| counter.load(Ordering::Relaxed));
        write!(
            f,
            "of strangers {ended} ended, {refused} with 503, {late} with 408"
        )
    }
}

async fn strangers(port: u16, version: u32, piece: usize, tally: &Arc<Tally>) -> JoinSet<()> {
    let mut bodies = JoinSet::new();
    let data = Bytes::from(vec![b' '; piece]);
    for connection in 0..CONNECTIONS {
        let sender = match version {
            2 => Some(sender::open_http2(port).await.unwrap()),
            _ => None,
        };
        for stream in 0..STREAMS {
            let number = (connection * STREAMS + stream) as u32;
            let (sender, tally, data) = (sender.clone(), Arc::clone(tally), data.clone());
            bodies.spawn(async move {
                sleep(START / BODIES as u32 * number).await;
                loop {
                    let next = Instant::now() + PERIOD;
                    tally.begun.fetch_add(1, Ordering::Relaxed);
                    let answer = match &sender {
                        Some(sender) => body_over_http2(sender.clone(), &data, &tally).await,
                        None => body_over_http1(port, &data, &tally).await,
                    };
                    tally.ended.fetch_add(1, Ordering::Relaxed);
                    match answer {
                        Some(StatusCode::SERVICE_UNAVAILABLE) => &tally.refused,
                        _ => &tally.late,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                    sleep_until(next).await;
                }
            });
        }
    }
    bodies
}

/// Ends the attack. Returns how many of its tasks panicked.
async fn stop(strangers: &mut JoinSet<()>) -> usize {
    strangers.abort_all();
    let mut panics = 0;
    while let Some(ended) = strangers.join_next().await {
        panics += usize::from(ended.is_err_and(|error| error.is_panic()));
    }
    panics
}

async fn body_over_http2(
    mut sender: http2::SendRequest<Body>,
    data: &Bytes,
    tally: &Tally,
) -> Option<StatusCode> {
    let (pieces, channel) = Channel::new(1);
    let mut request = sender::post(channel, 0, &forged());
    request.headers_mut().remove("content-length");
    request.headers_mut().remove(HOST);
    *request.uri_mut() = Uri::try_from(format!("http://localhost{PATH}")).unwrap();
    sender.ready().await.ok()?;
    drip(sender.send_request(request), pieces, data, tally).await
}

async fn body_over_http1(port: u16, data: &Bytes, tally: &Tally) -> Option<StatusCode> {
    let mut sender: http1::SendRequest<Body> = match sender::open(port).await {
        Ok(sender) => sender,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        Err(error) => panic!("{error}"),
    };
    let (pieces, channel) = Channel::new(1);
    let mut request = sender::post(channel, 0, &forged());
    request.headers_mut().remove("content-length");
    drip(sender.send_request(request), pieces, data, tally).await
}

async fn drip(
    answer: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>,
    mut pieces: http_body_util::channel::Sender<Bytes>,
    data: &Bytes,
    tally: &Tally,
) -> Option<StatusCode> {
    let byte = Bytes::from_static(b" ");
    let feed = async {
        let mut next = [byte.clone(), data.clone()].into_iter();
        loop {
            let (piece, pause) = match next.next() {
                // A separate frame.
                Some(piece) => (piece, Duration::from_millis(20)),
                None => (byte.clone(), DRIP),
            };
            sleep(pause).await;
            let length = piece.len();
            if pieces.send_data(piece).await.is_err() {
                std::future::pending::<()>().await;
            }
            tally.bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
    };
    tokio::select! {
        answer = answer => Some(answer.ok()?.status()),
        () = feed => None,
    }
}
