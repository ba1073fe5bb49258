//! A host whose handler is slow, fails and panics, and that records its runs.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::{Instant, sleep};
use tower_whatsapp::event::EventKey;

use crate::world::{Process, Run};

#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) process: Arc<Process>,
}

/// The handler's response, if there is one.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Failed events, if others were handled.
    pub(crate) failed: Vec<EventKey>,
}

/// The handler did not respond.
#[derive(Debug)]
pub(crate) struct HostError;

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the host does not answer")
    }
}

impl std::error::Error for HostError {}

enum Ending {
    Good,
    Partial,
    Status(StatusCode),
    Error,
    Panic,
}

impl Host {
    pub(crate) async fn handle(
        &self,
        request: usize,
        keys: Vec<EventKey>,
        unprotected: bool,
    ) -> Result<Answer, HostError> {
        let process = &self.process;
        process.live(std::future::ready(())).await;
        let world = &process.world;
        let start = Instant::now();
        let index = {
            let mut ledger = world.ledger();
            ledger.runs.push(Run {
                process: process.id,
                request,
                keys: keys.clone(),
                start,
                end: None,
                unprotected,
                good: Vec::new(),
            });
            ledger.runs.len() - 1
        };
        let _open = Open { host: self, index };
        process.may_be_killed();
        let (takes, ending) = self.plan();
        process.live(sleep(takes)).await;
        let answer = |status, failed| Ok(Answer { status, failed });
        let (good, answer) = match ending {
            Ending::Good => (keys, answer(StatusCode::ACCEPTED, Vec::new())),
            Ending::Partial => {
                let at = keys.len() / 2;
                let (failed, good) = keys.split_at(at.max(1));
                let answer = answer(StatusCode::OK, failed.to_vec());
                (good.to_vec(), answer)
            }
            Ending::Status(status) => (Vec::new(), answer(status, Vec::new())),
            Ending::Error => (Vec::new(), Err(HostError)),
            Ending::Panic => std::panic::panic_any(Planned),
        };
        world.ledger().runs[index].good = good;
        // Between the work and its commit.
        process.may_be_killed();
        answer
    }

    fn plan(&self) -> (std::time::Duration, Ending) {
        let world = &self.process.world;
        let (slow, fails) = (
            world.goes_wrong(world.weather.slow),
            world.goes_wrong(world.weather.failure),
        );
        let mut random = world.random();
        let which = random.unit();
        let takes = match which {
            _ if !slow => random.between(0.0, 0.2),
            0.0..0.5 => random.between(0.2, 4.0),
            0.5..0.8 => random.between(4.5, 8.0),
            0.8..0.9 => random.between(8.0, 24.0),
            _ => random.between(26.0, 60.0),
        };
        let which = random.unit();
        let ending = match which {
            _ if !fails => Ending::Good,
            0.0..0.3 => Ending::Status(StatusCode::INTERNAL_SERVER_ERROR),
            0.3..0.4 => Ending::Status(StatusCode::NOT_FOUND),
            0.4..0.6 => Ending::Error,
            0.6..0.7 => Ending::Panic,
            _ => Ending::Partial,
        };
        (takes, ending)
    }
}

/// Payload of an intended panic.
pub(crate) struct Planned;

/// A running call of the handler.
struct Open<'a> {
    host: &'a Host,
    index: usize,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.host.process.is_dead() {
            let now = Instant::now();
            self.host.process.world.ledger().runs[self.index].end = Some(now);
        }
    }
}
