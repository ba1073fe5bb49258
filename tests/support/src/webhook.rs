//! Sends requests to an example over a socket, as Meta does.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{process::Process, sign, within};

pub const SECRET: &str = "6f70656e2073657361";
pub const TOKEN: &str = "a token & more";
pub const ENV: [(&str, &str); 2] = [
    ("WHATSAPP_APP_SECRET", SECRET),
    ("WHATSAPP_VERIFY_TOKEN", TOKEN),
];

pub const HANDSHAKE: &str =
    "/webhook?hub.mode=subscribe&hub.verify_token=a+token+%26+more&hub.challenge=1158201444";

pub fn text(id: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"0","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"16505550001"}}],"messages":[{{"from":"16505550001","id":"{id}","timestamp":"1760000000","type":"text","text":{{"body":"hi"}}}}]}}}}]}}]}}"#
    )
}

pub fn line(id: &str) -> String {
    format!("message {id} text from 16505550001 \"hi\"")
}

/// Sends one request over a new connection. Returns the status and the body of the response.
pub async fn send(
    address: SocketAddr,
    version: Version,
    request: http::request::Builder,
    body: &str,
) -> (StatusCode, String) {
    within("a reply", exchange(address, version, request, body)).await
}

async fn exchange(
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
        // HTTP/2 with prior knowledge, where the authority is part of the URI.
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

pub fn post(signature: &str) -> http::request::Builder {
    Request::post("/webhook")
        .header("Content-Type", "application/json")
        .header("X-Hub-Signature-256", signature)
}

/// Checks what every example server must do. `tag` distinguishes the messages of several rounds.
pub async fn webhook(process: &Process, address: SocketAddr, version: Version, tag: &str) {
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

    // Printed before the response, and directly after the rejected requests, which print nothing.
    let id = format!("wamid.signed.{tag}");
    let body = text(&id);
    assert_eq!(send(post(&sign(SECRET, &body)), &body).await, ok(""));
    assert_eq!(process.line(), line(&id));
}

pub async fn ordinary_route(address: SocketAddr, version: Version) {
    let (status, body) = send(address, version, Request::get("/"), "").await;
    assert_eq!(
        (status, &*body),
        (StatusCode::OK, "An ordinary route.\n"),
        "{version:?}"
    );
}

/// Whether a line is of the log of the layer.
pub fn is_logged(line: &str) -> bool {
    line.contains(" tower_whatsapp: ")
}

/// Stops it, and checks its whole output: the address, these messages, and nothing else.
#[cfg(unix)]
pub async fn ends_with(process: Process, lines: &[&str]) {
    // The client's connections are tasks of this thread, and the server waits until they close.
    let output = tokio::task::spawn_blocking(|| process.interrupt());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<_> = lines.iter().map(|tag| line(tag)).collect();
    assert_eq!(stdout.lines().skip(1).collect::<Vec<_>>(), expected);
    // Nothing but the log of the layer, in the examples that have one.
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().all(is_logged), "{stderr}");
    for secret in [SECRET, TOKEN] {
        assert!(!stdout.contains(secret));
        assert!(!stderr.contains(secret));
    }
}

#[cfg(not(unix))]
pub async fn ends_with(_: Process, _: &[&str]) {}
