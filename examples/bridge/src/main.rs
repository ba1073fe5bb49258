//! A WhatsApp webhook in a framework without Tower support. This one is `tiny_http`, which is not
//! even asynchronous.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p bridge
//! ```
//!
//! It prints `listening on http://…`, then the kind of each event. `ADDR` is the address to listen
//! on (`127.0.0.1:3000`). For actix-web, rocket and others, only this file changes: `bridge.rs`
//! stays as it is.

mod bridge;

use std::{env, error::Error, io::Read};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tower_whatsapp::{Notification, WebhookLayer};

use self::bridge::bridge;

/// Maximum length of a body, in bytes. Meta documents deliveries of up to 3 MB.
const BODY_LIMIT: u64 = 4 * 1024 * 1024;

async fn on_event(notification: &Notification) -> StatusCode {
    for event in notification.events() {
        println!("{}", event.kind());
    }
    StatusCode::OK
}

/// Converts the framework's request into one of the `http` crate.
fn to_http_request(request: &mut tiny_http::Request) -> Result<Request<Bytes>, Box<dyn Error>> {
    let mut body = Vec::new();
    // Reads one byte more than the limit, so that the layer rejects longer bodies.
    let mut reader = request.as_reader().take(BODY_LIMIT + 1);
    reader.read_to_end(&mut body)?;
    let mut converted = Request::builder()
        .method(Method::from_bytes(request.method().as_str().as_bytes())?)
        .uri(request.url());
    for header in request.headers() {
        converted = converted.header(header.field.as_str().as_str(), header.value.as_str());
    }
    Ok(converted.body(Bytes::from(body))?)
}

/// Converts a response of the `http` crate into one of the framework.
fn from_http_response(response: Response<Bytes>) -> tiny_http::Response<std::io::Cursor<Vec<u8>>> {
    let (parts, body) = response.into_parts();
    let mut converted =
        tiny_http::Response::from_data(body).with_status_code(parts.status.as_u16());
    for (name, value) in &parts.headers {
        if let Ok(header) = tiny_http::Header::from_bytes(name.as_str(), value.as_bytes()) {
            converted.add_header(header);
        }
    }
    converted
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: use the value of the App Dashboard"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let secret = setting("WHATSAPP_APP_SECRET")?;
    let token = setting("WHATSAPP_VERIFY_TOKEN")?;
    let bridge = bridge(WebhookLayer::new("/webhook", secret, token)?, on_event);

    // The layer's deadlines need tokio's timer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let address = env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let server = tiny_http::Server::http(&address).map_err(|error| error.to_string())?;
    println!("listening on http://{}", server.server_addr());
    for mut request in server.incoming_requests() {
        let response = match to_http_request(&mut request) {
            Ok(request) => runtime.block_on(bridge.handle(request)),
            Err(_) => Response::builder().status(400).body(Bytes::new())?,
        };
        // Fails if the client has disconnected.
        let _ = request.respond(from_http_response(response));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpStream},
        thread,
    };

    use tower_whatsapp::testing;

    use super::*;

    const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[]}"#;

    /// Serves requests one after the other, and returns the address.
    fn serve() -> SocketAddr {
        let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
        let address = server.server_addr().to_ip().unwrap();
        thread::spawn(move || {
            let layer = WebhookLayer::new("/webhook", "secret", "token").unwrap();
            let bridge = bridge(layer, on_event);
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_time().build().unwrap();
            for mut request in server.incoming_requests() {
                let converted = to_http_request(&mut request).unwrap();
                let response = runtime.block_on(bridge.handle(converted));
                request.respond(from_http_response(response)).unwrap();
            }
        });
        address
    }

    fn send(address: SocketAddr, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    #[test]
    fn handshake_and_deliveries_work_over_a_socket() {
        let address = serve();
        let query = "hub.mode=subscribe&hub.verify_token=token&hub.challenge=1158201444";
        let response = send(address, &format!("GET /webhook?{query} HTTP/1.1"), "");
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("1158201444"));

        let delivery = testing::delivery("/webhook", BODY, "secret");
        let signature = delivery.headers()["x-hub-signature-256"].to_str().unwrap();
        for (path, body, status) in [
            ("/webhook", BODY, "200"),
            ("/webhook", "{}", "403"),
            ("/elsewhere", BODY, "404"),
        ] {
            let head = format!("POST {path} HTTP/1.1\r\nX-Hub-Signature-256: {signature}");
            let response = send(address, &head, body);
            assert_eq!(response.get(9..12), Some(status), "{path}");
        }
    }
}
