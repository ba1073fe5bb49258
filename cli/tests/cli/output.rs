//! A standard output that cannot be written to.

use std::{
    fs::File,
    process::{Command, Output, Stdio},
};

use http::{Request, StatusCode, Version};
use test_support::{
    process::Process,
    sign,
    webhook::{ENV, send},
};

use crate::program;

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0"];
const CLOSED: &str = "http://127.0.0.1:9/webhook";

/// Commands that print and end, without a server, and their exit codes.
const COMMANDS: [(&[&str], i32); 6] = [
    (&["doctor", CLOSED], 1),
    (&["doctor", CLOSED, "--json"], 1),
    (&["send", CLOSED, "--sample", "text"], 1),
    (&["send", CLOSED, "--sample", "text", "--json"], 1),
    (&["completions", "bash"], 0),
    (&["sign", "/dev/null"], 0),
];

fn command(arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .args(arguments)
        .env("WHATSAPP_APP_SECRET", ENV[0].1)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_one_line() {
    let printing = COMMANDS.map(|(arguments, _)| arguments);
    for arguments in printing.into_iter().chain([&SERVE[..]]) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let Output { status, stderr, .. } = command(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?} {error}");
        let start = "whatsapp-webhook: cannot write to standard output: ";
        assert!(error.starts_with(start), "{arguments:?} {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?} {error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_error_changes_no_exit_code() {
    for (arguments, code) in [
        (&["inspect", "/nowhere"][..], 1),
        (&["doctor"], 2),
        (&["sign", "--secret-env", "NOWHERE"], 2),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stderr(full).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    for (arguments, code) in COMMANDS {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?} {error}");
        assert_eq!(error, "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_standard_error_does_not_stop_serve() {
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"])
        .arg(program().get_program())
        .args(SERVE)
        .envs(ENV);
    let process = Process::spawn(&mut command);
    let line = process.line();
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.split('/').next().unwrap().parse().unwrap();
    // The library warns of it.
    let request = Request::post("/webhook").header("X-Hub-Signature-256", sign("other", "{}"));
    let (status, _) = send(address, Version::HTTP_11, request, "{}").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
