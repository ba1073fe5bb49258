//! Whether a store keeps the rules of [`Store`].

#![expect(clippy::panic, reason = "that is how a check says what is wrong")]

use std::{
    ops::RangeInclusive,
    panic, slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

use crate::{
    dedup::{Claim, Commit, Renewal, Store, StoreError, Token},
    event::EventKey,
};

/// Checks a store against the rules of [`Store`]: call it in a test of your own store.
///
/// It covers rules 1 to 5 and 8: races of claims with each other and with renewals, commits and
/// releases, expired leases, take-over and fencing, renewals, commits and releases of every state
/// by every caller, windows, repeated calls, batches of none and of a thousand. Rules 6 and 7
/// cannot be seen from the outside.
///
/// It works with keys of its own and leaves those of others alone, so it can run against a server
/// that others use, again and again. All 16 bytes of a key are random. One check takes keys that
/// differ in a single byte, at each place, with NUL, 0xFF and other values that a column of text may
/// not keep. About 12,000 keys are left behind. They expire within two minutes, but for three
/// that take up to a week.
///
/// It takes about 5 seconds. Nothing fails because the machine is slow. A store may round leases and windows up, by less than a
/// second. Paused time does for a store that lives by [`tokio::time`], but not for one that has a clock of its own.
///
/// # Long times
///
/// On a paused clock it asks whether leases and windows of up to 60 days last and expire. In real
/// time it waits for two seconds at most. Then it finds numbers that overflow, such as seconds in 16
/// bits or microseconds in 32, but not a limit of more than two seconds: **a store that forgets after
/// a minute or an hour passes.** Test the longest window of your layer with a clock that you can move.
///
/// Many tasks are spawned. On a runtime with several threads the races are those of threads too.
///
/// ```sh
/// cargo add --dev tower-whatsapp --features testing
/// cargo add --dev tokio --features macros,rt,test-util   # `test-util` for `start_paused`
/// ```
///
/// ```
/// use tower_whatsapp::{dedup::MemoryStore, testing::store::conformance};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() {
///     conformance(MemoryStore::new()).await;
/// }
/// ```
///
/// # Panics
///
/// If the store breaks a rule, with the number of the rule and what was seen; if it answers with an error; and outside of a tokio runtime
/// that has time.
pub async fn conformance<S: Store>(store: S) {
    let test = Test(Arc::new(Inner { store }));
    let mut tests = JoinSet::new();
    tests.spawn(distinct_keys(test.clone()));
    tests.spawn(states(test.clone()));
    tests.spawn(strangers(test.clone()));
    tests.spawn(repeats(test.clone()));
    tests.spawn(done_is_final(test.clone()));
    tests.spawn(leases_last(test.clone()));
    tests.spawn(leases_pass(test.clone()));
    tests.spawn(take_over(test.clone()));
    tests.spawn(renewals(test.clone()));
    tests.spawn(renewals_extend(test.clone()));
    tests.spawn(late_renewals(test.clone()));
    tests.spawn(late_commits(test.clone()));
    tests.spawn(windows_last(test.clone()));
    tests.spawn(windows_pass(test.clone()));
    tests.spawn(empty(test.clone()));
    tests.spawn(large(test.clone()));
    tests.spawn(race_for_absent(test.clone()));
    tests.spawn(race_for_passed(test.clone()));
    tests.spawn(race_with_renewal(test.clone()));
    tests.spawn(race_with_commit(test.clone()));
    tests.spawn(race_with_release(test.clone()));
    tests.spawn(race_of_late_commits(test.clone()));
    tests.spawn(race_of_fenced_commits(test.clone()));
    tests.spawn(nobody_commits(test.clone()));
    tests.spawn(overflows(test.clone()));
    all(tests).await;
    // Alone: it moves the clock beyond all leases and windows of the others.
    if is_paused() {
        long_times(test).await;
    }
}

/// Whether the clock of tokio stands still while real time passes.
fn is_paused() -> bool {
    let before = Instant::now();
    thread::sleep(Duration::from_millis(2));
    Instant::now() == before
}

/// Less than two seconds, and not a number of seconds.
const FRACTION: Duration = Duration::from_millis(1900);
/// Never passes while a check runs.
const LONG: Duration = Duration::from_secs(100);
/// Is waited for.
const SHORT: Duration = Duration::from_secs(1);
/// After this time what was short has passed, rounded up or not.
const PASSED: Duration = Duration::from_millis(2100);
/// What has to be seen in time is tried as often. If the machine is too slow each time, nothing is said of it.
const ATTEMPTS: usize = 5;
/// Those who race for a key.
const RACERS: usize = 16;

/// Keys that differ in one byte are different keys, whatever the bytes.
///
/// Finds a column that ends at the first NUL, that keeps one end of a key only, that is text in some
/// encoding or compares without regard to case.
async fn distinct_keys<S: Store>(test: Test<S>) {
    const BYTES: [u8; 10] = [0, 1, b' ', b'A', b'a', 0x7F, 0x80, 0xC3, 0xFE, 0xFF];
    let base = test.key().to_bytes();
    let mut keys = vec![base];
    for place in 0..base.len() {
        let with = |mut key: [u8; 16], value: u8| {
            if let Some(byte) = key.get_mut(place) {
                *byte = value;
            }
            key
        };
        keys.extend(BYTES.map(|value| with(base, value)));
        // The same up to the NUL or 0xFF, and nothing the same after it.
        let other = base.map(|byte| !byte);
        let (start, rest) = (base.iter().take(place), other.iter().skip(place));
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
    // Each has a holder of its own, who would find a key that is taken for another.
    let tokens: Vec<_> = keys.iter().map(|_| Token::random()).collect();
    for (key, token) in keys.iter().zip(&tokens) {
        let claim = test.claim_one(*key, *token, LONG).await;
        assert_eq!(
            claim,
            Claim::Claimed,
            "rule 1: a claim of an absent key that differs from others in one byte. \
             A key is 16 bytes of any value"
        );
    }
    let claims = test.claim(&keys, Token::random(), LONG).await;
    assert!(
        all_are(&claims, Claim::Pending),
        "rule 1: a claim of pending keys that differ in one byte: {claims:?}"
    );
    for (key, token) in keys.iter().zip(tokens) {
        test.release(slice::from_ref(key), token).await;
    }
}

/// Rules 1 to 4 with one caller: claims, commits and releases in the three states.
async fn states<S: Store>(test: Test<S>) {
    let key = test.key();
    let (first, second) = (Token::random(), Token::random());
    test.release(&[key], first).await;
    let claim = test.claim_one(key, first, LONG).await;
    assert_eq!(claim, Claim::Claimed, "rule 1: a claim of an absent key");
    let claim = test.claim_one(key, second, LONG).await;
    assert_eq!(claim, Claim::Pending, "rule 1: a claim of a pending key");
    test.release(&[key], first).await;
    let claim = test.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Claimed,
        "rule 2: a claim of what its holder has released"
    );
    let commit = test.commit_one(key, LONG, second).await;
    assert_eq!(commit, Commit::Recorded, "rule 2: a commit by the holder");
    for (token, who) in [(first, "another"), (second, "the holder")] {
        let claim = test.claim_one(key, token, LONG).await;
        assert_eq!(claim, Claim::Done, "rule 4: a claim of a done key by {who}");
    }

    let key = test.key();
    let commit = test.commit_one(key, LONG, first).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit of an absent key"
    );
    let claim = test.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 3: a claim after the commit of an absent key"
    );

    let key = test.key();
    test.claim_one(key, first, LONG).await;
    test.release(&[key], first).await;
    let commit = test.commit_one(key, LONG, first).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit of a key that was released"
    );
    let claim = test.claim_one(key, second, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 3: a claim after the commit of a released key"
    );
}

