//! Runs the example `https`, with callers that have valid and invalid certificates.
#![cfg(unix)]

use std::{
    net::SocketAddr,
    process::{Command, Output},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::ExtendedKeyUsagePurpose;
use test_support::process::{self, Process};
use tls_tests::pki::{Authority, CertificateRequest, Directory, Identity};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};
use tower_whatsapp::testing::{delivery, sample};

use crate::{
    META, SECRET, TOKEN,
    caller::{Caller, Connection},
};

const HTTP1: &[&str] = &["http/1.1"];
const BOTH: &[&str] = &["h2", "http/1.1"];

/// Timeout for every wait: far above the normal duration, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The example as a process, and the CA of its certificate.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    directory: Directory,
}

impl Server {
    pub(crate) fn start(test: &str, env: &[(&str, &str)]) -> Self {
        let authority = Authority::new("the authority of servers");
        let identity = authority.sign(CertificateRequest::server(&["127.0.0.1"]));
        Self::with(test, authority, &identity, env)
    }

    pub(crate) fn with(
        test: &str,
        authority: Authority,
        identity: &Identity,
        env: &[(&str, &str)],
    ) -> Self {
        Self::by(
            process::command("example-https"),
            test,
            authority,
            identity,
            env,
        )
    }

    fn by(
        command: Command,
        test: &str,
        authority: Authority,
        identity: &Identity,
        env: &[(&str, &str)],
    ) -> Self {
        let directory = Directory::new(test);
        let certificate = directory.write("server.pem", &identity.pem());
        let key = directory.write("server.key", &identity.key.serialize_pem());
        let mut all = vec![
            ("WHATSAPP_APP_SECRET", SECRET),
            ("WHATSAPP_VERIFY_TOKEN", TOKEN),
            ("TLS_CERT", &certificate),
            ("TLS_KEY", &key),
        ];
        all.extend(env);
        let (process, address) = Process::listen(command, &all);
        Self {
            process,
            address,
            authority,
            directory,
        }
    }

    fn replace(&self, identity: &Identity) {
        self.directory.write("server.pem", &identity.pem());
        self.directory
            .write("server.key", &identity.key.serialize_pem());
    }

    fn caller(&self, identity: Option<&Identity>, protocols: &[&str]) -> Caller {
        Caller::new(&self.authority, identity, protocols)
    }
}

