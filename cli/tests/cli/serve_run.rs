//! `serve` as a process: its settings, what it prints of them, and how it ends.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use http::{Request, StatusCode, Version};
use test_support::{
    process::run,
    webhook::{SECRET, send, text},
};

use crate::{ENV, program, serve::Serve};

#[tokio::test]
async fn secrets_are_made_if_none_are_given_and_kept_quiet_otherwise() {
    let serve = Serve::start(&[], &[]);
    let printed = serve.printed.join("\n");
    let value = |name: &str| {
        let line = serve
            .printed
            .iter()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    let (token, secret) = (value("verify token"), value("app secret"));
    assert_eq!((token.len(), secret.len()), (32, 32), "{printed}");
    assert_eq!(
        serve.deliver(&text("wamid.A"), &secret).await,
        StatusCode::OK
    );
    let handshake = format!("/webhook?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=7");
    assert_eq!(
        send(serve.webhook, Version::HTTP_11, Request::get(handshake), "")
            .await
            .1,
        "7"
    );

    let serve = Serve::start(&[], &ENV);
    let printed = serve.printed.join("\n");
    assert!(!printed.contains(SECRET), "{printed}");
    assert!(!printed.contains(ENV[1].1), "{printed}");
    assert!(
        printed.contains("verify token  that of WHATSAPP_VERIFY_TOKEN"),
        "{printed}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn interrupting_it_ends_it_at_once_and_while_a_page_is_connected() {
    // Often, as it depends on the order of its first steps.
    for is_connected in [false, true].repeat(20) {
        let serve = Serve::start(&[], &ENV);
        let mut page = TcpStream::connect(serve.page).unwrap();
        if is_connected {
            page.write_all(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            let mut start = [0; 15];
            page.read_exact(&mut start).unwrap();
            assert_eq!(&start, b"HTTP/1.1 200 OK");
        }
        let output = serve.process.interrupt();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
    }
}

#[tokio::test]
async fn wrong_settings_are_one_line() {
    let taken = Serve::start(&[], &ENV);
    let taken = taken.webhook.to_string();
    for (options, words) in [
        (
            &["--listen", &*taken, "--page", "127.0.0.1:0"][..],
            "choose another address with --listen",
        ),
        (
            &["--listen", "127.0.0.1:0", "--path", "webhook"],
            "the settings are refused: ",
        ),
        (&["--listen", "localhost"], "invalid socket address"),
        (&["--keep", "0"], "0 is not in 1.."),
    ] {
        let output = run(program().arg("serve").args(options).envs(ENV), b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(words), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