/// Rule 2: nobody touches what another holds.
async fn strangers<S: Store>(test: Test<S>) {
    let key = test.key();
    let (holder, stranger) = (Token::random(), Token::random());
    test.claim_one(key, holder, LONG).await;
    test.release(&[key], stranger).await;
    let claim = test.claim_one(key, stranger, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 2: a claim after a release by another"
    );
    let commit = test.commit_one(key, LONG, stranger).await;
    assert_eq!(commit, Commit::Fenced, "rule 2: a commit by another");
    let renewal = test.renew_one(key, stranger, LONG).await;
    assert_eq!(renewal, Renewal::Lost, "rule 2: a renewal by another");
    let claim = test.claim_one(key, stranger, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 2: a claim after a commit and a renewal by another"
    );
    let commit = test.commit_one(key, LONG, holder).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit by the holder after others have tried"
    );

    let key = test.key();
    let mut near = holder.to_bytes();
    if let Some(last) = near.last_mut() {
        *last ^= 1;
    }
    test.claim_one(key, holder, LONG).await;
    let commit = test.commit_one(key, LONG, Token::from_bytes(near)).await;
    assert_eq!(
        commit,
        Commit::Fenced,
        "rule 2: a commit under a token that differs in one bit"
    );
}

/// Rule 5: the same call again.
async fn repeats<S: Store>(test: Test<S>) {
    let key = test.key();
    let (holder, other) = (Token::random(), Token::random());
    for _ in 0..3 {
        let claim = test.claim_one(key, holder, LONG).await;
        assert_eq!(claim, Claim::Claimed, "rule 5: a repeated claim");
    }
    let claim = test.claim_one(key, other, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 5: a claim by another after a repeated one"
    );
    for _ in 0..3 {
        let commit = test.commit_one(key, LONG, holder).await;
        assert_eq!(commit, Commit::Recorded, "rule 5: a repeated commit");
    }
    let claim = test.claim_one(key, other, LONG).await;
    assert_eq!(
        claim,
        Claim::Done,
        "rule 5: a claim after a repeated commit"
    );

    let key = test.key();
    test.claim_one(key, holder, LONG).await;
    test.release(&[key], holder).await;
    test.claim_one(key, other, LONG).await;
    test.release(&[key], holder).await;
    let claim = test.claim_one(key, holder, LONG).await;
    assert_eq!(
        claim,
        Claim::Pending,
        "rule 5: a claim after a repeated release, of what another has taken in between"
    );
}

