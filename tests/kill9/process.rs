//! Server processes that the driver starts.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Timeout for every wait: far above the normal duration, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) port: u16,
}

impl Process {
    /// Starts this program as a server and waits until it is listening. Settings are `name=value`.
    pub(crate) async fn serve(settings: &[String]) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg("--serve")
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap();
        let port = line.unwrap().expect("a server ends at once");
        let port = port.parse().unwrap();
        Self { child, lines, port }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// Waits until it was killed.
    ///
    /// # Errors
    ///
    /// A description of what happened instead.
    pub(crate) async fn killed(mut self, patience: Duration) -> Result<(), String> {
        match timeout(patience, self.child.wait()).await {
            Ok(status) => {
                let status: ExitStatus = status.unwrap();
                match status.signal() {
                    Some(9) => Ok(()),
                    _ => Err(format!("the server has ended by itself: {status}")),
                }
            }
            Err(_) => Err("the server was not killed".to_owned()),
        }
    }

    /// Stops it, and returns its counters.
    pub(crate) async fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        let line = timeout(PATIENCE, self.lines.next_line()).await.unwrap();
        self.child.wait().await.unwrap();
        line.unwrap().unwrap_or_default()
    }
}
