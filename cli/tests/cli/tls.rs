//! The options of certificates: all of a file counts, not only its start.

use std::sync::Arc;

use axum::{Router, routing::post};
use test_support::process::run;
use tls_tests::pki::{Authority, CertificateRequest, Directory, Identity};
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier,
};

use crate::{ENV, doctor::serve_with, program};

fn server(identity: &Identity, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    config
        .with_single_cert(identity.ders(), identity.key())
        .unwrap()
}

fn app() -> Router {
    Router::new().route("/webhook", post(async || ()))
}

/// Returns the exit code and all that it printed.
async fn output(command: &str, url: &str, options: &[&str]) -> (Option<i32>, String) {
    let mut command = {
        let mut program = program();
        program
            .args([command, url])
            .args(options)
            .env(ENV[0].0, ENV[0].1);
        program
    };
    let output = spawn_blocking(move || run(&mut command, b"")).await;
    let output = output.unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out + &err)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_authority_of_the_file_is_trusted_and_no_other() {
    let authorities = ["first", "second", "third"].map(Authority::new);
    let pems: String = authorities.iter().map(Authority::pem).collect();
    let files = Directory::new("cli-authorities");
    let ca = files.write("ca.pem", &pems);
    let stranger = Authority::new("a stranger");
    for (index, authority) in authorities.iter().chain([&stranger]).enumerate() {
        let is_trusted = index < authorities.len();
        let identity = authority.sign(CertificateRequest::server(&["127.0.0.1"]));
        let address = serve_with(server(&identity, None), app()).await;
        let url = format!("https://{address}/webhook");
        let (code, out) = output("send", &url, &["--ca", &ca, "--sample", "text"]).await;
        assert_eq!(code, Some(i32::from(!is_trusted)), "{index} {out}");
        let (_, out) = output("doctor", &url, &["--ca", &ca, "--json"]).await;
        let is_good = r#"{"severity":"ok","name":"certificate""#;
        assert_eq!(out.contains(is_good), is_trusted, "{index} {out}");
        assert_eq!(out.contains(r#""name":"signed""#), is_trusted, "{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_sent_with_its_intermediates() {
    let authority = Authority::new("an authority");
    let intermediate = authority.intermediate("an intermediate");
    let identity = authority.sign(CertificateRequest::server(&["127.0.0.1"]));
    let address = serve_with(server(&identity, Some(&authority)), app()).await;
    let url = format!("https://{address}/webhook");

    let client = intermediate.sign_with_chain(CertificateRequest::client("a client"));
    let files = Directory::new("cli-client");
    let [ca, chain, leaf, key] = [
        ("ca.pem", authority.pem()),
        ("chain.pem", client.pem()),
        ("leaf.pem", client.pems[0].clone()),
        ("key.pem", client.key.serialize_pem()),
    ]
    .map(|(name, pem)| files.write(name, &pem));
    let sample = ["--sample", "text", "--ca", &ca];
    let with = |certificate| {
        [
            &sample[..],
            &["--client-cert", certificate, "--client-key", &key],
        ]
        .concat()
    };
    let (code, out) = output("send", &url, &with(&chain)).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("text  200  "), "{out}");
    for options in [with(&leaf), sample.to_vec()] {
        let (code, out) = output("send", &url, &options).await;
        assert_eq!(code, Some(1), "{out}");
        assert!(!out.contains(" 200 "), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn send_says_what_is_wrong_with_a_certificate() {
    let good = || CertificateRequest::server(&["127.0.0.1"]);
    let authority = Authority::new("an authority");
    let files = Directory::new("cli-wrong");
    let ca = files.write("ca.pem", &authority.pem());
    for (words, identity) in [
        ("has expired", authority.sign(good().valid(2020, 2021))),
        ("is not valid yet", authority.sign(good().valid(3000, 3001))),
        (
            "is for another name",
            authority.sign(CertificateRequest::server(&["example.com"])),
        ),
        ("is self-signed, signed by an", good().self_signed()),
    ] {
        let address = serve_with(server(&identity, None), app()).await;
        let url = format!("https://{address}/webhook");
        for options in [&["--sample", "text"][..], &["--events", "1"]] {
            let options = [options, &["--ca", &ca]].concat();
            let (code, out) = output("send", &url, &options).await;
            assert_eq!(code, Some(1), "{words} {out}");
            let start = format!("whatsapp-webhook: the server's certificate {words}");
            assert!(out.starts_with(&start) && out.lines().count() == 1, "{out}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_certificates_need_an_https_url() {
    let files = Directory::new("cli-http");
    let authority = Authority::new("an authority");
    let client = authority.sign(CertificateRequest::client("a client"));
    let ca = files.write("ca.pem", &authority.pem());
    let [certificate, key] = [
        ("leaf.pem", client.pem()),
        ("key.pem", client.key.serialize_pem()),
    ]
    .map(|(name, pem)| files.write(name, &pem));
    let certificate = ["--client-cert", &*certificate, "--client-key", &key];
    for options in [&["--ca", &*ca][..], &certificate] {
        for format in [&[][..], &["--json"]] {
            let options = [options, format, &["--sample", "text"]].concat();
            let (code, out) = output("send", "http://127.0.0.1:9/webhook", &options).await;
            assert_eq!(code, Some(2), "{out}");
            assert!(out.contains("need a URL with https://"), "{out}");
        }
    }
}
