//! `inspect` and `sign`: what they print of files and of standard input.

use std::path::{Path, PathBuf};

use serde_json::Value;
use test_support::{process::run, sign, webhook::text};

use crate::{SECRET, program};

/// Returns the exit code, one value per line of standard output, and standard error.
fn inspect(files: &[&str], input: &[u8]) -> (Option<i32>, Vec<Value>, String) {
    let output = run(program().arg("inspect").args(files), input);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), lines.collect(), stderr)
}

fn event(
    file: Option<&str>,
    payload: &str,
    kind: &str,
    id: Option<&str>,
    known: bool,
    unread: &[&str],
) -> Value {
    serde_json::json!({
        "file": file,
        "field": "messages",
        "payload": payload,
        "type": kind,
        "id": id,
        "known": known,
        "unread": unread,
    })
}

#[test]
fn inspect_reads_standard_input() {
    let (code, lines, stderr) = inspect(&[], text("wamid.A").as_bytes());
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_eq!(
        lines,
        [event(None, "message", "text", Some("wamid.A"), true, &[])]
    );

    let (code, lines, stderr) = inspect(&[], b"\xff");
    assert_eq!((code, &*stderr), (Some(1), ""));
    assert_eq!(
        lines,
        [serde_json::json!({"file": null, "error": "the body is not UTF-8"})]
    );
}

#[test]
fn inspect_goes_on_after_a_bad_file() {
    let files = Files::new("inspect");
    let batch = r#"{
        "object": "whatsapp_business_account",
        "entry": [{ "id": "0", "changes": [{ "field": "messages", "value": {
            "statuses": [
                { "id": "wamid.B", "status": "read", "timestamp": "1760000000" },
                { "id": "wamid.C", "status": "vanished" }
            ],
            "messages": [{ "id": "wamid.D\n", "type": "hologram", "hologram": {} }],
            "novelties": [{ "id": 7 }]
        }}]}]
    }"#;
    let batch = &*files.add("batch.json", batch);
    let empty = &*files.add(
        "empty.json",
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
    );
    let broken = &*files.add("broken.json", r#"{"object":"#);
    let text = &*files.add("text.json", text("wamid.A"));

    let expected = |lines: &[Value]| {
        assert_eq!(
            lines,
            [
                event(Some(batch), "status", "read", Some("wamid.B"), true, &[]),
                event(
                    Some(batch),
                    "status",
                    "vanished",
                    Some("wamid.C"),
                    false,
                    &[]
                ),
                event(
                    Some(batch),
                    "message",
                    "hologram",
                    Some("wamid.D\n"),
                    false,
                    &["hologram"]
                ),
                event(Some(batch), "unknown", "novelties", Some("7"), false, &[]),
                serde_json::json!({"file": broken, "error": "the body is not JSON"}),
                event(Some(text), "message", "text", Some("wamid.A"), true, &[]),
            ]
        );
    };
    // A body that cannot be parsed changes the exit code. An unknown event does not.
    assert_eq!(inspect(&[batch, empty, text], b"").0, Some(0));
    let (code, lines, stderr) = inspect(&[batch, empty, broken, text], b"");
    assert_eq!(code, Some(1));
    assert_eq!(stderr, format!("whatsapp-webhook: no event in {empty}\n"));
    expected(&lines);

    // Neither does an unreadable file change the output for the others.
    assert_eq!(
        inspect(&[&files.path("missing.json"), text], b"").0,
        Some(1)
    );
    let (missing, directory) = (&*files.path("missing.json"), &*files.path("."));
    let (code, lines, stderr) = inspect(&[missing, batch, directory, broken, text], b"");
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(missing) && stderr.contains(directory),
        "{stderr}"
    );
    expected(&lines);
}

/// A temporary directory that is removed when it is dropped.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn add(&self, name: &str, body: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, body).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn sign_prints_a_signature_per_file() {
    let files = Files::new("sign");
    let body = &*files.add("text.json", text("wamid.A"));
    let other = &*files.add("zero.json", "0\n");
    let sign_with = |arguments: &[&str], input: &[u8]| {
        let mut command = program();
        command
            .arg("sign")
            .args(arguments)
            .env("WHATSAPP_APP_SECRET", SECRET);
        let output = run(&mut command, input);
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), out, err)
    };
    let [first, second] = [sign(SECRET, text("wamid.A")), sign(SECRET, "0\n")];

    let (code, out, err) = sign_with(&[body, other], b"");
    assert_eq!(
        (code, &*out, &*err),
        (Some(0), &*format!("{first}\n{second}\n"), "")
    );
    let (code, out, _) = sign_with(&["-"], text("wamid.A").as_bytes());
    assert_eq!((code, &*out), (Some(0), &*format!("{first}\n")));

    let (_, out, _) = sign_with(&["--json", other], b"");
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        line,
        serde_json::json!({"file": other, "length": 2, "signature": second})
    );

    let (code, out, err) = sign_with(&["nowhere.json", body], b"");
    assert_eq!((code, &*out), (Some(1), &*format!("{first}\n")));
    assert!(err.contains("cannot read nowhere.json"), "{err}");
}
