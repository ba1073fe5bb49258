//! `doctor` and a server in place of the Graph API.

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::json;
use test_support::process::run;
use tokio::task::spawn_blocking;

use crate::{
    doctor::{Diagnosis, serve},
    program,
};

/// A server in place of the Graph API. It wants the token in a header.
async fn graph(request: Request<Body>) -> Response {
    let authorization = request
        .headers()
        .get("authorization")
        .map(http::HeaderValue::as_bytes);
    if authorization != Some(b"Bearer EAAcanary") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let url = "http://127.0.0.1:9/webhook";
    let numbered = |level: &str, url: &str| json!({ "webhook_configuration": { level: url, "application": "https://app.example/" } });
    let fields = |names: &[&str]| {
        let fields: Vec<_> = names
            .iter()
            .map(|name| json!({ "name": name, "version": "v26.0" }))
            .collect();
        json!({ "data": [{ "object": "whatsapp_business_account", "callback_url": url, "fields": fields }] })
    };
    let answer = match request.uri().to_string().strip_prefix("/v1/") {
        Some("1/subscribed_apps") => {
            json!({ "data": [{ "whatsapp_business_api_data": { "id": "7" } }] })
        }
        Some("2/subscribed_apps") => json!({ "data": [] }),
        Some("3/subscribed_apps") => {
            json!({ "data": [{ "override_callback_uri": "https://other.example/" }] })
        }
        Some("5/subscribed_apps") => {
            json!({ "data": [{ "override_callback_uri": url }, { "override_callback_uri": url }] })
        }
        Some("6/subscribed_apps") => {
            let other = json!({ "override_callback_uri": "https://other.example/" });
            json!({ "data": [{ "override_callback_uri": url }, other] })
        }
        Some("4?fields=webhook_configuration") => {
            json!({ "webhook_configuration": { "application": url } })
        }
        Some("1?fields=webhook_configuration") => numbered("phone_number", url),
        Some("2?fields=webhook_configuration") => {
            numbered("whatsapp_business_account", "https://other.example/")
        }
        Some("3?fields=webhook_configuration") => json!({}),
        Some("5?fields=webhook_configuration") => numbered("whatsapp_business_account", url),
        Some("6?fields=webhook_configuration") => json!({ "webhook_configuration": {
            "phone_number": "https://other.example/", "whatsapp_business_account": url,
            "application": url,
        } }),
        Some("1/subscriptions") => fields(&["messages", "account_update"]),
        Some("2/subscriptions") => fields(&["account_update"]),
        // The names alone, as older versions have them.
        Some("3/subscriptions") => json!({ "data": [{
            "object": "whatsapp_business_account", "callback_url": "https://other.example/",
            "fields": ["messages", "account_update"],
        }] }),
        Some("5/subscriptions") => json!({ "data": [{
            "object": "whatsapp_business_account", "callback_url": "https://other.example/",
            "fields": ["account_update"],
        }] }),
        // The first one is of another product.
        Some("4/subscriptions") => json!({ "data": [
            { "object": "page", "callback_url": url, "fields": ["messages"] },
            { "object": "whatsapp_business_account", "callback_url": url, "fields": [] },
        ] }),
        Some("9/subscriptions") => {
            let message = "red \u{1b}[31m\u{9b}31m\u{202e}\r\nok   all is well";
            let error = json!({ "error": { "message": message } });
            return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
        }
        _ => {
            let error = json!({ "error": { "message": "Unsupported get request" } });
            return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
        }
    };
    answer.to_string().into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_api_tells_what_meta_has_stored() {
    let address = serve(Router::new().fallback(graph)).await;
    let base = format!("http://{address}/v1");
    for (option, id, names) in [
        ("--waba", "1", &[][..]),
        ("--waba", "2", &["not_subscribed"]),
        ("--waba", "3", &["callback_overridden"]),
        ("--waba", "4", &["graph_refused"]),
        // The override is this URL.
        ("--waba", "5", &[]),
        ("--waba", "6", &["callback_overridden"]),
        ("--phone-number", "1", &[]),
        ("--phone-number", "2", &["callback_elsewhere"]),
        ("--phone-number", "3", &["callback_missing"]),
        ("--phone-number", "4", &[]),
        // That of the number wins over that of the account, and that over the app's.
        ("--phone-number", "5", &[]),
        ("--phone-number", "6", &["callback_elsewhere"]),
        ("--app", "1", &[]),
        ("--app", "2", &["field_missing"]),
        ("--app", "3", &["callback_elsewhere"]),
        ("--app", "4", &["field_missing"]),
        ("--app", "5", &["field_missing", "callback_elsewhere"]),
    ] {
        let env = [("WHATSAPP_ACCESS_TOKEN", "EAAcanary")];
        // No server is there, so that is an error too.
        let url = "http://127.0.0.1:9/webhook".to_owned();
        let diagnosis = Diagnosis::of(url, &[option, id, "--graph-url", &base], &env).await;
        let names: Vec<_> = ["connection"].iter().chain(names).copied().collect();
        diagnosis.assert_errors(&format!("{option} {id}"), &names);
        assert!(!diagnosis.output.contains("EAAcanary"));
    }
    let url = "http://127.0.0.1:9/webhook".to_owned();
    let diagnosis = Diagnosis::of(url, &["--waba", "1"], &[]).await;
    assert_eq!(diagnosis.code, Some(2));
    assert!(
        diagnosis
            .output
            .contains("WHATSAPP_ACCESS_TOKEN is not set"),
        "{}",
        diagnosis.output
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_token_is_not_sent_without_tls_to_another_machine() {
    for host in [
        "graph.example",
        "localhost.example",
        "127.0.0.1.example",
        "127.0.0.1@graph.example",
    ] {
        let env = [("WHATSAPP_ACCESS_TOKEN", "EAAcanary")];
        let base = format!("http://{host}/v1");
        let options = ["--waba", "1", "--graph-url", &base];
        let url = "http://127.0.0.1:9/webhook".to_owned();
        let diagnosis = Diagnosis::of(url, &options, &env).await;
        assert_eq!(diagnosis.code, Some(2), "{host} {}", diagnosis.output);
        let words = "--graph-url must begin with https://";
        assert!(diagnosis.output.contains(words), "{}", diagnosis.output);
        assert!(
            !diagnosis.output.contains("EAAcanary"),
            "{}",
            diagnosis.output
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_does_not_control_the_terminal() {
    let address = serve(Router::new().fallback(graph)).await;
    let base = format!("http://{address}/v1");
    for format in [&["--json"][..], &[]] {
        let mut command = program();
        command
            .args(["doctor", "http://127.0.0.1:9/webhook", "--app", "9"])
            .args(["--graph-url", &base])
            .args(format)
            .env("WHATSAPP_ACCESS_TOKEN", "EAAcanary");
        let output = spawn_blocking(move || run(&mut command, b""))
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.contains("graph_refused"));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        // On the same line, so that it cannot look like another finding.
        assert!(
            line.contains("red ") && line.contains("all is well"),
            "{text}"
        );
        for control in ['\u{1b}', '\u{9b}', '\u{202e}', '\r'] {
            assert!(!text.contains(control), "{control:?} {text}");
        }
    }
}
