//! Handlers of the host behind one type.

use std::{fmt, pin::Pin, sync::Arc};

use crate::{
    event::{InboxBatch, InboxEvent, StoredEvent},
    verdict::Verdict,
};

/// Characters of an error that are kept.
const MAX_ERROR: usize = 500;

type Running = Pin<Box<dyn Future<Output = Result<Verdict, String>> + Send>>;

/// Calls the handler of the host.
pub(super) type Handler = Arc<dyn Fn(InboxBatch) -> Running + Send + Sync>;

/// For handlers of single events. The batch has one event.
pub(super) fn one_by_one<H, F, V, E>(handler: H) -> Handler
where
    H: Fn(InboxEvent) -> F + Send + Sync + 'static,
    F: Future<Output = Result<V, E>> + Send + 'static,
    V: Into<Verdict>,
    E: fmt::Display,
{
    Arc::new(move |batch| {
        let event = |stored: &StoredEvent| InboxEvent {
            stored: stored.clone(),
            run: Arc::clone(&batch.run),
        };
        let running = batch.events().first().map(event).map(&handler);
        Box::pin(async move {
            match running {
                Some(running) => outcome(running.await),
                None => Ok(Verdict::Done),
            }
        })
    })
}

pub(super) fn in_batches<H, F, V, E>(handler: H) -> Handler
where
    H: Fn(InboxBatch) -> F + Send + Sync + 'static,
    F: Future<Output = Result<V, E>> + Send + 'static,
    V: Into<Verdict>,
    E: fmt::Display,
{
    Arc::new(move |batch| {
        let running = handler(batch);
        Box::pin(async move { outcome(running.await) })
    })
}

fn outcome<V: Into<Verdict>, E: fmt::Display>(result: Result<V, E>) -> Result<Verdict, String> {
    match result.map(Into::into) {
        Ok(Verdict::Never(reason)) => Ok(Verdict::Never(bounded(&reason))),
        Ok(verdict) => Ok(verdict),
        // With its causes, as `anyhow` and `eyre` write them.
        Err(error) => Err(bounded(&format!("{error:#}"))),
    }
}

/// A text that every database takes.
fn bounded(text: &str) -> String {
    let keep = |character| {
        if character == '\0' {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().take(MAX_ERROR).map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_the_database() {
        let long = "é\0".repeat(1000);
        let error = outcome::<(), _>(Err(long.clone()));
        let never = outcome::<_, String>(Ok(Verdict::Never(long)));
        let (Err(error), Ok(Verdict::Never(never))) = (error, never) else {
            panic!("each stays what it is")
        };
        for kept in [error, never] {
            assert_eq!(kept.chars().count(), MAX_ERROR);
            assert!(!kept.contains('\0'));
        }
    }
}
