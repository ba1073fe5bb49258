//! A PostgreSQL server in its own directory, on a Unix socket, so that it cannot conflict with
//! other servers.

use std::{
    env, fs,
    os::unix::{
        fs::chown,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use example_sql_store::SqlStore;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::sleep;

/// Timeout for the start: far above the normal duration, even on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that stops when it is dropped.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
}

impl Server {
    /// Starts a server and creates the schema in its database.
    pub(crate) async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("pg-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        if let Some((user, group)) = postgres_user_if_root() {
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
        let child = command("postgres", &dir)
            .args(["-D", "data", "-c", "listen_addresses=", "-k"])
            .arg(&dir)
            // The data need not survive a crash.
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "log_lock_waits=on", "-c", "deadlock_timeout=200ms"])
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, dir };
        server.wait_until_ready().await;
        server.store().await.create_schema().await.unwrap();
        server
    }

    /// Returns a store with its own pool, as another process would have.
    pub(crate) async fn store(&self) -> SqlStore {
        SqlStore::new(self.pool().await)
    }

    pub(crate) async fn pool(&self) -> PgPool {
        let options = PgPoolOptions::new().max_connections(20);
        options.connect_with(self.options()).await.unwrap()
    }

    /// The server's log since its start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.dir)
            .username("postgres")
            .database("postgres")
    }

    async fn wait_until_ready(&self) {
        let start = Instant::now();
        loop {
            let connected = PgPoolOptions::new().connect_with(self.options()).await;
            match connected {
                Ok(_) => return,
                Err(error) => assert!(start.elapsed() < START_TIMEOUT, "{error}: {}", self.log()),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT lets the server free its shared memory. It fails if the server has exited already.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let status = self.child.wait();
        if !status.is_ok_and(|status| status.success() || status.signal().is_some()) {
            eprintln!("the server did not stop cleanly: {}", self.log());
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Builds a command for a program of PostgreSQL, in this directory and under a user
/// that it accepts.
fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(find(program));
    command
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some((user, group)) = postgres_user_if_root() {
        command.uid(user).gid(group);
    }
    command
}

/// Debian installs the programs in a directory that is not in PATH.
fn find(program: &str) -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = debian.chain(env::split_paths(&path));
    let found = places.find_map(|dir| Some(dir.join(program)).filter(|path| path.exists()));
    found.unwrap_or_else(|| panic!("{program} is needed: apt install postgresql"))
}

/// User and group ids of `postgres` if this process is root.
fn postgres_user_if_root() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> u32 {
        let output = Command::new("id").args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim()
            .parse()
            .expect("the user postgres is needed: apt install postgresql")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
