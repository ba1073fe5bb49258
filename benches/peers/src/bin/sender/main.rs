//! Sends the same deliveries to all servers in turn, and measures CPU, throughput, latency and
//! memory. `scripts/peers` runs it.
//!
//! ```text
//! sender BUILT ROUNDS SECONDS DATA [--forge]
//! ```
//!
//! `BUILT` is the directory of the built servers, `DATA` the file for the figures. Tables are
//! printed to standard output. `--forge` signs with a wrong secret, so that every server must
//! reject everything.

mod client;
mod figures;
mod payload;
mod peers;
mod phase;
mod report;
mod server;

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use client::Connection;
use figures::{Cell, Run};
use payload::Payload;
use peers::{Delivers, PEERS, Peer};
use phase::Tally;
use report::Table;
use server::Server;
use tokio::runtime;

/// The secret of the servers, and the one that `--forge` signs with.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const WRONG_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// Duration of the first probe of each server, which determines the rate that all of
/// them can sustain.
const PROBE: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [built, rounds, seconds, data, control @ ..] = arguments.as_slice() else {
        return Err("usage: sender BUILT ROUNDS SECONDS DATA [--forge]".into());
    };
    let secret = match control {
        [] => SECRET,
        [forge] if forge == "--forge" => WRONG_SECRET,
        _ => return Err("unknown last argument: only --forge is known".into()),
    };
    let comparison = Comparison {
        built: PathBuf::from(built),
        rounds: rounds.parse()?,
        duration: Duration::from_secs_f64(seconds.parse()?),
        secret,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tables = runtime.block_on(comparison.run())?;
    fs::write(data, report::tsv(&tables))?;
    print!("{}", report::markdown(&tables, comparison.rounds));
    let mut all_ok = true;
    for table in &tables {
        for (peer, cell) in PEERS.iter().zip(&table.cells) {
            if let Some(complaint) = cell.complaint() {
                all_ok = false;
                eprintln!("WRONG: {}, {}: {complaint}", peer.name, table.payload.name);
            }
        }
    }
    Ok(if all_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Comparison {
    built: PathBuf,
    rounds: usize,
    /// Duration of the part that measures CPU and throughput.
    duration: Duration,
    secret: &'static str,
}

impl Comparison {
    /// Duration of the part that measures latency. It is longer, because large payloads have few
    /// requests at this rate.
    fn open_loop_duration(&self) -> Duration {
        self.duration * 3 / 2
    }

    async fn run(&self) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for payload in payload::all() {
            tables.push(self.probe(payload).await?);
        }
        for round in 0..self.rounds {
            for table in &mut tables {
                for turn in 0..PEERS.len() {
                    // Rotate the order, so that no server is always first.
                    let number = (turn + round) % PEERS.len();
                    self.measure(&PEERS[number], number, table).await?;
                }
                let name = table.payload.name;
                eprintln!("round {} of {}: {name}", round + 1, self.rounds);
            }
        }
        Ok(tables)
    }

    /// Finds out which servers accept the payload, and the rate that all of those can sustain.
    async fn probe(&self, payload: Payload) -> Result<Table> {
        let request: Arc<[u8]> = payload.request(self.secret).into();
        let forged = payload.request(WRONG_SECRET);
        let events = payload.events;
        let mut cells = Vec::new();
        let mut slowest = f64::INFINITY;
        for peer in PEERS {
            let server = Server::start(peer, &self.built)?;
            if peer.delivers != Delivers::Nothing {
                check_rejects_forged(peer, &server, &forged).await?;
            }
            let mut tally = phase::closed(server.port, &request, peer.warm_up())
                .await
                .tally;
            let probe = phase::closed(server.port, &request, PROBE).await;
            tally.merge(&probe.tally);
            let expected = peer.delivers.of(tally.sent(), events);
            let delivered = server.delivered(expected).await?;
            if delivered == tally.sent() * events {
                slowest = slowest.min(probe.rate);
            }
            eprintln!("{}, {}: {:.0}/s", payload.name, peer.name, probe.rate);
            let mut cell = Cell::default();
            cell.add(peer, events, &tally, delivered);
            cells.push(cell);
        }
        // Rounded down to a whole number for readability.
        let offered = match slowest {
            f64::INFINITY => 1.0,
            rate => (rate / 2.0).floor().max(1.0),
        };
        Ok(Table {
            requests: (offered * self.open_loop_duration().as_secs_f64()).ceil(),
            payload,
            cells,
            offered,
        })
    }

    async fn measure(&self, peer: &Peer, number: usize, table: &mut Table) -> Result<()> {
        let cell = &mut table.cells[number];
        if cell.rejection().is_some() {
            return Ok(());
        }
        let request: Arc<[u8]> = table.payload.request(self.secret).into();
        let events = table.payload.events;
        let server = Server::start(peer, &self.built)?;
        let expected = |tally: &Tally| peer.delivers.of(tally.sent(), events);

        let mut tally = phase::closed(server.port, &request, peer.warm_up())
            .await
            .tally;
        server.delivered(expected(&tally)).await?;
        let (begin, waited) = (server.cpu()?, server.waited()?);
        let closed = phase::closed(server.port, &request, self.duration).await;
        tally.merge(&closed.tally);
        // Some servers do part of the work after the response.
        server.delivered(expected(&tally)).await?;
        let cpu = server.cpu()?.saturating_sub(begin).as_secs_f64();
        let waited = server.waited()?.saturating_sub(waited).as_secs_f64();
        // Read before the next phase, which has more concurrent requests.
        let peak_mib = server.peak()?;

        let open = phase::open(
            server.port,
            &request,
            table.offered,
            self.open_loop_duration(),
        )
        .await;
        tally.merge(&open.tally);
        let delivered = server.delivered(expected(&tally)).await?;
        cell.runs.push(Run {
            cpu_us: cpu * 1e6 / closed.tally.accepted() as f64,
            per_second: closed.rate,
            p99_ms: open.p99(),
            peak_mib,
            waited: waited * 100.0 / (waited + cpu),
        });
        cell.add(peer, events, &tally, delivered);
        Ok(())
    }
}

/// Checks that the server rejects a forged signature. Otherwise its figures would not
/// be comparable.
async fn check_rejects_forged(peer: &Peer, server: &Server, forged: &[u8]) -> Result<()> {
    let status = Connection::new(server.port).send(forged).await;
    let delivered = server.delivered(u64::MAX).await?;
    if matches!(status, Ok(200)) || delivered > 0 {
        return Err(format!("{} accepts a forged signature", peer.name).into());
    }
    Ok(())
}
