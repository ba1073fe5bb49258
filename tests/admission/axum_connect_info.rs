//! The peer address from axum's `ConnectInfo`.

use std::net::{IpAddr, SocketAddr};

use axum::{Router, extract::ConnectInfo, routing::post};
use test_support::{SECRET, builder, json::one_text, sign, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_whatsapp::{
    RejectionKind, WebhookLayer,
    admission::{ForwardedHeader, IpAllowList, TrustedProxies},
};

use crate::ask::{from, send};

fn only(address: &str) -> IpAllowList {
    IpAllowList::from_prefixes([address]).unwrap()
}

/// A layer that reports the reason of a rejection in a header.
fn telling(list: IpAllowList) -> WebhookLayer {
    let builder = builder().ip_allow_list(list).on_rejection(|rejection| {
        let mut response = rejection.to_response();
        let kind = format!("{:?}", rejection.kind()).parse().unwrap();
        response.headers_mut().insert("x-kind", kind);
        response
    });
    builder.build().unwrap()
}

fn app(layer: WebhookLayer) -> Router {
    Router::new()
        .route("/wh", post(async || "taken"))
        .layer(layer)
}

/// Returns the head of the response. `length` may be more than is sent.
async fn answer(address: SocketAddr, length: usize, body: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let signature = sign(SECRET, one_text());
    let head = format!(
        "POST /wh HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-hub-signature-256: {signature}\r\ncontent-length: {length}\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    within("the end of the connection", read).await.unwrap();
    answer
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn with_connect_info() {
    let (listener, address) = listen().await;
    let list = only("127.0.0.1");
    let service = app(telling(list.clone())).into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async { axum::serve(listener, service).await });
    let body = one_text();

    let text = answer(address, body.len(), &body, "").await;
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.ends_with("taken"),
        "{text}"
    );

    list.replace("127.0.0.2", tower_whatsapp::admission::Shrink::Allow)
        .unwrap();
    // The declared body never arrives, and the response does not wait for it.
    let text = answer(address, body.len(), "", "x-forwarded-for: 127.0.0.2\r\n").await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert!(text.contains("x-kind: AddressRefused\r\n"), "{text}");
    server.abort();
}

/// The caller is unknown, and no header changes that.
#[tokio::test]
async fn without_connect_info() {
    let (listener, address) = listen().await;
    let app = app(telling(only("127.0.0.1")));
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let more = "x-forwarded-for: 127.0.0.1\r\nforwarded: for=127.0.0.1\r\nx-real-ip: 127.0.0.1\r\n";
    for more in ["", more] {
        let text = answer(address, 1000, "", more).await;
        assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
        assert!(text.contains("x-kind: AddressUnknown\r\n"), "{text}");
    }
    server.abort();
}

/// Behind a proxy on the same machine.
#[tokio::test]
async fn with_a_proxy() {
    let (listener, address) = listen().await;
    let proxies =
        TrustedProxies::from_prefixes(["127.0.0.0/8"], ForwardedHeader::x_forwarded_for()).unwrap();
    let layer = builder()
        .ip_allow_list(only("157.240.0.0/16"))
        .trusted_proxies(proxies)
        .build()
        .unwrap();
    let service = app(layer).into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async { axum::serve(listener, service).await });
    let body = one_text();
    for (more, status) in [
        ("x-forwarded-for: 157.240.0.1\r\n", 200),
        (
            "x-forwarded-for: 157.240.0.1\r\nx-forwarded-for: 192.0.2.1\r\n",
            403,
        ),
        ("forwarded: for=157.240.0.1\r\n", 403),
        ("", 403),
    ] {
        let text = answer(address, body.len(), &body, more).await;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{more} {text}"
        );
    }
    server.abort();
}

/// The host's `PeerAddr` takes precedence over axum's.
#[tokio::test]
async fn the_hosts_own_word() {
    let [own, axums]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
    for (listed, with_own, expected) in [
        (own, true, Ok(())),
        (axums, true, Err(RejectionKind::AddressRefused)),
        (axums, false, Ok(())),
        (own, false, Err(RejectionKind::AddressRefused)),
    ] {
        let layer = builder()
            .ip_allow_list(only(&listed.to_string()))
            .build()
            .unwrap();
        let (mut request, _) = from(with_own.then_some("192.0.2.1"));
        let info = ConnectInfo(SocketAddr::new(axums, 1));
        request.extensions_mut().insert(info);
        assert_eq!(send(&layer, request).await, expected);
    }
}