/// Rule 4: nothing takes back what is done, or shortens it.
async fn done_is_final<S: Store>(test: Test<S>) {
    let (holder, other) = (Token::random(), Token::random());
    let keys = test.keys(4);
    let windows: Vec<_> = keys.iter().map(|key| (*key, LONG)).collect();
    let short: Vec<_> = keys.iter().map(|key| (*key, SHORT)).collect();
    test.claim(&keys, holder, SHORT).await;
    test.commit(&windows, holder).await;
    for token in [holder, other] {
        test.release(&keys, token).await;
        let renewals = test.renew(&keys, token, SHORT).await;
        assert!(
            all_are(&renewals, Renewal::Lost),
            "rule 4: a renewal of done keys: {renewals:?}"
        );
        let claims = test.claim(&keys, token, SHORT).await;
        assert!(
            all_are(&claims, Claim::Done),
            "rule 4: a claim of done keys after a release: {claims:?}"
        );
        let commits = test.commit(&short, token).await;
        assert!(
            all_are(&commits, Commit::Recorded),
            "rule 5: a commit of what is done: {commits:?}"
        );
        test.release(&keys, token).await;
    }
    sleep(PASSED).await;
    let claims = test.claim(&keys, other, LONG).await;
    assert!(
        all_are(&claims, Claim::Done),
        "rule 4: done keys after renewals, claims, commits with a shorter window, and releases: {claims:?}"
    );
}

/// The lease is not shorter than was said.
async fn leases_last<S: Store>(test: Test<S>) {
    let lease = FRACTION;
    for _ in 0..ATTEMPTS {
        let start = Instant::now();
        let key = test.key();
        test.claim_one(key, Token::random(), lease).await;
        sleep(lease * 3 / 4).await;
        let claim = test.claim_one(key, Token::random(), LONG).await;
        if start.elapsed() < lease {
            assert_eq!(
                claim,
                Claim::Pending,
                "the lease: a claim by another after three quarters of it"
            );
            return;
        }
    }
}

/// A lease passes, and is counted anew for the next.
async fn leases_pass<S: Store>(test: Test<S>) {
    let (holder, other, third) = (Token::random(), Token::random(), Token::random());
    let keys = test.keys(3);
    let claims = test.claim(&keys, holder, SHORT).await;
    assert!(
        all_are(&claims, Claim::Claimed),
        "rule 1: a claim of absent keys: {claims:?}"
    );
    sleep(PASSED).await;
    let claims = test.claim(&keys, other, LONG).await;
    assert!(
        all_are(&claims, Claim::Claimed),
        "the lease: a claim after it has passed: {claims:?}"
    );
    let claims = test.claim(&keys, third, LONG).await;
    assert!(
        all_are(&claims, Claim::Pending),
        "the lease: a claim of what was taken over: {claims:?}"
    );
}

/// Rule 2: who was slower than the lease does not end the run of the successor.
async fn take_over<S: Store>(test: Test<S>) {
    let (slow, next, third) = (Token::random(), Token::random(), Token::random());
    let key = test.key();
    test.claim_one(key, slow, SHORT).await;
    sleep(PASSED).await;
    let claim = test.claim_one(key, next, LONG).await;
    assert_eq!(
        claim,
        Claim::Claimed,
        "the lease: a claim after it has passed"
    );
    let commit = test.commit_one(key, LONG, slow).await;
    assert_eq!(
        commit,
        Commit::Fenced,
        "rule 2: a commit after another has taken over"
    );
    test.release(&[key], slow).await;
    for token in [slow, third] {
        let claim = test.claim_one(key, token, LONG).await;
        assert_eq!(
            claim,
            Claim::Pending,
            "rule 2: a claim after a commit and a release by the slow one"
        );
    }
    let commit = test.commit_one(key, LONG, next).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit by the successor"
    );
    let commit = test.commit_one(key, LONG, slow).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 5: a commit of what the successor has done"
    );
}

