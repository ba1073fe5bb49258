//! One run: the events of one lane, from the lease to its end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Reason, Shared};
use crate::{
    conversation::Place,
    error::{InboxError, InboxErrorKind},
    event::{InboxBatch, StoredEvent},
    row::{Failure, Lease, StoredRow},
    run::{Run, Term},
    telemetry,
    testing::{self, Point},
    verdict::Verdict,
};

/// First pause between attempts to record what a run came to. The pauses double.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

/// How a run ended.
enum End {
    Verdict(Result<Verdict, Failed>),
    LeaseEnded,
    Stopped,
}

impl End {
    /// What the handler came to. Whether it was recorded is another matter.
    fn name(&self) -> &'static str {
        match self {
            Self::Verdict(Ok(Verdict::Done)) => "done",
            Self::Verdict(Ok(Verdict::Again)) => "again",
            Self::Verdict(Ok(Verdict::NotBefore(_))) => "not_before",
            Self::Verdict(Ok(Verdict::Never(_))) => "never",
            Self::Verdict(Err(_)) => "failed",
            Self::LeaseEnded => "lease_ended",
            Self::Stopped => "stopped",
        }
    }
}

/// Who says that a run has failed.
enum Failed {
    /// The handler, in its own words.
    Handler(String),
    Worker(Reason),
}

/// Handles the rows of a lane, and records the result while the lease lasts.
pub(super) async fn handle(
    shared: Arc<Shared>,
    lease: Lease,
    rows: Vec<StoredRow>,
    term: Arc<Term>,
    stop: watch::Receiver<bool>,
) {
    let _held = LetGoOnDrop {
        shared: &shared,
        lease: &lease,
    };
    let recorded = async {
        let Some((batch, run)) = prepare(&shared, &lease, rows, &term).await else {
            return;
        };
        let end = run_handler(&shared, batch, &term, stop).await;
        settle(&shared, &run, &term, end).await;
    };
    tokio::select! {
        biased;
        () = recorded => {}
        // The result cannot be recorded any more: another worker may have the lane.
        () = term.ended() => shared.inbox.inner.lease_lost(),
    }
}

/// A run that panics is not renewed any more: when its lease has ended, its lane is claimed again.
struct LetGoOnDrop<'a> {
    shared: &'a Shared,
    lease: &'a Lease,
}

impl Drop for LetGoOnDrop<'_> {
    fn drop(&mut self) {
        self.shared.leases.let_go(self.lease);
    }
}

/// Reads the rows. `None` if nothing is left to be handled.
async fn prepare(
    shared: &Shared,
    lease: &Lease,
    rows: Vec<StoredRow>,
    term: &Arc<Term>,
) -> Option<(InboxBatch, Arc<Run>)> {
    // The attempt that begins with this claim.
    let attempt = |row: &StoredRow| row.attempts.saturating_add(lease.claims);
    let max_attempts = i64::from(shared.options.max_attempts);
    // A single attempt is no half: neighbours would share it.
    let half = match max_attempts {
        1 => 0,
        _ => (max_attempts + 1) / 2,
    };
    if let Some(first) = rows.first()
        && i64::from(attempt(first)) > max_attempts
    {
        // Without a run that was lost, `max_attempts` has become less since the last failure, whose
        // reason is the true one.
        let (reason, keys) = (Reason::RunLost, &[first.key]);
        let lost = (lease.claims > 1).then_some(reason.text());
        let failure = Failure {
            error: lost,
            ..never("")
        };
        record_failure(shared, lease, term, keys, &failure, reason, Tried::No).await;
        return None;
    }
    let mut keys = Vec::with_capacity(rows.len());
    let mut events = Vec::with_capacity(rows.len());
    let mut most = 0;
    let mut person = None;
    for row in rows {
        let (key, attempt) = (row.key, attempt(&row));
        // It may be what the others fail on, or the process dies of.
        let is_alone = i64::from(attempt) > half;
        if is_alone && !events.is_empty() {
            break;
        }
        let Some(event) = StoredEvent::new(row, lease.claims) else {
            if !events.is_empty() {
                break;
            }
            // Perhaps written by a later version, which retries it.
            let (reason, keys) = (Reason::Unreadable, &[key]);
            shared.inbox.inner.warnings.run_failed(reason, &key);
            let failure = shared.failure(attempt, Some(reason.text()));
            record_failure(shared, lease, term, keys, &failure, reason, Tried::No).await;
            return None;
        };
        // After a change of number, two persons may share a conversation: see `conversation`.
        let its_person = Place::of(event.event(), event.app()).conversation;
        if *person.get_or_insert_with(|| its_person.clone()) != its_person {
            break;
        }
        keys.push(key);
        events.push(event);
        most = most.max(attempt);
        if is_alone {
            break;
        }
    }
    if keys.is_empty() {
        let recount = || shared.inbox.inner.backend.recount(lease, shared.limit());
        record(shared, term, Tried::No, recount).await;
        return None;
    }
    let (inbox, term) = (shared.inbox.clone(), Arc::clone(term));
    let run = Arc::new(Run::new(inbox, lease.clone(), keys, most, term));
    let batch = InboxBatch {
        events: events.into(),
        run: Arc::clone(&run),
    };
    Some((batch, run))
}

