//! B: lengths, frames and encodings. Slow, broken and memory-filling bodies have their own tests.

use http::{HeaderMap, HeaderName, HeaderValue};
use test_support::{BODY_LIMIT, Step, builder, json, json::one_text};
use tower_whatsapp::{
    RejectionKind::{BodyBroken, BodyTooLarge, ContentEncoding, NotJson, SignatureMissing},
    WebhookLayerBuilder,
};

use super::json::ONE_TEXT;
use crate::row::{Answer, Driver, Polled, Row, Sent};

/// The body limit for rows that test it, low to be fast.
const LIMIT: usize = 64 * 1024;

const TOWER: &[Driver] = &[Driver::Tower];

pub(crate) fn rows() -> Vec<Row> {
    let huge = |id, length: u128| {
        Row::one(id, Sent::post(one_text()).declared(length)).unread(BodyTooLarge)
    };
    let encoding = |id, value: &str| {
        let sent = Sent::post(one_text()).header("content-encoding", value);
        Row::one(id, sent).unread(ContentEncoding)
    };
    // A server would reject this.
    let lie = |id, length: &str| {
        Row::one(id, declared(Sent::post(one_text()), length))
            .handled(&[ONE_TEXT])
            .but(Driver::Http1, Answer::Server(400))
            .on(&[Driver::Tower, Driver::Http1])
    };
    let reset = |id, sent: Sent| {
        Row::one(id, sent)
            .but(Driver::Http2, Answer::Gone)
            .polled(Polled::Any)
            .on(&[Driver::Http2])
    };
    let form = "--x\r\ncontent-disposition: form-data; name=\"entry\"\r\n\r\n[]\r\n--x--\r\n";
    let exact = |len| json::padded(len);
    let text = |len: usize| format!("message wamid.A {}", "x".repeat(len - overhead()));
    vec![
        Row::one("B1", Sent::post(exact(LIMIT)))
            .with(low)
            .handled(&[&text(LIMIT)]),
        Row::one("B1 default", Sent::post(exact(BODY_LIMIT)))
            .handled(&[&text(BODY_LIMIT)])
            .on(TOWER),
        Row::one("B1 chunked", chunked(exact(LIMIT)))
            .with(low)
            .handled(&[&text(LIMIT)]),
        Row::one("B2", Sent::post(one_text()).declared(LIMIT + 1))
            .with(low)
            .unread(BodyTooLarge)
            .closes(),
        Row::one(
            "B2 default",
            Sent::post(one_text()).declared(BODY_LIMIT + 1),
        )
        .unread(BodyTooLarge)
        .closes(),
        Row::one("B2 not signed", Sent::unsigned("").declared(LIMIT + 1))
            .with(low)
            .unread(SignatureMissing)
            .closes(),
        Row::one("B3", chunked(exact(LIMIT + 1)))
            .with(low)
            .read(BodyTooLarge)
            .polled(Polled::OneFrameOver(LIMIT)),
        Row::one("B3 much", chunked(exact(1_000_000)))
            .with(low)
            .read(BodyTooLarge)
            .polled(Polled::OneFrameOver(LIMIT))
            .closes(),
        Row::one(
            "B3 endless",
            Sent::post("").chunked([Step::data(vec![b' '; LIMIT + 1]), Step::Stall]),
        )
        .with(low)
        .read(BodyTooLarge)
        .polled(Polled::OneFrameOver(LIMIT))
        .closes(),
        huge("B4", 8_000_000_000).closes(),
        huge("B5", 1 << 60).closes(),
        // For larger values the servers respond themselves.
        huge("B6", 1 << 63),
        huge("B7", u128::from(u64::MAX))
            .but(Driver::Http1, Answer::Server(431))
            .but(Driver::Http2, Answer::Gone),
        huge("B8", 1 << 64)
            .but(Driver::Http1, Answer::Server(400))
            .but(Driver::Http2, Answer::Gone),
        Row::one("B10", declared(Sent::post(exact(3 * 1024 * 1024)), "10"))
            .handled(&[&text(3 * 1024 * 1024)])
            .on(TOWER),
        Row::one("B10 more", declared(Sent::post(one_text()), "100000"))
            .handled(&[ONE_TEXT])
            .on(TOWER),
        Row::one("B10 plus", declared(Sent::post(one_text()), "+5"))
            .handled(&[ONE_TEXT])
            .but(Driver::Http1, Answer::Server(400))
            .on(&[Driver::Tower, Driver::Http1]),
        // Over HTTP/2 a wrong length resets the stream.
        reset(
            "B10 less, over HTTP/2",
            declared(Sent::post(one_text()), "10"),
        ),
        reset(
            "B10 more, over HTTP/2",
            declared(Sent::post(one_text()), "100000"),
        ),
        Row::one("B11", bytewise(exact(3 * 1024 * 1024)))
            .with(patient)
            .handled(&[&text(3 * 1024 * 1024)])
            .on(TOWER),
        Row::one("B11 sockets", bytewise(exact(20_000)))
            .handled(&[&text(20_000)])
            .on(&[Driver::Http1]),
        // h2 closes a connection with very many tiny frames, before the layer would.
        Row::one("B11 few", bytewise(exact(300)))
            .handled(&[&text(300)])
            .on(&[Driver::Http2]),
        Row::one(
            "B12",
            Sent::post(one_text()).chunked([Step::Empty(100_000), Step::data(one_text())]),
        )
        .handled(&[ONE_TEXT])
        .on(TOWER),
        Row::one(
            "B12 between",
            Sent::post("{}").chunked([
                Step::data("{"),
                Step::Empty(1000),
                Step::Pending,
                Step::data("}"),
                Step::Empty(1000),
            ]),
        )
        .handled(&[])
        .on(TOWER),
        Row::one(
            "B14",
            Sent::post(one_text()).chunked([Step::data(&b"{\"a\":"[..]), Step::Fail]),
        )
        .read(BodyBroken)
        .polled(Polled::Any)
        .but(Driver::Http2, Answer::Gone)
        .closes(),
        Row::one("B14 at once", Sent::post(one_text()).chunked([Step::Fail]))
            .read(BodyBroken)
            .polled(Polled::Any)
            .but(Driver::Http2, Answer::Gone)
            .closes(),
        // All bytes are correct, but the end is missing.
        Row::one(
            "B14 at the end",
            Sent::post(one_text()).chunked([Step::data(one_text()), Step::Fail]),
        )
        .read(BodyBroken)
        .polled(Polled::Any)
        .but(Driver::Http2, Answer::Gone)
        .closes(),
        Row::one("B18", Sent::post("")).read(NotJson),
        Row::one("B18 chunked", Sent::post("").chunked([])).read(NotJson),
        Row::one("B18 white", Sent::post(" \r\n\t")).read(NotJson),
        encoding("B21", "gzip"),
        encoding("B21 br", "br"),
        encoding("B21 two", "identity, gzip"),
        encoding("B21 nothing", ""),
        Row::one(
            "B21 second",
            Sent::post(one_text())
                .header("content-encoding", "identity")
                .header("content-encoding", "gzip"),
        )
        .unread(ContentEncoding),
        Row::one(
            "B21 identity",
            Sent::post(one_text()).header("content-encoding", "Identity"),
        )
        .handled(&[ONE_TEXT]),
        encoding("B21 x-gzip", "x-gzip"),
        encoding("B21 identity twice", "identity, identity"),
        encoding("B21 identity and more", "identity;q=1"),
        encoding("B21 any byte", "\u{ff}"),
        // Only where no server trims the value.
        encoding("B21 space", " identity").on(TOWER),
        Row::one(
            "B27",
            declared(
                Sent::post(one_text()),
                &format!("{:0>40}", one_text().len()),
            ),
        )
        .handled(&[ONE_TEXT])
        .on(&[Driver::Tower, Driver::Http1]),
        lie("B27 hex", "0x10"),
        lie("B27 less than nothing", "-1"),
        lie("B27 two", "5, 5"),
        lie("B27 exponent", "1e3"),
        lie("B27 separator", "1_000"),
        lie("B27 wide", "\u{ff11}"),
        lie("B27 nothing", ""),
        lie("B27 zero", "0").on(TOWER),
        lie("B27 one less", &(one_text().len() - 1).to_string()).on(TOWER),
        Row::one(
            "B27 digits",
            Sent::post(one_text()).declared("9".repeat(4000)),
        )
        .unread(BodyTooLarge)
        .but(Driver::Http1, Answer::Server(400))
        .but(Driver::Http2, Answer::Gone),
        // Trailers are not signed, so neither their number nor their content matters.
        Row::one("B28", trailing(50)).handled(&[ONE_TEXT]),
        Row::one("B28 only", Sent::post("").chunked([trailers(1)])).read(NotJson),
        Row::one(
            "B29",
            Sent::post(one_text()).header("content-type", "text/plain"),
        )
        .handled(&[ONE_TEXT]),
        Row::one(
            "B29 charset",
            Sent::post(one_text()).header("content-type", "application/json; charset=utf-16"),
        )
        .handled(&[ONE_TEXT]),
        Row::one(
            "B29 form",
            Sent::post(form).header("content-type", "multipart/form-data; boundary=x"),
        )
        .read(NotJson),
        Row::one(
            "B30",
            Sent::post(one_text())
                .header("upgrade", "websocket")
                .header("connection", "upgrade"),
        )
        .handled(&[ONE_TEXT])
        .on(&[Driver::Tower, Driver::Http1]),
        Row::one(
            "B30 refused",
            Sent::unsigned(one_text())
                .header("upgrade", "h2c")
                .header("http2-settings", "AAMAAABkAAQAAP__")
                .header("connection", "upgrade, http2-settings"),
        )
        .unread(SignatureMissing)
        .on(&[Driver::Tower, Driver::Http1]),
        Row::one("B26", Sent::post(exact(2_621_440))).handled(&[&text(2_621_440)]),
        Row::one("B26 chunked", chunked(exact(2_621_440))).handled(&[&text(2_621_440)]),
    ]
}

