//! `serve` over sockets: what it records, what it keeps, and what other sites can do to its page.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use http::{Request, StatusCode, Version};
use serde_json::{Value, json};
use test_support::{
    process::Process,
    sign,
    webhook::{HANDSHAKE, SECRET, send, text},
};

use crate::{ENV, program};

/// Markup that would run, were it not set as text.
const SCRIPT: &str = "<img src=x onerror=alert(1)><script>alert(1)</script>";
/// As in `page.js`.
const MARK: (&str, &str) = ("x-whatsapp-webhook", "1");

pub struct Serve {
    pub process: Process,
    pub webhook: SocketAddr,
    pub page: SocketAddr,
    /// Path of the page, with its token if it has one.
    prefix: String,
    /// What it printed up to the address of the page.
    pub printed: Vec<String>,
}

impl Serve {
    pub fn start(options: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(options);
        if !options.contains(&"--page") {
            command.args(["--page", "127.0.0.1:0"]);
        }
        let process = Process::spawn(command.envs(env.iter().copied()));
        let mut printed = vec![process.line()];
        while !printed.last().unwrap().starts_with("page ") {
            printed.push(process.line());
        }
        let address = |line: &str| {
            let (_, rest) = line.split_once("http://").unwrap();
            let (address, path) = rest.split_once('/').unwrap();
            let address = address.replace("0.0.0.0", "127.0.0.1");
            (address.parse().unwrap(), format!("/{path}"))
        };
        let (page, path) = address(printed.last().unwrap());
        Self {
            webhook: address(&printed[0]).0,
            page,
            prefix: path.trim_end_matches('/').to_owned(),
            process,
            printed,
        }
    }

    pub async fn deliver(&self, body: &str, secret: &str) -> StatusCode {
        let request = Request::post("/webhook").header("X-Hub-Signature-256", sign(secret, body));
        send(self.webhook, Version::HTTP_11, request, body).await.0
    }

    /// A request of the page.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(format!("{}{path}", self.prefix));
        send(self.page, Version::HTTP_11, request, "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> (StatusCode, String) {
        let request = Request::post(format!("{}{path}", self.prefix))
            .header(MARK.0, MARK.1)
            .header("content-type", "application/json");
        send(self.page, Version::HTTP_11, request, body).await
    }

    /// All kept requests, as a saved session.
    pub async fn kept(&self) -> Vec<Value> {
        let (status, session) = self.get("/api/session").await;
        assert_eq!(status, StatusCode::OK);
        session
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Sends these bytes to the page and returns everything that comes back.
    pub fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.page).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Ends by the timeout if the connection stays open.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test]
