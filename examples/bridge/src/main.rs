//! A WhatsApp webhook in a framework that knows nothing of Tower: here `tiny_http`, which is not even
//! asynchronous.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p bridge
//! ```
//!
//! `ADDR` is where to listen (`127.0.0.1:3000`). Every event is printed on one line. For actix-web,
//! rocket and others only this file is different: `bridge.rs` stays as it is.

mod bridge;

use std::{env, error::Error, io::Read};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tower_whatsapp::{Notification, WebhookLayer};

use self::bridge::bridge;

/// Bytes of a body that are read: Meta documents deliveries of up to 3 MB.
const BODY_LIMIT: u64 = 4 * 1024 * 1024;

async fn on_event(notification: &Notification) -> StatusCode {
    for event in notification.events() {
        println!("{}", event.kind());
    }
    StatusCode::OK
}

/// The request of the framework as one of the `http` crate.
fn take(request: &mut tiny_http::Request) -> Result<Request<Bytes>, Box<dyn Error>> {
    let mut body = Vec::new();
    // One byte more than the limit, so that the layer refuses what is longer.
    let mut reader = request.as_reader().take(BODY_LIMIT + 1);
    reader.read_to_end(&mut body)?;
    let mut taken = Request::builder()
        .method(Method::from_bytes(request.method().as_str().as_bytes())?)
        .uri(request.url());
    for header in request.headers() {
        taken = taken.header(header.field.as_str().as_str(), header.value.as_str());
    }
    Ok(taken.body(Bytes::from(body))?)
}

/// The response of the `http` crate as one of the framework.
fn give(response: Response<Bytes>) -> tiny_http::Response<std::io::Cursor<Vec<u8>>> {
    let (parts, body) = response.into_parts();
    let mut given = tiny_http::Response::from_data(body).with_status_code(parts.status.as_u16());
    for (name, value) in &parts.headers {
        if let Ok(header) = tiny_http::Header::from_bytes(name.as_str(), value.as_bytes()) {
            given.add_header(header);
        }
    }
    given
}

fn main() -> Result<(), Box<dyn Error>> {
    let secret = env::var("WHATSAPP_APP_SECRET")?;
    let token = env::var("WHATSAPP_VERIFY_TOKEN")?;
    let bridge = bridge(WebhookLayer::new("/webhook", secret, token)?, on_event);

    // The deadlines of the layer need the timer of tokio.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let address = env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let server = tiny_http::Server::http(&address).map_err(|error| error.to_string())?;
    println!("listening on http://{}", server.server_addr());
    for mut request in server.incoming_requests() {
        let response = match take(&mut request) {
            Ok(taken) => runtime.block_on(bridge.answer(taken)),
            Err(_) => Response::builder().status(400).body(Bytes::new())?,
        };
        // The sender may have gone.
        let _ = request.respond(give(response));
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

    /// What the framework says, to one request after the other.
    fn serve() -> SocketAddr {
        let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
        let address = server.server_addr().to_ip().unwrap();
        thread::spawn(move || {
            let layer = WebhookLayer::new("/webhook", "secret", "token").unwrap();
            let bridge = bridge(layer, on_event);
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_time().build().unwrap();
            for mut request in server.incoming_requests() {
                let taken = take(&mut request).unwrap();
                let response = runtime.block_on(bridge.answer(taken));
                request.respond(give(response)).unwrap();
            }
        });
        address
    }

    fn ask(address: SocketAddr, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn over_a_socket() {
        let address = serve();
        let query = "hub.mode=subscribe&hub.verify_token=token&hub.challenge=1158201444";
        let answer = ask(address, &format!("GET /webhook?{query} HTTP/1.1"), "");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("1158201444"));

        let delivery = testing::delivery("/webhook", BODY, "secret");
        let signature = delivery.headers()["x-hub-signature-256"].to_str().unwrap();
        for (path, body, status) in [
            ("/webhook", BODY, "200"),
            ("/webhook", "{}", "403"),
            ("/elsewhere", BODY, "404"),
        ] {
            let head = format!("POST {path} HTTP/1.1\r\nX-Hub-Signature-256: {signature}");
            let answer = ask(address, &head, body);
            assert_eq!(answer.get(9..12), Some(status), "{path}");
        }
    }
}