async fn run_handler(
    shared: &Shared,
    batch: InboxBatch,
    term: &Term,
    mut stop: watch::Receiver<bool>,
) -> End {
    if testing::before(Point::Handle).await.is_err() {
        return End::Stopped;
    }
    for event in &batch {
        telemetry::started(event.kind(), event.age());
    }
    let start = Instant::now();
    let span = telemetry::run_span(&batch);
    // A task of its own, so that a panic stays in it.
    let handler = Arc::clone(&shared.handler);
    let mut task = tokio::spawn(telemetry::in_span(
        &span,
        async move { handler(batch).await },
    ));
    let limit = shared.options.handler_timeout;
    let too_late = async {
        match limit {
            Some(limit) => sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let abort = AbortOnDrop(task.abort_handle());
    let end = tokio::select! {
        biased;
        result = &mut task => End::Verdict(match result {
            Ok(verdict) => verdict.map_err(Failed::Handler),
            Err(_) => Err(Failed::Worker(Reason::Panicked)),
        }),
        () = term.ended() => End::LeaseEnded,
        () = too_late => End::Verdict(Err(Failed::Worker(Reason::TimedOut))),
        _ = stop.wait_for(|stop| *stop) => End::Stopped,
    };
    drop(abort);
    if !task.is_finished() {
        // The transaction of the handler must be over before the end of the run is recorded.
        let _ = (&mut task).await;
    }
    let took = start.elapsed();
    telemetry::run_ended(&span, end.name(), took);
    telemetry::ended(took);
    end
}

/// A dropped run takes its handler with it.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn settle(shared: &Shared, run: &Run, term: &Term, end: End) {
    let counting = &shared.inbox.inner.counting;
    let count = run.keys.len() as u64;
    if run.is_committed() {
        counting.handled.add(count);
        let is_success = matches!(end, End::Verdict(Ok(Verdict::Done)) | End::Stopped);
        if let Some(first) = run.keys.first()
            && !is_success
        {
            let warnings = &shared.inbox.inner.warnings;
            warnings.failed_after_done(end.name(), first);
        }
        return;
    }
    let (lease, keys) = (&run.lease, &run.keys);
    // The commit of a transaction may have happened although its answer was an error.
    let tried = match run.may_be_committed() {
        true => Tried::Perhaps,
        false => Tried::No,
    };
    let verdict = match end {
        End::Verdict(Ok(Verdict::Done)) if run.is_open() => {
            Err(Failed::Worker(Reason::NotCommitted))
        }
        End::Verdict(verdict) => verdict,
        End::LeaseEnded => {
            shared.inbox.inner.lease_lost();
            return;
        }
        End::Stopped => Ok(Verdict::NotBefore(Duration::ZERO)),
    };
    match verdict {
        Ok(Verdict::Done) => {
            let complete = || shared.completions.complete(shared, lease, keys);
            match record(shared, term, Tried::No, complete).await {
                Recorded::Now(()) => counting.handled.add(count),
                Recorded::Before => count_outcome(shared, keys, Reason::OtherRun, tried).await,
                Recorded::Lost => {}
            }
        }
        Ok(Verdict::NotBefore(delay)) => {
            let (failure, reason) = (Failure::unattempted(delay), Reason::OtherRun);
            record_failure(shared, lease, term, keys, &failure, reason, tried).await;
        }
        Ok(Verdict::Again) => {
            let failure = Failure {
                delay: Duration::ZERO,
                ..shared.failure(1, None)
            };
            record_failure(shared, lease, term, keys, &failure, Reason::Again, tried).await;
        }
        Ok(Verdict::Never(text)) => {
            let (failure, reason) = (never(&text), Reason::Never);
            record_failure(shared, lease, term, keys, &failure, reason, tried).await;
        }
        Err(failed) => {
            counting.failed.add(1);
            let (text, reason) = match &failed {
                Failed::Handler(text) => (text.as_str(), Reason::Error),
                Failed::Worker(reason) => (reason.text(), *reason),
            };
            if let (Failed::Worker(reason), Some(first)) = (&failed, keys.first()) {
                shared.inbox.inner.warnings.run_failed(*reason, first);
            }
            let failure = shared.failure(run.attempt, Some(text));
            record_failure(shared, lease, term, keys, &failure, reason, tried).await;
        }
    }
}

impl Shared {
    /// A failure that counts as attempt number `attempt`.
    fn failure<'a>(&self, attempt: i32, error: Option<&'a str>) -> Failure<'a> {
        let (first, longest) = self.options.backoff;
        let doublings = u32::try_from(attempt.saturating_sub(1))
            .unwrap_or(0)
            .min(31);
        let pause = first.saturating_mul(1 << doublings).min(longest);
        Failure {
            delay: pause.mul_f64(0.5 + fastrand::f64() / 2.0),
            max_attempts: Some(i32::try_from(self.options.max_attempts).unwrap_or(i32::MAX)),
            never: false,
            error,
        }
    }
}

