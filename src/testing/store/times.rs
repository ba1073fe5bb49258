//! Leases and windows: they do not expire early, and they do expire.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::harness::{EXPIRED, Harness, LONG, SHORT, all_are};
use crate::dedup::{Claim, Commit, Renewal, Store, Token};

/// Times of checks that must observe a state before it ends, one per attempt. The first ones are
/// less than two seconds, and not a whole number of seconds. An attempt tells nothing if the last
/// quarter of its time is too short for this machine, so the last attempts take longer.
const ATTEMPTS: [Duration; 5] = [
    Duration::from_millis(1900),
    Duration::from_millis(1900),
    Duration::from_millis(1900),
    Duration::from_millis(7900),
    Duration::from_millis(30_900),
];

/// A lease does not expire early.
pub(super) async fn leases_do_not_expire_early<S: Store>(harness: Harness<S>) {
    for lease in ATTEMPTS {
        let start = Instant::now();
        let key = harness.key();
        harness.claim_one(key, Token::random(), lease).await;
        sleep(lease * 3 / 4).await;
        let claim = harness.claim_one(key, Token::random(), LONG).await;
        if start.elapsed() < lease {
            assert_eq!(
                claim,
                Claim::Pending,
                "the lease: a claim under another token after three quarters of it"
            );
            return;
        }
    }
    panic!("the lease: too slow to tell whether it expires early");
}

/// A lease expires, and the second holder gets a full one.
pub(super) async fn leases_expire<S: Store>(harness: Harness<S>) {
    let (holder, other, third) = (Token::random(), Token::random(), Token::random());
    let keys = harness.keys(3);
    let claims = harness.claim(&keys, holder, SHORT).await;
    assert!(
        all_are(&claims, Claim::Claimed),
        "rule 1: a claim of absent keys: {claims:?}"
    );
    sleep(EXPIRED).await;
    let claims = harness.claim(&keys, other, LONG).await;
    assert!(
        all_are(&claims, Claim::Claimed),
        "the lease: a claim after it has expired: {claims:?}"
    );
    let claims = harness.claim(&keys, third, LONG).await;
    assert!(
        all_are(&claims, Claim::Pending),
        "the lease: a claim of keys that were taken over: {claims:?}"
    );
}

/// Rule 2: a holder whose lease expired cannot end the claim of its successor.
pub(super) async fn lease_takeover<S: Store>(harness: Harness<S>) {
    let (first, second, third) = (Token::random(), Token::random(), Token::random());
    let key = harness.key();
    harness.claim_one(key, first, SHORT).await;
    sleep(EXPIRED).await;
    let claim = harness.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Claimed,
        "the lease: a claim after it has expired"
    );
    let commit = harness.commit_one(key, LONG, first).await;
    assert_eq!(commit, Commit::Fenced, "rule 2: a commit after a takeover");
    harness.release(&[key], first).await;
    for token in [first, third] {
        let claim = harness.claim_one(key, token, LONG).await;
        assert_eq!(
            claim,
            Claim::Pending,
            "rule 2: a claim after a commit and a release by the previous holder"
        );
    }
    let commit = harness.commit_one(key, LONG, second).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit by the successor"
    );
    let commit = harness.commit_one(key, LONG, first).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 5: a commit of a key that the successor has committed"
    );
}

/// Rules 1, 3 and 5: renewals of held and absent keys.
pub(super) async fn renewals<S: Store>(harness: Harness<S>) {
    let (holder, other) = (Token::random(), Token::random());
    let [held, absent, released] = [harness.key(), harness.key(), harness.key()];
    harness.claim(&[held, released], holder, LONG).await;
    harness.release(&[released], holder).await;
    let keys = [held, absent, released];
    for _ in 0..3 {
        let renewals = harness.renew(&keys, holder, LONG).await;
        assert!(
            all_are(&renewals, Renewal::Renewed),
            "rules 3 and 5: a renewal of a held, an absent and a released key: {renewals:?}"
        );
    }
    let claims = harness.claim(&keys, other, LONG).await;
    assert!(
        all_are(&claims, Claim::Pending),
        "rule 3: a claim under another token after a renewal: {claims:?}"
    );
    let windows = keys.map(|key| (key, LONG));
    let commits = harness.commit(&windows, other).await;
    assert!(
        all_are(&commits, Commit::Fenced),
        "rule 2: a commit under another token after a renewal: {commits:?}"
    );
    let commits = harness.commit(&windows, holder).await;
    assert!(
        all_are(&commits, Commit::Recorded),
        "rule 2: a commit by the holder after a renewal: {commits:?}"
    );
}

/// A renewed lease lasts, and expires if it is not renewed again. Leases count from the last call
/// and do not add up.
pub(super) async fn renewals_replace_the_lease<S: Store>(harness: Harness<S>) {
    let (holder, other) = (Token::random(), Token::random());
    let [held, expiring, repeated] = [harness.key(), harness.key(), harness.key()];
    harness
        .claim(&[held, expiring, repeated], holder, SHORT)
        .await;
    harness.renew(&[held], holder, LONG).await;
    for _ in 0..5 {
        harness.renew(&[expiring], holder, SHORT).await;
        harness.claim(&[repeated], holder, SHORT).await;
    }
    sleep(EXPIRED).await;
    let claims = harness
        .claim(&[held, expiring, repeated], other, LONG)
        .await;
    assert_eq!(
        claims,
        [Claim::Pending, Claim::Claimed, Claim::Claimed],
        "the lease: a claim after the first lease, of a key renewed for long, one renewed five \
         times for short, and one claimed five more times for short by its holder"
    );
}

