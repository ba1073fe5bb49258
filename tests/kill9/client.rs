//! A minimal HTTP/1.1 client, so that its own cost is small.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::delivery::Delivery;

/// Timeout for a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// Delay between the halves of a delivery, so that the server reads them separately.
const GAP: Duration = Duration::from_millis(10);

pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a delivery and returns the status of the response.
    pub(crate) async fn send(&mut self, delivery: &Delivery) -> io::Result<u16> {
        timeout(PATIENCE, async {
            self.0.write_all(&delivery.request).await?;
            self.answer().await
        })
        .await?
    }

    /// The same in two parts.
    pub(crate) async fn send_in_halves(&mut self, delivery: &Delivery) -> io::Result<u16> {
        timeout(PATIENCE, async {
            let (first, second) = delivery.request.split_at(delivery.middle);
            self.0.write_all(first).await?;
            sleep(GAP).await;
            self.0.write_all(second).await?;
            self.answer().await
        })
        .await?
    }

    async fn answer(&mut self) -> io::Result<u16> {
        let mut status = None;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
                status = Some(code.ok_or(io::ErrorKind::InvalidData)?);
            } else if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(status.unwrap())
    }
}
