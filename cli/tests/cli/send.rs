//! `send` against the quickstart, as two processes.

use std::{collections::HashSet, process::Output};

use axum::{Router, routing::post};
use http::StatusCode;
use serde_json::Value;
use test_support::process::{Process, run};
use tokio::{net::TcpListener, task::spawn_blocking};

use crate::{ENV, SECRET, program};

pub fn send(url: &str, options: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = program();
    command
        .args(["send", url])
        .args(options)
        .envs(env.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = run(&mut command, b"");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code(), stdout, stderr)
}

/// Returns the value of a line of the report.
pub fn value<'a>(report: &'a str, name: &str) -> &'a str {
    let line = report
        .lines()
        .find_map(|line| line.trim().strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {report}"))
        .trim()
}

#[test]
fn it_delivers_everything_to_the_quickstart() {
    let (server, address) = Process::serve("quickstart", &ENV);
    let url = format!("http://{address}/webhook");
    let options = [
        "--events",
        "400",
        "--rate",
        "4000",
        "--mix",
        "messages=1",
        "--seed",
        "3",
    ];
    let (code, report, stderr) = send(&url, &options, &ENV);
    assert_eq!(code, Some(0), "{report}{stderr}");
    assert_eq!(value(&report, "handshake"), "ok");
    assert_eq!(value(&report, "events"), "400");
    assert_eq!(value(&report, "unacknowledged"), "0");
    assert_eq!(value(&report, "status 200"), value(&report, "deliveries"));
    assert_eq!(value(&report, "failed"), "0");
    assert!(value(&report, "latency").starts_with("p50 "));
    assert!(!report.contains(SECRET) && !stderr.contains(SECRET));

    // The server printed each event at least once.
    let mut ids = HashSet::new();
    while ids.len() < 400 {
        let line = server.line();
        let id = line.split(' ').nth(1).unwrap();
        ids.insert(id.to_owned());
    }
    assert!(
        ids.iter().all(|id| id.starts_with("wamid.SAMPLE")),
        "{ids:?}"
    );
}

#[test]
fn it_reports_rejections_and_wrong_options() {
    let (_server, address) = Process::serve("quickstart", &ENV);
    let url = format!("http://{address}/webhook");
    let few = ["--events", "3", "--rate", "1000", "--time-scale", "0"];

    let wrong = [ENV[0], ("WHATSAPP_VERIFY_TOKEN", "another token")];
    let (code, _, stderr) = send(&url, &few, &wrong);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("handshake was answered with 403"),
        "{stderr}"
    );

    // With the wrong secret every delivery is rejected, until send gives up.
    let few = [
        "--events",
        "3",
        "--rate",
        "1000",
        "--time-scale",
        "0.000001",
    ];
    let (code, report, _) = send(&url, &few, &[("WHATSAPP_APP_SECRET", "another secret")]);
    assert_eq!(code, Some(1));
    assert_eq!(value(&report, "unacknowledged"), "3");
    assert_eq!(value(&report, "status 403"), value(&report, "deliveries"));
    assert_ne!(value(&report, "retries"), "0");

    for (options, env, words) in [
        (&["--mix", "letters=1"][..], &ENV[..], "the kinds are"),
        (&["--rate", "0"], &ENV, "above 0"),
        (&["--repeat", "1.5"], &ENV, "at most 1"),
        (&["--speed", "1"], &ENV, "unexpected argument '--speed'"),
        (&["--events"], &ENV, "a value is required"),
        (&["--sample", "telegram"], &ENV, "the samples are all, text"),
        (&[], &[], "WHATSAPP_APP_SECRET is not set"),
        (
            &[],
            &[("WHATSAPP_APP_SECRET", " ")],
            "WHATSAPP_APP_SECRET is blank",
        ),
        (
            &["--secret-env", "ANOTHER_NAME"],
            &ENV,
            "ANOTHER_NAME is not set",
        ),
    ] {
        let (code, _, stderr) = send(&url, options, env);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            stderr.contains(words) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[test]
fn the_report_as_json_has_the_same_figures() {
    let (_server, address) = Process::serve("quickstart", &ENV);
    let url = format!("http://{address}/webhook");
    let few = [
        "--events",
        "30",
        "--rate",
        "1000",
        "--time-scale",
        "0.000001",
        "--json",
    ];
    let (code, report, stderr) = send(&url, &few, &ENV);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["events"], &report["unacknowledged"]),
        (&30.into(), &0.into())
    );
    assert_eq!(report["statuses"]["200"], report["deliveries"]);
    assert!(
        report["latency_ms"]["p50"].as_f64().unwrap() > 0.0,
        "{report}"
    );
}

