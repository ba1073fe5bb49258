//! Figures that a server reports about itself.

use std::{
    env, fs,
    process::{Command, Stdio},
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use serde::{Deserialize, Serialize};
use test_support::process::Process;
use tokio::time::sleep;

use crate::sender;

/// Maximum number of polls until leftovers are gone.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Events that the handler received, distinct events, and events that were never sent.
    pub(crate) handled: usize,
    pub(crate) distinct: usize,
    pub(crate) strange: usize,
    pub(crate) suppressed: u64,
    /// Running deliveries, and claimed keys.
    pub(crate) running: usize,
    pub(crate) pending: usize,
    /// Free part of the memory budget, bytes.
    pub(crate) free: usize,
    pub(crate) tasks: usize,
    pub(crate) descriptors: usize,
    /// Allocated heap, bytes.
    pub(crate) heap: usize,
    /// Current and peak resident memory, KiB.
    pub(crate) resident: usize,
    pub(crate) peak: usize,
    /// CPU time of the only thread, and its wait for the core, nanoseconds.
    pub(crate) worked: u64,
    pub(crate) waited: u64,
}

impl Figures {
    /// Describes resources that leaked, and events that were not handled exactly once.
    pub(crate) fn complaints(&self, begin: &Self, sent: usize) -> Vec<String> {
        let rows = [
            ("events lost", sent - self.distinct.min(sent), 0),
            ("events handled again", self.handled - self.distinct, 0),
            ("events that nobody sent", self.strange, 0),
            ("deliveries running", self.running, 0),
            ("keys pending", self.pending, 0),
            ("bytes of the budget free", self.free, begin.free),
            ("tasks", self.tasks, begin.tasks),
            ("descriptors", self.descriptors, begin.descriptors),
        ];
        let wrong = rows.iter().filter(|(_, is, should)| is != should);
        wrong
            .map(|(name, is, should)| format!("{is} {name}, and not {should}"))
            .collect()
    }

    pub(crate) fn lost(&self, sent: usize) -> String {
        format!(
            "{} lost, {} handled twice",
            sent - self.distinct.min(sent),
            self.handled - self.distinct
        )
    }

    pub(crate) fn cores(&self, begin: &Self) -> String {
        let milliseconds = |nanoseconds: u64| nanoseconds / 1_000_000;
        format!(
            "the server has used {} ms of its core and waited {} ms for it",
            milliseconds(self.worked - begin.worked),
            milliseconds(self.waited - begin.waited)
        )
    }
}

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    /// Kills the process when it is dropped.
    _process: Process,
    pub(crate) port: u16,
}

impl Server {
    /// Starts this program as a server on core 0 and waits until it is listening.
    /// Settings are `name=value`.
    pub(crate) fn start(settings: &[String]) -> Self {
        let mut command = Command::new("taskset");
        command
            .args(["--cpu-list", "0"])
            .arg(env::current_exe().unwrap())
            .arg("--serve")
            .args(settings)
            .stdin(Stdio::piped());
        let process = Process::spawn(&mut command);
        let port = process.line().parse().unwrap();
        Self {
            _process: process,
            port,
        }
    }

    /// Requests the figures over a new connection, which is included in them.
    pub(crate) async fn figures(&self) -> Figures {
        let mut connection = sender::open(self.port).await.unwrap();
        let request = sender::get("/figures", Empty::new());
        let response = connection.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    /// Waits until the figures are as at the beginning, or the polls are used up.
    pub(crate) async fn settled(&self, begin: &Figures, sent: usize) -> Figures {
        for _ in 0..TRIES {
            let figures = self.figures().await;
            if figures.complaints(begin, sent).is_empty() {
                return figures;
            }
            sleep(PAUSE).await;
        }
        self.figures().await
    }
}

/// Figures of this process from `/proc`: resident memory now and at most, open files, CPU time.
pub(crate) struct Machine {
    pub(crate) resident: usize,
    pub(crate) peak: usize,
    pub(crate) descriptors: usize,
    pub(crate) worked: u64,
    pub(crate) waited: u64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let kib = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.unwrap().split_whitespace().next().unwrap();
            number.parse().unwrap()
        };
        let times = fs::read_to_string("/proc/self/schedstat").unwrap();
        let mut times = times.split_whitespace().map(|time| time.parse().unwrap());
        Self {
            resident: kib("VmRSS:"),
            peak: kib("VmHWM:"),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            worked: times.next().unwrap(),
            waited: times.next().unwrap(),
        }
    }
}

/// Prints the complaints, and returns whether there are none.
pub(crate) fn verdict(complaints: &[String]) -> bool {
    for complaint in complaints {
        println!("WRONG: {complaint}");
    }
    complaints.is_empty()
}

pub(crate) fn mebibytes(kib: usize) -> f64 {
    kib as f64 / 1024.0
}
