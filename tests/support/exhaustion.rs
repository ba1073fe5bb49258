//! More connections to a process than it may open files.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::process::Process;

/// So many files the process may open.
pub const DESCRIPTORS: usize = 64;

const CONNECTIONS: usize = 150;

/// Far longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection whose reads end.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A process that has no descriptors left until the value is dropped.
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

    /// The connection that was made before all others.
    pub fn first(&mut self) -> &mut TcpStream {
        self.connections.first_mut().unwrap()
    }

    /// How many files the process has open.
    fn open(&self) -> usize {
        let files = fs::read_dir(format!("{}/fd", self.process));
        files.expect("the process has ended").count()
    }

    /// It does not try again and again without a pause: whoever does is always running, or waits for a processor.
    pub fn is_idle(&self) {
        const LOOK: Duration = Duration::from_secs(2);
        let before = self.busy();
        thread::sleep(LOOK);
        let busy = self.busy().saturating_sub(before);
        assert!(busy < LOOK / 2, "busy for {busy:?} of {LOOK:?}");
    }

    /// How long its threads have been running or would have liked to.
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
