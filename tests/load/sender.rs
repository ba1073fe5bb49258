//! Connections to the server, with little overhead of their own.

use std::{
    convert::Infallible,
    io,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::HOST};
use http_body::Body as _;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::Semaphore};
use tower_whatsapp::signature::SIGNATURE_HEADER;

use test_support::PATH;

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Opens a connection for HTTP/1.
pub(crate) async fn open(port: u16) -> io::Result<http1::SendRequest<Body>> {
    let stream = connect(port).await?;
    let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Opens a connection for HTTP/2.
pub(crate) async fn open_http2(port: u16) -> io::Result<http2::SendRequest<Body>> {
    let stream = connect(port).await?;
    let handshake = http2::handshake(TokioExecutor::new(), stream).await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn connect(port: u16) -> io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

pub(crate) fn get<B>(path: &str, body: B) -> Request<Body>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let request = Request::get(path).header(HOST, "localhost");
    request.body(body.boxed_unsync()).unwrap()
}

/// A delivery. The length is that of the body, or a wrong one.
pub(crate) fn post<B>(body: B, length: usize, signature: &HeaderValue) -> Request<Body>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let request = Request::post(PATH)
        .header(HOST, "localhost")
        .header("content-type", "application/json")
        .header("content-length", length)
        .header(SIGNATURE_HEADER, signature);
    request.body(body.boxed_unsync()).unwrap()
}

/// Maximum number of concurrent requests. Further ones wait, and the wait counts as latency.
const CONNECTIONS: usize = 256;

/// Maximum number of idle connections.
const KEPT: usize = 32;

/// Reusable HTTP/1 connections. More than a few are open only after the machine was busy.
pub(crate) struct Pool {
    port: u16,
    permits: Semaphore,
    free: Mutex<Vec<http1::SendRequest<Body>>>,
}

impl Pool {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            permits: Semaphore::new(CONNECTIONS),
            free: Mutex::default(),
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> io::Result<StatusCode> {
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let mut connection = self.take().await?;
        let response = connection.send_request(request).await;
        let response = response.map_err(io::Error::other)?;
        let status = response.status();
        if !response.body().is_end_stream() {
            let rest = response.into_body().collect().await;
            rest.map_err(io::Error::other)?;
        }
        let mut free = self.free();
        if free.len() < KEPT {
            free.push(connection);
        }
        Ok(status)
    }

    async fn take(&self) -> io::Result<http1::SendRequest<Body>> {
        loop {
            let Some(mut connection) = self.free().pop() else {
                return open(self.port).await;
            };
            // The server may have closed it after the last response.
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<http1::SendRequest<Body>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
