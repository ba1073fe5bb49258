//! Over sockets: clients that disconnect, vanish, do not read their response, or do not wait for
//! it. Running handlers complete and are recorded, other requests leave nothing behind, and each
//! event is handled once after Meta's retry.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use test_support::{PATH, SECRET, builder, sign, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tower::{BoxError, Service, ServiceExt};
use tower_whatsapp::testing::sample::Sample;

use super::{
    host::{Host, good},
    scripted::{Held, Scripted},
    stack::{BUDGET, Stack, keys, millis, text},
};

/// Timeout of the server for silent clients.
const HASTE: Duration = Duration::from_millis(200);

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(millis(2)).await;
        }
    };
    within(what, wait).await;
}

/// Guard that counts until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server like `examples/hyper.rs`.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Requests without a response so far.
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn new<S>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Error = BoxError, Future: Send> + Clone + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<Answer>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HASTE);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HASTE)
            .keep_alive_timeout(HASTE);
        let (connections, requests) = (server.connections.clone(), server.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = Counted::new(&connections);
                let (http, service, requests) = (http.clone(), service.clone(), requests.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let counted = Counted::new(&requests);
                        let answer = service.clone().oneshot(request);
                        async move {
                            let _counted = counted;
                            Ok::<_, Infallible>(answer.await.unwrap())
                        }
                    });
                    // Connections that end with an error are expected here.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    drop(counted);
                });
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes on a new connection, and returns the statuses of all responses.
    async fn send(&self, request: &[u8]) -> Vec<u16> {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        // The server closes it when no more data arrives.
        let mut answers = String::new();
        let read = stream.read_to_string(&mut answers);
        within("the end of the connection", read).await.unwrap();
        let statuses = answers.split("HTTP/1.1 ").skip(1);
        statuses.map(|text| text[..3].parse().unwrap()).collect()
    }
}

type Answer =
    tower_whatsapp::webhook::ResponseBody<tower_whatsapp::webhook::ResponseBody<Full<Bytes>>>;

/// A stack with short timeouts for stalled clients.
fn hasty(host: Host) -> Stack {
    let builder = builder().body_idle_timeout(HASTE);
    Stack::under(builder, Scripted::new(), host, |builder| builder)
}

/// A host whose calls complete only after the gate is opened.
fn gated() -> (Host, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let host = Host::new(move |_, _| {
        let held = Arc::clone(&held);
        async move {
            let _permit = held.acquire().await;
            good()
        }
    });
    (host, gate)
}

async fn settled(stack: &Stack) {
    until("something is still held", || {
        stack.handle.counters().running == 0 && stack.layer.available_memory() == BUDGET
    })
    .await;
    assert_eq!(stack.store.pending(), 0);
}

/// A delivery as bytes: the head, the first half of the body, and the rest.
struct Written {
    head: Vec<u8>,
    half: Vec<u8>,
    rest: Vec<u8>,
}

impl Written {
    fn whole(&self) -> Vec<u8> {
        [&self.head[..], &self.half, &self.rest].concat()
    }

    fn http1(sample: &Sample) -> Self {
        let body = sample.body();
        let (half, rest) = body.split_at(body.len() / 2);
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nx-hub-signature-256: {}\r\ncontent-length: {}\r\n\r\n",
            sign(SECRET, &body),
            body.len()
        );
        Self {
            head: head.into_bytes(),
            half: half.to_vec(),
            rest: rest.to_vec(),
        }
    }

    fn http2(sample: &Sample) -> Self {
        const SETTINGS: u8 = 4;
        const HEADERS: u8 = 1;
        const DATA: u8 = 0;
        const END_STREAM: u8 = 1;
        const END_HEADERS: u8 = 4;
        let body = sample.body();
        let (half, rest) = body.split_at(body.len() / 2);
        let mut fields = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", PATH),
            ("x-hub-signature-256", &sign(SECRET, &body)),
        ] {
            // Literal, not indexed, with a new name.
            fields.push(0);
            for text in [name, value] {
                fields.push(u8::try_from(text.len()).unwrap());
                fields.extend_from_slice(text.as_bytes());
            }
        }
        let mut head = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        head.extend(frame(SETTINGS, 0, 0, &[]));
        head.extend(frame(HEADERS, END_HEADERS, 1, &fields));
        Self {
            head,
            half: frame(DATA, 0, 1, half),
            rest: frame(DATA, END_STREAM, 1, rest),
        }
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// How a client disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With RST, as after a killed process or through a middlebox.
    Reset,
    /// With FIN.
    Close,
    /// Silently: the machine or the network is gone, and the server is not notified.
    Silence,
    /// HTTP/2: resets the stream of the request.
    ResetStream,
    /// HTTP/2: announces that it sends no further requests.
    GoAway,
}

impl End {
    async fn of(self, mut stream: TcpStream) -> Option<TcpStream> {
        const RST_STREAM: u8 = 3;
        const GOAWAY: u8 = 7;
        const CANCEL: [u8; 4] = [0, 0, 0, 8];
        match self {
            Self::Reset => {
                stream.set_zero_linger().unwrap();
                return None;
            }
            Self::Close => return None,
            Self::Silence => {}
            Self::ResetStream => {
                let frame = frame(RST_STREAM, 0, 1, &CANCEL);
                stream.write_all(&frame).await.unwrap();
            }
            Self::GoAway => {
                let frame = frame(GOAWAY, 0, 0, &[0; 8]);
                stream.write_all(&frame).await.unwrap();
            }
        }
        Some(stream)
    }

    /// Whether the server learns that the client is gone.
    fn is_told(self) -> bool {
        !matches!(self, Self::Silence | Self::GoAway)
    }
}