fn message(id: &str) -> Request<Bytes> {
    delivery("/webhook", sample::text("hi").id(id).body(), SECRET)
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

const HANDSHAKE: &str =
    "/webhook?hub.mode=subscribe&hub.verify_token=a+token+%26+more&hub.challenge=1158201444";

#[tokio::test]
async fn certificates_of_callers() {
    enum Answer {
        Taken,
        /// Rejected by the layer.
        Refused,
        /// Rejected by TLS.
        Cut,
    }
    use Answer::{Cut, Refused, Taken};

    let meta = Authority::new("the authority of Meta");
    let files = Directory::new("authorities");
    let ca = files.write("meta.pem", &meta.pem());
    let server = Server::start("callers", &[("TLS_CLIENT_CA", &ca)]);
    let intermediate = meta.intermediate("an intermediate of Meta");
    let other = Authority::new("the authority of Meta");

    let client = || CertificateRequest::client(META);
    for (index, (what, identity, answer)) in [
        ("right", meta.sign(client()), Taken),
        (
            "without a purpose",
            meta.sign(CertificateRequest::named(META)),
            Taken,
        ),
        (
            "with its intermediate",
            intermediate.sign_with_chain(client()),
            Taken,
        ),
        (
            "with a prefix",
            meta.sign(CertificateRequest::client(&format!("x.{META}"))),
            Refused,
        ),
        (
            "with a suffix",
            meta.sign(CertificateRequest::client(&format!("{META}.x"))),
            Refused,
        ),
        (
            "in capitals",
            meta.sign(CertificateRequest::client(&META.to_uppercase())),
            Refused,
        ),
        (
            "alternative name",
            meta.sign(CertificateRequest::client("x").alternatives(&[META])),
            Refused,
        ),
        ("two names", meta.sign(client().and_named("x")), Refused),
        (
            "no name",
            meta.sign(CertificateRequest::without_name()),
            Refused,
        ),
        ("run out", meta.sign(client().valid(2020, 2021)), Cut),
        ("not yet valid", meta.sign(client().valid(3000, 3001)), Cut),
        ("self-signed", client().self_signed(), Cut),
        ("of another of the same name", other.sign(client()), Cut),
        (
            "of our own servers' authority",
            server.authority.sign(client()),
            Cut,
        ),
        ("without its intermediate", intermediate.sign(client()), Cut),
        (
            "for servers",
            meta.sign(CertificateRequest::named(META).usage(ExtendedKeyUsagePurpose::ServerAuth)),
            Cut,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        for (protocols, version) in [(HTTP1, Version::HTTP_11), (BOTH, Version::HTTP_2)] {
            let id = format!("wamid.{index}.{version:?}");
            let caller = server.caller(Some(&identity), protocols);
            let found = caller.send(server.address, message(&id)).await;
            match answer {
                Taken => {
                    assert_eq!(
                        found.unwrap(),
                        (version, StatusCode::OK, Bytes::new()),
                        "{what}"
                    );
                    assert!(server.process.line().contains(&id), "{what}");
                }
                Refused => {
                    assert_eq!(found.unwrap().1, StatusCode::FORBIDDEN, "{what}");
                }
                Cut => assert!(found.is_err(), "{what}: {found:?}"),
            }
        }
    }

    // The signature is still required, and other routes need no certificate.
    let right = meta.sign(client());
    let mut unsigned = message("wamid.unsigned");
    unsigned.headers_mut().remove("x-hub-signature-256");
    let right = server.caller(Some(&right), BOTH);
    let found = right.send(server.address, unsigned).await;
    assert_eq!(found.unwrap().1, StatusCode::FORBIDDEN);
    let nobody = server.caller(None, BOTH);
    for (request, status) in [
        (message("wamid.nobody"), StatusCode::FORBIDDEN),
        (get("/"), StatusCode::OK),
        (get(HANDSHAKE), StatusCode::OK),
    ] {
        let found = nobody.send(server.address, request).await;
        assert_eq!(found.unwrap().1, status);
    }
    // No other line was printed.
    let found = right.send(server.address, message("wamid.last")).await;
    assert_eq!(found.unwrap().1, StatusCode::OK);
    assert!(server.process.line().contains("wamid.last"));
}

#[tokio::test]
async fn alpn_selects_the_http_version() {
    let server = Server::start("versions", &[]);
    for (protocols, version) in [
        (BOTH, Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (HTTP1, Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let caller = server.caller(None, protocols);
        let found = caller.send(server.address, message("wamid.A")).await;
        assert_eq!(found.unwrap(), (version, StatusCode::OK, Bytes::new()));
    }
    let none_of_them = server.caller(None, &["spdy/3"]);
    assert!(none_of_them.connect(server.address).await.is_err());
}

#[tokio::test]
async fn new_certificates_while_connections_are_open() {
    let server = Server::start("reload", &[]);
    let caller = server.caller(None, BOTH);
    let shown = async || {
        let stream = caller.connect(server.address).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let ok = |found: (Version, StatusCode, Bytes)| assert_eq!(found.1, StatusCode::OK);
    let first = shown().await;
    let stream = caller.connect(server.address).await.unwrap();
    let mut open = Connection::over(stream).await.unwrap();
    ok(open.send(message("wamid.before")).await.unwrap());
    assert!(server.process.line().contains("wamid.before"));

    let sign = || {
        server
            .authority
            .sign(CertificateRequest::server(&["127.0.0.1"]))
    };
    let second = sign();
    server.replace(&second);
    server.process.signal("-HUP");
    assert_eq!(server.process.line(), "certificate reloaded");
    assert_ne!(&first, second.leaf());
    assert_eq!(&shown().await, second.leaf());
    ok(open.send(message("wamid.after")).await.unwrap());
    assert!(server.process.line().contains("wamid.after"));

    // A key of another certificate, an empty file, invalid contents, a missing file.
    let certificate = second.pem();
    let files = [
        ("server.pem", Some(sign().pem())),
        ("server.pem", Some(String::new())),
        ("server.key", Some("no key".to_owned())),
        ("server.pem", Some(certificate.replace("MII", "MIJ"))),
    ];
    for (name, contents) in files {
        server.replace(&second);
        server.directory.write(name, &contents.unwrap());
        server.process.signal("-HUP");
        let line = server.process.line();
        assert!(line.starts_with("certificate not reloaded"), "{line}");
        assert_eq!(&shown().await, second.leaf());
    }
    server.directory.remove("server.pem");
    server.process.signal("-HUP");
    let line = server.process.line();
    assert!(line.starts_with("certificate not reloaded"), "{line}");
    assert_eq!(&shown().await, second.leaf());
    ok(open.send(message("wamid.still")).await.unwrap());
    assert!(server.process.line().contains("wamid.still"));

    let third = sign();
    server.replace(&third);
    server.process.signal("-HUP");
    assert_eq!(server.process.line(), "certificate reloaded");
    assert_eq!(&shown().await, third.leaf());
}

/// Waits for the server to close the connection without a response.
async fn assert_closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut rest = Vec::new();
    // A reset and an orderly end are both possible.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains("HTTP/1.1 "), "{rest}");
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let server = Server::start("silent", &[]);
    let connect = async || TcpStream::connect(server.address).await.unwrap();
    let silent = connect().await;
    let mut slow = connect().await;
    // The beginning of a TLS record.
    slow.write_all(b"\x16\x03\x01").await.unwrap();
    let tls = async |protocols| {
        let caller = server.caller(None, protocols);
        caller.connect(server.address).await.unwrap()
    };
    let (http1, http2) = (tls(HTTP1).await, tls(BOTH).await);
    let mut half = tls(HTTP1).await;
    half.write_all(b"POST /webhook HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    let mut preface = tls(BOTH).await;
    preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    // One complete request, then half of another.
    let mut later = tls(HTTP1).await;
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n";
    later
        .write_all(&[get, &b"\r\n"[..]].concat())
        .await
        .unwrap();
    assert_ne!(later.read(&mut [0; 1024]).await.unwrap(), 0);
    later.write_all(get).await.unwrap();
    tokio::join!(
        assert_closed(silent),
        assert_closed(slow),
        assert_closed(http1),
        assert_closed(http2),
        assert_closed(half),
        assert_closed(preface),
        assert_closed(later),
    );
    // Other clients are still served.
    let caller = server.caller(None, BOTH);
    let found = caller.send(server.address, message("wamid.A")).await;
    assert_eq!(found.unwrap().1, StatusCode::OK);
}

#[tokio::test]
async fn the_number_of_connections_is_limited() {
    let server = Server::start("connections", &[("CONNECTIONS", "1")]);
    let caller = server.caller(None, HTTP1);
    let stream = caller.connect(server.address).await.unwrap();
    let mut only = Connection::over(stream).await.unwrap();
    let next = tokio::spawn({
        let (caller, address) = (caller.clone(), server.address);
        async move { caller.send(address, get("/")).await.map(|found| found.1) }
    });
    // Long enough for the next one, if it were served.
    for _ in 0..200 {
        assert_eq!(only.send(get("/")).await.unwrap().1, StatusCode::OK);
        yield_now().await;
        assert!(!next.is_finished());
    }
    drop(only);
    let found = timeout(PATIENCE, next).await.unwrap().unwrap();
    assert_eq!(found.unwrap(), StatusCode::OK);
}

/// hyper answers pings itself, so a ping does not show that the connection is in use.
#[tokio::test]
async fn idle_http2_connections_give_up_their_slot() {
    let server = Server::start("idle", &[("CONNECTIONS", "2")]);
    let caller = server.caller(None, BOTH);
    let stream = caller.connect(server.address).await.unwrap();
    let mut idle = Connection::over(stream).await.unwrap();
    assert_eq!(idle.send(get("/")).await.unwrap().1, StatusCode::OK);
    // This client does not read its response.
    let stream = caller.connect(server.address).await.unwrap();
    let (mut stuck, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://127.0.0.1/").body(Empty::new());
    let response = stuck.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    for id in ["wamid.A", "wamid.B"] {
        let stream = timeout(PATIENCE, caller.connect(server.address)).await;
        let mut next = Connection::over(stream.unwrap().unwrap()).await.unwrap();
        assert_eq!(next.send(message(id)).await.unwrap().1, StatusCode::OK);
        // Held open, so that each occupies a slot.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(next);
        });
    }
    drop((idle, stuck, response));
}

#[tokio::test]
async fn a_delivery_in_flight_is_finished_at_shutdown() {
    let server = Server::start("shutdown", &[]);
    let caller = server.caller(None, HTTP1);
    let request = message("wamid.begun");
    let mut stream = caller.connect(server.address).await.unwrap();
    let idle = caller.connect(server.address).await.unwrap();
    let mut head = format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nExpect: 100-continue\r\n",
        request.body().len()
    );
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    // The layer is waiting for the body.
    let mut buffer = [0; 1024];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 100 "));

    server.process.signal("-TERM");
    // New connections are refused, and idle ones are closed.
    while TcpStream::connect(server.address).await.is_ok() {
        yield_now().await;
    }
    assert_closed(idle).await;

    stream.write_all(request.body()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let Output {
        status,
        stdout,
        stderr,
    } = server.process.end();
    assert!(status.success());
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    // Connections in the accept queue may remain, but no request is cut off.
    assert!(
        stdout.contains("wamid.begun") && !stderr.contains("still open"),
        "{stdout}{stderr}"
    );
}

#[test]
fn wrong_settings_are_reported() {
    let directory = Directory::new("settings");
    let good = Authority::new("an authority").sign(CertificateRequest::server(&["127.0.0.1"]));
    let certificate = &directory.write("server.pem", &good.pem());
    let key = &directory.write("server.key", &good.key.serialize_pem());
    let empty = &directory.write("empty.pem", "");
    let missing = &format!("{empty}.missing");
    for (certificate, key, ca, words) in [
        ("", key, None, "TLS_CERT is blank"),
        (missing, key, None, "empty.pem.missing"),
        (empty, key, None, "TLS_CERT: "),
        (certificate, empty, None, "TLS_KEY: "),
        (certificate, key, Some(empty), "TLS_CLIENT_CA: "),
    ] {
        let mut command = process::command("example-https");
        command
            .env("ADDR", "127.0.0.1:0")
            .env("WHATSAPP_APP_SECRET", SECRET)
            .env("WHATSAPP_VERIFY_TOKEN", TOKEN)
            .env("TLS_CERT", certificate)
            .env("TLS_KEY", key);
        if let Some(ca) = ca {
            command.env("TLS_CLIENT_CA", ca);
        }
        let output = process::run(&mut command, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

/// See `tests/descriptors.rs`.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_survives_running_out_of_file_descriptors() {
    use test_support::exhaustion::{DESCRIPTORS, Exhausted};

    let authority = Authority::new("the authority of servers");
    let identity = authority.sign(CertificateRequest::server(&["127.0.0.1"]));
    let command = process::command_with_descriptors("example-https", DESCRIPTORS);
    let server = Server::by(command, "descriptors", authority, &identity, &[]);
    let exhausted = Exhausted::new(&server.process, server.address);
    exhausted.is_idle();
    drop(exhausted);
    let caller = server.caller(None, BOTH);
    let answer = caller.send(server.address, get(HANDSHAKE)).await;
    assert_eq!(answer.unwrap().1, StatusCode::OK);
}
