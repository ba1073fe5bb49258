//! The state of one simulation: randomness, processes, and the history of every event.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::{sync::watch, time::Instant};
use tower_whatsapp::{dedup::Token, event::EventKey};

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A random duration in this range.
    pub(crate) fn between(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(from + (to - from) * self.unit())
    }
}

/// Fault probabilities of a simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Probability that a process is killed at each point where it can be.
    pub(crate) kill: f64,
    /// Probability that a handler call fails.
    pub(crate) failure: f64,
    /// Probability that a handler call is slow.
    pub(crate) slow: f64,
    /// Probabilities that a claim, renewal, commit and release fail.
    pub(crate) claim: f64,
    pub(crate) renew: f64,
    pub(crate) commit: f64,
    pub(crate) release: f64,
    /// Start and end of a complete outage of the store, seconds.
    pub(crate) outage: (f64, f64),
}

impl Weather {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x77ea_7e12);
        let mut maybe = |chance, up_to: f64| {
            let rough = random.chance(chance);
            let value = random.unit() * up_to;
            if rough { value } else { 0.0 }
        };
        let outage = maybe(0.5, 20.0);
        Self {
            outage: (outage, 6.0 * outage),
            kill: maybe(0.6, 0.02),
            failure: maybe(0.7, 0.3),
            slow: maybe(0.7, 0.3),
            claim: maybe(0.6, 0.2),
            commit: maybe(0.7, 0.4),
            release: maybe(0.6, 0.4),
            renew: maybe(0.6, 0.4),
        }
    }

    /// Whether the store never fails.
    pub(crate) fn store_is_good(&self) -> bool {
        self.claim + self.renew + self.commit + self.release + self.outage.1 == 0.0
    }
}

pub(crate) struct World {
    pub(crate) weather: Weather,
    calm: AtomicBool,
    start: Instant,
    random: Mutex<Random>,
    ledger: Mutex<Ledger>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            weather: Weather::of(seed),
            calm: AtomicBool::new(false),
            start: Instant::now(),
            random: Mutex::new(Random::new(seed)),
            ledger: Mutex::default(),
        })
    }

    /// Stops all faults.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(crate) fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(crate) fn store_is_away(&self) -> bool {
        let now = self.start.elapsed().as_secs_f64();
        let (from, to) = self.weather.outage;
        from < now && now < to
    }

    /// Whether a fault of this probability occurs now.
    pub(crate) fn goes_wrong(&self, probability: f64) -> bool {
        let wrong = self.random().chance(probability);
        wrong && !self.is_calm()
    }
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) requests: Vec<Request>,
    pub(crate) runs: Vec<Run>,
    pub(crate) keys: HashMap<EventKey, Key>,
    /// Time at which each process was killed.
    pub(crate) killed: HashMap<u64, Instant>,
}

/// A request that a process accepted.
pub(crate) struct Request {
    pub(crate) process: u64,
    pub(crate) arrived: Instant,
    pub(crate) keys: Vec<EventKey>,
    pub(crate) answer: Option<(Instant, StatusCode)>,
}

/// A call of the handler.
pub(crate) struct Run {
    pub(crate) process: u64,
    pub(crate) request: usize,
    pub(crate) keys: Vec<EventKey>,
    pub(crate) start: Instant,
    /// Time at which it returned or was dropped. A killed process does neither.
    pub(crate) end: Option<Instant>,
    /// The handler was called although the store was unavailable.
    pub(crate) unprotected: bool,
    /// Events that were handled.
    pub(crate) good: Vec<EventKey>,
}

/// History of a key in the store.
#[derive(Default)]
pub(crate) struct Key {
    /// Tokens and times of its claims and renewals, in order.
    pub(crate) held: Vec<(Token, Instant)>,
    pub(crate) commits_called: Vec<Instant>,
    pub(crate) done: Option<Instant>,
}

/// One process of the host, which may be killed at any time.
pub(crate) struct Process {
    pub(crate) id: u64,
    pub(crate) world: Arc<World>,
    dead: watch::Sender<bool>,
}

impl Process {
    pub(crate) fn new(id: u64, world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            id,
            world: Arc::clone(world),
            dead: watch::Sender::new(false),
        })
    }

    pub(crate) fn kill(&self) {
        if !self.dead.send_replace(true) {
            self.world.ledger().killed.insert(self.id, Instant::now());
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Possibly kills the process here.
    pub(crate) fn may_be_killed(&self) {
        if self.world.goes_wrong(self.world.weather.kill) {
            self.kill();
        }
    }

    /// Runs the work while the process lives. After that it never completes.
    pub(crate) async fn live<T>(&self, work: impl Future<Output = T>) -> T {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            biased;
            () = async { drop(dead.wait_for(|dead| *dead).await) } => std::future::pending().await,
            done = work => {
                if self.is_dead() {
                    std::future::pending::<()>().await;
                }
                done
            }
        }
    }
}
