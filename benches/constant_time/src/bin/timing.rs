//! Times comparisons whose first wrong byte is the first one or the last one, in random order, and asks by Welch's test whether the times differ
//! (dudect: Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017).

use std::hint::black_box;

use dudect_bencher::{
    BenchRng, Class, CtRunner, ctbench_main,
    rand::{Rng, RngExt},
};
use tower_whatsapp::secret::VerifyToken;
use tower_whatsapp_constant_time::{SECRET, TOKEN, naive, signature, tag, verifier};

const SAMPLES: usize = 1_000_000;

/// Random bytes that begin as `right` does: not at all, or up to the last byte.
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

fn compared(runner: &mut CtRunner, rng: &mut BenchRng, secrets: &[&[u8]]) {
    let verifier = verifier(secrets);
    // Written out before anything is timed: how long that takes depends on the digits, and what comes next in the processor on that.
    let candidates: Vec<_> = candidates(rng, &tag())
        .iter()
        .map(|(class, candidate)| (*class, signature(candidate)))
        .collect();
    for (class, candidate) in candidates {
        runner.run_one(class, || verifier.clone().verify(black_box(&candidate)));
    }
}

fn signature_under_the_only_secret(runner: &mut CtRunner, rng: &mut BenchRng) {
    compared(runner, rng, &[SECRET]);
}

fn signature_under_the_second_secret(runner: &mut CtRunner, rng: &mut BenchRng) {
    compared(runner, rng, &[b"another", SECRET]);
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
