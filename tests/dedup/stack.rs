//! `WebhookLayer`, `DedupLayer`, a host and a store as one stack, and the checks after each test.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use test_support::{PATH, SECRET, TOKEN, builder};
use tokio::{task::JoinHandle, time::sleep};
use tower::{BoxError, Layer, ServiceExt};
use tower_whatsapp::{
    App, Credentials, WebhookLayer, WebhookLayerBuilder,
    dedup::{
        Dedup, DedupHandle, DedupLayer, DedupLayerBuilder, DedupRejection, DedupRejectionKind,
        MemoryStore, Store,
    },
    event::{EventKey, State},
    testing::{
        self,
        sample::{self, Sample},
    },
    webhook::Webhook,
};

use super::{
    host::Host,
    scripted::{Held, Scripted},
};

pub(crate) const BUDGET: usize = 64 * 1024 * 1024;

/// The defaults of the crate, repeated here so that a test fails if they change.
pub(crate) const STORE: Duration = Duration::from_millis(250);
pub(crate) const WAIT: Duration = Duration::from_secs(1);
pub(crate) const RESPONSE: Duration = Duration::from_secs(5);
pub(crate) const HANDLER: Duration = Duration::from_secs(15 * 60);
pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const WINDOW: Duration = Duration::from_secs((7 * 24 + 1) * 60 * 60);

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A stack. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Stack<S: Store = MemoryStore> {
    pub(crate) layer: WebhookLayer,
    pub(crate) handle: DedupHandle,
    pub(crate) store: Scripted<S>,
    pub(crate) host: Host,
    pub(crate) service: Webhook<Dedup<Host, Scripted<S>>>,
}

/// The response to Meta, and what an outer layer sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: Option<DedupRejectionKind>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Bytes,
}

/// Counters of the handle, except `running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) handled: u64,
    pub(crate) suppressed: u64,
    pub(crate) unprotected: u64,
    pub(crate) stale: u64,
    pub(crate) fenced: u64,
    pub(crate) leases_lost: u64,
    pub(crate) lease_overruns: u64,
    pub(crate) unrecorded: u64,
    pub(crate) stuck: u64,
    pub(crate) timed_out: u64,
    pub(crate) aborted: u64,
    pub(crate) refused: u64,
    pub(crate) bypassed: u64,
    pub(crate) store_failures: u64,
}

impl Tally {
    pub(crate) fn handled(handled: u64) -> Self {
        Self {
            handled,
            ..Self::default()
        }
    }

    pub(crate) fn and_suppressed(self, suppressed: u64) -> Self {
        Self { suppressed, ..self }
    }

    pub(crate) fn and_timed_out(self, timed_out: u64) -> Self {
        Self { timed_out, ..self }
    }

    pub(crate) fn and_aborted(self, aborted: u64) -> Self {
        Self { aborted, ..self }
    }

    pub(crate) fn and_failures(self, store_failures: u64) -> Self {
        Self {
            store_failures,
            ..self
        }
    }
}

impl Stack {
    pub(crate) fn new(host: Host) -> Self {
        Self::with(host, |builder| builder)
    }

    pub(crate) fn with(
        host: Host,
        configure: impl FnOnce(DedupLayerBuilder<Scripted>) -> DedupLayerBuilder<Scripted>,
    ) -> Self {
        Self::over(Scripted::new(), host, configure)
    }

    /// Checks that nothing is pending or held, and that exactly these calls were made.
    pub(crate) async fn at_rest(&self, ops: [usize; 3], tally: Tally) {
        self.rest().await;
        assert_eq!(self.store.ops(), ops, "claims, commits, releases");
        assert_eq!(self.tally(), tally);
    }
}

impl<S: Store + Clone> Stack<S> {
    pub(crate) fn over(
        store: Scripted<S>,
        host: Host,
        configure: impl FnOnce(DedupLayerBuilder<Scripted<S>>) -> DedupLayerBuilder<Scripted<S>>,
    ) -> Self {
        Self::under(builder(), store, host, configure)
    }

    /// A stack whose app has this label.
    pub(crate) fn of_app(label: &str, store: Scripted<S>, host: Host) -> Self {
        let credentials = Credentials::new([("1", SECRET)], [("1", TOKEN)]).unwrap();
        let app = App::new(label, credentials).unwrap();
        let builder = WebhookLayer::builder().route(PATH, app);
        Self::under(builder, store, host, |builder| builder)
    }

    /// A stack with a differently configured webhook layer.
    pub(crate) fn under(
        builder: WebhookLayerBuilder,
        store: Scripted<S>,
        host: Host,
        configure: impl FnOnce(DedupLayerBuilder<Scripted<S>>) -> DedupLayerBuilder<Scripted<S>>,
    ) -> Self {
        let layer = builder.memory_budget(BUDGET).build().unwrap();
        let dedup = configure(DedupLayer::builder(store.clone()))
            .build()
            .unwrap();
        let handle = dedup.handle();
        let service = layer.layer(dedup.layer(host.clone()));
        Self {
            layer,
            handle,
            store,
            host,
            service,
        }
    }

