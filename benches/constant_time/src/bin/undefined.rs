//! Under valgrind's memcheck: marks what must not be told as undefined, so that each branch and each address that depends on it is reported (the idea
//! of Langley's ctgrind).
//!
//! The verdict itself depends on the secret, and everybody hears it. So the last byte of a candidate is known and wrong, which settles the
//! verdict for whoever looks at all bytes, and settles nothing for whoever ends at the first difference.

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
        eprintln!("undefined: runs under valgrind; scripts/constant_time runs it so");
        return ExitCode::FAILURE;
    }
    let subjects: [(&str, fn(), bool); 6] = [
        ("signature", compared_with_a_signature, true),
        ("second secret", compared_under_the_second_secret, true),
        ("secret", hashed_under_a_secret, true),
        ("token offered", compared_with_an_offered_token, true),
        ("token held", compared_with_a_held_token, true),
        ("control", compared_naively, false),
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

fn compared_with_a_signature() {
    compared(&[SECRET]);
}

fn compared_under_the_second_secret() {
    compared(&[b"another", SECRET]);
}

fn compared(secrets: &[&[u8]]) {
    let mut candidate = tag();
    candidate[31] ^= 1;
    let signature = signature(&candidate);
    // The tag that is expected and the one that was sent meet in one operation, which does not know which of them is the secret.
    mark(&signature, size_of::<Signature>() - 1, MemState::Undefined);
    let verifier = verifier(secrets);
    assert!(verifier.verify(black_box(&signature)).is_err());
}

fn hashed_under_a_secret() {
    let mut secret = *SECRET;
    // Not text, as the first byte tells: so the rest is not looked at when the secret is checked for blanks.
    secret[0] = 0xff;
    mark(&secret[1..], 31, MemState::Undefined);
    let secret = AppSecret::new(black_box(secret)).expect("not blank");
    let mut verifier = Verifier::new(&[secret]);
    verifier.update(BODY);
    black_box(&verifier);
}

fn compared_with_an_offered_token() {
    let token = VerifyToken::new(TOKEN).expect("not blank");
    let mut candidate = *TOKEN;
    candidate[31] ^= 1;
    mark(&candidate, 32, MemState::Undefined);
    verdict(token.matches(black_box(&candidate)));
}

fn compared_with_a_held_token() {
    let mut held = *TOKEN;
    held[0] = 0xff;
    mark(&held[1..], 31, MemState::Undefined);
    let token = VerifyToken::new(black_box(held)).expect("not blank");
    verdict(token.matches(black_box(TOKEN)));
}

fn compared_naively() {
    let mut candidate = *TOKEN;
    candidate[31] ^= 1;
    mark(&candidate, 31, MemState::Undefined);
    verdict(naive(black_box(TOKEN), black_box(&candidate)));
}

/// What everybody gets to hear may be branched on.
fn verdict(equal: bool) {
    let equal = black_box(equal);
    mark(&equal, size_of_val(&equal), MemState::DefinedIfAddressable);
    assert!(!black_box(equal));
}

fn mark<T: ?Sized>(value: &T, len: usize, state: MemState) {
    mark_memory(from_ref(value).cast(), len, state).expect("runs under valgrind");
}
