//! W: bytes on an HTTP/1 connection that no well-behaved client sends.

use test_support::{CHALLENGE, SECRET, TOKEN, handshake, json::one_text, sign};
use tower_whatsapp::RejectionKind::{
    BodyBroken, BodyTooLarge, MethodNotAllowed, SignatureMalformed, SignatureMismatch,
    SignatureMissing,
};

use super::json::ONE_TEXT;
use crate::row::{
    Answer::{self, Echo, PassedThrough, Rejected, Server},
    Polled, Wire,
};

pub(crate) fn rows() -> Vec<Wire> {
    [
        expectations(),
        versions(),
        transfer_encodings(),
        lengths(),
        chunks(),
        heads(),
        pipelines(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

fn taken() -> Answer {
    Answer::Handled(vec![ONE_TEXT.to_owned()])
}

/// The valid signature header of [`one_text`].
fn signature() -> String {
    format!("X-Hub-Signature-256: {}\r\n", sign(SECRET, one_text()))
}

fn length() -> String {
    format!("Content-Length: {}\r\n", one_text().len())
}

/// A request head with these lines, without a body.
fn head(lines: &str) -> String {
    format!("POST /wh HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

/// A valid delivery with one more header line.
fn good(line: &str) -> String {
    head(&(line.to_owned() + &signature() + &length())) + &one_text()
}

/// The same with these raw chunks.
fn chunked(line: &str, chunks: &str) -> String {
    head(&(line.to_owned() + &signature())) + chunks
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn whole() -> String {
    chunk(&one_text()) + "0\r\n\r\n"
}

fn expectations() -> Vec<Wire> {
    let expect = "Expect: 100-continue\r\n";
    let get = format!(
        "GET {} HTTP/1.1\r\nHost: h\r\n{expect}\r\n",
        handshake(TOKEN, CHALLENGE)
    );
    vec![
        Wire::new("W1", good(expect), [Server(100), taken()]).polled(Polled::All),
        // A request that is rejected by its head gets no `100 Continue`.
        Wire::new(
            "W2",
            head(&format!("{expect}{}", length())),
            [Rejected(SignatureMissing)],
        )
        .closes(),
        Wire::new(
            "W2 long",
            head(&format!(
                "{expect}{}Content-Length: 8000000\r\n",
                signature()
            )),
            [Rejected(BodyTooLarge)],
        )
        .closes(),
        Wire::new("W3", good("Expect: 200-ok\r\n"), [taken()]).polled(Polled::All),
        Wire::new("W3 handshake", get, [Echo]),
    ]
}

fn versions() -> Vec<Wire> {
    let of = |version: &str, request: String| request.replacen("HTTP/1.1", version, 1);
    vec![
        Wire::new("W4", of("HTTP/1.0", good("")), [taken()])
            .polled(Polled::All)
            .closes(),
        Wire::new(
            "W4 no length",
            of("HTTP/1.0", head(&signature())),
            [Rejected(SignatureMismatch)],
        )
        .closes(),
        Wire::new(
            "W4 chunked",
            of("HTTP/1.0", chunked(CHUNKED, &whole())),
            [Server(400)],
        )
        .closes(),
        Wire::new(
            "W4 kept",
            of("HTTP/1.0", good("Connection: keep-alive\r\n")),
            [taken()],
        )
        .polled(Polled::All),
        Wire::new("W5", of("HTTP/1.2", good("")), [Server(400)]).closes(),
        Wire::new("W5 two", of("HTTP/2.0", good("")), [Server(400)]).closes(),
        Wire::new("W5 lower case", of("http/1.1", good("")), [Server(400)]).closes(),
        Wire::new("W5 none", "GET /wh\r\n\r\n", [Server(400)]).closes(),
    ]
}

fn transfer_encodings() -> Vec<Wire> {
    let refused = |id, lines: &str| Wire::new(id, chunked(lines, &whole()), [Server(400)]).closes();
    vec![
        refused("W6", "Transfer-Encoding: gzip\r\n"),
        refused("W6 last", "Transfer-Encoding: chunked, gzip\r\n"),
        refused("W6 identity", "Transfer-Encoding: identity\r\n"),
        refused("W6 nearly", "Transfer-Encoding: xchunked\r\n"),
        refused("W6 vertical tab", "Transfer-Encoding: \x0bchunked\r\n"),
        refused("W6 quoted", "Transfer-Encoding: \"chunked\"\r\n"),
        refused("W6 empty", "Transfer-Encoding: \r\n"),
        refused(
            "W6 two lines",
            &format!("{CHUNKED}Transfer-Encoding: identity\r\n"),
        ),
        // The chunks are decoded, and the result is the signed body.
        Wire::new(
            "W7",
            chunked("Transfer-Encoding: gzip, chunked\r\n", &whole()),
            [taken()],
        )
        .polled(Polled::All),
        Wire::new(
            "W7 case",
            chunked("TRANSFER-ENCODING: CHUNKED\r\n", &whole()),
            [taken()],
        )
        .polled(Polled::All),
    ]
}

fn lengths() -> Vec<Wire> {
    let body = one_text();
    let lines = |lines: &str| head(&(signature() + lines)) + &body;
    let refused = |id, text: &str| Wire::new(id, lines(text), [Server(400)]).closes();
    let len = body.len();
    vec![
        refused(
            "W8",
            &format!("Content-Length: {len}\r\nContent-Length: 5\r\n"),
        ),
        refused(
            "W8 other way",
            &format!("Content-Length: 5\r\nContent-Length: {len}\r\n"),
        ),
        refused("W8 list", &format!("Content-Length: {len}, {len}\r\n")),
        refused("W8 words", "Content-Length: much\r\n"),
        refused("W8 point", &format!("Content-Length: {len}.0\r\n")),
        // The remaining bytes follow the request, and are not a valid one.
        Wire::new(
            "W9",
            lines("Content-Length: 10\r\n"),
            [Rejected(SignatureMismatch), Server(400)],
        )
        .polled(Polled::Any)
        .closes(),
        Wire::new(
            "W9 none",
            lines(""),
            [Rejected(SignatureMismatch), Server(400)],
        )
        .polled(Polled::Any)
        .closes(),
    ]
}

fn chunks() -> Vec<Wire> {
    let body = one_text();
    let len = body.len();
    let of =
        |id, chunks: &str| Wire::new(id, chunked(CHUNKED, chunks), [taken()]).polled(Polled::All);
    let broken = |id, chunks: &str| {
        Wire::new(id, chunked(CHUNKED, chunks), [Rejected(BodyBroken)])
            .polled(Polled::Any)
            .closes()
    };
    let head = &chunk(&body)[..];
    vec![
        of(
            "W10",
            &format!("{len:x};a=b;c=\"d\"\r\n{body}\r\n0;e\r\n\r\n"),
        ),
        of(
            "W10 zeros",
            &format!("{len:0>12x}\r\n{body}\r\n000\r\n\r\n"),
        ),
        of("W10 case", &format!("{len:X}\r\n{body}\r\n0\r\n\r\n")),
        of(
            "W10 trailers",
            &format!(
                "{head}0\r\nContent-Length: 5\r\nX-Hub-Signature-256: x\r\nHost: evil\r\n\r\n"
            ),
        ),
        broken(
            "W11",
            &format!("{head}0\r\n{}\r\n", "x: y\r\n".repeat(2000)),
        ),
        broken(
            "W11 trailer",
            &format!("{head}0\r\nx: {}\r\n\r\n", "y".repeat(20_000)),
        ),
        broken(
            "W11 extension",
            &format!("{len:x};{}\r\n{body}\r\n0\r\n\r\n", "a".repeat(20_000)),
        ),
        broken("W11 size", &format!("1{}\r\n", "0".repeat(20_000))),
        broken("W11 prefix", &format!("0x{len:x}\r\n{body}\r\n0\r\n\r\n")),
        broken("W11 sign", &format!("+{len:x}\r\n{body}\r\n0\r\n\r\n")),
        broken("W11 no end", &format!("{len:x}\r\n{body}0\r\n\r\n")),
    ]
}

fn heads() -> Vec<Wire> {
    let of = |id, line: &str| Wire::new(id, good(line), [taken()]).polled(Polled::All);
    let refused = |id, line: &str| Wire::new(id, good(line), [Server(400)]).closes();
    let lines = |count: usize| "x: y\r\n".repeat(count);
    let right = signature();
    vec![
        of("W12", "Host: evil\r\n"),
        of(
            "W12 connection",
            "Connection: X-Hub-Signature-256, keep-alive\r\n",
        ),
        of(
            "W12 upgrade",
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
        ),
        Wire::new(
            "W12 no host",
            good("").replacen("Host: h\r\n", "", 1),
            [taken()],
        )
        .polled(Polled::All),
        Wire::new("W12 end", good("Connection: close\r\n"), [taken()])
            .polled(Polled::All)
            .closes(),
        Wire::new("W12 before", format!("\r\n\r\n{}", good("")), [taken()]).polled(Polled::All),
        // hyper's limit is 100 headers, of which three are already used.
        of("W13", &lines(97)),
        Wire::new("W13 one more", good(&lines(98)), [Server(431)]).closes(),
        refused("W14 fold", "x: y\r\n z\r\n"),
        refused("W14 space", "x : y\r\n"),
        refused("W14 zero", "x: \0\r\n"),
        refused("W14 no name", ": y\r\n"),
        refused("W14 no colon", "xy\r\n"),
        refused("W14 return", "x: \ry\r\n"),
        // Two lines of the same header, in any spelling.
        Wire::new(
            "W15",
            good(&right.to_uppercase()),
            [Rejected(SignatureMalformed)],
        ),
        Wire::new(
            "W15 same",
            good(&right.to_lowercase()),
            [Rejected(SignatureMalformed)],
        ),
        Wire::new("W15 underscores", good(&right.replace('-', "_")), [taken()]).polled(Polled::All),
        Wire::new(
            "W16",
            good("").replacen("POST", "CONNECT", 1),
            [Rejected(MethodNotAllowed)],
        ),
    ]
}

fn pipelines() -> Vec<Wire> {
    let elsewhere = "GET /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n";
    let ask = format!(
        "GET {} HTTP/1.1\r\nHost: h\r\n\r\n",
        handshake(TOKEN, CHALLENGE)
    );
    let hidden = good("");
    let unsigned = head(&format!("Content-Length: {}\r\n", hidden.len())) + &hidden;
    vec![
        Wire::new(
            "W17",
            good("") + &ask + elsewhere + &ask,
            [taken(), Echo, PassedThrough, Echo],
        )
        .polled(Polled::All),
        // The content of an unread body is not parsed as a request.
        Wire::new("W18", unsigned.clone(), [Rejected(SignatureMissing)]),
        Wire::new(
            "W18 and one",
            unsigned + &ask,
            [Rejected(SignatureMissing), Echo],
        ),
        Wire::new("W19", good("") + "\0\0\0\0", [taken(), Server(400)])
            .polled(Polled::All)
            .closes(),
        Wire::new(
            "W19 chunks",
            chunked(CHUNKED, &whole()) + "0\r\n\r\n",
            [taken(), Server(400)],
        )
        .polled(Polled::All)
        .closes(),
    ]
}
