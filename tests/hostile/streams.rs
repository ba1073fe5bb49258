//! B25: many streams of one HTTP/2 connection, each in frames of one byte, next to an
//! ordinary client.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_support::{SECRET, Script, Step, json::one_text, layer, sign, within};
use tokio::net::TcpStream;

use crate::{
    check::returned,
    drive::{http2, serve},
    host::Subject,
    row::Sent,
};

/// hyper's limit of concurrent streams.
const STREAMS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b25_streams_of_tiny_frames_are_all_answered() {
    // The bodies, and whether they are sent in one-byte frames, for both kinds of stream. h2 closes
    // a connection with more than about 2,000 unread small frames: these are 1,000.
    let tiny = ("[1,2]".to_owned(), true);
    let ordinary = (one_text(), false);
    for (body, bytewise) in [tiny, ordinary] {
        let subject = Subject::new(layer());
        let free = subject.layer.available_memory();
        let address = serve(subject.bare()).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        let signature = Arc::new(sign(SECRET, &body));
        let streams: Vec<_> = (0..STREAMS)
            .map(|_| {
                let (mut client, body) = (client.clone(), body.clone());
                let signature = Arc::clone(&signature);
                tokio::spawn(async move {
                    let step = if bytewise { Step::Bytewise } else { Step::Data };
                    let request = Request::post("http://h/wh")
                        .header("x-hub-signature-256", &*signature)
                        .body(Script::new([Step::Pending, step(body.into())]))
                        .unwrap();
                    client.ready().await.unwrap();
                    let response = client.send_request(request).await.unwrap();
                    let status = response.status().as_u16();
                    (status, response.collect().await.unwrap().to_bytes())
                })
            })
            .collect();
        // Other clients do not wait.
        let other = http2(address, &Sent::post(one_text())).await.unwrap();
        assert_eq!((other.status, &other.body[..]), (200, &b"taken"[..]));
        for stream in streams {
            let (status, body) = within("a stream", stream).await.unwrap();
            assert_eq!((status, &body[..]), (200, &b"taken"[..]));
        }
        connection.abort();
        returned(&subject, free, "B25").await;
        let (seen, rejections) = subject.log.take();
        assert_eq!((seen.len(), rejections.len()), (STREAMS + 1, 0));
        let len = STREAMS * body.len() + one_text().len();
        assert_eq!(subject.counter.bytes(), len);
    }
}
