//! A server as a process pinned to core 0, and its resource usage from `/proc`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;

use crate::{SECRET, client::Connection, peers::Peer};

/// Unit of CPU times in `/proc`: a hundredth of a second on all current Linux architectures.
const TICK: Duration = Duration::from_millis(10);

/// Some servers respond first and handle events later. The count is final when it has not changed
/// for this number of polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const STABLE_POLLS: u32 = 10;

/// A server that stops when it is dropped.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    pub fn start(peer: &Peer, built: &Path) -> io::Result<Self> {
        let mut process = Command::new("taskset")
            .args(["--cpu-list", "0"])
            // The server must not outlive a killed sender.
            .args(["setpriv", "--pdeathsig", "KILL"])
            .args(peer.command(built))
            .env("WHATSAPP_APP_SECRET", SECRET)
            .env("NODE_ENV", "production")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Some libraries log every delivery that they do not understand.
            .stderr(File::create(built.join("stderr"))?)
            .spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().expect("stdout is piped");
        BufReader::new(output).read_line(&mut line)?;
        let mut server = Self { process, port: 0 };
        server.port = line.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "{} did not start: see {}",
                peer.name,
                built.join("stderr").display()
            ))
        })?;
        Ok(server)
    }

    /// User and system time so far, of all threads and exited children.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = self.proc("stat")?;
        // The second field is the name of the command, which may contain spaces.
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let ticks: u32 = fields
            .split_whitespace()
            .skip(11)
            .take(4)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();
        Ok(TICK * ticks)
    }

    /// Time that its main thread was runnable but another process had the core.
    pub fn waited(&self) -> io::Result<Duration> {
        let schedstat = self.proc("schedstat")?;
        let nanoseconds = schedstat.split_whitespace().nth(1);
        let nanoseconds = nanoseconds.and_then(|field| field.parse().ok());
        Ok(Duration::from_nanos(nanoseconds.unwrap_or_default()))
    }

    /// Peak resident memory so far, MiB.
    pub fn peak(&self) -> io::Result<f64> {
        let status = self.proc("status")?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.parse::<f64>().ok());
        Ok(kib.ok_or_else(|| io::Error::other("no VmHWM in /proc"))? / 1024.0)
    }

    fn proc(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
    }

    /// Waits until handlers have received the expected number of events, or no more
    /// arrive. Returns the number.
    pub async fn delivered(&self, expected: u64) -> io::Result<u64> {
        let mut connection = Connection::new(self.port);
        let mut last = 0;
        let mut still = 0;
        loop {
            let response = connection.get("/count").await?;
            let now = response.body.trim().parse().map_err(io::Error::other)?;
            still = if now == last { still + 1 } else { 0 };
            if now >= expected || still == STABLE_POLLS {
                return Ok(now);
            }
            last = now;
            sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
