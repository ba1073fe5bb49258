//! A minimal HTTP/1.1 client with keep-alive. A general client would take as much CPU as the
//! fastest server, and limit the measurement.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::ReadHalf},
    select,
};

pub struct Response {
    pub status: u16,
    pub body: String,
}

pub struct Connection {
    port: u16,
    stream: Option<TcpStream>,
}

impl Connection {
    pub fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Sends a request and returns the status of the response.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        Ok(self.exchange(request).await?.status)
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Response> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.exchange(request.as_bytes()).await
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        let (whole, response) = {
            let (mut reader, mut writer) = stream.split();
            let reading = read(&mut reader);
            tokio::pin!(reading);
            // A server that rejects a large body may respond and close before it has read the body.
            select! {
                biased;
                written = writer.write_all(request) => (written.is_ok(), reading.await),
                response = &mut reading => (false, response),
            }
        };
        let (response, kept) = response?;
        if whole && kept {
            self.stream = Some(stream);
        }
        Ok(response)
    }
}

/// Reads a response. Returns it, and whether the connection can be reused.
async fn read(reader: &mut ReadHalf<'_>) -> io::Result<(Response, bool)> {
    let mut bytes = Vec::with_capacity(1024);
    let end = loop {
        more(reader, &mut bytes).await?;
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not an HTTP response: {head}")))?;
    if head.contains("\r\ntransfer-encoding:") {
        return Err(io::Error::other("chunked responses are not supported"));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(Ok(0), |length| length.trim().parse::<usize>())
        .map_err(io::Error::other)?;
    while bytes.len() < end + 4 + length {
        more(reader, &mut bytes).await?;
    }
    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    let kept = !head.contains("\r\nconnection: close");
    Ok((Response { status, body }, kept))
}

async fn more(reader: &mut ReadHalf<'_>, bytes: &mut Vec<u8>) -> io::Result<()> {
    match reader.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