fn low() -> WebhookLayerBuilder {
    builder().body_limit(LIMIT).memory_budget(1024 * 1024)
}

/// Timeouts that are long enough for a busy machine.
fn patient() -> WebhookLayerBuilder {
    let builder = builder();
    #[cfg(feature = "tokio")]
    let builder = builder.body_deadline(std::time::Duration::from_secs(600));
    builder
}

/// Bytes of a padded text message in addition to the text.
fn overhead() -> usize {
    json::messages(&json::text("wamid.A", "")).len()
}

/// The same delivery in pieces of 10,000 bytes.
fn chunked(body: String) -> Sent {
    let pieces: Vec<Step> = body
        .as_bytes()
        .chunks(10_000)
        .map(|piece| Step::data(piece.to_vec()))
        .collect();
    Sent::post(body).chunked(pieces)
}

fn bytewise(body: String) -> Sent {
    Sent::post(body.clone()).chunked([Step::Bytewise(body.into())])
}

fn trailing(count: usize) -> Sent {
    Sent::post(one_text()).chunked([Step::data(one_text()), trailers(count)])
}

fn trailers(count: usize) -> Step {
    let mut trailers = HeaderMap::new();
    for number in 0..count {
        let name = HeaderName::try_from(format!("x-{number}")).unwrap();
        trailers.insert(name, HeaderValue::from_static("canary"));
    }
    trailers.insert("x-hub-signature-256", HeaderValue::from_static("sha256="));
    Step::Trailers(Box::new(trailers))
}

/// The same delivery with another `Content-Length`.
fn declared(sent: Sent, length: &str) -> Sent {
    let steps = sent.steps.clone();
    Sent {
        steps,
        ..sent.declared(length)
    }
}