/// Rules 1, 3 and 5: a renewal of what is held and of what is absent.
async fn renewals<S: Store>(test: Test<S>) {
    let (holder, other) = (Token::random(), Token::random());
    let [held, absent, released] = [test.key(), test.key(), test.key()];
    test.claim(&[held, released], holder, LONG).await;
    test.release(&[released], holder).await;
    let keys = [held, absent, released];
    for _ in 0..3 {
        let renewals = test.renew(&keys, holder, LONG).await;
        assert!(
            all_are(&renewals, Renewal::Renewed),
            "rules 3 and 5: a renewal of a held, an absent and a released key: {renewals:?}"
        );
    }
    let claims = test.claim(&keys, other, LONG).await;
    assert!(
        all_are(&claims, Claim::Pending),
        "rule 3: a claim by another after a renewal: {claims:?}"
    );
    let windows = keys.map(|key| (key, LONG));
    let commits = test.commit(&windows, other).await;
    assert!(
        all_are(&commits, Commit::Fenced),
        "rule 2: a commit by another after a renewal: {commits:?}"
    );
    let commits = test.commit(&windows, holder).await;
    assert!(
        all_are(&commits, Commit::Recorded),
        "rule 2: a commit by the holder after a renewal: {commits:?}"
    );
}

/// A lease that was renewed lasts, and expires when it is not renewed again. It is counted from the
/// last call, however many there were.
async fn renewals_extend<S: Store>(test: Test<S>) {
    let (holder, other) = (Token::random(), Token::random());
    let [held, expiring, repeated] = [test.key(), test.key(), test.key()];
    test.claim(&[held, expiring, repeated], holder, SHORT).await;
    test.renew(&[held], holder, LONG).await;
    for _ in 0..5 {
        test.renew(&[expiring], holder, SHORT).await;
        test.claim(&[repeated], holder, SHORT).await;
    }
    sleep(PASSED).await;
    let claims = test.claim(&[held, expiring, repeated], other, LONG).await;
    assert_eq!(
        claims,
        [Claim::Pending, Claim::Claimed, Claim::Claimed],
        "the lease: a claim after the first lease, of a key renewed for long, one renewed for short \
         five times, and one claimed for short by its holder again and again"
    );
}

/// Times that are next to nothing where they overflow: microseconds in 32 bits, seconds in 16. And a
/// week, which is what Meta repeats for.
const OVERFLOWS: [Duration; 3] = [
    Duration::from_secs(4295),
    Duration::from_secs(1 << 16),
    Duration::from_secs(7 * 24 * 3600),
];

/// A long time has not passed after two seconds.
async fn overflows<S: Store>(test: Test<S>) {
    let token = Token::random();
    let mut held = Vec::new();
    for time in OVERFLOWS {
        held.push(test.hold(token, time).await);
    }
    sleep(PASSED).await;
    for (keys, time) in held.into_iter().zip(OVERFLOWS) {
        test.are_held(&keys, time).await;
        let [leased, renewed, _] = keys;
        test.release(&[leased, renewed], token).await;
    }
}

/// Leases and windows of up to 60 days last and pass. Only where the clock can be moved.
async fn long_times<S: Store>(test: Test<S>) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    for time in [DAY / 24 / 20, DAY / 8, 8 * DAY, 60 * DAY] {
        let keys = test.hold(Token::random(), time).await;
        sleep(time - SHORT).await;
        test.are_held(&keys, time).await;
        sleep(PASSED).await;
        let claims = test.claim(&keys, Token::random(), SHORT).await;
        assert!(
            all_are(&claims, Claim::Claimed),
            "the lease and rule 4: a claim after a lease, a renewed lease and a window of {time:?}: \
             {claims:?}"
        );
    }
}

/// Rules 2 and 3: a renewal after the lease, of what another has claimed or handled, or nobody.
async fn late_renewals<S: Store>(test: Test<S>) {
    let (slow, next) = (Token::random(), Token::random());
    let [free, taken, handled] = [test.key(), test.key(), test.key()];
    let keys = [free, taken, handled];
    test.claim(&keys, slow, SHORT).await;
    sleep(PASSED).await;
    test.claim(&[taken, handled], next, LONG).await;
    test.commit_one(handled, LONG, next).await;
    let renewals = test.renew(&keys, slow, LONG).await;
    assert_eq!(
        renewals,
        [Renewal::Renewed, Renewal::Lost, Renewal::Lost],
        "rules 2 and 3: a late renewal of what nobody, somebody and somebody who is done has taken"
    );
    let claims = test.claim(&keys, Token::random(), LONG).await;
    assert_eq!(
        claims,
        [Claim::Pending, Claim::Pending, Claim::Done],
        "rules 2 and 3: a claim after a late renewal"
    );
    let commit = test.commit_one(taken, LONG, next).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit by the successor after a late renewal"
    );
}

