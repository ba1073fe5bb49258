//! S: signatures.

use http::{HeaderMap, HeaderValue};
use test_support::{
    self, SECRET, Step, TOKEN, hex,
    json::{one_text, padded},
    sign, tag,
};
use tower_whatsapp::{
    RejectionKind::{SignatureMalformed, SignatureMismatch, SignatureMissing},
    WebhookLayerBuilder,
};

use super::json::ONE_TEXT;
use crate::row::{Answer, Driver, Row, Sent};

pub(crate) fn rows() -> Vec<Row> {
    let right = sign(SECRET, one_text());
    let digits = right["sha256=".len()..].to_owned();
    let value = |value: &[u8]| Sent::unsigned(one_text()).signature(value);
    let malformed =
        |id, bytes: &str| Row::one(id, value(bytes.as_bytes())).unread(SignatureMalformed);
    let two = |first: &str, second: &str| value(first.as_bytes()).signature(second);
    let wrong = format!("sha256={}", "0".repeat(64));
    let of_another = |id, other: String| {
        let signature = sign(SECRET, other);
        Row::one(id, value(signature.as_bytes())).read(SignatureMismatch)
    };
    let many =
        |count, of: &str| (0..count).fold(Sent::unsigned(one_text()), |sent, _| sent.signature(of));
    vec![
        Row::one("S0", Sent::post(one_text())).handled(&[ONE_TEXT]),
        Row::one("S1", Sent::unsigned(one_text())).unread(SignatureMissing),
        malformed("S2", &format!("sha1={}", &digits[..40])),
        malformed("S3", &right[..right.len() - 1]),
        malformed("S4", &format!("{right}0")),
        malformed("S5", &format!("sha256={}g", &digits[..63])),
        malformed("S6", &format!("sha256={}", digits.to_ascii_uppercase())),
        malformed("S7", &format!("SHA256={digits}")),
        malformed("S8", &digits),
        malformed("S9", &format!("sha256 ={digits}")),
        malformed("S10", &format!("sha256={right}")),
        malformed("S11", &format!("\"{right}\"")),
        malformed("S12", &format!("{right},")),
        malformed("S12 none", ""),
        malformed("S12 prefix only", "sha256="),
        Row::one("S13", two(&right, &right)).unread(SignatureMalformed),
        Row::one("S13 first", two(&right, &wrong)).unread(SignatureMalformed),
        Row::one("S13 second", two(&wrong, &right)).unread(SignatureMalformed),
        malformed("S14", &format!("{right}, {right}")),
        Row::one(
            "S15",
            Sent::unsigned(one_text()).header("x-hub-signature", &right[..]),
        )
        .unread(SignatureMissing),
        Row::one(
            "S15 underscores",
            Sent::unsigned(one_text()).header("x_hub_signature_256", &right[..]),
        )
        .unread(SignatureMissing),
        Row::one("S16", in_trailer(&right)).unread(SignatureMissing),
        Row::one("S17", value(&[b"sha256=", &[0xe9; 64][..]].concat())).unread(SignatureMalformed),
        Row::one("S17 all", value(&[0xff; 71])).unread(SignatureMalformed),
        Row::one("S18", value(wrong.as_bytes())).read(SignatureMismatch),
        Row::one(
            "S18 not JSON",
            Sent::unsigned("not JSON").signature(&wrong[..]),
        )
        .read(SignatureMismatch),
        Row::one(
            "S18 chunked",
            value(wrong.as_bytes()).chunked([Step::data(one_text()), Step::data("more")]),
        )
        .read(SignatureMismatch),
        Row::one("S19", value(sign("another tenant", one_text()).as_bytes()))
            .read(SignatureMismatch),
        Row::one("S19 empty key", value(sign("", one_text()).as_bytes())).read(SignatureMismatch),
        Row::one("S20", Sent::post(one_text()))
            .with(rotation)
            .handled(&[ONE_TEXT])
            .secret_label("1"),
        Row::one(
            "S20 new",
            value(sign("the new secret", one_text()).as_bytes()),
        )
        .with(rotation)
        .handled(&[ONE_TEXT]),
        malformed("S25", &format!(" {right}")).on(&[Driver::Tower, Driver::Http2]),
        malformed("S25 behind", &format!("{right}\t")).on(&[Driver::Tower, Driver::Http2]),
        // HTTP/1 servers trim header values, as specified.
        Row::one("S25 trimmed", value(format!(" \t{right} ").as_bytes()))
            .handled(&[ONE_TEXT])
            .on(&[Driver::Http1]),
        malformed("S25 within", &format!("sha256= {digits}")),
        malformed(
            "S26",
            &format!("sha256={}", &right[7..].replace('a', "\u{430}")),
        ),
        malformed(
            "S26 base64",
            "sha256=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
        ),
        malformed("S26 prefix", &format!("hmac-sha256={digits}")),
        malformed("S26 sha512", &format!("sha512={digits}{digits}")),
        malformed("S26 version", &format!("v1={digits}")),
        malformed("S26 list", &format!("sha1={},{right}", "0".repeat(40))),
        malformed("S26 parameter", &format!("{right};v=1")),
        malformed("S26 long", &format!("sha256={}", "0".repeat(8000))),
        malformed("S26 zero digits", &format!("0x{digits}")),
        Row::one("S27", many(90, &right)).unread(SignatureMalformed),
        // hyper limits HTTP/1 requests to 100 headers, and HTTP/2 ones to 16 KiB of headers.
        Row::one("S27 more", many(200, &right))
            .unread(SignatureMalformed)
            .but(Driver::Http1, Answer::Server(431))
            .but(Driver::Http2, Answer::Server(431)),
        Row::one(
            "S28",
            Sent::unsigned(one_text()).target(format!(
                "{}?x-hub-signature-256={right}",
                test_support::PATH
            )),
        )
        .unread(SignatureMissing),
        Row::one(
            "S28 cookie",
            Sent::unsigned(one_text()).header("cookie", format!("x-hub-signature-256={right}")),
        )
        .unread(SignatureMissing),
        Row::one(
            "S28 authorization",
            Sent::unsigned(one_text()).header("authorization", &right[..]),
        )
        .unread(SignatureMissing),
        // The older header is ignored.
        Row::one(
            "S29",
            Sent::post(one_text()).header("x-hub-signature", format!("sha1={}", "0".repeat(40))),
        )
        .handled(&[ONE_TEXT]),
        Row::one(
            "S29 wrong",
            value(wrong.as_bytes()).header("x-hub-signature", &right[..]),
        )
        .read(SignatureMismatch),
        // Signatures of almost the same body.
        of_another("S30", one_text() + "\n"),
        of_another("S30 less", one_text()[1..].to_owned()),
        of_another("S30 nothing", String::new()),
        of_another(
            "S30 written otherwise",
            one_text().replace("canary", "\\u0063anary"),
        ),
        of_another("S30 its signature", right.clone()),
        Row::new("S21", bit_flips()).read(SignatureMismatch),
        Row::new("S22", byte_flips()).read(SignatureMismatch),
        Row::new("S23", prefixes()).unread(SignatureMalformed),
    ]
}

