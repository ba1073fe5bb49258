//! Sends the same deliveries to all servers in turn, and looks at what that takes them. `scripts/peers` runs it.
//!
//! ```text
//! sender BUILT ROUNDS SECONDS DATA [--forge]
//! ```
//!
//! `BUILT` is where the script has put the servers, `DATA` a file for the figures. Tables go to standard output.

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

/// What the servers are told. The control signs with another.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ANOTHER: &str = "fedcba9876543210fedcba9876543210";

/// So much of the first look at each server is enough to know which rate all can bear.
const LOOK: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [built, rounds, seconds, data, control @ ..] = arguments.as_slice() else {
        return Err("BUILT ROUNDS SECONDS DATA [--forge]".into());
    };
    let secret = match control {
        [] => SECRET,
        [forge] if forge == "--forge" => ANOTHER,
        _ => return Err("only --forge may come last".into()),
    };
    let comparison = Comparison {
        built: PathBuf::from(built),
        rounds: rounds.parse()?,
        lasts: Duration::from_secs_f64(seconds.parse()?),
        secret,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tables = runtime.block_on(comparison.run())?;
    fs::write(data, report::tsv(&tables))?;
    print!("{}", report::markdown(&tables, comparison.rounds));
    let mut good = true;
    for table in &tables {
        for (peer, cell) in PEERS.iter().zip(&table.cells) {
            if let Some(complaint) = cell.complaint() {
                good = false;
                eprintln!("WRONG: {}, {}: {complaint}", peer.name, table.payload.name);
            }
        }
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Comparison {
    built: PathBuf,
    rounds: usize,
    /// The part of a run that measures CPU and throughput.
    lasts: Duration,
    secret: &'static str,
}

impl Comparison {
    /// The part that measures latency. At this rate there are few requests where they are large.
    fn at_a_rate(&self) -> Duration {
        self.lasts * 3 / 2
    }

    async fn run(&self) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for payload in payload::all() {
            tables.push(self.look(payload).await?);
        }
        for round in 0..self.rounds {
            for table in &mut tables {
                for turn in 0..PEERS.len() {
                    // Nobody is always the first, when the round begins.
                    let number = (turn + round) % PEERS.len();
                    self.measure(&PEERS[number], number, table).await?;
                }
                let name = table.payload.name;
                eprintln!("round {} of {}: {name}", round + 1, self.rounds);
            }
        }
        Ok(tables)
    }

    /// Who takes the payload at all, and at which rate all can.
    async fn look(&self, payload: Payload) -> Result<Table> {
        let request: Arc<[u8]> = payload.request(self.secret).into();
        let forged = payload.request(ANOTHER);
        let events = payload.events;
        let mut cells = Vec::new();
        let mut slowest = f64::INFINITY;
        for peer in PEERS {
            let server = Server::start(peer, &self.built)?;
            if peer.delivers != Delivers::Nothing {
                verifies(peer, &server, &forged).await?;
            }
            let mut tally = phase::closed(server.port, &request, peer.warm_up())
                .await
                .tally;
            let look = phase::closed(server.port, &request, LOOK).await;
            tally.merge(&look.tally);
            let expected = peer.delivers.of(tally.sent(), events);
            let delivered = server.delivered(expected).await?;
            if delivered == tally.sent() * events {
                slowest = slowest.min(look.rate);
            }
            eprintln!("{}, {}: {:.0}/s", payload.name, peer.name, look.rate);
            let mut cell = Cell::default();
            cell.add(peer, events, &tally, delivered);
            cells.push(cell);
        }
        // Whole numbers, because people read them.
        let offered = match slowest {
            f64::INFINITY => 1.0,
            rate => (rate / 2.0).floor().max(1.0),
        };
        Ok(Table {
            requests: (offered * self.at_a_rate().as_secs_f64()).ceil(),
            payload,
            cells,
            offered,
        })
    }

    async fn measure(&self, peer: &Peer, number: usize, table: &mut Table) -> Result<()> {
        let cell = &mut table.cells[number];
        if cell.refused().is_some() {
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
        let closed = phase::closed(server.port, &request, self.lasts).await;
        tally.merge(&closed.tally);
        // Some of the work may come after the answer.
        server.delivered(expected(&tally)).await?;
        let cpu = server.cpu()?.saturating_sub(begin).as_secs_f64();
        let waited = server.waited()?.saturating_sub(waited).as_secs_f64();
        // Before it becomes a question of how many requests go on at the same time.
        let peak_mib = server.peak()?;

        let open = phase::open(server.port, &request, table.offered, self.at_a_rate()).await;
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

/// Who does not verify would be compared with those who do.
async fn verifies(peer: &Peer, server: &Server, forged: &[u8]) -> Result<()> {
    let status = Connection::new(server.port).send(forged).await;
    let delivered = server.delivered(u64::MAX).await?;
    if matches!(status, Ok(200)) || delivered > 0 {
        return Err(format!("{} takes what is forged", peer.name).into());
    }
    Ok(())
}
