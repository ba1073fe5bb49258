//! Runs the examples as processes, as a user does, and connects to them.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::time::Duration;

use http::{Request, StatusCode, Version};
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
        test_support::not_run("the commands of quickstart: curl or openssl is missing");
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
