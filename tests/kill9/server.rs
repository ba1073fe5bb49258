//! The server: hyper, both layers, and a handler that writes to the journal.

use std::{
    collections::HashSet,
    convert::Infallible,
    io::Read,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use test_support::layer;
use tokio::{net::TcpListener, runtime, sync::oneshot, time::sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification,
    dedup::{DedupLayer, MemoryStore, OnStoreError, RedisStore, Store},
};

use crate::{
    delivery::FAILS_ONCE,
    journal::Journal,
    point::{Point, Trap},
    store::{Waits, Watched},
    wire::{self, Line},
};

/// Time for which a dead process keeps its events.
pub(crate) const LEASE: Duration = Duration::from_millis(2500);

#[derive(Default)]
struct Settings<'a> {
    redis: Option<&'a str>,
    prefix: &'a str,
    journal: Option<Arc<Journal>>,
    /// Use the short lease: a dead process must not keep its events for 30 seconds.
    short: bool,
    trap: Option<(Point, u32)>,
    /// Duration of a handler run.
    work: Option<Duration>,
    /// Whether messages with `FAILS_ONCE` fail.
    fails: bool,
    on_store_error: OnStoreError,
}

/// Serves until standard input ends, then prints its counters.
pub(crate) fn run(settings: &[&str]) -> ExitCode {
    let mut parsed = Settings::default();
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap();
        match name {
            "redis" => parsed.redis = Some(value),
            "prefix" => parsed.prefix = value,
            "journal" => parsed.journal = Some(Arc::new(Journal::open(Path::new(value)))),
            "short" => parsed.short = true,
            "work" => parsed.work = Some(Duration::from_millis(value.parse().unwrap())),
            "fails" => parsed.fails = true,
            "policy" => {
                parsed.on_store_error = match value {
                    "deliver" => OnStoreError::Deliver,
                    _ => OnStoreError::Refuse,
                };
            }
            "trap" => {
                let (point, nth) = value.split_once(':').unwrap();
                parsed.trap = Some((Point::named(point), nth.parse().unwrap()));
            }
            _ => panic!("there is no setting {name}"),
        }
    }
    // One thread, so that a kill stops everything at once.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match parsed.redis {
            Some(url) => {
                let store = RedisStore::open(url).unwrap().prefix(parsed.prefix);
                serve(store, parsed).await;
            }
            None => serve(MemoryStore::new(), parsed).await,
        }
    });
    ExitCode::SUCCESS
}

async fn serve<S: Store>(store: S, settings: Settings<'_>) {
    let trap = Arc::new(Trap::new(settings.trap));
    let waits = Arc::<Waits>::default();
    let mut dedup = DedupLayer::builder(Watched {
        store,
        trap: Arc::clone(&trap),
        journal: settings.journal.clone(),
        waits: Arc::clone(&waits),
    })
    .on_store_error(settings.on_store_error);
    if settings.short {
        dedup = dedup
            .lease(LEASE)
            .store_timeout(Duration::from_millis(500))
            .in_flight_wait(Duration::from_millis(300))
            .response_deadline(Duration::from_secs(3));
    }
    let dedup = dedup.build().unwrap();
    let handle = dedup.handle();
    let handler = Arc::new(Handler {
        journal: settings.journal,
        trap: Arc::clone(&trap),
        calls: AtomicU32::new(0),
        failed: Mutex::default(),
        work: settings.work,
        fails: settings.fails,
    });
    let service = service_fn(move |request: Request<_>| {
        let handler = Arc::clone(&handler);
        async move {
            let notification = request.extensions().get::<Notification>().cloned();
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = match notification {
                Some(notification) => handler.handle(&notification).await,
                None => StatusCode::NOT_FOUND,
            };
            Ok::<_, Infallible>(response)
        }
    });
    let (on_request, on_response) = (Arc::clone(&trap), Arc::clone(&trap));
    let service = layer()
        .layer(dedup.layer(service))
        .map_request(move |request: Request<Incoming>| {
            let trap = Arc::clone(&on_request);
            request.map(|body| wire::Watched {
                body,
                trap,
                begun: false,
            })
        })
        .map_response(move |response: Response<_>| {
            if response.status() == StatusCode::OK {
                on_response.pass(Point::BeforeAnswer);
            }
            response
        });
    let service = TowerToHyperService::new(service);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let mut ended = end_of_input();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = &mut ended => break,
        };
        stream.set_nodelay(true).unwrap();
        let line = Line {
            stream,
            trap: Arc::clone(&trap),
        };
        let service = service.clone();
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(line), service);
            // An error concerns this connection only: the client disconnected.
            let _ = connection.await;
        });
    }
    let counters = handle.counters();
    println!(
        "{} handled, {} suppressed, {} fenced, {} store failures, {} waits, {} looks",
        counters.delivered,
        counters.suppressed,
        counters.fenced,
        counters.store_failures,
        waits.deliveries(),
        waits.looks()
    );
}

struct Handler {
    journal: Option<Arc<Journal>>,
    trap: Arc<Trap>,
    calls: AtomicU32,
    /// Events that have failed once in this process.
    failed: Mutex<HashSet<String>>,
    work: Option<Duration>,
    fails: bool,
}

impl Handler {
    async fn handle(&self, notification: &Notification) -> StatusCode {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.trap.pass(Point::HandlerStart);
        if let Some(work) = self.work {
            sleep(work).await;
        }
        let Some(journal) = &self.journal else {
            return StatusCode::OK;
        };
        let events = notification.events();
        let raw = events.first().map_or("", |event| event.raw());
        if self.fails
            && raw.contains(FAILS_ONCE)
            && self.failed.lock().unwrap().insert(raw.to_owned())
        {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let half = events.len().div_ceil(2);
        for (index, event) in events.iter().enumerate() {
            if index == half {
                self.trap.pass(Point::HandlerMiddle);
            }
            journal.handled(event.key(), call);
        }
        self.trap.pass(Point::HandlerEnd);
        StatusCode::OK
    }
}

/// Completes when the driver stops the server, or has exited.
fn end_of_input() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    receiver
}
