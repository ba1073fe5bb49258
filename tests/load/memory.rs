//! Memory of many large bodies, and its parts.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::{Request, Response, StatusCode, Uri, header::HOST};
use http_body_util::{Full, channel::Channel};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use test_support::PATH;
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};

use crate::{
    figures::{Server, mebibytes, verdict},
    sender::{self, Body, Pool},
    server::{self, BOUNDED},
    strangers::forged,
    traffic::{self, Delivery},
};

const SENDERS: usize = 200;
const MESSAGES: usize = 2500;
/// 3.9 MiB.
const LENGTH: usize = 39 * 1024 * 1024 / 10;

/// In KiB: the budget, an idle server, and a connection without its read-ahead.
const BUDGET: usize = 64 * 1024;
const BASE: usize = 8 * 1024;
const CONNECTION: usize = 32;

/// Memory of an HTTP/2 stream in addition to its body, KiB: futures and headers.
const STREAM: usize = 8;

/// Memory of copying a body that outgrows its buffer, KiB: one at a time on one thread.
const COPIED: usize = 4 * 1024;

/// hyper's default read-ahead per connection, KiB: its buffer for HTTP/1, the window for HTTP/2.
const READ_BUFFER: usize = 408;
const WINDOW: usize = 1024;

/// Memory of the parsed events of all genuine bodies that fit: a tenth of their length, KiB.
const PARSED: usize = BUDGET / 10;

/// Time after which all senders have sent all but their last bytes, unless they were rejected.
const HOLD: Duration = Duration::from_secs(3);
const LAST: usize = 1024;
const PIECE: usize = 64 * 1024;
const DRIP: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    Honest,
    Forged,
    Dripping,
}

pub(crate) async fn run() -> bool {
    let bodies: Vec<_> = (0..SENDERS)
        .map(|sender| traffic::body(sender * MESSAGES, MESSAGES, LENGTH, traffic::now()))
        .map(Delivery::new)
        .collect();
    let mut complaints = Vec::new();
    let mut rows = Vec::new();
    for host in ["axum", "hyper", BOUNDED] {
        for version in [1, 2] {
            for conduct in [Conduct::Honest, Conduct::Forged, Conduct::Dripping] {
                let row = Row {
                    host,
                    version,
                    conduct,
                };
                let peak = row.run(&bodies, &mut complaints).await;
                rows.push((row, peak));
            }
        }
    }
    for host in ["axum", BOUNDED] {
        for version in [1, 2] {
            constants(host, version, &bodies).await;
        }
    }
    let most = |bounded: bool, version: u32| {
        let rows = rows
            .iter()
            .filter(|(row, _)| (row.host == BOUNDED) == bounded && row.version == version);
        mebibytes(rows.map(|(_, peak)| *peak).max().unwrap_or(0))
    };
    println!(
        "memory: {SENDERS} senders of 3.9 MiB with a budget of 64 MiB: RSS at most {:.0} MiB over HTTP/1 and {:.0} MiB over HTTP/2; {:.0} and {:.0} MiB where hyper is told to read {} KiB ahead",
        most(false, 1),
        most(false, 2),
        most(true, 1),
        most(true, 2),
        server::BOUND / 1024
    );
    verdict(&complaints)
}

/// Maximum resident memory with hyper's defaults, KiB: the README's formula.
pub(crate) fn bound(version: u32, connections: usize, streams: usize) -> usize {
    let ahead = match version {
        1 => READ_BUFFER,
        _ => WINDOW,
    };
    BASE + BUDGET + COPIED + connections * (ahead + CONNECTION) + streams * STREAM
}

struct Row {
    host: &'static str,
    version: u32,
    conduct: Conduct,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            version,
            conduct,
        } = self;
        write!(f, "{host}, HTTP/{version}, {conduct:?}")
    }
}

impl Row {
    /// Maximum resident memory, KiB, as the README documents it.
    fn bound(&self) -> usize {
        let ahead = match (self.host, self.version) {
            (BOUNDED, _) => server::BOUND / 1024,
            (_, 1) => READ_BUFFER,
            _ => WINDOW,
        };
        BASE + BUDGET + COPIED + PARSED + SENDERS * (ahead + CONNECTION)
    }

    async fn run(&self, bodies: &[Delivery], complaints: &mut Vec<String>) -> usize {
        let events = match self.conduct {
            Conduct::Honest => SENDERS * MESSAGES,
            Conduct::Forged | Conduct::Dripping => 0,
        };
        let host = format!("host={}", self.host);
        let server = Server::start(&[host, format!("events={events}")]);
        let begin = server.figures().await;
        let mut senders = JoinSet::new();
        for (number, delivery) in bodies.iter().enumerate() {
            let (port, version, conduct) = (server.port, self.version, self.conduct);
            let mut delivery = delivery.clone();
            if conduct != Conduct::Honest {
                delivery.signature = forged();
            }
            senders.spawn(async move {
                let answer = send(port, version, &delivery, conduct).await;
                (number, answer)
            });
        }
        let mut answers = BTreeMap::new();
        let mut refused = Vec::new();
        while let Some(sender) = senders.join_next().await {
            let (number, answer) = sender.unwrap();
            *answers.entry(answer).or_insert(0) += 1;
            if answer != Answer::Status(200) {
                refused.push(number);
            }
        }
        let first = server.figures().await;
        if self.conduct == Conduct::Honest {
            // Rejected deliveries are retried, and succeed.
            let pool = Pool::new(server.port);
            for number in refused {
                let Delivery { body, signature } = &bodies[number];
                let request = sender::post(Full::new(body.clone()), body.len(), signature);
                let answer = pool.send(request).await;
                if !matches!(answer, Ok(StatusCode::OK)) {
                    complaints.push(format!("{self}: refused again"));
                }
            }
        }
        let end = server.settled(&begin, events).await;
        println!(
            "{self}: {}; RSS {:.1} MiB before, at most {:.1} MiB of {:.0} MiB, {:.1} MiB afterwards{}",
            describe(&answers),
            mebibytes(begin.resident),
            mebibytes(end.peak),
            mebibytes(self.bound()),
            mebibytes(end.resident),
            if self.conduct == Conduct::Honest {
                format!(" ({:.1} MiB before they came again)", mebibytes(first.peak))
            } else {
                String::new()
            }
        );
        let last = match self.conduct {
            Conduct::Honest => 200,
            Conduct::Forged => 403,
            Conduct::Dripping => 408,
        };
        for answer in answers.keys() {
            if ![Answer::Status(last), Answer::Status(503), Answer::Cut].contains(answer) {
                complaints.push(format!("{self}: answered with {answer:?}"));
            }
        }
        if !answers.contains_key(&Answer::Status(last)) {
            complaints.push(format!("{self}: nobody came to the end"));
        }
        let wrong = end.complaints(&begin, events);
        complaints.extend(wrong.iter().map(|wrong| format!("{self}: {wrong}")));
        if end.peak > self.bound() {
            complaints.push(format!("{self}: {:.1} MiB", mebibytes(end.peak)));
        }
        end.peak
    }
}