fn rotation() -> WebhookLayerBuilder {
    tower_whatsapp::WebhookLayer::builder()
        .path(test_support::PATH)
        .app_secret("the new secret")
        .app_secret(SECRET)
        .verify_token(TOKEN)
}

fn in_trailer(signature: &str) -> Sent {
    let mut trailers = HeaderMap::new();
    let value = HeaderValue::from_str(signature).unwrap();
    trailers.insert("x-hub-signature-256", value);
    Sent::unsigned("").chunked([Step::data(one_text()), Step::Trailers(Box::new(trailers))])
}

/// A valid MAC with each of its bits flipped.
fn bit_flips() -> impl Iterator<Item = Sent> {
    let right = tag(SECRET, one_text());
    (0..256).map(move |bit| {
        let mut tag = right;
        tag[bit / 8] ^= 1 << (bit % 8);
        Sent::unsigned(one_text()).signature(format!("sha256={}", hex(&tag)))
    })
}

/// A body of 1 KiB with a valid MAC, with each of its bytes flipped.
fn byte_flips() -> impl Iterator<Item = Sent> {
    let body = padded(1024);
    let signature = sign(SECRET, &body);
    (0..body.len()).map(move |place| {
        let mut body = body.clone().into_bytes();
        body[place] ^= 1;
        Sent::unsigned(body).signature(signature.clone())
    })
}

/// The first 0 to 31 bytes of a valid MAC.
fn prefixes() -> impl Iterator<Item = Sent> {
    let right = tag(SECRET, one_text());
    (0..right.len()).map(move |len| {
        Sent::unsigned(one_text()).signature(format!("sha256={}", hex(&right[..len])))
    })
}
