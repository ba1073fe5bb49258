use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The peer address of the connection.
///
/// Insert it into the extensions of every request, outside of the layer, unless axum serves the
/// host with `into_make_service_with_connect_info::<SocketAddr>()`. If both are present, `PeerAddr`
/// takes precedence.
///
/// With hyper, use the address that `accept` returns:
///
/// ```sh
/// cargo add tokio --features net,rt,time
/// ```
///
/// ```no_run
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # use http_body_util::Empty;
/// # use hyper::body::{Bytes, Incoming};
/// # use hyper_util::{
/// #     rt::{TokioExecutor, TokioIo},
/// #     server::conn::auto::Builder,
/// #     service::TowerToHyperService,
/// # };
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_whatsapp::{WebhookLayer, admission::PeerAddr, webhook::RequestBody};
///
/// # async fn host(
/// #     _: Request<RequestBody<Incoming>>,
/// # ) -> Result<Response<Empty<Bytes>>, Infallible> {
/// #     Ok(Response::new(Empty::new()))
/// # }
/// async fn serve(listener: tokio::net::TcpListener, whatsapp: WebhookLayer) {
///     loop {
///         let Ok((stream, address)) = listener.accept().await else {
///             // For example, no file descriptors are left. Wait instead of busy-looping.
///             tokio::time::sleep(std::time::Duration::from_secs(1)).await;
///             continue;
///         };
///         let with_peer = move |mut request: Request<Incoming>| {
///             request.extensions_mut().insert(PeerAddr(address));
///             request
///         };
///         let service = whatsapp.layer(service_fn(host)).map_request(with_peer);
///         tokio::spawn(async move {
///             let builder = Builder::new(TokioExecutor::new());
///             let service = TowerToHyperService::new(service);
///             let _ = builder.serve_connection(TokioIo::new(stream), service).await;
///         });
///     }
/// }
/// ```
///
/// tonic's server inserts its own type, `TcpConnectInfo`, into the extensions of every request.
/// `docs/hosts.md` in the repository has the lines that turn it into a `PeerAddr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "hosts construct it, and it is only an address"
)]
pub struct PeerAddr(pub SocketAddr);

/// Returns the peer address that the server inserted into the extensions.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(PeerAddr(address)) = extensions.get() {
        return Some(address.ip());
    }
    #[cfg(all(feature = "axum", not(target_family = "wasm")))]
    if let Some(axum::extract::ConnectInfo(address)) =
        extensions.get::<axum::extract::ConnectInfo<SocketAddr>>()
    {
        return Some(address.ip());
    }
    None
}
