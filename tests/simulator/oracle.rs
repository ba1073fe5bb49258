//! Invariants that must hold after every simulation.

use std::collections::{HashMap, HashSet};

use http::StatusCode;
use tokio::time::Instant;
use tower_whatsapp::{event::EventKey, testing::Report};

use crate::{
    LEASE, RESPONSE_DEADLINE, STORE_TIMEOUT,
    world::{Key, Ledger, Run, Weather},
};

/// Statistics of one simulation. A simulation without these events proves nothing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) events: usize,
    pub(crate) deliveries: usize,
    pub(crate) runs: usize,
    pub(crate) kills: usize,
    /// Handled again after a process was killed between the work and the commit.
    pub(crate) after_kill: usize,
    /// Handled again after its commit failed.
    pub(crate) after_fault: usize,
    /// Handled by a handler that outlasted its lease.
    pub(crate) longer_than_lease: usize,
    /// Handled while the store was unavailable.
    pub(crate) unprotected: usize,
    pub(crate) violations: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.deliveries += other.deliveries;
        self.runs += other.runs;
        self.kills += other.kills;
        self.after_kill += other.after_kill;
        self.after_fault += other.after_fault;
        self.longer_than_lease += other.longer_than_lease;
        self.unprotected += other.unprotected;
    }
}

pub(crate) fn judge(ledger: &Ledger, report: &Report, weather: &Weather, pending: usize) -> Tally {
    let mut tally = Tally {
        events: report.events().len(),
        deliveries: report.deliveries().len(),
        runs: ledger.runs.len(),
        kills: ledger.killed.len(),
        ..Tally::default()
    };
    let mut runs: HashMap<EventKey, Vec<&Run>> = HashMap::new();
    for run in &ledger.runs {
        for key in &run.keys {
            runs.entry(*key).or_default().push(run);
        }
    }
    if pending > 0 {
        tally
            .violations
            .push(format!("{pending} are pending at rest"));
    }
    for event in report.events() {
        let key = event.key();
        let runs = runs.get(&key).map(Vec::as_slice).unwrap_or_default();
        if !runs.iter().any(|run| run.good.contains(&key)) {
            tally
                .violations
                .push(format!("{key} is lost: it was never handled"));
        }
        if event.acknowledged_at().is_none() {
            tally
                .violations
                .push(format!("{key} was never answered with 200"));
        }
        one_event(ledger, key, runs, weather, &mut tally);
    }
    acknowledgements(ledger, &runs, weather, &mut tally);
    tally
}

/// The end of a run, as far as others could know.
fn end(ledger: &Ledger, run: &Run) -> Option<Instant> {
    run.end.or_else(|| ledger.killed.get(&run.process).copied())
}

/// The end of a run's lease, including renewals up to this time.
fn held_until(record: Option<&Key>, run: &Run, until: Instant) -> Instant {
    let least = run.start + LEASE - STORE_TIMEOUT;
    let held = record.map(|record| record.held.as_slice());
    let held = held.unwrap_or_default().iter();
    let claimed = held.clone().rfind(|(_, at)| *at <= run.start);
    let Some((token, _)) = claimed else {
        return least;
    };
    // The next call may already see a renewal of this moment.
    let mut renewed = held.rev().filter(|(by, at)| by == token && *at < until);
    renewed
        .next()
        .map_or(least, |(_, at)| least.max(*at + LEASE))
}

