//! Rules 1 to 4 under concurrency.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    task::{JoinSet, yield_now},
    time::sleep,
};

use super::harness::{EXPIRED, Harness, LONG, SHORT, all_are, join_all, single};
use crate::{
    dedup::{Claim, Commit, Renewal, Store, Token},
    event::EventKey,
};

/// Number of tasks that race for a key.
const RACERS: usize = 16;

/// Rule 1: one of several concurrent claims of an absent key succeeds.
pub(super) async fn race_for_absent<S: Store>(harness: Harness<S>) {
    for _ in 0..8 {
        let keys = harness.keys(50);
        race(&harness, &keys, 1..=1, "absent keys").await;
    }
}

/// Rule 1: one of several concurrent claims of an expired key succeeds.
pub(super) async fn race_for_expired<S: Store>(harness: Harness<S>) {
    let token = Token::random();
    let keys = harness.keys(100);
    let (lapsed, done) = keys.split_at(50);
    harness.claim(lapsed, token, SHORT).await;
    let windows: Vec<_> = done.iter().map(|key| (*key, SHORT)).collect();
    harness.commit(&windows, token).await;
    sleep(EXPIRED).await;
    race(
        &harness,
        &keys,
        1..=1,
        "keys whose lease or window has expired",
    )
    .await;
}

/// Rule 1: no claim succeeds while the holder renews the key.
pub(super) async fn race_with_renewal<S: Store>(harness: Harness<S>) {
    for _ in 0..8 {
        let keys = harness.keys(50);
        let token = Token::random();
        harness.claim(&keys, token, LONG).await;
        let mut tasks = JoinSet::new();
        let (holder, held) = (harness.clone(), keys.clone());
        tasks.spawn(async move {
            let renewals = holder.renew(&held, token, LONG).await;
            assert!(
                all_are(&renewals, Renewal::Renewed),
                "rule 1: a renewal during claims under other tokens: {renewals:?}"
            );
        });
        let racers = harness.clone();
        tasks.spawn(async move {
            race(&racers, &keys, 0..=0, "keys that are being renewed").await;
        });
        join_all(tasks).await;
    }
}

