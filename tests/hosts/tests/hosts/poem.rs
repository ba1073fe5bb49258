//! poem: the layer around a Tower service, as an endpoint. poem's `TowerLayerCompatExt` cannot be
//! used, because it needs layers over poem's request type.

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
async fn the_layer_works_as_an_endpoint() {
    // poem does not strip the matched path: the endpoint sees all of it.
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
