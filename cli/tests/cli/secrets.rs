//! Environment variables with secrets: which one is read, and what is refused.

use std::{ffi::OsString, process::Command};

use http::StatusCode;
use test_support::{
    process::{Process, run},
    sign,
    webhook::text,
};

use crate::{ENV, SECRET, program, serve::Serve};

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9/webhook";
const COMMANDS: [&[&str]; 4] = [
    &["send", NOWHERE, "--sample", "text"],
    &["doctor", NOWHERE],
    &["sign"],
    &["serve", "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0"],
];

/// Returns the exit code and all that it printed.
fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command, b"{}");
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out + &err)
}

#[test]
fn white_space_around_the_app_secret_is_a_mistake() {
    for secret in [" padded", "padded\n", "\tpadded", "padded\r\n", "padded "] {
        for arguments in COMMANDS {
            let command = &mut program();
            command.args(arguments).env("WHATSAPP_APP_SECRET", secret);
            let (code, out) = output(command);
            assert_eq!(code, Some(2), "{arguments:?} {secret:?} {out}");
            assert!(out.contains("white space"), "{out}");
            assert!(!out.contains("padded") && out.lines().count() == 1, "{out}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_secret_that_is_not_utf_8_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;

    let garbled = || OsString::from_vec(b"garbled\xff".to_vec());
    for arguments in COMMANDS {
        for name in [
            "WHATSAPP_APP_SECRET",
            "WHATSAPP_VERIFY_TOKEN",
            "WHATSAPP_ACCESS_TOKEN",
        ] {
            let is_read = match arguments[0] {
                "sign" => name == "WHATSAPP_APP_SECRET",
                "doctor" => true,
                _ => name != "WHATSAPP_ACCESS_TOKEN",
            };
            if !is_read {
                continue;
            }
            let command = &mut program();
            command.args(arguments).envs(ENV).env(name, garbled());
            let (code, out) = output(command);
            assert_eq!(code, Some(2), "{arguments:?} {name} {out}");
            assert!(out.contains(&format!("{name} is not UTF-8")), "{out}");
            assert!(!out.contains("garbled"), "{out}");
        }
    }
}

/// The values are right in variables of other names, and wrong in the usual ones.
fn renamed(arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .args(arguments)
        .args(["--secret-env", "MY_SECRET"])
        .envs([("MY_SECRET", SECRET), ("MY_TOKEN", ENV[1].1)])
        .envs([
            ("WHATSAPP_APP_SECRET", "wrong"),
            ("WHATSAPP_VERIFY_TOKEN", "wrong"),
        ]);
    if arguments[0] != "sign" {
        command.args(["--token-env", "MY_TOKEN"]);
    }
    command
}

#[test]
fn secrets_are_read_from_the_variables_that_the_options_name() {
    let (_server, address) = Process::serve("quickstart", &ENV);
    let url = format!("http://{address}/webhook");
    let (code, out) = output(&mut renamed(&["send", &url, "--sample", "text"]));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("handshake             ok\n"), "{out}");
    let (code, out) = output(&mut renamed(&["doctor", &url, "--json"]));
    assert_eq!(code, Some(0), "{out}");
    for name in ["handshake", "signed"] {
        assert!(
            out.contains(&format!(r#"{{"severity":"ok","name":"{name}""#)),
            "{out}"
        );
    }
    let (code, out) = output(&mut renamed(&["sign"]));
    assert_eq!((code, out), (Some(0), sign(SECRET, "{}") + "\n"));
}

#[tokio::test]
async fn serve_reads_secrets_from_the_variables_that_the_options_name() {
    let options = ["--secret-env", "MY_SECRET", "--token-env", "MY_TOKEN"];
    let env = [
        ("MY_SECRET", SECRET),
        ("MY_TOKEN", ENV[1].1),
        ("WHATSAPP_APP_SECRET", "wrong"),
        ("WHATSAPP_VERIFY_TOKEN", "wrong"),
    ];
    let serve = Serve::start(&options, &env);
    assert_eq!(
        serve.deliver(&text("wamid.A"), SECRET).await,
        StatusCode::OK
    );
    let printed = serve.printed.join("\n");
    for line in [
        "verify token  that of MY_TOKEN",
        "app secret    that of MY_SECRET",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    let url = format!("http://{}/webhook", serve.webhook);
    let sending = tokio::task::spawn_blocking(move || {
        output(&mut renamed(&["send", &url, "--sample", "text"]))
    });
    let (code, out) = sending.await.unwrap();
    assert_eq!(code, Some(0), "{out}");
}
