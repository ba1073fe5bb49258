//! A server in a directory of its own, on a Unix socket: other servers on the machine do not
//! matter.

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

/// Far longer than a start takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with the value.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
}

impl Server {
    /// Starts one, with the schema in its database.
    pub(crate) async fn start() -> Self {
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
        let child = command("postgres", &dir)
            .args(["-D", "data", "-c", "listen_addresses=", "-k"])
            .arg(&dir)
            // Nothing has to survive the machine.
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "log_lock_waits=on", "-c", "deadlock_timeout=200ms"])
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, dir };
        server.ready().await;
        server.store().await.create_schema().await.unwrap();
        server
    }

    /// A store with a pool of its own, as another process has it.
    pub(crate) async fn store(&self) -> SqlStore {
        SqlStore::new(self.pool().await)
    }

    pub(crate) async fn pool(&self) -> PgPool {
        let options = PgPoolOptions::new().max_connections(20);
        options.connect_with(self.options()).await.unwrap()
    }

    /// What the server has said since it was started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.dir)
            .username("postgres")
            .database("postgres")
    }

    async fn ready(&self) {
        let start = Instant::now();
        loop {
            let connected = PgPoolOptions::new().connect_with(self.options()).await;
            match connected {
                Ok(_) => return,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}: {}", self.log()),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An orderly end, in which the server frees its shared memory. It fails if it has ended
        // already.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let status = self.child.wait();
        if !status.is_ok_and(|status| status.success() || status.signal().is_some()) {
            eprintln!("the server did not end well: {}", self.log());
        }
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
