//! Checks that comparing a secret takes the same number of instructions for a right and a wrong
//! value, wherever the first wrong byte is, and whatever the length of the configured token is.
//! Counted by valgrind's callgrind, so the result does not depend on the machine.
//!
//! `scripts/constant_time` runs it in release mode. Under `cargo test` it does nothing, because
//! valgrind may be missing and debug builds are not representative.

#![cfg(test)]

use std::{env, error::Error, hint::black_box, process::ExitCode};

use tower_whatsapp::{
    secret::{AppSecret, VerifyToken},
    signature::{Signature, Verifier},
};

const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &[u8] = b"a token of thirty-two characters";
/// A wrong token.
const CANDIDATE: &[u8] = &[b'x'; 32];

/// Index of the wrong byte out of 32, or "right".
const BYTES: &[&str] = &["right", "0", "15", "30", "31"];
/// Length of the configured token. The candidate has 32 bytes and is wrong.
const LENGTHS: &[&str] = &["8", "31", "32", "33", "512"];

/// Maximum difference in instructions between a right and a wrong value.
const MAX_VERDICT_COST: u64 = 2;

/// The comparisons under test, and their cases. The controls must fail: they return at the first
/// difference.
const SUBJECTS: [(&str, &[&str]); 6] = [
    ("signature", BYTES),
    ("second secret", BYTES),
    ("token", BYTES),
    ("token length", LENGTHS),
    ("control", BYTES),
    ("control length", LENGTHS),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["work", subject, case, rounds] => work(subject, case, rounds).map(|()| true),
        ["--check"] => check(),
        _ => {
            println!("constant_time: nothing to do; run scripts/constant_time");
            Ok(true)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("constant_time: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<bool, Box<dyn Error>> {
    let mut good = true;
    for (subject, cases) in SUBJECTS {
        let mut counts = Vec::new();
        for &case in cases {
            let count = bench_support::instructions_per_round(&[subject, case], [1000, 3000])?;
            counts.push(count);
            println!("{subject:<16}{case:<8}{count:>10}");
        }
        let [right, wrong @ ..] = counts.as_slice() else {
            return Err("no cases".into());
        };
        let spread = |counts: &[u64]| {
            counts
                .iter()
                .max()
                .zip(counts.iter().min())
                .map(|(most, least)| most - least)
        };
        // All wrong values must cost the same. The verdict is public, so a right value may differ
        // by a few instructions. All lengths have a wrong value.
        let verdict = if cases == BYTES { MAX_VERDICT_COST } else { 0 };
        let constant = spread(wrong) == Some(0) && spread(&[*right, wrong[0]]) <= Some(verdict);
        let expected = !subject.starts_with("control");
        good &= constant == expected;
        println!(
            "{subject:<16}{}, as it {} be",
            if constant { "constant" } else { "not constant" },
            if constant == expected {
                "must"
            } else {
                "must not"
            }
        );
    }
    Ok(good)
}

fn work(subject: &str, case: &str, rounds: &str) -> Result<(), Box<dyn Error>> {
    let rounds: u32 = rounds.parse()?;
    let is_right = case == "right";
    let spoil = |bytes: &mut [u8], bit: u8| -> Result<(), Box<dyn Error>> {
        if !is_right {
            let byte = bytes.get_mut(case.parse::<usize>()?);
            *byte.ok_or("no such byte")? ^= bit;
        }
        Ok(())
    };
    match subject {
        "signature" | "second secret" => {
            let mut secrets = vec![AppSecret::new(SECRET)?];
            if subject == "second secret" {
                secrets.insert(0, AppSecret::new("another")?);
            }
            let mut tag = tag()?;
            spoil(&mut tag, 1)?;
            let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
            let signature = Signature::parse(format!("sha256={hex}").as_bytes())?;
            let mut verifier = Verifier::new(&secrets);
            verifier.update(BODY);
            for _ in 0..rounds {
                let verdict = black_box(verifier.clone()).verify(black_box(&signature));
                assert_eq!(black_box(verdict).is_ok(), is_right);
            }
        }
        "token" => {
            let token = VerifyToken::new(TOKEN)?;
            let mut candidate = TOKEN.to_vec();
            spoil(&mut candidate, 1)?;
            for _ in 0..rounds {
                let verdict = token.matches(black_box(&candidate));
                assert_eq!(black_box(verdict), is_right);
            }
        }
        "token length" => {
            let token = VerifyToken::new(configured(case)?)?;
            for _ in 0..rounds {
                let verdict = token.matches(black_box(CANDIDATE));
                assert!(!black_box(verdict));
            }
        }
        "control length" => {
            let token = configured(case)?;
            for _ in 0..rounds {
                let verdict = black_box(token.as_slice()) == black_box(CANDIDATE);
                assert!(!black_box(verdict));
            }
        }
        _ => {
            let mut candidate = TOKEN.to_vec();
            spoil(&mut candidate, 1)?;
            for _ in 0..rounds {
                let pairs = black_box(TOKEN).iter().zip(black_box(&candidate));
                let verdict = pairs.into_iter().all(|(one, other)| one == other);
                assert_eq!(black_box(verdict), is_right);
            }
        }
    }
    Ok(())
}

/// A token of this many bytes. It differs from [`CANDIDATE`] in the last byte that both have.
fn configured(length: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let length: usize = length.parse()?;
    let mut token = vec![b'x'; length];
    token[length.min(CANDIDATE.len()) - 1] = b'y';
    Ok(token)
}

fn tag() -> Result<Vec<u8>, Box<dyn Error>> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(BODY);
    Ok(mac.finalize().into_bytes().to_vec())
}
