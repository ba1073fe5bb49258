//! Runs nginx, Caddy and HAProxy with the configurations of `examples/behind_proxy` in front of
//! that example, with external callers.
//!
//! They need the programs (Debian: `nginx-light`, `caddy`, `haproxy`), so they are ignored by
//! default. Build the example with `cargo build -p example-behind-proxy`, then run `cargo test -p
//! tls-tests --test behind_proxy -- --ignored`.
#![cfg(test)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "what several tests of programs share"
)]

mod caller;
mod proxy;
mod smuggling;

use std::fmt::Write;
use test_support::process::Process;
use tls_tests::pki::{Authority, CertificateRequest, Directory};

use bytes::Bytes;
use http::{Method, Request};
use tower_whatsapp::testing::sign;

use self::{
    caller::Caller,
    proxy::{Kind, Proxy},
};

const META: &str = "client.webhooks.fbclientcerts.com";
const HOST: &str = "hooks.example.com";
const SECRET: &str = "6f70656e2073657361";
const TOKEN: &str = "a token & more";

/// The longest delivery that Meta documents: 3 MB, with a thousand statuses.
fn longest() -> String {
    let mut statuses = String::new();
    for number in 0..1000 {
        let padding = "x".repeat(2850);
        let comma = if number == 0 { "" } else { "," };
        write!(statuses, r#"{comma}{{"id":"wamid.{number}","status":"sent","timestamp":"1760000000","recipient_id":"15550000002","biz_opaque_callback_data":"{padding}"}}"#).unwrap();
    }
    let mut body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","statuses":[{statuses}]}}}}]}}]}}"#
    );
    let room = 3_000_000 - body.len();
    body.push_str(&" ".repeat(room));
    body
}

fn delivery(body: &str) -> http::request::Builder {
    Request::post("/webhook").header("x-hub-signature-256", sign(body.as_bytes(), SECRET))
}

struct World {
    service: Process,
    proxy: Proxy,
    meta: Caller,
    stranger: Caller,
    /// Signed by Meta's CA, with another name.
    neighbour: Caller,
    /// Signed by another CA, with Meta's name.
    impostor: Caller,
    /// Signed by Meta's CA, with Meta's name and another one: before it, and after it.
    two_names: [Caller; 2],
    /// Dropped last: the proxy reads them.
    _files: Directory,
}

impl World {
    fn start(kind: Kind) -> Self {
        Self::with(kind, &[])
    }

    fn with(kind: Kind, env: &[(&str, &str)]) -> Self {
        let files = Directory::new(&format!("behind-{kind:?}"));
        let ours = Authority::new("an authority of servers");
        let metas = Authority::new("Meta's authority");
        let other = Authority::new("somebody's authority");
        let server = ours.sign(CertificateRequest::server(&[HOST]));
        let mut settings = vec![
            ("PROXY", kind.name()),
            ("WHATSAPP_APP_SECRET", SECRET),
            ("WHATSAPP_VERIFY_TOKEN", TOKEN),
        ];
        settings.extend(env);
        let (service, address) = Process::serve("example-behind-proxy", &settings);
        let proxy = Proxy::start(kind, &files, &server, &metas.pem(), address);
        let sender = metas
            .intermediate("Meta's intermediate")
            .sign_with_chain(CertificateRequest::client(META));
        let neighbour = metas.sign(CertificateRequest::client(&format!("{META}.example.com")));
        let impostor = other.sign(CertificateRequest::client(META));
        let two_names = [
            metas.sign(CertificateRequest::client("example.com").and_named(META)),
            metas.sign(CertificateRequest::client(META).and_named("example.com")),
        ];
        Self {
            service,
            meta: Caller::new(&ours, Some(&sender)),
            stranger: Caller::new(&ours, None),
            neighbour: Caller::new(&ours, Some(&neighbour)),
            impostor: Caller::new(&ours, Some(&impostor)),
            two_names: two_names.map(|identity| Caller::new(&ours, Some(&identity))),
            proxy,
            _files: files,
        }
    }

    async fn ask(&self, caller: &Caller, request: Request<Bytes>) -> Option<(u16, Bytes)> {
        caller.send(self.proxy.address(), request).await
    }
}

