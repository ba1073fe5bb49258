//! poem: the layer around a Tower service, as an endpoint. poem's own `TowerLayerCompatExt` is for
//! layers over poem's request type, and so not for ours.

use poem::{Route, Server, endpoint::TowerCompatExt, get, handler, listener::TcpAcceptor};
use tower::{Layer, service_fn};

use super::{
    hyper::host,
    support::{Http, at, check, listener},
};

#[handler]
fn other() -> &'static str {
    "other"
}

#[tokio::test]
async fn an_endpoint() {
    // poem strips no path: the endpoint sees all of it.
    let webhook = at("/webhook").layer(service_fn(host)).compat();
    let unverified = at("/webhook").layer(service_fn(host)).compat();
    let app = Route::new()
        .at("/webhook", webhook)
        .at("/unverified", unverified)
        .at("/other", get(other));
    let (listener, address) = listener().await;
    let listener = listener.into_std().unwrap();
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_std(listener).unwrap()).run(app));
    check(Http::One, address).await;
}