/// Rule 3: a commit after the lease, when nobody has taken the key.
async fn late_commits<S: Store>(test: Test<S>) {
    let (slow, other) = (Token::random(), Token::random());
    let [late, foreign, released] = [test.key(), test.key(), test.key()];
    test.claim(&[late, foreign, released], slow, SHORT).await;
    sleep(PASSED).await;
    let commit = test.commit_one(late, LONG, slow).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit by the holder after the lease has passed"
    );
    let commit = test.commit_one(foreign, LONG, other).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 3: a commit by another after the lease has passed"
    );
    test.release(&[released], slow).await;
    let claims = test
        .claim(&[late, foreign, released], Token::random(), LONG)
        .await;
    assert_eq!(
        claims,
        [Claim::Done, Claim::Done, Claim::Claimed],
        "rule 3: what was committed, committed by another, and released after the lease"
    );
}

/// Rule 4: a window is not shorter than was said.
async fn windows_last<S: Store>(test: Test<S>) {
    let window = FRACTION;
    for _ in 0..ATTEMPTS {
        let (key, token) = (test.key(), Token::random());
        test.claim_one(key, token, SHORT / 2).await;
        let start = Instant::now();
        test.commit_one(key, window, token).await;
        sleep(window * 3 / 4).await;
        let claim = test.claim_one(key, Token::random(), LONG).await;
        if start.elapsed() < window {
            assert_eq!(
                claim,
                Claim::Done,
                "rule 4: a claim after three quarters of the window"
            );
            return;
        }
    }
}

/// A window passes, each key's own, and the key begins anew.
async fn windows_pass<S: Store>(test: Test<S>) {
    let (token, next) = (Token::random(), Token::random());
    let [short, long, absent, last] = [test.key(), test.key(), test.key(), test.key()];
    test.claim(&[short, long, last], token, LONG).await;
    let windows = [(short, SHORT), (long, LONG), (absent, SHORT), (last, LONG)];
    let commits = test.commit(&windows, token).await;
    assert!(
        all_are(&commits, Commit::Recorded),
        "rule 2: a commit with several windows: {commits:?}"
    );
    sleep(PASSED).await;
    let claims = test.claim(&[short, long, absent, last], next, LONG).await;
    assert_eq!(
        claims,
        [Claim::Claimed, Claim::Done, Claim::Claimed, Claim::Done],
        "rule 4: done for a short window, a long, a short, a long"
    );
    let commit = test.commit_one(short, LONG, token).await;
    assert_eq!(
        commit,
        Commit::Fenced,
        "rule 2: a commit by the one before, whose window has passed"
    );
    let commit = test.commit_one(short, LONG, next).await;
    assert_eq!(
        commit,
        Commit::Recorded,
        "rule 2: a commit of what was done before"
    );
    let claim = test.claim_one(short, token, LONG).await;
    assert_eq!(claim, Claim::Done, "rule 4: done again");
}

/// Calls without keys.
async fn empty<S: Store>(test: Test<S>) {
    let token = Token::random();
    assert!(test.claim(&[], token, LONG).await.is_empty());
    assert!(test.renew(&[], token, LONG).await.is_empty());
    assert!(test.commit(&[], token).await.is_empty());
    test.release(&[], token).await;
}

/// Rule 8: the order of the answers, in a batch as large as the largest delivery, with every third key of another state.
async fn large<S: Store>(test: Test<S>) {
    const KEYS: usize = 1000;
    let (mine, other) = (Token::random(), Token::random());
    let keys = test.keys(KEYS);
    let third = |rest| {
        keys.iter()
            .copied()
            .skip(rest)
            .step_by(3)
            .collect::<Vec<_>>()
    };
    let (done, pending) = (third(0), third(1));
    let windows: Vec<_> = done.iter().map(|key| (*key, LONG)).collect();
    let commits = test.commit(&windows, other).await;
    assert_eq!(commits.len(), done.len(), "rule 8: an answer for every key");
    test.claim(&pending, other, LONG).await;

    // What was asked in order must not be what is answered.
    let mixed = mix(&keys);
    let place = |key: &EventKey| {
        keys.iter()
            .position(|other| other == key)
            .map(|place| place % 3)
    };
    let claims = test.claim(&mixed, mine, LONG).await;
    let expected: Vec<_> = mixed
        .iter()
        .map(|key| match place(key) {
            Some(0) => Claim::Done,
            Some(1) => Claim::Pending,
            _ => Claim::Claimed,
        })
        .collect();
    assert!(
        claims == expected,
        "rule 8: the claims of 1000 keys are not right, or not in their order"
    );
    let again = mix(&mixed);
    let renewals = test.renew(&again, mine, LONG).await;
    let expected: Vec<_> = again
        .iter()
        .map(|key| match place(key) {
            Some(0 | 1) => Renewal::Lost,
            _ => Renewal::Renewed,
        })
        .collect();
    assert!(
        renewals == expected,
        "rule 8: the renewals of 1000 keys are not right, or not in their order"
    );
    let windows: Vec<_> = again.into_iter().map(|key| (key, LONG)).collect();
    let commits = test.commit(&windows, mine).await;
    let expected: Vec<_> = windows
        .iter()
        .map(|(key, _)| match place(key) {
            Some(1) => Commit::Fenced,
            _ => Commit::Recorded,
        })
        .collect();
    assert!(
        commits == expected,
        "rule 8: the commits of 1000 keys are not right, or not in their order"
    );
    test.release(&mixed, other).await;
    let claims = test.claim(&keys, mine, LONG).await;
    let free = claims.iter().enumerate().all(|(index, claim)| {
        *claim
            == if index % 3 == 1 {
                Claim::Claimed
            } else {
                Claim::Done
            }
    });
    assert!(
        free,
        "rule 2: after the release of 1000 keys those that were pending are free, and no others"
    );
}

