//! The limits of `serve`: memory, connections, and what a session file may do.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use http::StatusCode;
use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use test_support::process::Process;
use test_support::webhook::{SECRET, text};

use crate::{ENV, serve::Serve};

/// Peak of the resident memory in MiB.
#[cfg(target_os = "linux")]
fn peak(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() / 1024
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unknown_keys_of_a_session_take_no_memory() {
    let serve = Serve::start(&[], &ENV);
    serve.deliver(&text("wamid.A"), "other").await;
    let (_, session) = serve.get("/api/session").await;
    let start = session.trim_end().strip_suffix('}').unwrap();
    let zeros = "0,".repeat(4 * 1024 * 1024);
    let (status, answer) = serve
        .post("/api/session", &format!("{start},\"x\":[{zeros}0]}}\n"))
        .await;
    assert_eq!((status, &*answer), (StatusCode::OK, r#"{"loaded":1}"#));
    let peak = peak(&serve.process);
    assert!(peak < 100, "{peak} MiB");
}

#[tokio::test]
async fn a_loaded_request_fits_into_the_store() {
    let serve = Serve::start(&["--keep-mib", "4"], &ENV);
    let line = |text: &str| {
        let body = text_of(text);
        let delivery = json!({
            "at": 1, "method": "POST", "path": "/webhook", "verdict": "delivery", "status": 200,
            "micros": 1, "body": body,
        });
        format!("{delivery}\n")
    };
    let (status, answer) = serve
        .post("/api/session", &(line("hi") + &line(&"x".repeat(5 << 20))))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert!(
        answer.contains("line 2 is larger than --keep-mib"),
        "{answer}"
    );
    assert_eq!(serve.kept().await.len(), 0);
}

fn text_of(words: &str) -> String {
    text("wamid.A").replace("hi", words)
}

#[tokio::test]
async fn a_session_has_no_controls_of_a_terminal() {
    let serve = Serve::start(&[], &ENV);
    let controls = "\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200f}";
    let body = text_of(controls);
    assert_eq!(serve.deliver(&body, SECRET).await, StatusCode::OK);
    let (_, session) = serve.get("/api/session").await;
    for control in controls.chars().filter(|c| !c.is_ascii_alphanumeric()) {
        assert!(!session.contains(control), "{control:?}");
    }
    assert!(session.contains("\\u202e"), "{session}");
    assert_eq!(serve.kept().await[0]["body"], body);
}

#[tokio::test]
async fn memory_is_bounded_by_count_and_bytes() {
    let serve = Serve::start(&["--keep", "5", "--keep-mib", "4"], &ENV);
    for number in 0..8 {
        serve
            .deliver(&text(&format!("wamid.{number}")), SECRET)
            .await;
    }
    let ids = |kept: Vec<Value>| {
        kept.iter()
            .map(|record| record["number"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(serve.kept().await), [4, 5, 6, 7, 8]);
    assert_eq!(serve.get("/api/requests/3").await.0, StatusCode::NOT_FOUND);
    // Three of 1.5 MB do not fit into 4 MiB.
    for number in 0..3 {
        let large = text(&format!("wamid.{number}.{}", "x".repeat(1_500_000)));
        assert_eq!(serve.deliver(&large, SECRET).await, StatusCode::OK);
    }
    assert_eq!(ids(serve.kept().await), [10, 11]);
    let stream = serve.raw("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        stream.contains(r#""gone":9,"max_count":5,"max_bytes":4194304"#),
        "{stream}"
    );
}

#[tokio::test]
async fn at_most_16_pages_are_connected() {
    let serve = Serve::start(&[], &ENV);
    let connect = || {
        let mut page = TcpStream::connect(serve.page).unwrap();
        page.write_all(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut start = [0; 12];
        page.read_exact(&mut start).unwrap();
        (page, String::from_utf8(start.to_vec()).unwrap())
    };
    let mut pages: Vec<_> = (0..16).map(|_| connect()).collect();
    assert!(pages.iter().all(|(_, start)| start == "HTTP/1.1 200"));
    assert_eq!(connect().1, "HTTP/1.1 503");
    pages.pop();
    // The closed one is noticed although there is nothing to send.
    let patience = std::time::Instant::now();
    while connect().1 != "HTTP/1.1 200" {
        assert!(patience.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn refused_requests_do_not_drop_deliveries() {
    let serve = Serve::start(&["--keep", "20"], &ENV);
    serve.deliver(&text("wamid.A"), SECRET).await;
    for _ in 0..25 {
        serve.deliver(&text("wamid.B"), "other").await;
    }
    let kept = serve.kept().await;
    let numbers: Vec<_> = kept.iter().map(|record| &record["number"]).collect();
    assert_eq!(numbers.len(), 20);
    assert_eq!(numbers[..2], [1, 8]);
    assert_eq!(serve.get("/api/requests/1").await.0, StatusCode::OK);
    assert_eq!(serve.get("/api/requests/7").await.0, StatusCode::NOT_FOUND);
    assert_eq!(serve.get("/api/requests/8").await.0, StatusCode::OK);
}

#[tokio::test]
async fn refused_requests_take_a_tenth_of_a_full_memory() {
    let serve = Serve::start(&["--keep-mib", "4"], &ENV);
    // 3.7 MB of 4 MiB: the rest is more than a tenth.
    for number in 0..2 {
        let large = text(&format!("wamid.{number}.{}", "x".repeat(1_850_000)));
        assert_eq!(serve.deliver(&large, SECRET).await, StatusCode::OK);
    }
    // Less than a tenth of the number, but 1.5 MB.
    let text = "x".repeat(1_000);
    let line = json!({
        "at": 1, "method": "POST", "path": "/webhook", "verdict": "refused", "status": 403,
        "micros": 1,
        "refusal": { "reason": "r", "text": text, "detail": text, "advice": text },
    });
    let session = format!("{line}\n").repeat(400);
    let (_, answer) = serve.post("/api/session", &session).await;
    assert_eq!(answer, r#"{"loaded":400}"#);
    let kept = serve.kept().await;
    let verdicts: Vec<_> = kept.iter().map(|record| &record["verdict"]).collect();
    assert_eq!(verdicts[..3], ["delivery", "delivery", "refused"]);
    // With what else is kept of each, at most the rest.
    assert!((60..=164).contains(&(kept.len() - 2)), "{}", kept.len());
    assert_eq!(kept.last().unwrap()["number"], 402);
}

#[tokio::test]
async fn at_most_2_sessions_are_saved_at_a_time() {
    let serve = Serve::start(&[], &ENV);
    for number in 0..8 {
        let large = text(&format!("wamid.{number}.{}", "x".repeat(2_000_000)));
        assert_eq!(serve.deliver(&large, SECRET).await, StatusCode::OK);
    }
    // Not read to its end.
    let save = || {
        let mut saving = TcpStream::connect(serve.page).unwrap();
        saving
            .write_all(b"GET /api/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut start = [0; 12];
        saving.read_exact(&mut start).unwrap();
        (saving, String::from_utf8(start.to_vec()).unwrap())
    };
    let mut savings: Vec<_> = (0..2).map(|_| save()).collect();
    assert!(savings.iter().all(|(_, start)| start == "HTTP/1.1 200"));
    assert_eq!(save().1, "HTTP/1.1 503");
    savings.pop();
    let patience = std::time::Instant::now();
    while save().1 != "HTTP/1.1 200" {
        assert!(patience.elapsed() < test_support::PATIENCE);
    }
}

#[tokio::test]
async fn at_most_256_connections_are_served() {
    let serve = Serve::start(&[], &ENV);
    for address in [serve.webhook, serve.page] {
        let mut idle: Vec<_> = (0..256)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut next = TcpStream::connect(address).unwrap();
        next.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        next.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut start = [0; 8];
        assert!(next.read_exact(&mut start).is_err());
        idle.pop();
        next.set_read_timeout(Some(test_support::PATIENCE)).unwrap();
        next.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1");
    }
}