    /// A stack of another process with the same store.
    pub(crate) fn beside(&self, host: Host) -> Self {
        Self::over(self.store.clone(), host, |builder| builder)
    }

    pub(crate) async fn send(&self, sample: &Sample) -> Answer {
        self.send_body(sample.body()).await
    }

    pub(crate) async fn send_body(&self, body: impl Into<Bytes>) -> Answer {
        self.send_request(request(body)).await
    }

    pub(crate) async fn send_request<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        answer(self.service.clone().oneshot(request).await).await
    }

    /// Sends from a task. Aborting the handle drops it.
    pub(crate) fn spawn(&self, sample: &Sample) -> JoinHandle<Answer> {
        let (stack, sample) = (self.clone(), sample.clone());
        tokio::spawn(async move { stack.send(&sample).await })
    }

    /// Sends from a task, and waits until the delivery makes no more progress.
    pub(crate) async fn begin(&self, sample: &Sample) -> JoinHandle<Answer> {
        let sent = self.spawn(sample);
        sleep(millis(1)).await;
        sent
    }

    /// Waits until nothing is running.
    pub(crate) async fn rest(&self) {
        for _ in 0..600_000 {
            if self.handle.counters().running == 0 {
                assert_eq!(self.layer.available_memory(), BUDGET);
                return;
            }
            sleep(millis(1)).await;
        }
        panic!("still running: {:?}", self.handle);
    }

    /// Whether the memory budget is charged with exactly this delivery, including its
    /// parsed events.
    pub(crate) fn holds(&self, sample: &Sample) -> bool {
        const PARSE: usize = 1024;
        let body = sample.body().len();
        (body..body + PARSE).contains(&(BUDGET - self.layer.available_memory()))
    }

    pub(crate) fn tally(&self) -> Tally {
        let counters = self.handle.counters();
        Tally {
            handled: counters.delivered,
            suppressed: counters.suppressed,
            unprotected: counters.unprotected,
            stale: counters.stale,
            fenced: counters.fenced,
            leases_lost: counters.leases_lost,
            lease_overruns: counters.lease_overruns,
            unrecorded: counters.unrecorded,
            stuck: counters.stuck,
            timed_out: counters.timed_out,
            aborted: counters.aborted,
            refused: counters.refused_stale,
            bypassed: counters.bypassed,
            store_failures: counters.store_failures,
        }
    }

    pub(crate) async fn held(&self, sample: &Sample) -> Vec<Held> {
        self.store.held(&keys(sample)).await
    }
}

impl Answer {
    /// The host's own 200.
    pub(crate) fn good() -> Self {
        Self::of_host(200, None)
    }

    /// A 200 without the host.
    pub(crate) fn known() -> Self {
        Self {
            status: 200,
            kind: None,
            retry_after: None,
            body: Bytes::new(),
        }
    }

    /// The host's response body with this status.
    pub(crate) fn of_host(status: u16, kind: Option<DedupRejectionKind>) -> Self {
        Self {
            status,
            kind,
            retry_after: None,
            body: "the host's own words".into(),
        }
    }

    /// A response of the layer that asks Meta to retry.
    pub(crate) fn later(kind: DedupRejectionKind) -> Self {
        Self {
            status: 503,
            kind: Some(kind),
            retry_after: Some("1".to_owned()),
            body: Bytes::new(),
        }
    }

    /// Any other response of the layer.
    pub(crate) fn own(status: u16, kind: DedupRejectionKind) -> Self {
        Self {
            status,
            kind: Some(kind),
            retry_after: None,
            body: Bytes::new(),
        }
    }
}

pub(crate) async fn answer<R>(answered: Result<Response<R>, BoxError>) -> Answer
where
    R: Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let response = answered.expect("an error is never passed on");
    let retry_after = response.headers().get(header::RETRY_AFTER);
    Answer {
        status: response.status().as_u16(),
        kind: response
            .extensions()
            .get::<DedupRejection>()
            .map(DedupRejection::kind),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        body: response.into_body().collect().await.unwrap().to_bytes(),
    }
}

pub(crate) fn request(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    testing::delivery(PATH, body, SECRET).map(Full::new)
}

/// The current time, constant within the process, because some keys contain a time.
pub(crate) fn now() -> u64 {
    static NOW: OnceLock<u64> = OnceLock::new();
    *NOW.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the time at which Meta sends")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs()
    })
}

/// A message with the current time.
pub(crate) fn text(id: &str) -> Sample {
    sample::text("hi").id(id).timestamp(now())
}

/// A status with the current time.
pub(crate) fn status(id: &str) -> Sample {
    sample::status(State::Delivered).id(id).timestamp(now())
}

pub(crate) fn keys(sample: &Sample) -> Vec<EventKey> {
    let notification = sample.notification();
    notification
        .events()
        .iter()
        .map(tower_whatsapp::Event::key)
        .collect()
}

pub(crate) fn sorted(mut keys: Vec<EventKey>) -> Vec<EventKey> {
    keys.sort_unstable();
    keys
}

/// Expected panics with such a payload are not printed.
pub(crate) fn quiet_panics<P: 'static>() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<P>() {
            hook(info);
        }
    }));
}
