//! A scripted handler that records its calls.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{BoxError, Service};
use tower_whatsapp::{Notification, event::EventKey};

pub(crate) type Reply = Result<Response<Full<Bytes>>, BoxError>;
pub(crate) type Handling = Pin<Box<dyn Future<Output = Reply> + Send>>;
type Behaviour = dyn Fn(usize, Notification) -> Handling + Send + Sync;

/// The events of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) fresh: Vec<EventKey>,
    pub(crate) suppressed: Vec<EventKey>,
    pub(crate) stale: Vec<bool>,
    pub(crate) suppressed_stale: Vec<bool>,
    pub(crate) unprotected: bool,
}

/// Clones share the record.
#[derive(Clone)]
pub(crate) struct Host {
    behaviour: Arc<Behaviour>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Number of completed calls.
    ended: Arc<Mutex<usize>>,
}

impl Host {
    /// The behaviour gets the number of the call, starting at 1.
    pub(crate) fn new<F, Fut>(behaviour: F) -> Self
    where
        F: Fn(usize, Notification) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Reply> + Send + 'static,
    {
        Self {
            behaviour: Arc::new(move |call, notification| Box::pin(behaviour(call, notification))),
            seen: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Always responds with this status.
    pub(crate) fn says(status: StatusCode) -> Self {
        Self::new(move |_, _| async move { says(status) })
    }

    pub(crate) fn good() -> Self {
        Self::says(StatusCode::OK)
    }

    /// Responds with 200 after this time.
    pub(crate) fn slow(time: std::time::Duration) -> Self {
        Self::new(move |_, _| async move {
            tokio::time::sleep(time).await;
            good()
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn ended(&self) -> usize {
        *self.ended.lock().unwrap()
    }

    /// All events in the order of the calls.
    pub(crate) fn handled(&self) -> Vec<EventKey> {
        let seen = self.seen();
        seen.into_iter().flat_map(|seen| seen.fresh).collect()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

pub(crate) fn says(status: StatusCode) -> Reply {
    let mut response = Response::new(Full::from("the host's own words"));
    *response.status_mut() = status;
    Ok(response)
}

pub(crate) fn good() -> Reply {
    says(StatusCode::OK)
}

impl<B> Service<Request<B>> for Host {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Handling {
        let notification = request.extensions().get::<Notification>();
        let notification = notification.expect("there is one on this path").clone();
        let keys = |events: &[tower_whatsapp::Event]| {
            events.iter().map(tower_whatsapp::Event::key).collect()
        };
        let stale = |events: &[tower_whatsapp::Event]| {
            events.iter().map(tower_whatsapp::Event::is_stale).collect()
        };
        let call = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen {
                fresh: keys(notification.events()),
                suppressed: keys(notification.suppressed()),
                stale: stale(notification.events()),
                suppressed_stale: stale(notification.suppressed()),
                unprotected: notification.is_unprotected(),
            });
            seen.len()
        };
        let handling = (self.behaviour)(call, notification);
        let ended = Arc::clone(&self.ended);
        Box::pin(async move {
            let reply = handling.await;
            *ended.lock().unwrap() += 1;
            reply
        })
    }
}