/// Rules 1 and 4: no claim succeeds while the holder commits the key.
pub(super) async fn race_with_commit<S: Store>(harness: Harness<S>) {
    for _ in 0..8 {
        let keys = harness.keys(50);
        let token = Token::random();
        harness.claim(&keys, token, LONG).await;
        let commit = {
            let (harness, keys) = (harness.clone(), keys.clone());
            async move {
                let windows: Vec<_> = keys.iter().map(|key| (*key, LONG)).collect();
                let commits = harness.commit(&windows, token).await;
                assert!(
                    all_are(&commits, Commit::Recorded),
                    "rule 1: a commit during claims under other tokens: {commits:?}"
                );
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(commit);
        let racers = harness.clone();
        let contended = keys.clone();
        tasks.spawn(async move {
            contend(&racers, &contended, 0..=0, "keys that are being committed").await;
        });
        join_all(tasks).await;
        let claims = harness.claim(&keys, Token::random(), LONG).await;
        assert!(
            all_are(&claims, Claim::Done),
            "rule 4: a claim after a commit during claims under other tokens: {claims:?}"
        );
    }
}

/// Rule 1: at most one claim succeeds while the holder releases the key. For the others the key is
/// pending.
pub(super) async fn race_with_release<S: Store>(harness: Harness<S>) {
    for _ in 0..8 {
        let keys = harness.keys(50);
        let token = Token::random();
        harness.claim(&keys, token, LONG).await;
        let mut tasks = JoinSet::new();
        let (releaser, released) = (harness.clone(), keys.clone());
        tasks.spawn(async move { releaser.release(&released, token).await });
        let racers = harness.clone();
        tasks.spawn(async move {
            race(&racers, &keys, 0..=1, "keys that are being released").await;
        });
        join_all(tasks).await;
    }
}

/// Rules 1 and 3: a commit of absent keys races with claims. Either the commit is first and no
/// claim succeeds, or a claim is first and the commit is fenced.
pub(super) async fn race_of_claims_and_late_commits<S: Store>(harness: Harness<S>) {
    for _ in 0..8 {
        let keys = harness.keys(50);
        let (racers, contended) = (harness.clone(), keys.clone());
        let race = async move {
            let what = "absent keys that are being committed";
            contend(&racers, &contended, 0..=1, what).await
        };
        let (commits, results) = commit_during(&harness, &keys, race).await;
        let claims = harness.claim(&keys, Token::random(), LONG).await;
        for ((key, commit), claim) in keys.iter().zip(commits).zip(claims) {
            let winner = results.contains(&(*key, Claim::Claimed));
            let expected = match commit {
                Commit::Recorded => (false, Claim::Done),
                Commit::Fenced => (true, Claim::Pending),
            };
            assert_eq!(
                (winner, claim),
                expected,
                "rule 3: whether a concurrent claim got an absent key whose commit returned \
                 {commit:?}, and a claim after it"
            );
        }
    }
}

/// Rule 2: a commit under another token races with the release by the holder. The key is done only
/// if the commit returned `Recorded`.
pub(super) async fn race_of_fenced_commits_and_release<S: Store>(harness: Harness<S>) {
    for _ in 0..16 {
        let keys = harness.keys(50);
        let holder = Token::random();
        harness.claim(&keys, holder, LONG).await;
        let (releaser, released) = (harness.clone(), keys.clone());
        let release = async move { releaser.release(&released, holder).await };
        let (commits, ()) = commit_during(&harness, &keys, release).await;
        let claims = harness.claim(&keys, Token::random(), LONG).await;
        for (commit, claim) in commits.into_iter().zip(claims) {
            let expected = match commit {
                Commit::Recorded => Claim::Done,
                Commit::Fenced => Claim::Claimed,
            };
            assert_eq!(
                claim, expected,
                "rule 2: a claim after a commit under another token that returned {commit:?} \
                 during a release"
            );
        }
    }
}

/// Commits keys under a new token, concurrently with another future.
async fn commit_during<S: Store, T: Send + 'static>(
    harness: &Harness<S>,
    keys: &[EventKey],
    other: impl Future<Output = T> + Send + 'static,
) -> (Vec<Commit>, T) {
    let windows: Vec<_> = keys.iter().map(|key| (*key, LONG)).collect();
    let committer = harness.clone();
    let mut commits = JoinSet::new();
    commits.spawn(async move { committer.commit(&windows, Token::random()).await });
    let mut others = JoinSet::new();
    others.spawn(other);
    (
        single(join_all(commits).await),
        single(join_all(others).await),
    )
}

/// Rules 1 and 2: tasks claim and release the same keys repeatedly, in different orders. A key has
/// one holder at a time, and is never done, because there are no commits.
///
/// A store that reads the holders of unavailable keys in a second step may find none, because the
/// holder released the key in between. Such a key is not done.
pub(super) async fn race_of_claims_and_releases<S: Store>(harness: Harness<S>) {
    const KEYS: usize = 20;
    const ROUNDS: usize = 40;
    let keys = harness.keys(KEYS);
    let holders: Arc<Vec<AtomicU64>> = Arc::new(keys.iter().map(|_| AtomicU64::new(0)).collect());
    let mut tasks = JoinSet::new();
    for racer in 0..RACERS {
        let (harness, holders) = (harness.clone(), Arc::clone(&holders));
        let mut indexed: Vec<_> = keys.iter().copied().zip(0..KEYS).collect();
        indexed.rotate_left(racer * 7 % KEYS);
        if racer % 2 == 1 {
            indexed.reverse();
        }
        tasks.spawn(async move {
            let keys: Vec<_> = indexed.iter().map(|(key, _)| *key).collect();
            for _ in 0..ROUNDS {
                let token = Token::random();
                let claims = harness.claim(&keys, token, LONG).await;
                assert!(!claims.contains(&Claim::Done), "{DONE_WITHOUT_COMMIT}");
                let won = indexed.iter().zip(claims);
                let won = won.filter(|(_, claim)| *claim == Claim::Claimed);
                let counts = won.filter_map(|((_, index), _)| holders.get(*index));
                let counts: Vec<_> = counts.collect();
                for count in &counts {
                    let before = count.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(before, 0, "rule 1: two tokens hold a key at the same time");
                }
                yield_now().await;
                for count in counts {
                    count.fetch_sub(1, Ordering::SeqCst);
                }
                harness.release(&keys, token).await;
                // The keys are free now: let other tasks observe that state.
                yield_now().await;
            }
        });
    }
    join_all(tasks).await;
    let claims = harness.claim(&keys, Token::random(), LONG).await;
    assert!(
        all_are(&claims, Claim::Claimed),
        "rule 2: a claim after all tasks have released: {claims:?}"
    );
}

const DONE_WITHOUT_COMMIT: &str = "rule 1: a claim returned `Done` for a key that was never \
    committed. A key that is released between two steps of a claim is `Pending` or `Claimed`, \
    never `Done`";

/// Like [`contend`], for keys that are never committed: no claim may return `Done`.
async fn race<S: Store>(
    harness: &Harness<S>,
    keys: &[EventKey],
    winners: RangeInclusive<usize>,
    what: &str,
) {
    let results = contend(harness, keys, winners, what).await;
    let done = results.iter().any(|(_, claim)| *claim == Claim::Done);
    assert!(!done, "{DONE_WITHOUT_COMMIT}: {what}");
}

/// Claims the same keys in concurrent tasks, each in another order, and returns the results. The
/// number of successful claims of each key must be in the range.
async fn contend<S: Store>(
    harness: &Harness<S>,
    keys: &[EventKey],
    winners: RangeInclusive<usize>,
    what: &str,
) -> Vec<(EventKey, Claim)> {
    let mut tasks = JoinSet::new();
    for racer in 0..RACERS {
        let harness = harness.clone();
        let mut keys = keys.to_vec();
        let length = keys.len().max(1);
        keys.rotate_left(racer * 7 % length);
        tasks.spawn(async move {
            let claims = harness.claim(&keys, Token::random(), LONG).await;
            keys.into_iter().zip(claims).collect::<Vec<_>>()
        });
    }
    let results = join_all(tasks).await.concat();
    for key in keys {
        let of_key = results.iter().filter(|(other, _)| other == key);
        let count = of_key.filter(|(_, claim)| *claim == Claim::Claimed).count();
        assert!(
            winners.contains(&count),
            "rule 1: {count} of {RACERS} concurrent claims of {what} got the same key"
        );
    }
    results
}
