//! warp: its filters as the inner service, under hyper.

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::Layer;
use tower_whatsapp::Notification;
use warp::{Filter, http::StatusCode, reply::with_status};

use super::support::{Http, check, layer, listener};

#[tokio::test]
async fn filters_work_as_the_inner_service() {
    let on_event = warp::post().and(warp::ext::optional::<Notification>()).map(
        |notification: Option<Notification>| match notification {
            Some(notification) => {
                with_status(notification.events().len().to_string(), StatusCode::OK)
            }
            None => with_status(String::new(), StatusCode::INTERNAL_SERVER_ERROR),
        },
    );
    let other = warp::path!("other").map(|| "other".to_owned());
    let service = layer().layer(warp::service(other.or(on_event)));
    let service = TowerToHyperService::new(service);
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    check(Http::One, address).await;
    check(Http::Two, address).await;
}
