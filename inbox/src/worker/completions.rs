//! Marks events of several runs as done in one transaction: it is the commit that takes time.

use std::{collections::HashSet, sync::Arc};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::Shared;
use crate::{
    backend::Completion,
    error::{DatabaseError, InboxError},
    row::Lease,
};

/// Lanes of one transaction.
const MOST: usize = 128;

/// Runs that wait for their mark.
pub(super) struct Completions {
    requests: mpsc::UnboundedSender<Request>,
}

/// Outlives a task that panics.
pub(super) type Requests = Arc<Mutex<mpsc::UnboundedReceiver<Request>>>;

pub(super) struct Request {
    completion: Completion,
    /// Whether the events are marked, or how the database failed.
    answer: oneshot::Sender<Result<bool, InboxError>>,
}

impl Completions {
    /// There are never more requests than runs, so the channel needs no bound of its own.
    pub(super) fn new() -> (Self, Requests) {
        let (requests, received) = mpsc::unbounded_channel();
        (Self { requests }, Arc::new(Mutex::new(received)))
    }

    /// Marks events as done together with those of other runs, and ends the lease.
    pub(super) async fn complete(
        &self,
        shared: &Shared,
        lease: &Lease,
        keys: &[[u8; 16]],
    ) -> Result<(), InboxError> {
        let (answer, answered) = oneshot::channel();
        let completion = Completion {
            lease: lease.clone(),
            keys: keys.to_vec(),
        };
        let unanswered = || InboxError::database(DatabaseError::driver());
        let request = Request { completion, answer };
        self.requests.send(request).map_err(|_| unanswered())?;
        let is_done = answered.await.map_err(|_| unanswered())?;
        if is_done? {
            return Ok(());
        }
        // The lease is lost, a row is locked at the moment, or the mark of one of the runs was
        // refused: asked alone, the database waits, and refuses that one only.
        let (inner, limit) = (&shared.inbox.inner, shared.limit());
        let backend = &inner.backend;
        backend.complete(lease, keys, &inner.settings, limit).await
    }
}

/// Takes all requests that have come while the last transaction was committed.
pub(super) async fn complete_forever(shared: Arc<Shared>, received: Requests) {
    let mut received = received.lock().await;
    let mut requests = Vec::new();
    while received.recv_many(&mut requests, MOST).await > 0 {
        let (completions, answers): (Vec<_>, Vec<_>) = requests
            .drain(..)
            .map(|request| (request.completion, request.answer))
            .unzip();
        let (inner, limit) = (&shared.inbox.inner, shared.limit());
        let backend = &inner.backend;
        let all = backend.complete_all(&completions, &inner.settings, limit);
        let done = match all.await {
            Err(error) if error.is_refusal() => Ok(HashSet::new()),
            done => done,
        };
        for (completion, answer) in completions.iter().zip(answers) {
            let is_done = done
                .as_ref()
                .map(|done| done.contains(&completion.lease.token));
            // A run that was dropped meanwhile does not wait.
            let _ = answer.send(is_done.map_err(Clone::clone));
        }
    }
}
