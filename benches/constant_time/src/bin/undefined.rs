//! Runs under valgrind's memcheck. Marks secrets as undefined memory, so that every branch and
//! address that depends on them is reported (the idea of Langley's ctgrind).
//!
//! The verdict depends on the secret, and it is public. So the last byte of each candidate is
//! defined and wrong. A comparison of all bytes then has a defined verdict; one that stops at the
//! first difference branches on undefined bytes.

use std::{hint::black_box, mem::size_of_val, process::ExitCode, ptr::from_ref};

use crabgrind::{
    memcheck::{MemState, mark_memory},
    valgrind::{count_errors, running_mode},
};
use tower_whatsapp::{
    secret::{AppSecret, VerifyToken},
    signature::{Signature, Verifier},
};
use tower_whatsapp_constant_time::{BODY, SECRET, TOKEN, naive, signature, tag, verifier};

fn main() -> ExitCode {
    if !running_mode().is_valgrind() {
        eprintln!("undefined: must run under valgrind; use scripts/constant_time");
        return ExitCode::FAILURE;
    }
    let subjects: [(&str, fn(), bool); 6] = [
        ("signature", compare_signature_with_tag, true),
        ("second secret", compare_under_the_second_secret, true),
        ("secret", hash_under_a_secret, true),
        ("token offered", compare_offered_token, true),
        ("token configured", compare_configured_token, true),
        ("control", compare_naively, false),
    ];
    let mut good = true;
    for (name, subject, is_constant) in subjects {
        let before = count_errors();
        subject();
        let reports = count_errors() - before;
        let as_expected = (reports == 0) == is_constant;
        good &= as_expected;
        println!(
            "{name:<16}{reports:>4} reports, as it {} be",
            if as_expected { "must" } else { "must not" }
        );
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn compare_signature_with_tag() {
    compare_signature(&[SECRET]);
}

fn compare_under_the_second_secret() {
    compare_signature(&[b"another", SECRET]);
}

fn compare_signature(secrets: &[&[u8]]) {
    let mut candidate = tag();
    candidate[31] ^= 1;
    let signature = signature(&candidate);
    // The expected and the received tag meet in one XOR, so marking either of them is enough.
    mark(&signature, size_of::<Signature>() - 1, MemState::Undefined);
    let verifier = verifier(secrets);
    assert!(verifier.verify(black_box(&signature)).is_err());
}

fn hash_under_a_secret() {
    let mut secret = *SECRET;
    // Invalid UTF-8 from the first byte on, so that the check for blank secrets does
    // not read the rest.
    secret[0] = 0xff;
    mark(&secret[1..], 31, MemState::Undefined);
    let secret = AppSecret::new(black_box(secret)).expect("not blank");
    let mut verifier = Verifier::new(&[secret]);
    verifier.update(BODY);
    black_box(&verifier);
}

fn compare_offered_token() {
    let token = VerifyToken::new(TOKEN).expect("not blank");
    let mut candidate = *TOKEN;
    candidate[31] ^= 1;
    mark(&candidate, 32, MemState::Undefined);
    check_rejected(token.matches(black_box(&candidate)));
}

fn compare_configured_token() {
    let mut held = *TOKEN;
    held[0] = 0xff;
    mark(&held[1..], 31, MemState::Undefined);
    let token = VerifyToken::new(black_box(held)).expect("not blank");
    check_rejected(token.matches(black_box(TOKEN)));
}

fn compare_naively() {
    let mut candidate = *TOKEN;
    candidate[31] ^= 1;
    mark(&candidate, 31, MemState::Undefined);
    check_rejected(naive(black_box(TOKEN), black_box(&candidate)));
}

/// The verdict is public, so branching on it is allowed.
fn check_rejected(equal: bool) {
    let equal = black_box(equal);
    mark(&equal, size_of_val(&equal), MemState::DefinedIfAddressable);
    assert!(!black_box(equal));
}

fn mark<T: ?Sized>(value: &T, len: usize, state: MemState) {
    mark_memory(from_ref(value).cast(), len, state).expect("runs under valgrind");
}
