//! Help, completions and man pages.

use std::{fs, path::Path, process::Output};

use test_support::process::run;

use crate::program;

const COMMANDS: [&str; 7] = [
    "serve",
    "doctor",
    "send",
    "inspect",
    "sign",
    "completions",
    "man",
];

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = run(program().args(arguments), b"");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code(), stdout, stderr)
}

#[test]
fn the_help_of_each_command_has_an_example() {
    for command in COMMANDS {
        let (code, help, _) = output(&[command, "--help"]);
        assert_eq!(code, Some(0));
        assert!(help.contains("Example"), "{help}");
        assert!(
            help.contains(&format!("whatsapp-webhook {command} ")),
            "{help}"
        );
        assert!(
            output(&["--help"]).1.contains(&format!("  {command} ")),
            "{command}"
        );
    }
    let (code, _, help) = output(&[]);
    assert_eq!(code, Some(2));
    assert!(help.contains("Usage: whatsapp-webhook <COMMAND>"), "{help}");
}

#[test]
fn completions_and_man_pages_know_all_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = output(&["completions", shell]);
        assert_eq!(code, Some(0));
        for command in COMMANDS {
            // A whole word: "command" contains "man".
            let is_letter = |c: char| c.is_ascii_alphanumeric();
            let is_listed = script.split(|c| !is_letter(c)).any(|word| word == command);
            assert!(is_listed, "{shell} {command}");
        }
    }
    let (code, page, _) = output(&["man"]);
    assert_eq!(code, Some(0));
    assert!(page.contains(".TH whatsapp-webhook 1"), "{page}");

    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    // Pages of an earlier run.
    let _ = fs::remove_dir_all(&directory);
    let path = directory.to_str().unwrap();
    assert_eq!(output(&["man", path]).0, Some(0));
    for command in COMMANDS {
        let page = directory.join(format!("whatsapp-webhook-{command}.1"));
        assert!(
            fs::read_to_string(&page).unwrap().contains("Example"),
            "{command}"
        );
    }
    // A file is in the way.
    let (code, _, error) = output(&["man", "/dev/null/man"]);
    assert_eq!(code, Some(2));
    assert!(
        error.starts_with("whatsapp-webhook: cannot write man pages into /dev/null/man"),
        "{error}"
    );
}