/// Memory of a connection: idle, and with an almost complete body.
async fn constants(host: &str, version: u32, bodies: &[Delivery]) {
    const ROOM: usize = 1024 * 1024 * 1024;
    // Few enough to have sent their data before the measurement.
    const SOME: usize = 20;
    let settings = [
        format!("host={host}"),
        format!("budget={ROOM}"),
        format!("events={SENDERS}"),
    ];
    let server = Server::start(&settings);
    let base = server.figures().await.resident;
    let mut open = Vec::new();
    for _ in 0..SENDERS {
        let mut connection = Connection::open(server.port, version).await;
        let body = traffic::body(open.len(), 1, 1024, traffic::now());
        let delivery = Delivery::new(body);
        let body = Full::new(delivery.body.clone());
        let request = sender::post(body, delivery.body.len(), &delivery.signature);
        assert!(connection.send(request).await.is_ok());
        open.push(connection);
    }
    let idle = server.figures().await.resident;
    drop(open);

    let server = Server::start(&settings);
    let before = server.figures().await;
    let mut senders = JoinSet::new();
    for delivery in &bodies[..SOME] {
        let mut delivery = delivery.clone();
        delivery.signature = forged();
        let port = server.port;
        senders.spawn(async move { send(port, version, &delivery, Conduct::Dripping).await });
    }
    sleep(HOLD + DRIP).await;
    let full = server.figures().await;
    let counted = (before.free - full.free) / 1024;
    let rest = |kib: usize| (kib as f64 - before.resident as f64 - counted as f64) / SOME as f64;
    println!(
        "{host}, HTTP/{version}: RSS {:.1} MiB at first; a connection takes {:.1} KiB idle, and beside the budget {:.1} KiB near the end of a body, {:.1} KiB at most; {:.0} MiB of the budget were in use",
        mebibytes(base),
        (idle - base) as f64 / SENDERS as f64,
        rest(full.resident),
        rest(full.peak),
        mebibytes(counted)
    );
}

/// Outcome of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Status(u16),
    /// The connection was closed before all data was sent.
    Cut,
}

fn describe(answers: &BTreeMap<Answer, usize>) -> String {
    let parts = answers.iter().map(|(answer, count)| match answer {
        Answer::Status(status) => format!("{count} times {status}"),
        Answer::Cut => format!("{count} cut"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    async fn open(port: u16, version: u32) -> Self {
        match version {
            1 => Self::Http1(sender::open(port).await.unwrap()),
            _ => Self::Http2(sender::open_http2(port).await.unwrap()),
        }
    }

    async fn send(&mut self, mut request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(connection) => connection.send_request(request).await,
            Self::Http2(connection) => {
                request.headers_mut().remove(HOST);
                *request.uri_mut() = Uri::try_from(format!("http://localhost{PATH}")).unwrap();
                connection.send_request(request).await
            }
        }
    }
}

/// Sends all but the last bytes, waits until all others have done so, then sends the rest: at once,
/// or byte by byte.
async fn send(port: u16, version: u32, delivery: &Delivery, conduct: Conduct) -> Answer {
    let start = tokio::time::Instant::now();
    let Delivery { body, signature } = delivery;
    let mut connection = Connection::open(port, version).await;
    let (mut pieces, channel) = Channel::new(1);
    let answer = connection.send(sender::post(channel, body.len(), signature));
    let feed = async move {
        let end = body.len() - LAST;
        let (most, mut last) = (body.slice(..end), body.slice(end..));
        for at in (0..most.len()).step_by(PIECE) {
            let piece = most.slice(at..most.len().min(at + PIECE));
            if pieces.send_data(piece).await.is_err() {
                return std::future::pending().await;
            }
        }
        sleep_until(start + HOLD).await;
        if conduct == Conduct::Dripping {
            while pieces.send_data(last.split_to(1)).await.is_ok() {
                sleep(DRIP).await;
            }
        } else {
            // Fails if it was rejected. The response shows it.
            let _ = pieces.send_data(last).await;
            drop(pieces);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => match answer {
            Ok(answer) => Answer::Status(answer.status().as_u16()),
            Err(_) => Answer::Cut,
        },
        () = feed => unreachable!("it waits for the answer"),
    }
}
