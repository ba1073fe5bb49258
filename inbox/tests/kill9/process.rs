//! A child as its parent sees it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use crate::child::Orders;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(orders: &Orders) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(orders.to_arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let input = child.stdin.take().unwrap();
        let mut process = Self {
            child,
            input,
            lines,
        };
        assert_eq!(process.next().as_deref(), Some("ready"));
        process
    }

    /// Fails silently if the process has ended.
    pub(crate) fn tell(&mut self, line: &str) {
        let _ = writeln!(self.input, "{line}");
    }

    /// The next line, or `None` at the end of the process.
    pub(crate) fn next(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("a child says nothing"),
        }
    }

    /// A line that is there already.
    pub(crate) fn try_next(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    pub(crate) fn kill(&mut self) {
        // SIGKILL.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Stops all of its threads, and waits for that.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
        let state = format!("/proc/{}/stat", self.id());
        // After the name of the program, which has no space.
        let is_running = || {
            let state = std::fs::read_to_string(&state);
            state.is_ok_and(|state| state.split(' ').nth(2) != Some("T"))
        };
        while is_running() {
            std::thread::yield_now();
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
