//! Real Redis servers, each in its own directory, and a proxy that drops responses.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use redis::{Client, Connection, FromRedisValue, RedisResult};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::sleep,
};

use crate::port;

/// Timeout for every wait: far above the normal duration, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Duration of a slow handshake: less than the store's timeout for it.
const HANDSHAKE: Duration = Duration::from_millis(400);

/// A server that is killed when it is dropped.
pub struct Server {
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
    args: Vec<String>,
    password: Option<String>,
}

impl Server {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further arguments, in which `{dir}` stands for its directory.
    pub fn with(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("redis-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let place = dir.display().to_string();
        let mut server = Self {
            child: None,
            dir,
            port: port::free(),
            args: args
                .iter()
                .map(|arg| arg.replace("{dir}", &place))
                .collect(),
            password: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if *arg == "--requirepass" {
                server.password = args.next().map(|&password| password.to_owned());
            }
        }
        server.spawn();
        server
    }

    /// Starts a cluster node. Its default bus port is 10,000 above its port, and could be in use.
    pub fn node(bus: u16) -> Self {
        Self::with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
        ])
    }

    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@{}/0", self.address()),
            None => format!("redis://{}/0", self.address()),
        }
    }

    /// A connection for the test itself.
    pub fn connection(&self) -> Connection {
        let start = Instant::now();
        loop {
            match self.try_connection() {
                Ok(connection) => return connection,
                // SIGCHLD can interrupt an attempt.
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn try_connection(&self) -> RedisResult<Connection> {
        Client::open(self.url())?.get_connection_with_timeout(PATIENCE)
    }

    /// Runs a command on the server. Its words are separated by spaces.
    pub fn run<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.connection()).unwrap()
    }

    /// Restarts it on the same port, with its saved data.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none());
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.dir)
            .args(&self.args)
            .stdout(fs::File::create(self.dir.join("log")).unwrap())
            .stdin(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server is needed on the PATH: {error}"));
        self.child = Some(child);
        let start = Instant::now();
        loop {
            let ready = self
                .try_connection()
                .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
            if ready.is_ok() {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "redis-server has ended: {}", self.log());
            assert!(start.elapsed() < PATIENCE, "it does not answer: {ready:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its log since the start.
    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails if it has exited already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A proxy between a store and its server.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    scripts: AtomicUsize,
    turns: AtomicUsize,
    cut: AtomicUsize,
    hold: AtomicUsize,
    slow: AtomicBool,
    /// Bits per second in each direction, for all connections together. Zero: no limit.
    throttle: AtomicU64,
    /// Time at which the line is free again, in each direction.
    free: [Mutex<Option<Instant>>; 2],
    moved: Notify,
}

impl Proxy {
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&shared);
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    // If the server is down, the client's connection is closed.
                    if let Ok(server) = TcpStream::connect(server).await {
                        state.carry(client, server).await;
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Drops the next responses to scripts, with their connections.
    pub fn cut(&self, answers: usize) {
        self.state.cut.store(answers, Ordering::SeqCst);
    }

    /// Holds back responses until a multiple of this number of scripts has arrived,
    /// counted from now.
    pub fn hold(&self, scripts: usize) {
        self.state.scripts.store(0, Ordering::SeqCst);
        self.state.turns.store(0, Ordering::SeqCst);
        self.state.hold.store(scripts, Ordering::SeqCst);
    }

    /// Limits the line to this number of bits per second in each direction.
    pub fn throttle(&self, bits_per_second: u64) {
        self.state.throttle.store(bits_per_second, Ordering::SeqCst);
    }

    /// Slows down every handshake from now on.
    pub fn slow(&self) {
        self.state.slow.store(true, Ordering::SeqCst);
    }

    /// Number of scripts from the client, and of its round trips, since `hold`.
    pub fn seen(&self) -> (usize, usize) {
        let state = &self.state;
        (
            state.scripts.load(Ordering::SeqCst),
            state.turns.load(Ordering::SeqCst),
        )
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl State {
    /// Waits for the transmission time of these bytes, after all earlier ones.
    async fn pass(&self, direction: usize, bytes: usize) {
        let bits = self.throttle.load(Ordering::SeqCst);
        if bits == 0 {
            return;
        }
        let end = {
            let mut free = self.free[direction].lock().unwrap();
            let now = Instant::now();
            let start = free.map_or(now, |free| free.max(now));
            let end = start + Duration::from_secs_f64(bytes as f64 * 8.0 / bits as f64);
            *free = Some(end);
            end
        };
        tokio::time::sleep_until(end.into()).await;
    }

    async fn carry(&self, mut client: TcpStream, mut server: TcpStream) {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let asked = AtomicUsize::new(0);
        // Whether the client has sent data since the last response.
        let speaking = AtomicUsize::new(0);
        let up = async {
            let mut chunk = vec![0; 64 * 1024];
            let mut tail = Vec::new();
            loop {
                let length = from_client.read(&mut chunk).await.unwrap_or(0);
                if length == 0 {
                    return;
                }
                if speaking.swap(1, Ordering::SeqCst) == 0 {
                    self.turns.fetch_add(1, Ordering::SeqCst);
                }
                // A command name may be split between two chunks.
                tail.extend_from_slice(&chunk[..length]);
                let scripts = tail
                    .windows(6)
                    .filter(|window| window == b"\r\nEVAL")
                    .count();
                tail.drain(..tail.len().saturating_sub(5));
                asked.fetch_add(scripts, Ordering::SeqCst);
                self.scripts.fetch_add(scripts, Ordering::SeqCst);
                self.moved.notify_waiters();
                self.pass(0, length).await;
                if to_server.write_all(&chunk[..length]).await.is_err() {
                    return;
                }
            }
        };
        let down = async {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                let length = from_server.read(&mut chunk).await.unwrap_or(0);
                if length == 0 {
                    return;
                }
                if asked.load(Ordering::SeqCst) > 0 {
                    let take = |left: usize| left.checked_sub(1);
                    let order = Ordering::SeqCst;
                    if self.cut.fetch_update(order, order, take).is_ok() {
                        return;
                    }
                }
                if self.slow.load(Ordering::SeqCst) && asked.load(Ordering::SeqCst) == 0 {
                    sleep(HANDSHAKE).await;
                }
                loop {
                    let moved = self.moved.notified();
                    let hold = self.hold.load(Ordering::SeqCst);
                    let scripts = self.scripts.load(Ordering::SeqCst);
                    if scripts.checked_rem(hold).unwrap_or(0) == 0 {
                        break;
                    }
                    moved.await;
                }
                speaking.store(0, Ordering::SeqCst);
                self.pass(1, length).await;
                if to_client.write_all(&chunk[..length]).await.is_err() {
                    return;
                }
            }
        };
        // The direction that ends first closes both sides.
        tokio::select! { () = up => {} () = down => {} }
    }
}
