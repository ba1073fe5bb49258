//! `whatsapp-webhook send` against servers with valid and invalid certificates.
#![cfg(unix)]

use std::process::Output;

use test_support::process::{command, run};
use tls_tests::pki::{Authority, CertificateRequest, Directory, Identity};

use crate::{META, SECRET, TOKEN, https::Server};

fn send(url: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command("whatsapp-webhook");
    command
        .args([
            "send",
            url,
            "--events",
            "20",
            "--rate",
            "4000",
            "--time-scale",
            "0.000001",
        ])
        .args(options)
        .env("WHATSAPP_APP_SECRET", SECRET)
        .env("WHATSAPP_VERIFY_TOKEN", TOKEN);
    let Output {
        status,
        stdout,
        stderr,
    } = run(&mut command, b"");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code(), stdout, stderr)
}

#[test]
fn it_presents_its_client_certificate() {
    let directory = Directory::new("send");
    let meta = Authority::new("the authority of Meta");
    let meta_ca = directory.write("meta.pem", &meta.pem());
    let server = Server::start("send-server", &[("TLS_CLIENT_CA", &meta_ca)]);
    let ca = directory.write("servers.pem", &server.authority.pem());
    let url = format!("https://{}/webhook", server.address);

    let files = |name: &str, identity: &Identity| {
        let certificate = directory.write(&format!("{name}.pem"), &identity.pem());
        let key = directory.write(&format!("{name}.key"), &identity.key.serialize_pem());
        (certificate, key)
    };
    let intermediate = meta.intermediate("an intermediate");
    let (certificate, key) = files(
        "client",
        &intermediate.sign_with_chain(CertificateRequest::client(META)),
    );
    let options = [
        "--ca",
        &ca,
        "--client-cert",
        &certificate,
        "--client-key",
        &key,
    ];
    let (code, report, stderr) = send(&url, &options);
    assert_eq!(code, Some(0), "{report}{stderr}");
    assert!(
        report.contains("certificate           ok\nhandshake             ok\n"),
        "{report}"
    );

    // Without a client certificate the handshake succeeds, but deliveries are rejected.
    let (code, report, stderr) = send(&url, &["--ca", &ca]);
    assert_eq!(code, Some(1), "{report}{stderr}");
    assert!(
        report.contains("handshake             ok") && report.contains("status 403"),
        "{report}"
    );

    let (certificate, key) = files("stranger", &CertificateRequest::client(META).self_signed());
    let options = [
        "--ca",
        &ca,
        "--client-cert",
        &certificate,
        "--client-key",
        &key,
    ];
    let (code, report, stderr) = send(&url, &options);
    assert_eq!(code, Some(1), "{report}{stderr}");
    assert!(!report.contains("handshake"), "{report}");

    for (options, words) in [
        (
            &["--ca", &ca, "--client-cert", &certificate][..],
            "--client-key <FILE>",
        ),
        (&["--ca", &key], "no certificate found"),
        (&["--ca", "nowhere.pem"], "nowhere.pem: "),
    ] {
        let (code, _, stderr) = send(&url, options);
        assert_eq!(code, Some(2));
        assert!(stderr.contains(words), "{stderr}");
    }
    let (code, _, stderr) = send("http://127.0.0.1:9/webhook", &["--ca", &ca]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("need a URL with https://"), "{stderr}");
}

#[test]
fn it_delivers_nothing_to_a_server_with_an_invalid_certificate() {
    let directory = Directory::new("wrong-servers");
    let good = || CertificateRequest::server(&["127.0.0.1"]);
    let authority = Authority::new("an authority");
    let intermediate = authority.intermediate("an intermediate");
    let ca = directory.write("ca.pem", &authority.pem());
    for (what, identity, words) in [
        (
            "expired",
            authority.sign(good().valid(2020, 2021)),
            "has expired",
        ),
        (
            "early",
            authority.sign(good().valid(3000, 3001)),
            "is not valid yet",
        ),
        (
            "named",
            authority.sign(CertificateRequest::server(&["example.com"])),
            "is for another name",
        ),
        (
            "unnamed",
            authority.sign(CertificateRequest::server(&[])),
            "is for another name",
        ),
        ("self-signed", good().self_signed(), "is self-signed"),
        (
            "incomplete",
            intermediate.sign(good()),
            "sent without its intermediate",
        ),
        (
            "client",
            authority.sign(CertificateRequest::client("x").alternatives(&["127.0.0.1"])),
            "was rejected (",
        ),
    ] {
        let server = Server::with(
            &format!("wrong-{what}"),
            Authority::new("unused"),
            &identity,
            &[],
        );
        let url = format!("https://{}/webhook", server.address);
        let (code, report, stderr) = send(&url, &["--ca", &ca]);
        assert_eq!((code, &*report), (Some(1), ""), "{what}: {stderr}");
        assert!(stderr.contains(words), "{what}: {stderr}");
        assert!(
            stderr.contains("Meta would not register the URL"),
            "{what}: {stderr}"
        );
    }

    // The system's CAs do not include the test's.
    let server = Server::with(
        "system",
        Authority::new("unused"),
        &authority.sign(good()),
        &[],
    );
    let url = format!("https://{}/webhook", server.address);
    let (code, report, _) = send(&url, &[]);
    assert_eq!((code, &*report), (Some(1), ""));
    // With the test's CA it is accepted.
    let (code, report, stderr) = send(&url, &["--ca", &ca]);
    assert_eq!(code, Some(0), "{report}{stderr}");
}