/// Rule 1: of many claims of an absent key one gets it.
async fn race_for_absent<S: Store>(test: Test<S>) {
    for _ in 0..8 {
        let keys = test.keys(50);
        race(&test, &keys, 1..=1, "absent keys").await;
    }
}

/// Rule 1: of many claims of a key whose lease or window has passed one gets it.
async fn race_for_passed<S: Store>(test: Test<S>) {
    let token = Token::random();
    let keys = test.keys(100);
    let (lapsed, done) = keys.split_at(50);
    test.claim(lapsed, token, SHORT).await;
    let windows: Vec<_> = done.iter().map(|key| (*key, SHORT)).collect();
    test.commit(&windows, token).await;
    sleep(PASSED).await;
    race(&test, &keys, 1..=1, "keys whose lease or window has passed").await;
}

/// Rule 1: nobody claims a key while its holder renews it.
async fn race_with_renewal<S: Store>(test: Test<S>) {
    for _ in 0..8 {
        let keys = test.keys(50);
        let token = Token::random();
        test.claim(&keys, token, LONG).await;
        let mut tasks = JoinSet::new();
        let (holder, held) = (test.clone(), keys.clone());
        tasks.spawn(async move {
            let renewals = holder.renew(&held, token, LONG).await;
            assert!(
                all_are(&renewals, Renewal::Renewed),
                "rule 1: a renewal while others claim: {renewals:?}"
            );
        });
        let racers = test.clone();
        tasks.spawn(async move {
            race(&racers, &keys, 0..=0, "keys that are being renewed").await;
        });
        all(tasks).await;
    }
}

