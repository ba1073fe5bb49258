//! Attempts to forge the proxy's headers: 15 shapes, from callers with each kind of certificate.
//! Prints the verdict of each row.

use std::fmt::Write;

use tls_tests::pki::CertificateRequest;
use tower_whatsapp::testing::sign;

use crate::{HOST, META, SECRET, World, caller::Caller, proxy::Kind};

/// Shapes with a well-formed request, which reaches the layer.
const WELL_FORMED: [&str; 6] = [
    "plain",
    "twice",
    "underscores",
    "hop by hop",
    "trailers",
    "HTTP/1.0",
];

/// A delivery with a unique id.
struct Delivery {
    body: String,
    signature: String,
    host: String,
}

impl Delivery {
    fn new(id: &str, port: u16) -> Self {
        let body = format!(
            r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messages":[{{"id":"{id}","type":"text","text":{{"body":"hi"}}}}]}}}}]}}]}}"#
        );
        Self {
            signature: sign(body.as_bytes(), SECRET).to_str().unwrap().to_owned(),
            body,
            host: format!("{HOST}:{port}"),
        }
    }

    /// The request with these additional header lines, and with a content length
    /// unless they contain one.
    fn with(&self, path: &str, version: &str, lines: &str) -> String {
        let mut head = format!(
            "POST {path} HTTP/{version}\r\nHost: {}\r\nX-Hub-Signature-256: {}\r\n{lines}",
            self.host, self.signature
        );
        if !lines.contains("Content-Length") && !lines.contains("Transfer-Encoding") {
            write!(head, "Content-Length: {}\r\n", self.body.len()).unwrap();
        }
        head + "\r\n"
    }

    fn whole(&self, lines: &str) -> String {
        self.with("/webhook", "1.1", &format!("{lines}Connection: close\r\n")) + &self.body
    }
}

/// Name and bytes of each shape. `forged` are header lines; `hidden` is a whole smuggled request.
fn shapes(delivery: &Delivery, hidden: &str, forged: &[String]) -> Vec<(&'static str, String)> {
    let lines = |end: &str| {
        forged
            .iter()
            .fold(String::new(), |all, line| all + line + end)
    };
    let plain = lines("\r\n");
    let names: Vec<_> = forged
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    let underscored: String = forged
        .iter()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            format!("{}:{value}\r\n", name.replace('-', "_"))
        })
        .collect();
    let length = delivery.body.len();
    let chunked = format!("{length:x}\r\n{}\r\n0\r\n", delivery.body);
    let close = "Connection: close\r\n";
    let te = "Transfer-Encoding: chunked\r\n";
    vec![
        ("plain", delivery.whole(&plain)),
        ("twice", delivery.whole(&format!("{plain}{plain}"))),
        ("underscores", delivery.whole(&underscored)),
        (
            "blank before the colon",
            delivery.whole(&plain.replace(": ", " : ")),
        ),
        (
            "folded",
            delivery.whole(&format!("X-A: b\r\n {}\r\n", forged.join("\r\n "))),
        ),
        (
            "hop by hop",
            delivery.with(
                "/webhook",
                "1.1",
                &format!("{plain}Connection: close, {}\r\n", names.join(", ")),
            ) + &delivery.body,
        ),
        (
            "trailers",
            delivery.with("/webhook", "1.1", &format!("{te}{close}")) + &chunked + &plain + "\r\n",
        ),
        (
            "line feeds",
            delivery.whole(&format!("X-A: b\n{}X-B: c\r\n", lines("\n"))),
        ),
        (
            "carriage returns",
            delivery.whole(&format!("X-A: b\r{}X-B: c\r\n", lines("\r"))),
        ),
        (
            "length and chunks",
            delivery.with(
                "/webhook",
                "1.1",
                &format!(
                    "{te}Content-Length: {}\r\n",
                    chunked.len() + 2 + hidden.len()
                ),
            ) + &chunked
                + "\r\n"
                + hidden,
        ),
        (
            "an unknown coding",
            delivery.with(
                "/webhook",
                "1.1",
                &format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n{close}"),
            ) + &delivery.body
                + hidden,
        ),
        (
            "two lengths",
            delivery.with(
                "/webhook",
                "1.1",
                &format!("Content-Length: {length}\r\nContent-Length: 0\r\n{close}"),
            ) + hidden,
        ),
        (
            "line ends in the path",
            delivery.with(
                &format!(
                    "/webhook%0d%0a{}",
                    forged.join("%0d%0a").replace(' ', "%20")
                ),
                "1.1",
                close,
            ) + &delivery.body,
        ),
        (
            "HTTP/1.0",
            delivery.with("/webhook", "1.0", &plain) + &delivery.body,
        ),
        (
            "pipelined",
            delivery.with("/webhook", "1.1", "X-A: b\r\n") + &delivery.body + hidden,
        ),
    ]
}

