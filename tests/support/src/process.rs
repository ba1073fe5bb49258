//! Runs an example as a process and reads its output.

use crate::PATIENCE;
use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A command without the examples' settings in its environment.
pub fn command(example: &str) -> Command {
    without_settings(Command::new(path(example)))
}

/// The same with a limit of open files.
#[cfg(unix)]
pub fn command_with_descriptors(example: &str, descriptors: usize) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\""))
        .arg(path(example));
    without_settings(command)
}

fn without_settings(mut command: Command) -> Command {
    for variable in [
        "ADDR",
        "ALLOW_LIST",
        "CONNECTIONS",
        "PROXY",
        "PROXY_ADDRESSES",
        "TLS_CERT",
        "TLS_CLIENT_CA",
        "TLS_KEY",
        "WHATSAPP_APP_SECRET",
        "WHATSAPP_VERIFY_TOKEN",
        "WORK",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Path of an example's program, of the root package or of a separate one.
///
/// Cargo builds both into the parent directory of the tests.
fn path(example: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let file = format!("{example}{}", env::consts::EXE_SUFFIX);
    let paths = [profile.join("examples").join(&file), profile.join(&file)];
    let path = paths.into_iter().find(|path| path.exists());
    path.unwrap_or_else(|| {
        panic!(
            "{example} is not there: build it with `cargo build --example {example}`, or with \
             `cargo build -p {example}` if it is a package"
        )
    })
}

/// Runs a command to its end, with `input` on its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = Process::spawn(command.stdin(Stdio::piped()));
    // Fails if the process exits without reading. Its output then shows why.
    let _ = child.child.stdin.take().unwrap().write_all(input);
    child.end()
}

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        // Both are read continuously, or the process would block on a full pipe.
        let stdout = thread::spawn(move || {
            let mut all = Vec::new();
            loop {
                let start = all.len();
                if out.read_until(b'\n', &mut all).unwrap() == 0 {
                    return all;
                }
                let line = String::from_utf8_lossy(&all[start..]);
                let _ = sender.send(line.trim_end_matches('\n').to_owned());
            }
        });
        let stderr = thread::spawn(move || {
            let mut all = Vec::new();
            err.read_to_end(&mut all).unwrap();
            all
        });
        Self {
            child,
            lines,
            stdout: Some(stdout),
            stderr: Some(stderr),
        }
    }

    /// Starts a server on a free port and waits until it is listening.
    pub fn serve(example: &str, env: &[(&str, &str)]) -> (Self, SocketAddr) {
        Self::listen(command(example), env)
    }

    /// The same for a command.
    pub fn listen(mut command: Command, env: &[(&str, &str)]) -> (Self, SocketAddr) {
        command
            .env("ADDR", "127.0.0.1:0")
            .envs(env.iter().copied())
            .stdin(Stdio::null());
        let process = Self::spawn(&mut command);
        let line = process.line();
        let url = line.strip_prefix("listening on ");
        let (_, address) = url
            .and_then(|url| url.split_once("://"))
            .unwrap_or_else(|| panic!("{line}"));
        let address = address.parse().unwrap();
        (process, address)
    }

    #[cfg(unix)]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output.
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the process does not print a line")
    }

    /// Interrupts it as Ctrl-C does, and returns its whole output.
    #[cfg(unix)]
    pub fn interrupt(self) -> Output {
        self.signal("-INT");
        self.end()
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let args: [&OsStr; 2] = [signal.as_ref(), id.as_ref()];
        assert!(Command::new("kill").args(args).status().unwrap().success());
    }

    /// Waits until it exits, and returns its whole output.
    pub fn end(mut self) -> Output {
        let status = self.wait();
        Output {
            status,
            stdout: self.stdout.take().unwrap().join().unwrap(),
            stderr: self.stderr.take().unwrap().join().unwrap(),
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the process does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if it has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
