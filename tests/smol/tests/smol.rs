//! hyper on smol, without any tokio runtime: bodies in one piece and in several.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::service::TowerToHyperService;
use smol::{Async, block_on};
use smol_hyper::rt::FuturesIo;
use tower::{Layer, service_fn};
use tower_whatsapp::{Notification, WebhookLayer, testing, webhook::RequestBody};

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"100000000000001"},"messages":[{"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text","text":{"body":"hi"}}]}}]}]}"#;

async fn host(request: Request<RequestBody<Incoming>>) -> Result<Response<String>, Infallible> {
    let notification = request.extensions().get::<Notification>();
    let (status, text) = match notification {
        Some(notification) => (200, notification.events().len().to_string()),
        None => (404, String::new()),
    };
    Ok(Response::builder().status(status).body(text).unwrap())
}

fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let layer = WebhookLayer::new("/webhook", "secret", "token").unwrap();
    let service = TowerToHyperService::new(layer.layer(service_fn(host)));
    thread::spawn(move || {
        block_on(async {
            let listener = Async::new(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let io = FuturesIo::new(stream);
                let connection = http1::Builder::new().serve_connection(io, service.clone());
                smol::spawn(async move { connection.await.is_ok() }).detach();
            }
        });
    });
    address
}

/// Sends the pieces as separate segments. Returns the status and the body.
fn send(address: SocketAddr, pieces: &[&str]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            // Long enough for the server to read the previous piece as a separate frame.
            thread::sleep(Duration::from_millis(50));
        }
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn head(path: &str, secret: &str) -> String {
    let delivery = testing::delivery(path, BODY, secret);
    let signature = delivery.headers()["x-hub-signature-256"].to_str().unwrap();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\nX-Hub-Signature-256: {signature}\r\n\r\n",
        BODY.len(),
    )
}

#[test]
fn handshake_and_deliveries_work_without_tokio() {
    let address = serve();
    let query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=token";
    let handshake =
        format!("GET /webhook?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let echoed = (200, "1158201444".to_owned());
    assert_eq!(send(address, &[&handshake]), echoed);

    let handled = (200, "1".to_owned());
    let good = head("/webhook", "secret");
    assert_eq!(send(address, &[&good, BODY]), handled);
    let (first, rest) = BODY.split_at(100);
    let (second, third) = rest.split_at(1);
    assert_eq!(send(address, &[&good, first, second, third]), handled);
    assert_eq!(send(address, &[&head("/webhook", "another"), BODY]).0, 403);
    assert_eq!(send(address, &[&head("/elsewhere", "secret"), BODY]).0, 404);
}
