//! Opens more connections to a process than its limit of open files.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{
    PATIENCE,
    process::{Process, command_with_descriptors},
    webhook::{ENV, HANDSHAKE},
};

/// Limit of open files of the process.
pub const DESCRIPTORS: usize = 64;

const CONNECTIONS: usize = 150;

/// A connection with a read timeout.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A process without free file descriptors, until this value is dropped.
pub struct Exhausted {
    process: String,
    connections: Vec<TcpStream>,
}

impl Exhausted {
    pub fn new(process: &Process, address: SocketAddr) -> Self {
        let connections = (0..CONNECTIONS).map(|_| connect(address)).collect();
        let exhausted = Self {
            process: format!("/proc/{}", process.id()),
            connections,
        };
        let start = Instant::now();
        while exhausted.open() < DESCRIPTORS {
            assert!(start.elapsed() < PATIENCE, "there are descriptors left");
            thread::sleep(Duration::from_millis(20));
        }
        exhausted
    }

    /// The connection that was opened first.
    pub fn first(&mut self) -> &mut TcpStream {
        self.connections.first_mut().unwrap()
    }

    /// Number of open files of the process.
    fn open(&self) -> usize {
        let files = fs::read_dir(format!("{}/fd", self.process));
        files.expect("the process has ended").count()
    }

    /// Checks that the process does not retry in a busy loop, by its time on or waiting for a CPU.
    pub fn is_idle(&self) {
        const LOOK: Duration = Duration::from_secs(2);
        let before = self.busy();
        thread::sleep(LOOK);
        let busy = self.busy().saturating_sub(before);
        assert!(busy < LOOK / 2, "busy for {busy:?} of {LOOK:?}");
    }

    /// Time that its threads have been running or runnable.
    fn busy(&self) -> Duration {
        let threads = fs::read_dir(format!("{}/task", self.process)).unwrap();
        let times = threads.map(|thread| {
            let times = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            let nanos = times.split(' ').take(2);
            nanos
                .map(|nanos| nanos.parse::<u64>().unwrap())
                .sum::<u64>()
        });
        Duration::from_nanos(times.sum())
    }
}

/// Sends a handshake and checks the response.
fn serves(stream: &mut TcpStream) {
    let request = format!("GET {HANDSHAKE} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"1158201444") {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk).unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

/// Checks that an example without free descriptors serves the connections it has, waits without
/// spinning, and accepts others again afterwards.
pub fn goes_on(example: &str) {
    let command = command_with_descriptors(example, DESCRIPTORS);
    let (process, address) = Process::listen(command, &ENV);
    let mut exhausted = Exhausted::new(&process, address);
    // Accepted connections are served while new ones are not.
    serves(exhausted.first());
    exhausted.is_idle();
    drop(exhausted);
    serves(&mut connect(address));
    let output = process.interrupt();
    assert!(output.status.success(), "{output:?}");
}
