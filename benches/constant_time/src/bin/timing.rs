//! Times comparisons whose first wrong byte is the first or the last one, in random order. Welch's
//! t-test tells whether the times differ (dudect: Reparaz, Balasch, Verbauwhede, "Dude, is my code
//! constant time?", 2017).

use std::hint::black_box;

use dudect_bencher::{
    BenchRng, Class, CtRunner, ctbench_main,
    rand::{Rng, RngExt},
};
use tower_whatsapp::secret::VerifyToken;
use tower_whatsapp_constant_time::{SECRET, TOKEN, naive, signature, tag, verifier};

const SAMPLES: usize = 1_000_000;

/// Random candidates that differ from `right` in the first byte, or only in the last byte.
fn candidates(rng: &mut BenchRng, right: &[u8; 32]) -> Vec<(Class, [u8; 32])> {
    let mut candidate = || {
        let mut bytes = *right;
        if rng.random() {
            rng.fill_bytes(&mut bytes);
            bytes[0] = !right[0];
            (Class::Left, bytes)
        } else {
            bytes[31] = !right[31];
            (Class::Right, bytes)
        }
    };
    (0..SAMPLES).map(|_| candidate()).collect()
}

fn compare_signature(runner: &mut CtRunner, rng: &mut BenchRng, secrets: &[&[u8]]) {
    let verifier = verifier(secrets);
    // Parsed before anything is timed. Parsing takes a time that depends on the digits, and would
    // affect the state of the processor for the comparison.
    let candidates: Vec<_> = candidates(rng, &tag())
        .iter()
        .map(|(class, candidate)| (*class, signature(candidate)))
        .collect();
    for (class, candidate) in candidates {
        runner.run_one(class, || verifier.clone().verify(black_box(&candidate)));
    }
}

fn signature_under_the_only_secret(runner: &mut CtRunner, rng: &mut BenchRng) {
    compare_signature(runner, rng, &[SECRET]);
}

fn signature_under_the_second_secret(runner: &mut CtRunner, rng: &mut BenchRng) {
    compare_signature(runner, rng, &[b"another", SECRET]);
}

fn token(runner: &mut CtRunner, rng: &mut BenchRng) {
    let token = VerifyToken::new(TOKEN).expect("not blank");
    for (class, candidate) in candidates(rng, TOKEN) {
        runner.run_one(class, || token.matches(black_box(&candidate)));
    }
}

fn control(runner: &mut CtRunner, rng: &mut BenchRng) {
    for (class, candidate) in candidates(rng, TOKEN) {
        runner.run_one(class, || naive(black_box(TOKEN), black_box(&candidate)));
    }
}

ctbench_main!(
    signature_under_the_only_secret,
    signature_under_the_second_secret,
    token,
    control
);
