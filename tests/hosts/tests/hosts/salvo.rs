//! salvo: the layer as a hoop, with salvo's own body types.

use salvo::prelude::TowerLayerCompat;
use salvo::{
    Depot, Request, Response, Router, Server, Service,
    conn::{Acceptor, Listener, TcpListener},
    handler,
    http::{ReqBody, StatusCode},
};
use tower_whatsapp::Notification;

use super::support::{Http, check, layer};

#[handler]
async fn on_event(request: &mut Request, _: &mut Depot, response: &mut Response) {
    match request.extensions().get::<Notification>() {
        Some(notification) => response.render(notification.events().len().to_string()),
        None => {
            response.status_code(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}

#[handler]
async fn other() -> &'static str {
    "other"
}

#[tokio::test]
async fn the_layer_works_as_a_hoop() {
    // A router's hoop runs only for its routes, so the handshake needs a GET route.
    let routes = Router::new()
        .hoop(layer().host_body().compat::<ReqBody>())
        .push(Router::with_path("webhook").get(on_event).post(on_event))
        .push(Router::with_path("unverified").post(on_event))
        .push(Router::with_path("other").get(other));
    let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
    let address = acceptor.holdings()[0].local_addr.clone();
    let address = address.into_std().unwrap();
    tokio::spawn(Server::new(acceptor).serve(Service::new(routes)));
    check(Http::One, address).await;
}
