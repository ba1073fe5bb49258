//! smol: hyper without tokio. With the feature `tokio` the layer's deadlines need a tokio runtime,
//! so the bodies in this test arrive in one piece. A host without tokio disables the feature.

use std::{net::TcpListener, thread};

use ::smol::{Async, block_on};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::service::TowerToHyperService;
use smol_hyper::rt::FuturesIo;
use tower::{Layer, service_fn};
use tower_whatsapp::webhook::RequestBody;

use super::{
    hyper::host,
    support::{CHALLENGE, HANDSHAKE, Http, get, layer, send},
};

#[tokio::test]
async fn the_handshake_works_on_smol() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let service = layer().layer(service_fn(host::<RequestBody<Incoming>>));
    let service = TowerToHyperService::new(service);
    thread::spawn(move || {
        block_on(async {
            let listener = Async::new(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let io = FuturesIo::new(stream);
                let connection = http1::Builder::new().serve_connection(io, service.clone());
                ::smol::spawn(async move { connection.await.is_ok() }).detach();
            }
        });
    });
    let handshake = send(Http::One, address, get(HANDSHAKE)).await;
    assert_eq!(handshake, (200, CHALLENGE.to_owned()));
    let other = send(Http::One, address, get("/other")).await;
    assert_eq!(other, (200, "other".to_owned()));
}
