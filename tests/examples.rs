//! Runs the examples as a user does, as processes, and talks to them over their sockets.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "support/process.rs"]
mod process;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use sha2::Sha256;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use self::process::{Process, command, run};

const SECRET: &str = "6f70656e2073657361";
const TOKEN: &str = "a token & more";
const ENV: [(&str, &str); 2] = [
    ("WHATSAPP_APP_SECRET", SECRET),
    ("WHATSAPP_VERIFY_TOKEN", TOKEN),
];

const HANDSHAKE: &str =
    "/webhook?hub.mode=subscribe&hub.verify_token=a+token+%26+more&hub.challenge=1158201444";

fn text(id: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"0","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"16505550001"}}],"messages":[{{"from":"16505550001","id":"{id}","timestamp":"1760000000","type":"text","text":{{"body":"hi"}}}}]}}}}]}}]}}"#
    )
}

fn line(id: &str) -> String {
    format!("message {id} text from 16505550001 \"hi\"")
}

fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    format!("sha256={:x}", Bytes::copy_from_slice(&tag))
}

/// Sends one request over a connection of its own and returns the status and the body of the answer.
async fn send(
    address: SocketAddr,
    version: Version,
    request: http::request::Builder,
    body: &str,
) -> (StatusCode, String) {
    let mut request = request
        .header("Host", address.to_string())
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let response = if version == Version::HTTP_2 {
        // HTTP/2 from the first byte ("prior knowledge"), where the address is part of the URI.
        let path = request.uri().path_and_query().unwrap();
        let uri = format!("http://{address}{path}");
        *request.uri_mut() = uri.parse::<Uri>().unwrap();
        request.headers_mut().remove("Host");
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    assert_eq!(response.version(), version);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

fn post(signature: &str) -> http::request::Builder {
    Request::post("/webhook")
        .header("Content-Type", "application/json")
        .header("X-Hub-Signature-256", signature)
}

/// What every server among the examples does. `tag` tells the messages of one round from those of another.
async fn webhook(process: &Process, address: SocketAddr, version: Version, tag: &str) {
    let send = async |request, body: &str| send(address, version, request, body).await;
    let ok = |body: &str| (StatusCode::OK, body.to_owned());
    let refused = |status| (status, String::new());

    assert_eq!(send(Request::get(HANDSHAKE), "").await, ok("1158201444"));
    let wrong = HANDSHAKE.replace("more", "less");
    assert_eq!(
        send(Request::get(wrong), "").await,
        refused(StatusCode::FORBIDDEN)
    );
    let script = HANDSHAKE.replace("1158201444", "%3Cscript%3E");
    assert_eq!(
        send(Request::get(script), "").await,
        refused(StatusCode::BAD_REQUEST)
    );

    let body = text(&format!("wamid.forged.{tag}"));
    let forged = sign("another secret", &body);
    assert_eq!(
        send(post(&forged), &body).await,
        refused(StatusCode::FORBIDDEN)
    );
    assert_eq!(
        send(Request::post("/webhook"), &body).await,
        refused(StatusCode::FORBIDDEN)
    );
    let signed = post(&sign(SECRET, &body)).method(Method::PUT);
    assert_eq!(
        send(signed, &body).await,
        refused(StatusCode::METHOD_NOT_ALLOWED)
    );

    // Printed before it is answered, and the next line after those that were refused.
    let id = format!("wamid.signed.{tag}");
    let body = text(&id);
    assert_eq!(send(post(&sign(SECRET, &body)), &body).await, ok(""));
    assert_eq!(process.line(), line(&id));
}

async fn ordinary_route(address: SocketAddr, version: Version) {
    let (status, body) = send(address, version, Request::get("/"), "").await;
    assert_eq!(
        (status, &*body),
        (StatusCode::OK, "An ordinary route.\n"),
        "{version:?}"
    );
}

/// Ends it, and checks everything that it has printed: these messages after the address, and nothing else.
#[cfg(unix)]
async fn ends_with(process: Process, lines: &[&str]) {
    // The client's connections are tasks of this thread, and the server waits for them to close.
    let output = tokio::task::spawn_blocking(|| process.interrupt());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<_> = lines.iter().map(|tag| line(tag)).collect();
    assert_eq!(stdout.lines().skip(1).collect::<Vec<_>>(), expected);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "");
    for secret in [SECRET, TOKEN] {
        assert!(!stdout.contains(secret));
    }
}

#[cfg(not(unix))]
async fn ends_with(_: Process, _: &[&str]) {}

#[test]
fn the_demo_goes_as_documented() {
    for env in [&[][..], &ENV] {
        let output = run(command("quickstart").arg("--demo").envs(env.to_vec()), b"");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}");
        assert_eq!(output.stderr, b"");
        assert!(stdout.ends_with("\nAll as documented.\n"), "{stdout}");
        assert!(!stdout.contains(SECRET) && !stdout.contains(TOKEN));
    }
}

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

