//! Runs fake_meta against the quickstart, as two processes.
#![cfg(test)]
#![allow(dead_code, unreachable_pub, reason = "shared by the tests of examples")]

use std::{collections::HashSet, process::Output};

use test_support::process::{Process, command, run};

const SECRET: &str = "6f70656e2073657361";
const TOKEN: &str = "a token & more";
const ENV: [(&str, &str); 2] = [
    ("WHATSAPP_APP_SECRET", SECRET),
    ("WHATSAPP_VERIFY_TOKEN", TOKEN),
];

fn fake_meta(url: &str, options: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = command("example-fake-meta");
    command.arg(url).args(options).envs(env.iter().copied());
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
    let (code, report, stderr) = fake_meta(&url, &options, &ENV);
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
    let (code, _, stderr) = fake_meta(&url, &few, &wrong);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("handshake was answered with 403"),
        "{stderr}"
    );

    // With the wrong secret every delivery is rejected, until fake_meta gives up.
    let few = [
        "--events",
        "3",
        "--rate",
        "1000",
        "--time-scale",
        "0.000001",
    ];
    let (code, report, _) = fake_meta(&url, &few, &[("WHATSAPP_APP_SECRET", "another secret")]);
    assert_eq!(code, Some(1));
    assert_eq!(value(&report, "unacknowledged"), "3");
    assert_eq!(value(&report, "status 403"), value(&report, "deliveries"));
    assert_ne!(value(&report, "retries"), "0");

    for (options, env, words) in [
        (&["--mix", "letters=1"][..], &ENV[..], "--mix does not take"),
        (&["--rate", "0"], &ENV, "--rate does not take"),
        (&["--speed", "1"], &ENV, "unknown option --speed"),
        (&["--events"], &ENV, "needs a value"),
        (&[], &[], "WHATSAPP_APP_SECRET is not set"),
        (
            &["--secret-env", "ANOTHER_NAME"],
            &ENV,
            "ANOTHER_NAME is not set",
        ),
    ] {
        let (code, _, stderr) = fake_meta(&url, options, env);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(words), "{stderr}");
    }
}