/// The stage that the client reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// The whole head, nothing of the body.
    Signature,
    Body,
    Handled,
    Answered,
}

const STAGES: [Stage; 5] = [
    Stage::Head,
    Stage::Signature,
    Stage::Body,
    Stage::Handled,
    Stage::Answered,
];

async fn goes_away(written: &Written, stage: Stage, end: End) {
    let at = format!("{stage:?}, {end:?}");
    let (host, gate) = gated();
    let stack = hasty(host);
    let server = Server::new(stack.service.clone()).await;
    let mut stream = server.connect().await;
    let (half, rest) = match stage {
        Stage::Head => (&written.head[..written.head.len() - 5], &[][..]),
        Stage::Signature => (&written.head[..], &[][..]),
        Stage::Body => (&written.head[..], &written.half[..]),
        Stage::Handled | Stage::Answered => (&written.whole()[..], &[][..]),
    };
    stream.write_all(&[half, rest].concat()).await.unwrap();
    let begun = || match stage {
        Stage::Head => server.connections() == 1,
        Stage::Signature => server.requests() == 1,
        // Memory is charged, so it must be released.
        Stage::Body => stack.layer.available_memory() < BUDGET,
        Stage::Handled | Stage::Answered => stack.host.calls() == 1,
    };
    until(&at, begun).await;
    if stage == Stage::Answered {
        gate.add_permits(1);
        until(&at, || server.requests() == 0).await;
    }
    let stream = end.of(stream).await;
    if end.is_told() {
        until(&at, || server.requests() == 0).await;
        // The handler keeps running without a client.
        assert_eq!(stack.host.ended(), usize::from(stage == Stage::Answered));
    }
    gate.add_permits(1);
    settled(&stack).await;
    let handled = usize::from(matches!(stage, Stage::Handled | Stage::Answered));
    assert_eq!(stack.host.calls(), handled, "{at}");
    assert_eq!(stack.host.ended(), handled, "{at}");
    let held = [Held::Absent, Held::Done][handled];
    assert_eq!(stack.held(&text("A")).await, [held], "{at}");
    // The server has closed silent connections.
    until(&at, || server.connections() == 0).await;
    drop(stream);

    let retry = Written::http1(&text("A")).whole();
    assert_eq!(server.send(&retry).await, [200], "{at}");
    settled(&stack).await;
    assert_eq!(stack.host.handled(), keys(&text("A")), "{at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_over_http1() {
    let written = Written::http1(&text("A"));
    for stage in STAGES {
        for end in [End::Reset, End::Close, End::Silence] {
            goes_away(&written, stage, end).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_over_http2() {
    let written = Written::http2(&text("A"));
    for stage in STAGES {
        for end in [
            End::Reset,
            End::Close,
            End::Silence,
            End::ResetStream,
            End::GoAway,
        ] {
            let is_of_a_stream = matches!(end, End::ResetStream | End::GoAway);
            if stage != Stage::Head || !is_of_a_stream {
                goes_away(&written, stage, end).await;
            }
        }
    }
}

/// A response that does not fit into the socket buffers: while the client does not read it, the
/// handler's memory, permit and budget are free, and the event is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_who_does_not_read() {
    let long = Bytes::from(vec![b'.'; 32 * 1024 * 1024]);
    let stack = hasty(Host::new(move |call, _| {
        let long = if call == 1 {
            long.clone()
        } else {
            Bytes::new()
        };
        async move { Ok(Response::new(Full::new(long))) }
    }));
    let server = Server::new(stack.service.clone()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let first = Written::http1(&text("A")).whole();
    stream.write_all(&first).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    settled(&stack).await;
    assert_eq!((server.connections(), server.requests()), (1, 0));
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    // Neither other deliveries nor the retry of this one wait for it.
    let second = Written::http1(&text("B")).whole();
    assert_eq!(server.send(&second).await, [200]);
    assert_eq!(server.send(&first).await, [200]);
    assert_eq!(server.connections(), 1);
    stream.set_zero_linger().unwrap();
    drop(stream);
    until("the answer is still stuck", || server.connections() == 0).await;
    settled(&stack).await;
    let both = [keys(&text("A")), keys(&text("B"))].concat();
    assert_eq!(stack.host.handled(), both);
}

/// Several pipelined deliveries on one connection, one of them twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined() {
    let stack = hasty(Host::good());
    let server = Server::new(stack.service.clone()).await;
    let ids = ["A", "B", "A", "C"];
    let all = ids.map(|id| Written::http1(&text(id)).whole()).concat();
    assert_eq!(server.send(&all).await, [200; 4]);
    settled(&stack).await;
    let once = ["A", "B", "C"].map(|id| keys(&text(id))).concat();
    assert_eq!(stack.host.handled(), once);
}

/// Pipelined deliveries behind a running one have not started when the connection breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_and_reset() {
    let (host, gate) = gated();
    let stack = hasty(host);
    let server = Server::new(stack.service.clone()).await;
    let all = ["A", "B"]
        .map(|id| Written::http1(&text(id)).whole())
        .concat();
    let mut stream = server.connect().await;
    stream.write_all(&all).await.unwrap();
    until("nothing is handled", || stack.host.calls() == 1).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    until("it does not end", || server.connections() == 0).await;
    gate.add_permits(1);
    settled(&stack).await;
    assert_eq!(stack.host.handled(), keys(&text("A")));
    assert_eq!(server.send(&all).await, [200; 2]);
    settled(&stack).await;
    let both = [keys(&text("A")), keys(&text("B"))].concat();
    assert_eq!(stack.host.handled(), both);
}
