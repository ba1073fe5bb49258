//! The three drivers: a direct call, HTTP/1.1 written by hand, and HTTP/2.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use test_support::{Step, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt};

use crate::row::{Framing, Sent};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Sorted, without the server's own headers: `connection`, `content-length` and `date`.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    fn new(
        status: u16,
        headers: impl IntoIterator<Item = (String, String)>,
        body: impl Into<Bytes>,
    ) -> Self {
        let of_server = |name: &str| matches!(name, "connection" | "content-length" | "date");
        let mut headers: Vec<_> = headers
            .into_iter()
            .filter(|(name, _)| !of_server(name))
            .collect();
        headers.sort();
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    async fn read<B>(response: Response<B>) -> Self
    where
        B: Body<Data = Bytes>,
    {
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        let body = body
            .collect()
            .await
            .map_or_else(|_| "broken".into(), http_body_util::Collected::to_bytes);
        Self::new(parts.status.as_u16(), headers, body)
    }
}

fn request<B>(sent: &Sent, base: &str, body: B) -> Request<B> {
    let uri = if sent.target.starts_with('/') {
        format!("{base}{}", sent.target)
    } else {
        sent.target.clone()
    };
    let mut request = Request::builder().method(sent.method).uri(uri);
    for (name, value) in &sent.headers {
        request = request.header(*name, &value[..]);
    }
    if let Some(length) = sent.length() {
        request = request.header("content-length", length);
    }
    request.body(body).unwrap()
}

/// Calls a service as another layer would.
pub(crate) async fn tower<S, B, R>(service: S, sent: &Sent, body: B) -> Reply
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes>,
{
    let mut request = request(sent, "", body);
    if matches!(sent.framing, Framing::Chunked) {
        let chunked = http::HeaderValue::from_static("chunked");
        request.headers_mut().insert("transfer-encoding", chunked);
    }
    match within("the service", service.oneshot(request)).await {
        Ok(response) => Reply::read(response).await,
        Err(never) => match never {},
    }
}

/// Serves all connections.
pub(crate) async fn serve<S, R>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    R: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                // Connections that end with an error are expected here.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// One HTTP/1.1 connection.
pub(crate) struct Http1 {
    stream: TcpStream,
    /// Bytes that were read after the last response.
    rest: Vec<u8>,
}

impl Http1 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// Sends a request and reads the response, which may arrive before all is sent.
    pub(crate) async fn exchange(&mut self, sent: &Sent) -> Option<Reply> {
        let (mut reader, mut writer) = self.stream.split();
        let write = async {
            // If the request is rejected early, the rest cannot be sent. That is not an error here.
            let _ = send(&mut writer, sent).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            reply = within("a reply", receive(&mut reader, &mut self.rest)) => reply,
            () = write => None,
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> Option<Reply> {
        let read = receive(&mut self.stream, &mut self.rest);
        within("a reply", read).await
    }

    /// Closes the client's side.
    pub(crate) async fn shutdown(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Whether the server closes the connection now, without further bytes.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = timeout(Duration::from_secs(5), self.stream.read(&mut byte)).await;
        self.rest.is_empty() && matches!(read, Ok(Ok(0) | Err(_)))
    }
}

/// Writes a request by hand.
async fn send(writer: &mut (impl AsyncWriteExt + Unpin), sent: &Sent) -> io::Result<()> {
    let mut head = format!("{} {} HTTP/1.1\r\nHost: h\r\n", sent.method, sent.target).into_bytes();
    for (name, value) in &sent.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    if let Some(length) = sent.length() {
        head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    let chunked = matches!(sent.framing, Framing::Chunked);
    if chunked {
        head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    head.extend_from_slice(b"\r\n");
    writer.write_all(&head).await?;
    let mut trailers = Vec::new();
    for step in &sent.steps {
        match step {
            Step::Data(data) if !chunked => writer.write_all(data).await?,
            Step::Data(data) => writer.write_all(&chunk(data)).await?,
            Step::Bytewise(data) => {
                let chunks: Vec<u8> = data.chunks(1).flat_map(chunk).collect();
                writer.write_all(&chunks).await?;
            }
            Step::Trailers(fields) => {
                for (name, value) in &**fields {
                    trailers.extend_from_slice(name.as_str().as_bytes());
                    trailers.extend_from_slice(b": ");
                    trailers.extend_from_slice(value.as_bytes());
                    trailers.extend_from_slice(b"\r\n");
                }
            }
            Step::Wait(duration) => sleep(*duration).await,
            Step::Stall => std::future::pending().await,
            Step::Fail => return writer.write_all(b"no number\r\n").await,
            // HTTP/1.1 has no such step.
            Step::Pending | Step::Empty(_) => {}
        }
    }
    if chunked {
        writer.write_all(b"0\r\n").await?;
        writer.write_all(&trailers).await?;
        writer.write_all(b"\r\n").await?;
    }
    Ok(())
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", data.len());
    [size.as_bytes(), data, b"\r\n"].concat()
}

/// Reads a response. `None`: the connection ended without one.
async fn receive(reader: &mut (impl AsyncReadExt + Unpin), rest: &mut Vec<u8>) -> Option<Reply> {
    let end_of_head = loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if !matches!(reader.read_buf(rest).await, Ok(1..)) {
            return None;
        }
    };
    let head = String::from_utf8(rest[..end_of_head].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    rest.drain(..end_of_head + 4);
    while rest.len() < length {
        if !matches!(reader.read_buf(rest).await, Ok(1..)) {
            return None;
        }
    }
    let body: Vec<u8> = rest.drain(..length).collect();
    Some(Reply::new(status, headers, body))
}

/// Sends a request over a new HTTP/2 connection.
pub(crate) async fn http2(address: SocketAddr, sent: &Sent) -> Option<Reply> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = request(sent, "http://h", sent.script());
    let reply = match within("a reply over HTTP/2", client.send_request(request)).await {
        Ok(response) => Some(Reply::read(response).await),
        Err(_) => None,
    };
    connection.abort();
    reply
}