/// What it prints to try it with is itself tried, if there is a shell with `curl` and `openssl`.
#[cfg(unix)]
#[tokio::test]
async fn the_commands_that_quickstart_prints_work() {
    use std::process::Command;

    let tool = |name| Command::new(name).arg("--version").output().is_ok();
    let openssl = Command::new("openssl").arg("version").output().is_ok();
    if !(tool("curl") && openssl) {
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
        ("tonic", &ENV[..1], "WHATSAPP_VERIFY_TOKEN is not set"),
    ] {
        let output = run(command(example).envs(env.to_vec()), b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(message) && stderr.lines().count() == 1,
            "{stderr}"
        );
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

#[tokio::test]
async fn tonic_serves_grpc_and_the_webhook_on_one_port() {
    let (process, address) = Process::serve("tonic", &ENV);
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel);
    let request = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let serving = ServingStatus::Serving;

    // The stream is open all the while. It has its first message at once, so nobody waits for its end.
    let watch = health.watch(request("")).await.unwrap();
    let mut watch = watch.into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), serving);

    webhook(&process, address, Version::HTTP_11, "1").await;
    webhook(&process, address, Version::HTTP_2, "2").await;

    let answer = health.check(request("")).await.unwrap().into_inner();
    assert_eq!(answer.status(), serving);
    let error = health.check(request("nobody")).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
    let silence = tokio::time::timeout(Duration::from_millis(50), watch.message()).await;
    assert!(
        silence.is_err(),
        "the stream is open and has nothing to say"
    );

    drop((watch, health));
    ends_with(process, &["wamid.signed.1", "wamid.signed.2"]).await;
}

/// A directory that goes when the test does.
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

/// The exit code, one value per line of standard output, and standard error.
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

    // What cannot be read at all costs the exit code, and the others nothing.
    let (missing, directory) = (&*files.path("missing.json"), &*files.path("."));
    let (code, lines, stderr) = inspect(&[missing, batch, directory, broken, text], b"");
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(missing) && stderr.contains(directory),
        "{stderr}"
    );
    expected(&lines);
}

/// A handler is at work on a delivery whose sender has given up, and one is not begun yet, when the process is told to end.
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
    assert!(last.contains("running: 0, handled: 2"), "{last}");
    assert!(TcpStream::connect(address).await.is_err());
}

/// A stranger holds half of a request head, or a gRPC stream without an end.
#[cfg(unix)]
#[tokio::test]
async fn servers_end_whatever_strangers_hold_open() {
    let mut ended = Vec::new();
    for example in ["shutdown", "quickstart", "tonic", "hyper"] {
        let (process, address) = Process::serve(example, &ENV);
        let mut stranger = TcpStream::connect(address).await.unwrap();
        let half = b"POST /webhook HTTP/1.1\r\nHost: x\r\n";
        stranger.write_all(half).await.unwrap();
        let mut watch = None;
        if example == "tonic" {
            let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
            let channel = endpoint.unwrap().connect().await.unwrap();
            let request = HealthCheckRequest::default();
            let response = HealthClient::new(channel).watch(request).await.unwrap();
            watch = Some(response.into_inner());
        }
        // The connections before this one have been accepted.
        let answer = send(address, Version::HTTP_11, Request::get(HANDSHAKE), "").await;
        assert_eq!(answer.0, StatusCode::OK);
        process.signal("-TERM");
        ended.push(tokio::task::spawn_blocking(move || {
            (example, process.end())
        }));
        // Held until all have ended.
        std::mem::forget((stranger, watch));
    }
    for ended in ended {
        let (example, output) = ended.await.unwrap();
        assert!(output.status.success(), "{example}: {output:?}");
    }
}