fn one_event(ledger: &Ledger, key: EventKey, runs: &[&Run], weather: &Weather, tally: &mut Tally) {
    let record = ledger.keys.get(&key);
    let done = record.and_then(|record| record.done);
    if let Some(done) = done {
        let handled = |run: &&&Run| run.good.contains(&key) && run.start <= done;
        // A killed process counts as having handled it.
        if !runs
            .iter()
            .filter(handled)
            .any(|run| end(ledger, run).is_some_and(|end| end <= done))
        {
            tally
                .violations
                .push(format!("{key} was recorded before it was handled"));
        }
    }
    let long = |run: &&&Run| {
        let end = run.end.filter(|_| run.good.contains(&key));
        end.is_some_and(|end| end - run.start > LEASE)
    };
    tally.longer_than_lease += runs.iter().filter(long).count();
    for (index, second) in runs.iter().enumerate() {
        // The store could not be asked.
        if second.unprotected {
            tally.unprotected += 1;
            continue;
        }
        if done.is_some_and(|done| done < second.start) {
            tally
                .violations
                .push(format!("{key} ran after it was done"));
        }
        for first in runs[..index].iter().filter(|first| !first.unprotected) {
            let held_until = held_until(record, first, second.start);
            match end(ledger, first) {
                None if second.start < held_until => {
                    tally.violations.push(format!("{key} ran twice at once"));
                }
                Some(end) if second.start < end && second.start < held_until => {
                    tally.violations.push(format!("{key} ran twice at once"));
                }
                _ => {}
            }
        }
        // Only the last previous run: earlier ones were checked against their successors.
        let Some(first) = runs[..index]
            .iter()
            .rev()
            .find(|run| run.good.contains(&key))
        else {
            continue;
        };
        let Some(handled) = end(ledger, first) else {
            continue;
        };
        if first.unprotected {
            continue;
        }
        let killed = ledger.killed.get(&first.process);
        let called = |called: &&Instant| **called >= handled && **called <= second.start;
        let called =
            record.is_some_and(|record| record.commits_called.iter().any(|at| called(&at)));
        if killed.is_some_and(|killed| *killed <= second.start) {
            tally.after_kill += 1;
        } else if (called || !weather.store_is_good())
            && second.start + STORE_TIMEOUT >= first.start + LEASE
        {
            // The call was not sent: after five consecutive failures the circuit is open.
            tally.after_fault += 1;
        } else if called {
            tally
                .violations
                .push(format!("{key} ran again, though nobody had lost its lease"));
        } else {
            tally.violations.push(format!(
                "{key} ran again, though it was handled and never recorded"
            ));
        }
    }
}

fn acknowledgements(
    ledger: &Ledger,
    runs: &HashMap<EventKey, Vec<&Run>>,
    weather: &Weather,
    tally: &mut Tally,
) {
    let mut own: HashMap<usize, Vec<&Run>> = HashMap::new();
    for run in &ledger.runs {
        own.entry(run.request).or_default().push(run);
    }
    for (index, request) in ledger.requests.iter().enumerate() {
        let Some((answered, status)) = request.answer else {
            continue;
        };
        if status == StatusCode::OK {
            for key in &request.keys {
                let handled = runs.get(key).is_some_and(|runs| {
                    let good = |run: &&&Run| run.good.contains(key);
                    runs.iter()
                        .filter(good)
                        .any(|run| end(ledger, run).is_some_and(|end| end <= answered))
                });
                if !handled {
                    let violation = format!("request {index} got 200, but {key} was not handled");
                    tally.violations.push(violation);
                }
            }
            continue;
        }
        if answered - request.arrived >= RESPONSE_DEADLINE
            || ledger.killed.contains_key(&request.process)
        {
            continue;
        }
        let own = own.get(&index).map(Vec::as_slice).unwrap_or_default();
        let good: HashSet<_> = own.iter().flat_map(|run| &run.good).collect();
        // Without a store a done event may run again, and fail.
        let run: HashSet<_> = own.iter().flat_map(|run| &run.keys).collect();
        let settled = |key: &EventKey| {
            let done = ledger.keys.get(key).and_then(|record| record.done);
            let before = done.is_some_and(|done| done < request.arrived);
            good.contains(key) || (before && !run.contains(key))
        };
        // Without a handler call the store may be the reason.
        let asked = !own.is_empty() || weather.store_is_good();
        if asked && request.keys.iter().all(settled) {
            let violation =
                format!("request {index} got {status}, but everything in it was handled");
            tally.violations.push(violation);
        }
    }
}
