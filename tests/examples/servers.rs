//! Runs the examples as processes, as a user does, and connects to them.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Request, StatusCode, Version};
use serde_json::Value;
use test_support::{
    process::{Process, command, run},
    sign,
    webhook::{
        ENV, HANDSHAKE, SECRET, ends_with, is_logged, line, ordinary_route, post, send, text,
        webhook,
    },
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test]
async fn quickstart() {
    let (process, address) = Process::serve("quickstart", &ENV);
    webhook(&process, address, Version::HTTP_11, "1").await;
    webhook(&process, address, Version::HTTP_2, "2").await;
    ordinary_route(address, Version::HTTP_11).await;
    ends_with(process, &["wamid.signed.1", "wamid.signed.2"]).await;
}

#[tokio::test]
async fn one_event_is_one_line_whatever_is_in_it() {
    let (process, address) = Process::serve("quickstart", &ENV);
    let body = text(r#"wamid.\u0000 \u001b[2J\n\""#).replace(
        r#""body":"hi""#,
        r#""body":"a\nmessage wamid.B\r\u2028\u202e\u0085\u007f\u0000\ud83d\ude00\ud83d""#,
    );
    let (status, _) = send(address, Version::HTTP_11, post(&sign(SECRET, &body)), &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        process.line(),
        r#"message "wamid.\0 \u{1b}[2J\n\"" text from 16505550001 "a\nmessage wamid.B\r\u{2028}\u{202e}\u{85}\u{7f}\0😀"#
            .to_owned()
            + "\u{fffd}\""
    );
}

/// Runs the commands that quickstart prints, if there is a shell with `curl` and `openssl`.
#[cfg(unix)]
#[tokio::test]
async fn the_commands_that_quickstart_prints_work() {
    use std::process::Command;

    let tool = |name| Command::new(name).arg("--version").output().is_ok();
    let openssl = Command::new("openssl").arg("version").output().is_ok();
    if !(tool("curl") && openssl) {
        println!("skipped: curl or openssl is missing");
        return;
    }
    let (process, _) = Process::serve("quickstart", &[]);
    let mut script = String::new();
    while !script.contains("--data-binary") {
        let line = process.line();
        if let Some(command) = line.strip_prefix("  ") {
            script += command;
            if command.starts_with("curl") {
                script += " --silent --noproxy '*' --write-out ' %{http_code} '";
            }
            script += "\n";
        }
    }
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "1158201444 200  200 "
    );
    assert_eq!(process.line(), "");
    assert_eq!(process.line(), line("wamid.A"));
}