/// Rules 1 and 4: who claims while the holder commits does not get it.
async fn race_with_commit<S: Store>(test: Test<S>) {
    for _ in 0..8 {
        let keys = test.keys(50);
        let token = Token::random();
        test.claim(&keys, token, LONG).await;
        let commit = {
            let (test, keys) = (test.clone(), keys.clone());
            async move {
                let windows: Vec<_> = keys.iter().map(|key| (*key, LONG)).collect();
                let commits = test.commit(&windows, token).await;
                assert!(
                    all_are(&commits, Commit::Recorded),
                    "rule 1: a commit while others claim: {commits:?}"
                );
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(commit);
        let racers = test.clone();
        let contended = keys.clone();
        tasks.spawn(async move {
            contend(&racers, &contended, 0..=0, "keys that are being committed").await;
        });
        all(tasks).await;
        let claims = test.claim(&keys, Token::random(), LONG).await;
        assert!(
            all_are(&claims, Claim::Done),
            "rule 4: a claim after a commit while others claimed: {claims:?}"
        );
    }
}

/// Rule 1: of many who claim while the holder releases at most one gets it, and for the others it
/// is pending.
async fn race_with_release<S: Store>(test: Test<S>) {
    for _ in 0..8 {
        let keys = test.keys(50);
        let token = Token::random();
        test.claim(&keys, token, LONG).await;
        let mut tasks = JoinSet::new();
        let (releaser, released) = (test.clone(), keys.clone());
        tasks.spawn(async move { releaser.release(&released, token).await });
        let racers = test.clone();
        tasks.spawn(async move {
            race(&racers, &keys, 0..=1, "keys that are being released").await;
        });
        all(tasks).await;
    }
}

/// Rules 1 and 3: a commit of absent keys races with claims of them. Either the commit is first and
/// nobody gets the key, or a claim is first and the commit is fenced.
async fn race_of_late_commits<S: Store>(test: Test<S>) {
    for _ in 0..8 {
        let keys = test.keys(50);
        let (racers, contended) = (test.clone(), keys.clone());
        let race = async move {
            let what = "absent keys that are being committed";
            contend(&racers, &contended, 0..=1, what).await
        };
        let (commits, answers) = commit_during(&test, &keys, race).await;
        let claims = test.claim(&keys, Token::random(), LONG).await;
        for ((key, commit), claim) in keys.iter().zip(commits).zip(claims) {
            let winner = answers.contains(&(*key, Claim::Claimed));
            let expected = match commit {
                Commit::Recorded => (false, Claim::Done),
                Commit::Fenced => (true, Claim::Pending),
            };
            assert_eq!(
                (winner, claim),
                expected,
                "rule 3: whether one of many claims at the same time got an absent key whose commit \
                 said {commit:?}, and a claim after it"
            );
        }
    }
}

/// Rule 2: a commit under another token races with the release by the holder. Only a commit that
/// says so has recorded anything.
async fn race_of_fenced_commits<S: Store>(test: Test<S>) {
    for _ in 0..16 {
        let keys = test.keys(50);
        let holder = Token::random();
        test.claim(&keys, holder, LONG).await;
        let (releaser, released) = (test.clone(), keys.clone());
        let release = async move { releaser.release(&released, holder).await };
        let (commits, ()) = commit_during(&test, &keys, release).await;
        let claims = test.claim(&keys, Token::random(), LONG).await;
        for (commit, claim) in commits.into_iter().zip(claims) {
            let expected = match commit {
                Commit::Recorded => Claim::Done,
                Commit::Fenced => Claim::Claimed,
            };
            assert_eq!(
                claim, expected,
                "rule 2: a claim after a commit by another said {commit:?} while the holder released"
            );
        }
    }
}

/// Commits keys under a token of its own, while something else happens to them.
async fn commit_during<S: Store, T: Send + 'static>(
    test: &Test<S>,
    keys: &[EventKey],
    other: impl Future<Output = T> + Send + 'static,
) -> (Vec<Commit>, T) {
    let windows: Vec<_> = keys.iter().map(|key| (*key, LONG)).collect();
    let committer = test.clone();
    let mut commits = JoinSet::new();
    commits.spawn(async move { committer.commit(&windows, Token::random()).await });
    let mut others = JoinSet::new();
    others.spawn(other);
    (one(all(commits).await), one(all(others).await))
}

/// Rules 1 and 2: many claim and release the same keys again and again, in different orders. A key
/// has one holder at a time, and is never done: nobody commits.
///
/// A store that finds out in a second step who holds the keys that it did not get may find nobody:
/// the holder has released in between. That is no reason to call them done.
async fn nobody_commits<S: Store>(test: Test<S>) {
    const KEYS: usize = 20;
    const ROUNDS: usize = 40;
    let keys = test.keys(KEYS);
    let holders: Arc<Vec<AtomicU64>> = Arc::new(keys.iter().map(|_| AtomicU64::new(0)).collect());
    let mut tasks = JoinSet::new();
    for racer in 0..RACERS {
        let (test, holders) = (test.clone(), Arc::clone(&holders));
        let mut places: Vec<_> = keys.iter().copied().zip(0..KEYS).collect();
        places.rotate_left(racer * 7 % KEYS);
        if racer % 2 == 1 {
            places.reverse();
        }
        tasks.spawn(async move {
            let keys: Vec<_> = places.iter().map(|(key, _)| *key).collect();
            for _ in 0..ROUNDS {
                let token = Token::random();
                let claims = test.claim(&keys, token, LONG).await;
                assert!(!claims.contains(&Claim::Done), "{DONE_BY_NOBODY}");
                let won = places.iter().zip(claims);
                let won = won.filter(|(_, claim)| *claim == Claim::Claimed);
                let counts = won.filter_map(|((_, place), _)| holders.get(*place));
                let counts: Vec<_> = counts.collect();
                for count in &counts {
                    let before = count.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(before, 0, "rule 1: two callers hold a key at the same time");
                }
                yield_now().await;
                for count in counts {
                    count.fetch_sub(1, Ordering::SeqCst);
                }
                test.release(&keys, token).await;
                // Nobody holds the keys now: that is what others have to see too.
                yield_now().await;
            }
        });
    }
    all(tasks).await;
    let claims = test.claim(&keys, Token::random(), LONG).await;
    assert!(
        all_are(&claims, Claim::Claimed),
        "rule 2: a claim after all have released: {claims:?}"
    );
}

const DONE_BY_NOBODY: &str = "rule 1: a claim says that a key is done, and nobody has committed it. \
    A key that was released between two steps of a claim is pending or claimed, never done";

/// As [`contend`], where nobody commits the keys: no answer may say that one is done.
async fn race<S: Store>(
    test: &Test<S>,
    keys: &[EventKey],
    winners: RangeInclusive<usize>,
    what: &str,
) {
    let answers = contend(test, keys, winners, what).await;
    let done = answers.iter().any(|(_, claim)| *claim == Claim::Done);
    assert!(!done, "{DONE_BY_NOBODY}: {what}");
}

/// Lets many claim the same keys, each in another order, and returns the answers. The number of
/// claims that get a key must be in the range.
async fn contend<S: Store>(
    test: &Test<S>,
    keys: &[EventKey],
    winners: RangeInclusive<usize>,
    what: &str,
) -> Vec<(EventKey, Claim)> {
    let mut tasks = JoinSet::new();
    for racer in 0..RACERS {
        let test = test.clone();
        let mut keys = keys.to_vec();
        let length = keys.len().max(1);
        keys.rotate_left(racer * 7 % length);
        tasks.spawn(async move {
            let claims = test.claim(&keys, Token::random(), LONG).await;
            keys.into_iter().zip(claims).collect::<Vec<_>>()
        });
    }
    let answers = all(tasks).await.concat();
    for key in keys {
        let of_key = answers.iter().filter(|(other, _)| other == key);
        let count = of_key.filter(|(_, claim)| *claim == Claim::Claimed).count();
        assert!(
            winners.contains(&count),
            "rule 1: of {RACERS} claims of {what} at the same time {count} got the same key"
        );
    }
    answers
}

/// A store, and keys that nobody else has.
struct Test<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
}

