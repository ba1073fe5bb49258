//! hyper: HTTP/1, HTTP/2, and both on one port.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::{Layer, service_fn};
use tower_whatsapp::{Notification, webhook::RequestBody};

use super::support::{Http, check, layer, listener};

pub(crate) async fn host<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
    let notification = request.extensions().get::<Notification>();
    let (status, text) = match (notification, request.uri().path()) {
        (Some(notification), _) => (200, notification.events().len().to_string()),
        (None, "/other") => (200, "other".to_owned()),
        (None, _) => (500, String::new()),
    };
    Ok(Response::builder().status(status).body(text).unwrap())
}

#[tokio::test]
async fn http1_http2_and_auto() {
    let service = layer().layer(service_fn(host::<RequestBody<Incoming>>));
    let service = TowerToHyperService::new(service);
    for server in ["http1", "http2", "auto"] {
        let (listener, address) = listener().await;
        let service = service.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (io, service) = (TokioIo::new(stream), service.clone());
                tokio::spawn(async move {
                    let executor = TokioExecutor::new();
                    let _ = match server {
                        "http1" => http1::Builder::new()
                            .serve_connection(io, service)
                            .await
                            .is_ok(),
                        "http2" => {
                            let server = http2::Builder::new(executor);
                            server.serve_connection(io, service).await.is_ok()
                        }
                        _ => {
                            let server = auto::Builder::new(executor);
                            server.serve_connection(io, service).await.is_ok()
                        }
                    };
                });
            }
        });
        if server != "http2" {
            check(Http::One, address).await;
        }
        if server != "http1" {
            check(Http::Two, address).await;
        }
    }
}
