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

    /// It does not try again and again without a pause: a core would have 100 ticks a second for that.
    pub fn is_idle(&self) {
        let before = self.ticks();
        thread::sleep(Duration::from_secs(2));
        let ticks = self.ticks() - before;
        assert!(ticks < 40, "{ticks} ticks");
        assert!(self.open() <= DESCRIPTORS);
    }

    /// What time the process has had of the processors, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("{}/stat", self.process)).unwrap();
        // The name of the program comes before, in parentheses, and may have spaces.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields = fields.split(' ').skip(11).take(2);
        fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}
