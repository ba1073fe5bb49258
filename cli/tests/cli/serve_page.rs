//! What the page of `serve` asks for: details, sessions that were edited, and the stream of rows.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use http::StatusCode;
use serde_json::{Value, json};
use test_support::{
    PATIENCE,
    webhook::{SECRET, text},
};

use crate::{ENV, serve::Serve};

/// A delivery with this many messages.
fn batch(count: usize) -> String {
    let mut body: Value = serde_json::from_str(&text("wamid.A")).unwrap();
    let messages = &mut body["entry"][0]["changes"][0]["value"]["messages"];
    let message = messages[0].clone();
    *messages = (0..count)
        .map(|index| {
            let mut message = message.clone();
            message["id"] = format!("wamid.{index}").into();
            message
        })
        .collect();
    body.to_string()
}

#[tokio::test]
async fn a_detail_shows_50_events_from_a_place_on_and_counts_all() {
    let serve = Serve::start(&[], &ENV);
    assert_eq!(serve.deliver(&batch(120), SECRET).await, StatusCode::OK);
    for (query, from, shown) in [
        ("", 0, 0..50),
        ("?from=50", 50, 50..100),
        ("?from=100", 100, 100..120),
        ("?from=120", 120, 0..0),
        ("?from=7", 7, 7..57),
    ] {
        let (status, detail) = serve.get(&format!("/api/requests/1{query}")).await;
        assert_eq!(status, StatusCode::OK);
        let detail: Value = serde_json::from_str(&detail).unwrap();
        let figures = [
            &detail["total"],
            &detail["from"],
            &detail["record"]["events"],
        ];
        assert_eq!(figures, [&json!(120), &json!(from), &json!(120)], "{query}");
        let events = detail["events"].as_array().unwrap();
        let ids: Vec<_> = events
            .iter()
            .map(|event| event["id"].as_str().unwrap())
            .collect();
        let expected: Vec<_> = shown.map(|index| format!("wamid.{index}")).collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn a_bad_line_is_counted_as_an_editor_does() {
    let serve = Serve::start(&["--keep-mib", "4"], &ENV);
    serve.deliver(&text("wamid.A"), SECRET).await;
    let (_, session) = serve.get("/api/session").await;
    let line = session.trim_end();
    let large: Value = serde_json::from_str(line).unwrap();
    let body = text("wamid.A").replace("hi", &"x".repeat(5 << 20));
    let large = json!({ "body": body, "verdict": "delivery", "at": 1, "method": "POST",
        "path": "/webhook", "status": 200, "micros": large["micros"] })
    .to_string();
    for (wrong, words) in [
        ("{}", "not a saved request"),
        (&*large, "larger than --keep-mib"),
    ] {
        for (number, before) in [
            (1, String::new()),
            (2, "\n".to_owned()),
            (4, "\n \t\n\r\n".to_owned()),
            (5, format!("\n{line}\n\n\n")),
            (6, format!("{line}\r\n\r\n{line}\r\n\r\n\r\n")),
        ] {
            let edited = format!("{before}{wrong}\n\n{line}\n");
            let (status, answer) = serve.post("/api/session", &edited).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
            let expected = format!("line {number} is {words}; nothing was loaded");
            assert!(answer.contains(&expected), "{expected}: {answer}");
        }
    }
    // Blank lines are no requests.
    let edited = format!("\n{line}\n\n{line}\n \n");
    let (_, answer) = serve.post("/api/session", &edited).await;
    assert_eq!(answer, r#"{"loaded":2}"#);
}

/// Connects as a page does. Returns the id of each event with rows, and their numbers.
fn events(
    serve: &Serve,
    query: &str,
    last: Option<&str>,
) -> impl Iterator<Item = (String, Vec<u64>)> {
    let mut page = TcpStream::connect(serve.page).unwrap();
    page.set_read_timeout(Some(PATIENCE)).unwrap();
    let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    let request = format!("GET /api/stream{query} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
    page.write_all(request.as_bytes()).unwrap();
    let mut id = String::new();
    BufReader::new(page).lines().filter_map(move |line| {
        let line = line.unwrap();
        // The comment that it sends when there is nothing else.
        assert_ne!(line, ":", "the stream waits");
        if let Some(next) = line.strip_prefix("id: ") {
            id = next.to_owned();
        }
        let data = line
            .strip_prefix("data: ")
            .filter(|data| data.starts_with("{\"rows\":"))?;
        let data: Value = serde_json::from_str(data).unwrap();
        let rows = data["rows"].as_array().unwrap();
        let numbers = rows.iter().map(|row| row["number"].as_u64().unwrap());
        Some((id.clone(), numbers.collect()))
    })
}

/// The first of these events.
fn rows(serve: &Serve, query: &str, last: Option<&str>) -> (String, Vec<u64>) {
    events(serve, query, last).next().unwrap()
}

#[tokio::test]
async fn a_page_gets_all_rows_at_once_in_events_of_500() {
    let serve = Serve::start(&[], &ENV);
    serve.deliver(&text("wamid.A"), SECRET).await;
    let (_, session) = serve.get("/api/session").await;
    let (_, answer) = serve.post("/api/session", &session.repeat(1199)).await;
    assert_eq!(answer, r#"{"loaded":1199}"#);
    // Nothing else happens that would make it send more.
    let mut numbers = Vec::new();
    for (id, mut rows) in events(&serve, "", None) {
        assert!(rows.len() <= 500);
        assert!(id.ends_with(&format!("-{}", rows.last().unwrap())), "{id}");
        numbers.append(&mut rows);
        if numbers.len() >= 1200 {
            break;
        }
    }
    assert_eq!(numbers, (1..=1200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_that_reconnects_gets_what_it_lacks_and_after_a_restart_all() {
    let [serve, restarted] = [(); 2].map(|()| Serve::start(&[], &ENV));
    for number in 1..=4 {
        let body = text(&format!("wamid.{number}"));
        assert_eq!(serve.deliver(&body, SECRET).await, StatusCode::OK);
        assert_eq!(restarted.deliver(&body, SECRET).await, StatusCode::OK);
    }
    let (last, numbers) = rows(&serve, "", None);
    assert_eq!(numbers, [1, 2, 3, 4]);
    let instance = last.strip_suffix("-4").unwrap();
    assert_eq!(rows(&serve, "", Some(&last)), (last.clone(), vec![]));
    let third = format!("{instance}-3");
    assert_eq!(rows(&serve, "", Some(&third)).1, [4]);
    // The address of the page is as old as the page.
    assert_eq!(rows(&serve, "?after=1", Some(&third)).1, [4]);
    assert_eq!(rows(&serve, "?after=2", None).1, [3, 4]);

    assert_eq!(rows(&restarted, "", Some(&third)).1, [1, 2, 3, 4]);
    let (id, _) = rows(&restarted, "", Some(&last));
    assert_eq!(id.strip_suffix("-4").unwrap().len(), instance.len());
    assert!(!id.starts_with(instance), "{id}");
    for wrong in [
        "3",
        "-3",
        "x-3",
        instance,
        &format!("{instance}-"),
        &format!("{instance}3"),
        &format!("{instance}--3"),
        &format!("{instance}-x"),
    ] {
        assert_eq!(rows(&serve, "", Some(wrong)).1, [1, 2, 3, 4], "{wrong}");
    }
}

#[tokio::test]
async fn a_title_names_the_person_or_the_event() {
    let serve = Serve::start(&[], &ENV);
    let status = |recipient: Value| {
        let mut status = json!({ "id": "wamid.S", "status": "read", "timestamp": "1760000000" });
        let members = status.as_object_mut().unwrap();
        members.extend(recipient.as_object().unwrap().clone());
        json!({ "statuses": [status] })
    };
    let message = |members: Value| {
        let mut message = json!({ "id": "wamid.M", "timestamp": "1760000000", "type": "image" });
        let object = message.as_object_mut().unwrap();
        object.extend(members.as_object().unwrap().clone());
        json!({ "messages": [message] })
    };
    let long = "x".repeat(200);
    for (value, title) in [
        (
            status(json!({ "recipient_id": "16505550001" })),
            "to 16505550001".to_owned(),
        ),
        (
            status(json!({ "recipient_user_id": "US.1" })),
            "to US.1".to_owned(),
        ),
        (
            status(json!({ "recipient_id": "16505550001", "recipient_user_id": "US.1" })),
            "to 16505550001".to_owned(),
        ),
        (status(json!({})), "to -".to_owned()),
        (
            message(json!({ "from": "16505550001" })),
            "from 16505550001".to_owned(),
        ),
        (
            message(json!({ "from_user_id": "US.1" })),
            "from US.1".to_owned(),
        ),
        (message(json!({})), "from -".to_owned()),
        (
            message(json!({ "type": "text", "text": { "body": long }, "from": "1" })),
            format!("1: {}…", "x".repeat(157)),
        ),
        (json!({}), "no events".to_owned()),
    ] {
        let body = json!({ "object": "whatsapp_business_account", "entry": [
            { "id": "0", "changes": [{ "field": "messages", "value": value }] },
        ] });
        let status = serve.deliver(&body.to_string(), SECRET).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(serve.kept().await.last().unwrap()["title"], title, "{body}");
    }
}

#[tokio::test]
async fn a_row_says_whether_any_of_its_events_has_keys_that_are_not_read() {
    let serve = Serve::start(&[], &ENV);
    for (marked, unread) in [
        (None, false),
        (Some(0), true),
        (Some(1), true),
        (Some(2), true),
    ] {
        let mut body: Value = serde_json::from_str(&batch(3)).unwrap();
        if let Some(index) = marked {
            body["entry"][0]["changes"][0]["value"]["messages"][index]["mood"] = "merry".into();
        }
        let status = serve.deliver(&body.to_string(), SECRET).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            serve.kept().await.last().unwrap()["unread"],
            unread,
            "{marked:?}"
        );
    }
}
