//! `send` against the quickstart, as two processes.

use std::{collections::HashSet, process::Output};

use serde_json::Value;
use test_support::process::{Process, run};

use crate::{ENV, SECRET, program};

fn send(url: &str, options: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
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
fn value<'a>(report: &'a str, name: &str) -> &'a str {
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
        assert!(stderr.contains(words), "{stderr}");
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
