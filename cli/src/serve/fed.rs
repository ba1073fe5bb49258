//! A response body that a task fills as it is read.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Body, Frame};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

/// Its task ends when the body is dropped, which the server does when the connection closes. The
/// permit is freed when the task ends.
pub(super) struct Fed {
    body: Channel<Bytes, io::Error>,
    task: JoinHandle<()>,
}

impl Fed {
    pub(super) fn new<F>(
        permit: OwnedSemaphorePermit,
        feed: impl FnOnce(Sender<Bytes, io::Error>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, body) = Channel::new(1);
        let feeding = feed(sender);
        let task = tokio::spawn(async move {
            feeding.await;
            drop(permit);
        });
        Self { body, task }
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.task.abort();
    }
}
