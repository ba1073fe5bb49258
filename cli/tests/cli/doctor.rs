//! `doctor` against a good server, and against servers with one fault each.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Query, Request, State},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use http::{Method, StatusCode};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::Value;
use test_support::{process::run, sign, webhook::send};
use tls_tests::pki::{Authority, CertificateRequest, Directory, Identity};
use tokio::{net::TcpListener, task::spawn_blocking};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
};

use crate::{ENV, SECRET, program};

const TOKEN: &str = ENV[1].1;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Redirect,
    Created,
    Slow,
    Limit,
    WrongToken,
    HtmlChallenge,
    ReflectedMarkup,
    UnknownKind,
    Unsigned,
    Twice,
    RepeatRefused,
}

#[derive(Clone)]
struct Webhook {
    fault: Fault,
    handled: Arc<Mutex<(HashSet<String>, usize)>>,
}

/// A webhook made by hand, which is right except for the fault.
async fn webhook(State(webhook): State<Webhook>, request: Request) -> Response {
    let fault = webhook.fault;
    if fault == Fault::Redirect {
        let query = request.uri().query().unwrap_or_default();
        return Redirect::permanent(&format!("/elsewhere?{query}")).into_response();
    }
    if request.method() == Method::GET {
        return handshake(fault, request.uri());
    }
    let signature = request.headers().get("x-hub-signature-256");
    let signature = signature.map(|value| value.to_str().unwrap().to_owned());
    let limit = if fault == Fault::Limit {
        2_000_000
    } else {
        4_000_000
    };
    let Ok(body) = to_bytes(request.into_body(), limit).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if fault != Fault::Unsigned && signature != Some(sign(SECRET, &body)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let messages = &body["entry"][0]["changes"][0]["value"]["messages"];
    let messages = messages.as_array().unwrap();
    if fault == Fault::UnknownKind && messages[0]["type"] == "hologram" {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    if fault == Fault::Slow {
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let mut handled = webhook.handled.lock().unwrap();
    for message in messages {
        let is_new = handled.0.insert(message["id"].as_str().unwrap().to_owned());
        if !is_new && fault == Fault::RepeatRefused {
            return StatusCode::CONFLICT.into_response();
        }
        handled.1 += usize::from(is_new || fault == Fault::Twice);
    }
    match fault {
        Fault::Created => StatusCode::CREATED.into_response(),
        _ => StatusCode::OK.into_response(),
    }
}

fn handshake(fault: Fault, uri: &http::Uri) -> Response {
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap().0;
    let value = |name: &str| query.iter().find(|(key, _)| key == name).unwrap().1.clone();
    if fault != Fault::WrongToken && value("hub.verify_token") != TOKEN {
        return StatusCode::FORBIDDEN.into_response();
    }
    let challenge = value("hub.challenge");
    match fault {
        Fault::HtmlChallenge => {
            Html(format!("<p>{}</p>", challenge.replace('<', "&lt;"))).into_response()
        }
        Fault::ReflectedMarkup if challenge.contains('<') => Html(challenge).into_response(),
        _ => challenge.into_response(),
    }
}

async fn handled(State(webhook): State<Webhook>) -> String {
    webhook.handled.lock().unwrap().1.to_string()
}

fn by_hand(fault: Fault) -> Router {
    Router::new()
        .route("/count", get(handled))
        .fallback(webhook)
        .with_state(Webhook {
            fault,
            handled: Arc::default(),
        })
}

pub async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

async fn serve_tls(identity: &Identity, app: Router) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.ders(), identity.key())
        .unwrap();
    serve_with(config, app).await
}

pub async fn serve_with(config: ServerConfig, app: Router) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, app) = (acceptor.clone(), app.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = TowerToHyperService::new(app);
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// The exit code, and the severity and name of each finding.
pub struct Diagnosis {
    pub code: Option<i32>,
    pub findings: Vec<(String, String)>,
    pub output: String,
}

impl Diagnosis {
    pub async fn of(url: String, options: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = program();
        command.args(["doctor", &url, "--json"]).args(options);
        command.env_remove("WHATSAPP_ACCESS_TOKEN");
        command.envs(env.iter().copied());
        let output = spawn_blocking(move || run(&mut command, b""))
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let findings = text.lines().map(|line| {
            let finding: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            let is_bad = ["error", "warning"].contains(&&*text("severity"));
            assert!(
                !is_bad || !(text("why").is_empty() || text("todo").is_empty()),
                "{finding}"
            );
            (text("severity"), text("name"))
        });
        Self {
            code: output.status.code(),
            findings: findings.collect(),
            output: format!("{text}{}", String::from_utf8(output.stderr).unwrap()),
        }
    }

    pub fn named(&self, severity: &str) -> Vec<&str> {
        let named = self.findings.iter().filter(|(found, _)| found == severity);
        named.map(|(_, name)| &**name).collect()
    }

    #[track_caller]
    pub fn assert_errors(&self, what: &str, names: &[&str]) {
        assert_eq!(self.named("error"), names, "{what}: {}", self.output);
        assert_eq!(self.code, Some(i32::from(!names.is_empty())), "{what}");
        // The token also as in URLs.
        for secret in [SECRET, TOKEN, "a+token+%26+more", "a%20token%20%26%20more"] {
            assert!(!self.output.contains(secret), "{what}: {}", self.output);
        }
    }
}

async fn diagnose(app: Router, with_count: bool) -> Diagnosis {
    let address = serve(app).await;
    let count = format!("http://{address}/count");
    let options: &[&str] = if with_count {
        &["--count-url", &count]
    } else {
        &[]
    };
    Diagnosis::of(format!("http://{address}/webhook"), options, &ENV).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_server_has_nothing_to_mend() {
    let count = Arc::new(Mutex::new(0));
    let handler = {
        let count = Arc::clone(&count);
        async move |notification: axum::Extension<Notification>| {
            *count.lock().unwrap() += notification.events().len();
        }
    };
    let app = Router::new()
        .route("/webhook", axum::routing::post(handler))
        .layer(DedupLayer::new(MemoryStore::new()))
        .layer(WebhookLayer::new("/webhook", SECRET, TOKEN).unwrap())
        .route(
            "/count",
            get(async move || count.lock().unwrap().to_string()),
        );
    let authority = Authority::new("an authority");
    let identity = authority.sign(CertificateRequest::server(&["127.0.0.1"]));
    let files = Directory::new("doctor-good");
    let ca = files.write("ca.pem", &authority.pem());
    let address = serve_tls(&identity, app.clone()).await;
    let count = format!("https://{address}/count");
    let url = format!("https://{address}/webhook");
    let diagnosis = Diagnosis::of(url, &["--ca", &ca, "--count-url", &count], &ENV).await;
    diagnosis.assert_errors("good", &[]);
    assert_eq!(diagnosis.named("warning"), [""; 0], "{}", diagnosis.output);
    for name in [
        "certificate",
        "handshake",
        "wrong_token",
        "challenge_markup",
        "unsigned",
        "forged",
        "signed",
        "times",
        "large",
        "unknown_kind",
        "repeat",
    ] {
        assert!(
            diagnosis.named("ok").contains(&name),
            "{name}: {}",
            diagnosis.output
        );
    }

    // The same for a person.
    let address = serve(app).await;
    let mut command = program();
    command
        .args(["doctor", &format!("http://{address}/webhook")])
        .envs(ENV);
    let output = spawn_blocking(move || run(&mut command, b""))
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.ends_with("\nNothing to mend.\n"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_named_and_no_other() {
    for (fault, names) in [
        (Fault::None, &[][..]),
        (
            Fault::Redirect,
            &["redirect", "token_in_redirect", "redirect"],
        ),
        (Fault::Created, &["status_not_200"]),
        (Fault::Slow, &["slow"]),
        (Fault::Limit, &["large_refused"]),
        (Fault::WrongToken, &["wrong_token_accepted"]),
        (Fault::HtmlChallenge, &["challenge_html"]),
        (Fault::ReflectedMarkup, &["challenge_reflected"]),
        (Fault::UnknownKind, &["unknown_kind_refused"]),
        (Fault::Unsigned, &["unsigned_accepted", "forged_accepted"]),
        (Fault::Twice, &["repeat_handled_twice"]),
        (Fault::RepeatRefused, &["repeat_refused"]),
    ] {
        let diagnosis = diagnose(by_hand(fault), true).await;
        diagnosis.assert_errors(&format!("{fault:?}"), names);
    }
    // Without a counter, it says that it does not know.
    let diagnosis = diagnose(by_hand(Fault::Twice), false).await;
    diagnosis.assert_errors("twice", &[]);
    assert!(
        diagnosis.named("note").contains(&"repeat"),
        "{}",
        diagnosis.output
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_sends_eight_new_messages() {
    let address = serve(by_hand(Fault::None)).await;
    let url = format!("http://{address}/webhook");
    let mut counts = Vec::new();
    for _ in 0..3 {
        Diagnosis::of(url.clone(), &[], &ENV)
            .await
            .assert_errors("good", &[]);
        let request = http::Request::get("/count");
        let (_, count) = send(address, http::Version::HTTP_11, request, "").await;
        counts.push(count.parse::<usize>().unwrap());
    }
    // A service may answer each of them. Ids differ, so that a second run is not taken for repeats.
    assert_eq!(counts, [8, 16, 24]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_within_two_weeks_is_a_warning() {
    let authority = Authority::new("an authority");
    let files = Directory::new("doctor-expiry");
    let ca = files.write("ca.pem", &authority.pem());
    for (days, warnings) in [
        (1, &["certificate_expires"][..]),
        (13, &["certificate_expires"]),
        (15, &[]),
        (90, &[]),
    ] {
        let request = CertificateRequest::server(&["127.0.0.1"]).days_left(days);
        let address = serve_tls(&authority.sign(request), by_hand(Fault::None)).await;
        let url = format!("https://{address}/webhook");
        let diagnosis = Diagnosis::of(url, &["--ca", &ca], &ENV).await;
        // It is still good.
        diagnosis.assert_errors("expiry", &[]);
        assert_eq!(diagnosis.named("warning"), warnings, "{days}");
        assert!(diagnosis.named("ok").contains(&"certificate"), "{days}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_with_a_query_or_an_ipv6_address_are_called_as_they_are() {
    let layer = WebhookLayer::new("/webhook", SECRET, TOKEN).unwrap();
    let keeps_query = async |request: Request| match request.uri().query() {
        Some(query) if query.starts_with("tenant=7") => StatusCode::OK,
        _ => StatusCode::BAD_GATEWAY,
    };
    let app = Router::new()
        .route("/webhook", axum::routing::post(keeps_query))
        .layer(layer);
    let address = serve(app.clone()).await;
    let mut urls = vec![format!("http://{address}/webhook?tenant=7")];
    match TcpListener::bind("[::1]:0").await {
        Ok(listener) => {
            let address = listener.local_addr().unwrap();
            tokio::spawn(async { axum::serve(listener, app).await });
            urls.push(format!("http://{address}/webhook?tenant=7"));
        }
        Err(error) => test_support::not_run(format_args!("doctor over IPv6: {error}")),
    }
    for url in urls {
        let diagnosis = Diagnosis::of(url.clone(), &[], &ENV).await;
        diagnosis.assert_errors(&url, &[]);
        for name in ["handshake", "signed", "large"] {
            assert!(diagnosis.named("ok").contains(&name), "{url} {name}");
        }
        let mut command = program();
        command.args(["send", &url, "--sample", "text"]).envs(ENV);
        let output = spawn_blocking(move || run(&mut command, b""))
            .await
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(
            out.starts_with("handshake             ok\ntext  200  "),
            "{url} {out}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_is_named_and_gets_no_secret() {
    let good = || CertificateRequest::server(&["127.0.0.1"]);
    let authority = Authority::new("an authority");
    let intermediate = authority.intermediate("an intermediate");
    let stranger = Authority::new("a stranger");
    let files = Directory::new("doctor-wrong");
    let ca = files.write("ca.pem", &authority.pem());
    for (name, identity) in [
        (
            "certificate_expired",
            authority.sign(good().valid(2020, 2021)),
        ),
        (
            "certificate_early",
            authority.sign(good().valid(3000, 3001)),
        ),
        (
            "certificate_name",
            authority.sign(CertificateRequest::server(&["example.com"])),
        ),
        ("certificate_self_signed", good().self_signed()),
        ("certificate_incomplete", intermediate.sign(good())),
        ("certificate_untrusted", stranger.sign_with_chain(good())),
        (
            "certificate",
            authority.sign(CertificateRequest::client("x").alternatives(&["127.0.0.1"])),
        ),
    ] {
        let requests = Arc::new(Mutex::new(0));
        let count = Arc::clone(&requests);
        let app = Router::new().fallback(async move || *count.lock().unwrap() += 1);
        let address = serve_tls(&identity, app).await;
        let url = format!("https://{address}/webhook");
        let diagnosis = Diagnosis::of(url, &["--ca", &ca], &ENV).await;
        diagnosis.assert_errors(name, &[name]);
        assert_eq!(*requests.lock().unwrap(), 0, "{name}");
    }
    // With its intermediate it is right.
    let identity = intermediate.sign_with_chain(good());
    let address = serve_tls(&identity, by_hand(Fault::None)).await;
    let url = format!("https://{address}/webhook");
    Diagnosis::of(url, &["--ca", &ca], &ENV)
        .await
        .assert_errors("chain", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_secrets_it_checks_the_rest() {
    let address = serve(by_hand(Fault::WrongToken)).await;
    let url = format!("http://{address}/webhook");
    let diagnosis = Diagnosis::of(url, &[], &[]).await;
    diagnosis.assert_errors("no secrets", &["wrong_token_accepted"]);
    let notes = diagnosis.named("note");
    assert!(
        notes.contains(&"handshake") && notes.contains(&"signed"),
        "{notes:?}"
    );

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let diagnosis = Diagnosis::of(format!("http://{closed}/webhook"), &[], &ENV).await;
    diagnosis.assert_errors("closed", &["connection"]);
    let nowhere = "http://nowhere.invalid/webhook".to_owned();
    Diagnosis::of(nowhere, &[], &ENV)
        .await
        .assert_errors("nowhere", &["dns"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_public_needs_no_tls() {
    let port = serve(by_hand(Fault::None)).await.port();
    for host in ["127.0.0.1", "0.0.0.0"] {
        let url = format!("http://{host}:{port}/webhook");
        let diagnosis = Diagnosis::of(url, &[], &ENV).await;
        diagnosis.assert_errors(host, &[]);
        let notes = diagnosis.named("note");
        assert!(
            notes.contains(&"private_address") && notes.contains(&"no_tls"),
            "{notes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_an_answer_as_many_seconds_as_the_option_says() {
    let app = Router::new().fallback(async || std::future::pending::<()>().await);
    let url = format!("http://{}/webhook", serve(app).await);
    let diagnosis = Diagnosis::of(url, &["--timeout", "0.25"], &ENV).await;
    let answers = diagnosis.output.matches("no answer within 0.25 s").count();
    assert_eq!(
        answers,
        diagnosis.output.matches("no answer within").count()
    );
    assert!(answers > 1, "{}", diagnosis.output);
}
