//! Rules 1 to 5 without concurrency: states, fencing and repeated calls.

use std::slice;

use tokio::time::sleep;

use super::harness::{EXPIRED, Harness, LONG, SHORT, all_are};
use crate::{
    dedup::{Claim, Commit, Renewal, Store, Token},
    event::EventKey,
};

/// Rule 1: keys that differ in one byte are different keys, for any byte values.
///
/// Finds columns that end at the first NUL, that keep only one end of a key, that are text in some
/// encoding, or that compare case-insensitively.
pub(super) async fn keys_that_differ_in_one_byte<S: Store>(harness: Harness<S>) {
    const BYTES: [u8; 10] = [0, 1, b' ', b'A', b'a', 0x7F, 0x80, 0xC3, 0xFE, 0xFF];
    let base = harness.key().to_bytes();
    let mut keys = vec![base];
    for position in 0..base.len() {
        let with = |mut key: [u8; 16], value: u8| {
            if let Some(byte) = key.get_mut(position) {
                *byte = value;
            }
            key
        };
        keys.extend(BYTES.map(|value| with(base, value)));
        // Equal to the base up to the NUL or 0xFF, and different in every byte after it.
        let inverse = base.map(|byte| !byte);
        let (start, rest) = (base.iter().take(position), inverse.iter().skip(position));
        let mut mixed = [0; 16];
        mixed
            .iter_mut()
            .zip(start.chain(rest))
            .for_each(|(byte, value)| *byte = *value);
        keys.extend([0, 0xFF].map(|value| with(mixed, value)));
    }
    keys.sort_unstable();
    keys.dedup();
    let keys: Vec<_> = keys.into_iter().map(EventKey::from_bytes).collect();
    // Each key has its own token, so that a key that is taken for another is detected.
    let tokens: Vec<_> = keys.iter().map(|_| Token::random()).collect();
    for (key, token) in keys.iter().zip(&tokens) {
        let claim = harness.claim_one(*key, *token, LONG).await;
        assert_eq!(
            claim,
            Claim::Claimed,
            "rule 1: a claim of an absent key that differs from others in one byte. \
             A key is 16 arbitrary bytes"
        );
    }
    let claims = harness.claim(&keys, Token::random(), LONG).await;
    assert!(
        all_are(&claims, Claim::Pending),
        "rule 1: a claim of pending keys that differ in one byte: {claims:?}"
    );
    for (key, token) in keys.iter().zip(tokens) {
        harness.release(slice::from_ref(key), token).await;
    }
}

/// Rules 1 to 4, without concurrency: claims, commits and releases in each of the three states.
pub(super) async fn state_transitions<S: Store>(harness: Harness<S>) {
    let key = harness.key();
    let (first, second) = (Token::random(), Token::random());
    harness.release(&[key], first).await;
    let claim = harness.claim_one(key, first, LONG).await;
    assert_eq!(claim, Claim::Claimed, "rule 1: a claim of an absent key");
    let claim = harness.claim_one(key, second, LONG).await;
    assert_eq!(claim, Claim::Pending, "rule 1: a claim of a pending key");
    harness.release(&[key], first).await;
    let claim = harness.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Claimed,
        "rule 2: a claim of a key that its holder released"
    );
    let commit = harness.commit_one(key, LONG, second).await;
    assert_eq!(commit, Commit::Recorded, "rule 2: a commit by the holder");
    for (token, whose) in [(first, "another token"), (second, "the holder's token")] {
        let claim = harness.claim_one(key, token, LONG).await;
        assert_eq!(
            claim,
            Claim::Done,
            "rule 4: a claim of a done key under {whose}"
        );
    }

    let key = harness.key();
    let commit = harness.commit_one(key, LONG, first).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit of an absent key"
    );
    let claim = harness.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 3: a claim after the commit of an absent key"
    );

    let key = harness.key();
    harness.claim_one(key, first, LONG).await;
    harness.release(&[key], first).await;
    let commit = harness.commit_one(key, LONG, first).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit of a key that was released"
    );
    let claim = harness.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 3: a claim after the commit of a released key"
    );
}

