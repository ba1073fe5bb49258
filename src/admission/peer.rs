use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The address of the other end of the connection. For hosts that are not served by axum with
/// `into_make_service_with_connect_info::<SocketAddr>()`: put it into the extensions of every request, around the layer. Where there are both,
/// this one counts.
///
/// With hyper it is what `accept` returns:
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
/// # use hyper_util::{rt::{TokioExecutor, TokioIo}, server::conn::auto::Builder, service::TowerToHyperService};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_whatsapp::{WebhookLayer, admission::PeerAddr, webhook::RequestBody};
///
/// # async fn host(_: Request<RequestBody<Incoming>>) -> Result<Response<Empty<Bytes>>, Infallible> {
/// #     Ok(Response::new(Empty::new()))
/// # }
/// async fn serve(listener: tokio::net::TcpListener, whatsapp: WebhookLayer) {
///     loop {
///         let Ok((stream, address)) = listener.accept().await else {
///             // Out of file descriptors, say. That passes; a busy loop would not help it.
///             tokio::time::sleep(std::time::Duration::from_secs(1)).await;
///             continue;
///         };
///         let service = whatsapp.layer(service_fn(host)).map_request(move |mut request: Request<Incoming>| {
///             request.extensions_mut().insert(PeerAddr(address));
///             request
///         });
///         tokio::spawn(async move {
///             let builder = Builder::new(TokioExecutor::new());
///             let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
///         });
///     }
/// }
/// ```
///
/// tonic has its own type for it, `TcpConnectInfo`, in the extensions of every request that its server has taken in:
///
/// ```ignore
/// use http::Request;
/// use tonic::transport::server::TcpConnectInfo;
/// use tower_whatsapp::admission::PeerAddr;
///
/// /// For `tower::util::MapRequestLayer`, in a `layer` of tonic's `Server` that is around the one for webhooks.
/// fn with_peer<B>(mut request: Request<B>) -> Request<B> {
///     let address = request.extensions().get().and_then(TcpConnectInfo::remote_addr);
///     if let Some(address) = address {
///         request.extensions_mut().insert(PeerAddr(address));
///     }
///     request
/// }
/// # with_peer(Request::new(()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by hosts, and will never be more than an address"
)]
pub struct PeerAddr(pub SocketAddr);

/// The address of the other end, from what the server has put into the extensions.
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