pub(crate) async fn check(kind: Kind) {
    let world = World::start(kind);
    let port = world.proxy.address().port();
    // Anybody can create a self-signed certificate with this name.
    let own = CertificateRequest::client(META).self_signed().pem();
    let base64: String = own
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let verdict = if kind == Kind::Nginx { "SUCCESS" } else { "0" };
    let forged = [
        format!("X-Client-Verify: {verdict}"),
        format!("X-Client-Subject: CN={META}"),
        format!("X-Client-Certificate: {base64}"),
    ];
    let [first, second] = &world.two_names;
    let callers: [(&str, &Caller); 6] = [
        ("meta", &world.meta),
        ("another", &world.neighbour),
        ("two-first", first),
        ("two-last", second),
        ("none", &world.stranger),
        ("unverified", &world.impostor),
    ];
    let mut count = 0;
    for (who, caller) in callers {
        for number in 0..15 {
            let id = format!("wamid.{who}.{number}.");
            let hidden = Delivery::new(&format!("{id}hidden"), port);
            let lines = forged
                .iter()
                .fold(String::new(), |all, line| all + line + "\r\n");
            let hidden = hidden.whole(&lines);
            let delivery = Delivery::new(&id, port);
            let shapes = shapes(&delivery, &hidden, &forged);
            assert_eq!(shapes.len(), 15);
            let (shape, bytes) = &shapes[number];
            let statuses = caller
                .send_bytes(world.proxy.address(), bytes.as_bytes())
                .await;
            println!("{kind:?}\t{who}\t{shape}\t{statuses:?}");
            let is_well_formed = WELL_FORMED.contains(shape);
            if who == "meta" {
                assert!(
                    !is_well_formed || statuses == [200],
                    "{kind:?} {shape} {statuses:?}"
                );
            } else {
                assert!(
                    !statuses.contains(&200),
                    "{kind:?} {who} {shape} {statuses:?}"
                );
                let expected = match (who, kind) {
                    ("unverified", Kind::Nginx) => &[400][..],
                    ("unverified", Kind::Caddy | Kind::Haproxy) => &[],
                    _ => &[403],
                };
                // Caddy reports a body that was refused before it was sent.
                let is_cut_off = matches!(kind, Kind::Caddy) && statuses == [502];
                assert!(
                    !is_well_formed || statuses == expected || is_cut_off,
                    "{kind:?} {who} {shape} {statuses:?}"
                );
            }
            count += 1;
        }
    }
    assert_eq!(count, 90);
    // Whatever the responses were, only genuine deliveries were handled.
    let output = world.service.interrupt();
    let printed = String::from_utf8(output.stdout).unwrap();
    let events: Vec<_> = printed
        .lines()
        .filter(|line| line.contains("wamid."))
        .collect();
    assert!(events.len() >= WELL_FORMED.len(), "{printed}");
    assert!(
        events.iter().all(|line| line.contains("wamid.meta.")),
        "{printed}"
    );
}
