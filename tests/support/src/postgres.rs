//! Real servers of PostgreSQL, each in a directory of its own and on a Unix socket: other servers
//! on the machine do not matter.
//!
//! They need the Debian package `postgresql`. As root a server runs as the user `postgres`, because
//! it refuses to run as root.

use std::{
    env, fs,
    os::unix::{
        fs::chown,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Far longer than a start takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with the value. Its user and its database are `postgres`.
pub struct Server {
    child: Option<Child>,
    dir: PathBuf,
    options: Vec<String>,
}

impl Server {
    /// Starts one that forgets everything if the machine crashes: `fsync=off`.
    pub fn start() -> Self {
        Self::with(&["fsync=off", "full_page_writes=off"])
    }

    /// Starts one with these settings.
    pub fn with(settings: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("pg-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&dir, Some(user), Some(group)).unwrap();
        }
        let initialized = command("initdb", &dir)
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .arg("--pgdata=data")
            .output()
            .unwrap();
        assert!(initialized.status.success(), "{initialized:?}");
        let always = [
            "log_lock_waits=on",
            "deadlock_timeout=200ms",
            "max_connections=400",
        ];
        let options = always.iter().chain(settings);
        let mut server = Self {
            child: None,
            dir,
            options: options.map(ToString::to_string).collect(),
        };
        server.launch();
        server
    }

    /// Directory of the Unix socket.
    pub fn socket(&self) -> &Path {
        &self.dir
    }

    /// What the server has logged since it was started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Ends the server at once, as a crash of its machine would, but keeps its data.
    pub fn crash(&mut self) {
        self.end("-QUIT");
    }

    /// Starts a server again that was ended by [`crash`](Self::crash).
    pub fn launch(&mut self) {
        let mut command = command("postgres", &self.dir);
        command.args(["-D", "data", "-c", "listen_addresses=", "-k"]);
        command.arg(&self.dir);
        for option in &self.options {
            command.args(["-c", option]);
        }
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        self.child = Some(command.stderr(log).spawn().unwrap());
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        loop {
            let mut ask = command("pg_isready", &self.dir);
            let asked = ask.args(["--quiet", "-h"]).arg(&self.dir).status().unwrap();
            if asked.success() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&mut self, signal: &str) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let id = child.id().to_string();
        let _ = Command::new("kill").args([signal, &id]).status();
        let status = child.wait();
        let is_orderly = |status: &std::process::ExitStatus| {
            status.success() || status.signal().is_some() || signal == "-QUIT"
        };
        if !status.as_ref().is_ok_and(is_orderly) {
            eprintln!("the server did not end well: {}", self.log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An orderly end, in which the server frees its shared memory.
        self.end("-INT");
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A program of PostgreSQL, as a user that it accepts, in this directory.
fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(find(program));
    command
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// Debian puts the programs where no PATH leads to.
fn find(program: &str) -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = debian.chain(env::split_paths(&path));
    let found = places.find_map(|dir| Some(dir.join(program)).filter(|path| path.exists()));
    found.unwrap_or_else(|| panic!("{program} is needed: apt install postgresql"))
}

/// User and group of `postgres` if this process is root.
fn other_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> u32 {
        let output = Command::new("id").args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim()
            .parse()
            .expect("the user postgres is needed: apt install postgresql")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
