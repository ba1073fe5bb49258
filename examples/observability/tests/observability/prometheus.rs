//! The dashboard and the alerts, evaluated by a real Prometheus over real traffic.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use http::{Request, StatusCode};
use serde_json::Value;
use test_support::{
    port,
    process::{Process, command},
    webhook::{ENV, HANDSHAKE},
};
use tokio::time::sleep;

use crate::{
    documented,
    service::{Service, accepted, get, now, refused, send_to, signed, text},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Long enough for a handler to be cut off and for the store to fail.
const SECONDS: u64 = 24;

/// What `$__rate_interval` becomes: some scrapes, which are a second apart.
const RATE_INTERVAL: &str = "5s";

struct Prometheus {
    _process: Process,
    address: SocketAddr,
    directory: PathBuf,
}

impl Prometheus {
    async fn start(target: SocketAddr) -> Self {
        let directory = env::temp_dir().join(format!("observability-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{ROOT}/docs/alerts.yml']\n\
             scrape_configs:\n\
             - job_name: webhook\n  \
               static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        let file = directory.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let process = Process::spawn(
            Command::new("prometheus")
                .arg(option("config.file", &file))
                .arg(option("storage.tsdb.path", &directory.join("data")))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=error")
                .stdin(Stdio::null()),
        );
        let prometheus = Self {
            _process: process,
            address,
            directory,
        };
        let start = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err()
            || get(address, "/-/ready").await.0 != StatusCode::OK
        {
            assert!(start.elapsed() < Duration::from_secs(60), "it is not ready");
            sleep(Duration::from_millis(100)).await;
        }
        prometheus
    }

    /// Calls the API and returns `data`.
    async fn api(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let (status, body) = get(self.address, &format!("/api/v1/{path}?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    }

    /// All values of a query during the run.
    async fn values(&self, expression: &str, start: u64) -> Vec<f64> {
        let data = self
            .api(
                "query_range",
                &[
                    ("query", expression),
                    ("start", &start.to_string()),
                    ("end", &now().to_string()),
                    ("step", "1"),
                ],
            )
            .await;
        let series = data["result"].as_array().unwrap();
        let points = series
            .iter()
            .flat_map(|one| one["values"].as_array().unwrap());
        points
            .map(|point| point[1].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Sends traffic until the time is up: `send`, and what it does not send.
async fn traffic(service: &Service, seconds: u64) {
    let url = format!("http://{}/webhook", service.address);
    let (rate, events) = (60, 60 * seconds);
    let mut meta = command("whatsapp-webhook");
    meta.args([
        "send",
        &*url,
        "--events",
        &events.to_string(),
        "--rate",
        &rate.to_string(),
    ])
    .args(["--batch", "20", "--duplicate", "0.1", "--repeat", "0.1"])
    .args(["--time-scale", "0.01"])
    .envs(ENV)
    .stdin(Stdio::null());
    let _meta = Process::spawn(&mut meta);
    let start = Instant::now();
    for number in 0.. {
        if start.elapsed().as_secs() >= seconds {
            return;
        }
        let mut requests = vec![signed(&text(number)), signed(&text(number))];
        if number % 10 == 0 {
            requests.push(Request::get(HANDSHAKE).body("".into()).unwrap());
            requests.extend(accepted());
        }
        let mut refused = refused();
        let turn = number as usize % (2 * refused.len());
        if turn < refused.len() {
            requests.push(refused.swap_remove(turn).1);
        }
        for request in requests {
            // Not one after the other: some of the handlers hang.
            tokio::spawn(send_to(service.address, request));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// `(title, expression)` of each query of the dashboard.
fn queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(format!("{ROOT}/docs/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        let custom = &panel["fieldConfig"]["defaults"];
        for text in [
            &panel["description"],
            &custom["unit"],
            &custom["custom"]["axisLabel"],
        ] {
            assert!(!text.as_str().unwrap().is_empty(), "{title}");
        }
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression
                .replace("$__rate_interval", RATE_INTERVAL)
                .replace("$job", ".*");
            assert!(!expression.contains('$'), "{expression}");
            queries.push((title.to_owned(), expression));
        }
    }
    queries
}

/// With `DASHBOARD=FILE` the run takes `DASHBOARD_SECONDS`, and the dashboard is drawn.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs prometheus"]
async fn every_panel_shows_data_and_every_alert_is_valid() {
    let picture = env::var("DASHBOARD").ok();
    let seconds = env::var("DASHBOARD_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let service = Service::start(&[("FAULTS", "1")]);
    let prometheus = Prometheus::start(service.metrics).await;
    let start = now();
    traffic(&service, seconds).await;

    if let Some(file) = picture {
        let url = format!("http://{}", prometheus.address);
        let status = Command::new(format!("{ROOT}/scripts/dashboard"))
            .args([
                "--draw",
                &file,
                &url,
                &start.to_string(),
                &now().to_string(),
            ])
            .status()
            .unwrap();
        assert!(status.success());
    }

    let mut empty = Vec::new();
    let queries = queries();
    assert!(queries.len() >= 20, "{queries:?}");
    for (title, expression) in queries {
        let values = prometheus.values(&expression, start).await;
        // A counter that never counts and a time that is not measured are no data.
        if !values.iter().any(|value| value.is_finite() && *value > 0.0) {
            empty.push((title, expression, values));
        }
    }
    assert!(empty.is_empty(), "{empty:#?}");

    let groups = prometheus.api("rules", &[]).await;
    let groups = groups["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .map(|group| group["rules"].as_array().unwrap());
    let rules: Vec<_> = rules.flatten().collect();
    assert_eq!(rules.len(), 15);
    for rule in rules {
        let name = rule["name"].as_str().unwrap();
        assert_eq!(rule["health"], "ok", "{name}: {rule}");
        assert!(!rule["annotations"]["summary"].as_str().unwrap().is_empty());
        assert!(
            !rule["annotations"]["description"]
                .as_str()
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn alerts_are_those_of_the_documentation() {
    let rules = fs::read_to_string(format!("{ROOT}/docs/alerts.yml")).unwrap();
    let names = rules
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "));
    assert_eq!(names.collect::<Vec<_>>(), documented::alerts());
}

/// What each alert waits for, and that none fires in normal operation.
#[test]
#[ignore = "needs promtool of prometheus"]
fn alerts_fire_when_they_should() {
    let cases = ["alerts", "refusals"]
        .map(|name| format!("{ROOT}/examples/observability/tests/observability/{name}.yml"));
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .args(cases)
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}");
}