async fn it_records_every_request_with_its_verdict() {
    let serve = Serve::start(&[], &ENV);
    let handshake = Request::get(HANDSHAKE);
    let wrong = Request::get(HANDSHAKE.replace("more", "less"));
    assert_eq!(
        send(serve.webhook, Version::HTTP_11, handshake, "").await.1,
        "1158201444"
    );
    assert_eq!(
        send(serve.webhook, Version::HTTP_11, wrong, "").await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        serve.deliver(&text("wamid.A"), SECRET).await,
        StatusCode::OK
    );
    assert_eq!(
        serve.deliver(&text("wamid.A"), SECRET).await,
        StatusCode::OK
    );
    assert_eq!(
        serve.deliver(&text("wamid.B"), "other").await,
        StatusCode::FORBIDDEN
    );
    let elsewhere = Request::get("/elsewhere?hub.verify_token=canary");
    assert_eq!(
        send(serve.webhook, Version::HTTP_11, elsewhere, "").await.0,
        StatusCode::NOT_FOUND
    );

    let kept = serve.kept().await;
    let verdicts: Vec<_> = kept
        .iter()
        .map(|record| record["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(
        verdicts,
        [
            "handshake",
            "refused",
            "delivery",
            "delivery",
            "refused",
            "missed"
        ]
    );
    assert_eq!(kept[1]["refusal"]["reason"], "handshake_token");
    let advice = kept[1]["refusal"]["advice"].as_str().unwrap();
    assert!(
        advice.contains("enter the token of this service there"),
        "{advice}"
    );
    assert_eq!(kept[2]["kinds"], json!(["message text"]));
    assert_eq!(kept[2]["title"], "Ada: hi");
    assert_eq!(kept[2]["body"], text("wamid.A"));
    assert_eq!(
        (&kept[2]["repeat_of"], &kept[3]["repeat_of"]),
        (&Value::Null, &json!(3))
    );
    assert_eq!(kept[4]["refusal"]["reason"], "signature_mismatch");
    assert_eq!(kept[4]["refusal"]["received_length"], text("wamid.B").len());
    assert!(kept[4]["body"].is_null(), "{}", kept[4]);
    assert!(!serve.get("/api/session").await.1.contains("canary"));

    let (_, detail) = serve.get("/api/requests/3").await;
    let detail: Value = serde_json::from_str(&detail).unwrap();
    let event = &detail["events"][0];
    assert_eq!(
        (&event["id"], &event["unread"]),
        (&json!("wamid.A"), &json!([]))
    );
    let typed: Value = serde_json::from_str(event["typed"].as_str().unwrap()).unwrap();
    assert_eq!(typed["text"]["body"], "hi");
    assert_eq!(serve.get("/api/requests/3/body").await.1, text("wamid.A"));
    assert_eq!(serve.get("/api/search?text=WAMID.a").await.1, "[3,4]");
}

#[tokio::test]
async fn samples_and_pasted_bodies_pass_through_the_layer() {
    let serve = Serve::start(&[], &ENV);
    for (sending, status) in [
        (json!({ "sample": "text" }), 200),
        (json!({ "sample": "text", "forged": true }), 403),
        (json!({ "body": text("wamid.P") }), 200),
        (json!({ "body": "not JSON" }), 422),
    ] {
        let (_, answer) = serve.post("/api/send", &sending.to_string()).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], status, "{sending}");
    }
    for wrong in [json!({ "sample": "telegram" }), json!({})] {
        assert_eq!(
            serve.post("/api/send", &wrong.to_string()).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    let kept = serve.kept().await;
    assert_eq!(kept.len(), 4);
    assert!(
        kept.iter().all(|record| record["origin"] == "page"),
        "{kept:?}"
    );

    // Resent to another server with the same secret, which accepts it.
    let other = Serve::start(&[], &ENV);
    let resend = json!({ "number": 1, "url": format!("http://{}/webhook", other.webhook) });
    let (_, answer) = serve.post("/api/resend", &resend.to_string()).await;
    assert!(answer.contains("\"status\":200"), "{answer}");
    assert_eq!(other.kept().await[0]["body"], kept[0]["body"]);
    for (number, url, words) in [
        (1, "http://127.0.0.1:9/webhook", "refused"),
        (1, "ftp://127.0.0.1/", "must begin with"),
        (
            2,
            "http://127.0.0.1:9/webhook",
            "only the body of an accepted",
        ),
        (99, "http://127.0.0.1:9/webhook", "no longer kept"),
    ] {
        let resend = json!({ "number": number, "url": url });
        let (status, answer) = serve.post("/api/resend", &resend.to_string()).await;
        assert!(
            status.is_client_error() && answer.contains(words),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_session_is_saved_and_loaded() {
    let serve = Serve::start(&[], &ENV);
    serve.deliver(&text("wamid.A"), SECRET).await;
    serve.deliver(&text("wamid.B"), "other").await;
    let (_, session) = serve.get("/api/session").await;

    let other = Serve::start(&[], &ENV);
    let (_, answer) = other.post("/api/session", &session).await;
    assert_eq!(answer, r#"{"loaded":2}"#);
    let (before, after) = (serve.kept().await, other.kept().await);
    assert_eq!(before[1]["length"], text("wamid.B").len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after["origin"], "loaded");
        for key in [
            "at", "method", "path", "verdict", "status", "title", "kinds", "numbers", "events",
            "unread", "length", "refusal", "body", "micros",
        ] {
            assert_eq!(before[key], after[key], "{key}");
        }
    }
    // A wrong line loads nothing.
    for wrong in ["{}\n", "x", "{\"verdict\":\"delivery\"}\n"] {
        let (status, answer) = other
            .post("/api/session", &format!("{session}{wrong}"))
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(answer.contains("line 3 is not a saved request"), "{answer}");
    }
    assert_eq!(other.kept().await.len(), 2);
    other.post("/api/clear", "{}").await;
    assert_eq!(other.kept().await.len(), 0);
}

#[tokio::test]
async fn other_sites_cannot_read_or_post() {
    let serve = Serve::start(&[], &ENV);
    serve.deliver(&text("wamid.canary"), SECRET).await;
    let paths = [
        "/",
        "/page.js",
        "/api/stream",
        "/api/session",
        "/api/search?text=a",
        "/api/requests/1",
        "/api/requests/1/body",
    ];
    let hosts = [
        "evil.example",
        "evil.example:3001",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "192.168.0.7",
    ];
    let mut read = 0;
    for path in paths {
        let cross_site = [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Origin: https://evil.example",
            "Origin: null",
        ];
        let headers = cross_site.map(|header| ("localhost", header));
        let rebound = hosts.map(|host| (host, "Accept: */*"));
        for (host, header) in headers.into_iter().chain(rebound) {
            let answer = serve.raw(&format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n"
            ));
            let is_refused =
                answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 421");
            read += usize::from(!is_refused || answer.contains("canary"));
            assert!(
                !answer.to_ascii_lowercase().contains("access-control-allow"),
                "{answer}"
            );
        }
    }
    assert_eq!(read, 0);

    let body = r#"{"sample":"text"}"#;
    let length = body.len();
    let mut posted = 0;
    for path in ["/api/send", "/api/resend", "/api/clear", "/api/session"] {
        for headers in [
            "Host: localhost\r\n",
            "Host: localhost\r\nOrigin: https://evil.example\r\n",
            "Host: localhost\r\nOrigin: https://evil.example\r\nX-Whatsapp-Webhook: 1\r\n",
            "Host: localhost\r\nOrigin: null\r\nX-Whatsapp-Webhook: 1\r\n",
            "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nX-Whatsapp-Webhook: 1\r\n",
            "Host: evil.example\r\nX-Whatsapp-Webhook: 1\r\n",
            "Host: evil.example\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\nX-Whatsapp-Webhook: 1\r\n",
        ] {
            let answer = serve.raw(&format!("POST {path} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"));
            let is_refused =
                answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 421");
            posted += usize::from(!is_refused);
        }
        // A preflight is not answered with permission.
        let preflight = serve.raw(&format!("OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-whatsapp-webhook\r\nConnection: close\r\n\r\n"));
        assert!(preflight.starts_with("HTTP/1.1 403"), "{preflight}");
    }
    assert_eq!(posted, 0);
    assert_eq!(serve.kept().await.len(), 1);
    // The page itself can do both.
    assert_eq!(serve.post("/api/send", body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_page_has_strict_headers_and_the_webhook_port_has_no_page() {
    let serve = Serve::start(&[], &ENV);
    for path in ["/", "/page.js", "/api/session", "/nowhere"] {
        let answer = serve.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let (_, policy) = answer.split_once("content-security-policy: ").unwrap();
        let (policy, _) = policy.split_once("\r\n").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"));
        assert!(
            !policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"),
            "{policy}"
        );
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{path} {header}");
        }
    }
    for path in ["/", "/page.js", "/api/session", "/api/stream"] {
        let (status, body) = send(serve.webhook, Version::HTTP_11, Request::get(path), "").await;
        assert_eq!((status, &*body), (StatusCode::NOT_FOUND, ""), "{path}");
    }
}

#[tokio::test]
async fn beyond_loopback_the_page_needs_its_token() {
    let serve = Serve::start(&["--page", "0.0.0.0:0"], &ENV);
    serve.deliver(&text("wamid.canary"), SECRET).await;
    let token = serve.prefix.trim_start_matches('/').to_owned();
    assert!(
        token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{token}"
    );
    assert!(serve.get("/api/session").await.1.contains("canary"));
    let mut guessed = 0;
    let changed = |index: usize| {
        let mut guess = token.clone().into_bytes();
        guess[index] = if guess[index] == b'0' { b'1' } else { b'0' };
        String::from_utf8(guess).unwrap()
    };
    let mut guesses: Vec<_> = (0..token.len()).map(changed).collect();
    guesses.extend([
        "".to_owned(),
        token[..31].to_owned(),
        format!("{token}0"),
        token.to_ascii_uppercase() + "/..",
        "0".repeat(32),
    ]);
    for guess in guesses {
        for path in ["/", "/page.js", "/api/session"] {
            let request = Request::get(format!("/{guess}{path}"));
            let (status, body) = send(serve.page, Version::HTTP_11, request, "").await;
            guessed += usize::from(status != StatusCode::NOT_FOUND || body.contains("canary"));
        }
    }
    assert_eq!(guessed, 0);
    // Another run has another token.
    assert_ne!(
        Serve::start(&["--page", "0.0.0.0:0"], &ENV).prefix,
        serve.prefix
    );
}

#[tokio::test]
async fn a_named_page_needs_its_token() {
    let serve = Serve::start(&["--page-host", "dev.test"], &ENV);
    assert_eq!(serve.prefix.len(), 33, "{}", serve.prefix);
    // As another site's image: a browser sends no Sec-Fetch headers to a plain HTTP name.
    let answer =
        serve.raw("GET /api/session HTTP/1.1\r\nHost: dev.test\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(serve.get("/api/session").await.0, StatusCode::OK);
}

#[tokio::test]
async fn markup_is_never_sent_as_something_that_runs() {
    let serve = Serve::start(&[], &ENV);
    let body = text("wamid.A")
        .replace("hi", &SCRIPT.replace('"', "\\\""))
        .replace("Ada", SCRIPT);
    serve.deliver(&body, SECRET).await;
    let path = format!(
        "/{}",
        SCRIPT
            .replace(' ', "%20")
            .replace('<', "%3C")
            .replace('>', "%3E")
    );
    send(serve.webhook, Version::HTTP_11, Request::get(path), "").await;
    for path in [
        "/api/stream",
        "/api/session",
        "/api/requests/1",
        "/api/requests/1/body",
        "/api/search?text=%3Cscript",
    ] {
        let answer = serve.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let (_, kind) = answer.split_once("content-type: ").unwrap();
        let (kind, _) = kind.split_once("\r\n").unwrap();
        assert!(
            [
                "text/event-stream",
                "application/jsonl",
                "application/json",
                "text/plain; charset=utf-8"
            ]
            .contains(&kind),
            "{path} {kind}"
        );
    }
    // The page itself never changes, and uses no function that parses markup.
    let (_, script) = serve.get("/page.js").await;
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        "srcdoc",
    ] {
        assert!(!script.contains(word), "{word}");
    }
    let (_, html) = serve.get("/").await;
    for word in [
        "style=",
        "onclick",
        "src=\"http",
        "href=\"http",
        "<style",
        "<script>",
    ] {
        assert!(!html.contains(word), "{word}");
    }
}
