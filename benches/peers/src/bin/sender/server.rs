//! A server as a process on core 0, and what the machine says of it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;

use crate::{SECRET, client::Connection, peers::Peer};

/// `/proc` counts in hundredths of a second on every architecture that Linux has today.
const TICK: Duration = Duration::from_millis(10);

/// Some answer first and hand on events later: if the count has not moved for so long, no more will come.
const PAUSE: Duration = Duration::from_millis(20);
const STILL: u32 = 10;

/// A server that ends with the value.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    pub fn start(peer: &Peer, built: &Path) -> io::Result<Self> {
        let mut process = Command::new("taskset")
            .args(["--cpu-list", "0"])
            // It must not outlive a sender that is killed.
            .args(["setpriv", "--pdeathsig", "KILL"])
            .args(peer.command(built))
            .env("WHATSAPP_APP_SECRET", SECRET)
            .env("NODE_ENV", "production")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Libraries complain of what they do not understand, for each delivery.
            .stderr(File::create(built.join("stderr"))?)
            .spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line)?;
        let mut server = Self { process, port: 0 };
        server.port = line.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "{} does not start: see {}",
                peer.name,
                built.join("stderr").display()
            ))
        })?;
        Ok(server)
    }

    /// User and system time so far, of all threads, and of children that have ended.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = self.proc("stat")?;
        // The name of the command comes second and may have spaces in it.
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let ticks: u32 = fields
            .split_whitespace()
            .skip(11)
            .take(4)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();
        Ok(TICK * ticks)
    }

    /// How long its first thread could have run so far, and another process had the core.
    pub fn waited(&self) -> io::Result<Duration> {
        let schedstat = self.proc("schedstat")?;
        let nanoseconds = schedstat.split_whitespace().nth(1);
        let nanoseconds = nanoseconds.and_then(|field| field.parse().ok());
        Ok(Duration::from_nanos(nanoseconds.unwrap_or_default()))
    }

    /// The most resident memory so far, in MiB.
    pub fn peak(&self) -> io::Result<f64> {
        let status = self.proc("status")?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.parse::<f64>().ok());
        Ok(kib.ok_or_else(|| io::Error::other("no VmHWM"))? / 1024.0)
    }

    fn proc(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
    }

    /// The events that handlers were given, when there are as many as there should be, or no more come.
    pub async fn delivered(&self, awaited: u64) -> io::Result<u64> {
        let mut connection = Connection::new(self.port);
        let mut last = 0;
        let mut still = 0;
        loop {
            let answer = connection.get("/count").await?;
            let now = answer.body.trim().parse().map_err(io::Error::other)?;
            still = if now == last { still + 1 } else { 0 };
            if now >= awaited || still == STILL {
                return Ok(now);
            }
            last = now;
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
