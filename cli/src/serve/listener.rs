//! Serves a port with a limit of connections, and of the time that one may be idle.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};

/// Further ones wait in the backlog of the system.
const MAX_CONNECTIONS: usize = 256;
/// Time for the head of a request, also between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time until the next attempt if the process has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn serve(listener: TcpListener, router: Router) -> Infallible {
    serve_with(listener, router, HEADER_TIMEOUT).await
}

async fn serve_with(listener: TcpListener, router: Router, header_timeout: Duration) -> Infallible {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // An error concerns only this client, which is gone.
            let _ = connection.await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn an_idle_connection_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "hello" }));
        tokio::spawn(serve_with(listener, router, Duration::from_millis(200)));
        for request in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let read = timeout(Duration::from_secs(20), client.read_to_end(&mut answer));
            assert!(read.await.is_ok(), "{request}");
            assert_eq!(answer.ends_with(b"hello"), request.ends_with("\r\n\r\n"));
        }
    }
}