/// Rules 2 and 3: renewals after the lease of a free key, a claimed key and a done key.
pub(super) async fn late_renewals<S: Store>(harness: Harness<S>) {
    let (first, second) = (Token::random(), Token::random());
    let [free, taken, handled] = [harness.key(), harness.key(), harness.key()];
    let keys = [free, taken, handled];
    harness.claim(&keys, first, SHORT).await;
    sleep(EXPIRED).await;
    harness.claim(&[taken, handled], second, LONG).await;
    harness.commit_one(handled, LONG, second).await;
    let renewals = harness.renew(&keys, first, LONG).await;
    assert_eq!(
        renewals,
        [Renewal::Renewed, Renewal::Lost, Renewal::Lost],
        "rules 2 and 3: a late renewal of a free key, a claimed key and a done key"
    );
    let claims = harness.claim(&keys, Token::random(), LONG).await;
    assert_eq!(
        claims,
        [Claim::Pending, Claim::Pending, Claim::Done],
        "rules 2 and 3: a claim after a late renewal"
    );
    let commit = harness.commit_one(taken, LONG, second).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit by the successor after a late renewal"
    );
}

/// Rule 3: a commit after the lease of a key that no other token claimed.
pub(super) async fn late_commits<S: Store>(harness: Harness<S>) {
    let (first, other) = (Token::random(), Token::random());
    let [late, foreign, released] = [harness.key(), harness.key(), harness.key()];
    harness
        .claim(&[late, foreign, released], first, SHORT)
        .await;
    sleep(EXPIRED).await;
    let commit = harness.commit_one(late, LONG, first).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit by the holder after the lease has expired"
    );
    let commit = harness.commit_one(foreign, LONG, other).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit under another token after the lease has expired"
    );
    harness.release(&[released], first).await;
    let claims = harness
        .claim(&[late, foreign, released], Token::random(), LONG)
        .await;
    assert_eq!(
        claims,
        [Claim::Done, Claim::Done, Claim::Claimed],
        "rule 3: a claim after the lease of keys that were then committed, committed under another \
         token, and released"
    );
}

/// Rule 4: a window does not expire early.
pub(super) async fn windows_do_not_expire_early<S: Store>(harness: Harness<S>) {
    for window in ATTEMPTS {
        let (key, token) = (harness.key(), Token::random());
        harness.claim_one(key, token, SHORT / 2).await;
        let start = Instant::now();
        harness.commit_one(key, window, token).await;
        sleep(window * 3 / 4).await;
        let claim = harness.claim_one(key, Token::random(), LONG).await;
        if start.elapsed() < window {
            assert_eq!(
                claim,
                Claim::Done,
                "rule 4: a claim after three quarters of the window"
            );
            return;
        }
    }
    panic!("rule 4: too slow to tell whether a window expires early");
}

/// Rule 4: each key has its own window, and is absent after it.
pub(super) async fn windows_expire<S: Store>(harness: Harness<S>) {
    let (token, second) = (Token::random(), Token::random());
    let [short, long, absent, last] = [harness.key(), harness.key(), harness.key(), harness.key()];
    harness.claim(&[short, long, last], token, LONG).await;
    let windows = [(short, SHORT), (long, LONG), (absent, SHORT), (last, LONG)];
    let commits = harness.commit(&windows, token).await;
    assert!(
        all_are(&commits, Commit::Recorded),
        "rule 2: a commit with several windows: {commits:?}"
    );
    sleep(EXPIRED).await;
    let claims = harness
        .claim(&[short, long, absent, last], second, LONG)
        .await;
    assert_eq!(
        claims,
        [Claim::Claimed, Claim::Done, Claim::Claimed, Claim::Done],
        "rule 4: a claim of keys with a short, a long, a short and a long window"
    );
    let commit = harness.commit_one(short, LONG, token).await;
    assert_eq!(
        commit,
        Commit::Fenced,
        "rule 2: a commit by the previous holder, whose window has expired"
    );
    let commit = harness.commit_one(short, LONG, second).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit of a key that was done before"
    );
    let claim = harness.claim_one(short, token, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 4: a claim of a key that is done again"
    );
}

/// Times that become very short if they overflow: microseconds in 32 bits, and seconds in 16. The
/// last one is a week, the time for which Meta retries.
const OVERFLOWS: [Duration; 3] = [
    Duration::from_secs(4295),
    Duration::from_secs(1 << 16),
    Duration::from_secs(7 * 24 * 3600),
];

/// Long leases and windows have not expired after two seconds.
pub(super) async fn long_times_do_not_overflow<S: Store>(harness: Harness<S>) {
    let token = Token::random();
    let mut held = Vec::new();
    for time in OVERFLOWS {
        held.push(harness.hold_three_keys(token, time).await);
    }
    sleep(EXPIRED).await;
    for (keys, time) in held.into_iter().zip(OVERFLOWS) {
        harness.assert_held(&keys, time).await;
        let [leased, renewed, _] = keys;
        harness.release(&[leased, renewed], token).await;
    }
}

/// Leases and windows of up to 60 days last and expire. For paused clocks only.
pub(super) async fn long_times_expire<S: Store>(harness: Harness<S>) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    for time in [DAY / 24 / 20, DAY / 8, 8 * DAY, 60 * DAY] {
        let keys = harness.hold_three_keys(Token::random(), time).await;
        sleep(time - SHORT).await;
        harness.assert_held(&keys, time).await;
        sleep(EXPIRED).await;
        let claims = harness.claim(&keys, Token::random(), SHORT).await;
        assert!(
            all_are(&claims, Claim::Claimed),
            "the lease and rule 4: a claim after a lease, a renewed lease and a window of \
             {time:?}: {claims:?}"
        );
    }
}
