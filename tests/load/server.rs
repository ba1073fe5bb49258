//! The server: axum or hyper, both layers, and a handler that counts each event by its number.

use std::{
    convert::Infallible,
    hint::black_box,
    io::{self, Read},
    process,
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Extension, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use test_support::{PATH, builder};
use tokio::{net::TcpListener, runtime::Handle};
use tower::{Layer, service_fn};
use tower_whatsapp::{
    Notification, Payload, WebhookLayer,
    dedup::{DedupHandle, DedupLayer, MemoryStore},
    webhook::RequestBody,
};

use crate::{
    HEAP,
    figures::{Figures, Machine},
    traffic,
};

/// Serves until it is killed, or its parent has exited.
pub(crate) async fn run(settings: &[&str]) {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    let mut hyper = None;
    let mut events = 0;
    let mut budget = None;
    let mut store = MemoryStore::new();
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap();
        match name {
            "host" if value == "axum" => {}
            "host" => hyper = Some(server(value == BOUNDED)),
            "events" => events = value.parse().unwrap(),
            "budget" => budget = Some(value.parse().unwrap()),
            "entries" => store = MemoryStore::with_capacity(value.parse().unwrap()),
            _ => panic!("there is no setting {name}"),
        }
    }
    let builder = match budget {
        Some(bytes) => builder().memory_budget(bytes),
        None => builder(),
    };
    let layer = builder.build().unwrap();
    let dedup = DedupLayer::new(store.clone());
    // Touched in advance, because memory that is mapped gradually would look like a leak.
    let mut handled = black_box(vec![1; events]);
    handled.fill(0);
    let host = Arc::new(Host {
        handled: Mutex::new(handled),
        strange: Mutex::default(),
        layer: layer.clone(),
        dedup: dedup.handle(),
        store,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    if let Some(hyper) = hyper {
        serve_hyper(&hyper, listener, host, layer, dedup).await;
    } else {
        let router = Router::new()
            .route(PATH, post(on_event))
            .route("/figures", get(figures))
            .with_state(host)
            .layer(dedup)
            .layer(layer);
        axum::serve(listener, router).await.unwrap();
    }
}

async fn on_event(
    State(host): State<Arc<Host>>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    host.handle(&notification);
    StatusCode::OK
}

async fn figures(State(host): State<Arc<Host>>) -> Vec<u8> {
    host.figures()
}

/// A host that limits the buffers of its connections.
pub(crate) const BOUNDED: &str = "hyper, bounded";
pub(crate) const BOUND: usize = 256 * 1024;

fn server(bounded: bool) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    if bounded {
        let window = u32::try_from(BOUND).unwrap();
        server.http1().max_buf_size(BOUND);
        server
            .http2()
            .initial_connection_window_size(window)
            .initial_stream_window_size(window);
    }
    server
}

async fn serve_hyper(
    server: &auto::Builder<TokioExecutor>,
    listener: TcpListener,
    host: Arc<Host>,
    layer: WebhookLayer,
    dedup: DedupLayer<MemoryStore>,
) {
    let service = service_fn(move |request: Request<RequestBody<Incoming>>| {
        let answer = match request.extensions().get::<Notification>() {
            Some(notification) => {
                host.handle(notification);
                Bytes::new()
            }
            None => Bytes::from(host.figures()),
        };
        async { Ok::<_, Infallible>(Response::new(Full::new(answer))) }
    });
    let service = TowerToHyperService::new(layer.layer(dedup.layer(service)));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (server, service) = (server.clone(), service.clone());
        tokio::spawn(async move {
            // An error concerns this connection only: the client disconnected.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Host {
    /// Number of handler runs of each event, by its number.
    handled: Mutex<Vec<u8>>,
    strange: Mutex<usize>,
    layer: WebhookLayer,
    dedup: DedupHandle,
    store: MemoryStore,
}

impl Host {
    /// Reads every event, as a handler does.
    fn handle(&self, notification: &Notification) {
        let mut handled = self.handled.lock().unwrap();
        for event in notification.events() {
            let number = match event.payload() {
                Payload::Message(message) => message.id.and_then(traffic::number),
                _ => None,
            };
            match number.and_then(|number| handled.get_mut(number)) {
                Some(times) => *times = times.saturating_add(1),
                None => *self.strange.lock().unwrap() += 1,
            }
        }
    }

    fn figures(&self) -> Vec<u8> {
        let counters = self.dedup.counters();
        let machine = Machine::look();
        let handled = self.handled.lock().unwrap();
        let figures = Figures {
            handled: handled.iter().map(|times| usize::from(*times)).sum(),
            distinct: handled.iter().filter(|times| **times > 0).count(),
            strange: *self.strange.lock().unwrap(),
            suppressed: counters.suppressed,
            running: counters.running,
            pending: self.store.pending(),
            free: self.layer.available_memory(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors: machine.descriptors,
            heap: HEAP.current_usage(),
            resident: machine.resident,
            peak: machine.peak,
            worked: machine.worked,
            waited: machine.waited,
        };
        serde_json::to_vec(&figures).unwrap()
    }
}