#[test]
fn every_sample_can_be_sent_alone() {
    let (_server, address) = Process::serve("quickstart", &ENV);
    let url = format!("http://{address}/webhook");
    let (code, out, _) = send(&url, &["--sample", "text", "--sample", "image"], &ENV[..1]);
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{out}");
    assert!(out.starts_with("text   200  "), "{out}");
    let (code, out, _) = send(&url, &["--sample", "all", "--json"], &ENV[..1]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.lines().count() > 50, "{out}");
    let (code, out, _) = send(
        &url,
        &["--sample", "text"],
        &[("WHATSAPP_APP_SECRET", "other")],
    );
    assert_eq!(code, Some(1));
    assert!(out.starts_with("text  403  "), "{out}");
}

#[cfg(unix)]
#[test]
fn interrupting_it_prints_the_counts_so_far() {
    let (_server, address) = Process::serve("quickstart", &ENV);
    let mut command = program();
    command
        .args(["send", &format!("http://{address}/webhook"), "--rate", "10"])
        .envs(ENV);
    let process = Process::spawn(&mut command);
    assert_eq!(process.line(), "handshake             ok");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let output = process.interrupt();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("   1 s: "), "{stderr}");
    assert!(
        stderr.contains("interrupted: ") && !stderr.contains("interrupted: 0 "),
        "{stderr}"
    );
}

/// A server that answers each message as the function says. Returns the URL.
pub async fn serve(
    answer: impl Fn(&Value) -> StatusCode + Clone + Send + Sync + 'static,
) -> String {
    let handler = async move |body: String| {
        let body: Value = serde_json::from_str(&body).unwrap();
        answer(&body["entry"][0]["changes"][0]["value"]["messages"][0])
    };
    let app = Router::new().route("/webhook", post(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}/webhook")
}

pub async fn send_to(url: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let url = url.to_owned();
    let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
    let sending = spawn_blocking(move || {
        let options: Vec<_> = options.iter().map(|option| &**option).collect();
        send(&url, &options, &ENV[..1])
    });
    sending.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_delivery_among_good_ones_is_a_failure() {
    for refused in ["text", "image", "audio", "none"] {
        let url = serve(move |message| match message["type"] == refused {
            true => StatusCode::INTERNAL_SERVER_ERROR,
            false => StatusCode::OK,
        })
        .await;
        let samples = ["text", "image", "audio"].map(|name| ["--sample", name]);
        let (code, out, _) = send_to(&url, &samples.concat()).await;
        assert_eq!(code, Some(i32::from(refused != "none")), "{refused} {out}");
        let count = |status| out.matches(status).count();
        let expected = usize::from(refused != "none");
        assert_eq!(
            (count("  500  "), count("  200  ")),
            (expected, 3 - expected),
            "{out}"
        );
    }
    // The same of traffic: an event is refused until `send` gives up.
    let traffic = "--events 5 --rate 1000 --batch 1 --mix messages=1 --regroup 0";
    let traffic = traffic.split(' ').chain(["--time-scale", "0.000001"]);
    let traffic: Vec<_> = traffic.collect();
    let ids = std::sync::Mutex::new(Vec::new());
    let ids = std::sync::Arc::new(ids);
    for refused in [Some(0), Some(2), Some(4), None] {
        ids.lock().unwrap().clear();
        let ids = std::sync::Arc::clone(&ids);
        let url = serve(move |message| {
            let mut ids = ids.lock().unwrap();
            let id = message["id"].as_str().unwrap().to_owned();
            if !ids.contains(&id) {
                ids.push(id.clone());
            }
            match refused.is_some_and(|index| ids.get(index) == Some(&id)) {
                true => StatusCode::INTERNAL_SERVER_ERROR,
                false => StatusCode::OK,
            }
        })
        .await;
        let (code, report, _) = send_to(&url, &traffic).await;
        let expected = i32::from(refused.is_some());
        assert_eq!(code, Some(expected), "{refused:?} {report}");
        assert_eq!(value(&report, "unacknowledged"), expected.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_progress_has_the_events_of_its_second() {
    let url = serve(|_| StatusCode::OK).await;
    let traffic = "--events 30 --rate 10 --batch 1 --mix messages=1 --duplicate 0 --repeat 0";
    let traffic: Vec<_> = traffic.split(' ').collect();
    let (code, _, progress) = send_to(&url, &traffic).await;
    assert_eq!(code, Some(0), "{progress}");
    // A delivery is an event here, so its count grows by as many.
    let mut before = 0;
    for line in progress.lines() {
        let numbers = line
            .split(' ')
            .filter_map(|word| word.parse::<usize>().ok());
        let [_, deliveries, failed, events] = numbers.collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert_eq!((events, failed), (deliveries - before, 0), "{progress}");
        before = deliveries;
    }
    assert!(progress.lines().count() >= 2 && before > 0, "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_waits_for_a_response_as_many_seconds_as_the_option_says() {
    let app = Router::new().fallback(async || std::future::pending::<()>().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let (code, out, _) = send_to(&url, &["--sample", "text", "--timeout", "0.25"]).await;
    assert_eq!(code, Some(1));
    assert!(
        out.starts_with("text  no response within 0.25 s  "),
        "{out}"
    );
}