/// Rule 2: calls under another token do not change a held key.
pub(super) async fn calls_by_others<S: Store>(harness: Harness<S>) {
    let key = harness.key();
    let (holder, other) = (Token::random(), Token::random());
    harness.claim_one(key, holder, LONG).await;
    harness.release(&[key], other).await;
    let claim = harness.claim_one(key, other, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 2: a claim after a release under another token"
    );
    let commit = harness.commit_one(key, LONG, other).await;
    assert_eq!(
        commit,
        Commit::Fenced,
        "rule 2: a commit under another token"
    );
    let renewal = harness.renew_one(key, other, LONG).await;
    assert_eq!(
        renewal,
        Renewal::Lost,
        "rule 2: a renewal under another token"
    );
    let claim = harness.claim_one(key, other, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 2: a claim after a commit and a renewal under another token"
    );
    let commit = harness.commit_one(key, LONG, holder).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit by the holder after calls under another token"
    );

    let key = harness.key();
    let mut near = holder.to_bytes();
    if let Some(last) = near.last_mut() {
        *last ^= 1;
    }
    harness.claim_one(key, holder, LONG).await;
    let commit = harness.commit_one(key, LONG, Token::from_bytes(near)).await;
    assert_eq!(
        commit,
        Commit::Fenced,
        "rule 2: a commit under a token that differs in one bit"
    );
}

/// Rule 5: calls are idempotent.
pub(super) async fn repeated_calls<S: Store>(harness: Harness<S>) {
    let key = harness.key();
    let (holder, other) = (Token::random(), Token::random());
    for _ in 0..3 {
        let claim = harness.claim_one(key, holder, LONG).await;
        assert_eq!(claim, Claim::Claimed, "rule 5: a repeated claim");
    }
    let claim = harness.claim_one(key, other, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 5: a claim under another token after repeated claims"
    );
    for _ in 0..3 {
        let commit = harness.commit_one(key, LONG, holder).await;
        assert_eq!(commit, Commit::Recorded, "rule 5: a repeated commit");
    }
    let claim = harness.claim_one(key, other, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 5: a claim after a repeated commit"
    );

    let key = harness.key();
    harness.claim_one(key, holder, LONG).await;
    harness.release(&[key], holder).await;
    harness.claim_one(key, other, LONG).await;
    harness.release(&[key], holder).await;
    let claim = harness.claim_one(key, holder, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 5: a claim after a repeated release of a key that another token claimed in between"
    );
}

/// Rule 4: no call undoes a done key or shortens its window.
pub(super) async fn done_is_final<S: Store>(harness: Harness<S>) {
    let (holder, other) = (Token::random(), Token::random());
    let keys = harness.keys(4);
    let windows: Vec<_> = keys.iter().map(|key| (*key, LONG)).collect();
    let short: Vec<_> = keys.iter().map(|key| (*key, SHORT)).collect();
    harness.claim(&keys, holder, SHORT).await;
    harness.commit(&windows, holder).await;
    for token in [holder, other] {
        harness.release(&keys, token).await;
        let renewals = harness.renew(&keys, token, SHORT).await;
        assert!(
            all_are(&renewals, Renewal::Lost),
            "rule 4: a renewal of done keys: {renewals:?}"
        );
        let claims = harness.claim(&keys, token, SHORT).await;
        assert!(
            all_are(&claims, Claim::Done),
            "rule 4: a claim of done keys after a release: {claims:?}"
        );
        let commits = harness.commit(&short, token).await;
        assert!(
            all_are(&commits, Commit::Recorded),
            "rule 5: a commit of done keys: {commits:?}"
        );
        harness.release(&keys, token).await;
    }
    sleep(EXPIRED).await;
    let claims = harness.claim(&keys, other, LONG).await;
    assert!(
        all_are(&claims, Claim::Done),
        "rule 4: done keys after renewals, claims, commits with a shorter window, and releases: \
         {claims:?}"
    );
}
