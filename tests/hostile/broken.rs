//! B14, B15, B19, B20, S24: faults of a connection instead of a single request.

use std::time::Duration;

use test_support::{Counter, SECRET, handshake, json::one_text, layer, sign, within};

use crate::{
    check::returned,
    drive::{Http1, serve},
    host::Subject,
    row::Sent,
};

async fn connect() -> (Subject, usize, Http1) {
    let subject = Subject::new(layer());
    let free = subject.layer.available_memory();
    let connection = Http1::connect(serve(subject.bare()).await).await;
    (subject, free, connection)
}

/// The head of a delivery with the signature of `body`.
fn head(body: &str, framing: &str) -> String {
    let signature = sign(SECRET, body);
    format!("POST /wh HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: {signature}\r\n{framing}\r\n\r\n")
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

async fn until_read(counter: &Counter, bytes: usize) {
    let read = async {
        while counter.bytes() < bytes {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("what was sent to be read", read).await;
}

#[tokio::test]
async fn b14_broken_framing_is_400_and_ends_the_connection() {
    for bad in [
        "zz\r\n",
        "-1\r\nx\r\n",
        "1\nx\n0\n\n",
        "1\r\nxy\r\n",
        "ffffffffffffffffff\r\nx",
        "1;\nx\r\n",
    ] {
        let (subject, free, mut connection) = connect().await;
        let body = one_text();
        let request = head(&body, CHUNKED) + &format!("{:x}\r\n{body}\r\n{bad}", body.len());
        connection.write(request.as_bytes()).await;
        let reply = connection.read().await.unwrap();
        assert_eq!(reply.status, 400, "{bad:?}");
        assert!(
            reply.body.is_empty() && reply.headers.is_empty(),
            "{reply:?}"
        );
        assert!(connection.is_closed().await, "{bad:?}");
        assert_eq!(subject.log.take().0.len(), 0, "{bad:?}");
        returned(&subject, free, bad).await;
    }
}

#[tokio::test]
async fn b14_b15_a_sender_that_goes_away_leaves_nothing_behind() {
    for reset in [false, true] {
        let (subject, free, mut connection) = connect().await;
        let body = one_text();
        let request = head(&body, &format!("Content-Length: {}", body.len()));
        let half = &body.as_bytes()[..body.len() / 2];
        connection.write(request.as_bytes()).await;
        connection.write(half).await;
        until_read(&subject.counter, half.len()).await;
        assert!(subject.layer.available_memory() < free);
        if reset {
            connection.reset();
        } else {
            connection.shutdown().await;
            // If there is a response, it must not accept the delivery.
            if let Some(reply) = connection.read().await {
                assert_eq!(reply.status, 400);
            }
        }
        returned(&subject, free, "gone").await;
        assert_eq!(subject.log.take().0.len(), 0);
    }
}

#[tokio::test]
async fn b19_with_both_lengths_the_chunks_count_and_nothing_is_served_from_the_rest() {
    let (subject, free, mut connection) = connect().await;
    let body = one_text();
    let smuggled = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", handshake("t", "1"));
    let framing = format!("Content-Length: 5\r\n{CHUNKED}");
    let request = head(&body, &framing) + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    connection.write((request + &smuggled).as_bytes()).await;
    let reply = connection.read().await.unwrap();
    assert_eq!((reply.status, &reply.body[..]), (200, &b"taken"[..]));
    assert!(connection.is_closed().await);
    let (seen, rejections) = subject.log.take();
    assert_eq!((seen.len(), rejections.len()), (1, 0));
    returned(&subject, free, "B19").await;
}

#[tokio::test]
async fn b20_after_an_early_413_the_connection_is_not_used_again() {
    let (subject, free, mut connection) = connect().await;
    let smuggled = "GET /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n";
    let request = head("", "Content-Length: 8000000");
    connection.write((request + smuggled).as_bytes()).await;
    assert_eq!(connection.read().await.unwrap().status, 413);
    assert!(connection.is_closed().await);
    assert_eq!(subject.log.take().0.len(), 0);
    assert_eq!(subject.counter.frames(), 0);
    returned(&subject, free, "B20").await;
}

/// No oracle: responses to all wrong signatures are the same.
#[tokio::test]
async fn s24_every_refused_signature_has_the_same_answer() {
    let right = sign(SECRET, one_text());
    let values = [
        String::new(),
        "sha256=".to_owned(),
        right[..70].to_owned(),
        right.to_uppercase(),
        format!("{right},{right}"),
        format!("sha256={}", "0".repeat(64)),
        format!("sha256={}", "f".repeat(64)),
        sign("another", one_text()),
        format!("{}0", &right[..70]).replace("=0", "=1"),
        format!("sha1={}", "0".repeat(40)),
    ];
    let mut answers = Vec::new();
    let missing = Sent::unsigned(one_text());
    let requests = values
        .iter()
        .map(|value| Sent::unsigned(one_text()).signature(value.as_bytes()))
        .chain([missing]);
    for request in requests {
        let (_, _, mut connection) = connect().await;
        answers.push(connection.exchange(&request).await.unwrap());
    }
    assert_eq!(answers.len(), 11);
    assert_eq!(answers[0].status, 403);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}
