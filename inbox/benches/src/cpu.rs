//! CPU time of this process and of a server of PostgreSQL, by `/proc`.

use std::{fs, time::Duration};

use test_support::postgres::Server;

/// Ticks of `/proc` a second: what Linux has on all platforms.
const TICKS: f64 = 100.0;

/// A reading.
pub(crate) struct Cpu(f64);

impl Cpu {
    pub(crate) fn of(server: Option<&Server>) -> Self {
        let own = ticks("self", 2);
        let server = server.map_or(0.0, of_server);
        Self((own + server) / TICKS)
    }

    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        Duration::from_secs_f64((self.0 - earlier.0).max(0.0))
    }
}

/// That of the postmaster, of the processes that it has, and of those that have ended.
fn of_server(server: &Server) -> f64 {
    let file = server.socket().join("data/postmaster.pid");
    let text = fs::read_to_string(file).unwrap_or_default();
    let postmaster = text.lines().next().unwrap_or_default().to_owned();
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| entry.file_name().into_string().ok());
    let of_child = |id: String| match stat(&id) {
        Some(fields) if fields.get(1) == Some(&postmaster) => ticks(&id, 2),
        _ => 0.0,
    };
    ticks(&postmaster, 4) + children.map(of_child).sum::<f64>()
}

/// The first `count` of: user, system, user of ended children, system of ended children.
fn ticks(id: &str, count: usize) -> f64 {
    let fields = stat(id).unwrap_or_default();
    let times = fields.iter().skip(11).take(count);
    times.filter_map(|time| time.parse::<f64>().ok()).sum()
}

/// The fields after the name, which may have spaces: state, parent, ….
fn stat(id: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}
