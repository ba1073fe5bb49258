//! The demo, with and without credentials in the environment. The tests of `tests/examples` run the
//! program too, and find it because Cargo builds it for this one.
#![cfg(test)]

use std::process::Command;

const SECRET: (&str, &str) = ("WHATSAPP_APP_SECRET", "6f70656e2073657361");
const TOKEN: (&str, &str) = ("WHATSAPP_VERIFY_TOKEN", "a token & more");

#[test]
fn the_demo_goes_as_documented() {
    for env in [&[][..], &[SECRET, TOKEN]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
        for variable in ["ADDR", SECRET.0, TOKEN.0] {
            command.env_remove(variable);
        }
        let output = command.arg("--demo").envs(env.to_vec()).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}");
        assert_eq!(output.stderr, b"");
        assert!(stdout.ends_with("\nAll as documented.\n"), "{stdout}");
        assert!(!stdout.contains(SECRET.1) && !stdout.contains(TOKEN.1));
    }
}