impl<S> Clone for Test<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Store> Test<S> {
    fn key(&self) -> EventKey {
        EventKey::from_bytes(Token::random().to_bytes())
    }

    /// Keys in their order, as the layer passes them.
    fn keys(&self, count: usize) -> Vec<EventKey> {
        let mut keys: Vec<_> = (0..count).map(|_| self.key()).collect();
        keys.sort_unstable();
        keys
    }

    /// Makes three keys that are taken for this time: by a claim, by a renewal, and by a commit.
    async fn hold(&self, token: Token, time: Duration) -> [EventKey; 3] {
        let keys = [self.key(), self.key(), self.key()];
        let [leased, renewed, done] = keys;
        self.claim_one(leased, token, time).await;
        self.claim_one(renewed, token, SHORT).await;
        self.renew_one(renewed, token, time).await;
        self.commit_one(done, time, token).await;
        keys
    }

    async fn are_held(&self, keys: &[EventKey; 3], time: Duration) {
        let claims = self.claim(keys, Token::random(), SHORT).await;
        let (leases, window) = claims.split_at(2);
        assert!(
            all_are(leases, Claim::Pending),
            "the lease: a claim before a lease and a renewed lease of {time:?} have passed: {leases:?}"
        );
        assert!(
            all_are(window, Claim::Done),
            "rule 4: a claim before a window of {time:?} has passed: {window:?}"
        );
    }

    async fn claim(&self, keys: &[EventKey], token: Token, lease: Duration) -> Vec<Claim> {
        let claims = right(self.0.store.claim(keys, token, lease).await, "a claim");
        assert_eq!(
            claims.len(),
            keys.len(),
            "rule 8: one answer for every key of a claim"
        );
        claims
    }

    async fn renew(&self, keys: &[EventKey], token: Token, lease: Duration) -> Vec<Renewal> {
        let renewals = right(self.0.store.renew(keys, token, lease).await, "a renewal");
        assert_eq!(
            renewals.len(),
            keys.len(),
            "rule 8: one answer for every key of a renewal"
        );
        renewals
    }

    async fn commit(&self, keys: &[(EventKey, Duration)], token: Token) -> Vec<Commit> {
        let commits = right(self.0.store.commit(keys, token).await, "a commit");
        assert_eq!(
            commits.len(),
            keys.len(),
            "rule 8: one answer for every key of a commit"
        );
        commits
    }

    async fn release(&self, keys: &[EventKey], token: Token) {
        right(self.0.store.release(keys, token).await, "a release");
    }

    async fn claim_one(&self, key: EventKey, token: Token, lease: Duration) -> Claim {
        one(self.claim(&[key], token, lease).await)
    }

    async fn renew_one(&self, key: EventKey, token: Token, lease: Duration) -> Renewal {
        one(self.renew(&[key], token, lease).await)
    }

    async fn commit_one(&self, key: EventKey, window: Duration, token: Token) -> Commit {
        one(self.commit(&[(key, window)], token).await)
    }
}

/// The only answer.
fn one<T>(mut answers: Vec<T>) -> T {
    answers
        .pop()
        .unwrap_or_else(|| panic!("rule 8: one answer for every key"))
}

fn right<T>(answer: Result<T, StoreError>, what: &str) -> T {
    answer.unwrap_or_else(|error| panic!("the store answers {what} with an error: {error:?}"))
}

fn all_are<T: PartialEq + Copy>(answers: &[T], expected: T) -> bool {
    answers.iter().all(|answer| *answer == expected)
}

/// The same keys in another order: every seventh, beginning with the last.
fn mix(keys: &[EventKey]) -> Vec<EventKey> {
    let start = |rest| keys.iter().rev().copied().skip(rest).step_by(7);
    (0..7).flat_map(start).collect()
}

/// Waits for all tasks. A panic of one is a panic of the caller.
async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(result) => results.push(result),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => panic::resume_unwind(payload),
                Err(error) => panic!("a check was aborted: {error}"),
            },
        }
    }
    results
}