fn never(reason: &str) -> Failure<'_> {
    Failure {
        delay: Duration::ZERO,
        max_attempts: None,
        never: true,
        error: Some(reason),
    }
}

async fn record_failure(
    shared: &Shared,
    lease: &Lease,
    term: &Term,
    keys: &[[u8; 16]],
    failure: &Failure<'_>,
    reason: Reason,
    tried: Tried,
) {
    let (backend, limit) = (&shared.inbox.inner.backend, shared.limit());
    let fail = || backend.fail(lease, keys, failure, limit);
    match record(shared, term, tried, fail).await {
        Recorded::Now(dead) => shared.inbox.inner.dead_letters(&dead, reason),
        Recorded::Before => count_outcome(shared, keys, reason, tried).await,
        Recorded::Lost => {}
    }
}

/// Counts what was recorded by a write whose answer was lost.
async fn count_outcome(shared: &Shared, keys: &[[u8; 16]], reason: Reason, tried: Tried) {
    let inner = &shared.inbox.inner;
    match inner.backend.outcome(keys, shared.limit()).await {
        Ok(outcome) => {
            inner.counting.handled.add(outcome.done);
            inner.dead_letters(&outcome.dead, reason);
            if tried == Tried::Perhaps && outcome.done == 0 {
                inner.lease_lost();
            }
        }
        Err(error) => inner.database_failed("record", &error),
    }
}

/// Whether the end of a run may have been written before it is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    No,
    Perhaps,
}

/// What came of recording the end of a run.
enum Recorded<T> {
    Now(T),
    /// There is no lease, and an earlier write may have ended it: its answer was lost.
    Before,
    Lost,
}

/// Writes what a run came to, until the lease ends.
///
/// The pauses become longer, up to a sixth of the lease: somebody may have locked a row for as long
/// as the lease is renewed, and many runs that ask all the time would use up the connections.
///
/// The answer of a write may be late or get lost. The next one then finds no lease, and changes
/// nothing; nor does a renewal that finds none end the run.
async fn record<T, F>(
    shared: &Shared,
    term: &Term,
    tried: Tried,
    write: impl Fn() -> F,
) -> Recorded<T>
where
    F: Future<Output = Result<T, InboxError>>,
{
    let longest = shared.options.lease / 6;
    let mut pause = RECORD_PAUSE.min(longest);
    let mut tried = tried;
    term.committing();
    loop {
        match write().await {
            Ok(written) => return Recorded::Now(written),
            Err(error) if error.kind() == InboxErrorKind::LeaseLost => {
                if tried == Tried::Perhaps {
                    return Recorded::Before;
                }
                shared.inbox.inner.lease_lost();
                return Recorded::Lost;
            }
            Err(error) => shared.inbox.inner.database_failed("record", &error),
        }
        tried = Tried::Perhaps;
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(longest);
    }
}
