use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;
use tower_whatsapp::{Notification, Verified};

use crate::{
    error::InboxError,
    inbox::Inbox,
    row::Delivery,
    testing::{self, Point},
};

/// Stores the events of each delivery and answers it: see [`Inbox::receiver`].
///
/// | Answer | When |
/// |---|---|
/// | 200 | all events of the delivery are committed, were stored before, or are left out |
/// | 503 | the database failed, or was slower than `store_timeout`. Its commit may have succeeded all the same. Meta redelivers, and what was stored is not stored again |
/// | 503 | the rows would take too much memory ([`TooLarge`](crate::InboxErrorKind::TooLarge)). The database is not asked, and Meta sends nothing like it |
/// | 500 | the request did not pass through a `WebhookLayer`. A WARN says so (feature `tracing`) |
///
/// Events about foreign accounts (`Notification::foreign`) are not stored. The task of a large
/// delivery yields after every 32 events or 64 KiB that it makes ready for the database.
#[derive(Debug, Clone)]
pub struct Receiver {
    inbox: Inbox,
}

/// Future of the [`Receiver`].
pub struct ResponseFuture {
    answer: Pin<Box<dyn Future<Output = StatusCode> + Send>>,
}

/// The empty body of every answer of a [`Receiver`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ResponseBody;

impl Receiver {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self { inbox }
    }
}

impl<B> Service<Request<B>> for Receiver {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let notification = request.extensions().get::<Notification>().cloned();
        let app = request.extensions().get::<Verified>();
        let app = app.map_or_else(String::new, |verified| verified.app().to_owned());
        let inbox = self.inbox.clone();
        ResponseFuture {
            answer: Box::pin(async move {
                match notification {
                    Some(notification) => answer(&inbox, &notification, &app).await,
                    None => {
                        inbox.inner.warnings.layer_missing();
                        StatusCode::INTERNAL_SERVER_ERROR
                    }
                }
            }),
        }
    }
}

async fn answer(inbox: &Inbox, notification: &Notification, app: &str) -> StatusCode {
    match store(inbox, notification, app).await {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            inbox.inner.refused(&error);
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

async fn store(inbox: &Inbox, notification: &Notification, app: &str) -> Result<(), InboxError> {
    let inner = &inbox.inner;
    let events = notification.events();
    let delivery = Delivery::new(notification, app, |kind| inner.filter.stores(kind)).await?;
    let count = delivery.rows.len() as u64;
    inner.counting.ignored.add(events.len() as u64 - count);
    if delivery.rows.is_empty() && delivery.aliases.is_empty() {
        return Ok(());
    }
    let stored = inner.backend.store(&delivery, &inner.settings).await?;
    inner.counting.stored.add(stored);
    inner.counting.duplicates.add(count.saturating_sub(stored));
    if stored > 0 {
        inbox.wake();
    }
    testing::before(Point::Answer).await
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(context).map(|status| {
            let mut response = Response::new(ResponseBody);
            *response.status_mut() = status;
            Ok(response)
        })
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