async fn check(kind: Kind) {
    let world = World::start(kind);
    let status = async |caller: &Caller, request: Request<Bytes>| {
        world.ask(caller, request).await.map(|(status, _)| status)
    };

    // The handshake needs only the token.
    let query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=";
    for caller in [&world.meta, &world.stranger] {
        let good = Request::get(format!("/webhook?{query}a+token+%26+more"))
            .body(Bytes::new())
            .unwrap();
        assert_eq!(
            world.ask(caller, good).await,
            Some((200, Bytes::from("1158201444")))
        );
        let wrong = Request::get(format!("/webhook?{query}another"))
            .body(Bytes::new())
            .unwrap();
        assert_eq!(status(caller, wrong).await, Some(403));
    }

    let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messages":[{"id":"wamid.A","type":"text","text":{"body":"hi"}}]}}]}]}"#;
    let good = || delivery(body).body(Bytes::from(body)).unwrap();
    assert_eq!(status(&world.meta, good()).await, Some(200));
    assert!(world.service.line().contains("wamid.A"));

    // 3 MB are accepted, more than 4 MiB are not.
    let long = longest();
    assert_eq!(long.len(), 3_000_000);
    let request = delivery(&long).body(Bytes::from(long.clone())).unwrap();
    assert_eq!(status(&world.meta, request).await, Some(200));
    for number in 0..1000 {
        let line = world.service.line();
        assert!(line.contains(&format!("wamid.{number}")), "{line}");
    }
    let too_long = " ".repeat(4 * 1024 * 1024 + 1);
    let request = delivery(&too_long)
        .body(Bytes::from(too_long.clone()))
        .unwrap();
    // nginx may close the connection of a caller that keeps sending. Caddy 2.6
    // reports its own rejection as one of the service. HAProxy may see a connection
    // reset after the layer's response.
    let refused = status(&world.meta, request).await;
    assert!(matches!(refused, Some(413 | 502) | None), "{refused:?}");

    // Other callers are rejected, even with a valid signature and forged headers.
    let [first, second] = &world.two_names;
    for caller in [
        &world.stranger,
        &world.neighbour,
        &world.impostor,
        first,
        second,
    ] {
        for forged in [
            &[][..],
            &[
                ("x-client-verify", "SUCCESS"),
                ("x-client-subject", "CN=client.webhooks.fbclientcerts.com"),
            ],
            // With an underscore, as CGI would map it.
            &[
                ("x_client_verify", "SUCCESS"),
                ("x_client_subject", "CN=client.webhooks.fbclientcerts.com"),
            ],
        ] {
            let mut request = good();
            for (name, value) in forged {
                request.headers_mut().append(*name, value.parse().unwrap());
            }
            let status = status(caller, request).await;
            let refused = match (kind, std::ptr::eq(caller, &world.impostor)) {
                // Rejected in the TLS handshake.
                (Kind::Caddy | Kind::Haproxy, true) => status.is_none(),
                // nginx itself answers 400 to an invalid certificate, but accepts a missing one.
                (Kind::Nginx, true) => status == Some(400),
                _ => status == Some(403),
            };
            assert!(refused, "{kind:?} {status:?} {forged:?}");
        }
    }
    // Forged headers that the proxy replaces have no effect.
    let mut request = good();
    request
        .headers_mut()
        .insert("x-client-subject", "CN=somebody".parse().unwrap());
    assert_eq!(status(&world.meta, request).await, Some(200));
    assert!(world.service.line().contains("wamid.A"));

    // A valid certificate does not replace the signature.
    let unsigned = Request::builder()
        .method(Method::POST)
        .uri("/webhook")
        .body(Bytes::from(body))
        .unwrap();
    assert_eq!(status(&world.meta, unsigned).await, Some(403));

    // No other delivery was handled.
    let output = world.service.interrupt();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 1 + 2 + 1000);
    // The log lines of the rejections.
    let log = String::from_utf8(output.stderr).unwrap();
    for line in [
        "rejected with 403: CertificateMissing: the client certificate is missing",
        "rejected with 403: CertificateRefused: ",
        "rejected with 403: SignatureMissing: ",
        "rejected with 403: HandshakeToken: ",
    ] {
        assert!(log.contains(line), "{line} is not in {log}");
    }
}

/// With an allow list, the checked address is that of the proxy's client.
async fn check_addresses(kind: Kind) {
    let body = r#"{"entry":[]}"#;
    let files = Directory::new(&format!("list-{kind:?}"));
    let path = files.write("list", "157.240.0.0/16\n");
    let world = World::with(kind, &[("ALLOW_LIST", &path)]);
    let good = || delivery(body).body(Bytes::from(body)).unwrap();
    for forged in [
        "157.240.1.1",
        "157.240.1.1, 157.240.1.2",
        "127.0.0.1, 157.240.1.1",
    ] {
        let mut request = good();
        request
            .headers_mut()
            .insert("x-forwarded-for", forged.parse().unwrap());
        assert_eq!(
            world
                .ask(&world.meta, request)
                .await
                .map(|(status, _)| status),
            Some(403),
            "{forged}"
        );
    }
    drop(world);
    // The client's own address is allowed.
    let path = files.write("list", "157.240.0.0/16\n127.0.0.2\n");
    let world = World::with(kind, &[("ALLOW_LIST", &path)]);
    assert_eq!(
        world
            .ask(&world.meta, good())
            .await
            .map(|(status, _)| status),
        Some(200)
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx() {
    check(Kind::Nginx).await;
    check_addresses(Kind::Nginx).await;
    smuggling::check(Kind::Nginx).await;
}

#[tokio::test]
#[ignore = "needs caddy"]
async fn caddy() {
    check(Kind::Caddy).await;
    check_addresses(Kind::Caddy).await;
    smuggling::check(Kind::Caddy).await;
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy() {
    check(Kind::Haproxy).await;
    check_addresses(Kind::Haproxy).await;
    smuggling::check(Kind::Haproxy).await;
    smuggling::check(Kind::LaxHaproxy).await;
}