#[test]
fn wrong_settings_are_told_and_nothing_of_them_shown() {
    for (example, env, message) in [
        (
            "quickstart",
            &[("WHATSAPP_APP_SECRET", " ")][..],
            "WHATSAPP_APP_SECRET",
        ),
        (
            "quickstart",
            &[("WHATSAPP_VERIFY_TOKEN", "")],
            "WHATSAPP_VERIFY_TOKEN",
        ),
        ("quickstart", &[("ADDR", "nowhere")], "ADDR"),
        (
            "quickstart",
            &[("WHATSAPP_VERIFY_TOKEN", &"x".repeat(513))],
            "`verify_token`",
        ),
        ("hyper", &[], "WHATSAPP_APP_SECRET is not set"),
        ("hyper", &ENV[..1], "WHATSAPP_VERIFY_TOKEN is not set"),
    ] {
        let output = run(command(example).envs(env.to_vec()), b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let told = stderr.lines().filter(|line| !is_logged(line));
        assert!(stderr.contains(message) && told.count() == 1, "{stderr}");
        assert!(!stderr.contains(SECRET) && !stderr.contains("xxx"));
    }
}

#[tokio::test]
async fn hyper_serves_both_versions_of_http() {
    let (process, address) = Process::serve("hyper", &ENV);
    webhook(&process, address, Version::HTTP_11, "1").await;
    webhook(&process, address, Version::HTTP_2, "2").await;
    ordinary_route(address, Version::HTTP_11).await;
    ordinary_route(address, Version::HTTP_2).await;
    let (status, _) = send(address, Version::HTTP_2, Request::get("/webhook/"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    ends_with(process, &["wamid.signed.1", "wamid.signed.2"]).await;
}

/// A temporary directory that is removed when it is dropped.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn add(&self, name: &str, body: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, body).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the exit code, one value per line of standard output, and standard error.
fn inspect(files: &[&str], input: &[u8]) -> (Option<i32>, Vec<Value>, String) {
    let output = run(command("inspect").args(files), input);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), lines.collect(), stderr)
}

fn event(
    file: Option<&str>,
    payload: &str,
    kind: &str,
    id: Option<&str>,
    known: bool,
    unread: &[&str],
) -> Value {
    serde_json::json!({
        "file": file,
        "field": "messages",
        "payload": payload,
        "type": kind,
        "id": id,
        "known": known,
        "unread": unread,
    })
}

#[test]
fn inspect_reads_standard_input() {
    let (code, lines, stderr) = inspect(&[], text("wamid.A").as_bytes());
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_eq!(
        lines,
        [event(None, "message", "text", Some("wamid.A"), true, &[])]
    );

    let (code, lines, stderr) = inspect(&[], b"\xff");
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_eq!(
        lines,
        [serde_json::json!({"file": null, "error": "the body is not UTF-8"})]
    );
}

#[test]
fn inspect_goes_on_after_a_bad_file() {
    let files = Files::new("inspect");
    let batch = r#"{
        "object": "whatsapp_business_account",
        "entry": [{ "id": "0", "changes": [{ "field": "messages", "value": {
            "statuses": [
                { "id": "wamid.B", "status": "read", "timestamp": "1760000000" },
                { "id": "wamid.C", "status": "vanished" }
            ],
            "messages": [{ "id": "wamid.D\n", "type": "hologram", "hologram": {} }],
            "novelties": [{ "id": 7 }]
        }}]}]
    }"#;
    let batch = &*files.add("batch.json", batch);
    let empty = &*files.add(
        "empty.json",
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
    );
    let broken = &*files.add("broken.json", r#"{"object":"#);
    let text = &*files.add("text.json", text("wamid.A"));

    let expected = |lines: &[Value]| {
        assert_eq!(
            lines,
            [
                event(Some(batch), "status", "read", Some("wamid.B"), true, &[]),
                event(
                    Some(batch),
                    "status",
                    "vanished",
                    Some("wamid.C"),
                    false,
                    &[]
                ),
                event(
                    Some(batch),
                    "message",
                    "hologram",
                    Some("wamid.D\n"),
                    false,
                    &["hologram"]
                ),
                event(Some(batch), "unknown", "novelties", Some("7"), false, &[]),
                serde_json::json!({"file": broken, "error": "the body is not JSON"}),
                event(Some(text), "message", "text", Some("wamid.A"), true, &[]),
            ]
        );
    };
    let (code, lines, stderr) = inspect(&[batch, empty, broken, text], b"");
    assert_eq!((code, &*stderr), (Some(0), ""));
    expected(&lines);

    // An unreadable file changes the exit code, but not the output for the others.
    let (missing, directory) = (&*files.path("missing.json"), &*files.path("."));
    let (code, lines, stderr) = inspect(&[missing, batch, directory, broken, text], b"");
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(missing) && stderr.contains(directory),
        "{stderr}"
    );
    expected(&lines);
}

/// At shutdown one handler runs for a delivery whose client is gone, and another one
/// has not started yet.
#[cfg(unix)]
#[tokio::test]
async fn shutdown_finishes_what_has_begun() {
    let env = [ENV[0], ENV[1], ("WORK", "1500")];
    let (process, address) = Process::serve("shutdown", &env);
    let deliver = async |id: &str| {
        let body = text(id);
        let signed = post(&sign(SECRET, &body));
        send(address, Version::HTTP_11, signed, &body).await
    };
    let given_up = deliver("wamid.given-up");
    let given_up = tokio::time::timeout(Duration::from_millis(500), given_up).await;
    assert!(given_up.is_err(), "{given_up:?}");

    let (answered, ()) = tokio::join!(deliver("wamid.answered"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        process.signal("-TERM");
    });
    assert_eq!(answered, (StatusCode::OK, String::new()));

    let output = process.end();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    for id in ["wamid.given-up", "wamid.answered"] {
        assert_eq!(printed.matches(&line(id)).count(), 1, "{printed}");
    }
    let last = printed.lines().last().unwrap();
    assert!(last.contains("aborted: 0, left: 0"), "{last}");
    assert!(last.contains("running: 0, delivered: 2"), "{last}");
    assert!(TcpStream::connect(address).await.is_err());
}

/// A client holds half of a request head.
#[cfg(unix)]
#[tokio::test]
async fn servers_end_whatever_strangers_hold_open() {
    let mut ended = Vec::new();
    for example in ["shutdown", "quickstart", "hyper"] {
        let (process, address) = Process::serve(example, &ENV);
        let mut stranger = TcpStream::connect(address).await.unwrap();
        let half = b"POST /webhook HTTP/1.1\r\nHost: x\r\n";
        stranger.write_all(half).await.unwrap();
        // Connections are accepted in order, so those before this one have been accepted.
        let answer = send(address, Version::HTTP_11, Request::get(HANDSHAKE), "").await;
        assert_eq!(answer.0, StatusCode::OK);
        process.signal("-TERM");
        ended.push(tokio::task::spawn_blocking(move || {
            (example, process.end())
        }));
        // Held open until all processes have exited.
        std::mem::forget(stranger);
    }
    for ended in ended {
        let (example, output) = ended.await.unwrap();
        assert!(output.status.success(), "{example}: {output:?}");
    }
}
